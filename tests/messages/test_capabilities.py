"""Capabilities one by one: octets of the RFCs, round trips, and values that do not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybgp.errors import OpenMessageError
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.messages.capabilities import (
    CAPABILITIES,
    AddPath,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAS,
    GracefulRestart,
    Hostname,
    LongLivedGracefulRestart,
    Multiprotocol,
    Role,
    RouteRefreshCapability,
    SoftwareVersion,
    UnknownCapability,
    decode_capabilities,
    encode_capabilities,
)
from pybgp.messages.open import Open, decode_open, encode_open
from tests.messages.test_open import capabilities

FIRST = {
    Multiprotocol(IPV6_UNICAST): "0104 0002 00 01",  # RFC 4760 8
    RouteRefreshCapability(): "0200",  # RFC 2918 2
    ExtendedNextHop(((IPV4_UNICAST, 2),)): "0506 0001 0001 0002",  # RFC 8950 4: SAFI has two octets here
    ExtendedMessage(): "0600",  # RFC 8654 3
    GracefulRestart(120, ((IPV4_UNICAST, True),)): "4006 0078 0001 01 80",  # RFC 4724 3
    GracefulRestart(4095, restarting=True): "4002 8fff",
    GracefulRestart(0, notification=True): "4002 4000",  # RFC 8538 2
    FourOctetAS(65536): "4104 00010000",  # RFC 6793 3
    AddPath(((IPV4_UNICAST, 1), (IPV6_UNICAST, 2))): "4508 0001 01 01 0002 01 02",  # RFC 7911 4
    EnhancedRouteRefresh(): "4600",  # RFC 7313 3.1
    Role(4): "0901 04",  # RFC 9234 4.1: peer
    LongLivedGracefulRestart(((IPV6_UNICAST, True, 86400),)): "4707 0002 01 80 015180",  # RFC 9494 3
    Hostname("a", "b.c"): "4906 01 61 03 622e63",
    SoftwareVersion("pybgp 1"): "4b08 07 70796267702031",
    UnknownCapability(200, b"\x01"): "c801 01",
}


@pytest.mark.parametrize(("capability", "digits"), FIRST.items(), ids=lambda value: str(value)[:30])
@pytest.mark.rfc("9234", "4.1", "pybgp.messages.capabilities.role:Role.encode", "octets of the capability")
@pytest.mark.rfc(
    "9494",
    "3.1",
    "pybgp.messages.capabilities.long_lived_graceful_restart:LongLivedGracefulRestart.encode",
    "octets of the capability",
)
@pytest.mark.rfc(
    "2918", "2", "pybgp.messages.capabilities.route_refresh:RouteRefreshCapability.encode", "code 2, no value"
)
@pytest.mark.rfc(
    "7313", "3.1", "pybgp.messages.capabilities.enhanced_route_refresh:EnhancedRouteRefresh.encode", "code 70, no value"
)
@pytest.mark.rfc("8654", "3", "pybgp.messages.capabilities.extended_message:ExtendedMessage.encode", "code 6, no value")
def test_octets(capability: Capability, digits: str) -> None:
    octets = bytes.fromhex(digits)
    assert encode_capabilities([capability]) == octets
    assert decode_capabilities(octets) == [capability]


def test_each_class_has_octets_above() -> None:
    assert {type(capability) for capability in FIRST} == {*CAPABILITIES, UnknownCapability}


@given(st.lists(capabilities, max_size=6))
def test_round_trip(listed: list[Capability]) -> None:
    octets = encode_capabilities(listed)
    assert decode_capabilities(octets) == listed
    assert len({*listed}) == len({repr(capability) for capability in listed})


@given(st.binary(max_size=60))
def test_any_octets_are_capabilities_or_the_one_error(octets: bytes) -> None:
    try:
        found = decode_capabilities(octets)
    except OpenMessageError as error:
        assert error.subcode == 0
    else:
        again = encode_capabilities(found)
        assert len(again) == len(octets)
        assert decode_capabilities(again) == found


@given(st.sampled_from(CAPABILITIES), st.binary(max_size=20))
def test_any_value_is_read_or_kept(cls: type[Capability], value: bytes) -> None:
    """Only what the session cannot do without resets it; the rest is kept as it came."""
    octets = bytes((cls.code, len(value))) + value  # type: ignore[arg-type]
    try:
        (found,) = decode_capabilities(octets)
    except OpenMessageError:
        assert cls in (Multiprotocol, FourOctetAS)
        return
    if isinstance(found, UnknownCapability):
        assert encode_capabilities([found]) == octets


@pytest.mark.parametrize(
    "capability",
    [
        FourOctetAS(1 << 32),
        FourOctetAS(-1),
        GracefulRestart(4096),
        GracefulRestart(-1),
        AddPath(((IPV4_UNICAST, 256),)),
        AddPath(((IPV4_UNICAST._replace(afi=65536), 1),)),
        AddPath(((IPV4_UNICAST, 1),) * 64),
        ExtendedNextHop(((IPV4_UNICAST, 65536),)),
        Multiprotocol(IPV4_UNICAST._replace(safi=256)),
        UnknownCapability(200, bytes(256)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_value_that_does_not_fit(capability: Capability) -> None:
    with pytest.raises(ValueError, match=r"fit|octets"):
        encode_capabilities([capability])


def test_more_than_an_open_can_hold() -> None:
    message = Open(65000, 90, 1, (UnknownCapability(200, bytes(255)),) * 254)
    assert len(encode_open(message)) < 0xFFFF
    with pytest.raises(ValueError, match="do not fit into one OPEN"):
        encode_open(replace(message, capabilities=message.capabilities[:1] * 256))


def test_a_safi_that_cannot_be() -> None:
    """RFC 8950 section 4 has two octets for it, everything else one."""
    value = bytes.fromhex("0001 0101 0002")
    assert decode_capabilities(b"\x05\x06" + value) == [UnknownCapability(5, value)]


def test_the_families_of_graceful_restart() -> None:
    """RFC 4724 section 3: other bits of the flags are ignored."""
    (found,) = decode_capabilities(bytes.fromhex("400a 3078 0001 01 7f 0002 01 ff"))
    assert found == GracefulRestart(120, ((IPV4_UNICAST, False), (IPV6_UNICAST, True)))


@pytest.mark.parametrize(("size", "extended"), [(251, False), (252, True)])
def test_the_extended_form_only_where_it_is_needed(size: int, extended: bool) -> None:
    """RFC 9072 section 2: 255 octets of parameters still fit the old form."""
    message = Open(65000, 90, 1, (UnknownCapability(200, bytes(size)),))
    octets = encode_open(message)
    assert octets[9] == 255
    assert (octets[10] == 255) is extended
    assert decode_open(octets) == message


@pytest.mark.parametrize(
    ("value", "name"), [(0, "provider"), (1, "rs"), (2, "rs-client"), (3, "customer"), (4, "peer")]
)
def test_roles(value: int, name: str) -> None:
    """RFC 9234 section 4.1, table 1."""
    assert Role.named(name) == Role(value)
    assert Role(value).name == name
    assert Role(5).name == "role 5"


@pytest.mark.parametrize(
    "digits",
    ["0900", "0902 0401", "4706 0001 01 80 0000", "4b00", "4b02 05 70", "4b02 01 ff", "4901 00", "4903 00 00 00"],
)
def test_new_capabilities_that_cannot_be_read_are_kept(digits: str) -> None:
    octets = bytes.fromhex(digits)
    assert decode_capabilities(octets) == [UnknownCapability(octets[0], octets[2:])]


def test_long_lived_stale_times() -> None:
    """RFC 9494 section 3: 24 bits of seconds a family; other bits of the flags are ignored."""
    (found,) = decode_capabilities(bytes.fromhex("470e 0001 01 7f ffffff 0002 01 ff 000000"))
    assert isinstance(found, LongLivedGracefulRestart)
    assert (found.stale_time(IPV4_UNICAST), found.forwarding_preserved(IPV4_UNICAST)) == (0xFFFFFF, False)
    assert (found.stale_time(IPV6_UNICAST), found.forwarding_preserved(IPV6_UNICAST)) == (0, True)
    other = IPV4_UNICAST._replace(safi=2)
    assert (found.stale_time(other), found.forwarding_preserved(other)) == (0, False)
    for seconds in (-1, 1 << 24):
        with pytest.raises(ValueError, match="fit"):
            encode_capabilities([LongLivedGracefulRestart(((IPV4_UNICAST, True, seconds),))])


def test_long_names_are_cut_at_a_character() -> None:
    octets = encode_capabilities([SoftwareVersion("\u00fc" * 40)])
    assert decode_capabilities(octets) == [SoftwareVersion("\u00fc" * 32)]
    octets = encode_capabilities([Hostname("\u00fc" * 200, "example")])
    assert decode_capabilities(octets) == [Hostname("\u00fc" * 126, "e")]
