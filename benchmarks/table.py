"""Medians, spread and ratios of what was measured, as a table for people or JSON for programs."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Row:
    """All values of one speaker at one job, by the name of what was measured."""

    job: str
    speaker: str
    count: int
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, **measured: float) -> None:
        for name, value in measured.items():
            self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float | None:
        found = self.values.get(name)
        return statistics.median(found) if found else None


def seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.1f} ms"


def ratio(row: Row, rows: Sequence[Row], name: str, to: str) -> float | None:
    """The median against that of another speaker at the same job."""
    own = row.median(name)
    other = next(
        (one.median(name) for one in rows if (one.job, one.count, one.speaker) == (row.job, row.count, to)), None
    )
    return None if own is None or not other else own / other


def markdown(rows: Sequence[Row], names: Sequence[str], to: str, extra: Sequence[str] = ()) -> str:
    """Times of `names` with their spread and their ratio to `to`; `extra` are plain numbers."""
    head = ["job", "N", "speaker", "runs"]
    for name in names:
        head += [name, "min-max", f"vs {to}"]
    head += [name.replace("_", " ") for name in extra]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        runs = max((len(values) for values in row.values.values()), default=0)
        cells = [row.job, f"{row.count:,}", row.speaker, str(runs)]
        for name in names:
            values = row.values.get(name, [])
            times = ratio(row, rows, name, to)
            spread = f"{seconds(min(values))} - {seconds(max(values))}" if values else "-"
            cells += [seconds(row.median(name)), spread, "-" if times is None else f"{times:.2f}"]
        for name in extra:
            value = row.median(name)
            cells.append("-" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}")
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def percentiles(rows: Sequence[Row], names: Sequence[str], to: str) -> str:
    """For each of `names` the median, the 99th percentile and the worst, with the ratios of the first two."""
    head = ["job", "N", "speaker", "what", "events", "p50", "p99", "max", f"p50 vs {to}", f"p99 vs {to}"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        other = next((one for one in rows if (one.job, one.count, one.speaker) == (row.job, row.count, to)), None)
        for name in names:
            values = row.values.get(name)
            if not values:
                continue
            middle, far, worst = (percentile(values, part) for part in (50, 99, 100))
            cells = [row.job, f"{row.count:,}", row.speaker, name, str(len(values))]
            cells += [f"{1000 * value:.2f} ms" for value in (middle, far, worst)]
            reference = other.values.get(name) if other else None
            for value, part in ((middle, 50), (far, 99)):
                cells.append(f"{value / percentile(reference, part):.2f}" if reference else "-")
            lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` per cent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * part / 100) - 1)]


def as_json(rows: Sequence[Row], to: str) -> str:
    """One object a line."""
    return "\n".join(
        json.dumps(
            {
                "job": row.job,
                "count": row.count,
                "speaker": row.speaker,
                "values": row.values,
                "medians": {name: row.median(name) for name in row.values},
                f"against_{to}": {name: ratio(row, rows, name, to) for name in row.values},
            }
        )
        for row in rows
    )
