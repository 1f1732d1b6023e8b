"""One series a thing that may grow: stored events, rules, handlers, idle connections."""

import os
import resource
import socket
import time
from contextlib import contextmanager
from pathlib import Path

from lab.contenders import Bench
from lab.hookyard import Hookyard, Setup
from lab.setup import say

CONNECTIONS = 64
PROBES = 200
#: The longest that is posted before the count is looked at again.
FILL_SECONDS_MAX = 60
#: The rate that is reckoned with before one is known.
FILL_RATE_FIRST = 10_000
BODY_BYTES = 1024
#: Of a store with so many events the accept rate is measured for a second.
ACCEPTED_A_SECOND = 50_000


def events(bench: Bench, steps: list[int]) -> list[dict]:
    """Every event stays due in twenty days, so that the index of due deliveries grows with the events."""
    rows = []
    with bench.folder() as folder:
        daemon = Hookyard(bench.programs, folder, Setup(later=True))
        daemon.start()
        try:
            from_ms = int(time.time() * 1000)
            for step in steps:
                fill(bench, daemon, step)
                rows.append(at_rest(bench, daemon, from_ms))
                say(f"{rows[-1]['events']:,} events: {rows[-1]}")
        finally:
            daemon.stop()
    return rows


def fill(bench: Bench, daemon: Hookyard, events: int) -> None:
    rate = FILL_RATE_FIRST
    while (missing := events - daemon.counts()["events"]) > 0:
        seconds = min(max(missing / rate, 0.2), FILL_SECONDS_MAX)
        words = ["--size", "1k", "--connections", CONNECTIONS, "--duration", f"{seconds:.1f}s", "--warm-up", "0s"]
        report = bench.run("hookyard-load", "--json", *words, *daemon.load_arguments)
        rate = max(report["throughput_per_second"], 1)
        # The backlog of deliveries must not grow with the store.
        daemon.settle()


def at_rest(bench: Bench, daemon: Hookyard, from_ms: int) -> dict:
    # A small store must not have become a large one by the time that it is measured.
    seconds = min(bench.seconds, max(daemon.counts()["events"] / ACCEPTED_A_SECOND, 1))
    accept = accepts(bench, daemon, "--size", "1k", seconds=seconds)
    daemon.settle()
    count = daemon.counts()["events"]
    ids = daemon.some_events(PROBES, from_ms, int(time.time() * 1000))
    row = {
        "events": count,
        "accepts_per_second": accept,
        "point_read_us": daemon.reads([f"/v1/events/{id}" for id in ids])["p50"],
        "due_scan_us": daemon.to_plugin(PROBES)["p50"],
        "status_us": daemon.reads(["/v1/status"] * 20)["p50"],
        "resident_bytes": daemon.process.resident_bytes(),
        "disk_bytes": daemon.disk_bytes(),
        "logical_bytes": count * BODY_BYTES,
    }
    daemon.stop()
    out_of_page_cache(daemon.folder / "store")
    return row | daemon.start() | {"resident_bytes_after_start": daemon.process.resident_bytes()}


def out_of_page_cache(folder: Path) -> None:
    """A restart that finds the store in the page cache is not the one that hurts."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rules(bench: Bench, steps: list[int]) -> list[dict]:
    return [{"rules": step} | anew(bench, Setup(rules=step)) for step in steps]


def handlers(bench: Bench, steps: list[int]) -> list[dict]:
    """Further handlers are up and have nothing to do."""
    return [{"handlers": step} | anew(bench, Setup(handlers=step)) for step in steps]


def connections(bench: Bench, steps: list[int]) -> list[dict]:
    setup = Setup(server=['idle_timeout = "1h"', "connections_max = 10000"])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return [{"idle_connections": step} | anew(bench, setup, idle=step) for step in steps]


def anew(bench: Bench, setup: Setup, idle: int = 0) -> dict:
    """What an empty store with this setup does."""
    with bench.folder() as folder:
        daemon = Hookyard(bench.programs, folder, setup)
        started = daemon.start()
        try:
            with idle_connections(daemon.port, idle):
                row = started | {
                    "resident_bytes": daemon.process.resident_bytes(),
                    "to_plugin_us": daemon.to_plugin(PROBES)["p50"],
                    "accepts_per_second": accepts(bench, daemon),
                }
                say(str(row))
                return row
        finally:
            daemon.stop()


def accepts(bench: Bench, daemon: Hookyard, *words, seconds: float | None = None) -> float:
    times = ["--duration", f"{seconds or bench.seconds}s", "--warm-up", f"{bench.warm_up}s"]
    words = ["--connections", CONNECTIONS, *times, *words, *daemon.load_arguments]
    return bench.run("hookyard-load", "--json", *words)["throughput_per_second"]


@contextmanager
def idle_connections(port: int, count: int):
    """Connections that had one answer each and stay open."""
    opened = []
    try:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=60)
            opened.append(connection)
            connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            if not connection.recv(4096).startswith(b"HTTP/1.1 404"):
                raise SystemExit(f"connection {len(opened)} had no answer")
        yield
    finally:
        for connection in opened:
            connection.close()
