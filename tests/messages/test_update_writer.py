"""As few UPDATEs as hold the NLRI, within the limit of the session, and what they decode to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages.attributes.aggregator import AGGREGATOR
from pybgp.messages.attributes.as_path import AS_PATH
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.mp_reach import MP_REACH
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.context import CodecContext
from pybgp.messages.update import Update, decode_update
from pybgp.messages.update_writer import AttributesTooLong, encode_end_of_rib, encode_reach, encode_unreach
from pybgp.prefix import NLRI
from tests.strategies import FAMILIES, contexts, nlri_lists, path_attributes

IBGP = CodecContext(four_octet_as=True, internal=True, families=frozenset(FAMILIES))
V4_HOP = bytes((192, 0, 2, 1))
V6_HOP = bytes.fromhex("20010db8000000000000000000000001")
BASE = PathAttributes.build(as_path=[65001], next_hop=V4_HOP, local_pref=100)


def decoded(messages: list[bytes], context: CodecContext) -> list[Update]:
    pool = AttributePool()
    updates = []
    for message in messages:
        assert message[:16] == b"\xff" * 16
        assert int.from_bytes(message[16:18], "big") == len(message) <= context.maximum_length
        assert message[18] == 2
        updates.append(decode_update(message[19:], context, pool))
    return updates


def hosts(count: int) -> list[NLRI]:
    return [b"\x20" + (0x0A000000 + i).to_bytes(4, "big") for i in range(count)]


def test_a_message_octet_by_octet() -> None:
    attributes = PathAttributes.build(as_path=[65001], next_hop=V4_HOP, med=7, local_pref=100)
    (message,) = encode_reach(IPV4_UNICAST, [bytes.fromhex("18cb0071")], attributes, IBGP)
    assert message == b"\xff" * 16 + bytes.fromhex(
        "003d 02 0000 0022 40010100 4002060201 0000fde9 400304c0000201 80040400000007 40050400000064 18cb0071"
    )
    (message,) = encode_unreach(IPV4_UNICAST, [bytes.fromhex("18cb0071")], IBGP)
    assert message == b"\xff" * 16 + bytes.fromhex("001b 02 0004 18cb0071 0000")
    assert encode_end_of_rib(IPV4_UNICAST, IBGP) == b"\xff" * 16 + bytes.fromhex("0017 02 0000 0000")
    assert encode_end_of_rib(IPV6_UNICAST, IBGP) == b"\xff" * 16 + bytes.fromhex("001d 02 0000 0006 800f03 000201")


@pytest.mark.rfc("7606", "5.1", "pybgp.messages.update_writer:encode_reach", "MP_REACH_NLRI in front of all others")
def test_mp_reach_comes_first() -> None:
    """RFC 7606 5.1: "SHALL be encoded as the very first path attribute"; NEXT_HOP is not sent with it."""
    (update,) = decoded(encode_reach(IPV6_UNICAST, [b"\0"], BASE.with_next_hop(V6_HOP), IBGP), IBGP)
    assert [raw.code for raw in update.attributes] == [14, 1, 2, 5]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_is_written_is_read(data: st.DataObject) -> None:
    context = data.draw(contexts())
    family = data.draw(st.sampled_from(FAMILIES))
    hop_family = family
    if family in context.extended_next_hop and data.draw(st.booleans()):
        hop_family = IPV6_UNICAST
    attributes = data.draw(path_attributes(family=hop_family, internal=context.internal))
    path = attributes.as_path
    assume(context.four_octet_as or path == path.without_confederation())
    keys = data.draw(nlri_lists(family))
    path_ids = None
    if family in context.add_path_send:
        path_ids = data.draw(st.lists(st.integers(0, 0xFFFFFFFF), min_size=len(keys), max_size=len(keys)))
    (update,) = decoded(encode_reach(family, keys, attributes, context, path_ids), context)
    assert update.faults == ()
    assert update.unreach == ()
    (reach,) = update.reach
    assert (reach.family, reach.nlri, reach.path_ids) == (family, keys, path_ids)
    if not context.four_octet_as:
        # Segments may come back joined otherwise (RFC 6793 4.2.3), with the same numbers in the same order.
        assert list(reach.attributes.as_path) == list(path)
        assert reach.attributes.get(AGGREGATOR) == attributes.get(AGGREGATOR)
        attributes = attributes.with_(AS_PATH, reach.attributes.as_path)
    assert reach.attributes == attributes
    # And once more from what is kept on the object.
    assert encode_reach(family, keys, attributes, context, path_ids) == encode_reach(
        family, keys, reach.attributes, context, path_ids
    )
    (update,) = decoded(encode_unreach(family, keys, context, path_ids), context)
    assert update.reach == ()
    assert [(u.family, u.nlri, u.path_ids) for u in update.unreach] == [(family, keys, path_ids)]
    assert update.end_of_rib is None
    assert decoded([encode_end_of_rib(family, context)], context)[0].end_of_rib == family


def fewest(sizes: list[int], room: int) -> int:
    """How many messages are needed when each is filled in order."""
    messages, left = 0, 0
    for size in sizes:
        if size > left:
            messages, left = messages + 1, room
        left -= size
    return messages


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("add_path", [False, True])
@pytest.mark.parametrize("family", FAMILIES, ids=str)
@pytest.mark.parametrize("shape", ["hosts", "mixed", "one odd", "almost uniform"])
def test_packing(family: Family, shape: str, add_path: bool, extended: bool) -> None:
    families = frozenset({family}) if add_path else frozenset()
    context = replace(IBGP, extended_message=extended, add_path_receive=families, add_path_send=families)
    width = 4 if family == IPV4_UNICAST else 16
    count = 20000 if extended else 2500

    def key(length: int, number: int) -> NLRI:
        octets = -(-length // 8)
        return bytes((length,)) + (number << (8 * octets - length) & ((1 << 8 * octets) - 1)).to_bytes(octets, "big")

    full = [key(8 * width, 0x0A000000 + i) for i in range(count)]
    keys = {
        "hosts": full,
        "mixed": [key(9 + i % (8 * width - 8), i) for i in range(count)],
        "one odd": [*full, key(8, 10)],
        # As long in sum as a list of keys that all have the first one's size.
        "almost uniform": [
            key(8 * width - 8, 7),
            *(key(8 * width - 16 * (i % 2), 0x0A000000 + i) for i in range(count)),
        ],
    }[shape]
    path_ids = list(range(len(keys))) if add_path else None
    attributes = BASE if family == IPV4_UNICAST else BASE.with_next_hop(V6_HOP)
    messages = encode_reach(family, keys, attributes, context, path_ids)
    updates = decoded(messages, context)
    assert [nlri for update in updates for reach in update.reach for nlri in reach.nlri] == keys
    assert {reach.attributes for update in updates for reach in update.reach} == {attributes}
    sizes = [len(nlri) + 4 * add_path for nlri in keys]
    overhead = len(messages[0]) - len(updates[0].nlri or MP_REACH.decode(updates[0].attributes[0].value, context).nlri)
    assert len(messages) == fewest(sizes, context.maximum_length - overhead)
    gone = encode_unreach(family, keys, context, path_ids)
    assert [nlri for update in decoded(gone, context) for u in update.unreach for nlri in u.nlri] == keys
    assert len(gone) <= len(messages)


def test_nothing_to_say() -> None:
    """Never an empty UPDATE, which would be an End-of-RIB marker."""
    assert encode_reach(IPV4_UNICAST, [], BASE, IBGP) == []
    assert encode_unreach(IPV6_UNICAST, [], IBGP) == []


def test_attributes_that_leave_no_room() -> None:
    long = BASE.with_(LOCAL_PREF, 1)
    for count in range(950, 1100):
        attributes = PathAttributes.build(as_path=[65001] * count, next_hop=V4_HOP, local_pref=1)
        block = attributes.encoded(four_octet_as=True, classic=True)
        if 23 + len(block) + 5 <= 4096:
            assert len(encode_reach(IPV4_UNICAST, hosts(3), attributes, IBGP)) in (1, 2, 3)
        else:
            with pytest.raises(AttributesTooLong, match="5 are needed"):
                encode_reach(IPV4_UNICAST, hosts(3), attributes, IBGP)
        long = attributes
    # An extended message has room for them.
    assert len(encode_reach(IPV4_UNICAST, hosts(3), long, replace(IBGP, extended_message=True))) == 1
    huge = PathAttributes.build(as_path=[65001] * 16000, communities=range(1, 1000), next_hop=V4_HOP, local_pref=1)
    for family, attributes in ((IPV4_UNICAST, huge), (IPV6_UNICAST, huge.with_next_hop(V6_HOP))):
        with pytest.raises(AttributesTooLong):
            encode_reach(family, [b"\0"], attributes, replace(IBGP, extended_message=True))


def test_a_room_for_one_key_each() -> None:
    """Where the attributes leave just enough for one."""
    for count in range(1000, 1020):
        attributes = PathAttributes.build(as_path=[65001] * count, next_hop=V4_HOP, local_pref=1)
        room = 4096 - 23 - len(attributes.encoded(four_octet_as=True, classic=True))
        if 5 <= room < 10:
            keys = [*hosts(3), b"\x08\x0a"]
            updates = decoded(encode_reach(IPV4_UNICAST, keys, attributes, IBGP), IBGP)
            assert [nlri for update in updates for nlri in update.reach[0].nlri] == keys
            break
    else:
        pytest.fail("no such length")


@pytest.mark.parametrize(
    ("family", "next_hop", "words"),
    [
        (IPV4_UNICAST, b"", "next hop of 0"),
        (IPV4_UNICAST, V6_HOP, "next hop of 16"),
        (IPV6_UNICAST, V4_HOP, "next hop of 4"),
        (IPV6_UNICAST, b"", "next hop of 0"),
        (Family(1, 4), V6_HOP, "next hop of 16"),
    ],
)
def test_a_next_hop_that_cannot_be(family: Family, next_hop: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        encode_reach(family, [b"\0"], BASE.with_next_hop(next_hop), IBGP)


@pytest.mark.rfc("8950", "3", "pybgp.messages.update_writer:encode_reach", "and how it is written")
def test_extended_next_hop_goes_into_mp_reach() -> None:
    context = replace(IBGP, extended_next_hop=frozenset({IPV4_UNICAST}))
    (update,) = decoded(encode_reach(IPV4_UNICAST, hosts(1), BASE.with_next_hop(V6_HOP), context), context)
    assert update.nlri == b""
    assert [raw.code for raw in update.attributes] == [14, 1, 2, 5]
    assert update.reach[0].family == IPV4_UNICAST


def test_path_identifiers_go_with_the_session() -> None:
    context = replace(IBGP, add_path_send=frozenset({IPV4_UNICAST}))
    with pytest.raises(ValueError, match="needs path identifiers"):
        encode_reach(IPV4_UNICAST, hosts(1), BASE, context)
    with pytest.raises(ValueError, match="has no path identifiers"):
        encode_unreach(IPV4_UNICAST, hosts(1), IBGP, [1])
    with pytest.raises(ValueError, match="2 NLRI"):
        encode_reach(IPV4_UNICAST, hosts(2), BASE, context, [1])
