"""RFC 7606 as a table, typed from the RFC: what is wrong with an UPDATE, and what that means.

Each case is a whole UPDATE for 203.0.113.0/24 with one thing changed.  `RESET` ends the session with the error that
RFC 4271 6.3 (or RFC 4760 section 7) names; every other outcome keeps it.  The tests of the codec and those with a
running speaker both go through it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, TypeAlias

from pybgp.errors import (
    AttributeFlagsError,
    AttributeLengthError,
    InvalidNextHop,
    InvalidOrigin,
    MalformedASPath,
    MalformedAttributeList,
    OptionalAttributeError,
    ProtocolError,
    UnrecognizedWellKnownAttribute,
)
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.messages.attributes.base import Outcome
from pybgp.messages.context import CodecContext

DISCARD, WITHDRAW, RESET, OK = (
    Outcome.ATTRIBUTE_DISCARD,
    Outcome.TREAT_AS_WITHDRAW,
    Outcome.SESSION_RESET,
    Outcome.OK,
)
NLRI = bytes.fromhex("18 cb0071")
IPV6_NLRI = bytes.fromhex("20 20010db8")
IBGP = CodecContext(four_octet_as=True, internal=True, families=frozenset({IPV4_UNICAST, IPV6_UNICAST}))
EBGP = replace(IBGP, internal=False)
OLD_IBGP = replace(IBGP, four_octet_as=False)

# The attributes of a good UPDATE, by type code, as hexadecimal TLVs.
GOOD = {
    1: "40 01 01 00",
    2: "40 02 06 02 01 0000fde9",
    3: "40 03 04 c0000201",
    5: "40 05 04 00000064",
}
GOOD_OLD = {**GOOD, 2: "40 02 04 02 01 fde9"}
MP_REACH = "90 0e 001a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8"
MP_UNREACH = "90 0f 0008 0002 01 20 20010db9"


def body(attributes: str, nlri: bytes = NLRI, withdrawn: bytes = b"") -> bytes:
    block = bytes.fromhex(attributes)
    return len(withdrawn).to_bytes(2, "big") + withdrawn + len(block).to_bytes(2, "big") + block + nlri


def good(context: CodecContext) -> dict[int, str]:
    attributes = dict(GOOD if context.four_octet_as else GOOD_OLD)
    if not context.internal:
        del attributes[5]
    return attributes


Verdict: TypeAlias = tuple[Outcome, type[ProtocolError] | None]


class Case(NamedTuple):
    section: str
    what: str
    tlv: str  # replaces the good attribute of its type code, or is added
    ibgp: Verdict
    ebgp: Verdict
    old: bool = False  # a session with 2-octet AS numbers


def both(outcome: Outcome, error: type[ProtocolError] | None = None) -> tuple[Verdict, Verdict]:
    """The same for an internal and an external session."""
    return (outcome, error), (outcome, error)


IGNORED = (DISCARD, MalformedAttributeList)
CASES = [
    # 7.1 ORIGIN
    Case("7.1", "ORIGIN undefined", "40 01 01 03", *both(WITHDRAW, InvalidOrigin)),
    Case("7.1", "ORIGIN of 2 octets", "40 01 02 0000", *both(WITHDRAW, AttributeLengthError)),
    Case("7.1", "ORIGIN empty", "40 01 00", *both(WITHDRAW, AttributeLengthError)),
    Case("3.c", "ORIGIN optional", "c0 01 01 00", *both(WITHDRAW, AttributeFlagsError)),
    Case("3.c", "ORIGIN not transitive", "00 01 01 00", *both(WITHDRAW, AttributeFlagsError)),
    Case("3.c", "ORIGIN partial is no conflict", "60 01 01 00", *both(OK)),
    Case("4", "ORIGIN with a long length field", "50 01 0001 00", *both(OK)),
    # 7.2 AS_PATH
    Case("7.2", "AS_PATH empty", "40 02 00", *both(OK)),
    Case("7.2", "AS_PATH with an unknown segment", "40 02 06 05 01 0000fde9", *both(WITHDRAW, MalformedASPath)),
    Case("7.2", "AS_PATH with segment type 0", "40 02 06 00 01 0000fde9", *both(WITHDRAW, MalformedASPath)),
    Case("7.2", "AS_PATH segment overrun", "40 02 06 02 02 0000fde9", *both(WITHDRAW, MalformedASPath)),
    Case("7.2", "AS_PATH segment underrun", "40 02 07 02 01 0000fde9 02", *both(WITHDRAW, MalformedASPath)),
    Case("7.2", "AS_PATH with an empty segment", "40 02 02 02 00", *both(WITHDRAW, MalformedASPath)),
    Case(
        "7.2",
        "AS_PATH empty segment after a good one",
        "40 02 08 02 01 0000fde9 01 00",
        *both(WITHDRAW, MalformedASPath),
    ),
    Case("7.2", "AS_PATH of 2 octets an AS", "40 02 04 02 01 fde9", *both(WITHDRAW, MalformedASPath)),
    Case("7.2", "AS_PATH of 4 octets an AS", "40 02 06 02 01 0000fde9", *both(WITHDRAW, MalformedASPath), old=True),
    Case("3.c", "AS_PATH optional", "c0 02 06 02 01 0000fde9", *both(WITHDRAW, AttributeFlagsError)),
    Case("RFC 7607", "AS 0 in AS_PATH", "40 02 0a 02 02 0000fde9 00000000", *both(WITHDRAW, MalformedASPath)),
    Case("RFC 7607", "zeros across two AS numbers", "40 02 0a 02 02 fa000000 000000fa", *both(OK)),
    Case("RFC 7607", "AS 0 in a set", "40 02 06 01 01 00000000", *both(WITHDRAW, MalformedASPath)),
    Case(
        "RFC 5065 5",
        "confederation segment",
        "40 02 06 03 01 0000fde9",
        (OK, None),
        (WITHDRAW, MalformedASPath),
    ),
    # 7.3 NEXT_HOP
    Case("7.3", "NEXT_HOP of 3 octets", "40 03 03 c00002", *both(WITHDRAW, AttributeLengthError)),
    Case("7.3", "NEXT_HOP of 16 octets", "40 03 10" + "20" * 16, *both(WITHDRAW, AttributeLengthError)),
    Case("3.c", "NEXT_HOP optional", "80 03 04 c0000201", *both(WITHDRAW, AttributeFlagsError)),
    Case("3.e", "NEXT_HOP 0.0.0.0", "40 03 04 00000000", *both(WITHDRAW, InvalidNextHop)),
    Case("3.e", "NEXT_HOP multicast", "40 03 04 e0000001", *both(WITHDRAW, InvalidNextHop)),
    Case("3.e", "NEXT_HOP broadcast", "40 03 04 ffffffff", *both(WITHDRAW, InvalidNextHop)),
    Case("3.e", "NEXT_HOP on the loopback is a host", "40 03 04 7f000001", *both(OK)),
    # 7.4 MULTI_EXIT_DISC
    Case("7.4", "MED of 3 octets", "80 04 03 000001", *both(WITHDRAW, AttributeLengthError)),
    Case("7.4", "MED empty", "80 04 00", *both(WITHDRAW, AttributeLengthError)),
    Case("3.c", "MED transitive", "c0 04 04 00000001", *both(WITHDRAW, AttributeFlagsError)),
    # 7.5 LOCAL_PREF
    Case("7.5", "LOCAL_PREF", "40 05 04 00000064", (OK, None), IGNORED),
    Case("7.5", "LOCAL_PREF of 5 octets", "40 05 05 0000000064", (WITHDRAW, AttributeLengthError), IGNORED),
    Case("7.5", "LOCAL_PREF optional", "c0 05 04 00000064", (WITHDRAW, AttributeFlagsError), IGNORED),
    # 7.6 ATOMIC_AGGREGATE
    Case("7.6", "ATOMIC_AGGREGATE with an octet", "40 06 01 00", *both(DISCARD, AttributeLengthError)),
    Case("3.c", "ATOMIC_AGGREGATE optional", "c0 06 00", *both(WITHDRAW, AttributeFlagsError)),
    # 7.7 AGGREGATOR
    Case("7.7", "AGGREGATOR of 6 octets", "c0 07 06 fde9 c0000201", *both(DISCARD, AttributeLengthError)),
    Case(
        "7.7",
        "AGGREGATOR of 8 octets, old",
        "c0 07 08 0000fde9 c0000201",
        *both(DISCARD, AttributeLengthError),
        old=True,
    ),
    Case("7.7", "AGGREGATOR of 6 octets, old", "c0 07 06 fde9 c0000201", *both(OK), old=True),
    Case("3.c", "AGGREGATOR well-known", "40 07 08 0000fde9 c0000201", *both(WITHDRAW, AttributeFlagsError)),
    Case("RFC 7607", "AGGREGATOR with AS 0", "c0 07 08 00000000 c0000201", *both(DISCARD, OptionalAttributeError)),
    # 7.8 COMMUNITIES
    Case("7.8", "COMMUNITIES of 5 octets", "c0 08 05 fde8000100", *both(WITHDRAW, AttributeLengthError)),
    Case("7.8", "COMMUNITIES empty", "c0 08 00", *both(WITHDRAW, AttributeLengthError)),
    Case("3.c", "COMMUNITIES not transitive", "80 08 04 fde80001", *both(WITHDRAW, AttributeFlagsError)),
    # 7.9 ORIGINATOR_ID, 7.10 CLUSTER_LIST
    Case("7.9", "ORIGINATOR_ID", "80 09 04 0a000001", (OK, None), IGNORED),
    Case("7.9", "ORIGINATOR_ID of 3 octets", "80 09 03 0a0000", (WITHDRAW, AttributeLengthError), IGNORED),
    Case("7.10", "CLUSTER_LIST", "80 0a 04 0a000001", (OK, None), IGNORED),
    Case("7.10", "CLUSTER_LIST empty", "80 0a 00", (WITHDRAW, AttributeLengthError), IGNORED),
    Case("7.10", "CLUSTER_LIST of 6 octets", "80 0a 06 0a0000010a00", (WITHDRAW, AttributeLengthError), IGNORED),
    # 7.11 MP_REACH_NLRI, 7.12 MP_UNREACH_NLRI, 5.3
    Case("7.11", "MP_REACH_NLRI", MP_REACH, *both(OK)),
    Case("5.3", "MP_REACH_NLRI of 4 octets", "80 0e 04 00020110", *both(RESET, OptionalAttributeError)),
    Case("7.11", "MP_REACH_NLRI next hop over the end", "80 0e 05 0002011000", *both(RESET, OptionalAttributeError)),
    Case(
        "7.11",
        "MP_REACH_NLRI with an IPv6 next hop of 4 octets",
        "80 0e 0e 0002 01 04 c0000201 00 20 20010db8",
        *both(RESET, OptionalAttributeError),
    ),
    Case(
        "RFC 8950",
        "IPv4 with a next hop of 16 octets, not negotiated",
        "80 0e 19 0001 01 10 20010db8000000000000000000000001 00 18 cb0072",
        *both(RESET, OptionalAttributeError),
    ),
    Case("5.3", "MP_REACH_NLRI optional transitive", "d0" + MP_REACH[2:], *both(RESET, AttributeFlagsError)),
    Case(
        "5.3",
        "MP_REACH_NLRI with a /129",
        "80 0e 17 0002 01 10 20010db8000000000000000000000001 00 81 20",
        *both(RESET, OptionalAttributeError),
    ),
    Case(
        "5.3",
        "MP_REACH_NLRI with NLRI over the end",
        "80 0e 17 0002 01 10 20010db8000000000000000000000001 00 20 20",
        *both(RESET, OptionalAttributeError),
    ),
    Case("7.12", "MP_UNREACH_NLRI", MP_UNREACH, *both(OK)),
    Case("5.3", "MP_UNREACH_NLRI of 2 octets", "80 0f 02 0002", *both(RESET, OptionalAttributeError)),
    Case("5.3", "MP_UNREACH_NLRI well-known", "50" + MP_UNREACH[2:], *both(RESET, AttributeFlagsError)),
    Case("5.3", "MP_UNREACH_NLRI over the end", "80 0f 05 0002 01 20 20", *both(RESET, OptionalAttributeError)),
    Case(
        "RFC 4760 7",
        "family not negotiated",
        "80 0f 05 0001 80 08 0a",
        *both(Outcome.AFI_SAFI_DISABLE, OptionalAttributeError),
    ),
    # 7.14 EXTENDED COMMUNITIES, RFC 8092
    Case(
        "7.14", "EXTENDED COMMUNITIES of 9 octets", "c0 10 09 0002fde80000000100", *both(WITHDRAW, AttributeLengthError)
    ),
    Case("7.14", "EXTENDED COMMUNITIES empty", "c0 10 00", *both(WITHDRAW, AttributeLengthError)),
    Case(
        "RFC 8092 5",
        "LARGE COMMUNITIES of 8 octets",
        "c0 20 08 0000000100000002",
        *both(WITHDRAW, AttributeLengthError),
    ),
    Case("RFC 8092 5", "LARGE COMMUNITIES empty", "c0 20 00", *both(WITHDRAW, AttributeLengthError)),
    # RFC 6793
    Case("RFC 6793 4.1", "AS4_PATH from a new speaker", "c0 11 06 02 01 0000fde9", *both(*IGNORED)),
    Case("RFC 6793 4.1", "AS4_AGGREGATOR from a new speaker", "c0 12 08 0000fde9 c0000201", *both(*IGNORED)),
    Case("RFC 6793 6", "AS4_PATH too short", "c0 11 04 02 01 fde9", *both(DISCARD, AttributeLengthError), old=True),
    Case(
        "RFC 6793 6",
        "AS4_PATH with an empty segment",
        "c0 11 08 02 00 02 01 0000fde9",
        *both(DISCARD, OptionalAttributeError),
        old=True,
    ),
    Case("RFC 7607", "AS4_PATH with AS 0", "c0 11 06 02 01 00000000", *both(DISCARD, OptionalAttributeError), old=True),
    Case(
        "RFC 6793 6",
        "AS4_AGGREGATOR of 6 octets",
        "c0 12 06 fde9 c0000201",
        *both(DISCARD, AttributeLengthError),
        old=True,
    ),
    # RFC 4271 6.3 and section 5: attributes that are not known
    Case("4271 6.3", "unknown well-known", "40 63 01 00", *both(RESET, UnrecognizedWellKnownAttribute)),
    Case(
        "4271 6.3", "unknown, neither optional nor transitive", "00 63 00", *both(RESET, UnrecognizedWellKnownAttribute)
    ),
    Case("4271 5", "unknown optional transitive", "c0 63 02 abcd", *both(OK)),
    Case("4271 5", "unknown optional non-transitive", "80 63 02 abcd", *both(OK)),
    Case("4271 5", "unknown optional, empty", "c0 63 00", *both(OK)),
    # 3.g, section 4
    Case("3.g", "ORIGIN twice", GOOD[1] + "40 01 01 02", *both(DISCARD, MalformedAttributeList)),
    Case("3.g", "the second ORIGIN malformed", GOOD[1] + "40 01 02 0000", *both(DISCARD, MalformedAttributeList)),
    Case("3.g", "an unknown one three times", "c0 63 00 c0 63 00 c0 63 00", *both(DISCARD, MalformedAttributeList)),
    Case("3.g", "MP_UNREACH_NLRI twice", MP_UNREACH + MP_UNREACH, *both(RESET, MalformedAttributeList)),
    Case("3.g", "MP_REACH_NLRI twice", MP_REACH + MP_REACH, *both(RESET, MalformedAttributeList)),
]


def put(attributes: dict[int, str], tlv: str) -> str:
    """The good attributes with one replaced or added at the end."""
    octets = bytes.fromhex(tlv)
    rest = [good_one for code, good_one in attributes.items() if code != octets[1]]
    return "".join([*rest, tlv])
