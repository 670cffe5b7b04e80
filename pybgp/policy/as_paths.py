"""Conditions about the AS_PATH: by regular expression over its text, by a pattern of hops, and hop by hop.

AS numbers may be given as numbers, texts, ranges ("64512-65534"), or an `AsSet` of such.
"""

from __future__ import annotations

from collections.abc import Iterable

from pybgp.messages.attributes.as_path import AsPath, SegmentType
from pybgp.policy.condition import Condition
from pybgp.policy.regular import Regular
from pybgp.rib.route import Route

AsEntry = int | str
HIGHEST = 0xFFFFFFFF
MOST_HOPS_IN_A_PATTERN = 255


class AsSet:
    """AS numbers and ranges of them: `AsSet(65001, "64512-65534")`. 0 stands for "none". ValueError for bad ones."""

    def __init__(self, *entries: AsEntry | AsSet, name: str = "") -> None:
        if not entries:
            raise ValueError("a set of AS numbers needs at least one")
        self.name = name
        self.entries: tuple[AsEntry, ...] = ()
        self._single: set[int] = set()
        self._ranges: list[tuple[int, int]] = []
        for entry in entries:
            if isinstance(entry, AsSet):
                self.entries += (entry.name,) if entry.name else entry.entries
                self._single |= entry._single
                self._ranges += entry._ranges
                continue
            low, high = _range_of(entry)
            self.entries += (entry,)
            if low == high:
                self._single.add(low)
            else:
                self._ranges.append((low, high))

    def __contains__(self, asn: object) -> bool:
        if asn in self._single:
            return True
        return isinstance(asn, int) and any(low <= asn <= high for low, high in self._ranges)

    def __str__(self) -> str:
        return self.name or ", ".join(map(str, self.entries))

    def __repr__(self) -> str:
        return f"<AsSet {self}>"


def _range_of(entry: object) -> tuple[int, int]:
    if isinstance(entry, int) and not isinstance(entry, bool):
        low = high = entry
    else:
        texts = entry.split("-") if isinstance(entry, str) else []
        if len(texts) not in (1, 2) or not all(text.isascii() and text.isdecimal() for text in texts):
            raise ValueError(f'an AS number is 65001, or a range such as "64512-65534", not {entry!r}')
        low, high = int(texts[0]), int(texts[-1])
    if not 0 <= low <= high <= HIGHEST:
        raise ValueError(f"AS numbers are from 1 to {HIGHEST}, and ranges go up, not {entry!r}")
    return low, high


def as_path_matches(expression: str) -> Condition:
    """The text of the AS_PATH ("65001 65002 {65003,65004}") holds this regular expression, in which `_` is a space,
    a bracket, a comma, or either end: "^65001_" is what AS 65001 sends, "_65002$" what it originates, "^$" the own
    AS. `pybgp.policy.regular` has the language. ValueError for no expression."""
    compiled = Regular(expression)
    return Condition(lambda route: compiled.search(str(route.attributes.as_path)), f"AS_PATH matches {expression}")


def as_path_hops(pattern: str) -> Condition:
    """The AS_PATH, hop by hop from the nearest, is this: a number or a range is one hop, `?` any one, `*` any number
    of them: "65001 * 64512-65534". A hop that is a set is each of its members, whichever fits. ValueError."""
    wanted = tuple(map(_hop, pattern.split()))
    if len(wanted) > MOST_HOPS_IN_A_PATTERN:
        raise ValueError(f"a pattern has at most {MOST_HOPS_IN_A_PATTERN} hops, not {len(wanted)}")
    return Condition(lambda route: _fits(wanted, _hops(route.attributes.as_path)), f"AS_PATH by hop is {pattern}")


_ANY_NUMBER = None


def _hop(text: str) -> AsSet | None:
    if text == "*":
        return _ANY_NUMBER
    if text == "?":
        return AsSet(f"0-{HIGHEST}")
    try:
        return AsSet(text)
    except ValueError as error:
        raise ValueError(f"{error}; a pattern of hops has such, ? and *") from None


