"""Adj-RIB-In: what one peer told us for one family, before and after import policy.

Its paths live in the Loc-RIB's table, with the attributes as received beside those that policy made, and
rejected paths stay there, marked with the reason: a change of policy needs no refresh from the peer.
This object is the way in: it asks whether a path is eligible, asks policy, and makes one `Path` for all
prefixes that get the same answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pybgp.messages.attributes.communities import COMMUNITIES, LLGR_STALE, NO_LLGR
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.nlri import codec_of
from pybgp.prefix import NLRI
from pybgp.rib.eligibility import Eligibility
from pybgp.rib.filter import ELIGIBILITY, Filter, Judgement, Reason
from pybgp.rib.loc_rib import CHUNK, LocRib
from pybgp.rib.route import Delta, Path, Source, paths_of

CACHE_LIMIT = 1 << 13
BLOCKED = "max-prefixes"
"""The `rule` of the reason for what is above the limit of its peer."""

_Key = tuple[PathAttributes, int, int]  # received, path identifier, generation


class AdjRibIn:
    """The way into the table for one peer and family.

    `policy` is the import policy, prepared (see `pybgp.policy.prepare`). Counters live in the table:
    `len()` is the number of paths that the peer has there, stale and rejected ones too.
    """

    def __init__(self, source: Source, rib: LocRib, policy: Filter, eligibility: Eligibility) -> None:
        self.source = source
        self.rib = rib
        self.policy = policy
        self.eligibility = eligibility
        self._has_next_hop = codec_of(rib.family).has_next_hop
        self._paths: dict[_Key, Path] = {}  # one answer for all prefixes
        self.refused = 0  # prefixes of announcements that a check or the policy has rejected, since the start
        self.most: int | None = None  # usable paths; what is above is blocked until there is room
        self._variants: dict[tuple[_Key, Judgement], Path] = {}  # answers of a policy that looks at prefixes
        self._long_lived = -1  # paths of this generation and older are the last choice
        self._blocked = False  # whether anything may be

    def __len__(self) -> int:
        return self.rib.count(self.source)

    # what the peer says -----------------------------------------------------------------------

    def announce(
        self, nlri: list[NLRI], attributes: PathAttributes, path_ids: Sequence[int] | None = None
    ) -> list[Delta]:
        """One Reach of an UPDATE: `path_ids` runs parallel to `nlri` (RFC 7911), None without ADD-PATH."""
        deltas: list[Delta] = []
        for path_id, group in _by_path_id(nlri, path_ids):
            for path, part in self.paths(attributes, path_id, group):
                if path.rejected is not None:
                    self.refused += len(part)
                    deltas += self.rib.announce(part, path)
                elif self.most is None:
                    deltas += self.rib.announce(part, path)
                else:
                    deltas += self._announce_some(part, path)
        return deltas

    def withdraw(
        self, nlri: list[NLRI], path_ids: Sequence[int] | None = None, *, together: bool = False
    ) -> list[Delta]:
        """One Unreach of an UPDATE. `together`: see `LocRib.withdraw`."""
        deltas: list[Delta] = []
        for path_id, group in _by_path_id(nlri, path_ids):
            deltas += self.rib.withdraw(group, self.source, path_id, together=together)
        return deltas

    def _announce_some(self, nlri: list[NLRI], path: Path) -> list[Delta]:
        """As many as there is room for; what was usable before stays so."""
        assert self.most is not None
        room = max(0, self.most - self.rib.accepted(self.source))
        fits: list[NLRI] = []
        over: list[NLRI] = []
        for one in dict.fromkeys(nlri):
            if self._usable(one, path.path_id):
                fits.append(one)
            elif room:
                room -= 1
                fits.append(one)
            else:
                over.append(one)
        deltas = self.rib.announce(fits, path) if fits else []
        if over:
            self._blocked = True
            key = (path.received, path.path_id, path.generation)
            deltas += self.rib.announce(over, self._variant(key, self._no_room()))
        return deltas

    def _usable(self, nlri: NLRI, path_id: int) -> bool:
        held = paths_of(self.rib.entry(nlri))
        return any(p.source is self.source and p.path_id == path_id and p.rejected is None for p in held)

    def _no_room(self) -> Reason:
        return Reason(f"above the {self.most} prefixes that this peer may have", check=ELIGIBILITY, rule=BLOCKED)

    def unblock(self, chunk: int = CHUNK) -> Iterator[list[Delta]]:
        """Take what was blocked while there is room, in slices; with no limit any more, all of it."""
        if not self._blocked:
            return
        self._blocked = False
        for part in self.rib.paths_from(self.source, chunk):
            deltas: list[Delta] = []
            for nlri, path in part:
                if is_blocked(path):
                    if self.most is not None and self.rib.accepted(self.source) >= self.most:
                        self._blocked = True
                        break
                    for new, one in self._judge(path.received, path.path_id, [nlri], path.generation):
                        deltas += self.rib.announce(one, new)
            yield deltas
            if self._blocked:
                return

    @property
    def accepted(self) -> int:
        """Paths that may be used."""
        return self.rib.accepted(self.source)

    @property
    def is_full(self) -> bool:
        """Whether something is blocked now."""
        return self._blocked

    @property
    def has_room(self) -> bool:
        """Whether something is blocked that need not be."""
        return self._blocked and (self.most is None or self.rib.accepted(self.source) < self.most)

    def mark_stale(self) -> None:
        """The session restarts (RFC 4724) or a refresh begins (RFC 7313): all that is here is stale until
        it is announced again. Stale paths lose no preference."""
        self.source.generation += 1

    def make_long_lived(self, chunk: int = CHUNK) -> Iterator[list[Delta]]:
        """The peer is long gone (RFC 9494 section 4.2): what is stale carries LLGR_STALE from now on, or is refused
        where its NO_LLGR asks for that. Yields what is selected otherwise because of it."""
        self._long_lived = self.source.generation - 1
        return self.reconsider(chunk)

    def sweep(self, chunk: int = CHUNK) -> Iterator[list[Delta]]:
        """Remove what is still stale at this call, in slices."""
        return self.rib.remove(self.source, stale_only=True, chunk=chunk)

    def remove(self, chunk: int = CHUNK) -> Iterator[list[Delta]]:
        """The session is gone: remove everything, in slices; what is announced from now on stays."""
        return self.rib.remove(self.source, chunk=chunk)

    # what we make of it -----------------------------------------------------------------------

    def path(self, attributes: PathAttributes, path_id: int = 0) -> Path:
        """The Path for attributes under a policy that does not look at prefixes: one object as long as the
        answer stays the same. ValueError when the policy does look at them."""
        if not self.policy.per_path:
            raise ValueError("the import policy looks at prefixes: ask paths() with the prefixes")
        return self._one(attributes, path_id, self.source.generation)

    def paths(self, attributes: PathAttributes, path_id: int, nlri: list[NLRI]) -> list[tuple[Path, list[NLRI]]]:
        """Eligibility, then import policy, then the next hop: which Path each of the prefixes gets."""
        return self._judge(attributes, path_id, nlri, self.source.generation)

    def change_policy(self, policy: Filter, chunk: int = CHUNK) -> Iterator[list[Delta]]:
        """Use another import policy, from now on for what arrives, and slice by slice for what is here.
        Yields what is selected otherwise because of it."""
        self.policy = policy
        return self.reconsider(chunk)

    def reconsider(self, chunk: int = CHUNK) -> Iterator[list[Delta]]:
        """Judge again all that the peer has sent, in slices."""
        self.forget()
        return self.rib.reconsider(self.replacement, where=lambda path: path.source is self.source, chunk=chunk)

    def forget(self) -> None:
        """Drop the remembered answers: policy, the speaker's addresses or a next hop have changed."""
        self._paths.clear()
        self._variants.clear()

    def replacement(self, path: Path, nlri: list[NLRI]) -> list[tuple[Path, list[NLRI]]]:
        """What a path of this peer is now for some of its prefixes; the same object where nothing changed.
        What was stale stays so, and so does what was blocked."""
        if is_blocked(path):
            return [(path, nlri)]
        judged = self._judge(path.received, path.path_id, nlri, path.generation)
        return [(path if path.same_verdict(new) else new, part) for new, part in judged]

    def routes(self, chunk: int = CHUNK) -> Iterator[list[tuple[NLRI, Path]]]:
        """Everything that the peer has here, in slices of the whole table."""
        return self.rib.paths_from(self.source, chunk)

    # inside -----------------------------------------------------------------------------------

    def _judge(
        self, attributes: PathAttributes, path_id: int, nlri: list[NLRI], generation: int
    ) -> list[tuple[Path, list[NLRI]]]:
        if self.policy.per_path:
            return [(self._one(attributes, path_id, generation), nlri)]
        shown = self.eligibility.arriving(self.source, self.rib.family, attributes)
        if isinstance(shown, str):
            return [(self._variant((attributes, path_id, generation), shown), nlri)]
        return [
            (self._variant((attributes, path_id, generation), answer), part)
            for answer, part in self.policy.judge_each(self.rib.family, nlri, shown, self.source)
        ]

    def _one(self, attributes: PathAttributes, path_id: int, generation: int) -> Path:
        key = (attributes, path_id, generation)
        path = self._paths.get(key)
        if path is None:
            answer: Judgement = self.eligibility.arriving(self.source, self.rib.family, attributes)
            if not isinstance(answer, str):
                answer = self.policy.judge(self.rib.family, answer, self.source)
            path = self._make(key, answer)
            if len(self._paths) >= CACHE_LIMIT:
                self._paths.clear()
            self._paths[key] = path
        return path

    def _variant(self, key: _Key, answer: Judgement) -> Path:
        path = self._variants.get((key, answer))
        if path is None:
            path = self._make(key, answer)
            if len(self._variants) >= CACHE_LIMIT:
                self._variants.clear()
            self._variants[key, answer] = path
        return path

    def _make(self, key: _Key, answer: Judgement) -> Path:
        received, path_id, generation = key
        if isinstance(answer, str):
            return Path(self.source, received, path_id=path_id, rejected=answer, generation=generation)
        answer = self.eligibility.accepted(self.source, answer)
        if generation <= self._long_lived:
            if NO_LLGR in answer.communities:
                why = Reason("stale for long, with the NO_LLGR community", check=ELIGIBILITY, rule="no-llgr")
                return Path(self.source, received, path_id=path_id, rejected=why, generation=generation)
            if LLGR_STALE not in answer.communities:
                answer = answer.with_(COMMUNITIES, (*answer.get(COMMUNITIES, ()), LLGR_STALE))
        cost, unusable = self.eligibility.next_hop(self.source, answer) if self._has_next_hop else (0, None)
        return Path(
            self.source,
            received,
            path_id=path_id,
            attributes=answer,
            rejected=unusable,
            cost=cost,
            generation=generation,
        )


