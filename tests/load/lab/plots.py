"""The plots, as SVG. The same figures give the same bytes, so that a page's history shows only what changed."""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "hookyard"
matplotlib.rcParams["svg.fonttype"] = "none"
matplotlib.rcParams["font.size"] = 9

from matplotlib import pyplot  # noqa: E402

from lab.targets import Medians  # noqa: E402


def save(figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def warn_if_short(figure, found: dict) -> None:
    if found["short"]:
        figure.suptitle("short run: for the form, not the figures", color="firebrick")


def benchmarks(found: dict, path: Path) -> None:
    """Rate and p50 of every contender by connections, both on logarithmic axes."""
    m = Medians(found)
    figure, (rates, latencies) = pyplot.subplots(1, 2, figsize=(11, 4.6))
    for key, name in found["names"].items():
        counts = [int(count) for count in found["cells"][key]]
        width = 2.5 if key == "hookyard" else 1.2
        rates.plot(counts, [m.rate(key, n) for n in counts], marker="o", linewidth=width, label=name)
        latencies.plot(counts, [m.p50(key, n) / 1000 for n in counts], marker="o", linewidth=width)
    for axes, title in ((rates, "answers a second"), (latencies, "p50, ms")):
        axes.set(xscale="log", yscale="log", title=title, xlabel="connections")
        axes.set_xticks(counts, [str(count) for count in counts], minor=False)
        axes.minorticks_off()
        axes.grid(True, which="both", alpha=0.25)
    warn_if_short(figure, found)
    figure.legend(loc="lower center", ncols=2, bbox_to_anchor=(0.5, 0), fontsize=8)
    figure.tight_layout(rect=(0, 0.22, 1, 1))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def lines(found: dict, rows: list[dict], across: str, figures: list[tuple[str, str]], path: Path) -> None:
    """One small plot a figure, over `across` on a logarithmic axis."""
    columns = 3
    high = -(-len(figures) // columns)
    figure, grid = pyplot.subplots(high, columns, figsize=(11, 3.1 * high), squeeze=False)
    for axes, (key, title) in zip(grid.flat, figures):
        points = [(row[across], row[key]) for row in rows if row.get(key) is not None]
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=3)
        axes.set(xscale="log", title=title, xlabel=across.replace("_", " "))
        axes.set_ylim(bottom=0)
        axes.grid(True, alpha=0.25)
    for axes in list(grid.flat)[len(figures) :]:
        axes.axis("off")
    warn_if_short(figure, found)
    save(figure, path)
