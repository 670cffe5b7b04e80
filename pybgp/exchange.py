"""What one neighbour and we tell each other in one family: the two Adj-RIBs and the markers between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pybgp.family import Family
from pybgp.messages import RouteRefresh, encode_message
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.context import CodecContext
from pybgp.messages.update import Reach, Unreach
from pybgp.messages.update_writer import AttributesTooLong, encode_end_of_rib, encode_reach, encode_unreach, with_stacks
from pybgp.prefix import NLRI
from pybgp.rib.adj_rib_in import AdjRibIn
from pybgp.rib.adj_rib_out import AdjRibOut
from pybgp.rib.eligibility import Eligibility
from pybgp.rib.export import Export
from pybgp.rib.filter import Filter
from pybgp.rib.many_paths import BestAllowed, ManyPaths, tagged, untagged
from pybgp.rib.route import Delta, Path, Source
from pybgp.tables import Tables

BEGIN_OF_RIB, END_OF_RIB = 1, 2  # subtypes of ROUTE-REFRESH, RFC 7313

ALIKE = 8  # times as many prefixes go out in one step where all that waits is told alike: it costs less


class Exchange:
    """One peer, one family, for the peer's whole life; `up` and `down` begin and end a session.

    `owner` is what `Tables` knows the peer by. The `Source` is the peer as this family's tables see it.
    """

    def __init__(
        self, family: Family, owner: object, source: Source, tables: Tables, policy: Filter, eligibility: Eligibility
    ) -> None:
        self.family = family
        self.source = source
        self.adj_rib_in = AdjRibIn(source, tables.loc_rib(family), policy, eligibility)
        self.adj_rib_out: AdjRibOut | None = None
        self.stale = False
        self.end_of_rib_received = False
        self.end_of_rib_sent = False
        self.too_long = 0  # prefixes whose attributes fitted into no message
        # Prefixes (paths with ADD-PATH) announced and withdrawn in UPDATEs, over all sessions.
        self.announced_in = self.withdrawn_in = self.announced_out = self.withdrawn_out = 0
        self._owner = owner
        self._tables = tables
        self._context = CodecContext()
        self._refreshed = False
        self._many: ManyPaths | BestAllowed | None = None
        self._export: Export  # of a session: by what the peer is told when all jobs are done
        self._session = 0  # counts sessions: a job of an earlier one must not speak for this one
        self._control: list[bytes] = []
        self._before_end: int | None = None  # prefixes of the initial table still to be drained
        self._refreshing: bytes | None = None  # what to send after them
        self._refresh_wanted: bool | None = None
        self._removal: Iterator[list[Delta]] | None = None  # what the running one is to go on with
        self._removing = False

    @property
    def established(self) -> bool:
        return self.adj_rib_out is not None

    # the session

    def up(self, context: CodecContext, export: Export, *, deferring: bool, paths: int = 0) -> None:
        """The family was negotiated. With `deferring` only our own routes are told until `release`. With ADD-PATH
        the best so many `paths` of a prefix are told, 0: all."""
        self._context = context
        self._session += 1
        self._control = []
        self.end_of_rib_received = self.end_of_rib_sent = False
        self._before_end = self._refreshing = self._refresh_wanted = None
        self._refreshed = False
        export.own_only = deferring
        many = self.family in context.add_path_send or export.numbers.transparent
        out = self.adj_rib_out = AdjRibOut(self.family, export, None if many else self.adj_rib_in.rib)
        self._many = None
        if many:
            self._many = ManyPaths(out, paths) if self.family in context.add_path_send else BestAllowed(out)
            self._tables.watch(self.family, self._owner, self._many.apply)
        else:
            self._tables.listen(self.family, self._owner, out.apply)
        self._tables.join(self.family, self._owner, out)
        self._change(out, export, None if deferring else self._table_told)

    def release(self) -> None:
        """The deferral is over: tell everything, then End-of-RIB."""
        if self.adj_rib_out is not None:
            export = self._export.copy()
            export.own_only = False
            self._change(self.adj_rib_out, export, self._table_told)

    def down(self, *, keep: bool, again: bool = False) -> None:
        """The session is gone. With `keep` the peer's routes stay, marked stale (RFC 4724 section 4.2);
        those that were stale already go now, unless they are to stay `again`."""
        self._session += 1
        self._tables.ignore(self.family, self._owner)
        self.adj_rib_out = None
        self._control = []
        self.end_of_rib_sent = False
        if keep:
            if self.stale and not again:
                self.sweep()
            self.adj_rib_in.mark_stale()
            self.stale = len(self.adj_rib_in) > 0
        else:
            self.flush()

    def flush(self) -> None:
        """Remove all that the peer said until now."""
        self.stale = False
        self._remove(self.adj_rib_in.remove())

    def sweep(self) -> None:
        """Remove what the peer has not said again."""
        self.stale = False
        self._remove(self.adj_rib_in.sweep())

    def make_long_lived(self) -> None:
        """What is stale becomes the last choice, and says so (RFC 9494 section 4.2)."""
        self._tables.later(self._owner, self.adj_rib_in.make_long_lived())

    def change_import(self, policy: Filter) -> None:
        self._tables.later(self._owner, self.adj_rib_in.change_policy(policy))

    def change_eligibility(self, eligibility: Eligibility) -> None:
        self.adj_rib_in.eligibility = eligibility
        self._tables.later(self._owner, self.adj_rib_in.reconsider())

    def change_client(self, client: bool) -> None:
        """Whether the peer is a route reflector client from now on. Others may be told otherwise of its routes."""

        def change() -> None:
            self.source.route_reflector_client = client

        def retold() -> Iterator[list[Delta]]:
            yield from self.adj_rib_in.rib.retell(self.source)
            out = self.adj_rib_out
            if out is not None:
                out.kept += 1
                yield from self._changing(out)

        self._tables.later(self._owner, self._tables.reconsider_telling(self.family, change, retold()))

    def replace_export(self, export: Export) -> None:
        """The same policy with other rules around it."""
        if self.adj_rib_out is not None:
            export.own_only = self._export.own_only
            self._change(self.adj_rib_out, export)

    def change_export(self, policy: Filter) -> None:
        if self.adj_rib_out is not None:
            self._change(self.adj_rib_out, self._export.copy(policy))

    # what the peer says

    def announced(self, reach: Reach) -> None:
        self.announced_in += len(reach.nlri)
        self._tables.distribute(self.adj_rib_in.announce(reach.nlri, reach.attributes, reach.path_ids))

    def withdrawn(self, unreach: Unreach) -> None:
        self.withdrawn_in += len(unreach.nlri)
        together = not self._tables.has_readers
        self._tables.distribute(self.adj_rib_in.withdraw(unreach.nlri, unreach.path_ids, together=together))

    def unblock(self) -> None:
        """Take what was above the peer's limit, where there is room now."""
        if self.adj_rib_in.has_room:
            self._tables.later(self._owner, self.adj_rib_in.unblock())

    def end_of_rib(self) -> bool:
        """The peer has told its whole table; True when stale routes are now removed."""
        self.end_of_rib_received = True
        stale = self.stale
        if stale:
            self.sweep()
        return stale

    def begin_refresh(self) -> None:
        """RFC 7313: what the peer does not say again until it has ended is no longer there."""
        self._refreshed = True
        if not self.stale:  # else End-of-RIB is still to come, and removes more
            self.adj_rib_in.mark_stale()

    def end_refresh(self) -> None:
        if self._refreshed and not self.stale:
            self.sweep()
        self._refreshed = False

    def refresh(self, *, enhanced: bool) -> None:
        """The peer wants all of our routes again. Not before the first End-of-RIB (RFC 7313 section 4), and
        one answer after the other: who asks a thousand times in one read gets what the last one asked for."""
        if self.adj_rib_out is not None:
            self._refresh_wanted = enhanced
            self._tables.outgoing.add(self._owner)

    # what we say

    @property
    def pending(self) -> int:
        return 0 if self.adj_rib_out is None else self.adj_rib_out.pending

    @property
    def held_back(self) -> int:
        """What the peer is not told because it would be more than it may be told of."""
        return 0 if self.adj_rib_out is None else len(self.adj_rib_out.held)

    @property
    def advertised(self) -> int:
        return 0 if self.adj_rib_out is None else self.adj_rib_out.advertised

    def told(self, nlri: NLRI) -> dict[int, PathAttributes]:
        """What the peer holds of a destination, by the path identifier that we sent (0 without ADD-PATH)."""
        out = self.adj_rib_out
        if out is None:
            return {}
        if isinstance(self._many, ManyPaths):
            keys = {path_id: tagged(path_id, nlri) for path_id in self._many.path_ids(nlri)}
        else:
            keys = {0: nlri}
        return {path_id: held for path_id, key in keys.items() if (held := out.told(key)) is not None}

    def told_destinations(self) -> list[NLRI]:
        """All of which the peer may hold something."""
        keys = [] if self.adj_rib_out is None else self.adj_rib_out.destinations()
        return list(dict.fromkeys(untagged(keys)[0])) if isinstance(self._many, ManyPaths) else keys

    def key_of(self, nlri: NLRI, path: Path) -> bytes | None:
        """Under what a path is told, or is about to be; None: it is not."""
        if not isinstance(self._many, ManyPaths):
            return nlri
        wanted = (path.source, path.path_id)
        found = (path_id for path_id, key in self._many.path_ids(nlri).items() if key == wanted)
        return next((tagged(path_id, nlri) for path_id in found), None)

    @property
    def several_paths(self) -> bool:
        """Whether the peer may be told of paths that are not the best."""
        return self._many is not None

    def produce(self, limit: int) -> tuple[list[bytes], int]:
        """Up to `limit` prefixes of what waits, as messages; and how many prefixes there are in them."""
        out = self.adj_rib_out
        if out is None:
            return [], 0
        if self._refresh_wanted is not None and self.end_of_rib_sent and not out.refreshing:
            self._begin_answer(out, enhanced=self._refresh_wanted)
        messages, self._control = self._control, []
        count = 0
        if out.pending:
            for attributes, keys, stacks in with_stacks(self.family, out.drain(limit, ALIKE * limit)):
                count += len(keys)
                nlri, path_ids = untagged(keys) if isinstance(self._many, ManyPaths) else (keys, None)
                if attributes is not None:
                    try:
                        messages += encode_reach(self.family, nlri, attributes, self._context, path_ids, stacks)
                        self.announced_out += len(keys)
                        continue
                    except AttributesTooLong:  # no message can carry them: the peer must not keep older ones
                        self.too_long += len(keys)
                        out.unsent(keys)
                messages += encode_unreach(self.family, nlri, self._context, path_ids)
                self.withdrawn_out += len(keys)
        if self._before_end is not None:
            self._before_end = min(self._before_end - count, out.pending)
            if self._before_end <= 0:
                self._before_end = None
                self.end_of_rib_sent = True
                messages.append(encode_end_of_rib(self.family, self._context))
        if self._refreshing is not None and not out.refreshing:
            messages.append(self._refreshing)
            self._refreshing = None
        return messages, count

    # inside

    def _change(self, out: AdjRibOut, export: Export, then: Callable[[], None] | None = None) -> None:
        """Tell this peer alone what follows from another export, in slices; every change of the table in between is
        heard of."""
        self._export = export
        out.kept += 1
        if out.sent is not None:
            out.export = export
        self._tables.later(self._owner, self._changing(out, then))

    def _changing(self, out: AdjRibOut, then: Callable[[], None] | None = None) -> Iterator[list[Delta]]:
        session = self._session
        try:
            for _ in out.keep():
                yield []
                if session != self._session:
                    return
            out.export = self._export  # the newest one, where there were several changes
            for _ in self._selections(out) if self._many is None else self._candidates(self._many):
                self._tables.outgoing.add(self._owner)
                yield []
                if session != self._session:
                    return
        finally:
            out.release()
        if then is not None:
            then()

    def _selections(self, out: AdjRibOut) -> Iterator[None]:
        for deltas in self.adj_rib_in.rib.snapshot():
            for delta in deltas:
                out.apply(delta)
            yield

    def _candidates(self, many: ManyPaths | BestAllowed) -> Iterator[None]:
        for groups in self.adj_rib_in.rib.entries():
            for entry, nlri in groups:
                many.apply(nlri, entry)
            yield

    def _table_told(self) -> None:
        self._before_end = self.pending
        self._tables.outgoing.add(self._owner)

    def _begin_answer(self, out: AdjRibOut, *, enhanced: bool) -> None:
        """The routes that a ROUTE-REFRESH asked for are to go out again, between markers where both know them."""
        self._refresh_wanted = None
        self._tables.later(self._owner, self._asked_again(out.refresh()))
        if enhanced:
            self._control.append(self._marker(BEGIN_OF_RIB))
            self._refreshing = self._marker(END_OF_RIB)

    def _asked_again(self, slices: Iterator[None]) -> Iterator[list[Delta]]:
        for _ in slices:
            self._tables.outgoing.add(self._owner)
            yield []
        self._tables.outgoing.add(self._owner)

    def _remove(self, slices: Iterator[list[Delta]]) -> None:
        """Long work, one at a time: the later removal takes all that the earlier ones would, so only the last is
        kept. (A peer may begin and end refreshes faster than a table can be walked.)"""
        self._removal = slices
        if not self._removing:
            self._removing = True
            self._tables.later(self._owner, self._removals())

    def _removals(self) -> Iterator[list[Delta]]:
        try:
            while self._removal is not None:
                slices, self._removal = self._removal, None
                yield from slices
        finally:
            self._removing = False

    def _marker(self, subtype: int) -> bytes:
        return encode_message(RouteRefresh(self.family, subtype), self._context)
