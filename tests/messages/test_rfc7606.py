"""RFC 7606 as a table, typed from the RFC: what is wrong with an UPDATE, and what that means.

Each case is a whole UPDATE for 203.0.113.0/24 with one thing changed.  `RESET` is raised, with the error that
RFC 4271 6.3 (or RFC 4760 section 7) names; every other outcome is a value, and carries that error too.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pybgp.errors import (
    AttributeLengthError,
    BadMessageLength,
    InvalidNetworkField,
    InvalidOrigin,
    MalformedASPath,
    MalformedAttributeList,
    MissingWellKnownAttribute,
    ProtocolError,
    UnrecognizedWellKnownAttribute,
)
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.messages.attributes.base import Outcome
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.update import Update, decode_update
from tests.rfc7606_table import (
    CASES,
    DISCARD,
    EBGP,
    GOOD,
    IBGP,
    IPV6_NLRI,
    MP_REACH,
    MP_UNREACH,
    NLRI,
    OK,
    RESET,
    WITHDRAW,
    Case,
    body,
    good,
    put,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section} {case.what}")
@pytest.mark.parametrize("internal", [True, False], ids=["ibgp", "ebgp"])
@pytest.mark.rfc(
    "7606",
    "3",
    "pybgp.messages.attributes.codec:decode_block",
    "every attribute with wrong flags, lengths and values, from inside and outside",
)
@pytest.mark.rfc("7606", "7.1", "pybgp.messages.attributes.origin:_check", "ORIGIN")
@pytest.mark.rfc("7606", "7.2", "pybgp.messages.attributes.as_path:check_segments", "AS_PATH")
@pytest.mark.rfc("7606", "7.4", "pybgp.messages.attributes.codec:_recognized", "MULTI_EXIT_DISC")
@pytest.mark.rfc("7606", "7.5", "pybgp.messages.attributes.codec:_recognized", "LOCAL_PREF")
@pytest.mark.rfc("7606", "7.6", "pybgp.messages.attributes.codec:_recognized", "ATOMIC_AGGREGATE")
@pytest.mark.rfc("7606", "7.7", "pybgp.messages.attributes.codec:_recognized", "AGGREGATOR")
@pytest.mark.rfc("7606", "7.8", "pybgp.messages.attributes.codec:_recognized", "COMMUNITIES")
@pytest.mark.rfc("7606", "7.9", "pybgp.messages.attributes.codec:_recognized", "ORIGINATOR_ID")
@pytest.mark.rfc("7606", "7.10", "pybgp.messages.attributes.codec:_recognized", "CLUSTER_LIST")
@pytest.mark.rfc("7606", "7.11", "pybgp.messages.attributes.codec:_recognized", "MP_REACH_NLRI")
@pytest.mark.rfc("7606", "7.12", "pybgp.messages.attributes.codec:_recognized", "MP_UNREACH_NLRI")
@pytest.mark.rfc("7606", "7.14", "pybgp.messages.attributes.codec:_recognized", "EXTENDED COMMUNITIES")
@pytest.mark.rfc("7606", "7.3", "pybgp.messages.attributes.next_hop:_check", "no address of a host")
@pytest.mark.rfc("7606", "7.15", "pybgp.messages.attributes.codec:_recognized", "a length that is no multiple of 20")
@pytest.mark.rfc("8092", "6", "pybgp.messages.attributes.codec:_recognized", "a length that is no multiple of 12")
@pytest.mark.rfc("4271", "5.1.6", "pybgp.messages.attributes.codec:_recognized", "it has no value")
@pytest.mark.rfc("6793", "6", "pybgp.messages.attributes.codec:_recognized", "malformed AS4 attributes are discarded")
@pytest.mark.rfc("7607", "2", "pybgp.messages.attributes.as_path:check_segments", "AS 0 in a path is malformed")
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
@pytest.mark.rfc("7606", "2", "pybgp.messages.attributes.codec:decode_block", "attribute discard leaves the others")
def test_a_discarded_attribute_is_gone_and_the_others_stay(case: Case) -> None:
    context = replace(IBGP, four_octet_as=not case.old)
    (reach,) = decode_update(body(put(good(context), case.tlv)), context, AttributePool()).reach
    assert reach.attributes.local_pref == 100
    assert reach.attributes.origin == 0
    assert str(reach.attributes.as_path) == "65001"
    assert not {row.code for row, _ in reach.attributes.items()} - {1, 2, 5}


@pytest.mark.parametrize("code", [1, 2, 3, 5])
@pytest.mark.rfc(
    "7606", "3", "pybgp.messages.update:decode_update", "a missing well-known attribute is treat-as-withdraw"
)
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


@pytest.mark.rfc(
    "7606", "2", "pybgp.messages.update:decode_update", "treat-as-withdraw takes the routes of all families"
)
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
@pytest.mark.rfc("7606", "4", "pybgp.messages.attributes.codec:split_block", "an attribute over the end of the block")
def test_a_block_that_ends_too_early(rest: str) -> None:
    """Section 4: treat-as-withdraw, and the NLRI are found by the Total Path Attribute Length."""
    update = decode_update(body("".join(GOOD.values()) + rest), IBGP, AttributePool())
    assert update.outcome is WITHDRAW
    assert update.unreach[0].nlri == [NLRI]
    assert type(update.faults[0].error) is AttributeLengthError
    assert update.remainder == bytes.fromhex(rest)


@pytest.mark.parametrize("rest", ["80 0e 20 0002", "80 0f 20 0002", "90 0e 0100"])
@pytest.mark.rfc(
    "4760",
    "7",
    "pybgp.messages.attributes.codec:_overrun",
    "a multiprotocol attribute that cannot be read ends the session",
)
def test_a_multiprotocol_attribute_over_the_end(rest: str) -> None:
    """3.j: its NLRI cannot be read."""
    with pytest.raises(AttributeLengthError):
        decode_update(body("".join(GOOD.values()) + rest), IBGP, AttributePool())


@pytest.mark.rfc("7606", "5.2", "pybgp.messages.update:decode_update", "an error without NLRI resets")
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


@pytest.mark.rfc("7606", "2", "pybgp.messages.update:Update.outcome", "of several errors the strongest wins")
def test_the_strongest_outcome_counts() -> None:
    """3.h."""
    update = decode_update(body(put(GOOD, "40 01 01 07") + "40 06 01 00"), IBGP, AttributePool())
    assert sorted(fault.outcome for fault in update.faults) == [DISCARD, WITHDRAW]
    assert update.outcome is WITHDRAW
    with pytest.raises(UnrecognizedWellKnownAttribute):
        decode_update(body(put(GOOD, "40 01 01 07") + "40 63 00"), IBGP, AttributePool())


@pytest.mark.parametrize("field", ["21 0a000000 00", "18 0a00", "ff", "20"])
@pytest.mark.rfc("7606", "5.3", "pybgp.messages.nlri.unicast:_cut_exactly", "NLRI that cannot be read resets")
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
@pytest.mark.rfc("4271", "6.3", "pybgp.messages.update:decode_update", "lengths of the fields")
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


def test_the_error_carries_a_long_attribute_whole() -> None:
    tlv = "d0 08 4001" + "00" * 0x4001
    update = decode_update(body(put(GOOD, tlv)), replace(IBGP, extended_message=True), AttributePool())
    assert update.faults[0].error.data == bytes.fromhex(tlv)
