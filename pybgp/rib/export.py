"""Who may be told what, and how a path looks when it is told (RFC 4271 sections 5.1 and 9.1.3).

In this order: the rules that nobody can change (iBGP, reflection, well-known communities), the rewriting
that export policy shall see (NEXT_HOP, MULTI_EXIT_DISC, LOCAL_PREF), export policy, and the rewriting that
comes last whatever policy did (AS_PATH, reflection attributes, what does not leave the AS).
"""

from __future__ import annotations

from copy import copy

from pybgp.family import Family
from pybgp.messages.attributes.as_path import AS_PATH
from pybgp.messages.attributes.cluster_list import CLUSTER_LIST
from pybgp.messages.attributes.communities import (
    COMMUNITIES,
    GRACEFUL_SHUTDOWN,
    NO_ADVERTISE,
    NO_EXPORT,
    NO_EXPORT_SUBCONFED,
)
from pybgp.messages.attributes.extended_communities import EXTENDED_COMMUNITIES
from pybgp.messages.attributes.ipv6_extended_communities import IPV6_EXTENDED_COMMUNITIES
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.originator_id import ORIGINATOR_ID
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.nlri import codec_of
from pybgp.prefix import NLRI
from pybgp.rib.as_numbers import AsNumbers
from pybgp.rib.decision import DEFAULT_LOCAL_PREF, is_llgr_stale
from pybgp.rib.filter import EXPORT_RULES, Filter, Judgement, Reason
from pybgp.rib.roles import marked_on_leaving, must_not_go
from pybgp.rib.route import Path, Source, address_text

CACHE_LIMIT = 1 << 14
NON_TRANSITIVE = 0x40  # in the first octet of an extended community (RFC 4360 section 2)
AFI_IPV4, AFI_IPV6 = 1, 2


