"""Where pybgp and BIRD 2.0.12 are known to differ, with the sentence of the RFC that decides it. (Written down by hand:
the section that is named has the last word.)

A difference counts as named only where its conditions hold for that very UPDATE: what is in its octets, and what each
of the two made of it.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from pybgp.messages.attributes.base import RawAttribute
from pybgp.messages.attributes.codec import split_block
from pybgp.prefix import format_address
from tests.mirror.scene import Effect
from tests.mirror.stream import Step

ORIGINATOR_ID, CLUSTER_LIST, MP_REACH, MP_UNREACH, AS4_PATH, AS4_AGGREGATOR, V6_COMMUNITIES = 9, 10, 14, 15, 17, 18, 25
SPECIFIED = {5: 0x40, ORIGINATOR_ID: 0x80, CLUSTER_LIST: 0x80, AS4_PATH: 0xC0, AS4_AGGREGATOR: 0xC0}
SPECIFIED |= {MP_REACH: 0x80, MP_UNREACH: 0x80, V6_COMMUNITIES: 0xC0}
WIRE = ip_network("192.0.2.0/24")


class Facts:
    """The octets of an UPDATE, read without the decoder."""

    def __init__(self, step: Step) -> None:
        self.internal = step.internal
        withdrawn_end = 2 + int.from_bytes(step.body[:2], "big")
        start = withdrawn_end + 2
        end = start + int.from_bytes(step.body[withdrawn_end:start], "big")
        self.withdrawn, self.nlri = step.body[2:withdrawn_end], step.body[end:]
        self.attributes, _ = split_block(step.body[start:end])
        self.codes = {raw.code for raw in self.attributes}

    def get(self, code: int) -> RawAttribute | None:
        """The first one of a type."""
        return next((raw for raw in self.attributes if raw.code == code), None)

    def wrong_flags(self, *codes: int) -> bool:
        """One of these is there, and Optional and Transitive are not what they should be."""
        return any((raw.flags ^ SPECIFIED[code]) & 0xC0 for code in codes if (raw := self.get(code)) is not None)


class Difference(NamedTuple):
    name: str
    rfc: str
    sentence: str
    right: str  # who does as it says
    holds: Callable[[Facts, Effect, Effect], bool]


def broken_prefixes(field: bytes) -> bool:
    """Whether an NLRI field of IPv4 cannot be read to its end."""
    at = 0
    while at < len(field):
        if field[at] > 32:
            return True
        at += 1 + (field[at] + 7) // 8
    return at > len(field)


def has(effect: Effect) -> bool:
    return effect.answer is None and bool(effect.internal or effect.external)


def nothing(effect: Effect) -> bool:
    return effect.answer is None and not effect.internal and not effect.external


def next_hop_of(facts: Facts) -> str | None:
    raw = facts.get(3)
    return format_address(raw.value) if raw is not None and len(raw.value) == 4 else None


def elsewhere(facts: Facts) -> bool:
    text = next_hop_of(facts)
    return text is not None and ip_address(text) not in WIRE


def no_host(facts: Facts) -> bool:
    text = next_hop_of(facts)
    if text is None:
        return False
    address = ip_address(text)
    return address.is_multicast or address.is_loopback or address.is_unspecified or address.is_reserved


def v6_communities_malformed(facts: Facts) -> bool:
    raw = facts.get(V6_COMMUNITIES)
    return raw is not None and (not raw.value or len(raw.value) % 20 > 0 or facts.wrong_flags(V6_COMMUNITIES))


def confederation(facts: Facts) -> bool:
    """A segment of type 3 or 4 in the AS_PATH."""
    raw = facts.get(2)
    at = 0
    while raw is not None and at + 1 < len(raw.value):
        if raw.value[at] in (3, 4):
            return True
        at += 2 + 4 * raw.value[at + 1]
    return False


def class_e(prefix: str) -> bool:
    """Within 240.0.0.0/4."""
    network = ip_network(prefix)
    return network.version == 4 and network.prefixlen >= 4 and network.network_address.packed[0] >= 240


def zero_net(prefix: str) -> bool:
    """Within 0.0.0.0/8, which the default route is not."""
    network = ip_network(prefix)
    return network.version == 4 and network.prefixlen > 0 and network.network_address.packed[0] == 0


DIFFERENCES = (
    Difference(
        "subcode of prefixes that cannot be read",
        "RFC 4271 section 6.3",
        "If the field is syntactically incorrect, then the Error Subcode MUST be set to Invalid Network Field.",
        "pybgp",
        lambda facts, ours, theirs: (
            ours.answer == (3, 10)
            and theirs.answer == (3, 1)
            and (broken_prefixes(facts.nlri) or broken_prefixes(facts.withdrawn))
        ),
    ),
    Difference(
        "subcode of prefixes in MP_REACH_NLRI or MP_UNREACH_NLRI that cannot be read",
        "RFC 4760 section 7",
        'The session SHOULD be terminated with the Notification message code/subcode indicating "UPDATE Message '
        'Error"/"Optional Attribute Error".',
        "pybgp",
        lambda facts, ours, theirs: (
            ours.answer == (3, 9) and theirs.answer == (3, 1) and bool(facts.codes & {MP_REACH, MP_UNREACH})
        ),
    ),
    Difference(
        "unrecognized well-known attribute",
        "RFC 4271 section 6.3",
        "If any of the well-known mandatory attributes are not recognized, then the Error Subcode MUST be set to "
        "Unrecognized Well-known Attribute.",
        "pybgp",
        lambda facts, ours, theirs: (
            ours.answer == (3, 2)
            and theirs.answer is None
            and any(
                not raw.flags & 0x80 and raw.code not in {1, 2, 3, 4, 5, 6, 7, 8, 9, 10} for raw in facts.attributes
            )
        ),
    ),
    Difference(
        "malformed IPv6 extended communities, which BIRD does not know and passes on",
        "RFC 7606 section 7.15",
        "An UPDATE message with a malformed IPv6 Address Specific Extended Community attribute SHALL be handled using "
        'the approach of "treat-as-withdraw".',
        "pybgp",
        lambda facts, ours, theirs: nothing(ours) and has(theirs) and v6_communities_malformed(facts),
    ),
    Difference(
        "LOCAL_PREF, ORIGINATOR_ID or CLUSTER_LIST from outside, malformed as well",
        "RFC 7606 sections 7.5, 7.9, 7.10",
        "If the LOCAL_PREF attribute is received from an external neighbor, it SHALL be discarded using the approach "
        'of "attribute discard". (The same of the other two.)',
        "pybgp",
        lambda facts, ours, theirs: (
            not facts.internal and has(ours) and nothing(theirs) and facts.wrong_flags(5, ORIGINATOR_ID, CLUSTER_LIST)
        ),
    ),
    Difference(
        "AS4_PATH or AS4_AGGREGATOR of a NEW speaker, malformed as well",
        "RFC 6793 section 4.1",
        "A NEW BGP speaker that receives the AS4_PATH attribute or the AS4_AGGREGATOR attribute in an UPDATE message "
        "from another NEW BGP speaker MUST discard the path attribute and continue processing the UPDATE message.",
        "pybgp",
        lambda facts, ours, theirs: has(ours) and nothing(theirs) and facts.wrong_flags(AS4_PATH, AS4_AGGREGATOR),
    ),
    Difference(
        "MP_REACH_NLRI or MP_UNREACH_NLRI that cannot be relied on",
        "RFC 7606 section 3 j",
        'In order to use the approach of "treat-as-withdraw", the entire NLRI field and/or the MP_REACH_NLRI and '
        "MP_UNREACH_NLRI attributes need to be successfully parsed. If this is not possible, the procedures of RFC "
        '4271 and/or RFC 4760 continue to apply, meaning that the "session reset" approach MUST be followed.',
        "pybgp",
        lambda facts, ours, theirs: (
            ours.answer is not None and theirs.answer is None and facts.wrong_flags(MP_REACH, MP_UNREACH)
        ),
    ),
    Difference(
        "NEXT_HOP of an external peer on no wire that we share",
        "RFC 4271 section 6.3",
        "In the case of an EBGP, where the sender and receiver are one IP hop away from each other, either the IP "
        "address in the NEXT_HOP MUST be the sender's IP address that is used to establish the BGP connection, or the "
        "interface associated with the NEXT_HOP IP address MUST share a common subnet with the receiving BGP speaker.",
        "BIRD: pybgp knows no interfaces unless its embedder gives it a resolver of next hops",
        lambda facts, ours, theirs: (
            not facts.internal
            and theirs.answer is None
            and elsewhere(facts)
            and not no_host(facts)
            and set(theirs.internal) < set(ours.internal)
            and all(f"next_hop={next_hop_of(facts)};" in text for _, text in set(ours.internal) - set(theirs.internal))
        ),
    ),
    Difference(
        "NEXT_HOP that is no address of a host",
        "RFC 4271 section 6.3, RFC 7606 section 7.3",
        "Syntactic correctness means that the NEXT_HOP attribute represents a valid IP host address.",
        "pybgp",
        lambda facts, ours, theirs: nothing(ours) and has(theirs) and no_host(facts),
    ),
    Difference(
        "LOCAL_PREF missing from an internal peer",
        "RFC 4271 sections 5 and 5.1.5",
        "LOCAL_PREF is a well-known attribute that SHALL be included in all UPDATE messages that a given BGP speaker "
        "sends to other internal peers.",
        "pybgp: RFC 7606 3 d treats what lacks a required attribute as withdrawn",
        lambda facts, ours, theirs: facts.internal and nothing(ours) and has(theirs) and 5 not in facts.codes,
    ),
    Difference(
        "NEXT_HOP beside MP_REACH_NLRI alone, malformed",
        "RFC 4760 section 3",
        "An UPDATE message that carries no NLRI, other than the one encoded in the MP_REACH_NLRI attribute, SHOULD NOT "
        "carry the NEXT_HOP attribute. If such a message contains the NEXT_HOP attribute, the BGP speaker that "
        "receives the message SHOULD ignore this attribute.",
        "pybgp",
        lambda facts, ours, theirs: (
            has(ours) and nothing(theirs) and not facts.nlri and MP_REACH in facts.codes and 3 in facts.codes
        ),
    ),
    Difference(
        "confederation segments from an internal peer",
        "RFC 5065 section 5",
        "It is an error for a BGP speaker to receive an UPDATE message with an AS_PATH attribute that contains "
        "AS_CONFED_SEQUENCE or AS_CONFED_SET segments from a neighbor that is not located in the same confederation.",
        "either: pybgp takes an internal neighbor to be in the same one, and lets no segment of it out",
        lambda facts, ours, theirs: facts.internal and has(ours) and nothing(theirs) and confederation(facts),
    ),
    Difference(
        "prefixes that are no destinations",
        "RFC 4271 section 6.3",
        "If a prefix in the NLRI field is semantically incorrect (e.g., an unexpected multicast IP address), an error "
        "SHOULD be logged locally, and the prefix SHOULD be ignored.",
        "both, of multicast and loopback; besides, pybgp ignores class E and BIRD 0.0.0.0/8",
        lambda facts, ours, theirs: (
            ours.answer is None
            and theirs.answer is None
            and all(class_e(item[0]) for item in {*theirs.internal} - {*ours.internal})
            and all(class_e(item[0]) for item in {*theirs.external} - {*ours.external})
            and all(zero_net(item[0]) for item in {*ours.internal} - {*theirs.internal})
            and all(zero_net(item[0]) for item in {*ours.external} - {*theirs.external})
        ),
    ),
)


def named(step: Step, ours: Effect, theirs: Effect) -> Difference | None:
    """The difference that this one is; None where nobody knows it."""
    facts = Facts(step)
    return next((one for one in DIFFERENCES if one.holds(facts, ours, theirs)), None)
