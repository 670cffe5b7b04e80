"""Labelled unicast (RFC 8277): stacks, keys without them, withdrawals, and the way through UPDATEs and JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.errors import OptionalAttributeError
from pybgp.family import IPV4_UNICAST, Family
from pybgp.messages.attributes.labelled import LabelledAttributes
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.context import CodecContext
from pybgp.messages.nlri.base import InvalidNlri, NlriCodec, nlri_from_json, nlri_to_json
from pybgp.messages.nlri.labelled_unicast import IPV4_LABELLED, IPV6_LABELLED
from pybgp.messages.nlri.labels import pack_labels, read_labels, show_labels, unpack_labels
from pybgp.messages.update import Unreach, Update, decode_update
from pybgp.messages.update_writer import encode_reach, encode_unreach, with_stacks
from pybgp.prefix import Prefix
from tests.strategies import nlris

V4, V6 = IPV4_LABELLED.family, IPV6_LABELLED.family
CONTEXT = CodecContext(four_octet_as=True, internal=True, families=frozenset({V4, V6, IPV4_UNICAST}))
ADD_PATH = CodecContext(True, False, True, frozenset({V4}), frozenset({V4}), frozenset({V4}))
HOP = bytes((192, 0, 2, 1))
TEN = b"\x08\x0a"
codecs = st.sampled_from([IPV4_LABELLED, IPV6_LABELLED])
stacks = st.lists(st.integers(0, 0xFFFFF), min_size=1, max_size=4).map(lambda labels: pack_labels(*labels))


def decode(message: bytes, context: CodecContext = CONTEXT) -> Update:
    return decode_update(message[19:], context, AttributePool())


def labelled(*labels: int, **values: Any) -> LabelledAttributes:
    return LabelledAttributes.of(PathAttributes.build(local_pref=100, next_hop=HOP, **values), pack_labels(*labels))


@pytest.mark.rfc("8277", "2.2", "pybgp.messages.nlri.labels:unpack_labels", "labels on the wire")
def test_octets_of_the_rfc() -> None:
    """Section 2.2: Length is 24 + prefix; 20 bits of label, 3 of Rsrv, one S."""
    field = bytes.fromhex("20 000641 0a  48 000640 000c81 c00002")
    split = IPV4_LABELLED.labels
    assert split is not None
    keys, path_ids, found = split.split(field, False, False)
    assert (keys, path_ids) == ([TEN, b"\x18\xc0\x00\x02"], [])
    assert list(map(unpack_labels, found)) == [(100,), (100, 200)]
    assert [split.join(key, stack) for key, stack in zip(keys, found, strict=True)] == [
        bytes.fromhex("20 000641 0a"),
        bytes.fromhex("48 000640 000c81 c00002"),
    ]


@pytest.mark.parametrize(
    ("digits", "words"),
    [
        ("17 000641", "before the label stack"),
        ("08 00", "before the label stack"),
        ("00", "before the label stack"),
        ("39 000641 0a000000 00", "greater than 32"),
        ("20 000641", "left"),
        ("50 000640 000640 0a000000", "greater than 32"),
        ("20", "left"),
    ],
)
def test_fields_that_are_wrong(digits: str, words: str) -> None:
    """RFC 7606 section 5.3: no NLRI can be found, so the session is reset."""
    field = bytes.fromhex(digits)
    with pytest.raises(InvalidNlri, match=words):
        IPV4_LABELLED.labels.split(field, False, False)  # type: ignore[union-attr]
    attribute = bytes.fromhex("0001 04 04 c0000201 00") + field
    block = bytes.fromhex("400101 00 400200 400504 00000064 80 0e") + bytes((len(attribute),)) + attribute
    with pytest.raises(OptionalAttributeError, match="MP_REACH"):
        decode_update(b"\0\0" + len(block).to_bytes(2, "big") + block, CONTEXT, AttributePool())
    assert nlri_to_json(IPV4_LABELLED, field, False) == field.hex()


def test_the_label_is_no_part_of_the_destination() -> None:
    """Section 2.4: another label for the same prefix replaces it."""
    one, two = (decode(encode_reach(V4, [TEN], labelled(label), CONTEXT)[0]).reach[0] for label in (100, 200))
    assert one.nlri == two.nlri == [TEN]
    assert one.attributes != two.attributes
    assert isinstance(one.attributes, LabelledAttributes)
    assert one.attributes.labels == (100,)
    assert str(Prefix.of(V4, TEN)) == "10.0.0.0/8"


def test_without_a_bottom_of_stack_there_is_one_label() -> None:
    """Section 2.2: the bit "SHOULD be set to one on transmission, and MUST be ignored on reception"."""
    field = bytes.fromhex("20 000640 0a  18 000000")
    keys, _path_ids, found = IPV4_LABELLED.labels.split(field, False, False)  # type: ignore[union-attr]
    assert keys == [TEN, b"\0"]
    assert list(map(unpack_labels, found)) == [(100,), (0,)]
    assert nlri_to_json(IPV4_LABELLED, field, False) == ["10.0.0.0/8 label 0x000640", "0.0.0.0/0 label 0x000000"]


def test_destinations_with_labels_of_their_own_share_a_message() -> None:
    keys = [bytes((24, 10, 0, number)) for number in range(200)]
    groups = [(labelled(number + 16), [key]) for number, key in enumerate(keys)]
    ((attributes, nlri, given),) = with_stacks(V4, groups)
    assert (nlri, given) == (keys, [pack_labels(number + 16) for number in range(200)])
    (message,) = encode_reach(V4, nlri, attributes, CONTEXT, stacks=given)  # type: ignore[arg-type]
    found = [(one.nlri, one.attributes) for one in decode(message).reach]
    assert found == [(nlri, attributes) for attributes, nlri in groups]


def test_other_attributes_and_withdrawals_stay_apart() -> None:
    groups = [(None, [TEN]), (labelled(1), [b"\0"]), (labelled(1, med=5), [b"\x08\x0b"])]
    assert with_stacks(V4, groups) == [
        (None, [TEN], None),
        (groups[1][0], [b"\0"], [pack_labels(1)]),
        (groups[2][0], [b"\x08\x0b"], [pack_labels(1)]),
    ]
    plain = [(PathAttributes.build(), [TEN])]
    assert with_stacks(IPV4_UNICAST, plain) == [(*plain[0], None)]


def test_each_run_of_labels_is_one_reach() -> None:
    """In wire order, so that the last one of a destination wins."""
    other = b"\x18\xc0\x00\x02"
    entries = [(TEN, 1), (other, 1), (TEN, 2), (TEN, 1)]
    join = IPV4_LABELLED.labels.join  # type: ignore[union-attr]
    value = bytes.fromhex("0001 04 04 c0000201 00") + b"".join(join(key, pack_labels(label)) for key, label in entries)
    block = bytes((0x80, 14, len(value))) + value + bytes.fromhex("400101 00 400200 400504 00000064")
    update = decode_update(b"\0\0" + len(block).to_bytes(2, "big") + block, CONTEXT, AttributePool())
    found = [(reach.nlri, reach.attributes.labels) for reach in update.reach]  # type: ignore[attr-defined]
    assert found == [([TEN, other], (1,)), ([TEN], (2,)), ([TEN], (1,))]
    assert update.reach[0].attributes is update.reach[2].attributes


@pytest.mark.parametrize("octets", ["800000", "000000", "000641", "ffffff"])
@pytest.mark.rfc(
    "8277", "2.4", "pybgp.messages.nlri.labelled_unicast:_stack_end", "a withdrawal has three octets of any label"
)
def test_any_octets_stand_for_the_label_of_a_withdrawal(octets: str) -> None:
    """Section 2.4: "the Compatibility field SHOULD be set to 0x800000 and MUST be ignored on reception"."""
    value = bytes.fromhex(f"0001 04 20 {octets} 0a")
    block = bytes((0x80, 15, len(value))) + value
    update = decode_update(b"\0\0" + len(block).to_bytes(2, "big") + block, CONTEXT, AttributePool())
    assert update.unreach == (Unreach(V4, [TEN]),)


def test_what_is_withdrawn_on_the_wire() -> None:
    (message,) = encode_unreach(V4, [TEN], CONTEXT)
    assert message.endswith(bytes.fromhex("0001 04 20 800000 0a"))
    (message,) = encode_unreach(V4, [TEN], ADD_PATH, [7])
    assert message.endswith(bytes.fromhex("0001 04 00000007 20 800000 0a"))
    assert decode(message, ADD_PATH).unreach == (Unreach(V4, [TEN], [7]),)


def test_a_malformed_attribute_withdraws_the_destinations() -> None:
    (message,) = encode_reach(V4, [TEN], labelled(100), CONTEXT)
    body = message[19:].replace(bytes.fromhex("400101 00"), bytes.fromhex("400101 09"))
    assert decode_update(body, CONTEXT, AttributePool()).unreach == (Unreach(V4, [TEN]),)


@settings(max_examples=150, deadline=None)
@given(codecs, st.data())
def test_routes_come_back(codec: NlriCodec, data: st.DataObject) -> None:
    unicast = Family(codec.family.afi, 1)
    keys = data.draw(st.lists(nlris(unicast), min_size=1, max_size=60))
    # What a length octet holds: 255 bits.
    stack = data.draw(stacks)
    hop = HOP if codec is IPV4_LABELLED else bytes.fromhex("20010db8") + bytes(12)
    attributes = LabelledAttributes.of(PathAttributes.build(local_pref=1, next_hop=hop), stack)
    add_path = data.draw(st.booleans())
    families = frozenset({codec.family})
    on = families if add_path else frozenset()
    context = CodecContext(True, False, True, families, on, on)
    path_ids = list(range(len(keys))) if add_path else None
    reach = [
        one for m in encode_reach(codec.family, keys, attributes, context, path_ids) for one in decode(m, context).reach
    ]
    assert [key for one in reach for key in one.nlri] == keys
    assert all(one.attributes == attributes for one in reach)
    if add_path:
        assert [path_id for one in reach for path_id in one.path_ids or ()] == path_ids
    gone = [one for m in encode_unreach(codec.family, keys, context, path_ids) for one in decode(m, context).unreach]
    assert [key for one in gone for key in one.nlri] == keys


@settings(max_examples=200, deadline=None)
@given(codecs, st.booleans(), st.booleans(), st.binary(max_size=40), st.lists(st.binary(min_size=4, max_size=9)))
def test_json_gives_the_same_octets(
    codec: NlriCodec, add_path: bool, withdrawn: bool, tail: bytes, entries: list[bytes]
) -> None:
    good = [b"\0\0\0\x05" * add_path + bytes((8 * len(one),)) + one for one in entries]
    for field in (b"".join(good), b"".join(good) + tail, tail):
        value = nlri_to_json(codec, field, add_path, withdrawn=withdrawn)
        assert nlri_from_json(codec, value, withdrawn=withdrawn) == field


def test_json_for_people() -> None:
    field = bytes.fromhex("20 000641 0a 48 000640 000c81 c00002 20 800000 0a")
    texts = ["10.0.0.0/8 label 100", "192.0.2.0/24 label 100/200", "10.0.0.0/8 label 0x800000"]
    assert nlri_to_json(IPV4_LABELLED, field, False) == texts
    assert nlri_from_json(IPV4_LABELLED, texts) == field
    gone = bytes.fromhex("20 800000 0a 20 000000 0a 20 000641 0a")
    texts = ["10.0.0.0/8", "10.0.0.0/8 label 0x000000", "10.0.0.0/8 label 100"]
    assert nlri_to_json(IPV4_LABELLED, gone, False, withdrawn=True) == texts
    assert nlri_from_json(IPV4_LABELLED, texts, withdrawn=True) == gone
    with_id = [{"path_id": 9, "prefix": "10.0.0.0/8 label 3"}]
    assert nlri_to_json(IPV4_LABELLED, nlri_from_json(IPV4_LABELLED, with_id), True) == with_id


@pytest.mark.parametrize(
    "text",
    [
        *("10.0.0.0/8", "10.0.0.0/8 label", "10.0.0.0/8 label x", "10.0.0.0/8 label 1048576", "10.0.0.0/8 label 1/"),
        *("10.0.0.0/8 label 1/2/3/4/5/6/7/8/9/10/11", "2001:db8::/32 label 1", "10.0.0.1/8 label 1", "label 1"),
    ],
)
def test_text_that_is_wrong(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        nlri_from_json(IPV4_LABELLED, [text])


@given(stacks)
def test_stacks_in_words(stack: bytes) -> None:
    assert read_labels(show_labels(stack)) == stack
    assert pack_labels(*unpack_labels(stack)) == stack


@pytest.mark.parametrize("labels", [(), (-1,), (1 << 20,)])
def test_labels_that_cannot_be(labels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"label stack"):
        pack_labels(*labels)


def test_changes_of_attributes_keep_the_label() -> None:
    before = labelled(100)
    for after in (before.with_(MED, 5), before.prepend(65000), before.with_next_hop(bytes((10, 0, 0, 1)))):
        assert isinstance(after, LabelledAttributes)
        assert after.labels == (100,)
        assert after != before
    plain = PathAttributes.build(local_pref=100, next_hop=HOP)
    assert before != plain
    assert plain != before
    assert before == LabelledAttributes.of(plain, pack_labels(100))
    assert hash(before) == hash(LabelledAttributes.of(plain, pack_labels(100)))
    assert before != 5
    assert before == before.with_next_hop(HOP)
    assert len({before, plain, labelled(100), labelled(200)}) == 3
    assert "label=100)" in repr(before)
    assert AttributePool().intern(before) is before


def test_a_route_without_a_label_gets_the_implicit_null() -> None:
    """RFC 3032 section 2.1: label 3, packets are to come without a label."""
    plain = PathAttributes.build(local_pref=100, next_hop=HOP)
    (message,) = encode_reach(V4, [TEN], plain, CONTEXT)
    (reach,) = decode(message).reach
    assert reach.attributes == LabelledAttributes.of(plain, pack_labels(3))
    assert with_stacks(V4, [(plain, [TEN]), (labelled(7), [b"\0"])]) == [
        (plain, [TEN, b"\0"], [pack_labels(3), pack_labels(7)])
    ]
