"""The Loc-RIBs of a speaker, who hears of their changes, and the long work on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol
from weakref import WeakSet

from pybgp.family import Family
from pybgp.jobs import Failure, Jobs
from pybgp.prefix import NLRI
from pybgp.rib.adj_rib_out import AdjRibOut
from pybgp.rib.decision import PLAIN, DecisionRules
from pybgp.rib.loc_rib import LocRib
from pybgp.rib.route import Delta, Entry

Sink = Callable[[Delta], None]
Watcher = Callable[[list[NLRI], Entry | None], None]
"""Hears of all candidates of prefixes whenever one of them changes."""


class Reader(Protocol):
    """A subscription: hears of every family. It is forgotten with its last other reference."""

    def apply(self, delta: Delta) -> None: ...

    def add_snapshot(self, family: Family, nlri: Sequence[NLRI]) -> None: ...

    def prime(self) -> None: ...


class Tables:
    """One `LocRib` a family, made when first asked for.

    Whoever wants to hear of changes gives a sink; `outgoing` collects the owners of sinks who may have
    something to send now. Work on whole tables is queued with `later` and done by `step` in slices.
    """

    def __init__(self, *, multipath: int, failed: Failure, rules: DecisionRules = PLAIN) -> None:
        self.outgoing: set[object] = set()
        self.jobs = Jobs(failed)
        self._multipath = multipath
        self._rules = rules
        self._ribs: dict[Family, LocRib] = {}
        self._sinks: dict[Family, dict[object, Sink]] = {}
        self._watchers: dict[Family, dict[object, Watcher]] = {}
        self._outs: dict[Family, dict[object, AdjRibOut]] = {}
        self._keepers: dict[Family, int] = {}  # jobs for which all of these are kept
        self._readers: WeakSet[Reader] = WeakSet()

    def __iter__(self) -> Iterator[LocRib]:
        return iter(list(self._ribs.values()))

    def loc_rib(self, family: Family) -> LocRib:
        rib = self._ribs.get(family)
        if rib is None:
            rib = self._ribs[family] = LocRib(family, multipath=self._multipath, rules=self._rules)
        return rib

    def selections(self, family: Family, nlri: Sequence[NLRI]) -> list[Entry | None]:
        """What is selected for each of these."""
        rib = self._ribs.get(family)
        return [None] * len(nlri) if rib is None else rib.selections(nlri)

    # who hears

    def listen(self, family: Family, owner: object, sink: Sink) -> None:
        """Hear of every change of the selection; `ignore` ends it."""
        self._sinks.setdefault(family, {})[owner] = sink

    def join(self, family: Family, owner: object, out: AdjRibOut) -> None:
        """This one is concerned by `reconsider_telling`; `ignore` ends it."""
        out.kept += self._keepers.get(family, 0)
        self._outs.setdefault(family, {})[owner] = out

    def ignore(self, family: Family, owner: object) -> None:
        self._outs.get(family, {}).pop(owner, None)
        self._sinks.get(family, {}).pop(owner, None)
        watchers = self._watchers.get(family)
        if watchers is not None and watchers.pop(owner, None) is not None and not watchers:
            self.loc_rib(family).watch = None

    def watch(self, family: Family, owner: object, watcher: Watcher) -> None:
        """Hear of the candidates instead of the selection; `ignore` ends it."""
        watchers = self._watchers.setdefault(family, {})
        watchers[owner] = watcher

        def spread(nlri: list[NLRI], entry: Entry | None) -> None:
            for one in watchers.values():
                one(nlri, entry)
            self.outgoing.update(watchers)

        self.loc_rib(family).watch = spread

    def subscribe(self, reader: Reader, *, snapshot: bool) -> None:
        """From now on; with `snapshot` also of what is there already, collected in slices."""
        self._readers.add(reader)
        if snapshot and any(self._ribs.values()):
            self.jobs.add(reader, self._prime(reader))
        else:
            reader.prime()

    @property
    def has_readers(self) -> bool:
        """Whether anybody wants to know what was selected before a change."""
        return len(self._readers) > 0

    def _prime(self, reader: Reader) -> Iterator[None]:
        for rib in self:
            for deltas in rib.snapshot():
                for delta in deltas:
                    reader.add_snapshot(delta.family, delta.nlri)
                yield
        reader.prime()

    def distribute(self, deltas: Sequence[Delta]) -> None:
        """Tell everybody."""
        for reader in tuple(self._readers) if deltas and self._readers else ():
            for delta in deltas:
                reader.apply(delta)
        for delta in deltas:
            sinks = self._sinks.get(delta.family)
            if sinks:
                for sink in sinks.values():
                    sink(delta)
                self.outgoing.update(sinks)

    def reconsider_telling(
        self, family: Family, change: Callable[[], None], slices: Iterable[list[Delta]]
    ) -> Iterator[list[Delta]]:
        """Something changes that every export may look at. What the neighbours hold is kept before that, in slices;
        then all answers are forgotten, and the given slices say what is to be judged anew."""
        outs = self._outs.setdefault(family, {})
        self._keepers[family] = self._keepers.get(family, 0) + 1
        for out in outs.values():
            out.kept += 1
        try:
            while (unknown := next((out for out in outs.values() if out.sent is None), None)) is not None:
                for _ in unknown.keep():
                    yield []
            change()
            for out in outs.values():
                out.export.forget()
            yield from slices
        finally:
            self._keepers[family] -= 1
            for out in outs.values():
                out.release()

    # long work

    def later(self, owner: object, slices: Iterable[list[Delta]], then: Callable[[], None] | None = None) -> None:
        """Work through slices, telling everybody what each changed; `then` runs once after the last."""
        self.jobs.add(owner, self._spread(slices, then))

    def _spread(self, slices: Iterable[list[Delta]], then: Callable[[], None] | None) -> Iterator[None]:
        for deltas in slices:
            self.distribute(deltas)
            yield
        if then is not None:
            then()
