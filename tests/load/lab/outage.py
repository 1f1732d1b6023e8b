"""A daemon with two handlers of one kind, one of which is taken down while events arrive; and what can be seen of it."""

import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lab.contenders import Bench
from lab.hookyard import ENVIRONMENT, Hookyard, Setup, rule, spread

CONNECTIONS = 64
CONCURRENCY = 8
HOUR_SECONDS = 3600
#: Looks at the daemon in each phase.
SAMPLES = 60
#: The shorter phase after the outage: events go on arriving while the backlog is drained.
AFTER_SHARE = 0.25
#: A deadline that is squeezed below this would end calls that do nothing wrong.
TIMEOUT_MS_MIN = 200


@dataclass
class Plan:
    """How much arrives in what time."""

    events: int
    #: What the hour is squeezed to. The handlers' waits and deadlines are squeezed alike.
    seconds: float
    #: How long the handlers work on an event.
    work_ms: int
    #: The longest wait between two attempts, in minutes of the hour.
    retry_max_minutes: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    def squeezed_ms(self, seconds: float) -> int:
        return max(round(seconds * 1000 * self.seconds / HOUR_SECONDS), 1)


class Pair(Hookyard):
    """Handlers `well` and `ill`; every event goes to both."""

    def __init__(self, programs: Path, folder: Path, plan: Plan):
        # Each refused attempt is a warning.
        super().__init__(programs, folder, Setup(log="error"))
        self.plan = plan

    def handlers(self) -> list[str]:
        plan, lines = self.plan, ["[plugin.outage]", f'path = "{self.programs / "libhookyard_test_outage.so"}"']
        first, most = plan.squeezed_ms(5), plan.squeezed_ms(60 * plan.retry_max_minutes)
        timeout = max(plan.squeezed_ms(30), plan.work_ms + TIMEOUT_MS_MIN)
        for name in ("well", "ill"):
            lines += [
                f"[handler.{name}]",
                'plugin = "outage"',
                f"concurrency = {CONCURRENCY}",
                f'timeout = "{timeout}ms"',
                f'retry = {{ first = "{first}ms", factor = 3.0, max = "{most}ms", attempts = 1000, jitter = 0.2 }}',
                f'settings = {{ down = "{name}.down", calls = "{name}.calls", work_ms = {plan.work_ms} }}',
            ]
        return lines

    def rules(self) -> list[list[str]]:
        return [rule("every event", 'type = { glob = "*" }', '"well", "ill"')]

    def take_down(self, how: str) -> None:
        (self.folder / "ill.next").write_text(how)
        os.rename(self.folder / "ill.next", self.folder / "ill.down")

    def bring_up(self) -> None:
        (self.folder / "ill.down").unlink(missing_ok=True)

    def calls(self, handler: str) -> list[dict]:
        """The calls that were done, as the handler wrote them down."""
        words = [line.split() for line in (self.folder / f"{handler}.calls").read_text().splitlines()]
        fields = ("received_ms", "called_us", "attempt", "at_once")
        return [{"event": first} | dict(zip(fields, map(int, rest))) for first, *rest in words]


def run(bench: Bench, plan: Plan, how: str | None) -> dict:
    """One outage; without `how` the same load and no outage."""
    with bench.folder() as folder, Pair(bench.programs, folder, plan) as daemon:
        if how:
            daemon.take_down(how)
        outage = phase(bench, daemon, plan.seconds)
        waiting = daemon.counts()
        daemon.bring_up()
        up, up_us = time.monotonic(), time.time() * 1e6
        after = phase(bench, daemon, plan.seconds * AFTER_SHARE)
        daemon.settle()
        drained = time.monotonic() - up
        return {
            "outage": outage,
            "after": after,
            "backlog": waiting["to_route"] + waiting["pending"] + waiting["leased"],
            "drained_seconds": drained,
            "counts": daemon.counts(),
            "well": told(daemon.calls("well"), up_us),
            "ill": told(daemon.calls("ill"), up_us),
        }


def phase(bench: Bench, daemon: Pair, seconds: float) -> dict:
    """Posts at the rate for so long, and looks at the daemon meanwhile."""
    words = ["--json", "--size", "4k", "--connections", str(CONNECTIONS), "--rate", f"{daemon.plan.rate:.3f}"]
    words += ["--duration", f"{seconds:.3f}s", "--warm-up", "0s", *daemon.load_arguments]
    command = [str(bench.programs / "hookyard-load"), *words]
    load = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    try:
        resident, descriptors = [], []
        while load.poll() is None:
            daemon.process.must_run()
            resident.append(daemon.process.resident_bytes())
            descriptors.append(daemon.process.descriptors())
            time.sleep(seconds / SAMPLES)
        out = load.stdout.read()
        if load.returncode:
            raise SystemExit(f"the generator ended with {load.returncode}")
        report = json.loads(out)
    finally:
        load.kill()
        load.wait()
    return {
        "answers": report["whole_run"],
        "latency_us": report["latency_us"],
        "resident_bytes": resident,
        "descriptors": descriptors,
    }


def told(calls: list[dict], up_us: float) -> dict:
    """What a handler's own record says. Its lag is from an event's receipt until it is called."""
    lag = lambda some: spread([call["called_us"] / 1000 - call["received_ms"] for call in some] or [0])
    after = [call for call in calls if call["called_us"] >= up_us]
    of_event = Counter(call["event"] for call in calls)
    return {
        "events": len(of_event),
        "twice": sum(count > 1 for count in of_event.values()),
        "attempts_most": max((call["attempt"] for call in calls), default=0),
        "at_once_most": max((call["at_once"] for call in calls), default=0),
        "at_once_after": sum(call["at_once"] for call in after) / max(len(after), 1),
        "busiest_second": max(Counter(call["called_us"] // 1_000_000 for call in after).values(), default=0),
        "lag_ms": lag([call for call in calls if call["called_us"] < up_us]),
        "lag_after_ms": lag([call for call in after if call["received_ms"] * 1000 >= up_us]),
    }
