"""Cutting NLRI fields: canonical, masked, with path identifiers, and wrong."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.family import IPV6_UNICAST
from pybgp.messages.nlri.base import InvalidNlri, NlriCodec, join_add_path, nlri_from_json, nlri_to_json
from pybgp.messages.nlri.unicast import IPV4, IPV6
from pybgp.prefix import NLRI, parse_nlri
from tests.strategies import nlri_lists

MAXIMUM = {IPV4: 32, IPV6: 128}
codecs = st.sampled_from((IPV4, IPV6))


def slow_cut(field: bytes, maximum: int) -> list[NLRI]:
    """RFC 4271 4.3 word by word: "The length in bits, 0 to maximum", then "the minimum number of octets"."""
    keys = []
    while field:
        length, octets = field[0], -(-field[0] // 8)
        if length > maximum or len(field) < 1 + octets:
            raise InvalidNlri
        number = int.from_bytes(field[1 : 1 + octets], "big")
        number = number >> (8 * octets - length) << (8 * octets - length)
        keys.append(bytes((length,)) + number.to_bytes(octets, "big"))
        field = field[1 + octets :]
    return keys


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_canonical_fields_are_cut_and_joined_again(data: st.DataObject) -> None:
    codec = data.draw(codecs)
    keys = data.draw(nlri_lists(codec.family, unique=False))
    assert codec.cut(b"".join(keys)) == keys
    path_ids = data.draw(st.lists(st.integers(0, 0xFFFFFFFF), min_size=len(keys), max_size=len(keys)))
    assert codec.cut_add_path(b"".join(join_add_path(keys, path_ids))) == (keys, path_ids)


def entries(maximum: int) -> st.SearchStrategy[bytes]:
    """Entries with host bits set, some too long, some cut off."""
    good = st.integers(0, maximum).flatmap(
        lambda length: st.binary(min_size=-(-length // 8), max_size=-(-length // 8)).map(
            lambda octets: bytes((length,)) + octets
        )
    )
    return st.one_of(good, good, good, st.binary(max_size=3))


@settings(max_examples=200, deadline=None)
@given(st.data())
@pytest.mark.rfc("4760", "5", "pybgp.messages.nlri.unicast:_cut_exactly", "any field against a slow reader")
def test_any_field_is_cut_as_the_slow_way_does_it(data: st.DataObject) -> None:
    codec = data.draw(codecs)
    field = b"".join(data.draw(st.lists(entries(MAXIMUM[codec]), min_size=1, max_size=40)))
    if not field:
        return
    try:
        expected = slow_cut(field, MAXIMUM[codec])
    except InvalidNlri:
        with pytest.raises(InvalidNlri):
            codec.cut(field)
    else:
        assert codec.cut(field) == expected


@settings(max_examples=200, deadline=None)
@given(codecs, st.binary(min_size=1, max_size=60))
def test_random_octets_with_path_identifiers(codec: NlriCodec, field: bytes) -> None:
    try:
        keys, path_ids = codec.cut_add_path(field)
    except InvalidNlri:
        return
    assert len(keys) == len(path_ids)
    assert len(b"".join(join_add_path(keys, path_ids))) == len(field)
    assert all(codec.cut(key) == [key] for key in keys)


@pytest.mark.parametrize("codec", [IPV4, IPV6], ids=lambda codec: str(codec.family))
def test_every_length(codec: NlriCodec) -> None:
    for length in range(MAXIMUM[codec] + 1):
        ones = b"\xff" * -(-length // 8)
        canonical = slow_cut(bytes((length,)) + ones, MAXIMUM[codec])
        for repeats in (1, 2, 100):
            assert codec.cut((bytes((length,)) + ones) * repeats) == canonical * repeats
            assert codec.cut(canonical[0] * repeats) == canonical * repeats
    for length in range(MAXIMUM[codec] + 1, 256):
        with pytest.raises(InvalidNlri, match=str(length)):
            codec.cut(bytes((length,)) + bytes(40))


@pytest.mark.parametrize("length", [8, 16, 24, 32])
def test_a_uniform_looking_field_that_is_not(length: int) -> None:
    """The length octets are in step up to the last entry."""
    size = 1 + length // 8
    field = (bytes((length,)) + b"\x0a" * (size - 1)) * 30
    assert len(IPV4.cut(field)) == 30
    odd = field[:-size] + b"\x01\x80" * (size // 2) + b"\0" * (size % 2)
    assert IPV4.cut(odd) == slow_cut(odd, 32)
    with pytest.raises(InvalidNlri):
        IPV4.cut(field + bytes((length,)))


def test_vectors() -> None:
    field = bytes.fromhex("00 08 0a 14 0a0110 20 c0000201")
    assert IPV4.cut(field) == [parse_nlri(p)[1] for p in ("0.0.0.0/0", "10.0.0.0/8", "10.1.16.0/20", "192.0.2.1/32")]
    # Host bits are irrelevant on the wire, and zero in a key.
    assert IPV4.cut(bytes.fromhex("14 0a011f")) == [parse_nlri("10.1.16.0/20")[1]]
    assert IPV6.cut(bytes.fromhex("2f 20010db8ffff")) == [parse_nlri("2001:db8:fffe::/47")[1]]
    with_ids = bytes.fromhex("00000001 08 0a  ffffffff 00")
    assert IPV4.cut_add_path(with_ids) == ([b"\x08\x0a", b"\0"], [1, 0xFFFFFFFF])


@pytest.mark.parametrize("field", ["21 0a000000ff", "18 0a00", "08", "08 0a 20 01"])
def test_errors_say_what_is_wrong(field: str) -> None:
    with pytest.raises(InvalidNlri, match="ipv4-unicast"):
        IPV4.cut(bytes.fromhex(field))


@pytest.mark.parametrize("field", ["00", "00000001", "0000000108", "00000001 21 0a000000ff", "00000001 08 0a 0000"])
def test_errors_with_path_identifiers(field: str) -> None:
    with pytest.raises(InvalidNlri):
        IPV4.cut_add_path(bytes.fromhex(field))


def test_path_identifiers_must_fit() -> None:
    with pytest.raises(ValueError, match="2 NLRI came with 1"):
        join_add_path([b"\0", b"\0"], [1])
    for bad in (-1, 1 << 32):
        with pytest.raises(ValueError, match="4294967295"):
            join_add_path([b"\0"], [bad])


def test_json_form() -> None:
    field = bytes.fromhex("08 0a 18 c00002")
    assert nlri_to_json(IPV4, field, False) == ["10.0.0.0/8", "192.0.2.0/24"]
    with_ids = struct.pack(">I", 7) + b"\x08\x0a"
    assert nlri_to_json(IPV4, with_ids, True) == [{"path_id": 7, "prefix": "10.0.0.0/8"}]
    # What has no such form is hexadecimal: host bits, errors, unknown families.
    assert nlri_to_json(IPV4, b"\x07\xff", False) == "07ff"
    assert nlri_to_json(IPV4, b"\x21", False) == "21"
    assert nlri_to_json(IPV4, b"\x08\x0a", True) == "080a"
    assert nlri_to_json(None, b"\x01", False) == "01"
    assert nlri_to_json(None, b"", False) == []


@settings(max_examples=150, deadline=None)
@given(codecs, st.booleans(), st.one_of(st.binary(max_size=20), st.lists(entries(32), max_size=5).map(b"".join)))
def test_json_gives_the_same_octets(codec: NlriCodec, add_path: bool, field: bytes) -> None:
    assert nlri_from_json(codec, nlri_to_json(codec, field, add_path)) == field


@pytest.mark.parametrize(
    "value",
    [1, None, "xyz", ["x"], [1], [{}], [{"path_id": True, "prefix": "10.0.0.0/8"}], ["2001:db8::/32"], ["10.0.0.1/8"]],
)
def test_json_that_is_wrong(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        nlri_from_json(IPV4, value)


def test_next_hop_lengths() -> None:
    assert IPV4.next_hop_lengths == frozenset({4})
    assert IPV4.extended_next_hop_lengths == {16, 32}  # RFC 8950 section 3
    assert IPV6.next_hop_lengths == frozenset({16, 32})  # RFC 2545 section 3
    assert IPV6.family == IPV6_UNICAST
