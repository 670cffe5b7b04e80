"""Capabilities (RFC 5492). A new one is a file with a class, and its name in `CAPABILITIES`."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from pybgp.errors import OpenMessageError
from pybgp.messages.capabilities.add_path import AddPath
from pybgp.messages.capabilities.base import Capability, KnownCapability, UnknownCapability
from pybgp.messages.capabilities.enhanced_route_refresh import EnhancedRouteRefresh
from pybgp.messages.capabilities.extended_message import ExtendedMessage
from pybgp.messages.capabilities.extended_next_hop import ExtendedNextHop
from pybgp.messages.capabilities.four_octet_as import FourOctetAS
from pybgp.messages.capabilities.graceful_restart import GracefulRestart
from pybgp.messages.capabilities.hostname import Hostname
from pybgp.messages.capabilities.long_lived_graceful_restart import LongLivedGracefulRestart
from pybgp.messages.capabilities.multiprotocol import Multiprotocol
from pybgp.messages.capabilities.role import Role
from pybgp.messages.capabilities.route_refresh import RouteRefreshCapability
from pybgp.messages.capabilities.software_version import SoftwareVersion

CAPABILITIES: tuple[type[KnownCapability], ...] = (
    Multiprotocol,
    RouteRefreshCapability,
    ExtendedNextHop,
    ExtendedMessage,
    Role,
    GracefulRestart,
    FourOctetAS,
    AddPath,
    EnhancedRouteRefresh,
    LongLivedGracefulRestart,
    Hostname,
    SoftwareVersion,
)

__all__ = [
    "CAPABILITIES",
    "AddPath",
    "Capability",
    "EnhancedRouteRefresh",
    "ExtendedMessage",
    "ExtendedNextHop",
    "FourOctetAS",
    "GracefulRestart",
    "Hostname",
    "KnownCapability",
    "LongLivedGracefulRestart",
    "Multiprotocol",
    "Role",
    "RouteRefreshCapability",
    "SoftwareVersion",
    "UnknownCapability",
    "decode_capabilities",
    "encode_capabilities",
]


def by_code(capabilities: Iterable[type[KnownCapability]]) -> dict[int, type[KnownCapability]]:
    """The classes under their codes. Raises ValueError where two share one."""
    table: dict[int, type[KnownCapability]] = {}
    for capability in capabilities:
        if capability.code in table:
            raise ValueError(f"{capability.__name__} and {table[capability.code].__name__} share a code")
        table[capability.code] = capability
    return table


_BY_CODE = by_code(CAPABILITIES)


def decode_capabilities(value: bytes) -> list[Capability]:
    """The capabilities of one optional parameter, in order.

    A value that its class cannot read is kept as UnknownCapability where the session can do without it. Raises
    OpenMessageError of subcode 0 where it can not, or where lengths do not fit (RFC 4271, section 6.2).
    """
    found: list[Capability] = []
    start, end = 0, len(value)
    while start < end:
        if end - start < 2 or end - start < 2 + value[start + 1]:
            raise OpenMessageError("a capability is longer than its optional parameter")
        code, data = value[start], value[start + 2 : start + 2 + value[start + 1]]
        start += 2 + len(data)
        known = _BY_CODE.get(code)
        if known is None:
            found.append(UnknownCapability(code, data))
            continue
        try:
            found.append(known.decode(data))
        except ValueError as error:
            if known.fatal:
                raise OpenMessageError(f"capability {code} {error}") from None
            found.append(UnknownCapability(code, data))
    return found


def encode_capabilities(capabilities: Sequence[Capability]) -> bytes:
    """The value of one optional parameter with these capabilities.

    Raises ValueError where one has over 255 octets, or a number that does not fit its field.
    """
    parts = []
    for capability in capabilities:
        try:
            data = capability.encode()
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{capability} does not fit its fields: {error}") from None
        if len(data) > 255:
            raise ValueError(f"capability {capability.code} has {len(data)} octets, and 255 is the most")
        parts.append(bytes((capability.code, len(data))) + data)
    return b"".join(parts)
