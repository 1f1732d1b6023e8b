"""docs/benchmarks.md and its plot, from the figures of one run."""

from pathlib import Path
from statistics import median

from lab import data, plots
from lab.targets import SUSTAINED_SECONDS, Medians, targets

SHORT = """> **Short run: for the form, not the figures.** The cells below were measured for {seconds:g} s each, on a machine that
> may have done other work beside. They show what the command measures and how the page looks; nothing can be concluded from them.
"""

BRIEF = """> **{seconds:g} s a cell.** sled is allowed to fall behind the journal for the first seconds, and is brought up to date later:
> rates and latencies of a minute and more are lower. {minute}`tests/load/bench` without options measures a minute a cell.
"""

HEAD = """# Benchmarks

How many webhooks a second hookyard accepts, each on disk (`fdatasync`) before its 200, and how long each answer takes;
beside what else one could run, measured in the same run on the same machine. This page is written by

```sh
{command}
```

{warning}
| | |
|---|---|
{machine}
| fdatasync here | after an append of 4 KB: p50 {append_p50}, p99 {append_p99}; over preallocated blocks: p50 {over_p50}, p99 {over_p99} |
| measured | {rounds} round{s} of {seconds:g} s a cell, each with its own store, after {warm_up:g} s of warm-up; medians of the rounds |
| load | `hookyard-load` on the same cores: closed loop, events of 4 KB with their own ids, each freshly signed |

Every server shares the machine's cores with the generator; the rows without HTTP share them with nothing. The raw figures
are in [benchmarks.json](benchmarks.json). How cost grows with what is stored and configured: [growth.md](growth.md).

## Targets

| target | measured | |
|---|---|---|
{targets}

![accepts a second and p50 by connections](benchmarks.svg)
"""

TABLE = """
## {connections} connection{s}

| | accepts/s | × hookyard | p50 ms | p99 ms | p99.9 ms |
|---|--:|--:|--:|--:|--:|
{rows}
"""

NOTES = """
## What is measured

- **hookyard**: the daemon as shipped, one source, one rule, and a handler (`tests/plugins/done`) that is done at once, in a
  host process of its own, 64 calls at once (`concurrency`); events are routed, delivered and settled while more come in.
  In the second row no rule takes the events: they are stored and looked at, and nothing is delivered.
- **(a)** `hookyard-baseline log`: submitters in one process; one thread appends the bytes that the store writes for an
  event to a preallocated file, as many as are waiting (at most 256, and 256 KB), then one `fdatasync`, then the answers.
- **(b)** `hookyard-baseline http`: hyper reads the body and answers 200.
- **(c)** `hookyard-baseline sled`: like (a), but the rows that the store writes for an accepted event go into one sled tree as
  a batch, then `flush()`, then `fdatasync`. A test holds these rows against the store's own.
- **(d)** `tests/load/baselines`: FastAPI on uvicorn with uvloop and httptools, one worker a core, `stripe.Webhook.construct_event`.
  The second inserts into SQLite (WAL, synchronous=FULL) before it answers.
- **(e)** Debian's `webhook`: checks an HMAC-SHA256 of the body alone (it cannot check Stripe's, which is over time and body)
  and answers before `/bin/true`, which it starts for each request, has ended.

Latency is from the moment the request leaves until its answer is read, percentiles by HdrHistogram. A closed loop sends
less while the server is slow; `hookyard-load --rate` is the open loop, whose latencies count from the intended moment.
{failures}"""


def write(found: dict, out: Path) -> None:
    growth = out / "growth.json"
    page = [head(found, data.read(growth) if growth.exists() else None)]
    page += [table(found, connections) for connections in connection_counts(found)]
    page.append(NOTES.format(failures=failures(found)))
    (out / "benchmarks.md").write_text("".join(page))
    plots.benchmarks(found, out / "benchmarks.svg")


def head(found: dict, growth: dict | None) -> str:
    disk = lambda figure: millis(Medians(found).rounds("disk", figure)) + " ms"
    rows = [f"| {name} | {value} |" for name, value in found["machine"].items()]
    lines = [f"| {target.words} | {target.measured} | {target.verdict} |" for target in targets(found, growth)]
    return HEAD.format(
        command=found["command"],
        warning=warning(found),
        machine="\n".join(rows),
        append_p50=disk("append_fdatasync_us.p50"),
        append_p99=disk("append_fdatasync_us.p99"),
        over_p50=disk("overwrite_fdatasync_us.p50"),
        over_p99=disk("overwrite_fdatasync_us.p99"),
        rounds=found["rounds"],
        s=plural(found["rounds"]),
        seconds=found["seconds"],
        warm_up=found["seconds"] / 8,
        targets="\n".join(lines),
    )


def warning(found: dict) -> str:
    if found["short"]:
        return SHORT.format(**found)
    minute = "What a target says of a minute was measured for one. " if found.get("sustained") else ""
    return BRIEF.format(**found, minute=minute) if found["seconds"] < SUSTAINED_SECONDS else ""


def connection_counts(found: dict) -> list[int]:
    return [int(count) for count in next(iter(found["cells"].values()))]


def table(found: dict, connections: int) -> str:
    m = Medians(found)
    ours = m.rate("hookyard", connections)
    rows = []
    for key, name in found["names"].items():
        rate = m.rate(key, connections)
        cells = [f"{rate:,.0f}", f"{rate / ours:.2f}"]
        cells += [millis(m.of(key, connections, f"latency_us.{figure}")) for figure in ("p50", "p99", "p99_9")]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    rows += [f"| {package} | could not be installed | | | | |" for package in found["missing"]]
    return TABLE.format(connections=connections, s=plural(connections), rows="\n".join(rows))


def failures(found: dict) -> str:
    """Answers that were no 2xx, by contender: a fast server that refuses is not fast."""
    lines = []
    for key, cells in found["cells"].items():
        for connections, runs in cells.items():
            bad = median(refused(run) for run in runs)
            if bad:
                lines.append(f"- {found['names'][key]}, {connections} connections: {bad:,.0f} requests had no 2xx answer")
    return "\n## Requests that failed\n\n" + "\n".join(lines) + "\n" if lines else ""


def refused(run: dict) -> int:
    good = ("accepted", "duplicate", "ok")
    return sum(count for word, count in run.get("counts", {}).items() if word not in good)


def millis(micros: float) -> str:
    return f"{micros / 1000:.2f}"


def plural(count: int) -> str:
    return "" if count == 1 else "s"