def is_blocked(path: Path) -> bool:
    """Whether only the limit of its peer keeps a path out."""
    return isinstance(path.rejected, Reason) and path.rejected.rule == BLOCKED


def next_hops_changed(
    rib: LocRib,
    adj_ribs_in: Mapping[Source, AdjRibIn],
    next_hops: frozenset[bytes] | set[bytes] | None = None,
    chunk: int = CHUNK,
) -> Iterator[list[Delta]]:
    """Judge again, in one pass over the table, all paths that use one of the next hops (None: any)."""
    for adj_rib_in in adj_ribs_in.values():
        adj_rib_in.forget()

    def concerned(path: Path) -> bool:
        return path.source in adj_ribs_in and (next_hops is None or path.attributes.next_hop in next_hops)

    def replacement(path: Path, nlri: list[NLRI]) -> list[tuple[Path, list[NLRI]]]:
        return adj_ribs_in[path.source].replacement(path, nlri)

    return rib.reconsider(replacement, where=concerned, chunk=chunk)


def _by_path_id(nlri: list[NLRI], path_ids: Sequence[int] | None) -> list[tuple[int, list[NLRI]]]:
    if path_ids is None:
        return [(0, nlri)]
    groups: dict[int, list[NLRI]] = {}
    for path_id, one in zip(path_ids, nlri, strict=True):
        groups.setdefault(path_id, []).append(one)
    return list(groups.items())