def _hops(path: AsPath) -> list[tuple[int, ...]]:
    """The hops, nearest first: of a sequence one a number, of a set all its numbers at once."""
    hops: list[tuple[int, ...]] = []
    for kind, asns in path.segments:
        if kind in (SegmentType.AS_SEQUENCE, SegmentType.AS_CONFED_SEQUENCE):
            hops += [(asn,) for asn in asns]
        else:
            hops.append(asns)
    return hops


def _fits(pattern: tuple[AsSet | None, ...], hops: list[tuple[int, ...]]) -> bool:
    """Positions of the pattern that can be reached, hop by hop: never more steps than the product of both."""
    reached = _beyond_stars(pattern, {0})
    for hop in hops:
        following = set()
        for position in reached:
            if position == len(pattern):
                continue
            wanted = pattern[position]
            if wanted is _ANY_NUMBER:
                following.add(position)
            elif any(asn in wanted for asn in hop):
                following.add(position + 1)
        if not following:
            return False
        reached = _beyond_stars(pattern, following)
    return len(pattern) in reached


def _beyond_stars(pattern: tuple[AsSet | None, ...], positions: Iterable[int]) -> set[int]:
    found = set(positions)
    for position in sorted(found):
        while position < len(pattern) and pattern[position] is _ANY_NUMBER:
            position += 1
            found.add(position)
    return found


def as_path_has(*asns: AsEntry | AsSet) -> Condition:
    """One of these ASes is somewhere in the AS_PATH."""
    wanted = AsSet(*asns)
    if len(asns) == 1 and isinstance(asns[0], int):  # mostly without building the path
        asn = asns[0]
        return Condition(lambda route: route.attributes.count_as(asn) > 0, f"AS {asn} in the AS_PATH")
    return Condition(
        lambda route: any(asn in wanted for asn in route.attributes.as_path), f"AS {wanted} in the AS_PATH"
    )


def as_path_through(*asns: AsEntry | AsSet) -> Condition:
    """One of these ASes gave transit: it is in the AS_PATH and did not originate the route. (The neighbour is one.)"""
    wanted = AsSet(*asns)

    def transit(route: Route) -> bool:
        hops = _hops(route.attributes.as_path)
        origin = hops[-1] if hops else ()
        return any(asn in wanted and asn not in origin for hop in hops[:-1] for asn in hop)

    return Condition(transit, f"through AS {wanted}")


def as_path_length(*, ge: int = 0, le: int | None = None) -> Condition:
    """The length of the AS_PATH, as the decision process counts it, is in this range."""
    if ge < 0 or (le is not None and le < ge):
        raise ValueError(f"as_path_length: from {ge} to {le} is no range")
    return Condition(
        lambda route: ge <= route.attributes.as_path_length and (le is None or route.attributes.as_path_length <= le),
        f"AS_PATH length from {ge}" + ("" if le is None else f" to {le}"),
    )


def as_path_repeats(times: int) -> Condition:
    """Some AS is in the AS_PATH this often in a row, or oftener: somebody prepends much."""
    if times < 2:
        raise ValueError(f"as_path_repeats: at least 2 times, not {times}")

    def repeats(route: Route) -> bool:
        run, last = 0, 0
        for asn in route.attributes.as_path:
            run, last = (run + 1 if asn == last else 1), asn
            if run >= times:
                return True
        return False

    return Condition(repeats, f"an AS {times} times in a row")


def neighbor_as(*asns: AsEntry | AsSet) -> Condition:
    """The first AS of the AS_PATH is one of these; 0 is a route from the local AS."""
    wanted = AsSet(*asns)
    return Condition(lambda route: route.attributes.neighbor_as in wanted, f"neighboring AS {wanted}")


def origin_as(*asns: AsEntry | AsSet) -> Condition:
    """The last AS of the AS_PATH, where the route comes from, is one of these; 0 is the local AS (or a set)."""
    wanted = AsSet(*asns)
    return Condition(lambda route: route.attributes.as_path.origin_as in wanted, f"origin AS {wanted}")
