"""What a rule looks at: a test of one route, or of all the prefixes of a path in one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pybgp.prefix import NLRI
from pybgp.rib.route import Route

Each = Callable[[Route, Sequence[NLRI]], list[bool]]
"""The test of many prefixes of one path. The Route stands for any of them (its `nlri` may not be asked for)."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of a route. `per_path` says that it does not look at the prefix; `text` describes it; `each` is the same
    test for a batch, where there is a quicker way than one after the other. Combine conditions with `&`, `|`, `~`."""

    test: Callable[[Route], bool]
    text: str
    per_path: bool = True
    each: Each | None = None

    def __call__(self, route: Route) -> bool:
        return self.test(route)

    def among(self, route: Route, nlri: Sequence[NLRI]) -> list[bool]:
        """For which of the prefixes it holds; `route` has their attributes and no prefix of its own."""
        if self.per_path:
            return [self.test(route)] * len(nlri)
        if self.each is not None:
            return self.each(route, nlri)
        family, attributes, peer = route.family, route.attributes, route.peer
        return [self.test(Route.of(family, one, attributes, peer)) for one in nlri]

    def __and__(self, other: Condition) -> Condition:
        return Condition(
            lambda route: self.test(route) and other.test(route),
            f"({self.text} and {other.text})",
            self.per_path and other.per_path,
            lambda route, nlri: _both(self, other, route, nlri, when=True),
        )

    def __or__(self, other: Condition) -> Condition:
        return Condition(
            lambda route: self.test(route) or other.test(route),
            f"({self.text} or {other.text})",
            self.per_path and other.per_path,
            lambda route, nlri: _both(self, other, route, nlri, when=False),
        )

    def __invert__(self) -> Condition:
        return Condition(
            lambda route: not self.test(route),
            f"not {self.text}",
            self.per_path,
            lambda route, nlri: [not held for held in self.among(route, nlri)],
        )

    def __str__(self) -> str:
        return self.text


def _both(first: Condition, second: Condition, route: Route, nlri: Sequence[NLRI], *, when: bool) -> list[bool]:
    """The first, and the second only where that decides: where the first is `when`. The cheap one is asked first."""
    if second.per_path and not first.per_path:
        first, second = second, first
    if first.per_path and first.test(route) is not when:
        return [not when] * len(nlri)
    held = first.among(route, nlri)
    left = [one for one, holds in zip(nlri, held, strict=True) if holds is when]
    if not left:
        return held
    rest = iter(second.among(route, left))
    return [next(rest) if holds is when else holds for holds in held]


def where(test: Callable[[Route], bool], text: str = "", *, per_path: bool = False) -> Condition:
    """Any function of a route. `per_path` promises that it does not look at the prefix."""
    return Condition(lambda route: bool(test(route)), text or getattr(test, "__name__", "a function"), per_path)


def always() -> Condition:
    """Every route."""
    return Condition(lambda route: True, "any route")


def all_of(*conditions: Condition) -> Condition:
    """All of them hold; without any: always."""
    first, *others = conditions or (always(),)
    for other in others:
        first = first & other
    return first


def any_of(*conditions: Condition) -> Condition:
    """At least one of them holds. ValueError without any."""
    if not conditions:
        raise ValueError("any_of needs at least one condition")
    first, *others = conditions
    for other in others:
        first = first | other
    return first
