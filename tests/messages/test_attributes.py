"""Each path attribute: vectors typed from its RFC, and that every value survives octets and JSON."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.messages.attributes import ATTRIBUTES
from pybgp.messages.attributes.aggregator import AGGREGATOR, Aggregator
from pybgp.messages.attributes.as_path import AS_PATH, AsPath, Segment, SegmentType
from pybgp.messages.attributes.atomic_aggregate import ATOMIC_AGGREGATE
from pybgp.messages.attributes.base import Attribute, Malformed, RawAttribute
from pybgp.messages.attributes.cluster_list import CLUSTER_LIST
from pybgp.messages.attributes.communities import COMMUNITIES
from pybgp.messages.attributes.extended_communities import EXTENDED_COMMUNITIES
from pybgp.messages.attributes.large_communities import LARGE_COMMUNITIES
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.mp_reach import MP_REACH, MpReach
from pybgp.messages.attributes.mp_unreach import MP_UNREACH, MpUnreach
from pybgp.messages.attributes.next_hop import NEXT_HOP
from pybgp.messages.attributes.origin import ORIGIN, Origin
from pybgp.messages.attributes.originator_id import ORIGINATOR_ID
from pybgp.messages.context import CodecContext
from tests.strategies import attribute_values

NEW = CodecContext(four_octet_as=True, internal=True)
OLD = CodecContext(four_octet_as=False, internal=True)
SEQUENCE, SET = SegmentType.AS_SEQUENCE, SegmentType.AS_SET
CONFED_SEQUENCE, CONFED_SET = SegmentType.AS_CONFED_SEQUENCE, SegmentType.AS_CONFED_SET

VECTORS: list[tuple[Attribute[Any], CodecContext, str, object, object]] = [
    # row, context, octets, value, JSON
    (ORIGIN, NEW, "02", Origin.INCOMPLETE, "incomplete"),
    (AS_PATH, NEW, "", AsPath(), []),
    (
        AS_PATH,
        NEW,
        "02 02 0000fde9 fa56ea00  01 02 00000001 00000002",
        AsPath((Segment(SEQUENCE, (65001, 4200000000)), Segment(SET, (1, 2)))),
        [{"type": "sequence", "asns": [65001, 4200000000]}, {"type": "set", "asns": [1, 2]}],
    ),
    (AS_PATH, OLD, "02 02 fde9 5ba0", AsPath((Segment(SEQUENCE, (65001, 23456)),)), None),
    (
        AS_PATH,
        OLD,
        "03 01 fde8  04 01 fde7",
        AsPath((Segment(CONFED_SEQUENCE, (65000,)), Segment(CONFED_SET, (64999,)))),
        [{"type": "confed-sequence", "asns": [65000]}, {"type": "confed-set", "asns": [64999]}],
    ),
    (NEXT_HOP, NEW, "c0000201", bytes((192, 0, 2, 1)), "192.0.2.1"),
    (MED, NEW, "0000000a", 10, 10),
    (LOCAL_PREF, NEW, "00000064", 100, 100),
    (ATOMIC_AGGREGATE, NEW, "", True, True),
    (
        AGGREGATOR,
        NEW,
        "fa56ea00 c0000201",
        Aggregator(4200000000, bytes((192, 0, 2, 1))),
        {"asn": 4200000000, "address": "192.0.2.1"},
    ),
    (AGGREGATOR, OLD, "fde9 c0000201", Aggregator(65001, bytes((192, 0, 2, 1))), None),
    (COMMUNITIES, NEW, "fde80064 ffffff01", (0xFDE80064, 0xFFFFFF01), ["65000:100", "no-export"]),
    (ORIGINATOR_ID, NEW, "0a000001", 0x0A000001, "10.0.0.1"),
    (CLUSTER_LIST, NEW, "00000001 00000002", (1, 2), ["0.0.0.1", "0.0.0.2"]),
    (
        MP_REACH,
        NEW,
        "0002 01 10 20010db8000000000000000000000001 00 20 20010db8",
        MpReach(IPV6_UNICAST, bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("2020010db8")),
        {"afi": 2, "safi": 1, "next_hop": ["2001:db8::1"], "nlri": ["2001:db8::/32"]},
    ),
    (
        MP_UNREACH,
        NEW,
        "0001 01 18 c00002",
        MpUnreach(IPV4_UNICAST, bytes.fromhex("18c00002")),
        {"afi": 1, "safi": 1, "nlri": ["192.0.2.0/24"]},
    ),
    (
        EXTENDED_COMMUNITIES,
        NEW,
        "0002fde800000064 0103c00002010005 0202fa56ea000007 4304000000000001",
        tuple(map(bytes.fromhex, ("0002fde800000064", "0103c00002010005", "0202fa56ea000007", "4304000000000001"))),
        ["rt:65000:100", "soo:192.0.2.1:5", "rt:4200000000L:7", "0x4304000000000001"],
    ),
    (LARGE_COMMUNITIES, NEW, "fa56ea00 00000001 00000002", ((4200000000, 1, 2),), ["4200000000:1:2"]),
]


@pytest.mark.parametrize(("row", "context", "octets", "value", "as_json"), VECTORS)
@pytest.mark.rfc("4271", "5.1.1", "pybgp.messages.attributes.origin:_decode", "the three values")
@pytest.mark.rfc("4271", "5.1.7", "pybgp.messages.attributes.aggregator:decode_aggregator", "AS and address")
@pytest.mark.rfc("4360", "2", "pybgp.messages.attributes.extended_communities:_decode", "eight octets each")
@pytest.mark.rfc("8092", "3", "pybgp.messages.attributes.large_communities:_decode", "twelve octets each")
def test_vector(row: Attribute[Any], context: CodecContext, octets: str, value: object, as_json: object) -> None:
    raw = bytes.fromhex(octets)
    assert row.decode(raw, context) == value
    assert row.encode(value, context) == raw
    if as_json is not None:
        assert row.to_json(value) == as_json
        assert row.from_json(as_json) == value


@pytest.mark.parametrize("row", ATTRIBUTES, ids=lambda row: row.name)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_value_survives_octets_and_json(row: Attribute[Any], data: st.DataObject) -> None:
    context = data.draw(st.sampled_from((NEW, OLD)))
    value = data.draw(attribute_values(row, four_octet_as=context.four_octet_as))
    octets = row.encode(value, context)
    assert row.decode(octets, context) == value
    assert row.from_json(json.loads(json.dumps(row.to_json(value)))) == value
    # `from_json` takes the value itself, too.
    assert row.encode(row.from_json(value), context) == octets
    if row.check is not None:
        row.check(octets, context)
    assert row.length in (None, len(octets))
    if row.multiple:
        assert octets
        assert len(octets) % row.multiple == 0


@pytest.mark.parametrize("row", ATTRIBUTES, ids=lambda row: row.name)
@settings(max_examples=150, deadline=None)
@given(octets=st.binary(max_size=40), context=st.sampled_from((NEW, OLD, CodecContext())))
def test_any_octets_decode_or_are_malformed(row: Attribute[Any], octets: bytes, context: CodecContext) -> None:
    """Of a length that the block loop lets through; what decodes gives the same octets back."""
    if row.length is not None and len(octets) != row.length:
        octets = octets.ljust(row.length, b"\0")[: row.length]
    try:
        value = row.decode(octets, context)
    except Malformed:
        return
    assert row.encode(value, context) == octets
    assert row.encode(row.from_json(json.loads(json.dumps(row.to_json(value)))), context) == octets


@pytest.mark.parametrize("row", ATTRIBUTES, ids=lambda row: row.name)
@pytest.mark.parametrize(
    "value",
    [
        None,
        -1,
        1 << 32,
        1.5,
        False,
        "",
        "x",
        "1:2:3:4",
        "-1:2",
        "٣:١",
        b"",
        [None],
        ["x"],
        [[]],
        {},
        {"asn": 1},
        object(),
    ],
    ids=repr,
)
def test_from_json_says_what_is_wrong(row: Attribute[Any], value: object) -> None:
    """Anything gives a value that encodes, or a ValueError with words; never another error."""
    with contextlib.suppress(ValueError):
        row.encode(row.from_json(value), NEW)


@pytest.mark.parametrize(
    ("row", "value", "words"),
    [
        (ORIGIN, "bgp", "igp"),
        (AS_PATH, "1 2 x", "no AS path"),
        (AS_PATH, "1 {}", "empty"),
        (AS_PATH, [0], "AS 0"),
        (AS_PATH, [1 << 32], "4294967295"),
        (AS_PATH, [{"type": "sequence", "asns": []}], "1 to 255"),
        (AS_PATH, [{"type": "bag", "asns": [1]}], "confed-set"),
        (NEXT_HOP, "2001:db8::1", "IPv4"),
        (MED, -1, "MED"),
        (AGGREGATOR, {"asn": 1, "address": "::1"}, "IPv4"),
        (COMMUNITIES, ["65536:1"], "65535"),
        (COMMUNITIES, "65000:1", "list"),
        (EXTENDED_COMMUNITIES, ["rt:65536:65536"], "extended community"),
        (LARGE_COMMUNITIES, ["1:2"], "large community"),
        (LARGE_COMMUNITIES, ["1:2:4294967296"], "4294967295"),
        (CLUSTER_LIST, ["::1"], "cluster"),
        (MP_REACH, {"afi": 1}, "next_hop"),
        (MP_UNREACH, {"afi": 2, "safi": 1, "nlri": ["10.0.0.0/8"]}, "ipv6"),
        (MP_UNREACH, {"afi": 1, "safi": 1, "nlri": [{"path_id": -1, "prefix": "10.0.0.0/8"}]}, "path identifier"),
    ],
)
@pytest.mark.rfc(
    "8092", "5", "pybgp.messages.attributes.large_communities:parse_large_community", "three decimal numbers"
)
def test_wrong_values_are_named(row: Attribute[Any], value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        row.from_json(value)


# -- AS paths ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "length", "neighbor", "origin"),
    [
        ("", 0, 0, 0),
        ("65001 65002 65003", 3, 65001, 65003),
        ("65001 {65002,65003}", 2, 65001, 0),  # a set counts as one
        ("{65002,65003} 65004", 2, 0, 65004),
        ("(65010 65011) 65001", 1, 65001, 65001),  # confederation segments count nothing
        ("[65010,65011] (65012) 65001 65002", 2, 65001, 65002),
        ("(65010)", 0, 0, 0),
    ],
)
def test_as_path_text_and_measures(text: str, length: int, neighbor: int, origin: int) -> None:
    path = AsPath.of(text)
    assert str(path) == text
    assert (path.length, path.neighbor_as, path.origin_as) == (length, neighbor, origin)


def test_prepending() -> None:
    path = AsPath.of("65002 {65003}")
    assert str(path.prepend(65001, 2)) == "65001 65001 65002 {65003}"
    assert str(AsPath.of("{65003}").prepend(65001)) == "65001 {65003}"
    assert str(AsPath.of("(65010) 65002").prepend(65001)) == "65001 (65010) 65002"
    # A segment holds at most 255 AS numbers.
    full = AsPath.of([65002] * 255)
    assert [len(segment.asns) for segment in full.prepend(65001).segments] == [1, 255]
    assert full.prepend(65001).length == 256
    with pytest.raises(ValueError, match="AS 0"):
        path.prepend(0)


def test_looking_into_a_path() -> None:
    path = AsPath.of("65001 65002 65001 {65003}")
    assert 65003 in path
    assert 65004 not in path
    assert path.count(65001) == 2
    assert list(path) == [65001, 65002, 65001, 65003]
    assert str(AsPath.of("(65010) 65001 [65011] {65002}").without_confederation()) == "65001 {65002}"


def test_a_long_path_has_segments_of_255() -> None:
    path = AsPath.of(range(1, 601))
    assert [len(segment.asns) for segment in path.segments] == [255, 255, 90]
    assert AS_PATH.decode(AS_PATH.encode(path, NEW), NEW) == path


def test_a_path_that_does_not_fit_two_octets_is_refused() -> None:
    with pytest.raises(ValueError, match="2 octets"):
        AS_PATH.encode(AsPath.of([4200000000]), OLD)


# -- raw attributes ---------------------------------------------------------------------------------------


def test_a_raw_attribute_keeps_its_form() -> None:
    assert RawAttribute(0x40, 1, b"\0").encode() == bytes.fromhex("400101 00")
    assert RawAttribute(0x50, 1, b"\0").encode() == bytes.fromhex("50010001 00")
    with pytest.raises(ValueError, match="Extended Length"):
        RawAttribute(0xC0, 8, bytes(256)).encode()
    with pytest.raises(ValueError, match="65535"):
        RawAttribute(0xD0, 8, bytes(65536)).encode()
