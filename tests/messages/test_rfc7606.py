"""RFC 7606 as a table, typed from the RFC: what is wrong with an UPDATE, and what that means.

Each case is a whole UPDATE for 203.0.113.0/24 with one thing changed.  `RESET` is raised, with the error that
RFC 4271 6.3 (or RFC 4760 section 7) names; every other outcome is a value, and carries that error too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, TypeAlias

import pytest

from pybgp.errors import (
    AttributeFlagsError,
    AttributeLengthError,
    BadMessageLength,
    InvalidNetworkField,
    InvalidNextHop,
    InvalidOrigin,
    MalformedASPath,
    MalformedAttributeList,
    MissingWellKnownAttribute,
    OptionalAttributeError,
    ProtocolError,
    UnrecognizedWellKnownAttribute,
)
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.messages.attributes.base import Outcome
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.context import CodecContext
from pybgp.messages.update import Update, decode_update

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


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section} {case.what}")
@pytest.mark.parametrize("internal", [True, False], ids=["ibgp", "ebgp"])
def test_attribute(case: Case, internal: bool) -> None:
    context = replace(IBGP, internal=internal, four_octet_as=not case.old)
    outcome, error = case.ibgp if internal else case.ebgp
    octets = body(put(good(context), case.tlv))
    if outcome is RESET:
        assert error is not None
        with pytest.raises(error) as raised:
            decode_update(octets, context, AttributePool())
        assert raised.value.reason
        return
    pool = AttributePool()
    update = decode_update(octets, context, pool)
    assert update.outcome is outcome
    check_outcome(update, outcome, error)
    # What a pool remembers changes nothing.
    again = decode_update(octets, context, pool)
    assert (again, again.reach, again.unreach, again.faults) == (update, update.reach, update.unreach, update.faults)


def check_outcome(update: Update, outcome: Outcome, error: type[ProtocolError] | None) -> None:
    announced = [nlri for reach in update.reach for nlri in reach.nlri]
    withdrawn = [nlri for unreach in update.unreach for nlri in unreach.nlri]
    if outcome is WITHDRAW:
        assert NLRI in withdrawn
        assert announced == []
    else:
        assert NLRI in announced
        assert NLRI not in withdrawn
    if error is None:
        assert update.faults == ()
    else:
        assert [type(fault.error) for fault in update.faults if fault.outcome is outcome] == [error]
        assert all(fault.reason for fault in update.faults)


@pytest.mark.parametrize("case", [case for case in CASES if case.ibgp[0] is DISCARD], ids=lambda case: case.what)
def test_a_discarded_attribute_is_gone_and_the_others_stay(case: Case) -> None:
    context = replace(IBGP, four_octet_as=not case.old)
    (reach,) = decode_update(body(put(good(context), case.tlv)), context, AttributePool()).reach
    assert reach.attributes.local_pref == 100
    assert reach.attributes.origin == 0
    assert str(reach.attributes.as_path) == "65001"
    assert not {row.code for row, _ in reach.attributes.items()} - {1, 2, 5}


@pytest.mark.parametrize("code", [1, 2, 3, 5])
def test_missing_attributes(code: int) -> None:
    """3.d; LOCAL_PREF is required on internal sessions alone."""
    for context in (IBGP, EBGP):
        attributes = good(context)
        if code not in attributes:
            continue
        del attributes[code]
        update = decode_update(body("".join(attributes.values())), context, AttributePool())
        assert update.outcome is WITHDRAW
        (fault,) = update.faults
        assert fault.error == MissingWellKnownAttribute(data=bytes((code,)))
        assert [u.nlri for u in update.unreach] == [[NLRI]]
        assert update.reach == ()


@pytest.mark.parametrize("code", [1, 2, 5])
def test_missing_attributes_of_multiprotocol_routes(code: int) -> None:
    """RFC 4760 section 3: ORIGIN and AS_PATH, and LOCAL_PREF inside of an AS; NEXT_HOP is not needed."""
    attributes = {**GOOD, 14: MP_REACH}
    del attributes[3]
    assert decode_update(body("".join(attributes.values()), b""), IBGP, AttributePool()).outcome is OK
    del attributes[code]
    update = decode_update(body("".join(attributes.values()), b""), IBGP, AttributePool())
    assert update.outcome is WITHDRAW
    assert [(u.family, u.nlri) for u in update.unreach] == [(IPV6_UNICAST, [IPV6_NLRI])]


@pytest.mark.parametrize("tlv", ["40 03 04 00000000", "40 03 03 c00002", "80 03 04 c0000201"])
def test_next_hop_is_ignored_without_nlri_of_its_own(tlv: str) -> None:
    """RFC 4760 section 3."""
    octets = body(GOOD[1] + GOOD[2] + tlv + GOOD[5] + MP_REACH, b"")
    update = decode_update(octets, IBGP, AttributePool())
    assert update.faults == ()
    assert update.reach[0].attributes.next_hop_text == "2001:db8::1"


def test_treat_as_withdraw_takes_all_families() -> None:
    octets = body(put(GOOD, "40 01 01 07") + MP_REACH + MP_UNREACH, withdrawn=bytes.fromhex("08 0a"))
    update = decode_update(octets, IBGP, AttributePool())
    assert update.reach == ()
    assert sorted((u.family, u.nlri) for u in update.unreach) == [
        (IPV4_UNICAST, [b"\x08\x0a"]),
        (IPV4_UNICAST, [NLRI]),
        (IPV6_UNICAST, [IPV6_NLRI]),
        (IPV6_UNICAST, [bytes.fromhex("20 20010db9")]),
    ]


@pytest.mark.parametrize(
    "rest",
    [
        "80",
        "80 04",
        "90 04 00",
        "80 04 04 000000",
        "90 04 0100 00000000",
        "80 04 ff",
        "c0 63 02 00",
    ],
)
def test_a_block_that_ends_too_early(rest: str) -> None:
    """Section 4: treat-as-withdraw, and the NLRI are found by the Total Path Attribute Length."""
    update = decode_update(body("".join(GOOD.values()) + rest), IBGP, AttributePool())
    assert update.outcome is WITHDRAW
    assert update.unreach[0].nlri == [NLRI]
    assert type(update.faults[0].error) is AttributeLengthError
    assert update.remainder == bytes.fromhex(rest)


@pytest.mark.parametrize("rest", ["80 0e 20 0002", "80 0f 20 0002", "90 0e 0100"])
def test_a_multiprotocol_attribute_over_the_end(rest: str) -> None:
    """3.j: its NLRI cannot be read."""
    with pytest.raises(AttributeLengthError):
        decode_update(body("".join(GOOD.values()) + rest), IBGP, AttributePool())


def test_errors_without_reachable_nlri_reset_the_session() -> None:
    """5.2: we cannot be confident that the NLRI were read; attribute discard is not concerned."""
    with pytest.raises(InvalidOrigin):
        decode_update(body("40 01 01 07", b""), IBGP, AttributePool())
    with pytest.raises(InvalidOrigin):
        decode_update(body("40 01 01 07" + MP_UNREACH, b""), IBGP, AttributePool())
    with pytest.raises(AttributeLengthError):
        decode_update(body(MP_UNREACH + "80", b""), IBGP, AttributePool())
    update = decode_update(body(MP_UNREACH + "40 06 01 00", b""), IBGP, AttributePool())
    assert update.outcome is DISCARD
    assert update.unreach[0].nlri == [bytes.fromhex("20 20010db9")]


def test_attributes_without_nlri_are_no_error() -> None:
    update = decode_update(body("".join(GOOD.values()), b""), IBGP, AttributePool())
    assert (update.reach, update.unreach, update.faults) == ((), (), ())
    assert update.end_of_rib is None


def test_the_strongest_outcome_counts() -> None:
    """3.h."""
    update = decode_update(body(put(GOOD, "40 01 01 07") + "40 06 01 00"), IBGP, AttributePool())
    assert sorted(fault.outcome for fault in update.faults) == [DISCARD, WITHDRAW]
    assert update.outcome is WITHDRAW
    with pytest.raises(UnrecognizedWellKnownAttribute):
        decode_update(body(put(GOOD, "40 01 01 07") + "40 63 00"), IBGP, AttributePool())


@pytest.mark.parametrize("field", ["21 0a000000 00", "18 0a00", "ff", "20"])
def test_bad_nlri_and_withdrawn_routes(field: str) -> None:
    """5.3 and 3.i."""
    octets = bytes.fromhex(field)
    with pytest.raises(InvalidNetworkField):
        decode_update(body("".join(GOOD.values()), octets), IBGP, AttributePool())
    with pytest.raises(InvalidNetworkField):
        decode_update(body("", b"", octets), IBGP, AttributePool())
    pool = AttributePool()
    decode_update(body("".join(GOOD.values())), IBGP, pool)
    with pytest.raises(InvalidNetworkField):
        decode_update(body("".join(GOOD.values()), octets), IBGP, pool)


@pytest.mark.parametrize("octets", ["0001 0000", "ffff 0000", "0000 0001", "0000 0008 00", "0001 00 00"])
def test_bad_lengths_of_the_fields(octets: str) -> None:
    """RFC 4271 6.3: "If the Withdrawn Routes Length or Total Attribute Length is too large"."""
    with pytest.raises(MalformedAttributeList):
        decode_update(bytes.fromhex(octets), IBGP, AttributePool())


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_too_short(size: int) -> None:
    with pytest.raises(BadMessageLength) as raised:
        decode_update(bytes(size), IBGP, AttributePool())
    assert raised.value.data == (19 + size).to_bytes(2, "big")


def test_the_error_carries_the_attribute() -> None:
    """RFC 4271 6.3: "The Data field MUST contain the erroneous attribute (type, length, and value)"."""
    update = decode_update(body(put(GOOD, "40 01 01 07")), IBGP, AttributePool())
    assert update.faults[0].error == InvalidOrigin(data=bytes.fromhex("40 01 01 07"))
    assert update.faults[0].attribute == 1
    update = decode_update(body(put(GOOD, "40 02 02 02 00")), IBGP, AttributePool())
    assert update.faults[0].error == MalformedASPath()


def test_the_error_fits_a_notification() -> None:
    tlv = "d0 08 4001" + "00" * 0x4001
    update = decode_update(body(put(GOOD, tlv)), replace(IBGP, extended_message=True), AttributePool())
    assert len(update.faults[0].error.data) == 4096 - 21
