"""Adj-RIB-Out: what one peer was told for one family, and what it has yet to be told.

One pending slot a prefix: a withdraw takes the place of an announcement that has not gone out, and the other
way round, so a slow peer gets the newest state and never a history. The transport pulls (`drain`) while it
has room. Nothing is said twice, and nothing is withdrawn that was never said.

What the peer holds is kept (`sent`) as long as that is needed: while it is told a table for the first time, while
something changes that decides what it is told, and always where export looks at prefixes or several paths are told.
Otherwise it is worked out: what is not pending is what export makes of the selection in the table.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import compress, islice, repeat

from pybgp.family import Family
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import NLRI
from pybgp.rib.export import Export
from pybgp.rib.loc_rib import CHUNK, LocRib
from pybgp.rib.pending import Queue, Slot
from pybgp.rib.route import Delta, Path, Removed, best_of

Outgoing = list[tuple[PathAttributes | None, list[NLRI]]]
"""Withdraws first (None), then prefixes grouped by attributes."""

_Groups = dict[int, tuple[PathAttributes, list[NLRI]]]

_ABSENT: Slot = (None, None)
_SOMETHING = PathAttributes.of_block(b"")
"""The peer holds something, and it does not matter what. No set of attributes that is told is empty."""


class AdjRibOut:
    """`len()` of the object is the number of prefixes still to be told.

    With a `table`, deltas have to be those of that table, all of them, in order; and what it selects is told by the
    owner, who calls `apply` with its `snapshot()` first. Until that is done, and whenever `export` or what it looks at
    is about to change, the owner is a keeper: `kept` counts them, and `keep` is to be worked through before a change.
    After a change of export apply the snapshot again; what may no longer be told is withdrawn by it.
    """

    def __init__(self, family: Family, export: Export, table: LocRib | None = None) -> None:
        self.family = family
        self.export = export
        self.sent: dict[NLRI, PathAttributes] | None = {}  # what the peer holds; None: it is worked out
        self.kept = 0  # who needs that to be kept
        self.most: int | None = None  # more than so many the peer is never told of
        self.held: dict[NLRI, PathAttributes] = {}  # what is above, in order of arrival
        self._table = table
        self._count = 0  # prefixes that the peer holds, where that is worked out
        self._filling: dict[NLRI, PathAttributes] | None = None  # what `keep` has found so far
        self._unsaid: set[NLRI] = set()  # should have been told, and fitted into no message
        self._pending: dict[NLRI, Slot] = {}
        # Order of arrival, in the lists that came. What counts is the slot in _pending: a key in a queue
        # without a slot, or whose slot has moved to the other kind, is passed over.
        self._reach = Queue()
        self._unreach = Queue()
        self._again: dict[NLRI, None] = {}  # what a refresh asked for and has not been drained since
        self._asking: object = None  # the refresh that has not been through all that the peer holds

    def __len__(self) -> int:
        return len(self._pending) + len(self._again)

    @property
    def pending(self) -> int:
        """Prefixes still to be told: 0 when the peer is up to date."""
        return len(self)

    def waits(self, nlri: NLRI) -> bool:
        """Whether something about a prefix has yet to be sent."""
        return nlri in self._pending or nlri in self._again

    # what the peer holds ------------------------------------------------------------------------

    @property
    def advertised(self) -> int:
        """How many prefixes the peer holds from us when all that was drained has arrived."""
        return self._count if self.sent is None else len(self.sent)

    def told(self, nlri: NLRI) -> PathAttributes | None:
        """What the peer holds of a prefix; None: nothing."""
        held: PathAttributes | None
        if self.sent is not None:
            held = self.sent.get(nlri)
        elif nlri in self._pending:
            held = self._pending[nlri][0]
        elif nlri in self._unsaid:
            held = None
        else:
            assert self._table is not None
            held = self._answer(self._table.best(nlri))
        return None if held is _SOMETHING else held

    def destinations(self) -> list[NLRI]:
        """All prefixes of which the peer may hold something; `told` says of which it does."""
        if self.sent is not None:
            return list(self.sent)
        assert self._table is not None
        return list(dict.fromkeys((*self._table.prefixes(), *self._pending)))

    def keep(self, chunk: int = CHUNK) -> Iterator[None]:
        """In slices: when this is through, what the peer holds is kept, until nobody is a keeper any more."""
        while self._filling is not None:  # another one is at it
            yield
        if self.sent is not None:
            return
        assert self._table is not None
        filling = self._filling = {key: held for key, (held, _) in self._pending.items() if held is not None}
        try:
            for deltas in self._table.snapshot(chunk):
                for delta in deltas:
                    held = self._answer(best_of(delta.new))
                    if held is not None:
                        filling.update(dict.fromkeys(self._plain(delta.nlri), held))
                yield
            self.sent = filling
        finally:
            self._filling = None

    def _plain(self, nlri: list[NLRI]) -> list[NLRI]:
        """Those of which the peer holds what follows from the table."""
        pending, unsaid = self._pending, self._unsaid
        return [one for one in nlri if one not in pending and one not in unsaid] if pending or unsaid else nlri

    def release(self) -> None:
        """One keeper fewer."""
        self.kept -= 1
        self._work_out()

    def _work_out(self) -> None:
        """What the peer holds need not be kept any longer, where nothing stands against it."""
        if self.sent is None or self._table is None or not self.export.policy.constant:
            return
        if not (self.kept or self._pending or self.held):
            self._count = len(self.sent)
            self.sent = None

    # what changes -------------------------------------------------------------------------------

    def apply(self, delta: Delta) -> None:
        """Queue what the peer must be told after a change of the selection."""
        if self.sent is None:
            self._follow(delta)
            return
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
        """Queue prefixes with the attributes as they shall go out, where what the peer holds is kept. The list is
        kept, too: never change it."""
        pending, sent = self._pending, self.sent
        assert sent is not None
        if sent and not sent.keys().isdisjoint(nlri):
            held = list(map(sent.get, nlri))
            news = [known is not attributes and known != attributes for known in held]
            if not all(news):
                for one, new in zip(nlri, news, strict=True):
                    if not new:
                        pending.pop(one, None)
                nlri = list(compress(nlri, news))
        if nlri:
            self._pass_over(nlri)
            self._queue(nlri, (None, attributes))

    def withdraw(self, nlri: list[NLRI]) -> None:
        """Queue a withdrawal of those that the peer holds; forget those that it was never told. The list is kept."""
        pending, sent = self._pending, self.sent
        assert sent is not None
        self._pass_over(nlri)
        if not sent or sent.keys().isdisjoint(nlri):
            held = []
        elif all(map(sent.__contains__, nlri)):
            held = nlri
        else:
            held = [one for one in nlri if one in sent]
        if pending and len(held) < len(nlri):
            deque(map(pending.pop, nlri, repeat(None)), maxlen=0)
        if held:
            self._queue(held, (_SOMETHING, None))

    def _pass_over(self, nlri: list[NLRI]) -> None:
        """There is news of these: what was held back, or could not be said, is of the past."""
        if self.held:
            deque(map(self.held.pop, nlri, repeat(None)), maxlen=0)
        if self._unsaid:
            self._unsaid.difference_update(nlri)

    def _follow(self, delta: Delta) -> None:
        """The same where what the peer holds is worked out."""
        path, nlri, removed = best_of(delta.new), delta.nlri, delta.removed
        target = self._answer(path)
        if self._unsaid and not self._unsaid.isdisjoint(nlri):
            unsaid = set(nlri) & self._unsaid
            self._pass_over(nlri)
            self._change(list(unsaid), None, target)
            if removed is not None:
                removed = Removed(removed.paths, list(compress(removed.each, (one not in unsaid for one in nlri))))
            nlri = [one for one in nlri if one not in unsaid]
        if removed is not None:
            for held, part in self._held_of(nlri, removed):
                # A prefix that is told alike since its last change waits for an announcement or not at all.
                self._change(part, held, None, new=not self._reach.keys)
        else:
            # And one without a path was withdrawn, or nothing waits.
            new = delta.old is None and not self._unreach.keys
            self._change(nlri, self._answer(best_of(delta.old)), target, new=new)

    def _held_of(self, nlri: list[NLRI], removed: Removed) -> list[tuple[PathAttributes | None, list[NLRI]]]:
        """Of which prefixes the peer held something before they went. One that it did not hold is never withdrawn."""
        told = [path for path in removed.paths if self.export.tells(path)]
        if len(told) == len(removed.paths):
            return [(_SOMETHING, nlri)]
        if not told:
            return []
        kinds = set(told)
        return [(_SOMETHING, [one for one, path in zip(nlri, removed.each, strict=True) if path in kinds])]

    def _answer(self, path: Path | None) -> PathAttributes | None:
        return None if path is None else self.export.answer(path)

    def _change(
        self, nlri: list[NLRI], held: PathAttributes | None, target: PathAttributes | None, *, new: bool = False
    ) -> None:
        """The peer held this of each of these prefixes, if nothing waits for it, and is to hold that. `new`: nothing
        waits."""
        pending = self._pending
        if pending and not new and not pending.keys().isdisjoint(nlri):
            again = [one for one in nlri if one in pending]
            nlri = [one for one in nlri if one not in pending]
            self._change_again(again, target)
        if held is not target and held != target and nlri:
            if self._filling is not None and held is not None:
                self._filling.update(dict.fromkeys(nlri, held))
            self._queue(nlri, (held, target))

    def _change_again(self, nlri: list[NLRI], target: PathAttributes | None) -> None:
        """The same of prefixes that wait: what the peer holds stands in their slots."""
        parts: dict[int, tuple[PathAttributes | None, list[NLRI]]] = {}
        for one in nlri:
            held = self._pending[one][0]
            parts.setdefault(id(held), (held, []))[1].append(one)
        for held, part in parts.values():
            if held is target or held == target:
                deque(map(self._pending.pop, part), maxlen=0)
            else:
                self._queue(part, (held, target))

    def _queue(self, nlri: list[NLRI], slot: Slot) -> None:
        queue = self._unreach if slot[1] is None else self._reach
        same = queue.only
        if same is not None and same[1] is slot[1] and same[0] is slot[0]:
            slot = same
        self._pending.update(dict.fromkeys(nlri, slot))
        queue.put(nlri, self._pending, wanted=slot[1] is not None, slot=slot)

    # what goes out ------------------------------------------------------------------------------

    def drain(self, limit: int, at_once: int = 0) -> Outgoing:
        """Take at most `limit` prefixes to be sent now: withdraws first, each group of announcements with
        one set of attributes. Costs what it takes, not what waits. Where all that waits is withdrawn, or has one set of
        attributes, up to `at_once` more are taken in one go."""
        out: Outgoing = []
        pending = self._pending
        gone: list[NLRI] = []
        while pending and len(gone) < limit:
            plain = not self._reach.keys and self._unreach.keys == len(pending)  # each queued once, and withdrawn
            batch = list(pending) if plain and len(pending) <= at_once else self._unreach.take(limit - len(gone))
            if not batch:
                break
            if not plain:
                batch = [one for one in batch if one in pending and pending[one][1] is None]
            if plain and len(batch) == len(pending):
                pending.clear()
            else:
                deque(map(pending.pop, batch), maxlen=0)
            gone += batch
        if gone:
            self._are_gone(gone)
            self._answered(gone)
            out.append((None, gone))
            limit = max(0, limit - len(gone))
        groups: _Groups = {}
        if self.held:
            self._let_go()
        while pending and limit:
            # Each queued once and wanted: then what came as one list has one slot still.
            whole = self.most is None and not self._unreach.keys and self._reach.keys == len(pending)
            whole = whole and not self._reach.mixed
            if whole and self._reach.only is not None and len(pending) <= at_once:
                batch = list(pending)
                pending.clear()
                limit = max(0, limit - self._say(batch, self._reach.only, groups))
                break
            batch = self._reach.take(limit)
            if not batch:
                break
            limit -= self._take_reach(batch, groups, whole=whole)
        while self._again and limit:
            one, _ = self._again.popitem()
            attributes = self.told(one)
            if attributes is not None:
                limit -= 1
                _group(groups, attributes).append(one)
        if not pending:
            self._reach.clear()
            self._unreach.clear()
            self._work_out()
        out.extend(groups.values())
        return out

    def unsent(self, nlri: list[NLRI]) -> None:
        """What was drained as news could not be said: the peer does not hold it."""
        self._are_gone(nlri)
        self._unsaid.update(nlri)

    def refresh(self, chunk: int = CHUNK) -> Iterator[None]:
        """The peer asks for everything again (RFC 2918): all that it was told is sent once more, behind
        what is pending, as it is when its turn comes; what goes out as news before that is not repeated. To be worked
        through in slices."""
        self._again = {}
        self._asking = asking = object()
        return self._ask(asking, chunk)

    def _ask(self, asking: object, chunk: int) -> Iterator[None]:
        keys = self.destinations()
        for start in range(0, len(keys), chunk):
            if self._asking is not asking:
                return  # it was asked for once more
            self._again.update(dict.fromkeys(one for one in keys[start : start + chunk] if self.told(one) is not None))
            yield
        if self._asking is asking:
            self._asking = None

    @property
    def refreshing(self) -> bool:
        """True until everything that a refresh asked for has been drained."""
        return self._asking is not None or bool(self._again)

    # inside -----------------------------------------------------------------------------------

    def _are_gone(self, keys: list[NLRI]) -> None:
        """The peer no longer holds these, of which it held each."""
        kept = self._filling if self.sent is None else self.sent
        if kept is not None:
            deque(map(kept.pop, keys, repeat(None)), maxlen=0)
        self._count -= len(keys)

    def _let_go(self) -> None:
        """There may be room again for what was held back."""
        room = len(self.held) if self.most is None else max(0, self.most - self.advertised)
        for one in list(islice(self.held, room)):
            self._queue([one], (None, self.held.pop(one)))
            self._unsaid.discard(one)

    def _hold_back(self, batch: list[NLRI]) -> list[NLRI]:
        """Those of a batch that there is room for; the others wait, and are not pending."""
        assert self.most is not None
        room = self.most - self.advertised
        fits: list[NLRI] = []
        for one in batch:
            held, attributes = self._pending.get(one, _ABSENT)
            if attributes is None or (held is not None if self.sent is None else one in self.sent):
                fits.append(one)
            elif room > 0:
                room -= 1
                fits.append(one)
            else:
                del self._pending[one]
                self.held[one] = attributes
                if self.sent is None:
                    self._unsaid.add(one)
        return fits

    def _take_reach(self, batch: list[NLRI], groups: _Groups, *, whole: bool) -> int:
        """Move a batch from pending into the groups; returns how many were taken. `whole`: all of it has one slot."""
        pending = self._pending
        if self.most is not None:
            batch = self._hold_back(batch)
            if not batch:
                return 0
        if whole:
            slot = pending[batch[0]]
            if len(batch) == len(pending):
                pending.clear()
            else:
                deque(map(pending.pop, batch), maxlen=0)
            return self._say(batch, slot, groups)
        slots = list(map(pending.pop, batch, repeat(_ABSENT)))
        if len(set(map(id, slots))) == 1 and slots[0][1] is not None:
            return self._say(batch, slots[0], groups)
        parts: dict[int, tuple[Slot, list[NLRI]]] = {}
        for one, slot in zip(batch, slots, strict=True):
            if slot[1] is not None:
                parts.setdefault(id(slot), (slot, []))[1].append(one)
        return sum(self._say(part, slot, groups) for slot, part in parts.values())

    def _say(self, keys: list[NLRI], slot: Slot, groups: _Groups) -> int:
        """These go out; the peer holds them from now on. Returns how many there are."""
        held, attributes = slot
        assert attributes is not None
        kept = self._filling if self.sent is None else self.sent
        if kept is not None:
            kept.update(dict.fromkeys(keys, attributes))
        if held is None:
            self._count += len(keys)
        self._answered(keys)
        _group(groups, attributes).extend(keys)
        return len(keys)

    def _answered(self, keys: list[NLRI]) -> None:
        """What goes out for another reason is no longer owed to a refresh."""
        if self._again:
            deque(map(self._again.pop, keys, repeat(None)), maxlen=0)


def _group(groups: _Groups, attributes: PathAttributes) -> list[NLRI]:
    group = groups.get(id(attributes))
    if group is None:
        group = groups[id(attributes)] = (attributes, [])
    return group[1]
