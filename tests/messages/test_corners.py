"""What a codec refuses to write, and rows that two would share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pybgp.errors import BadMessageType
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.messages import MESSAGES, by_type, decode_message
from pybgp.messages.attributes import ATTRIBUTES, by_code, quick
from pybgp.messages.attributes.aggregator import AGGREGATOR, Aggregator
from pybgp.messages.attributes.as4 import AS4_AGGREGATOR, _merge_paths, split
from pybgp.messages.attributes.as_path import AsPath
from pybgp.messages.attributes.atomic_aggregate import ATOMIC_AGGREGATE
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.next_hop import NEXT_HOP
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.capabilities import CAPABILITIES
from pybgp.messages.capabilities import by_code as capabilities_by_code
from pybgp.messages.context import CodecContext
from pybgp.messages.nlri import CODEC_OF, by_family
from pybgp.messages.nlri.unicast import IPV4
from pybgp.messages.open import Open, encode_open
from pybgp.messages.update import decode_update
from tests.rfc7606_table import IBGP, IPV6_NLRI, MP_REACH, body

WIDE = CodecContext(four_octet_as=True)


@pytest.mark.parametrize(
    ("table", "rows"), [(by_type, MESSAGES), (by_code, ATTRIBUTES), (by_family, tuple(CODEC_OF.values()))]
)
def test_no_two_rows_share_a_number(table: object, rows: tuple[object, ...]) -> None:
    assert callable(table)
    assert len(table(rows)) == len(rows)
    with pytest.raises(ValueError, match=r"two|share"):
        table([*rows, rows[0]])
    with pytest.raises(ValueError, match="share a code"):
        capabilities_by_code([*CAPABILITIES, CAPABILITIES[0]])


def test_values_that_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="4 octets"):
        AGGREGATOR.encode(Aggregator(1, b"\1"), WIDE)
    with pytest.raises(ValueError, match="4 octets"):
        AS4_AGGREGATOR.encode(Aggregator(1, b"\1"), WIDE)
    with pytest.raises(ValueError, match="True"):
        ATOMIC_AGGREGATE.encode(False, WIDE)
    with pytest.raises(ValueError, match="4 octets"):
        NEXT_HOP.encode(bytes(16), WIDE)
    with pytest.raises(ValueError, match="hold_time=65536"):
        encode_open(Open(65001, 65536, 1))


def test_a_type_that_no_message_has() -> None:
    with pytest.raises(BadMessageType) as raised:
        decode_message(9, b"", WIDE)
    assert raised.value.data == b"\x09"


def test_a_path_of_confederation_segments_alone_needs_no_as4_path() -> None:
    """RFC 6793 4.2.2: those are never in AS4_PATH."""
    assert split(AsPath.of("(70000)"), None) == (AsPath.of("(23456)"), None, None, None)


def test_segments_as_pairs() -> None:
    assert AsPath.of([(2, [1, 2]), (1, [3])]) == AsPath.of("1 2 {3}")


def test_what_things_are_called() -> None:
    assert repr(NEXT_HOP) == "<Attribute 3 next_hop>"
    attributes = PathAttributes.build(origin="igp", as_path=[1], next_hop="192.0.2.1")
    assert "next_hop=192.0.2.1" in repr(attributes)
    assert attributes != "something else"
    assert attributes == PathAttributes.build(origin="igp", as_path=[1], next_hop="192.0.2.1")
    update = decode_update(bytes(4), IBGP, AttributePool())
    assert update != bytes(4)


def test_multiprotocol_first_and_malformed_takes_the_exact_way() -> None:
    """RFC 7606 5.1: MP_REACH_NLRI first, with odd flags; its value is looked at all the same."""
    rest = "40 01 01 00 40 02 06 02 01 0000fde9 40 05 04 00000064"
    pool = AttributePool()
    update = decode_update(body("b0" + MP_REACH[2:] + rest, b""), IBGP, pool)
    assert [(reach.family, reach.nlri) for reach in update.reach] == [(IPV6_UNICAST, [IPV6_NLRI])]
    for _ in range(2):
        with pytest.raises(Exception, match="prefix length 129"):
            decode_update(body("80 0e 17 0002 01 10 20010db8000000000000000000000001 00 81 20" + rest, b""), IBGP, pool)


def test_fields_of_many_sizes_with_one_length_each() -> None:
    """What unpacks them is kept for so many sizes, and made anew after that."""
    entry = bytes.fromhex("180a0000")
    for _ in range(2):
        for count in range(20, 300):
            assert IPV4.cut(entry * count) == [entry] * count
    assert replace(IBGP, families=frozenset({IPV4_UNICAST})) != IBGP


def test_a_wide_aggregator_goes_to_an_old_speaker_in_two_parts() -> None:
    """RFC 6793 4.2.2: AGGREGATOR with AS_TRANS, and AS4_AGGREGATOR."""
    attributes = PathAttributes.build(origin="igp", as_path=[1], next_hop="192.0.2.1", aggregator=(70000, "192.0.2.7"))
    octets = attributes.encoded(four_octet_as=False, classic=True)
    assert bytes.fromhex("c007065ba0c0000207") in octets
    assert bytes.fromhex("c0120800011170c0000207") in octets


def test_attributes_are_equal_to_attributes_alone() -> None:
    made = PathAttributes.build(as_path=[65001])
    assert made.__eq__(made) is True
    assert made.__eq__("ORIGIN") is NotImplemented
    assert repr(made) == "PathAttributes(origin='igp', as_path='65001')"


def test_octets_of_another_length_than_the_row_has_are_refused() -> None:
    """A row whose encoder does not keep its own length is no way to make a malformed attribute."""
    row = replace(MED, encode=lambda _value, _context: b"\0")
    with pytest.raises(ValueError, match="has 4 octets, not 1"):
        PathAttributes.build().with_(row, 5)


def test_a_row_that_only_its_check_can_judge_goes_the_exact_way(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = replace(MED, length=None, pattern=None, check=lambda _value, _context: None)
    monkeypatch.setattr(quick, "ATTRIBUTES", tuple(odd if row is MED else row for row in quick.ATTRIBUTES))
    with_it = b"\x40\x01\x01\x00\x40\x02\x00\x40\x03\x04\xc0\x00\x02\x01\x80\x04\x04\x00\x00\x00\x05"
    without = with_it[:14]
    found = quick._expression(internal=False)
    assert found.fullmatch(without)
    assert not found.fullmatch(with_it)


def test_an_as4_path_without_length_leaves_the_whole_path_in_front() -> None:
    assert str(_merge_paths(AsPath.of("65001 65002"), AsPath.of("(64512)"))) == "65001 65002 (64512)"
