"""OPEN: RFC 4271 sections 4.2 and 6.2, RFC 5492, RFC 6793, RFC 9072."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybgp.errors import (
    BadBGPIdentifier,
    BadMessageLength,
    BadPeerAS,
    OpenMessageError,
    ProtocolError,
    UnacceptableHoldTime,
    UnsupportedOptionalParameter,
    UnsupportedVersionNumber,
)
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages.capabilities import (
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
)
from pybgp.messages.open import AS_TRANS, Open, decode_open, encode_open

families = st.builds(Family, st.integers(0, 0xFFFF), st.integers(0, 0xFF))
names = st.text(st.characters(codec="utf-8"), max_size=40)
capabilities: st.SearchStrategy[Capability] = st.one_of(
    st.builds(Multiprotocol, families),
    st.just(RouteRefreshCapability()),
    st.just(EnhancedRouteRefresh()),
    st.just(ExtendedMessage()),
    st.builds(
        GracefulRestart,
        st.integers(0, 4095),
        st.lists(st.tuples(families, st.booleans()), max_size=4).map(tuple),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(AddPath, st.lists(st.tuples(families, st.integers(1, 3)), max_size=4).map(tuple)),
    st.builds(ExtendedNextHop, st.lists(st.tuples(families, st.integers(0, 0xFFFF)), max_size=4).map(tuple)),
    st.builds(Hostname, names, names),
    st.builds(Role, st.integers(0, 255)),
    st.builds(
        LongLivedGracefulRestart,
        st.lists(st.tuples(families, st.booleans(), st.integers(0, 0xFFFFFF)), max_size=4).map(tuple),
    ),
    st.builds(SoftwareVersion, st.text(st.characters(codec="utf-8"), max_size=16)),
    st.builds(UnknownCapability, st.integers(128, 255), st.binary(max_size=255)),
)


@st.composite
def opens(draw: st.DrawFn) -> Open:
    listed = draw(st.lists(capabilities, max_size=8))
    asn = draw(st.integers(1, 0xFFFF))
    if draw(st.booleans()):
        asn = draw(st.integers(1, 0xFFFFFFFF))
        listed.insert(draw(st.integers(0, len(listed))), FourOctetAS(asn))
    hold_time = draw(st.sampled_from([0, 3, 90, 65535]))
    return Open(asn, hold_time, draw(st.integers(1, 0xFFFFFFFF)), tuple(listed))


def body(
    parameters: bytes = b"", version: int = 4, asn: int = 65000, hold_time: int = 90, identifier: int = 0x0A000001
) -> bytes:
    return struct.pack("!BHHIB", version, asn, hold_time, identifier, len(parameters)) + parameters


@given(opens())
def test_round_trip(message: Open) -> None:
    octets = encode_open(message)
    again = decode_open(octets)
    assert again == message
    assert again.parameters is None
    assert encode_open(again) == octets


@given(st.binary(max_size=300))
def test_any_octets_are_an_open_or_a_protocol_error(octets: bytes) -> None:
    for candidate in (octets, body(octets[:255]), body(b"\xff" + len(octets).to_bytes(2) + octets)[:9] + b"\xff"):
        try:
            message = decode_open(candidate)
        except ProtocolError as error:
            assert error.code in (1, 2)
        else:
            assert encode_open(message) == candidate


@pytest.mark.parametrize(
    ("octets", "error", "data"),
    [
        (body(version=3), UnsupportedVersionNumber, b"\0\x04"),
        (body(version=5), UnsupportedVersionNumber, b"\0\x04"),
        (body(asn=0), BadPeerAS, b""),
        (body(b"\x02\x06\x41\x04\0\0\xfd\xe9", asn=0), BadPeerAS, b""),
        (body(b"\x02\x06\x41\x04\0\0\0\0"), BadPeerAS, b""),
        (body(hold_time=1), UnacceptableHoldTime, b"\0\x01"),
        (body(hold_time=2), UnacceptableHoldTime, b"\0\x02"),
        (body(identifier=0), BadBGPIdentifier, b"\0\0\0\0"),
        (body(b"\x01\x00"), UnsupportedOptionalParameter, b""),
        (body(b"\x02"), OpenMessageError, b""),
        (body(b"\x02\x05\x01"), OpenMessageError, b""),
        (body(b"\x02\x02\x01\x04"), OpenMessageError, b""),
        (body(b"\x02\x03\x01\x01\x00"), OpenMessageError, b""),
        (body(b"\x02\x04\x41\x02\x00\x01"), OpenMessageError, b""),
        (body()[:9], BadMessageLength, (28).to_bytes(2)),
        (body() + b"\0", OpenMessageError, b""),
        (body()[:9] + b"\x02\xff", OpenMessageError, b""),
    ],
)
@pytest.mark.rfc("4271", "6.2", "pybgp.messages.open:decode_open", "code, subcode and data for each wrong OPEN")
@pytest.mark.rfc("6286", "2.1", "pybgp.messages.open:decode_open", "any number but zero")
def test_what_is_wrong_and_what_is_sent_for_it(octets: bytes, error: type[ProtocolError], data: bytes) -> None:
    with pytest.raises(error) as caught:
        decode_open(octets)
    assert type(caught.value) is error
    assert caught.value.data == data
    assert caught.value.reason


@pytest.mark.rfc(
    "6793", "4.2.1", "pybgp.messages.open:decode_open", "AS_TRANS in the fixed field, the AS in the capability"
)
def test_the_four_octet_as_counts() -> None:
    message = decode_open(body(b"\x02\x06\x41\x04\xfa\x56\xea\x00", asn=AS_TRANS))
    assert message.my_as == 4200000000
    assert message.as_field is None
    odd = decode_open(body(b"\x02\x06\x41\x04\0\0\xfd\xe9", asn=65000))
    assert (odd.my_as, odd.as_field) == (65001, 65000)
    assert encode_open(odd) == body(b"\x02\x06\x41\x04\0\0\xfd\xe9", asn=65000)


@pytest.mark.rfc("5492", "4", "pybgp.messages.open:decode_open", "capabilities in several parameters")
def test_capabilities_over_several_parameters() -> None:
    octets = body(b"\x02\x06\x01\x04\0\x01\0\x01" + b"\x02\x02\x02\x00" + b"\x02\x00")
    message = decode_open(octets)
    assert message.capabilities == (Multiprotocol(IPV4_UNICAST), RouteRefreshCapability())
    assert encode_open(message) == octets
    assert encode_open(replace(message, parameters=None)) == body(b"\x02\x08\x01\x04\0\x01\0\x01\x02\x00")


@pytest.mark.rfc("9072", "2", "pybgp.messages.open:decode_open", "the extended length")
def test_extended_parameters() -> None:
    """RFC 9072: 255, 255, and two octets for each length."""
    message = Open(65000, 90, 1, tuple(UnknownCapability(200 + n, bytes(200)) for n in range(3)))
    octets = encode_open(message)
    assert octets[9:11] == b"\xff\xff"
    assert int.from_bytes(octets[11:13]) == len(octets) - 13
    assert decode_open(octets) == message
    short = body()[:9] + b"\x01\xff\0\x05\x02\0\x02\x46\0"  # small, and extended all the same
    assert decode_open(short).capabilities == (EnhancedRouteRefresh(),)
    assert encode_open(decode_open(short)) == short


def test_a_capability_that_cannot_be_read_is_kept() -> None:
    message = decode_open(body(b"\x02\x05\x40\x03\0\x78\0"))
    assert message.capabilities == (UnknownCapability(64, b"\0\x78\0"),)


def test_reserved_bits_of_a_capability_do_not_hide_it() -> None:
    octets = body(b"\x02\x06\x01\x04\0\x02\xff\x01")
    message = decode_open(octets)
    assert message.capabilities == (Multiprotocol(IPV6_UNICAST),)
    assert encode_open(message) == octets


@pytest.mark.rfc("4724", "3", "pybgp.messages.capabilities.graceful_restart:GracefulRestart.encode", "R, N and F bits")
@pytest.mark.rfc("8538", "2", "pybgp.messages.capabilities.graceful_restart:GracefulRestart.encode", "the N bit")
def test_graceful_restart_bits() -> None:
    value = GracefulRestart(120, ((IPV4_UNICAST, True), (IPV6_UNICAST, False)), restarting=True, notification=True)
    assert value.encode() == b"\xc0\x78" + b"\0\x01\x01\x80" + b"\0\x02\x01\0"
    assert value.forwarding_preserved(IPV4_UNICAST)
    assert not value.forwarding_preserved(IPV6_UNICAST)


@pytest.mark.rfc("7911", "4", "pybgp.messages.capabilities.add_path:AddPath.mode", "send, receive, both")
def test_add_path_modes() -> None:
    value = AddPath.decode(b"\0\x01\x01\x03")
    assert value.mode(IPV4_UNICAST) == 3
    assert value.mode(IPV6_UNICAST) == 0


@pytest.mark.parametrize("mode", [0, 4, 7, 255])
def test_add_path_of_another_mode_is_not_understood(mode: int) -> None:
    """RFC 7911 section 4: any other value, and the capability is ignored."""
    data = bytes((0, 1, 1, 3, 0, 2, 1, mode))
    octets = body(b"\x02\x0a\x45\x08" + data)
    message = decode_open(octets)
    assert message.capabilities == (UnknownCapability(69, data),)
    assert encode_open(message) == octets


def test_a_long_hostname_is_cut_between_characters() -> None:
    value = Hostname("é" * 200, "x" * 200)
    assert len(value.encode()) <= 255
    assert Hostname.decode(value.encode()).hostname == "é" * 126
