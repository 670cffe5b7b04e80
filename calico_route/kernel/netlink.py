"""rtnetlink messages as the kernel sends them: routes, links and addresses, parsed with struct alone.

Routes come and go by the hundred thousand, so parsing works on what messages have in common: it remembers
everything of one but its destination. And it has to be there before the first OPEN, sooner than pyroute2 is
imported. Layouts: rtnetlink(7), linux/rtnetlink.h. `packer.py` makes the messages that change routes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .route import (
    ADDRESS_BYTES,
    ADDRESS_FAMILY,
    AFI_OF_FAMILY,
    KernelRoute,
    NextHop,
    RouteSpec,
    RouteType,
)

NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26

NLM_F_REQUEST, NLM_F_DUMP_INTR = 0x01, 0x10
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800
NLM_F_DUMP = 0x300
NLM_F_ACK_TLVS = 0x200

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY = 1, 4, 5, 6
RTA_MULTIPATH, RTA_CACHEINFO, RTA_TABLE, RTA_VIA = 9, 12, 15, 18
RTA_PREF, RTA_EXPIRES = 20, 23
RTM_F_CLONED = 0x200
RTNH_F_ONLINK = 0x04
SCOPE_UNIVERSE, SCOPE_LINK = 0, 253
IFF_UP, IFF_LOOPBACK, IFF_LOWER_UP = 0x1, 0x8, 0x10000
IFLA_IFNAME, IFA_ADDRESS, IFA_LOCAL = 3, 1, 2

HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, dst_len, src_len, tos, table, protocol, scope, type, flags
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")
_NEXT_HOP = struct.Struct("=HBBi")  # length, flags, hops, index
_U32 = struct.Struct("=I")

ADD = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL
REPLACE = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE
DELETE = NLM_F_REQUEST

_DESTINATION = {afi: _ATTRIBUTE.pack(4 + size, RTA_DST) for afi, size in ADDRESS_BYTES.items()}
_NOT_CONTENT = frozenset({RTA_TABLE, RTA_DST, RTA_CACHEINFO, RTA_PREF, RTA_EXPIRES})


class Link(NamedTuple):
    ifindex: int
    name: str
    up: bool
    carrier: bool
    loopback: bool


class InterfaceAddress(NamedTuple):
    ifindex: int
    afi: int
    address: bytes
    length: int


class LinkEvent(NamedTuple):
    present: bool
    link: Link


class AddressEvent(NamedTuple):
    present: bool
    address: InterfaceAddress


class RouteEvent(NamedTuple):
    """A route in a dump (`port` 0, `flags` of the dump) or one that came or went."""

    present: bool
    flags: int
    port: int
    afi: int
    nlri: bytes
    route: KernelRoute


class Refusal(NamedTuple):
    """An error that the kernel answered, with the route of the message that it answers."""

    errno: int
    reason: str
    request: RouteEvent | None


Event = LinkEvent | AddressEvent | RouteEvent


def attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def attributes(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    while start + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if length < 4:
            return
        yield kind & 0x3FFF, data[start + 4 : min(start + length, end)]
        start += (length + 3) & ~3


# --- requests ----------------------------------------------------------------------------------------


def pack_dump(kind: int, sequence: int, afi: int = 0, table: int = 0) -> bytes:
    """A request for all links, addresses, or routes (of one family and table)."""
    family = ADDRESS_FAMILY[afi] if afi else 0
    if kind == RTM_GETROUTE:
        body = _ROUTE.pack(family, 0, 0, 0, table if table <= 255 else 0, 0, 0, 0, 0)
        if table:
            body += attribute(RTA_TABLE, _U32.pack(table))
    elif kind == RTM_GETLINK:
        body = _LINK.pack(family, 0, 0, 0, 0)
    else:
        body = _ADDRESS.pack(family, 0, 0, 0, 0)
    return HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, sequence, 0) + body


# --- parsing ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Parsed:
    """What one read gave. `done`: a dump has ended; `interrupted`: it is not consistent and must be repeated."""

    events: list[Event] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    done: bool = False
    interrupted: bool = False


class Parser:
    """Turns what the kernel sends into events. Keeps what the routes of one kind have in common."""

    LIMIT = 8192

    def __init__(self) -> None:
        self._known: dict[bytes, KernelRoute] = {}

    def parse(self, data: bytes) -> Parsed:
        """Parse the messages of one datagram; what is cut off or of another kind is passed over."""
        parsed = Parsed()
        events = parsed.events
        position, end = 0, len(data)
        while position + 16 <= end:
            length, kind, flags, _, port = HEADER.unpack_from(data, position)
            if length < 16 or position + length > end:
                break
            if flags & NLM_F_DUMP_INTR and kind != NLMSG_ERROR:
                parsed.interrupted = True
            try:
                if kind in (RTM_NEWROUTE, RTM_DELROUTE):
                    event = self._route(data, position, length, kind, flags, port)
                    if event is not None:
                        events.append(event)
                elif kind in (RTM_NEWLINK, RTM_DELLINK):
                    events.append(LinkEvent(kind == RTM_NEWLINK, _link(data, position, length)))
                elif kind in (RTM_NEWADDR, RTM_DELADDR):
                    address = _address(data, position, length)
                    if address is not None:
                        events.append(AddressEvent(kind == RTM_NEWADDR, address))
                elif kind == NLMSG_ERROR:
                    refusal = self._error(data, position, length, flags)
                    if refusal.errno:
                        parsed.refusals.append(refusal)
                elif kind == NLMSG_DONE:
                    parsed.done = True
            except (struct.error, IndexError):
                pass  # too short, or an attribute of an odd size: none that we know
            position += (length + 3) & ~3
        return parsed

    def _route(self, data: bytes, position: int, length: int, kind: int, flags: int, port: int) -> RouteEvent | None:
        end = position + length
        if length < 28:
            return None
        family, bits = data[position + 16], data[position + 17]
        afi = AFI_OF_FAMILY.get(family)
        if afi is None:
            return None
        size = ADDRESS_BYTES[afi]
        # The kernel writes RTA_TABLE first and RTA_DST next: then only the destination differs.
        usual = length >= 40 + size and data[position + 36 : position + 40] == _DESTINATION[afi]
        if usual:
            common = data[position + 16 : position + 40] + data[position + 40 + size : end]
            destination = data[position + 40 : position + 40 + size]
            route = self._known.get(common)
            if route is None:
                if len(self._known) >= self.LIMIT:
                    self._known.clear()
                route = self._known[common] = _route_body(data, position, end, afi)
        else:
            route = _route_body(data, position, end, afi)
            destination = bytes(size)
            for what, value in attributes(data, position + 28, end):
                if what == RTA_DST:
                    destination = value.ljust(size, b"\0")
        nlri = bytes((bits,)) + destination[: (bits + 7) // 8]
        return RouteEvent(kind == RTM_NEWROUTE, flags, port, afi, nlri, route)

    def _error(self, data: bytes, position: int, length: int, flags: int) -> Refusal:
        (code,) = struct.unpack_from("=i", data, position + 16)
        inner = position + 20
        inner_length, kind, inner_flags, _, port = HEADER.unpack_from(data, inner)
        reason = ""
        if flags & NLM_F_ACK_TLVS:
            for what, value in attributes(data, inner + ((inner_length + 3) & ~3), position + length):
                if what == 1:  # NLMSGERR_ATTR_MSG
                    reason = value.rstrip(b"\0").decode("utf-8", "replace")
        request = None
        if kind in (RTM_NEWROUTE, RTM_DELROUTE) and inner + inner_length <= position + length:
            request = self._route(data, inner, inner_length, kind, inner_flags, port)
        return Refusal(-code, reason, request)


def _route_body(data: bytes, position: int, end: int, afi: int) -> KernelRoute:
    _, _, _, tos, table, protocol, scope, kind, flags = _ROUTE.unpack_from(data, position + 16)
    metric = oif = 0
    gateway = b""
    hops: list[NextHop] = []
    extra: list[bytes] = []
    for what, value in attributes(data, position + 28, end):
        if what == RTA_PRIORITY:
            (metric,) = _U32.unpack(value)
        elif what == RTA_OIF:
            (oif,) = _U32.unpack(value)
        elif what == RTA_GATEWAY:
            gateway = value
        elif what == RTA_VIA:
            gateway = value[2:]
        elif what == RTA_MULTIPATH:
            hops, odd = _multipath(value)
            extra += odd
        elif what == RTA_TABLE:
            (table,) = _U32.unpack(value)
        elif what not in _NOT_CONTENT:
            extra.append(attribute(what, value))
    if not hops and (oif or gateway):
        hops = [NextHop(gateway, oif, bool(flags & RTNH_F_ONLINK))]
    if kind != RouteType.UNICAST:
        hops = []  # IPv6 shows a blackhole on the loopback interface
    spec = RouteSpec(tuple(sorted(hops)), kind, metric, b"".join(extra))
    return KernelRoute(protocol, table, scope, tos, flags & RTM_F_CLONED, spec)


def _multipath(value: bytes) -> tuple[list[NextHop], list[bytes]]:
    hops: list[NextHop] = []
    extra: list[bytes] = []
    position = 0
    while position + 8 <= len(value):
        length, flags, weight, index = _NEXT_HOP.unpack_from(value, position)
        if length < 8:
            break
        gateway = b""
        for what, inner in attributes(value, position + 8, position + length):
            if what == RTA_GATEWAY:
                gateway = inner
            elif what == RTA_VIA:
                gateway = inner[2:]
            else:
                extra.append(attribute(what, inner))
        hops.append(NextHop(gateway, index, bool(flags & RTNH_F_ONLINK), weight + 1))
        position += (length + 3) & ~3
    return hops, extra


def _link(data: bytes, position: int, length: int) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(data, position + 16)
    name = ""
    for what, value in attributes(data, position + 32, position + length):
        if what == IFLA_IFNAME:
            name = value.rstrip(b"\0").decode("utf-8", "surrogateescape")
            break
    return Link(index, name, bool(flags & IFF_UP), bool(flags & IFF_LOWER_UP), bool(flags & IFF_LOOPBACK))


def _address(data: bytes, position: int, length: int) -> InterfaceAddress | None:
    family, bits, _, _, index = _ADDRESS.unpack_from(data, position + 16)
    afi = AFI_OF_FAMILY.get(family)
    if afi is None:
        return None
    local = address = b""
    for what, value in attributes(data, position + 24, position + length):
        if what == IFA_LOCAL:
            local = value
        elif what == IFA_ADDRESS:
            address = value
    return InterfaceAddress(index, afi, local or address, bits)
