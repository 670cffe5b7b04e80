"""Sets of attributes: building, changing, looking, and that fields and octets never part."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pybgp.messages.attributes import ATTRIBUTES
from pybgp.messages.attributes.aggregator import AGGREGATOR
from pybgp.messages.attributes.as_path import AS_PATH, AsPath, Segment, SegmentType
from pybgp.messages.attributes.atomic_aggregate import ATOMIC_AGGREGATE
from pybgp.messages.attributes.base import Attribute, RawAttribute
from pybgp.messages.attributes.block import NOT_IN_BLOCK
from pybgp.messages.attributes.cluster_list import CLUSTER_LIST
from pybgp.messages.attributes.communities import COMMUNITIES, NO_EXPORT
from pybgp.messages.attributes.extended_communities import EXTENDED_COMMUNITIES
from pybgp.messages.attributes.large_communities import LARGE_COMMUNITIES
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.mp_reach import MP_REACH, MpReach
from pybgp.messages.attributes.next_hop import NEXT_HOP
from pybgp.messages.attributes.origin import ORIGIN, Origin
from pybgp.messages.attributes.originator_id import ORIGINATOR_ID
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from tests.strategies import asns, attribute_values, path_attributes

IN_BLOCK = [row for row in ATTRIBUTES if row.code not in NOT_IN_BLOCK]
FIELDS = (
    "origin",
    "local_pref",
    "med",
    "as_path_length",
    "neighbor_as",
    "originator_id",
    "cluster_list_length",
)


def assert_consistent(attributes: PathAttributes) -> None:
    """The fields say what the block says, and the block is canonical."""
    fresh = PathAttributes.of_block(attributes.block, attributes.next_hop)
    for name in FIELDS:
        assert getattr(attributes, name) == getattr(fresh, name), name
    assert fresh == attributes
    assert hash(fresh) == hash(attributes)
    assert attributes.as_path_length == attributes.as_path.length
    assert attributes.neighbor_as == attributes.as_path.neighbor_as
    assert attributes.get(MED) == attributes.med
    assert attributes.get(LOCAL_PREF) == attributes.local_pref
    assert attributes.get(ORIGINATOR_ID) == attributes.originator_id
    assert len(attributes.cluster_list) == attributes.cluster_list_length
    assert attributes.get(ORIGIN) == attributes.origin
    codes = [row.code for row, _ in attributes.items()]
    assert codes == sorted(set(codes))


def test_building() -> None:
    attributes = PathAttributes.build(
        origin="egp",
        as_path="65001 65002",
        next_hop="192.0.2.1",
        med=10,
        local_pref=200,
        communities=["65000:2", "no-export", 0xFDE80001, "65000:1"],
        large_communities=["1:2:3"],
        extended_communities=["rt:65000:1"],
        atomic_aggregate=True,
        aggregator={"asn": 65001, "address": "192.0.2.9"},
        originator_id="192.0.2.3",
        cluster_list=["192.0.2.4", 1],
        unknown=[RawAttribute(0xC0, 99, b"x")],
    )
    assert attributes.origin == Origin.EGP
    assert str(attributes.as_path) == "65001 65002"
    assert (attributes.as_path_length, attributes.neighbor_as) == (2, 65001)
    assert attributes.next_hop == bytes((192, 0, 2, 1))
    assert attributes.next_hop_text == "192.0.2.1"
    assert (attributes.med, attributes.local_pref) == (10, 200)
    assert attributes.communities == {0xFDE80002, NO_EXPORT, 0xFDE80001}
    assert attributes[COMMUNITIES] == (0xFDE80001, 0xFDE80002, NO_EXPORT)
    assert attributes.large_communities == {(1, 2, 3)}
    assert attributes[EXTENDED_COMMUNITIES] == (bytes.fromhex("0002fde800000001"),)
    assert attributes[ATOMIC_AGGREGATE] is True
    assert attributes[AGGREGATOR].asn == 65001
    assert attributes.originator_id == 0xC0000203
    assert attributes.cluster_list == (0xC0000204, 1)
    assert attributes.unknown == (RawAttribute(0xC0, 99, b"x"),)
    assert_consistent(attributes)
    assert "65001 65002" in repr(attributes)


def test_the_least() -> None:
    attributes = PathAttributes.build()
    assert attributes.origin == Origin.IGP
    assert attributes.as_path == AsPath()
    assert attributes.next_hop == b""
    assert attributes.next_hop_text is None
    assert (attributes.med, attributes.local_pref, attributes.originator_id) == (None, None, None)
    assert attributes.communities == frozenset()
    assert attributes.large_communities == frozenset()
    assert_consistent(attributes)


def test_next_hops_in_text() -> None:
    both = bytes.fromhex("20010db8000000000000000000000001 fe800000000000000000000000000002")
    attributes = PathAttributes.build(next_hop=both)
    assert attributes.next_hop_text == "2001:db8::1"
    assert attributes.link_local_next_hop == "fe80::2"
    assert attributes.with_next_hop(both[:16]).next_hop_text == "2001:db8::1"
    assert attributes.with_next_hop(both[:16]).link_local_next_hop is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"colour": 1}, "colour"),
        ({"mp_reach": 1}, "mp_reach"),
        ({"as4_path": "1"}, "as4_path"),
        ({"med": "x"}, "med"),
        ({"med": -1}, "med"),
        ({"as_path": [0]}, "as_path"),
        ({"communities": ["x"]}, "communities"),
        ({"origin": 3}, "origin"),
        ({"next_hop": "x"}, "x"),
        ({"next_hop": b"123"}, "next_hop"),
        ({"unknown": [RawAttribute(0xC0, 8, b"")]}, "8"),
        ({"unknown": [RawAttribute(0xC0, 99, b""), RawAttribute(0xC0, 99, b"")]}, "99"),
    ],
)
def test_building_with_what_is_wrong(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PathAttributes.build(**arguments)


_UINT = st.integers(-1, 1 << 32) | st.sampled_from([0, True, 1.0, "1"])


@example(AS_PATH, [1 << 32])
@example(AS_PATH, list(range(1, 71)))
@example(COMMUNITIES, [1 << 32])
@example(COMMUNITIES, list(range(70)))
@given(
    st.sampled_from([AS_PATH, COMMUNITIES]),
    st.one_of(st.lists(_UINT, max_size=70), st.frozensets(_UINT), st.tuples(_UINT, _UINT)),
)
def test_everyday_values_are_built_as_all_others(row: Attribute[Any], value: object) -> None:
    """The quick way makes the octets of the exact one, and takes nothing that it refuses."""
    try:
        made = row.from_json(frozenset(value) if row is COMMUNITIES else value)  # type: ignore[arg-type]
        exact = PathAttributes.build().with_(row, made) if made else PathAttributes.build()
    except ValueError:
        with pytest.raises(ValueError, match=row.name):
            PathAttributes.build(**{row.name: value})
    else:
        assert PathAttributes.build(**{row.name: value}) == exact


def test_none_leaves_an_attribute_out() -> None:
    assert PathAttributes.build(med=None, communities=[]) == PathAttributes.build()


@settings(max_examples=100, deadline=None)
@given(path_attributes())
def test_any_set_is_consistent(attributes: PathAttributes) -> None:
    assert_consistent(attributes)
    assert pickle.loads(pickle.dumps(attributes)) == attributes
    assert copy.copy(attributes) == attributes


@pytest.mark.parametrize("row", IN_BLOCK, ids=lambda row: row.name)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_setting_and_removing(row: Attribute[Any], data: st.DataObject) -> None:
    before = data.draw(path_attributes())
    value = data.draw(attribute_values(row))
    after = before.with_(row, value)
    assert_consistent(after)
    assert row in after
    assert after[row] == value
    assert after.next_hop == before.next_hop
    assert after.unknown == before.unknown
    others = [(other, value) for other, value in before.items() if other is not row]
    assert [(other, value) for other, value in after.items() if other is not row] == others
    # The same value again is the same object: nothing to announce.
    assert after.with_(row, value) is after
    if row in (ORIGIN, AS_PATH):
        with pytest.raises(ValueError, match="mandatory"):
            after.without(row)
        return
    without = after.without(row)
    assert_consistent(without)
    assert row not in without
    assert without.get(row) is None
    with pytest.raises(KeyError, match=row.name):
        without[row]
    assert without.without(row) is without
    if row not in before:
        assert without == before


def test_changing_a_copy_leaves_the_original() -> None:
    original = PathAttributes.build(med=1)
    assert original[MED] == 1
    changed = original.with_(MED, 2)
    assert (original.med, original[MED]) == (1, 1)
    assert (changed.med, changed[MED]) == (2, 2)


def test_the_next_hop_is_a_row_too() -> None:
    attributes = PathAttributes.build().with_(NEXT_HOP, bytes((192, 0, 2, 1)))
    assert attributes[NEXT_HOP] == bytes((192, 0, 2, 1))
    assert NEXT_HOP in attributes
    assert NEXT_HOP not in attributes.without(NEXT_HOP)
    assert NEXT_HOP not in attributes.with_next_hop(bytes(16))
    assert attributes.with_next_hop(attributes.next_hop) is attributes
    with pytest.raises(ValueError, match="octets"):
        attributes.with_next_hop(b"1")


@pytest.mark.parametrize(
    ("row", "value", "words"),
    [
        (MP_REACH, MpReach((1, 1), b"", b""), "mp_reach"),  # type: ignore[arg-type]
        (MED, 1 << 32, "MED"),
        (AS_PATH, AsPath((Segment(SegmentType.AS_SET, ()),)), "no AS number"),
        (AS_PATH, AsPath((Segment(SegmentType.AS_SEQUENCE, (0,)),)), "AS 0"),
        (AS_PATH, AsPath((Segment(SegmentType.AS_SEQUENCE, (1,) * 256),)), "AS path"),
        (CLUSTER_LIST, (1,) * 16384, "65535"),
    ],
)
def test_setting_what_is_wrong(row: Attribute[Any], value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PathAttributes.build().with_(row, value)


def test_empty_communities_remove_the_attribute() -> None:
    attributes = PathAttributes.build(communities=[1], large_communities=[(1, 2, 3)])
    assert attributes.with_(COMMUNITIES, ()).with_(LARGE_COMMUNITIES, frozenset()) == PathAttributes.build()


def test_looping_is_seen_without_building_the_path() -> None:
    attributes = PathAttributes.build(as_path="65001 65002 65001 {4200000000}")
    assert attributes.count_as(65001) == 2
    assert attributes.count_as(4200000000) == 1
    assert attributes.count_as(65003) == 0
    # The octets of the number are elsewhere in the block, the number is not in the path.
    assert attributes.with_(MED, 65003).count_as(65003) == 0


def test_a_long_attribute_has_a_long_length_field() -> None:
    attributes = PathAttributes.build(as_path=[65001] * 300, communities=range(1, 200))
    assert attributes.as_path_length == 300
    assert len(attributes.communities) == 199
    assert_consistent(attributes)
    assert_consistent(attributes.with_(COMMUNITIES, (1,)))


@settings(max_examples=60, deadline=None)
@given(path_attributes(), asns())
def test_prepending_without_building_the_path(attributes: PathAttributes, asn: int) -> None:
    prepended = attributes.prepend(asn)
    assert prepended == attributes.with_(AS_PATH, attributes.as_path.prepend(asn))
    assert_consistent(prepended)


def test_prepending_to_a_full_segment() -> None:
    attributes = PathAttributes.build(as_path=[65001] * 255).prepend(65002)
    assert [len(segment.asns) for segment in attributes.as_path.segments] == [1, 255]
    assert_consistent(attributes)
    for bad in (0, -1, 1 << 32):
        with pytest.raises(ValueError, match="AS number"):
            attributes.prepend(bad)


def test_a_pool_does_not_remember_large_blocks() -> None:
    pool = AttributePool()
    large = PathAttributes.build(communities=range(1, 1000))
    assert pool.intern(large) is large
    assert pool.size == 0


def test_equality() -> None:
    one, other = PathAttributes.build(med=1), PathAttributes.build(med=1)
    assert one == other
    assert one != other.with_(MED, 2)
    assert one != other.with_next_hop(bytes((192, 0, 2, 1)))
    assert one != "something else"
    assert len({one, other}) == 1


def test_the_pool_gives_one_object_and_stays_small() -> None:
    pool = AttributePool(limit=10)
    first = PathAttributes.build(med=1)
    assert pool.intern(first) is first
    assert pool.intern(PathAttributes.build(med=1)) is first
    for number in range(100):
        pool.intern(PathAttributes.build(med=number))
    assert pool.size <= 20
    with pytest.raises(ValueError, match="0"):
        AttributePool(limit=0)


@given(path_attributes(), st.integers(0, 0xFFFFFFFF), st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=70))
def test_reflecting_is_setting_both(attributes: PathAttributes, originator: int, clusters: list[int]) -> None:
    octets = b"".join(one.to_bytes(4, "big") for one in clusters)
    reflected = attributes.reflected(originator, octets)
    same = attributes.with_(ORIGINATOR_ID, originator).with_(CLUSTER_LIST, tuple(clusters))
    assert reflected == same
    assert (reflected.originator_id, reflected.cluster_list_length) == (same.originator_id, same.cluster_list_length)
    assert (reflected.cluster_octets, reflected.local_pref, reflected.med) == (octets, same.local_pref, same.med)


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("", True),
        ("65001", True),
        ("65001 65002 65003", True),
        ("{65001}", False),
        ("65001 {65002}", False),
        ("(65001)", False),
    ],
)
def test_a_plain_path_is_one_sequence(path: str, plain: bool) -> None:
    assert PathAttributes.build(as_path=path).has_plain_path is plain
    assert PathAttributes.build(as_path=path).prepend(7).as_path == AsPath.of(path).prepend(7)


def test_a_block_without_a_path_is_plain() -> None:
    assert PathAttributes(b"", b"", 0, 0, 0, None, None, None, 0).has_plain_path
