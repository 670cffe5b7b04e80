"""Holds back what looks like an accident: a datastore that forgot all pools, most nodes, most workloads whose
interfaces are still on this host, or everything.

There was a cluster once whose Node keys vanished, and whose agents took the network down in good faith. Here
a mass deletion changes nothing for a while, loudly, so that somebody can put the keys back. Pure: `now` is
given.

Each class of resources is held for itself: what is missing stays as it was, what is there or comes anew
counts as always. A hold ends when all its keys are back, or when its time is up and the loss is believed. After
a restored backup there is always something that is gone rightly, such as a workload that ended meanwhile: when
nodes, pools and most of the rest are back and nothing more comes, what still lacks is believed sooner.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from .model import Kind, ResourceKey, WorkloadEndpoint
from .view import View

WINDOW = 10.0
"""Seconds: nodes that vanish one soon after the other count as vanished at once."""
FEWEST_NODES = 3
FEWEST_WORKLOADS = 3
AFTERMATH = 30.0
"""Seconds without a key that comes back, after which a datastore that was empty has all that it will get."""
EVERYTHING, POOLS, NODES = "everything", "all pools", "most nodes"
WORKLOADS = "most workloads, whose interfaces are here still,"
_KINDS = {POOLS: Kind.IP_POOL, NODES: Kind.NODE}
_KINDS_OF_A_CLUSTER = frozenset(_KINDS.values())

Keys = AbstractSet[ResourceKey]
Here = Callable[[WorkloadEndpoint], bool]
"""Whether the interface of a workload is on this host."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A deletion that is held back. `since` and `until` are on the clock that the guard is given, `lost` is how many
    keys were missing when most were."""

    what: str
    missing: frozenset[ResourceKey]
    since: float
    until: float
    lost: int = 0


@dataclass(slots=True)
class Verdict:
    """What to act upon, and which holds have just begun or ended."""

    view: View
    begun: list[Hold] = field(default_factory=list)
    undone: list[Hold] = field(default_factory=list)
    expired: list[Hold] = field(default_factory=list)


class Guard:
    """Between the datastore and everybody who acts on it.

    `hold_time` in seconds, 0 holds nothing back. `baseline` is what was believed before, by an earlier run.
    """

    def __init__(self, hold_time: float = 300.0, baseline: View | None = None) -> None:
        self._hold_time = hold_time
        self._view = baseline or View()
        self._holds: dict[str, Hold] = {}
        self._gone: dict[ResourceKey, float] = {}  # nodes whose deletion was believed lately, and when

    @property
    def view(self) -> View:
        """What is acted upon now."""
        return self._view

    @property
    def holds(self) -> tuple[Hold, ...]:
        """What is held back now."""
        return tuple(self._holds.values())

    def next_deadline(self) -> float | None:
        """When a hold runs out: call `check` again then."""
        everything = self._holds.get(EVERYTHING)  # while that lasts the others rest
        holds = self.holds if everything is None else (everything,)
        return min((hold.until for hold in holds), default=None)

    def check(self, seen: View, now: float, here: Here = lambda _: False) -> Verdict:
        """Judge what the datastore says now. Call it after each change, of interfaces too, and at the deadline."""
        verdict = Verdict(seen)
        kinds = self._view.tables.keys()
        changed = [kind for kind in kinds if self._view.table(kind) is not seen.table(kind)]
        missing = {key for kind in changed for key in self._view.table(kind).keys() - seen.table(kind).keys()}
        if self._held(EVERYTHING, missing, now, verdict, suspicious=seen.empty or self._nothing_left(seen)):
            for kind in kinds:
                _restore(verdict, self._view, kind)
        elif any(hold.what == EVERYTHING for hold in verdict.expired):
            verdict.expired += self._holds.values()
            self._holds.clear()
        else:
            self._check_class(POOLS, seen, now, verdict, suspicious=not seen.table(Kind.IP_POOL))
            self._check_class(NODES, seen, now, verdict, suspicious=self._too_many_nodes(seen, now))
            self._check_workloads(seen, now, verdict, here)
        self._remember(verdict.view, now)
        self._view = verdict.view
        return verdict

    def _nothing_left(self, seen: View) -> bool:
        """Whether nodes and pools were there and nothing of what was there is; others may have begun to write anew."""
        tables = self._view.tables
        return tables.keys() >= _KINDS_OF_A_CLUSTER and all(
            table.keys().isdisjoint(seen.table(kind)) for kind, table in tables.items()
        )

    def _check_class(self, what: str, seen: View, now: float, verdict: Verdict, *, suspicious: bool) -> None:
        kind = _KINDS[what]
        missing = self._view.table(kind).keys() - seen.table(kind).keys()
        if self._held(what, missing, now, verdict, suspicious=suspicious):
            _restore(verdict, self._view, kind)

    def _check_workloads(self, seen: View, now: float, verdict: Verdict, here: Here) -> None:
        """A workload that ends takes its interface along; one whose interface stays was not meant to go."""
        before, after = self._view.table(Kind.WORKLOAD_ENDPOINT), seen.table(Kind.WORKLOAD_ENDPOINT)
        if before is after and WORKLOADS not in self._holds:
            return
        gone = {key: before[key] for key in before.keys() - after.keys()}
        left = {key: one for key, one in gone.items() if isinstance(one, WorkloadEndpoint) and here(one)}
        suspicious = len(left) >= FEWEST_WORKLOADS and 2 * len(left) > len(before)
        if self._held(WORKLOADS, left.keys(), now, verdict, suspicious=suspicious):
            table = {**left, **verdict.view.table(Kind.WORKLOAD_ENDPOINT)}
            verdict.view = verdict.view.with_table(Kind.WORKLOAD_ENDPOINT, table)

    def _held(self, what: str, missing: Keys, now: float, verdict: Verdict, *, suspicious: bool) -> bool:
        hold = self._holds.get(what)
        if hold is None:
            if not (missing and suspicious and self._hold_time):
                return False
            hold = Hold(what, frozenset(missing), now, now + self._hold_time)
            verdict.begun.append(hold)
        elif not missing:
            verdict.undone.append(self._holds.pop(what))
            return False
        elif now >= hold.until:
            verdict.expired.append(self._holds.pop(what))
            return False
        if what == EVERYTHING:
            hold = self._coming_back(hold, missing, now)
        self._holds[what] = replace(hold, missing=frozenset(missing), lost=max(hold.lost, len(missing)))
        return True

    def _coming_back(self, hold: Hold, missing: Keys, now: float) -> Hold:
        """The hold of everything with its end brought forward, once nodes and pools and more than half of all are back;
        they may vanish again. Somebody who puts keys back by hand, kind by kind, has the whole time for it."""
        lacked, lacks = _lacks_cluster(hold.missing), _lacks_cluster(missing)
        if lacks and not lacked:
            return replace(hold, since=now, until=now + self._hold_time)
        if not lacks and hold.missing - missing and 2 * len(missing) < hold.lost:
            return replace(hold, until=min(hold.since + self._hold_time, now + AFTERMATH))
        return hold

    def _too_many_nodes(self, seen: View, now: float) -> bool:
        if seen.table(Kind.NODE) is self._view.table(Kind.NODE) and not self._gone:
            return False
        there = seen.table(Kind.NODE).keys()
        before = self._view.table(Kind.NODE).keys() | {key for key, when in self._gone.items() if now - when < WINDOW}
        lost = len(before - there)
        return lost >= FEWEST_NODES and 2 * lost > len(before)

    def _remember(self, view: View, now: float) -> None:
        if view.table(Kind.NODE) is self._view.table(Kind.NODE) and not self._gone:
            return
        there = view.table(Kind.NODE).keys()
        for key in self._view.table(Kind.NODE).keys() - there:
            self._gone[key] = now
        self._gone = {k: when for k, when in self._gone.items() if now - when < WINDOW and k not in there}


def _lacks_cluster(missing: Keys) -> bool:
    """Whether there are nodes or pools among the keys."""
    return any(key.kind in _KINDS.values() for key in missing)


def _restore(verdict: Verdict, held: View, kind: Kind) -> None:
    """Put back what `held` has beyond what is seen."""
    table = {**held.table(kind), **verdict.view.table(kind)}
    verdict.view = verdict.view.with_table(kind, table)
