"""Plots as PNG and SVG, for people who see them for the first time. Needs matplotlib, which is only asked for here.

python -m benchmarks.plots [FILE]     docs/performance-*.png and .svg, from what `--measure` has written
python -m benchmarks.plots --measure  measures first, which takes a quarter of an hour
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
ROWS = DOCS / "performance.jsonl"
COLOURS = {
    "pybgp": "tab:red",
    "bird2": "tab:blue",
    "bird1": "tab:cyan",
    "frr": "tab:green",
    "openbgpd": "tab:orange",
    "gobgp": "tab:purple",
    "exabgp": "tab:brown",
}
OTHERS = ("tab:blue", "tab:orange", "tab:green")
SHORT, LONG = "pybgp,bird2,frr,openbgpd,gobgp,exabgp", "pybgp,bird2,frr,openbgpd"
RUNS = (
    *(["ingest", "--routes", str(count), "--rounds", "3", "--peers", SHORT] for count in (1_000, 10_000)),
    ["ingest", "--routes", "100000", "--rounds", "1", "--peers", SHORT],
    ["ingest", "--routes", "1000000", "--rounds", "1", "--peers", LONG],
    ["mesh", "--nodes", "2,4,8,16,32", "--rounds", "1", "--peers", "pybgp,bird2,frr"],
)


@dataclass(frozen=True)
class Series:
    """Measured points. `growth`, a fitted law as text and as a function of the size, is drawn in place of a line
    through the points."""

    name: str
    sizes: Sequence[float]
    values: Sequence[float]
    growth: Callable[[float], float] | None = None
    law: str = ""


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    series: Sequence[Series]
    across: str = "nodes"


def draw(title: str, panels: Sequence[Panel], target: Path) -> list[Path]:
    """Write `target` with the endings .png and .svg. Both axes are logarithmic: a power of N is a straight line."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "pybgp"  # the same figures, the same file
    matplotlib.rcParams["svg.fonttype"] = "none"
    plots: Any = importlib.import_module("matplotlib.pyplot")
    rows = -(-len(panels) // 2)
    figure, places = plots.subplots(rows, 2, figsize=(11, 3.9 * rows), squeeze=False)
    for at, panel in enumerate(panels):
        _panel(places[at // 2][at % 2], panel)
    for at in range(len(panels), 2 * rows):
        places[at // 2][at % 2].axis("off")
    figure.suptitle(title)
    figure.tight_layout()
    written = []
    for ending, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        written.append(target.with_suffix(ending))
        figure.savefig(written[-1], metadata=metadata, dpi=110)
    plots.close(figure)
    svg = written[-1]
    svg.write_text("\n".join(line.rstrip() for line in svg.read_text().splitlines()) + "\n")
    return written


def _panel(axes: Any, panel: Panel) -> None:
    for at, series in enumerate(panel.series):
        colour = COLOURS.get(series.name) or OTHERS[at % len(OTHERS)]
        if series.growth is None:
            width = 2.4 if series.name == "pybgp" else 1.2
            axes.plot(series.sizes, series.values, "o-", color=colour, linewidth=width, markersize=4, label=series.name)
            continue
        axes.plot(series.sizes, series.values, "o", color=colour, label=series.name)
        low, high = min(series.sizes), max(series.sizes)
        steps = [low * (high / low) ** (step / 20) for step in range(21)]
        axes.plot(steps, [series.growth(size) for size in steps], "--", color=colour, linewidth=1, label=series.law)
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = sorted({size for series in panel.series for size in series.sizes})
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks], rotation=45, fontsize=8)
    ticker: Any = importlib.import_module("matplotlib.ticker")
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if _decades(panel) < 3 else (1,)))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.minorticks_off()
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.set_title(panel.title, fontsize=10)
    axes.set_xlabel(panel.across)
    axes.set_ylabel(panel.unit)
    axes.legend(fontsize=8)


def _decades(panel: Panel) -> float:
    values = [value for series in panel.series for value in series.values if value > 0]
    return math.log10(max(values) / min(values)) if values else 0.0


def speakers(rows: Sequence[Mapping[str, Any]], job: str, value: str, scale: float = 1.0) -> list[Series]:
    """One series for each speaker that has the value at this job."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        median = row["medians"].get(value)
        if row["job"] == job and median is not None:
            found.setdefault(row["speaker"], {})[row["count"]] = scale * median
    return [Series(name, sorted(points), [points[size] for size in sorted(points)]) for name, points in found.items()]


def pages(rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    feeds = {"host": "/32s that share one attribute set", "inet": "Internet-like attributes"}
    routes = []
    for job, what in feeds.items():
        routes.append(
            Panel(f"{what}: announced to one, told to another", "seconds", speakers(rows, job, "announce"), "routes")
        )
        routes.append(Panel(f"{what}: memory", "octets a route", speakers(rows, job, "octets_a_route"), "routes"))
    for job, what in feeds.items():
        routes.append(Panel(f"{what}: withdrawn again", "seconds", speakers(rows, job, "withdraw"), "routes"))
    written = draw("From one neighbour to another: lower is better", routes, DOCS / "performance-routes")
    nodes = [
        Panel(
            "All nodes start at once, on one machine: until every kernel has all",
            "seconds",
            speakers(rows, "mesh", "start"),
        ),
        Panel("One node joins a standing mesh", "seconds", speakers(rows, "mesh", "join")),
    ]
    return written + draw("A full mesh, 64 routes a node: lower is better", nodes, DOCS / "performance-mesh")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=ROWS, help="rows of --json (default: docs/%(default)s)")
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    if options.measure:
        lines = []
        for name, *words in RUNS:
            print(f"== {name} {' '.join(words)}", file=sys.stderr)
            command = [sys.executable, "-m", f"benchmarks.{name}", *words, "--json"]
            lines.append(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        options.file.write_text("".join(lines))
    try:
        rows = [json.loads(line) for line in options.file.read_text().splitlines()]
    except OSError as error:
        print(f"{error}: measure first, with --measure", file=sys.stderr)
        return 1
    for path in pages(rows):
        print(f"written: {path.relative_to(DOCS.parent)}, {path.stat().st_size // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
