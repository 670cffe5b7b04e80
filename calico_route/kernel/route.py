"""What a kernel route is made of, apart from its destination, and the words for it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

IPV4 = 1  # address families as BGP numbers them (AFI), used as keys throughout
IPV6 = 2
ADDRESS_FAMILY = {IPV4: socket.AF_INET, IPV6: socket.AF_INET6}
ADDRESS_BYTES = {IPV4: 4, IPV6: 16}
AFI_OF_FAMILY: dict[int, int] = {int(socket.AF_INET): IPV4, int(socket.AF_INET6): IPV6}

MAIN_TABLE = 254
PROTOCOL_KERNEL = 2
PROTOCOL_BIRD = 12
IPV6_DEFAULT_METRIC = 1024  # the kernel's own, where an IPv6 route names none (IP6_RT_PRIO_USER)

_PROTOCOLS = {
    0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt",
    11: "zebra", 12: "bird", 13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 17: "mrouted",
    18: "keepalived", 42: "babel", 84: "ovn", 85: "openr", 186: "bgp", 187: "isis", 188: "ospf",
    189: "rip", 192: "eigrp",
}  # fmt: skip


class RouteType(IntEnum):
    """The kernel's RTN_* numbers."""

    UNICAST = 1
    LOCAL = 2
    BROADCAST = 3
    ANYCAST = 4
    MULTICAST = 5
    BLACKHOLE = 6
    UNREACHABLE = 7
    PROHIBIT = 8
    THROW = 9


_TYPES = frozenset(int(kind) for kind in RouteType)


class NextHop(NamedTuple):
    """One way out: the gateway's raw address (b"": none, the destination is on the link) and the interface."""

    gateway: bytes
    ifindex: int
    onlink: bool = False
    weight: int = 1


class RouteSpec(NamedTuple):
    """A route without its destination. `nexthops` are sorted, so that equal sets compare equal.

    `extra` holds, as raw bytes, what a route found in the kernel has and ours never have (a preferred
    source, metrics, an encapsulation): such a route is equal to none of ours.
    """

    nexthops: tuple[NextHop, ...] = ()
    type: int = RouteType.UNICAST
    metric: int = 0
    extra: bytes = b""

    @property
    def connected(self) -> bool:
        """Whether its destinations are on a link: a unicast route without a gateway."""
        hops = self.nexthops
        if len(hops) == 1:  # as it mostly is
            return self.type == RouteType.UNICAST and not hops[0].gateway
        return self.type == RouteType.UNICAST and bool(hops) and not any(hop.gateway for hop in hops)


class KernelRoute(NamedTuple):
    """A route as the kernel tells it, without its destination."""

    protocol: int
    table: int
    scope: int
    tos: int
    flags: int
    spec: RouteSpec


@dataclass(frozen=True, slots=True)
class RouteOptions:
    """How a learned route goes in, where it is not the plain way.

    `type`: unicast, or blackhole, unreachable, prohibit (these need no next hop).
    `metric`: None takes the kernel object's own default.
    `device` and `onlink`: send to the next hop as it is, through that interface, without asking whether
    it is on that link (an IP-in-IP tunnel, whose next hop is the other host's address).
    """

    type: RouteType = RouteType.UNICAST
    metric: int | None = None
    device: str | None = None
    onlink: bool = False


PLAIN = RouteOptions()


def type_name(number: int) -> str:
    return RouteType(number).name.lower() if number in _TYPES else f"type {number}"


def protocol_name(protocol: int) -> str:
    return _PROTOCOLS.get(protocol, str(protocol))


def prefix_text(afi: int, nlri: bytes) -> str:
    """`192.168.0.2/32` for the wire form of a destination (length octet, significant octets)."""
    address = nlri[1:].ljust(ADDRESS_BYTES[afi], b"\0")
    return f"{socket.inet_ntop(ADDRESS_FAMILY[afi], address)}/{nlri[0]}"


def address_text(raw: bytes) -> str:
    """An address of 4 or 16 octets; 32 octets are a global and a link-local one (RFC 2545)."""
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw)
    if len(raw) == 16:
        return socket.inet_ntop(socket.AF_INET6, raw)
    if len(raw) == 32:
        return f"{address_text(raw[:16])} ({address_text(raw[16:])})"
    return raw.hex() or "(none)"


def host_nlri(address: bytes) -> bytes:
    """The /32 or /128 of an address, in wire form."""
    return bytes((8 * len(address),)) + address


def cover(address: bytes, length: int) -> bytes:
    """The destination of `length` bits, in wire form, that an address lies in."""
    octets = (length + 7) // 8
    if length % 8 == 0:
        return bytes((length,)) + address[:octets]
    last = address[octets - 1] & (0xFF00 >> (length % 8) & 0xFF)
    return bytes((length,)) + address[: octets - 1] + bytes((last,))