class Export:
    """The way out to one peer (`target`) for one family.

    `own_next_hop` stands for "next hop self": by default the session's local address, which a family other
    than the session's own cannot use; a link-local one may stand behind it (RFC 2545 section 3). `next_hop_self`:
    None is the rule of RFC 4271 5.1.3 (external peers get it, internal ones the next hop as learned), and
    `next_hop_unchanged` leaves it as learned for external peers, too. `extended_next_hop`: IPv4 with an IPv6 next
    hop was negotiated (RFC 8950). `withhold_peer_as` spares an external peer the paths that it would drop as loops.
    `numbers`: what an external peer sees in the AS_PATH; as a route server's client (RFC 7947) it gets NEXT_HOP and
    MULTI_EXIT_DISC as they came, as well. With `graceful_shutdown` all that is told says that we are about to go
    (RFC 8326). Only with `long_lived`, which says that the peer knows of it, it is told what is stale for long
    (RFC 9494 section 4.3); with `long_lived_partial` an internal peer that does not know of it is told so as well, as
    what nobody prefers and what stays in the AS (4.6). With `own_only` it is told our own routes alone: the others are
    held back after a restart of ours (RFC 4724 section 4.1).
    Answers are remembered a path; `forget()` when an argument has changed.
    """

    def __init__(
        self,
        target: Source,
        family: Family,
        policy: Filter,
        *,
        cluster_id: int,
        next_hop_self: bool | None = None,
        own_next_hop: bytes | None = None,
        extended_next_hop: bool = False,
        withhold_peer_as: bool = False,
        next_hop_unchanged: bool = False,
        numbers: AsNumbers | None = None,
        graceful_shutdown: bool = False,
        long_lived: bool = False,
        long_lived_partial: bool = False,
        own_only: bool = False,
    ) -> None:
        self.target = target
        self.family = family
        self.policy = policy
        self.cluster_id = cluster_id
        self.next_hop_self = not target.internal if next_hop_self is None else next_hop_self
        self.own_next_hop = target.local_address if own_next_hop is None else own_next_hop
        self.extended_next_hop = extended_next_hop
        self.withhold_peer_as = withhold_peer_as
        self.numbers = numbers or AsNumbers(local_as=target.local_as, speaker_as=target.local_as)
        self.next_hop_unchanged = next_hop_unchanged or self.numbers.transparent
        self.graceful_shutdown = graceful_shutdown
        self.long_lived = long_lived
        self.long_lived_partial = long_lived_partial and target.internal
        self.own_only = own_only
        self._codec = codec_of(family)
        self._answers: dict[Path, Judgement] = {}
        self._finished: dict[tuple[Path, PathAttributes], Judgement] = {}
        self._pool: dict[PathAttributes, PathAttributes] = {}

    def copy(self, policy: Filter | None = None) -> Export:
        """The same without the remembered answers, or with another policy."""
        copied = copy(self)
        copied.policy = policy or self.policy
        copied._answers, copied._finished, copied._pool = {}, {}, {}
        return copied

    def forget(self) -> None:
        """Drop the remembered answers."""
        self._answers.clear()
        self._finished.clear()
        self._pool.clear()

    def attributes_for(self, path: Path, nlri: NLRI | None = None) -> PathAttributes | None:
        """What the peer is told of a path; None: nothing. A policy that looks at prefixes needs the nlri."""
        answer = self.judge(path, nlri)
        return None if isinstance(answer, str) else answer

    def reason(self, path: Path, nlri: NLRI | None = None) -> str | None:
        """Why the peer is not told of a path, in words; None: it is told."""
        answer = self.judge(path, nlri)
        return answer if isinstance(answer, str) else None

    def judge(self, path: Path, nlri: NLRI | None = None) -> Judgement:
        """Both of the above at once."""
        if self.policy.per_path:
            return self._one(path)
        if nlri is None:
            raise ValueError("the export policy looks at prefixes: ask with the prefix")
        return self._parts(path, [nlri])[0][0]

    def answer(self, path: Path) -> PathAttributes | None:
        """`attributes_for`, of a policy that is asked once a path."""
        if path.source is self.target:
            return None  # split horizon: half of all questions where there are two peers
        answer = self._answers.get(path) or self._one(path)
        return None if isinstance(answer, str) else answer

    def tells(self, path: Path) -> bool:
        """Whether the peer is told of a path, of a policy that is asked once a path: without working out how it looks,
        where that is not known any more."""
        if path.source is self.target:
            return False
        answer = self._answers.get(path)
        if answer is None and self.policy.constant:
            answer = self._before(path)
            if not isinstance(answer, str):
                answer = self.policy.judge(self.family, answer, path.source)
            if not isinstance(answer, str) and self._codec.has_next_hop:
                answer = self._next_hop_fault(answer.next_hop) or answer
        return not isinstance(answer if answer is not None else self._one(path), str)

    def each(self, path: Path, nlri: list[NLRI]) -> list[tuple[PathAttributes | None, list[NLRI]]]:
        """What the peer is told of a path for each of the prefixes, grouped."""
        if self.policy.per_path:
            return [(self.answer(path), nlri)]
        if path.source is self.target:
            return [(None, nlri)]
        return [(None if isinstance(answer, str) else answer, part) for answer, part in self._parts(path, nlri)]

    # inside -----------------------------------------------------------------------------------

    def _one(self, path: Path) -> Judgement:
        answer = self._answers.get(path)
        if answer is None:
            answer = self._before(path)
            if not isinstance(answer, str):
                answer = self.policy.judge(self.family, answer, path.source)
                if not isinstance(answer, str):
                    answer = self._after(path, answer)
            if len(self._answers) >= CACHE_LIMIT:
                self._answers.clear()
            self._answers[path] = answer
        return answer

    def _parts(self, path: Path, nlri: list[NLRI]) -> list[tuple[Judgement, list[NLRI]]]:
        before = self._answers.get(path)
        if before is None:
            before = self._before(path)
            if len(self._answers) >= CACHE_LIMIT:
                self._answers.clear()
            self._answers[path] = before
        if isinstance(before, str):
            return [(before, nlri)]
        parts: list[tuple[Judgement, list[NLRI]]] = []
        for answer, part in self.policy.judge_each(self.family, nlri, before, path.source):
            if not isinstance(answer, str):
                key = (path, answer)
                finished = self._finished.get(key)
                if finished is None:
                    finished = self._after(path, answer)
                    if len(self._finished) >= CACHE_LIMIT:
                        self._finished.clear()
                    self._finished[key] = finished
                answer = finished
            parts.append((answer, part))
        return parts

    def _before(self, path: Path) -> Judgement:
        """The rules, then what policy shall see."""
        why = self._forbidden(path)
        if why is not None:
            return why
        attributes = path.attributes
        own = path.source.local
        if not self._codec.has_next_hop:
            pass
        elif attributes.next_hop and (own or self.next_hop_unchanged or not self.next_hop_self):
            # Given with an own route, or left as learned. A link-local address is of use on its link only
            # (RFC 2545 section 3), and this peer need not be there.
            if len(attributes.next_hop) == 32:
                attributes = attributes.with_next_hop(attributes.next_hop[:16])
        elif self._codec.labels is not None and not own:
            # RFC 8277 section 3.1: with another next hop goes a label that this one has assigned.
            return _why("label", "the label is that of another next hop, and this one would be told")
        else:
            attributes = attributes.with_next_hop(self.own_next_hop)
        if self.target.internal:
            if attributes.local_pref is None:
                attributes = attributes.with_(LOCAL_PREF, DEFAULT_LOCAL_PREF)
        elif attributes.med is not None and not own and not self.numbers.transparent:
            attributes = attributes.without(MED)  # 5.1.4: not to other neighboring ASes
        if not self.target.internal and not own and not self.numbers.transparent:
            attributes = _transitive(attributes)
        return attributes

    def _forbidden(self, path: Path) -> str | None:
        source, target, attributes = path.source, self.target, path.attributes
        if source is target:
            return _why("split-horizon", "learned from this peer")
        if not source.local:
            if self.own_only:
                return HELD_BACK
            if b"\xff\xff\xff" in attributes.block:  # all three communities begin so
                communities = attributes.communities
                if NO_ADVERTISE in communities:
                    return _why("no-advertise", "NO_ADVERTISE community")
                if not target.internal and NO_EXPORT in communities:
                    return _why("no-export", "NO_EXPORT community on an external peer")
                if not target.internal and NO_EXPORT_SUBCONFED in communities:
                    return _why("no-export-subconfed", "NO_EXPORT_SUBCONFED community on an external peer")
            if source.internal and target.internal:
                if not (source.route_reflector_client or target.route_reflector_client):
                    return _why("ibgp", "learned by iBGP, and neither peer is a route reflector client")
                if _originator(path) == target.bgp_identifier:
                    return _why("originator-id", "this peer originated it")
        if not self.long_lived and not self.long_lived_partial and is_llgr_stale(attributes):
            return _why("llgr-stale", "LLGR_STALE community, and the peer has no long-lived graceful restart")
        if target.role is not None:
            upward = must_not_go(target.role, self.family, attributes)
            if upward is not None:
                return _why("only-to-customer", upward)
        if self.withhold_peer_as and not target.internal and target.asn in attributes.as_path:
            return _why("as-loop", f"the peer's AS {target.asn} is in the AS_PATH")
        return None

    def _after(self, path: Path, attributes: PathAttributes) -> Judgement:
        """What comes last whatever policy did."""
        why = self._next_hop_fault(attributes.next_hop) if self._codec.has_next_hop else None
        if why is not None:
            return _why("next-hop", why)
        source, target = path.source, self.target
        if target.internal:
            if source.internal:  # RFC 4456 section 8; as they came, whatever policy made of them (section 10)
                clusters = self.cluster_id.to_bytes(4, "big") + path.received.cluster_octets
                attributes = attributes.reflected(_originator(path), clusters)
            if self.long_lived_partial and not self.long_lived and is_llgr_stale(attributes):
                attributes = _least(attributes)
        else:
            if self.numbers.plain and attributes.has_plain_path:
                attributes = attributes.prepend(self.numbers.local_as)
            else:  # RFC 5065 section 5.3: confederation segments, as an internal peer may send them, stay inside
                outside = attributes.as_path.without_confederation()
                attributes = attributes.with_(AS_PATH, self.numbers.outgoing(outside, target.asn, own=source.local))
            if attributes.local_pref is not None:
                attributes = attributes.without(LOCAL_PREF)  # 5.1.5
            if attributes.originator_id is not None:
                attributes = attributes.without(ORIGINATOR_ID)
            if attributes.cluster_list_length:
                attributes = attributes.without(CLUSTER_LIST)
            if target.role is not None:
                attributes = marked_on_leaving(target.role, self.family, attributes, target.local_as)
        if self.graceful_shutdown:
            attributes = _going(attributes, target)
        if len(self._pool) >= CACHE_LIMIT:
            self._pool.clear()
        # One object for equal attributes: prefixes announced one by one then share UPDATEs.
        return self._pool.setdefault(attributes, attributes)

    def _next_hop_fault(self, next_hop: bytes) -> str | None:
        size = len(next_hop)
        if not size:
            return "no address of this speaker to use as next hop on this session"
        if self.family.afi == AFI_IPV4 and size != 4 and not self.extended_next_hop:
            return f"next hop {address_text(next_hop)} for IPv4: extended next hop (RFC 8950) was not negotiated"
        if self.family.afi == AFI_IPV6 and size == 4:
            return f"next hop {address_text(next_hop)} is an IPv4 address, IPv6 prefixes need an IPv6 one"
        if next_hop[:16] == self.target.address:
            return "the next hop is the peer's own address"  # 5.1.3
        return None


