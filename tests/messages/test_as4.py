"""4-octet AS numbers over sessions with 2-octet ones (RFC 6793)."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pybgp.family import IPV4_UNICAST
from pybgp.messages.attributes.aggregator import AGGREGATOR, Aggregator
from pybgp.messages.attributes.as4 import AS4_AGGREGATOR, AS4_PATH, AS_TRANS, merge, split
from pybgp.messages.attributes.as_path import AsPath
from pybgp.messages.attributes.base import Outcome
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.context import CodecContext
from pybgp.messages.update import decode_update
from pybgp.messages.update_writer import encode_reach
from tests.strategies import as_paths, path_attributes

OLD = CodecContext(four_octet_as=False, internal=True)
NEW = CodecContext(four_octet_as=True, internal=True)
ROUTER = bytes((192, 0, 2, 1))


@pytest.mark.parametrize(
    ("path", "as4_path", "merged"),
    [
        # Nothing new on the way: the whole path is the new one.
        ("23456 23456", "4200000001 4200000002", "4200000001 4200000002"),
        # Old speakers prepended after the last new one.
        ("65001 65002 23456", "4200000001", "65001 65002 4200000001"),
        # Fewer AS numbers in AS_PATH: AS4_PATH is ignored.
        ("65001", "4200000001 4200000002", "65001"),
        # A set counts as one.
        ("65001 {65002,65003} 23456", "4200000001", "65001 {65002,65003} 4200000001"),
        ("65001 {65002,65003}", "{4200000001,4200000002}", "65001 {4200000001,4200000002}"),
        # Confederation segments count nothing; they lead or follow what is prepended.
        ("(65010) 65001 23456", "4200000001", "(65010) 65001 4200000001"),
        ("(65010) 23456", "4200000001", "(65010) 4200000001"),
        ("65001 (65010) 23456", "4200000001", "65001 (65010) 4200000001"),
        # None in AS4_PATH either: they are taken out of it (section 6).
        ("65001 23456", "(65010) 4200000001", "65001 4200000001"),
        ("65001", "(65010)", "65001"),
    ],
)
@pytest.mark.rfc("6793", "4.2.3", "pybgp.messages.attributes.as4:_merge_paths", "AS_PATH and AS4_PATH together")
def test_merging(path: str, as4_path: str, merged: str) -> None:
    result, aggregator = merge(AsPath.of(path), AsPath.of(as4_path), None, None)
    assert str(result) == merged
    assert aggregator is None


def test_merging_within_a_segment_of_the_new_path() -> None:
    """Counted from the front, through the middle of a segment, and never more than 255 in one."""
    path = AsPath.of([65001] * 3 + [AS_TRANS] * 254)
    result, _ = merge(path, AsPath.of([4200000001] * 254), None, None)
    assert list(result) == [65001] * 3 + [4200000001] * 254
    assert [len(segment.asns) for segment in result.segments] == [3, 254]


@pytest.mark.rfc("6793", "4.2.3", "pybgp.messages.attributes.as4:merge", "AS_TRANS in AGGREGATOR")
def test_the_aggregator_decides() -> None:
    """4.2.3: with an AGGREGATOR other than AS_TRANS both AS4 attributes are ignored."""
    path, as4_path = AsPath.of("65001 23456"), AsPath.of("4200000001")
    new = Aggregator(4200000001, ROUTER)
    assert merge(path, as4_path, Aggregator(65001, ROUTER), new) == (path, Aggregator(65001, ROUTER))
    assert merge(path, as4_path, Aggregator(AS_TRANS, ROUTER), new) == (AsPath.of("65001 4200000001"), new)
    # One without the other changes nothing of the path.
    assert merge(path, as4_path, Aggregator(65001, ROUTER), None)[0] == AsPath.of("65001 4200000001")
    assert merge(path, as4_path, None, new) == (AsPath.of("65001 4200000001"), None)


@pytest.mark.rfc("6793", "4.2.2", "pybgp.messages.attributes.as4:split", "AS_TRANS, and AS4_PATH beside it")
def test_splitting() -> None:
    path = AsPath.of("(65010) 65001 4200000001 {65002,4200000002}")
    old, new, aggregator, as4_aggregator = split(path, Aggregator(4200000001, ROUTER))
    assert str(old) == "(65010) 65001 23456 {65002,23456}"
    assert str(new) == "65001 4200000001 {65002,4200000002}"
    assert aggregator == Aggregator(AS_TRANS, ROUTER)
    assert as4_aggregator == Aggregator(4200000001, ROUTER)
    # "SHOULD NOT be sent" where the path fits.
    plain = AsPath.of("65001 65002")
    assert split(plain, Aggregator(65001, ROUTER)) == (plain, None, Aggregator(65001, ROUTER), None)


@settings(max_examples=200, deadline=None)
@given(as_paths())
def test_what_is_split_is_merged_again(path: AsPath) -> None:
    # Confederation members with 4-octet numbers are lost on the way (4.2.2), and only leading segments come back.
    assume(path == path.without_confederation())
    old, new, _, _ = split(path, None)
    merged, _ = merge(old, new, None, None)
    assert list(merged) == list(path)
    assert merged.length == path.length


@settings(max_examples=200, deadline=None)
@given(as_paths(maximum=65535), as_paths())
def test_a_merged_path_has_the_length_of_the_old_one(path: AsPath, as4_path: AsPath) -> None:
    """4.2.3: "the number of AS numbers … identical to the number … in the AS_PATH"."""
    merged, _ = merge(path, as4_path, None, None)
    assert merged.length == path.length


@settings(max_examples=100, deadline=None)
@given(path_attributes(internal=True))
def test_a_session_with_an_old_speaker(attributes: PathAttributes) -> None:
    assume(attributes.as_path == attributes.as_path.without_confederation())
    (message,) = encode_reach(IPV4_UNICAST, [b"\x08\x0a"], attributes, OLD)
    update = decode_update(message[19:], OLD, AttributePool())
    codes = [raw.code for raw in update.attributes]
    assert codes == sorted(codes)
    assert (AS4_PATH.code in codes) == any(asn > 65535 for asn in attributes.as_path)
    aggregator = attributes.get(AGGREGATOR)
    assert (AS4_AGGREGATOR.code in codes) == (aggregator is not None and aggregator.asn > 65535)
    (reach,) = update.reach
    assert update.faults == ()
    assert list(reach.attributes.as_path) == list(attributes.as_path)
    assert reach.attributes.get(AGGREGATOR) == aggregator


@pytest.mark.rfc(
    "6793", "4.1", "pybgp.messages.attributes.codec:_recognized", "AS4_PATH between new speakers is discarded"
)
def test_between_two_new_speakers_there_are_no_as4_attributes() -> None:
    """Both numbers of an AS have four octets; what comes all the same is not believed, and goes no further."""
    attributes = PathAttributes.build(as_path=[4_200_000_001], next_hop="192.0.2.1", local_pref=100)
    (message,) = encode_reach(IPV4_UNICAST, [b"\x08\x0a"], attributes, NEW)
    assert [raw.code for raw in decode_update(message[19:], NEW, AttributePool()).attributes] == [1, 2, 3, 5]
    block = bytes.fromhex("400101 00 400206 0201 0000fde8 400304 c0000201 400504 00000064 c01106 0201 fa56ea01")
    update = decode_update(b"\0\0" + len(block).to_bytes(2, "big") + block + b"\x08\x0a", NEW, AttributePool())
    assert [fault.outcome for fault in update.faults] == [Outcome.ATTRIBUTE_DISCARD]
    (reach,) = update.reach
    assert list(reach.attributes.as_path) == [65000]
    (onward,) = encode_reach(IPV4_UNICAST, reach.nlri, reach.attributes, NEW)
    assert AS4_PATH.code not in [raw.code for raw in decode_update(onward[19:], NEW, AttributePool()).attributes]


def test_as4_attributes_alone_are_no_path() -> None:
    """AS4_PATH does not stand in for a missing AS_PATH."""
    block = bytes.fromhex("40010100 40030 4c0000201 40050400000064 c011060201fa56ea00".replace(" ", ""))
    body = b"\0\0" + len(block).to_bytes(2, "big") + block + b"\x08\x0a"
    update = decode_update(body, OLD, AttributePool())
    assert [fault.attribute for fault in update.faults] == [2]
    assert update.reach == ()


@settings(max_examples=20, deadline=None)
@given(st.integers(16300, 32000))
def test_a_path_that_only_fits_with_two_octets(count: int) -> None:
    """An extended message may hold an AS_PATH that has no place in an attribute with 4 octets each."""
    value = b"".join(b"\x02\xff" + b"\xfd\xe9" * 255 for _ in range(count // 255))
    block = (
        bytes.fromhex("40010100 400304c0000201 40050400000064") + b"\x50\x02" + len(value).to_bytes(2, "big") + value
    )
    body = b"\0\0" + len(block).to_bytes(2, "big") + block + b"\x08\x0a"
    update = decode_update(body, OLD, AttributePool())
    if count // 255 * (2 + 4 * 255) > 65535:
        assert [u.nlri for u in update.unreach] == [[b"\x08\x0a"]]
    else:
        assert update.reach[0].attributes.as_path_length == count // 255 * 255
