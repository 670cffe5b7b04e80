"""Adj-RIB-Out: what one peer was told for one family, and what it has yet to be told.

One pending slot a prefix: a withdraw takes the place of an announcement that has not gone out, and the other
way round, so a slow peer gets the newest state and never a history. The transport pulls (`drain`) while it
has room. Nothing is said twice, and nothing is withdrawn that was never said.
"""

from __future__ import annotations

from collections import deque
from itertools import compress, islice, repeat

from pybgp.family import Family
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import NLRI
from pybgp.rib.export import Export
from pybgp.rib.route import Delta, best_of

Outgoing = list[tuple[PathAttributes | None, list[NLRI]]]
"""Withdraws first (None), then prefixes grouped by attributes."""

_ABSENT: object = object()


class AdjRibOut:
    """`sent` is what the peer holds from us when all that was drained has arrived; `len()` of the object is
    the number of prefixes still to be told. A change of export policy: set `export`, then apply the Loc-RIB's
    `snapshot()`; what may no longer be told is withdrawn by it."""

    def __init__(self, family: Family, export: Export) -> None:
        self.family = family
        self.export = export
        self.sent: dict[NLRI, PathAttributes] = {}
        self._pending: dict[NLRI, PathAttributes | None] = {}  # None: withdraw
        # Order of arrival, in the lists that came. What counts is the slot in _pending: a key in a queue
        # without a slot, or whose slot has moved to the other kind, is passed over.
        self._reach = _Queue()
        self._unreach = _Queue()
        self.most: int | None = None  # more than so many the peer is never told of
        self.held: dict[NLRI, PathAttributes] = {}  # what is above, in order of arrival
        self._again: dict[NLRI, None] = {}  # what a refresh asked for and has not been drained since

    def __len__(self) -> int:
        return len(self._pending) + len(self._again)

    @property
    def pending(self) -> int:
        """Prefixes still to be told: 0 when the peer is up to date."""
        return len(self)

    def waits(self, nlri: NLRI) -> bool:
        """Whether something about a prefix has yet to be sent."""
        return nlri in self._pending or nlri in self._again

    def apply(self, delta: Delta) -> None:
        """Queue what the peer must be told after a change of the selection."""
        path = best_of(delta.new)
        if path is None:
            self.withdraw(delta.nlri)
            return
        for attributes, nlri in self.export.each(path, delta.nlri):
            if attributes is None:
                self.withdraw(nlri)
            else:
                self.announce(nlri, attributes)

    def announce(self, nlri: list[NLRI], attributes: PathAttributes) -> None:
        """Queue prefixes with the attributes as they shall go out. The list is kept: never change it."""
        pending, sent = self._pending, self.sent
        if sent and not sent.keys().isdisjoint(nlri):
            held = list(map(sent.get, nlri))
            news = [known is not attributes and known != attributes for known in held]
            if not all(news):
                for one, new in zip(nlri, news, strict=True):
                    if not new:
                        pending.pop(one, None)
                nlri = list(compress(nlri, news))
        if nlri:
            if self.held:
                deque(map(self.held.pop, nlri, repeat(None)), maxlen=0)
            pending.update(dict.fromkeys(nlri, attributes))
            self._reach.put(nlri, pending, wanted=True, attributes=attributes)

    def withdraw(self, nlri: list[NLRI]) -> None:
        """Queue a withdrawal of those that the peer holds; forget those that it was never told. The list is kept."""
        pending, sent = self._pending, self.sent
        if self.held:
            deque(map(self.held.pop, nlri, repeat(None)), maxlen=0)
        if not sent or sent.keys().isdisjoint(nlri):
            held = []
        elif all(map(sent.__contains__, nlri)):
            held = nlri
        else:
            held = [one for one in nlri if one in sent]
        if pending and len(held) < len(nlri):
            deque(map(pending.pop, nlri, repeat(None)), maxlen=0)
        if held:
            pending.update(dict.fromkeys(held, None))
            self._unreach.put(held, pending, wanted=False)

    def drain(self, limit: int, at_once: int = 0) -> Outgoing:
        """Take at most `limit` prefixes to be sent now: withdraws first, each group of announcements with
        one set of attributes. Costs what it takes, not what waits. Where all that waits is withdrawn, or has one set of
        attributes, up to `at_once` more are taken in one go."""
        out: Outgoing = []
        pending, sent = self._pending, self.sent
        gone: list[NLRI] = []
        while pending and len(gone) < limit:
            plain = not self._reach.keys and self._unreach.keys == len(pending)  # each queued once, and withdrawn
            batch = list(pending) if plain and len(pending) <= at_once else self._unreach.take(limit - len(gone))
            if not batch:
                break
            if not plain:
                batch = [one for one in batch if pending.get(one, _ABSENT) is None]
            if plain and len(batch) == len(pending):
                pending.clear()
            else:
                deque(map(pending.pop, batch), maxlen=0)
            gone += batch
        if gone:
            deque(map(sent.pop, gone, repeat(None)), maxlen=0)
            self._answered(gone)
            out.append((None, gone))
            limit = max(0, limit - len(gone))
        groups: dict[int, tuple[PathAttributes, list[NLRI]]] = {}
        if self.held:
            self._let_go()
        while pending and limit:
            # Each queued once and wanted: then what came as one list has one set of attributes still.
            whole = not self._unreach.keys and self._reach.keys == len(pending) and not self._reach.mixed
            if whole and self._reach.only is not None and len(pending) <= at_once and self.most is None:
                limit = max(0, limit - self._take_all(self._reach.only, groups))
                break
            batch = self._reach.take(limit)
            if not batch:
                break
            limit -= self._take_reach(batch, groups, whole=whole and self.most is None)
        while self._again and limit:
            one, _ = self._again.popitem()
            limit -= 1
            _group(groups, sent[one]).append(one)
        if not pending:
            self._reach.clear()
            self._unreach.clear()
        out.extend(groups.values())
        return out

    def unsent(self, nlri: list[NLRI]) -> None:
        """What was drained as news could not be said: the peer does not hold it."""
        deque(map(self.sent.pop, nlri, repeat(None)), maxlen=0)

    def refresh(self) -> None:
        """The peer asks for everything again (RFC 2918): all that it was told is sent once more, behind
        what is pending, as it is when its turn comes; what goes out as news before that is not repeated."""
        self._again = dict.fromkeys(self.sent)

    @property
    def refreshing(self) -> bool:
        """True until everything that a refresh asked for has been drained."""
        return bool(self._again)

    def reset(self) -> None:
        """The session is gone, and with it all that the peer held."""
        self.sent = {}
        self._pending = {}
        self._reach.clear()
        self._unreach.clear()
        self._again = {}
        self.held = {}

    # inside -----------------------------------------------------------------------------------

    def _let_go(self) -> None:
        """There may be room again for what was held back."""
        room = len(self.held) if self.most is None else max(0, self.most - len(self.sent))
        for one in list(islice(self.held, room)):
            attributes = self.held.pop(one)
            self._pending[one] = attributes
            self._reach.put([one], self._pending, wanted=True)

    def _hold_back(self, batch: list[NLRI]) -> list[NLRI]:
        """Those of a batch that there is room for; the others wait, and are not pending."""
        assert self.most is not None
        room = self.most - len(self.sent)
        fits: list[NLRI] = []
        for one in batch:
            if one in self.sent or self._pending.get(one) is None:
                fits.append(one)
            elif room > 0:
                room -= 1
                fits.append(one)
            else:
                attributes = self._pending.pop(one)
                assert attributes is not None
                self.held[one] = attributes
        return fits

    def _take_reach(
        self, batch: list[NLRI], groups: dict[int, tuple[PathAttributes, list[NLRI]]], *, whole: bool
    ) -> int:
        """Move a batch from pending to sent and into the groups; returns how many were taken. `whole`: all of it is
        wanted, with one set of attributes."""
        pending = self._pending
        if self.most is not None:
            batch = self._hold_back(batch)
            if not batch:
                return 0
        if whole and (first := pending[batch[0]]) is not None:
            if len(batch) == len(pending):
                pending.clear()
            else:
                deque(map(pending.pop, batch), maxlen=0)
            self.sent.update(dict.fromkeys(batch, first))
            self._answered(batch)
            _group(groups, first).extend(batch)
            return len(batch)
        values = list(map(pending.pop, batch, repeat(None)))
        kinds = set(map(id, values))
        first = values[0]
        if len(kinds) == 1 and first is not None:
            self.sent.update(dict.fromkeys(batch, first))
            self._answered(batch)
            _group(groups, first).extend(batch)
            return len(batch)
        taken = [one for one, attributes in zip(batch, values, strict=True) if attributes is not None]
        for one, attributes in zip(batch, values, strict=True):
            if attributes is not None:
                self.sent[one] = attributes
                _group(groups, attributes).append(one)
        self._answered(taken)
        return len(taken)

    def _take_all(self, attributes: PathAttributes, groups: dict[int, tuple[PathAttributes, list[NLRI]]]) -> int:
        """All that is pending has these attributes: it is moved as it is, which costs less than taking it apart.
        Returns how many there were."""
        keys = list(self._pending)
        self.sent.update(self._pending)  # type: ignore[arg-type]  # no withdrawal is among them
        self._pending.clear()
        self._answered(keys)
        _group(groups, attributes).extend(keys)
        return len(keys)

    def _answered(self, keys: list[NLRI]) -> None:
        """What goes out for another reason is no longer owed to a refresh."""
        if self._again:
            deque(map(self._again.pop, keys, repeat(None)), maxlen=0)


