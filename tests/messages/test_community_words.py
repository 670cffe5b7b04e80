"""Communities of all kinds in words: octets of the RFCs' pictures, and every octet string survives its words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.messages.attributes.communities import COMMUNITIES, WELL_KNOWN_NAMES, format_community, parse_community
from pybgp.messages.attributes.extended_communities import (
    EXTENDED_COMMUNITIES,
    format_extended_community,
    parse_extended_community,
)
from pybgp.messages.attributes.ipv6_extended_communities import (
    format_ipv6_extended_community,
    parse_ipv6_extended_community,
)
from pybgp.messages.attributes.path_attributes import PathAttributes

WELL_KNOWN = {
    "graceful-shutdown": (65535, 0),  # RFC 8326 4.1
    "accept-own": (65535, 1),  # RFC 7611 2.1
    "llgr-stale": (65535, 6),  # RFC 9494 3.2
    "no-llgr": (65535, 7),  # RFC 9494 3.3
    "blackhole": (65535, 666),  # RFC 7999 2
    "no-export": (65535, 65281),  # RFC 1997
    "no-advertise": (65535, 65282),
    "no-export-subconfed": (65535, 65283),
    "no-peer": (65535, 65284),  # RFC 3765
}


def test_the_well_known_have_names() -> None:
    assert {name: (value >> 16, value & 0xFFFF) for name, value in WELL_KNOWN_NAMES.items()} == WELL_KNOWN


@pytest.mark.parametrize(("name", "numbers"), WELL_KNOWN.items())
def test_a_well_known_community_by_name_and_by_number(name: str, numbers: tuple[int, int]) -> None:
    value = numbers[0] << 16 | numbers[1]
    assert format_community(value) == name
    for text in (name, name.upper().replace("-", "_"), "{}:{}".format(*numbers)):
        assert parse_community(text) == value
    assert PathAttributes.build(communities=[name])[COMMUNITIES] == (value,)


EXTENDED = {
    "rt:65000:100": "0002 fde8 00000064",  # RFC 4360 4
    "soo:65000:4294967295": "0003 fde8 ffffffff",  # RFC 4360 5
    "rt:192.0.2.1:5": "0102 c0000201 0005",  # RFC 4360 3.2
    "rt:4200000000L:7": "0202 fa56ea00 0007",  # RFC 5668 2
    "soo:65000L:7": "0203 0000fde8 0007",
    "link-bandwidth:65000:1250000": "4004 fde8 49989680",
    "link-bandwidth-transitive:0:0": "0004 0000 00000000",
    "link-bandwidth:65000:0.5": "4004 fde8 3f000000",
    "link-bandwidth:65000:1.2676506002282294e+30": "4004 fde8 71800000",
    "color:100": "030b 0000 00000064",  # RFC 9012 4.3
    "opaque:0b:800000000064": "030b 8000 00000064",  # flags that are set
    "encapsulation:8": "030c 00000000 0008",  # RFC 9012 4.1
    "default-gateway": "030d 000000000000",
    "opaque:2a:010203040506": "032a 010203040506",
    "validation:valid": "4300 0000000000 00",  # RFC 8097 2
    "validation:not-found": "4300 0000000000 01",
    "validation:invalid": "4300 0000000000 02",
    "mac-mobility:5": "0600 00 00 00000005",  # RFC 7432 7.7
    "mac-mobility:sticky:5": "0600 01 00 00000005",
    "es-import:02:00:5e:00:53:01": "0602 02005e005301",
    "router-mac:02:00:5e:00:53:01": "0603 02005e005301",
    "traffic-rate:65000:0": "8006 fde8 00000000",  # RFC 8955 7.1
    "traffic-rate:0:1250000": "8006 0000 49989680",
    "traffic-rate-packets:0:1000": "800c 0000 447a0000",  # RFC 8955 7.2
    "traffic-action:none": "8007 000000000000",  # RFC 8955 7.3
    "traffic-action:sample,terminal": "8007 000000000003",
    "traffic-action:terminal": "8007 000000000001",
    "redirect:65000:100": "8008 fde8 00000064",  # RFC 8955 7.4
    "redirect:192.0.2.1:5": "8108 c0000201 0005",
    "redirect:4200000000L:7": "8208 fa56ea00 0007",
    "traffic-marking:46": "8009 0000000000 2e",  # RFC 8955 7.5
    "0x4304000000000001": "4304 000000000001",  # no known subtype
    "0x4002fde800000064": "4002 fde8 00000064",  # a route target that is not transitive
    "0x80060000ffc00000": "8006 0000 ffc00000",  # no number
    "0x8006000080000000": "8006 0000 80000000",  # minus zero
    "0x800600007f800000": "8006 0000 7f800000",  # infinite
    "0x8007000000000004": "8007 000000000004",  # a reserved bit
    "0x4300000000000003": "4300 0000000000 03",  # no such state
    "0x0600020000000005": "0600 02 00 00000005",
    "0x030d000000000001": "030d 000000000001",
    "0x8009010000000001": "8009 0100000000 01",
}


@pytest.mark.parametrize(("text", "digits"), EXTENDED.items())
@pytest.mark.rfc(
    "4360",
    "3",
    "pybgp.messages.attributes.extended_community_words:_read_administrator",
    "two-octet AS, address, four-octet AS",
)
@pytest.mark.rfc(
    "8955", "7", "pybgp.messages.attributes.extended_community_words:_action", "the traffic actions by their names"
)
def test_an_extended_community(text: str, digits: str) -> None:
    octets = bytes.fromhex(digits)
    if text.startswith("opaque:0b"):  # what has a word of its own is shown as octets where that does not say all
        assert format_extended_community(octets) == "0x" + octets.hex()
    else:
        assert format_extended_community(octets) == text
    assert parse_extended_community(text) == octets
    assert PathAttributes.build(extended_communities=[text])[EXTENDED_COMMUNITIES] == (octets,)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("ro:65000:100", "soo:65000:100"),
        ("rt:4200000000:7", "rt:4200000000L:7"),
        ("rt:65536:7", "rt:65536L:7"),
        ("redirect:65536:7", "redirect:65536L:7"),
        ("traffic-rate:0:1.25e6", "traffic-rate:0:1250000"),
        ("traffic-action:terminal,sample", "traffic-action:sample,terminal"),
        ("color:007", "color:7"),
        ("0x0002FDE800000064", "rt:65000:100"),
    ],
)
def test_another_way_to_write_it(text: str, same: str) -> None:
    assert format_extended_community(parse_extended_community(text)) == same


@pytest.mark.parametrize(
    "text",
    [
        *("", "rt", "rt:", "rt:1", "rt:1:2:3", "rt:65000:4294967296", "rt:4200000000:65536", "rt:65000L:65536"),
        *("rt:192.0.2.1:65536", "rt:192.0.2:1", "rt:-1:1", "rt:1:-1", "rt:\u0661:1", "rt: 1:1", "target:1:1", "RT:1:1"),
        *("rt:99999999999:1", "rt:LL:1", "rt:L:1", "0x00", "0x000200640000006g", "0x 0002006400000064"),
        *("0x00 02 00 64 00 00 00 64", "traffic-rate:1", "traffic-rate:65536:1", "traffic-rate:0:-1"),
        *("traffic-rate:0:nan", "traffic-rate:0:1e999", "traffic-rate:0:1e39", "traffic-rate:0:1_0"),
        *("traffic-action:", "traffic-action:both", "traffic-action:sample,sample", "traffic-marking:256"),
        *("validation:", "validation:maybe", "mac-mobility:sticky:", "es-import:02:00", "router-mac:02005e005301"),
        *("opaque:", "opaque:0b", "opaque:b:000000000000", "opaque:0b:00", "default-gateway:1", "color:4294967296"),
    ],
)
def test_no_extended_community(text: str) -> None:
    with pytest.raises(ValueError, match="an extended community is"):
        parse_extended_community(text)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["", *sorted({digits.split()[0] for digits in EXTENDED.values()})]),
    st.sampled_from(["", "0000", "00000000", "0000000000"]),
    st.binary(min_size=8, max_size=8),
)
def test_all_octets_survive_their_words(head: str, middle: str, tail: bytes) -> None:
    start = bytes.fromhex(head + middle)
    octets = start + tail[len(start) :]
    assert parse_extended_community(format_extended_community(octets)) == octets


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="rtsoc0123456789.:L,-xabe", max_size=24))
def test_any_text_is_a_community_or_an_error(text: str) -> None:
    try:
        octets = parse_extended_community(text)
    except ValueError:
        return
    assert len(octets) == 8
    assert parse_extended_community(format_extended_community(octets)) == octets


IPV6_EXTENDED = {
    "rt:[2001:db8::1]:100": "0002 20010db8000000000000000000000001 0064",  # RFC 5701 2
    "soo:[2001:db8::1]:65535": "0003 20010db8000000000000000000000001 ffff",
    "redirect:[2001:db8::1]:1": "000d 20010db8000000000000000000000001 0001",  # RFC 8956 6.1
    "0x400220010db80000000000000000000000010064": "4002 20010db8000000000000000000000001 0064",
    "0x00ff20010db80000000000000000000000010064": "00ff 20010db8000000000000000000000001 0064",
}


@pytest.mark.parametrize(("text", "digits"), IPV6_EXTENDED.items())
@pytest.mark.rfc(
    "5701",
    "2",
    "pybgp.messages.attributes.ipv6_extended_communities:parse_ipv6_extended_community",
    "twenty octets, with an address",
)
def test_an_ipv6_extended_community(text: str, digits: str) -> None:
    octets = bytes.fromhex(digits)
    assert format_ipv6_extended_community(octets) == text
    assert parse_ipv6_extended_community(text) == octets
    assert parse_ipv6_extended_community(octets) == octets
    if text.startswith("soo"):
        assert parse_ipv6_extended_community(text.replace("soo", "ro")) == octets


@pytest.mark.parametrize(
    "text", ["", "rt:[]:1", "rt:[192.0.2.1]:1", "rt:2001:db8::1:1", "rt:[::1]:65536", "soo:[::1]", "0x00", "0xzz"]
)
def test_no_ipv6_extended_community(text: str) -> None:
    with pytest.raises(ValueError, match="an IPv6 extended community is"):
        parse_ipv6_extended_community(text)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["0002", "0003", "000d", "0004", "4002", ""]), st.binary(min_size=20, max_size=20))
def test_all_ipv6_octets_survive_their_words(head: str, tail: bytes) -> None:
    octets = bytes.fromhex(head) + tail[len(head) // 2 :]
    assert parse_ipv6_extended_community(format_ipv6_extended_community(octets)) == octets