HELD_BACK = Reason(
    "held back until the peers have sent their routes after our restart (RFC 4724)", check="restart", rule="restart"
)


def _going(attributes: PathAttributes, target: Source) -> PathAttributes:
    """RFC 8326 section 4.2: GRACEFUL_SHUTDOWN, and inside the AS the lowest LOCAL_PREF at once."""
    if GRACEFUL_SHUTDOWN not in attributes.communities:
        attributes = attributes.with_(COMMUNITIES, (*attributes.get(COMMUNITIES, ()), GRACEFUL_SHUTDOWN))
    return attributes.with_(LOCAL_PREF, 0) if target.internal else attributes


def _least(attributes: PathAttributes) -> PathAttributes:
    """RFC 9494 section 4.6, for who does not know LLGR_STALE: the last choice, and not for other ASes."""
    if NO_EXPORT not in attributes.communities:
        attributes = attributes.with_(COMMUNITIES, (*attributes.get(COMMUNITIES, ()), NO_EXPORT))
    return attributes.with_(LOCAL_PREF, 0)


def _why(rule: str, text: str) -> Reason:
    return Reason(text, check=EXPORT_RULES, rule=rule)


def _transitive(attributes: PathAttributes) -> PathAttributes:
    """Without the extended communities that are not for another AS (RFC 4360 section 6)."""
    for row in (EXTENDED_COMMUNITIES, IPV6_EXTENDED_COMMUNITIES):
        found = attributes.get(row)
        if found and any(one[0] & NON_TRANSITIVE for one in found):
            attributes = attributes.with_(row, tuple(one for one in found if not one[0] & NON_TRANSITIVE))
    return attributes


def _originator(path: Path) -> int:
    originator = path.received.originator_id
    return path.source.bgp_identifier if originator is None else originator
