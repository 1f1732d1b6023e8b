"""Processes that are started for a measurement and ended with it, and what /proc tells of them."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

PATIENCE_SECONDS = 60
LOOK_SECONDS = 0.002
STOP_SECONDS = 60


class Process:
    """One process with its children, in a process group of its own."""

    def __init__(self, command: list, log: Path, **options):
        self.log = log
        self.out = open(log, "ab")
        self.child = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", self.out),
            stderr=self.out,
            start_new_session=True,
            **options,
        )

    @property
    def pid(self) -> int:
        return self.child.pid

    def must_run(self) -> None:
        if self.child.poll() is not None:
            raise SystemExit(f"{self.child.args[0]} ended ({self.child.returncode}):\n{self.log.read_text()}")

    def stop(self) -> None:
        """SIGTERM; SIGKILL to the whole group where that does not help."""
        if self.child.poll() is None:
            self.child.terminate()
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        self.out.close()

    def resident_bytes(self, what: str = "VmRSS") -> int:
        """What stands in memory now, or (`VmHWM`) stood there at most."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1]) * 1024
        raise ValueError(f"no {what} of process {self.pid}")

    def forget_most(self) -> None:
        """`VmHWM` counts from now on: a start's peak is not that of the load."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(so, process: Process, what: str, patience: float = PATIENCE_SECONDS):
    """Waits until `so()` gives something true, as long as the process lives; gives that."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if found := so():
            return found
        process.must_run()
        time.sleep(LOOK_SECONDS)
    raise SystemExit(f"never so: {what}\n{process.log.read_text()[-4000:]}")


def connects(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
