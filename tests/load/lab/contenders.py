"""What hookyard is measured beside. Each gives one cell: a report in the words of the load generator."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from lab.hookyard import ENVIRONMENT, SECRET, Hookyard, Setup
from lab.processes import Process, connects, free_port, wait_until
from lab.setup import LOAD

BODY_MAC_HEADER = "X-Body-Mac"
#: How long the burst lasts, and what the backlog gets afterwards.
BURST_SECONDS = 10


@dataclass
class Bench:
    """Where the programs are, where the disk is, and how long a cell takes."""

    programs: Path
    directory: Path
    seconds: float
    warm_up: float

    @contextmanager
    def folder(self):
        """A folder on the disk under measurement. Its removal is on disk too before the next cell begins."""
        folder = Path(tempfile.mkdtemp(prefix="hookyard-bench-", dir=self.directory))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
            os.sync()

    def run(self, program: str, *words) -> dict:
        command = [str(word) for word in [self.programs / program, *words]]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed ({done.returncode}): {done.stderr}")
        return json.loads(done.stdout)

    def load(self, connections: int, *words, seconds: float | None = None) -> dict:
        times = ["--duration", f"{seconds or self.seconds}s", "--warm-up", f"{self.warm_up}s"]
        return self.run("hookyard-load", "--json", "--size", "4k", "--connections", connections, *times, *words)

    def submit(self, what: str, submitters: int) -> dict:
        with self.folder() as folder:
            times = ["--duration", f"{self.seconds}s", "--warm-up", f"{self.warm_up}s"]
            return self.run("hookyard-baseline", what, "--dir", folder, "--submitters", submitters, *times)


@dataclass
class Contender:
    """One row of the table."""

    key: str
    name: str
    measure: Callable[[Bench, int], dict]


def hookyard(setup: Setup) -> Callable[[Bench, int], dict]:
    def measure(bench: Bench, connections: int) -> dict:
        with bench.folder() as folder, Hookyard(bench.programs, folder, setup) as daemon:
            daemon.process.forget_most()
            report = bench.load(connections, *daemon.load_arguments)
            report["counts_at_end"] = daemon.counts()
            report["resident_bytes"] = daemon.process.resident_bytes()
            report["resident_bytes_most"] = daemon.process.resident_bytes("VmHWM")
            return report

    return measure


def hyper(bench: Bench, connections: int) -> dict:
    with bench.folder() as folder:
        command = [bench.programs / "hookyard-baseline", "http"]
        process = Process(command, folder / "log", stdout=subprocess.PIPE)
        try:
            address = process.child.stdout.readline().decode().strip()
            return bench.load(connections, "--url", f"http://{address}/", "--secret-env", "STRIPE_WEBHOOK_SECRET")
        finally:
            process.stop()


def receiver(module: str) -> Callable[[Bench, int], dict]:
    def measure(bench: Bench, connections: int) -> dict:
        with bench.folder() as folder:
            port = free_port()
            command = [sys.executable, "-m", "uvicorn", f"{module}:app", "--app-dir", LOAD / "baselines"]
            command += ["--host", "127.0.0.1", "--port", port, "--workers", os.cpu_count()]
            command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
            environment = {**ENVIRONMENT, "RECEIVER_DATABASE": str(folder / "events.db")}
            server = Process(command, folder / "log", env=environment)
            started = lambda: server.log.read_text().count("startup complete") == os.cpu_count()
            return with_server(bench, server, started, port, connections)

    return measure


def webhook(bench: Bench, connections: int) -> dict:
    """It cannot check Stripe's signature, which is over time and body: it gets the MAC of the body alone."""
    signed = {"source": "header", "name": BODY_MAC_HEADER}
    match = {"type": "payload-hmac-sha256", "secret": SECRET, "parameter": signed}
    hook = {"id": "stripe", "execute-command": "/bin/true", "trigger-rule": {"match": match}}
    with bench.folder() as folder:
        port = free_port()
        (folder / "hooks.json").write_text(json.dumps([hook]))
        command = ["webhook", "-hooks", folder / "hooks.json", "-ip", "127.0.0.1", "-port", port]
        command += ["-urlprefix", "webhooks"]
        server = Process(command, folder / "log")
        started = lambda: connects(port)
        return with_server(bench, server, started, port, connections, "--body-mac-header", BODY_MAC_HEADER)


def with_server(bench: Bench, server: Process, started, port: int, connections: int, *words) -> dict:
    try:
        wait_until(started, server, "the server is ready")
        url = f"http://127.0.0.1:{port}/webhooks/stripe"
        return bench.load(connections, "--url", url, "--secret-env", "STRIPE_WEBHOOK_SECRET", *words)
    finally:
        server.stop()


CONTENDERS = [
    Contender("hookyard", "hookyard, every event dispatched to a handler", hookyard(Setup())),
    Contender("hookyard_idle", "hookyard, no rule takes the events", hookyard(Setup(dispatch=False))),
    Contender("log", "(a) raw limit: append + group commit + fdatasync, no HTTP", lambda b, n: b.submit("log", n)),
    Contender("hyper", "(b) hyper: answers 200, stores nothing", hyper),
    Contender("sled", "(c) sled alone: the same writes, no HTTP", lambda b, n: b.submit("sled", n)),
    Contender("python", "(d) FastAPI + official SDK, stores nothing", receiver("receiver_nothing")),
    Contender("sqlite", "(d) FastAPI + official SDK + SQLite, synced", receiver("receiver_sqlite")),
    Contender("webhook", "(e) Debian's webhook, stores nothing, runs /bin/true", webhook),
]
#: What the targets of a minute are about.
SUSTAINED = CONTENDERS[0]


def disk(bench: Bench) -> dict:
    with bench.folder() as folder:
        return bench.run("hookyard-baseline", "disk", "--dir", folder, "--duration", f"{bench.seconds}s")


def idle(bench: Bench, events: int) -> dict:
    """An empty store: how soon it listens, what it holds in memory, how soon a plugin is called."""
    with bench.folder() as folder:
        daemon = Hookyard(bench.programs, folder, Setup())
        try:
            started = daemon.start()
            time.sleep(1)
            resident = daemon.process.resident_bytes()
            answers, to_plugin = daemon.empty_answers(events), daemon.to_plugin(events)
            return {**started, "resident_bytes": resident, "empty_answer_us": answers, "to_plugin_us": to_plugin}
        finally:
            daemon.stop()


def burst(bench: Bench, rate: float) -> dict:
    """Ten seconds at a rate above sled's own, and how long the rest then takes."""
    with bench.folder() as folder, Hookyard(bench.programs, folder, Setup()) as daemon:
        daemon.process.forget_most()
        words = [*daemon.load_arguments, "--rate", f"{rate:.0f}"]
        report = bench.load(256, *words, seconds=BURST_SECONDS)
        report["counts_at_end"] = daemon.counts()
        report["drain_seconds"] = daemon.settle()
        report["resident_bytes_most"] = daemon.process.resident_bytes("VmHWM")
        return report
