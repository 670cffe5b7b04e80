"""Prefixes, addresses and families: text and wire form."""

from __future__ import annotations

import copy
import ipaddress
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netaddr import IPNetwork

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.prefix import Prefix, format_address, format_nlri, pack_address, parse_nlri
from tests import strategies

ipv4s, ipv6s = st.ip_addresses(v=4), st.ip_addresses(v=6)
any_prefixes = st.one_of(strategies.prefixes(), strategies.prefixes(IPV6_UNICAST))


@given(st.one_of(ipv4s, ipv6s))
def test_addresses_as_the_standard_library_has_them(address: ipaddress.IPv4Address) -> None:
    assert pack_address(str(address)) == address.packed
    assert format_address(address.packed) == str(address)


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "fe80::1%eth0", "::g", " 1.2.3.4"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        pack_address(text)


@pytest.mark.parametrize("value", [5, True, None, b"\x0a\0\0\1", ("10.0.0.1",)])
def test_what_is_no_text_is_no_address(value: Any) -> None:
    """ipaddress would take numbers and octets: 5 is nobody's next hop."""
    with pytest.raises(ValueError, match="address"):
        pack_address(value)


@pytest.mark.parametrize("raw", [b"", bytes(3), bytes(15), bytes(32)])
def test_octets_that_are_no_address(raw: bytes) -> None:
    with pytest.raises(ValueError, match="4 or 16"):
        format_address(raw)


@pytest.mark.parametrize(
    ("text", "family", "nlri"),
    [
        ("0.0.0.0/0", IPV4_UNICAST, "00"),
        ("10.0.0.0/8", IPV4_UNICAST, "080a"),
        ("10.64.0.0/10", IPV4_UNICAST, "0a0a40"),
        ("192.0.2.1", IPV4_UNICAST, "20c0000201"),
        ("::/0", IPV6_UNICAST, "00"),
        ("2001:db8::/32", IPV6_UNICAST, "2020010db8"),
        ("2001:db8:8000::/33", IPV6_UNICAST, "2120010db880"),
        ("::1", IPV6_UNICAST, "80" + "00" * 15 + "01"),
    ],
)
def test_wire_form(text: str, family: Family, nlri: str) -> None:
    assert parse_nlri(text) == (family, bytes.fromhex(nlri))
    assert format_nlri(family, bytes.fromhex(nlri)).startswith(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10.0.0.1/24", "host bits"),
        ("2001:db8::1/127", "host bits"),
        ("10.0.0.0/33", "0 to 32"),
        ("::/129", "0 to 128"),
        ("10.0.0.0/", "0 to 32"),
        ("10.0.0.0/-1", "0 to 32"),
        ("10.0.0.0/\u0662", "0 to 32"),
        ("10.0.0.0/8/8", "0 to 32"),
        ("10.0.0.0/" + "1" * 5000, "0 to 32"),
        ("10/8", "prefix"),
        ("", "prefix"),
    ],
)
def test_what_is_no_prefix(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_nlri(text)
    with pytest.raises(ValueError, match=words):
        Prefix(text)


@pytest.mark.parametrize(
    ("family", "nlri"),
    [(IPV4_UNICAST, "210a000000"), (IPV4_UNICAST, "180a"), (IPV4_UNICAST, ""), (IPV6_UNICAST, "81"), ((25, 70), "00")],
)
def test_octets_that_are_no_prefix(family: tuple[int, int], nlri: str) -> None:
    with pytest.raises(ValueError, match=r"destination|no IP prefixes"):
        format_nlri(Family(*family), bytes.fromhex(nlri))


@given(any_prefixes)
def test_text_there_and_back(prefix: Prefix) -> None:
    assert Prefix(str(prefix)) == prefix
    assert Prefix(prefix) == prefix
    assert eval(repr(prefix)) == prefix
    assert parse_nlri(str(prefix)) == (prefix.family, prefix.nlri)
    assert pickle.loads(pickle.dumps(prefix)) == copy.deepcopy(prefix) == prefix
    assert hash(Prefix(str(prefix))) == hash(prefix)


@given(any_prefixes)
def test_as_netaddr_has_it(prefix: Prefix) -> None:
    network = IPNetwork(str(prefix))
    assert prefix.network == network
    assert Prefix(network) == prefix
    assert (prefix.address, prefix.length) == (network.value, network.prefixlen)


@given(any_prefixes, any_prefixes)
def test_order_and_containment(one: Prefix, other: Prefix) -> None:
    a, b = ipaddress.ip_network(str(one)), ipaddress.ip_network(str(other))
    if a.version == b.version:
        assert (other in one) == b.subnet_of(a)  # type: ignore[arg-type]
        assert (one < other) == (a < b)  # type: ignore[operator]
    else:
        assert other not in one
        assert (one < other) == (a.version < b.version)
    assert (one == other) == (a == b)
    assert sum((one < other, one == other, one > other)) == 1


@given(strategies.prefixes(minimum=1))
def test_a_prefix_is_inside_of_all_that_are_shorter(prefix: Prefix) -> None:
    for length in range(prefix.length + 1):
        network = ipaddress.ip_network(str(prefix)).supernet(new_prefix=length)
        assert prefix in Prefix(str(network))


def test_containment_of_text() -> None:
    assert "10.1.0.0/16" in Prefix("10.0.0.0/8")
    assert "10.1.2.3" in Prefix("10.0.0.0/8")
    assert "::" not in Prefix("0.0.0.0/0")
    with pytest.raises(ValueError, match="host bits"):
        assert "10.0.0.1/8" in Prefix("0.0.0.0/0")
    with pytest.raises(ValueError, match="prefix"):
        assert 5 in Prefix("::/0")  # type: ignore[operator]


def test_prefixes_of_others_stay_others() -> None:
    with pytest.raises(TypeError):
        assert Prefix("10.0.0.0/8") < "10.0.0.0/9"  # type: ignore[operator]
    assert Prefix("10.0.0.0/8") != IPNetwork("10.0.0.0/8")


def test_a_prefix_does_not_change() -> None:
    prefix = Prefix("10.0.0.0/8")
    with pytest.raises(AttributeError):
        prefix.nlri = b"\x00"
    assert prefix != "10.0.0.0/8"


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFF))
def test_a_family_there_and_back(afi: int, safi: int) -> None:
    assert Family.parse(str(Family(afi, safi))) == Family(afi, safi)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ipv4",
        "afi1",
        "afi-safi",
        "afi1-safi256",
        "afi65536-safi1",
        "afi\u0661-safi1",
        "afi" + "1" * 5000 + "-safi1",
        None,
    ],
)
def test_what_is_no_family(text: Any) -> None:
    with pytest.raises(ValueError, match="ipv4-unicast"):
        Family.parse(text)
