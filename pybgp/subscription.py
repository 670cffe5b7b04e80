"""Coalescing subscriptions: a slow reader skips middle states, never the last, in bounded memory.

A feed keeps, for each prefix that changed since the reader's last turn, what the reader knows of it. What
is true now is looked up when the reader comes. So it never holds more than one entry a prefix.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import islice

from pybgp.events import PeerEvent
from pybgp.family import Family
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.pacing import PREFIXES
from pybgp.prefix import NLRI
from pybgp.rib.route import Change, Delta, Entry, Path, Source, paths_of

Selected = Callable[[Family, Sequence[NLRI]], Sequence[Entry | None]]
EVENTS_KEPT = 4096


class PathView:
    """One selected path, for readers that program a FIB: shared by all prefixes of a batch."""

    __slots__ = ("attributes", "next_hop", "peer", "stale")

    def __init__(self, path: Path) -> None:
        self.attributes: PathAttributes = path.attributes
        self.next_hop: bytes = path.attributes.next_hop
        """4, 16 or 32 (global and link-local) octets; empty for a route of our own with next hop "self"."""
        self.peer: Source = path.source
        self.stale: bool = path.stale

    def __repr__(self) -> str:
        return f"<PathView {self.attributes.next_hop_text} from {self.peer.name}>"


class ChangeBatch:
    """Prefixes whose selection changed in the same way: `old` and `new` are the selected paths, best first
    (None: nothing). Iterating gives a `Change` for each prefix."""

    __slots__ = ("_delta", "new", "old")

    def __init__(self, delta: Delta) -> None:
        self._delta = delta
        self.old = _views(delta.old)
        self.new = _views(delta.new)

    @property
    def family(self) -> Family:
        return self._delta.family

    @property
    def nlri(self) -> list[NLRI]:
        return self._delta.nlri

    def __len__(self) -> int:
        return len(self._delta.nlri)

    def __iter__(self) -> Iterator[Change]:
        return Change.each(self._delta)

    def __repr__(self) -> str:
        return f"<ChangeBatch of {len(self)} {self.family} prefixes: {self.old} -> {self.new}>"


def _views(entry: Entry | None) -> tuple[PathView, ...] | None:
    return None if entry is None else tuple(map(PathView, paths_of(entry)))


class RouteFeed:
    """What one reader has still to hear. Pure: no event loop in here."""

    __slots__ = ("_pending", "_selected", "primed")

    def __init__(self, selected: Selected) -> None:
        self._selected = selected
        self._pending: dict[Family, dict[NLRI, Entry | None]] = {}
        self.primed = False

    def apply(self, delta: Delta) -> None:
        """The selection of some prefixes changed."""
        pending = self._pending.setdefault(delta.family, {})
        known = delta.old if self.primed else None  # not primed: the reader has heard nothing yet
        if pending.keys().isdisjoint(delta.nlri):
            pending.update(dict.fromkeys(delta.nlri, known))
        else:
            for nlri in delta.nlri:
                pending.setdefault(nlri, known)

    def add_snapshot(self, family: Family, nlri: Sequence[NLRI]) -> None:
        """Before `primed`: destinations that were there when the reader came."""
        pending = self._pending.setdefault(family, {})
        for destination in nlri:
            pending.setdefault(destination, None)

    @property
    def all_told(self) -> bool:
        """Whether the reader has heard the whole snapshot and every change."""
        return self.primed and not any(self._pending.values())

    def take(self, limit: int = PREFIXES) -> list[Delta]:
        """Up to `limit` prefixes: (what the reader knew, what is true now), grouped. [] when all is told."""
        while self.primed:
            family, pending = next(((f, p) for f, p in self._pending.items() if p), (None, None))
            if family is None or pending is None:
                return []
            if len(pending) <= limit:
                chunk, self._pending[family] = pending, {}
            else:
                chunk = dict(islice(pending.items(), limit))
                for nlri in chunk:
                    del pending[nlri]
            keys, known = list(chunk), list(chunk.values())
            news = self._selected(family, keys)
            if len(set(map(id, known))) == 1 == len(set(map(id, news))):  # as it mostly is
                groups = {(known[0], news[0]): keys}
            else:
                groups = {}
                for nlri, old, new in zip(keys, known, news, strict=True):
                    if new is not old:
                        groups.setdefault((old, new), []).append(nlri)
            deltas = [Delta(family, nlri, old, new) for (old, new), nlri in groups.items() if differs(old, new)]
            if deltas:
                return deltas
        return []


def differs(old: Entry | None, new: Entry | None) -> bool:
    """False when a reader could not tell the two selections apart."""
    before, after = paths_of(old), paths_of(new)
    return len(before) != len(after) or not all(map(Path.same_route, before, after))


class _Subscription:
    """The waiting half, shared by all kinds of readers."""

    def __init__(self) -> None:
        self._wake: asyncio.Future[None] | None = None
        self._closed = False

    def close(self) -> None:
        """End the reader's loop once it has read what there was."""
        self._closed = True
        self.wake()

    def wake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _wait(self) -> None:
        if self._closed:
            raise StopAsyncIteration
        if self._wake is not None:
            raise RuntimeError("only one task at a time may read a subscription; make one for each reader")
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None


class Batches(_Subscription, AsyncIterator[Sequence[ChangeBatch]]):
    """`async for batch_list in speaker.batches()`: changes grouped by the paths that they share."""

    def __init__(self, feed: RouteFeed) -> None:
        super().__init__()
        self.feed = feed

    def apply(self, delta: Delta) -> None:
        self.feed.apply(delta)
        if self.feed.primed:
            self.wake()

    def add_snapshot(self, family: Family, nlri: Sequence[NLRI]) -> None:
        self.feed.add_snapshot(family, nlri)

    def prime(self) -> None:
        """The snapshot is complete: let the reader begin."""
        self.feed.primed = True
        self.wake()

    @property
    def all_read(self) -> bool:
        """Whether the snapshot is complete, and nothing is left to be read now."""
        return self.feed.all_told

    async def __anext__(self) -> Sequence[ChangeBatch]:
        return [ChangeBatch(delta) for delta in await self.deltas()]

    async def deltas(self) -> list[Delta]:
        await asyncio.sleep(0)  # a reader that finds always more shall not starve the sessions
        while not (deltas := self.feed.take()):
            await self._wait()
        return deltas


class Routes(AsyncIterator[Change]):
    """`async for change in speaker.routes()`: one `Change` for each prefix."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._changes: Iterator[Change] = iter(())

    async def __anext__(self) -> Change:
        while True:
            change = next(self._changes, None)
            if change is not None:
                return change
            deltas = await self._batches.deltas()
            self._changes = iter([change for delta in deltas for change in Change.each(delta)])

    def close(self) -> None:
        self._batches.close()


class Events(_Subscription, AsyncIterator[PeerEvent]):
    """`async for event in speaker.events()`. Events cannot be merged; a reader who falls more than 4096
    behind gets one of kind "lost" that says how many are missing, and then the newest."""

    def __init__(self) -> None:
        super().__init__()
        self._queue: deque[PeerEvent] = deque()
        self._missed = 0

    def put(self, event: PeerEvent) -> None:
        if len(self._queue) >= EVENTS_KEPT:
            self._queue.popleft()
            self._missed += 1
        self._queue.append(event)
        self.wake()

    async def __anext__(self) -> PeerEvent:
        while not self._queue:
            await self._wait()
        if self._missed:
            missed, self._missed = self._missed, 0
            return PeerEvent("lost", "", f"{missed} earlier events were not read in time")
        return self._queue.popleft()
