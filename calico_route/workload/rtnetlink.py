"""Links, addresses, routes and neighbours of one network namespace changed through rtnetlink(7).

pyroute2 encodes the messages; they go out together, and the kernel answers each. All of it blocks, for some
milliseconds at most: it is for a thread.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any, NamedTuple, Self

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from calico_route.kernel.netlink import (
    HEADER,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    NLMSG_ERROR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    SCOPE_LINK,
    SCOPE_UNIVERSE,
    AddressEvent,
    Event,
    Link,
    LinkEvent,
    Parser,
    RouteEvent,
    pack_dump,
)

SCOPE_HOST = 254
_NLM_F_ACK = 0x04
_RTM_NEWNEIGH = 28
_NUD_PERMANENT = 0x80
_IFF_UP = 1
_IFA_F_NODAD = 0x02
_RTM_F_FIB_MATCH = 0x2000
_RT_TABLE_MAIN, _RTPROT_BOOT, _RTN_UNICAST = 254, 3, 1
_NETLINK_ROUTE, _SOL_NETLINK, _NETLINK_EXT_ACK = 0, 270, 11
_TIMEOUT = 10.0  # seconds; the kernel answers in the call, unless somebody holds its lock
_FLAGS = struct.Struct("=HI")  # of a header: flags and sequence number, at octet 6


class LinkError(OSError):
    """The kernel refuses a change: its error number, what it was asked for, and its own words."""


class Message(NamedTuple):
    """A change, and what it is in words; `tolerated` are error numbers that mean that it is so already."""

    what: str
    octets: bytes
    tolerated: tuple[int, ...] = ()


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _bits(address: str) -> int:
    return 128 if ":" in address else 32


def _encoded(message: Any, kind: int, flags: int, attributes: list[tuple[str, Any]], /, **fields: Any) -> bytes:
    message["header"]["type"] = kind
    message["header"]["flags"] = NLM_F_REQUEST | _NLM_F_ACK | flags
    message.update(fields)
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data)


def new_veth(name: str, mac: str, peer: str, peer_mac: str, namespace: int | None, mtu: int | None) -> Message:
    """A pair whose other end is born in the namespace of a descriptor (None: here)."""
    size = [] if mtu is None else [("IFLA_MTU", mtu)]
    other = [("IFLA_IFNAME", peer), ("IFLA_ADDRESS", peer_mac), *size]
    if namespace is not None:
        other.append(("IFLA_NET_NS_FD", namespace))
    pair = [
        ("IFLA_INFO_KIND", "veth"),
        ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", {"attrs": other})]}),
    ]
    attributes = [("IFLA_IFNAME", name), ("IFLA_ADDRESS", mac), *size, ("IFLA_LINKINFO", {"attrs": pair})]
    octets = _encoded(ifinfmsg(), RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, attributes)
    return Message(f"make the interface {name} with {peer} in the container", octets)


def link_up(index: int, name: str) -> Message:
    octets = _encoded(ifinfmsg(), RTM_NEWLINK, 0, [], index=index, flags=_IFF_UP, change=_IFF_UP)
    return Message(f"bring {name} up", octets)


def delete_link(name: str) -> Message:
    octets = _encoded(ifinfmsg(), RTM_DELLINK, 0, [("IFLA_IFNAME", name)])
    return Message(f"remove {name}", octets, (errno.ENODEV,))


def new_address(index: int, address: str, *, scope: int = SCOPE_UNIVERSE) -> Message:
    """The address alone (/32, /128). Nobody else has it, so IPv6 need not ask first (RFC 4862 section 5.4)."""
    octets = _encoded(
        ifaddrmsg(),
        RTM_NEWADDR,
        NLM_F_CREATE | NLM_F_REPLACE,
        [("IFA_LOCAL", address), ("IFA_ADDRESS", address)],
        family=int(_family(address)),
        prefixlen=_bits(address),
        flags=_IFA_F_NODAD if ":" in address else 0,
        scope=scope,
        index=index,
    )
    return Message(f"add the address {address}", octets, (errno.EEXIST,))


def new_neighbour(index: int, address: str, mac: str) -> Message:
    """That an address is at a MAC address, for good: nobody has to ask, and nobody can lie."""
    octets = _encoded(
        ndmsg(),
        _RTM_NEWNEIGH,
        NLM_F_CREATE | NLM_F_REPLACE,
        [("NDA_DST", address), ("NDA_LLADDR", mac)],
        family=int(_family(address)),
        ifindex=index,
        state=_NUD_PERMANENT,
    )
    return Message(f"say that {address} is at {mac}", octets)


def host_route(index: int, address: str) -> Message:
    """To the address itself, on the link."""
    return Message(
        f"add the route to {address}", _host_route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, index, address)
    )


def delete_host_route(index: int, address: str) -> Message:
    octets = _host_route(RTM_DELROUTE, 0, index, address)
    return Message(f"remove the route to {address}", octets, (errno.ESRCH, errno.ENODEV))


def _host_route(kind: int, flags: int, index: int, address: str) -> bytes:
    return _route(kind, flags, address, _bits(address), [("RTA_DST", address), ("RTA_OIF", index)])


def default_route(index: int, gateway: str) -> Message:
    """Instead of one that is there, as v0.4.9 had it."""
    attributes = [("RTA_GATEWAY", gateway), ("RTA_OIF", index)]
    octets = _route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, gateway, 0, attributes, scope=SCOPE_UNIVERSE)
    return Message(f"add the default route via {gateway}", octets)


def _route(
    kind: int, flags: int, address: str, bits: int, attributes: list[tuple[str, Any]], scope: int = SCOPE_LINK
) -> bytes:
    return _encoded(
        rtmsg(),
        kind,
        flags,
        attributes,
        family=int(_family(address)),
        dst_len=bits,
        table=_RT_TABLE_MAIN,
        proto=_RTPROT_BOOT,
        scope=SCOPE_UNIVERSE if ":" in address else scope,  # IPv6 has no scopes
        type=_RTN_UNICAST,
    )


class Rtnetlink:
    """A socket in the network namespace of the thread that makes it. Not for use from two threads at once."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_ROUTE)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.settimeout(_TIMEOUT)
        self._socket.bind((0, 0))
        self._parser = Parser()
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def change(self, *messages: Message) -> None:
        """Make the changes, in order. LinkError tells of the first that is refused; the others are done all the same,
        if the kernel takes them."""
        if not messages:
            return
        waiting = {}
        batch = []
        for message in messages:
            self._sequence += 1
            octets = bytearray(message.octets)
            flags = struct.unpack_from("=H", octets, 6)[0]
            _FLAGS.pack_into(octets, 6, flags, self._sequence)
            waiting[self._sequence] = message
            batch.append(bytes(octets) + bytes(-len(octets) % 4))
        self._send(b"".join(batch))
        refused: LinkError | None = None
        while waiting:
            for sequence, code, words in self._answers():
                message = waiting.pop(sequence, message)
                if code and code not in message.tolerated and refused is None:
                    refused = LinkError(code, f"cannot {message.what}: {words or os.strerror(code)}")
        if refused is not None:
            raise refused

    def _answers(self) -> list[tuple[int, int, str]]:
        data = self._receive()
        found = []
        position = 0
        while position + HEADER.size <= len(data):
            length, kind, _, sequence, _ = HEADER.unpack_from(data, position)
            if length < HEADER.size:
                break
            if kind == NLMSG_ERROR:
                refusals = self._parser.parse(data[position : position + length]).refusals
                code, words = (refusals[0].errno, refusals[0].reason) if refusals else (0, "")
                found.append((sequence, code, words))
            position += (length + 3) & ~3
        return found

    def link(self, name: str) -> Link | None:
        """The interface of that name."""
        message = ifinfmsg()
        message["header"]["type"], message["header"]["flags"] = RTM_GETLINK, NLM_F_REQUEST
        message["attrs"] = [("IFLA_IFNAME", name)]
        message.encode()
        for event in self._asked(bytes(message.data), errno.ENODEV):
            if isinstance(event, LinkEvent):
                return event.link
        return None

    def route_to(self, address: str) -> RouteEvent | None:
        """The route of the tables that a packet to an address takes."""
        message = rtmsg()
        message["header"]["type"], message["header"]["flags"] = RTM_GETROUTE, NLM_F_REQUEST
        message.update({"family": int(_family(address)), "dst_len": _bits(address), "flags": _RTM_F_FIB_MATCH})
        message["attrs"] = [("RTA_DST", address)]
        message.encode()
        unreachable = (errno.ENETUNREACH, errno.EHOSTUNREACH)
        return next(
            (one for one in self._asked(bytes(message.data), *unreachable) if isinstance(one, RouteEvent)), None
        )

    def addresses(self, index: int) -> set[str]:
        """All addresses of an interface."""
        self._send(pack_dump(RTM_GETADDR, 0))
        found, done = set(), False
        while not done:
            parsed = self._parser.parse(self._receive())
            done = parsed.done or bool(parsed.refusals)
            for event in parsed.events:
                if isinstance(event, AddressEvent) and event.address.ifindex == index:
                    octets = event.address.address
                    found.add(socket.inet_ntop(socket.AF_INET if len(octets) == 4 else socket.AF_INET6, octets))
        return found

    def _asked(self, octets: bytes, *absent: int) -> list[Event]:
        self._send(octets)
        parsed = self._parser.parse(self._receive())
        for refusal in parsed.refusals:
            if refusal.errno not in absent:
                raise LinkError(refusal.errno, f"cannot read the kernel's tables: {os.strerror(refusal.errno)}")
        return parsed.events

    def _send(self, octets: bytes) -> None:
        self._socket.sendto(octets, (0, 0))

    def _receive(self) -> bytes:
        return self._socket.recv(1 << 18)
