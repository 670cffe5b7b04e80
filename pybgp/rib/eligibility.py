"""Why a path may not be used (RFC 4271 section 9.1.2, RFC 4456 section 8), in words.

An ineligible path stays in the table with its reason: it is judged again when a next hop, an address of
this speaker or a policy changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pybgp.family import Family
from pybgp.messages.attributes.as_path import AS_PATH
from pybgp.messages.attributes.communities import BLACKHOLE, COMMUNITIES, GRACEFUL_SHUTDOWN, NO_EXPORT
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import format_address
from pybgp.rib.as_numbers import AsNumbers
from pybgp.rib.filter import ELIGIBILITY, Reason
from pybgp.rib.roles import leaked, marked_on_arrival
from pybgp.rib.route import Source, address_text

Resolver = Callable[[bytes], int | None]
"""Interior cost to a next hop (4, 16 or 32 octets as in the attribute); None when it cannot be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligibility:
    """What this speaker is, as far as it rules paths out.

    `cluster_id` 0 stands for the BGP Identifier. `addresses` are this speaker's own (the one of the session
    need not be among them). `allow_own_as` is how often the local AS may be in an AS_PATH.
    `enforce_first_as` holds an external peer to putting its AS first (RFC 4271 section 6.3), which a route
    server does not do. `numbers`: what is done to the AS_PATHs of an external peer (None: nothing). An external
    peer's routes with GRACEFUL_SHUTDOWN get LOCAL_PREF 0 with `honor_graceful_shutdown` (RFC 8326), those with
    BLACKHOLE stay in this AS with `blackhole` (RFC 7999 section 3.2).
    """

    bgp_identifier: int
    cluster_id: int = 0
    addresses: frozenset[bytes] = frozenset()
    allow_own_as: int = 0
    enforce_first_as: bool = True
    resolve: Resolver | None = None
    numbers: AsNumbers | None = None
    honor_graceful_shutdown: bool = True
    blackhole: bool = False

    def why_not(self, source: Source, attributes: PathAttributes) -> Reason | None:
        """What rules out a path as it was received; None: nothing."""
        if source.local:
            return None
        if attributes.count_as(source.local_as) > self.allow_own_as:
            return _why("as-loop", f"AS loop: own AS {source.local_as} is in the AS_PATH {attributes.as_path}")
        other = source.speaker_as
        if other and other != source.local_as and attributes.count_as(other) > self.allow_own_as:
            return _why("as-loop", f"AS loop: own AS {other} is in the AS_PATH {attributes.as_path}")
        if source.internal:
            return self._reflection_loop(attributes)
        if self.enforce_first_as and attributes.neighbor_as != source.asn:
            first = attributes.neighbor_as or "missing"
            return _why("first-as", f"first AS of the AS_PATH is {first}, not the peer's {source.asn}")
        return None

    def arriving(self, source: Source, family: Family, attributes: PathAttributes) -> PathAttributes | Reason:
        """What import policy is shown of a path, or what rules it out."""
        why = self.why_not(source, attributes)
        if why is not None:
            return why
        if source.role is not None:
            leak = leaked(source.role, family, attributes, source.asn)
            if leak is not None:
                return _why("route-leak", leak)
            attributes = marked_on_arrival(source.role, family, attributes, source.asn)
        if self.numbers is not None and not self.numbers.plain and source.external:
            attributes = attributes.with_(AS_PATH, self.numbers.incoming(attributes.as_path))
        return attributes

    def accepted(self, source: Source, attributes: PathAttributes) -> PathAttributes:
        """What communities ask for, after import policy."""
        if not source.external or b"\xff\xff" not in attributes.block:
            return attributes
        communities = attributes.communities
        if self.honor_graceful_shutdown and GRACEFUL_SHUTDOWN in communities:
            attributes = attributes.with_(LOCAL_PREF, 0)
        if self.blackhole and BLACKHOLE in communities and NO_EXPORT not in communities:
            attributes = attributes.with_(COMMUNITIES, (*attributes[COMMUNITIES], NO_EXPORT))
        return attributes

    def next_hop(self, source: Source, attributes: PathAttributes) -> tuple[int, str | None]:
        """Interior cost of the next hop, and what rules it out (RFC 4271 sections 5.1.3, 6.3 and 9.1.2.1)."""
        if source.local:
            return 0, None
        next_hop = attributes.next_hop
        unusable = _unusable(next_hop)
        if unusable is not None:
            return 0, _why("next-hop", unusable)
        first = next_hop[:16]
        if first == source.local_address or first in self.addresses:
            return 0, _why("next-hop", f"next hop {address_text(next_hop)} is this speaker's own address")
        if self.resolve is None:
            return 0, None
        cost = self.resolve(next_hop)
        return (
            (0, _why("next-hop", f"next hop {address_text(next_hop)} is unreachable")) if cost is None else (cost, None)
        )

    def _reflection_loop(self, attributes: PathAttributes) -> Reason | None:
        if attributes.originator_id == self.bgp_identifier:
            return _why("originator-id", "originated by this speaker: its BGP Identifier is the ORIGINATOR_ID")
        if attributes.cluster_list_length:
            cluster = self.cluster_id or self.bgp_identifier
            if cluster in attributes.cluster_list:
                text = format_address(cluster.to_bytes(4, "big"))
                return _why("cluster-list", f"reflection loop: own cluster {text} in the CLUSTER_LIST")
        return None


def _why(rule: str, text: str) -> Reason:
    return Reason(text, check=ELIGIBILITY, rule=rule)


def _unusable(next_hop: bytes) -> str | None:
    """What is wrong with a next hop in itself: it must be the unicast address of some host."""
    size = len(next_hop)
    if size == 4:
        first = next_hop[0]
        bad = first in (0, 127) or first >= 224
    elif size == 32 and not any(next_hop[:16]):
        # no global address, as some send it between link-local addresses: the link-local one is the next hop
        bad = next_hop[16] != 0xFE or next_hop[17] & 0xC0 != 0x80
    elif size in (16, 32):
        bad = next_hop[0] == 0xFF or (next_hop[:15] == bytes(15) and next_hop[15] <= 1)
    else:
        return "no next hop" if not size else f"a next hop of {size} octets"
    return f"next hop {address_text(next_hop)} is no host address" if bad else None
