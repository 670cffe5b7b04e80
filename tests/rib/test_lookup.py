"""Longest match: the keys that could hold an address, and what contains what."""

from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.prefix import parse_nlri
from pybgp.rib.lookup import covering, covers, shortened

networks = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda pair: ip_network((pair[0] >> (32 - pair[1]) << (32 - pair[1]), pair[1]))
)


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16))
@pytest.mark.rfc(
    "4271", "9.1.4", "pybgp.rib.lookup:covering", "overlapping routes are all kept, and the longest is found"
)
def test_covering_is_every_prefix_of_the_address(address: bytes) -> None:
    bits = 8 * len(address)
    keys = list(covering(address))
    number = int.from_bytes(address)
    expected = [ip_network((number >> (bits - n) << (bits - n), n)) if bits == 128 else _v4(number, n)
                for n in range(bits, -1, -1)]  # fmt: skip
    assert keys == [parse_nlri(str(one))[1] for one in expected]
    assert list(covering(address, 3)) == keys[-4:]


def _v4(number: int, length: int) -> object:
    return ip_network((number >> (32 - length) << (32 - length), length))


@settings(max_examples=200, deadline=None)
@given(networks, networks, st.integers(0, 32))
def test_covers_and_shortened(one: object, other: object, length: int) -> None:
    first, second = parse_nlri(str(one))[1], parse_nlri(str(other))[1]
    assert covers(first, second) == other.subnet_of(one)  # type: ignore[attr-defined]
    if length <= first[0]:
        assert shortened(first, length) == parse_nlri(str(one.supernet(new_prefix=length)))[1]  # type: ignore[attr-defined]
        assert covers(shortened(first, length), first)


@pytest.mark.parametrize("size", [0, 3, 5, 15, 17])
def test_an_address_has_4_or_16_octets(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        list(covering(bytes(size)))
