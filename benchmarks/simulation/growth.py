"""With which power of N a quantity grows: the slope between sizes, and the parts of a sum of 1, N, N² and N³."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

POWERS = (0, 1, 2, 3)
GOOD = 0.03  # an error below which no other part is looked for: it would describe chance
WORTH = 0.7  # another part must take the error below so much of what it was without
NAMES = {0: "", 1: " N", 2: " N²", 3: " N³"}


@dataclass(frozen=True)
class Growth:
    """`parts` are factors by power, none negative; `error` the root of the mean square of the relative deviations;
    `slope` the exponent between the first and the last size, `last` that between the last two."""

    parts: dict[int, float]
    error: float
    slope: float
    last: float

    def at(self, size: float) -> float:
        return sum(factor * size**power for power, factor in self.parts.items())

    def share(self, power: int, size: float) -> float:
        """Of one part in the whole, at a size."""
        return self.parts.get(power, 0.0) * size**power / self.at(size)

    def __str__(self) -> str:
        ordered = sorted(self.parts.items(), reverse=True)
        return " + ".join(f"{_short(factor)}{NAMES[power]}" for power, factor in ordered)


def fit(sizes: Sequence[float], values: Sequence[float]) -> Growth:
    """The fewest parts that describe it, by least squares of the relative deviations: twice as large counts the
    same everywhere. Raises ValueError for fewer than two sizes, or for what is not above zero."""
    if len(sizes) != len(values) or len(set(sizes)) < 2 or min(*sizes, *values) <= 0:
        raise ValueError("a growth needs two sizes or more, and values above zero for them")
    best: tuple[float, dict[int, float]] | None = None
    for count in range(1, min(len(POWERS), len(sizes) - 1) + 1):
        tried = [_solve(sizes, values, powers) for powers in combinations(POWERS, count)]
        right = [one for one in tried if one is not None]
        if right:
            error, parts = min(right, key=lambda one: one[0])
            if best is None or (best[0] > GOOD and error < WORTH * best[0]):
                best = (error, parts)
    assert best is not None  # one part alone always has a factor above zero
    points = sorted(zip(sizes, values, strict=True))
    return Growth(best[1], best[0], _slope(points[0], points[-1]), _slope(points[-2], points[-1]))


def _slope(one: tuple[float, float], other: tuple[float, float]) -> float:
    return math.log(other[1] / one[1]) / math.log(other[0] / one[0])


def _solve(
    sizes: Sequence[float], values: Sequence[float], powers: Sequence[int]
) -> tuple[float, dict[int, float]] | None:
    """None where a factor is not above zero."""
    most, high = max(sizes), max(values)  # so that all numbers are of one size
    rows = [
        [(size / most) ** power * high / value for power in powers] for size, value in zip(sizes, values, strict=True)
    ]
    count = len(powers)
    normal = [
        [sum(row[one] * row[other] for row in rows) for other in range(count)] + [sum(row[one] for row in rows)]
        for one in range(count)
    ]
    for at in range(count):
        pivot = max(range(at, count), key=lambda row: abs(normal[row][at]))
        normal[at], normal[pivot] = normal[pivot], normal[at]
        if abs(normal[at][at]) < 1e-12:
            return None
        for row in range(count):
            if row != at:
                times = normal[row][at] / normal[at][at]
                normal[row] = [mine - times * theirs for mine, theirs in zip(normal[row], normal[at], strict=True)]
    factors = [normal[at][count] / normal[at][at] for at in range(count)]
    if min(factors) <= 0:
        return None
    misses = [sum(map(float.__mul__, row, factors)) - 1 for row in rows]
    error = math.sqrt(sum(miss * miss for miss in misses) / len(misses))
    return error, {power: factor * high / most**power for power, factor in zip(powers, factors, strict=True)}


def _short(factor: float) -> str:
    return f"{factor:,.0f}" if factor >= 100 else f"{factor:.3g}"