def _group(groups: dict[int, tuple[PathAttributes, list[NLRI]]], attributes: PathAttributes) -> list[NLRI]:
    group = groups.get(id(attributes))
    if group is None:
        group = groups[id(attributes)] = (attributes, [])
    return group[1]


class _Queue:
    """Lists of keys in order of arrival. Keys that are no longer wanted stay until their turn, but never
    more of them than there are wanted ones (or a few thousand)."""

    SLACK = 4096

    def __init__(self) -> None:
        self._batches: deque[list[NLRI]] = deque()
        self._offset = 0  # into the first batch
        self.keys = 0
        self.mixed = False  # whether one list may have several sets of attributes
        self.only: PathAttributes | None = None  # what all keys were queued with, where that is one

    def put(
        self,
        keys: list[NLRI],
        pending: dict[NLRI, PathAttributes | None],
        *,
        wanted: bool,
        attributes: PathAttributes | None = None,
    ) -> None:
        """Queue keys; `wanted` is which kind of slot this queue is for (announcements: True)."""
        if attributes is not self.only:
            self.only = None if self._batches else attributes
        self._batches.append(keys)
        self.keys += len(keys)
        if self.keys > 2 * len(pending) + self.SLACK:
            self.clear()
            kept = [one for one, attributes in pending.items() if (attributes is not None) is wanted]
            if kept:
                self._batches.append(kept)
                self.keys = len(kept)
                self.mixed = True

    def take(self, limit: int) -> list[NLRI]:
        """Up to `limit` keys from one list; empty when there is none."""
        if not self._batches:
            return []
        batch = self._batches[0]
        start, self._offset = self._offset, self._offset + limit
        if self._offset >= len(batch):
            self._batches.popleft()
            self._offset = 0
        taken = batch[start : start + limit] if start or limit < len(batch) else batch
        self.keys -= len(taken)
        return taken

    def clear(self) -> None:
        self._batches.clear()
        self._offset = 0
        self.keys = 0
        self.mixed = False
        self.only = None
