"""docs/growth.md and its plots, from the figures of one run."""

import math
from pathlib import Path

from lab import plots
from lab.bench_page import SHORT

#: What grows with log n may, measured, grow by so much more before it is called worse.
TOLERANCE = 1.5

HEAD = """# How cost grows

Nothing may grow worse than log n, except disk. This page is written by

```sh
{command}
```

{warning}
| | |
|---|---|
{machine}

The last column holds each cost's growth over the last step against the growth of log n, with a tolerance of {tolerance:g} for
what a shared machine adds: over the first steps a fixed cost hides any growth. The raw figures are in [growth.json](growth.json).
"""

SECTIONS = {
    "events": (
        "Stored events",
        """Events of 1 KB, each put off by its handler for twenty days, so that the index of due deliveries is as long as the
store holds events. *Accepts* by 64 connections for at most {seconds:g} s; a *point read* is one event with its attempts by the
operator API; the *due scan* is the way of a fresh event to its plugin on an idle daemon, which looks through that index;
*status* counts what waits. Then the daemon is stopped and started again, with nothing of its store in the page cache: sled reads its whole log, which
is as long as the store is large; the door does not wait for it. sled also holds some memory for each row.""",
        "events",
        [
            ("accepts_per_second", "accepts a second"),
            ("point_read_us", "point read p50, µs"),
            ("due_scan_us", "due scan: event to plugin p50, µs"),
            ("status_us", "status p50, µs"),
            ("answering_seconds", "restart until the door answers, s"),
            ("ready_seconds", "restart until all is read, s"),
            ("resident_bytes", "in memory after load, bytes"),
            ("resident_bytes_after_start", "in memory after restart, bytes"),
            ("disk_bytes", "on disk, bytes"),
            ("disk_share", "on disk for each byte of a body"),
        ],
    ),
    "rules": (
        "Rules",
        "The last rule takes every event; all others look at its type and metadata first.",
        "rules",
        [
            ("accepts_per_second", "accepts a second"),
            ("to_plugin_us", "event to plugin p50, µs"),
            ("answering_seconds", "start until the door answers, s"),
            ("resident_bytes", "in memory, bytes"),
        ],
    ),
    "handlers": (
        "Handlers",
        "Every event goes to one; the others are up, each in a host process of its own, and have nothing to do.",
        "handlers",
        [
            ("accepts_per_second", "accepts a second"),
            ("to_plugin_us", "event to plugin p50, µs"),
            ("answering_seconds", "start until the door answers, s"),
            ("resident_bytes", "the daemon in memory, bytes"),
        ],
    ),
    "connections": (
        "Idle connections",
        "Connections that had one answer and stay open beside the 64 that post. Each keeps its buffers.",
        "idle_connections",
        [
            ("accepts_per_second", "accepts a second"),
            ("to_plugin_us", "event to plugin p50, µs"),
            ("resident_bytes", "in memory, bytes"),
        ],
    ),
}

#: What is stored takes space.
MAY_GROW = {"disk_bytes"}


def write(found: dict, out: Path) -> None:
    rows = "\n".join(f"| {name} | {value} |" for name, value in found["machine"].items())
    warning = SHORT.format(**found) if found["short"] else ""
    page = [HEAD.format(command=found["command"], warning=warning, machine=rows, tolerance=TOLERANCE)]
    for row in found["events"]:
        row["disk_share"] = row["disk_bytes"] / row["logical_bytes"]
    for name, (title, words, across, figures) in SECTIONS.items():
        page.append(f"\n## {title}\n\n{words.format(seconds=found['seconds'])}\n")
        page.append(f"\n![{title}](growth-{name}.svg)\n\n{table(found, name, across, figures)}")
        plots.lines(found, found[name], across, figures, out / f"growth-{name}.svg")
    (out / "growth.md").write_text("".join(page))


def table(found: dict, name: str, across: str, figures: list[tuple[str, str]]) -> str:
    rows = found[name]
    heading = [across.replace("_", " "), *(f"{row[across]:,}" for row in rows), "growth over the last step"]
    lines = ["| " + " | ".join(heading) + " |", "|---" + "|--:" * len(rows) + "|---|"]
    for key, title in figures:
        cells = [number(row[key]) for row in rows]
        told = growth(rows, across, key, judged=not found["short"])
        lines.append("| " + " | ".join([title, *cells, told]) + " |")
    return "\n".join(lines) + "\n"


def growth(rows: list[dict], across: str, key: str, judged: bool) -> str:
    if len(rows) < 2:
        return ""
    before, last = rows[-2], rows[-1]
    grown = last[key] / before[key]
    if key == "accepts_per_second":
        grown = 1 / grown
    if key in MAY_GROW:
        return f"{grown:.2f} ×"
    # log 1 is 0: a step that begins with one thing is counted from two.
    allowed = math.log(max(last[across], 2)) / math.log(max(before[across], 2))
    worse = judged and grown > allowed * TOLERANCE
    return f"{grown:.2f} ×, log n {allowed:.2f} ×" + (": **worse than log n**" if worse else "")


def number(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:,.4g} M"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
