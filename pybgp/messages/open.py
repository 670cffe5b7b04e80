"""OPEN (RFC 4271, sections 4.2 and 6.2) with capabilities (RFC 5492) and extended parameters (RFC 9072)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from pybgp.errors import (
    BadBGPIdentifier,
    BadMessageLength,
    BadPeerAS,
    OpenMessageError,
    UnacceptableHoldTime,
    UnsupportedOptionalParameter,
    UnsupportedVersionNumber,
)
from pybgp.messages.capabilities import Capability, FourOctetAS, decode_capabilities, encode_capabilities
from pybgp.messages.framing import HEADER_LENGTH

AS_TRANS = 23456  # RFC 6793, section 9
VERSION = 4
CAPABILITIES_PARAMETER = 2
_EXTENDED = 255
_FIXED = struct.Struct("!BHHIB")


@dataclass(frozen=True, slots=True)
class Open:
    """The first message of each side.

    my_as: the effective AS number, that of the four-octet capability where there is one. hold_time: seconds.
    bgp_identifier: 32 bits. as_field: the two octets on the wire, None for what my_as makes of them.
    parameters: the optional parameters as received, with their lengths, kept only where encoding the capabilities
    would give other octets.
    """

    my_as: int
    hold_time: int
    bgp_identifier: int
    capabilities: tuple[Capability, ...] = ()
    version: int = VERSION
    as_field: int | None = field(default=None, compare=False)
    parameters: bytes | None = field(default=None, compare=False)


def decode_open(body: bytes) -> Open:
    """Raises OpenMessageError of the subcodes of RFC 4271 section 6.2, or BadMessageLength."""
    if len(body) < _FIXED.size:
        raise BadMessageLength("an OPEN has at least 29 octets", (HEADER_LENGTH + len(body)).to_bytes(2)).at(16)
    version, as_field, hold_time, identifier, length = _FIXED.unpack_from(body)
    if version != VERSION:
        raise UnsupportedVersionNumber(f"version {version}, only {VERSION} is spoken here", VERSION.to_bytes(2)).at(19)
    capabilities = _decode_parameters(length, body[_FIXED.size :])
    four_octet = [capability for capability in capabilities if isinstance(capability, FourOctetAS)]
    my_as = four_octet[-1].asn if four_octet else as_field
    if my_as == 0 or as_field == 0:
        raise BadPeerAS("AS 0 is nobody's (RFC 7607)").at(20, "RFC 7607 2")
    if hold_time in (1, 2):
        raise UnacceptableHoldTime(f"a hold time of {hold_time} s; 0, or at least 3", hold_time.to_bytes(2)).at(22)
    if identifier == 0:
        raise BadBGPIdentifier("the BGP Identifier is 0 (RFC 6286)", bytes(4)).at(24, "RFC 6286 2.2")
    message = Open(my_as, hold_time, identifier, tuple(capabilities), version)
    if as_field != _as_field(message):
        message = Open(my_as, hold_time, identifier, tuple(capabilities), version, as_field)
    if _encode_parameters(message) != body[_FIXED.size - 1 :]:
        raw = body[_FIXED.size - 1 :]
        message = Open(my_as, hold_time, identifier, tuple(capabilities), version, message.as_field, raw)
    return message


def encode_open(message: Open) -> bytes:
    """The body. Raises ValueError for numbers that do not fit their fields."""
    try:
        fixed = _FIXED.pack(message.version, _as_field(message), message.hold_time, message.bgp_identifier, 0)[:-1]
    except struct.error as error:
        raise ValueError(f"{message}: {error}") from None
    return fixed + (_encode_parameters(message) if message.parameters is None else message.parameters)


def _as_field(message: Open) -> int:
    if message.as_field is not None:
        return message.as_field
    return message.my_as if message.my_as <= 0xFFFF else AS_TRANS


def _encode_parameters(message: Open) -> bytes:
    """One parameter with all capabilities; the form of RFC 9072 where that needs more than 255 octets."""
    if not message.capabilities:
        return b"\0"
    value = encode_capabilities(message.capabilities)
    if len(value) + 2 <= 255:
        return bytes((len(value) + 2, CAPABILITIES_PARAMETER, len(value))) + value
    if len(value) + 3 > 0xFFFF:
        raise ValueError(f"capabilities of {len(value)} octets do not fit into one OPEN")
    header = struct.pack("!BBHBH", _EXTENDED, _EXTENDED, len(value) + 3, CAPABILITIES_PARAMETER, len(value))
    return header + value


def _decode_parameters(length: int, rest: bytes) -> list[Capability]:
    """Octets after the length octet. RFC 9072: extended where the first parameter's type is 255."""
    wide = length != 0 and rest[:1] == bytes((_EXTENDED,))
    if wide:
        if len(rest) < 3:
            raise OpenMessageError("the extended optional parameters have no length")
        length, rest = int.from_bytes(rest[1:3]), rest[3:]
    if length != len(rest):
        raise OpenMessageError(f"optional parameters of {length} octets, but {len(rest)} came")
    capabilities: list[Capability] = []
    header = 3 if wide else 2
    start = 0
    while start < length:
        size = int.from_bytes(rest[start + 1 : start + header])
        if length - start < header or length - start - header < size:
            raise OpenMessageError("an optional parameter is longer than all of them together")
        if rest[start] != CAPABILITIES_PARAMETER:
            raise UnsupportedOptionalParameter(f"optional parameter {rest[start]} is not known here")
        capabilities += decode_capabilities(rest[start + header : start + header + size])
        start += header + size
    return capabilities
