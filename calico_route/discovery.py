"""Finds out an address of this host: the one that leads to etcd, else the one of the default route.

Nothing is sent: connecting a UDP socket only asks the kernel's routing table. The standard library alone.
"""

from __future__ import annotations

import fcntl
import re
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from .model import HostAddress

_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
_ANYWHERE = "198.51.100.1"  # a documentation address: stands for the default route
_DOUBTFUL = re.compile(
    r"(docker|br-|cbr|virbr|lxcbr|lxdbr|veth|lo$|cali|tunl|flannel|kube-ipvs|cni|podman|vxlan|wireguard|dummy|ifb)"
)
"""Interfaces of this host alone, as bridges of container engines are. Other hosts cannot reach their addresses."""


@dataclass(frozen=True, slots=True)
class Found:
    """An address, the interface that has it, and how it was found, in words."""

    address: HostAddress
    interface: str
    how: str

    @property
    def doubtful(self) -> bool:
        """True when other hosts can hardly reach it."""
        return _DOUBTFUL.match(self.interface) is not None


def interface_addresses() -> list[tuple[str, HostAddress]]:
    """The first IPv4 address of every interface that has one, then all its IPv6 addresses but link-local ones."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("16s24x", name.encode()[:15])
            try:
                address = fcntl.ioctl(probe, _SIOCGIFADDR, request)[20:24]
                mask = fcntl.ioctl(probe, _SIOCGIFNETMASK, request)[20:24]
            except OSError:
                continue  # no IPv4 address
            length = int.from_bytes(mask, "big").bit_count()
            found.append((name, HostAddress(socket.inet_ntoa(address), length)))
    return found + _ipv6_addresses()


def _ipv6_addresses() -> list[tuple[str, HostAddress]]:
    """From the kernel's list: address, index, prefix length, scope, flags (all in hex) and name, a line each."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return []  # a kernel without IPv6
    found = []
    for line in lines:
        address, _index, length, _scope, _flags, name = line.split()
        text = str(IPv6Address(bytes.fromhex(address)))
        if not text.startswith("fe80:"):
            found.append((name, HostAddress(text, int(length, 16))))
    return found


def source_address(destination: str) -> str | None:
    """The address from which this host would speak to another; None if no route leads there."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((destination, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def find_ipv4(etcd_hosts: Iterable[str] = ()) -> Found | None:
    """The best address to be reached at; None while this host has none (also before its network is up).

    What looks like a container engine's bridge is taken only if there is nothing else.
    """
    interfaces = interface_addresses()
    candidates = []
    for host, how in [*((host, f"it leads to etcd at {host}") for host in etcd_hosts), (_ANYWHERE, "default route")]:
        text = source_address(host)
        if text is not None and not ip_address(text).is_loopback:
            name, address = _owner(text, interfaces)
            candidates.append(Found(address, name, how))
    for name, address in interfaces:
        if ":" not in address.address and not ip_address(address.address).is_loopback:
            candidates.append(Found(address, name, "the first that this host has"))
    return min(candidates, key=lambda found: found.doubtful, default=None)


def with_length(address: HostAddress) -> HostAddress:
    """A bare address with the length of its subnet, if an interface of this host has it."""
    if address.prefix_length != (128 if ":" in address.address else 32):
        return address
    return _owner(address.address, interface_addresses())[1]


def owned(address: str) -> bool:
    """Whether this host has an address: whether a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _owner(address: str, interfaces: Iterable[tuple[str, HostAddress]]) -> tuple[str, HostAddress]:
    for name, candidate in interfaces:
        if candidate.address == address:
            return name, candidate
    return "?", HostAddress(address, 128 if ":" in address else 32)
