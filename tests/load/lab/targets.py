"""The targets that hookyard set itself, each with what was measured: met, missed, or not to be told from this run."""

from dataclasses import dataclass
from statistics import median

#: A disk that is slower than this at its 99th percentile is not the one that the latency target speaks of.
SYNC_P99_MAX_US = 1500
#: What a target means by "sustained".
SUSTAINED_SECONDS = 60


@dataclass
class Target:
    words: str
    measured: str
    met: bool | None

    @property
    def verdict(self) -> str:
        return {True: "met", False: "**missed**", None: "not to be told"}[self.met]


class Medians:
    """The medians of a run's rounds."""

    def __init__(self, found: dict):
        self.found = found

    def of(self, contender: str, connections: int, figure: str) -> float | None:
        runs = self.found["cells"].get(contender, {}).get(str(connections), [])
        return median(deep(run, figure) for run in runs) if runs else None

    def rate(self, contender: str, connections: int = 64) -> float | None:
        return self.of(contender, connections, "throughput_per_second")

    def p50(self, contender: str, connections: int) -> float:
        return self.of(contender, connections, "latency_us.p50")

    def minute(self, figure: str) -> float:
        """Of the runs that took a whole minute; of the cells, where the figures are older than those."""
        runs = self.found.get("sustained") or self.found["cells"]["hookyard"]["64"]
        return median(deep(run, figure) for run in runs)

    @property
    def longest_seconds(self) -> float:
        return self.minute("seconds") if self.found.get("sustained") else self.found["seconds"]

    def rounds(self, part: str, figure: str) -> float:
        return median(deep(run, figure) for run in self.found[part])


def deep(value: dict, path: str):
    for key in path.split("."):
        value = value[key]
    return value


def targets(found: dict, growth: dict | None) -> list[Target]:
    m = Medians(found)
    told = [
        sustained(m),
        share(m, "sled", 0.7, "at least 70 % of what sled alone does with the same writes"),
        times(m, "sqlite", 10),
        times(m, "python", 8),
        latency(m),
        alone(m),
        third(m),
        burst(m),
        to_plugin(m),
        memory(m),
        idle(m, "resident_bytes", 60e6, "In memory, idle, empty store: under 60 MB", 1e6, "MB"),
        idle(m, "answering_seconds", 0.2, "Listening on an empty store: within 200 ms", 1e-3, "ms"),
        restart(growth),
    ]
    if found["seconds"] < SUSTAINED_SECONDS:
        # For the first seconds sled is allowed to fall behind: what is met then may not be in a minute.
        brief = told[1:4] if m.longest_seconds >= SUSTAINED_SECONDS else told[:5]
        for one in brief:
            one.met = one.met and None
    # A short run's figures mean nothing, so neither would a verdict.
    return [Target(one.words, one.measured, None) for one in told] if found["short"] else told


def sustained(m: Medians) -> Target:
    words = "At 64 connections, dispatching, for a minute: at least 10,000 accepted and durable a second"
    rate, left = m.minute("throughput_per_second"), m.minute("counts_at_end.pending")
    measured = f"{rate:,.0f} a second over {m.longest_seconds:g} s; {left:,.0f} were not delivered yet at its end"
    return Target(words, measured, rate >= 10_000)


def share(m: Medians, other: str, least: float, words: str) -> Target:
    ratio = m.rate("hookyard") / m.rate(other)
    return Target(f"At 64 connections: {words}", f"{ratio:.0%}", ratio >= least)


def times(m: Medians, other: str, least: float) -> Target:
    name = m.found["names"][other]
    ratio = m.rate("hookyard") / m.rate(other)
    return Target(f"At 64 connections: at least {least:g} × {name}", f"{ratio:.1f} ×", ratio >= least)


def latency(m: Medians) -> Target:
    sync, p99 = m.rounds("disk", "append_fdatasync_us.p99"), m.minute("latency_us.p99")
    measured = f"{p99 / 1000:.2f} ms, fdatasync's p99 is {sync / 1000:.2f} ms"
    words = "At 64 connections: p99 under 12 ms where fdatasync's p99 is under 1.5 ms"
    return Target(words, measured, p99 < 12_000 if sync < SYNC_P99_MAX_US else None)


def alone(m: Medians) -> Target:
    parts = m.p50("log", 1) + m.p50("hyper", 1)
    ours = m.p50("hookyard", 1)
    words = "At one connection: p50 at most twice the raw append and the empty hyper answer together"
    return Target(words, f"{ours / parts:.2f} × ({ours:.0f} µs, {parts:.0f} µs)", ours <= 2 * parts)


def third(m: Medians) -> Target:
    ours, sleds = m.p50("hookyard", 64), m.p50("sled", 64)
    words = "At 64 connections: p50 at most a third of sled alone"
    return Target(words, f"{ours / sleds:.2f} of it ({ours / 1000:.2f} ms, {sleds / 1000:.2f} ms)", ours <= sleds / 3)


def burst(m: Medians) -> Target:
    runs = m.found["burst"]
    taken = median(run["counts"]["accepted"] / (run["rate_per_second"] * run["duration_seconds"]) for run in runs)
    drain, rate = m.rounds("burst", "drain_seconds"), m.rounds("burst", "rate_per_second")
    words = "Ten seconds at twice sled's rate: all accepted, the lag drained"
    measured = f"{taken:.1%} of {rate:,.0f} a second were accepted in time; the rest of the work took {drain:.1f} s more"
    return Target(words, measured, taken >= 0.999)


def to_plugin(m: Medians) -> Target:
    took, empty = m.rounds("idle", "to_plugin_us.p50"), m.rounds("idle", "empty_answer_us.p50")
    words = "Event to plugin called, idle daemon, p50: under 1 ms"
    return Target(words, f"{took / 1000:.2f} ms; an empty answer of the same idle door takes {empty / 1000:.2f} ms", took < 1000)


def memory(m: Medians) -> Target:
    most = m.minute("resident_bytes_most") / 1e6
    return Target("In memory at that load: under 250 MB", f"{most:.0f} MB at most", most < 250)


def idle(m: Medians, figure: str, limit: float, words: str, unit: float, name: str) -> Target:
    value = m.rounds("idle", figure)
    return Target(words, f"{value / unit:.3g} {name}", value < limit)


def restart(growth: dict | None) -> Target:
    words = "Listening on a store of 2 million events: within 1 s"
    rows = [row for row in (growth or {}).get("events", []) if row["events"] >= 2_000_000]
    if not rows:
        return Target(words, "the growth run held fewer events", None)
    seconds = rows[0]["listening_seconds"]
    return Target(words, f"{seconds:.2f} s at {rows[0]['events']:,} events", seconds <= 1)
