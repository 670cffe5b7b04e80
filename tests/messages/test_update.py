"""UPDATE: what it announces and withdraws, and the octets it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.errors import InvalidNetworkField, OptionalAttributeError, ProtocolError
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages.attributes import ROW_OF
from pybgp.messages.attributes.base import Flag, Malformed, Outcome, RawAttribute
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.context import CodecContext
from pybgp.messages.update import Reach, Unreach, Update, decode_update, update_body
from tests.strategies import contexts, mutated, update_bodies

BOTH = frozenset({IPV4_UNICAST, IPV6_UNICAST})
IBGP = CodecContext(four_octet_as=True, internal=True, families=BOTH)
GOOD = "40010100 400206 0201 0000fde9 400304 c0000201 400504 00000064"
WITHOUT_NEXT_HOP = "40010100 400206 0201 0000fde9 400504 00000064"
V6_HOP = "20010db8000000000000000000000001"
LINK_LOCAL = "fe800000000000000000000000000002"


def decode(
    attributes: str = "",
    nlri: str = "",
    withdrawn: str = "",
    context: CodecContext = IBGP,
    pool: AttributePool | None = None,
) -> Update:
    fields = [bytes.fromhex(text) for text in (withdrawn, attributes, nlri)]
    body = len(fields[0]).to_bytes(2, "big") + fields[0] + len(fields[1]).to_bytes(2, "big") + fields[1] + fields[2]
    return decode_update(body, context, pool or AttributePool())


def mp_reach(family: str, next_hop: str, nlri: str) -> str:
    value = bytes.fromhex(family) + bytes((len(bytes.fromhex(next_hop)),)) + bytes.fromhex(next_hop + "00" + nlri)
    return (bytes((0x80, 14, len(value))) + value).hex()


@pytest.mark.rfc("4271", "4.3", "pybgp.messages.update:decode_update", "withdrawn routes, attributes and NLRI")
def test_classic_fields() -> None:
    update = decode(GOOD, "18cb0071 20c6336401", "080a")
    (unreach,) = update.unreach
    (reach,) = update.reach
    assert (unreach.family, unreach.nlri, unreach.path_ids) == (IPV4_UNICAST, [b"\x08\x0a"], None)
    assert (reach.family, reach.path_ids) == (IPV4_UNICAST, None)
    assert reach.nlri == [bytes.fromhex("18cb0071"), bytes.fromhex("20c6336401")]
    assert reach.attributes.next_hop_text == "192.0.2.1"
    assert reach.attributes.local_pref == 100
    assert update.outcome is Outcome.OK
    assert update.end_of_rib is None
    # The faithful view.
    assert update.withdrawn == b"\x08\x0a"
    assert update.nlri == bytes.fromhex("18cb0071 20c6336401")
    assert [(raw.flags, raw.code) for raw in update.attributes] == [(0x40, 1), (0x40, 2), (0x40, 3), (0x40, 5)]
    assert update.remainder == b""
    assert update.add_path is False


def test_host_bits_are_masked_in_keys_and_kept_in_the_field() -> None:
    update = decode(GOOD, "18cb0071 0a0fff")
    assert update.reach[0].nlri == [bytes.fromhex("18cb0071"), bytes.fromhex("0a0fc0")]
    assert update.nlri == bytes.fromhex("18cb0071 0a0fff")


@pytest.mark.rfc("4760", "3", "pybgp.messages.attributes.mp_reach:_decode", "a route of IPv6")
@pytest.mark.rfc("4760", "4", "pybgp.messages.attributes.mp_unreach:_decode", "withdrawn routes of any family")
def test_multiprotocol() -> None:
    update = decode(WITHOUT_NEXT_HOP + mp_reach("000201", V6_HOP, "20 20010db8 00") + "800f08 000201 20 20010db9")
    (reach,) = update.reach
    (unreach,) = update.unreach
    assert (reach.family, reach.nlri) == (IPV6_UNICAST, [bytes.fromhex("2020010db8"), b"\0"])
    assert reach.attributes.next_hop == bytes.fromhex(V6_HOP)
    assert (unreach.family, unreach.nlri) == (IPV6_UNICAST, [bytes.fromhex("2020010db9")])
    assert update.outcome is Outcome.OK


@pytest.mark.rfc("2545", "3", "pybgp.messages.update:decode_update", "16 and 32 octets")
def test_global_and_link_local_next_hop() -> None:
    (reach,) = decode(WITHOUT_NEXT_HOP + mp_reach("000201", V6_HOP + LINK_LOCAL, "20 20010db8")).reach
    assert reach.nlri == [bytes.fromhex("2020010db8")]
    assert reach.attributes.next_hop == bytes.fromhex(V6_HOP + LINK_LOCAL)
    assert reach.attributes.link_local_next_hop == "fe80::2"


def test_both_families_in_one_update() -> None:
    update = decode(GOOD + mp_reach("000201", V6_HOP, "20 20010db8"), "18cb0071")
    by_family = {reach.family: reach.attributes for reach in update.reach}
    assert by_family[IPV4_UNICAST].next_hop_text == "192.0.2.1"
    assert by_family[IPV6_UNICAST].next_hop_text == "2001:db8::1"
    assert by_family[IPV4_UNICAST].block == by_family[IPV6_UNICAST].block


def test_ipv4_in_mp_reach() -> None:
    (reach,) = decode(WITHOUT_NEXT_HOP + mp_reach("000101", "c0000202", "18cb0071")).reach
    assert reach.family == IPV4_UNICAST
    assert reach.attributes.next_hop_text == "192.0.2.2"


@pytest.mark.parametrize("next_hop", [V6_HOP, V6_HOP + LINK_LOCAL])
@pytest.mark.rfc("8950", "3", "pybgp.messages.update:_cut_multiprotocol", "IPv4 with an IPv6 next hop")
def test_extended_next_hop(next_hop: str) -> None:
    """RFC 8950: IPv4 routes with an IPv6 next hop, where negotiated."""
    attributes = WITHOUT_NEXT_HOP + mp_reach("000101", next_hop, "18cb0071")
    context = replace(IBGP, extended_next_hop=frozenset({IPV4_UNICAST}))
    (reach,) = decode(attributes, context=context).reach
    assert (reach.family, reach.nlri) == (IPV4_UNICAST, [bytes.fromhex("18cb0071")])
    assert reach.attributes.next_hop == bytes.fromhex(next_hop)
    with pytest.raises(OptionalAttributeError):
        decode(attributes)


@pytest.mark.rfc("7911", "3", "pybgp.messages.update:_cut", "path identifiers in both fields")
def test_add_path() -> None:
    context = replace(IBGP, add_path_receive=BOTH)
    update = decode(
        GOOD + mp_reach("000201", V6_HOP, "00000009 20 20010db8") + "800f0c 000201 00000001 20 20010db9",
        "00000001 18cb0071  00000002 18cb0071",
        "ffffffff 080a",
        context,
    )
    found = {reach.family: (reach.nlri, reach.path_ids) for reach in update.reach}
    assert found[IPV4_UNICAST] == ([bytes.fromhex("18cb0071")] * 2, [1, 2])
    assert found[IPV6_UNICAST] == ([bytes.fromhex("2020010db8")], [9])
    assert [(u.family, u.nlri, u.path_ids) for u in update.unreach] == [
        (IPV4_UNICAST, [b"\x08\x0a"], [0xFFFFFFFF]),
        (IPV6_UNICAST, [bytes.fromhex("2020010db9")], [1]),
    ]
    assert update.add_path is True
    with pytest.raises(InvalidNetworkField):
        decode(GOOD, "00000001 18cb", context=context)


def test_treat_as_withdraw_keeps_the_path_identifiers() -> None:
    context = replace(IBGP, add_path_receive=BOTH)
    update = decode(GOOD.replace("40010100", "40010109"), "00000007 18cb0071", context=context)
    assert [(u.nlri, u.path_ids) for u in update.unreach] == [([bytes.fromhex("18cb0071")], [7])]


# -- End-of-RIB -------------------------------------------------------------------------------------------


@pytest.mark.rfc("4724", "2", "pybgp.messages.update:Update.end_of_rib", "the markers of both families")
def test_end_of_rib() -> None:
    update = decode()
    assert update.end_of_rib == IPV4_UNICAST
    assert [(u.family, u.nlri) for u in update.unreach] == [(IPV4_UNICAST, [])]
    for attributes in ("800f03 000201", "900f0003 000201"):
        update = decode(attributes)
        assert update.end_of_rib == IPV6_UNICAST
        assert [(u.family, u.nlri) for u in update.unreach] == [(IPV6_UNICAST, [])]
    assert decode("800f03 000101").end_of_rib == IPV4_UNICAST


@pytest.mark.parametrize(
    ("attributes", "nlri", "withdrawn"),
    [
        ("800f03 000201", "", "080a"),
        ("800f03 000201" + GOOD, "", ""),
        ("800f03 000201" + GOOD, "18cb0071", ""),
        ("800f03 000201 c06300", "", ""),
        (GOOD, "", ""),
        ("800f08 000201 20 20010db9", "", ""),
        ("800f03 000180", "", ""),  # a family that was not negotiated
        ("", "", "080a"),
    ],
)
def test_no_end_of_rib(attributes: str, nlri: str, withdrawn: str) -> None:
    assert decode(attributes, nlri, withdrawn).end_of_rib is None


# -- families that were not negotiated --------------------------------------------------------------------


def test_a_family_that_was_not_negotiated_is_left_out() -> None:
    ipv4_only = replace(IBGP, families=frozenset({IPV4_UNICAST}))
    update = decode(GOOD + mp_reach("000201", V6_HOP, "20 20010db8"), "18cb0071", context=ipv4_only)
    assert [reach.family for reach in update.reach] == [IPV4_UNICAST]
    assert update.outcome is Outcome.AFI_SAFI_DISABLE
    ipv6_only = replace(IBGP, families=frozenset({IPV6_UNICAST}))
    update = decode(GOOD + mp_reach("000201", V6_HOP, "20 20010db8"), "18cb0071", "080a", ipv6_only)
    assert [reach.family for reach in update.reach] == [IPV6_UNICAST]
    assert update.unreach == ()
    assert update.outcome is Outcome.AFI_SAFI_DISABLE


@pytest.mark.rfc("4760", "6", "pybgp.messages.update:_cut_multiprotocol", "a pair of AFI and SAFI is one family")
def test_an_unknown_family_keeps_its_octets() -> None:
    """There is no row for it: the field is one thing, octet by octet."""
    context = replace(IBGP, families=BOTH | {Family(25, 70)})
    update = decode("800f05 0019 46 ffff", context=context)
    assert update.unreach == (Unreach(Family(25, 70), [b"\xff\xff"]),)
    assert update.outcome is Outcome.OK
    (raw,) = update.attributes
    assert raw == RawAttribute(0x80, 15, bytes.fromhex("001946ffff"))


# -- attributes -------------------------------------------------------------------------------------------


def test_unknown_attributes_are_passed_on_marked_partial() -> None:
    """RFC 4271 section 5; non-transitive ones are "quietly ignored and not passed along"."""
    update = decode(GOOD + "c063020102 806401ff e06501aa d0660001bb", "18cb0071")
    (reach,) = update.reach
    assert reach.attributes.unknown == (
        RawAttribute(0xE0, 99, b"\x01\x02"),
        RawAttribute(0xE0, 101, b"\xaa"),
        RawAttribute(0xE0, 102, b"\xbb"),
    )
    # As received they are in the faithful view.
    assert [(raw.flags, raw.code) for raw in update.attributes][4:] == [
        (0xC0, 99),
        (0x80, 100),
        (0xE0, 101),
        (0xD0, 102),
    ]


def test_equal_attributes_in_any_order_and_form_are_equal() -> None:
    pool = AttributePool()
    (one,) = decode(GOOD + "80040400000007", "18cb0071", pool=pool).reach
    (other,) = decode(
        "9004000400000007" + "400504 00000064 400304 c0000201 400206 0201 0000fde9 5001000100", "18cb0071", pool=pool
    ).reach
    assert one.attributes == other.attributes
    assert other.attributes[MED] == 7


def test_the_partial_bit_of_a_known_attribute_stays() -> None:
    """RFC 4271 section 5: once set it must not be cleared."""
    (reach,) = decode(GOOD + "e00804fde80001", "18cb0071").reach
    assert reach.attributes.communities == {0xFDE80001}
    assert bytes.fromhex("e00804fde80001") in reach.attributes.block


def test_a_block_seen_before_gives_the_same_object() -> None:
    pool = AttributePool()
    (first,) = decode(GOOD, "18cb0071", pool=pool).reach
    (second,) = decode(GOOD, "18cb0072", pool=pool).reach
    assert first.attributes is second.attributes
    multiprotocol = WITHOUT_NEXT_HOP + mp_reach("000201", V6_HOP, "20 20010db8")
    (first,) = decode(multiprotocol, pool=pool).reach
    (second,) = decode(multiprotocol, pool=pool).reach
    assert first.attributes is second.attributes


def test_a_pool_stays_small_whatever_comes() -> None:
    pool = AttributePool(limit=10)
    for number in range(100):
        decode(GOOD + f"800404{number:08x}", "18cb0071", pool=pool)
        decode(WITHOUT_NEXT_HOP + f"800404{number:08x}" + mp_reach("000201", V6_HOP, "20 20010db8"), pool=pool)
        decode(mp_reach("000201", V6_HOP, "20 20010db8") + WITHOUT_NEXT_HOP + f"800404{number:08x}", pool=pool)
        assert pool.size <= 40


def test_a_pool_knows_what_sessions_mean_by_a_block() -> None:
    """The same octets mean other things, or are wrong, on other sessions of the speaker."""
    pool = AttributePool()
    external, old = replace(IBGP, internal=False), replace(IBGP, four_octet_as=False)
    for _ in range(2):
        assert decode(GOOD, "18cb0071", pool=pool).faults == ()
        assert decode(GOOD, "18cb0071", context=external, pool=pool).reach[0].attributes.local_pref is None
        assert decode(GOOD, "18cb0071", context=old, pool=pool).outcome is Outcome.TREAT_AS_WITHDRAW
        assert decode(WITHOUT_NEXT_HOP, "18cb0071", pool=pool).outcome is Outcome.TREAT_AS_WITHDRAW
        assert decode(WITHOUT_NEXT_HOP, "", "080a", pool=pool).faults == ()


# -- the whole ----------------------------------------------------------------------------------------------


def reassembled(update: Update) -> bytes:
    return update_body(update.withdrawn, update.attributes, update.nlri, update.remainder)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_was_decoded_survives(data: st.DataObject) -> None:
    context = data.draw(contexts().map(lambda c: replace(c, add_path_receive=frozenset(), add_path_send=frozenset())))
    body = data.draw(update_bodies(context))
    try:
        update = decode_update(body, context, AttributePool())
    except ProtocolError:
        # MP attributes with a next hop that was not negotiated, or attributes without NLRI.
        return
    assert reassembled(update) == body
    again = decode_update(body, context, AttributePool())
    assert again == update
    assert hash(again) == hash(update)
    assert repr(again) == repr(update)
    assert (again.reach, again.unreach, again.faults) == (update.reach, update.unreach, update.faults)
    for raw in update.attributes:
        row = ROW_OF.get(raw.code)
        if row is None:
            continue
        try:
            value = row.decode(raw.value, context)
        except Malformed:
            continue
        assert row.encode(value, context) == raw.value


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_decoder_is_total(data: st.DataObject) -> None:
    """Any octets, random or nearly right: an Update that is consistent, or a ProtocolError with words."""
    context = data.draw(contexts())
    body = data.draw(st.one_of(st.binary(max_size=100), mutated(update_bodies(context))))
    pool = AttributePool()
    try:
        update = decode_update(body, context, pool)
    except ProtocolError as error:
        caught = error
    else:
        check_update(update, context, pool)
        return
    assert caught.reason
    assert caught.code in (1, 3)
    assert len(caught.data) <= max(len(body), 21)


def check_update(update: Update, context: CodecContext, pool: AttributePool) -> None:
    assert reassembled(update) == update.body
    assert update.outcome < Outcome.SESSION_RESET
    if update.outcome >= Outcome.TREAT_AS_WITHDRAW and any(
        f.outcome is Outcome.TREAT_AS_WITHDRAW for f in update.faults
    ):
        assert update.reach == ()
    parts: list[Reach | Unreach] = [*update.reach, *update.unreach]
    for part in parts:
        assert part.family in context.families
        assert (part.path_ids is not None) == (part.family in context.add_path_receive) or not part.nlri
        assert part.path_ids is None or len(part.path_ids) == len(part.nlri)
    for reach in update.reach:
        assert reach.nlri
        assert reach.attributes.next_hop
        assert len(reach.attributes.as_path.segments) >= 0
        assert repr(reach.attributes)
        for row, value in reach.attributes.items():
            assert row.to_json(value) is not None
        assert all(raw.flags & Flag.PARTIAL for raw in reach.attributes.unknown)
    assert hash(update) == hash(decode_update(update.body, context, pool))


@pytest.mark.parametrize("context", [IBGP, replace(IBGP, internal=False), replace(IBGP, families=frozenset())])
def test_every_truncation_is_answered(context: CodecContext) -> None:
    """Each field cut anywhere, with the length fields put right."""
    whole = bytes.fromhex(mp_reach("000201", V6_HOP, "20 20010db8") + GOOD + "800f08 000201 20 20010db9")
    field = bytes.fromhex("18cb0071 20c6336401")
    for stop in range(len(whole) + 1):
        for nlri in {field[:end] for end in (0, 1, 4, 6, 9)}:
            for withdrawn in (b"", b"\x08", b"\x08\x0a"):
                try:
                    decode(whole[:stop].hex(), nlri.hex(), withdrawn.hex(), context)
                except ProtocolError:
                    continue


def test_much_of_anything_takes_linear_memory() -> None:
    """21,000 duplicates of an attribute are one fault; 21,000 attributes of other kinds at most 256."""
    same = bytes.fromhex("c06300") * 21000
    body = b"\0\0" + len(same).to_bytes(2, "big") + same
    update = decode_update(body, replace(IBGP, extended_message=True), AttributePool())
    assert len(update.faults) == 1
    many = b"".join(bytes((0xC0, code, 0)) for _ in range(90) for code in range(33, 256) if code not in ROW_OF)
    body = b"\0\0" + len(many).to_bytes(2, "big") + many
    assert len(decode_update(body, IBGP, AttributePool()).faults) <= 256


def test_the_body_of_fields_that_are_too_long() -> None:
    with pytest.raises(ValueError, match="withdrawn"):
        update_body(bytes(65536), [], b"")
    with pytest.raises(ValueError, match="attributes"):
        update_body(b"", [RawAttribute(0xD0, 99, bytes(65535))], b"")
