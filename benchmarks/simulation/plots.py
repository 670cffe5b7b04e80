"""The plots of docs/scale.md, as PNG and SVG. Needs matplotlib, which is only asked for here."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.simulation.growth import Growth

COLOURS = ("tab:blue", "tab:orange", "tab:green")


@dataclass(frozen=True)
class Series:
    """Measured points, and the growth that was fitted to them."""

    name: str
    sizes: Sequence[float]
    values: Sequence[float]
    growth: Growth | None


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    series: Sequence[Series]


def draw(title: str, panels: Sequence[Panel], target: Path) -> list[Path]:
    """Write `target` with the endings .png and .svg. Both axes are logarithmic: a power of N is a straight line."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "pybgp"  # the same figures, the same file
    plots: Any = importlib.import_module("matplotlib.pyplot")
    rows = -(-len(panels) // 2)
    figure, places = plots.subplots(rows, 2, figsize=(11, 3.9 * rows), squeeze=False)
    for at, panel in enumerate(panels):
        axes = places[at // 2][at % 2]
        for colour, series in zip(COLOURS, panel.series, strict=False):
            axes.plot(series.sizes, series.values, "o", color=colour, label=series.name)
            if series.growth is not None:
                low, high = min(series.sizes), max(series.sizes)
                steps = [low * (high / low) ** (step / 60) for step in range(61)]
                values = [series.growth.at(size) for size in steps]
                axes.plot(steps, values, "--", color=colour, linewidth=1, label=str(series.growth))
        axes.set_xscale("log")
        axes.set_yscale("log")
        ticks = sorted({size for series in panel.series for size in series.sizes})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], rotation=45, fontsize=8)
        axes.minorticks_off()
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.set_title(panel.title)
        axes.set_xlabel("nodes")
        axes.set_ylabel(panel.unit)
        axes.legend(fontsize=8)
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
