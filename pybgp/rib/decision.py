"""The decision process of RFC 4271 section 9.1, in its order, with the step that decided at hand.

Phase 1 (degree of preference) is LOCAL_PREF: of the path, or the default of 100. Phase 2 eliminates
candidates step by step (section 9.1.2.2 a to g, with RFC 4456 section 9 between f and g). MULTI_EXIT_DISC
is compared only among paths from the same neighboring AS, so there is no total order of paths: the steps
always look at the whole set, and the answer never depends on the order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

from pybgp.messages.attributes.communities import LLGR_STALE
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import format_address
from pybgp.rib.route import Path

DEFAULT_LOCAL_PREF = 100
ORIGIN_NAMES = ("IGP", "EGP", "INCOMPLETE")


class Step(IntEnum):
    """Where a path lost against the best one. A later step is a narrower defeat."""

    INELIGIBLE = 0  # 9.1.2: unresolvable next hop, AS loop; or import policy
    LLGR_STALE = 1  # RFC 9494 section 4.4
    LOCAL_PREF = 2  # 9.1.1
    AS_PATH_LENGTH = 3  # 9.1.2.2 a
    ORIGIN = 4  # 9.1.2.2 b
    MED = 5  # 9.1.2.2 c
    EBGP = 6  # 9.1.2.2 d
    INTERIOR_COST = 7  # 9.1.2.2 e
    BGP_IDENTIFIER = 8  # 9.1.2.2 f; the ORIGINATOR_ID instead where there is one (RFC 4456)
    CLUSTER_LIST = 9  # RFC 4456 section 9
    PEER_ADDRESS = 10  # 9.1.2.2 g
    PATH_ID = 11  # two paths of one peer (RFC 7911): only to be the same on every run


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRules:
    """What may be chosen about the decision process; the defaults are RFC 4271's.

    always_compare_med      MULTI_EXIT_DISC of different neighboring ASes is compared, too
    med_missing_as_worst    no MULTI_EXIT_DISC is the highest instead of the lowest one
    ignore_as_path_length   step a is left out
    compare_router_id       False: steps f and RFC 4456's are left out, and the peer's address decides
    multipath_relax_as_path     paths of equal cost are taken together whatever neighboring AS they lead to; without
                            it they have to lead to the same one

    MULTI_EXIT_DISC is always compared within the whole group of a neighboring AS: the outcome never depends on the
    order of arrival, so there is no switch for that.
    """

    always_compare_med: bool = False
    med_missing_as_worst: bool = False
    ignore_as_path_length: bool = False
    compare_router_id: bool = True
    multipath_relax_as_path: bool = True


PLAIN = DecisionRules()


def is_llgr_stale(attributes: PathAttributes) -> bool:
    """Whether a path is the last choice (RFC 9494 section 4.3)."""
    return b"\xff\xff\x00\x06" in attributes.block and LLGR_STALE in attributes.communities


def local_pref(path: Path) -> int:
    """Degree of preference (9.1.1)."""
    value = path.attributes.local_pref
    return DEFAULT_LOCAL_PREF if value is None else value


def med(path: Path) -> int:
    """MULTI_EXIT_DISC; a path without one has the lowest, which is the most preferred (9.1.2.2 c)."""
    return path.attributes.med or 0


def learned(path: Path) -> int:
    """0 own route, 1 external, 2 internal (9.1.2.2 d; an own route is nearer than any other)."""
    source = path.source
    return 0 if source.local else 2 if source.internal else 1


def identifier(path: Path) -> int:
    """The BGP Identifier that counts in step f (RFC 4456 section 9)."""
    originator = path.attributes.originator_id
    return path.source.bgp_identifier if originator is None else originator


_Measures = tuple[tuple[Step, Callable[[Path], object]], ...]

_LOWEST: _Measures = (
    (Step.LLGR_STALE, lambda path: is_llgr_stale(path.attributes)),
    (Step.LOCAL_PREF, lambda path: -local_pref(path)),
    (Step.AS_PATH_LENGTH, lambda path: path.attributes.as_path_length),
    (Step.ORIGIN, lambda path: path.attributes.origin),
    (Step.MED, med),
    (Step.EBGP, learned),
    (Step.INTERIOR_COST, lambda path: path.cost),
    (Step.BGP_IDENTIFIER, identifier),
    (Step.CLUSTER_LIST, lambda path: path.attributes.cluster_list_length),
    (Step.PEER_ADDRESS, lambda path: (len(path.source.address), path.source.address)),
    (Step.PATH_ID, lambda path: path.path_id),
)


@cache
def _measures(rules: DecisionRules) -> _Measures:
    """The steps that these rules leave."""
    left: set[Step] = set()
    if rules.ignore_as_path_length:
        left.add(Step.AS_PATH_LENGTH)
    if not rules.compare_router_id:
        left |= {Step.BGP_IDENTIFIER, Step.CLUSTER_LIST}
    return tuple(row for row in _LOWEST if row[0] not in left)


def rank(paths: Iterable[Path], rules: DecisionRules = PLAIN) -> list[tuple[Path, Step | None]]:
    """The candidates best first, each with the step at which it was eliminated (None: the best one).

    Ineligible paths come last with `Step.INELIGIBLE`; if all are, the first has it too. Linear in the
    number of paths, but for the sorting of those that fell at the same step.
    """
    ineligible: list[Path] = []
    remaining: list[Path] = []
    for path in paths:
        (remaining if path.rejected is None else ineligible).append(path)
    lost: list[tuple[Path, Step | None]] = []
    _fell(lost, ineligible, Step.INELIGIBLE)
    for step, measure in _measures(rules):
        if len(remaining) < 2:
            break
        if step is Step.MED:
            kept = _lowest_med(remaining, rules)
        else:
            values = [measure(path) for path in remaining]
            lowest = min(values)  # type: ignore[type-var]
            kept = [path for path, value in zip(remaining, values, strict=True) if value == lowest]
        if len(kept) < len(remaining):
            survivors = set(kept)
            _fell(lost, [path for path in remaining if path not in survivors], step)
            remaining = kept
    lost.extend((path, None) for path in reversed(remaining))
    lost.reverse()
    return lost


_WORST_MED = 1 << 32


def _lowest_med(paths: list[Path], rules: DecisionRules) -> list[Path]:
    """9.1.2.2 c: of each neighboring AS only the paths with its lowest MED stay. Paths with no neighboring
    AS (originated in this one) are of one neighbor: the local AS."""

    def group(path: Path) -> int:
        return 0 if rules.always_compare_med else path.attributes.neighbor_as

    def value(path: Path) -> int:
        return _WORST_MED if rules.med_missing_as_worst and path.attributes.med is None else med(path)

    lowest: dict[int, int] = {}
    for path in paths:
        key, metric = group(path), value(path)
        if metric < lowest.get(key, metric + 1):
            lowest[key] = metric
    return [path for path in paths if value(path) == lowest[group(path)]]


def _fell(lost: list[tuple[Path, Step | None]], paths: list[Path], step: Step) -> None:
    """Add those that fell at a step, worst first, in an order that no order of arrival can change."""
    if len(paths) > 1:
        paths.sort(key=lambda path: tuple(measure(path) for _, measure in _LOWEST), reverse=True)
    lost.extend((path, step) for path in paths)


def best_first(paths: Sequence[Path], rules: DecisionRules = PLAIN) -> tuple[Path, ...]:
    """The candidates in the order of `rank`."""
    if len(paths) == 2 and rules is PLAIN:
        first, second = paths
        return (second, first) if _second_wins(first, second) else (first, second)
    return tuple(path for path, _ in rank(paths, rules))


def _second_wins(first: Path, second: Path) -> bool:
    """The same steps for the commonest case, two candidates, without making lists."""
    if first.rejected is not None or second.rejected is not None:
        if (first.rejected is None) != (second.rejected is None):
            return second.rejected is None
        return rank((first, second))[0][0] is second
    a, b = first.attributes, second.attributes
    stale = is_llgr_stale(a)
    if stale != is_llgr_stale(b):
        return stale
    if a.local_pref != b.local_pref:
        ours, theirs = local_pref(first), local_pref(second)
        if ours != theirs:
            return theirs > ours
    if a.as_path_length != b.as_path_length:
        return b.as_path_length < a.as_path_length
    if a.origin != b.origin:
        return b.origin < a.origin
    if a.neighbor_as == b.neighbor_as and a.med != b.med:
        ours, theirs = med(first), med(second)
        if ours != theirs:
            return theirs < ours
    return _tie_break(second) < _tie_break(first)


def _tie_break(path: Path) -> tuple[int, int, int, int, int, bytes, int]:
    source = path.source
    return (
        learned(path),
        path.cost,
        identifier(path),
        path.attributes.cluster_list_length,
        len(source.address),
        source.address,
        path.path_id,
    )


def multipath(paths: Sequence[Path], limit: int, rules: DecisionRules = PLAIN) -> tuple[Path, ...]:
    """The best path and, up to `limit` in all, those equal to it up to and including the interior cost
    (step e), best first. Empty when no path may be used."""
    chosen: list[Path] = []
    for path, step in rank(paths, rules):
        if len(chosen) == limit or (step is not None and step <= Step.INTERIOR_COST):
            break
        another = chosen and path.attributes.neighbor_as != chosen[0].attributes.neighbor_as
        if another and not rules.multipath_relax_as_path:
            continue
        chosen.append(path)
    return tuple(chosen)


def reason(path: Path, step: Step | None, best: Path) -> str:
    """Why a path lost at a step against the best, or why the best is the best, in words."""
    if step is None:
        return "best path"
    if step is Step.INELIGIBLE:
        return path.rejected or "not eligible"
    return _REASONS[step](path, best)


def _identifier_text(path: Path) -> str:
    return format_address(identifier(path).to_bytes(4, "big"))


def _learned_text(path: Path) -> str:
    return ("own route", "learned by eBGP", "learned by iBGP")[learned(path)]


_REASONS: dict[Step, Callable[[Path, Path], str]] = {
    Step.LLGR_STALE: lambda _path, _best: "stale for long (LLGR_STALE), the best is not",
    Step.LOCAL_PREF: lambda path, best: f"LOCAL_PREF {local_pref(path)} is lower than {local_pref(best)}",
    Step.AS_PATH_LENGTH: lambda path, best: (
        f"AS_PATH of {path.attributes.as_path_length} is longer than {best.attributes.as_path_length}"
    ),
    Step.ORIGIN: lambda path, best: (
        f"ORIGIN {ORIGIN_NAMES[path.attributes.origin]} loses to {ORIGIN_NAMES[best.attributes.origin]}"
    ),
    Step.MED: lambda path, best: (
        f"MED {med(path)} is not the lowest of neighboring AS {path.attributes.neighbor_as or 'local'}"
    ),
    Step.EBGP: lambda path, best: f"{_learned_text(path)}, the best is {_learned_text(best)}",
    Step.INTERIOR_COST: lambda path, best: f"interior cost {path.cost} is higher than {best.cost}",
    Step.BGP_IDENTIFIER: lambda path, best: (
        f"BGP Identifier {_identifier_text(path)} is higher than {_identifier_text(best)}"
    ),
    Step.CLUSTER_LIST: lambda path, best: (
        f"CLUSTER_LIST of {path.attributes.cluster_list_length} is longer than {best.attributes.cluster_list_length}"
    ),
    Step.PEER_ADDRESS: lambda path, best: f"address of {path.source.name} is higher than that of {best.source.name}",
    Step.PATH_ID: lambda path, best: f"path identifier {path.path_id} is higher than {best.path_id}",
}
