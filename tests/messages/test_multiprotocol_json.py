"""MP_REACH_NLRI and MP_UNREACH_NLRI of families that nobody knows: in JSON, in an Update, and sent again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.family import Family
from pybgp.messages.attributes.communities import COMMUNITIES
from pybgp.messages.attributes.extended_communities import EXTENDED_COMMUNITIES
from pybgp.messages.attributes.ipv6_extended_communities import IPV6_EXTENDED_COMMUNITIES
from pybgp.messages.attributes.large_communities import LARGE_COMMUNITIES
from pybgp.messages.attributes.mp_reach import MP_REACH, MpReach
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.context import CodecContext
from pybgp.messages.nlri import CODEC_OF
from pybgp.messages.update import decode_update
from pybgp.messages.update_writer import encode_reach, encode_unreach

unknown = st.builds(Family, st.integers(0, 0xFFFF), st.integers(0, 255)).filter(lambda one: one not in CODEC_OF)


@settings(max_examples=150, deadline=None)
@given(unknown, st.binary(max_size=255), st.binary(min_size=1, max_size=300), st.booleans())
def test_octets_of_a_family_that_nobody_knows(family: Family, next_hop: bytes, nlri: bytes, add_path: bool) -> None:
    """They come out as they came in, whatever they are."""
    families = frozenset({family})
    on = families if add_path else frozenset()
    context = CodecContext(True, False, True, families, on, on)
    value = MP_REACH.encode(MpReach(family, next_hop, nlri), context)
    block = (
        bytes((0x90, 14)) + len(value).to_bytes(2, "big") + value + bytes.fromhex("400101 00 400200 400504 00000064")
    )
    body = b"\0\0" + len(block).to_bytes(2, "big") + block
    update = decode_update(body, context, AttributePool())
    (reach,) = update.reach
    assert (reach.family, reach.nlri, reach.attributes.next_hop) == (family, [nlri], next_hop)
    assert update.faults == ()
    (message,) = encode_reach(family, reach.nlri, reach.attributes, context)
    assert message[19:] == body
    (message,) = encode_unreach(family, [nlri], context)
    (gone,) = decode_update(message[19:], context, AttributePool()).unreach
    assert (gone.family, gone.nlri) == (family, [nlri])


@pytest.mark.parametrize(
    ("next_hop", "shown"),
    [
        ("", None),
        ("c0000201", "192.0.2.1"),
        ("20010db8000000000000000000000001", "2001:db8::1"),
        ("20010db8000000000000000000000001fe800000000000000000000000000001", "2001:db8::1"),
        ("0000000000000000c0000201", "0000000000000000c0000201"),  # a route distinguisher before it (RFC 4364)
    ],
)
def test_next_hops_of_all_sizes_as_text(next_hop: str, shown: str | None) -> None:
    value = bytes.fromhex(f"0019 46 {len(next_hop) // 2:02x} {next_hop} 00 ff")
    block = bytes((0x80, 14, len(value))) + value + bytes.fromhex("400101 00 400200 400504 00000064")
    context = CodecContext(True, False, True, frozenset({Family(25, 70)}))
    (reach,) = decode_update(b"\0\0" + len(block).to_bytes(2, "big") + block, context, AttributePool()).reach
    assert reach.attributes.next_hop_text == shown


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        ({"afi": 1, "safi": 128, "next_hop": "0000", "nlri": "ff"}, "0001 80 02 0000 00 ff"),
        ({"afi": 1, "safi": 1, "next_hop": ["192.0.2.1"], "nlri": [], "reserved": 7}, "0001 01 04 c0000201 07"),
        ({"afi": 1, "safi": 133, "next_hop": "", "nlri": ["protocol =6"]}, "0001 85 00 00 03 03 81 06"),
        (
            {"afi": 2, "safi": 1, "next_hop": ["2001:db8::1", "fe80::1"], "nlri": ["2001:db8::/32"]},
            "0002 01 20 20010db8000000000000000000000001 fe800000000000000000000000000001 00 20 20010db8",
        ),
    ],
)
def test_json(value: dict[str, object], digits: str) -> None:
    octets = bytes.fromhex(digits)
    context = CodecContext()
    assert MP_REACH.encode(MP_REACH.from_json(value), context) == octets
    assert MP_REACH.to_json(MP_REACH.decode(octets, context)) == value


@pytest.mark.parametrize("next_hop", [None, 5, "zz", ["192.0.2"], [4], "0"])
def test_a_next_hop_that_is_none(next_hop: object) -> None:
    with pytest.raises(ValueError, match="next_hop is a list"):
        MP_REACH.from_json({"afi": 1, "safi": 1, "next_hop": next_hop, "nlri": []})
    with pytest.raises(ValueError, match="255 do"):
        MP_REACH.encode(MpReach(Family(1, 1), bytes(256), b""), CodecContext())


def test_sets_of_communities_are_sorted() -> None:
    context = CodecContext()
    assert COMMUNITIES.encode(COMMUNITIES.from_json(frozenset({"0:2", "0:1"})), context).hex() == "0000000100000002"
    large = LARGE_COMMUNITIES.from_json(frozenset({"2:0:0", "1:0:0"}))
    assert LARGE_COMMUNITIES.encode(large, context)[:4] == b"\0\0\0\1"
    extended = EXTENDED_COMMUNITIES.from_json(frozenset({"soo:1:1", "rt:1:1"}))
    assert EXTENDED_COMMUNITIES.encode(extended, context)[:2] == b"\0\2"
    ipv6 = IPV6_EXTENDED_COMMUNITIES.from_json(frozenset({"soo:[::1]:1", "rt:[::1]:1"}))
    assert IPV6_EXTENDED_COMMUNITIES.encode(ipv6, context)[:2] == b"\0\2"


def test_an_mp_reach_without_nlri_announces_nothing() -> None:
    """As long as its next hop can be one: RFC 7606 section 5.3 has the same rules for it."""
    context = CodecContext(True, False, True, frozenset({Family(2, 1), Family(1, 4)}))
    for value in ("0002 01 10 20010db8000000000000000000000001 00", "0001 04 04 c0000201 00"):
        octets = bytes.fromhex(value)
        block = bytes((0x80, 14, len(octets))) + octets + bytes.fromhex("400101 00 400200 400504 00000064")
        update = decode_update(b"\0\0" + len(block).to_bytes(2, "big") + block, context, AttributePool())
        assert (update.reach, update.unreach, update.faults) == ((), (), ())
