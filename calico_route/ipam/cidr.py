"""Networks and addresses as numbers: a pool of IPv6 has more addresses than can be walked."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from calico_route.fields import network

BITS = {4: 32, 6: 128}


class Address(NamedTuple):
    """One address. Orders as the addresses do, IPv4 first."""

    version: int
    number: int

    def __str__(self) -> str:
        return str(IPv4Address(self.number) if self.version == 4 else IPv6Address(self.number))


class Cidr(NamedTuple):
    """A network: `first` is its lowest address as a number. Orders as networks do, IPv4 first."""

    version: int
    first: int
    length: int

    @property
    def size(self) -> int:
        return 1 << (BITS[self.version] - self.length)

    @property
    def last(self) -> int:
        return self.first + self.size - 1

    @property
    def key(self) -> str:
        """As it stands in names of the datastore: `192.168.0.0-26`."""
        return str(self).replace("/", "-")

    def __str__(self) -> str:
        return f"{Address(self.version, self.first)}/{self.length}"

    def covers(self, other: Address | Cidr) -> bool:
        """Whether it lies inside, or is the same."""
        if other.version != self.version:
            return False
        first, last = (other.number, other.number) if isinstance(other, Address) else (other.first, other.last)
        return self.first <= first and last <= self.last

    def overlaps(self, other: Cidr) -> bool:
        return self.covers(other) or other.covers(self)

    def around(self, number: int, length: int) -> Cidr:
        """The network of that length, of the same version, that an address lies in."""
        shift = BITS[self.version] - length
        return Cidr(self.version, number >> shift << shift, length)


def parse_cidr(text: object) -> Cidr:
    """From `192.168.0.0/26` or a bare address; bits beyond the length are cleared. ValueError."""
    address, _, length = str(network(text)).partition("/")
    return Cidr(*parse_address(address), int(length))


def parse_key(text: str) -> Cidr:
    """From `192.168.0.0-26`. ValueError where it is not written so, or has bits beyond the length."""
    address, dash, length = text.rpartition("-")
    found = parse_cidr(f"{address}/{length}")
    if not dash or found.key != text:
        raise ValueError(f"{text!r} is no block's name: it is written as 192.168.0.0-26")
    return found


def parse_address(text: object) -> Address:
    """ValueError for anything but an address; one with a zone names no workload."""
    if not isinstance(text, str) or "%" in text:
        raise ValueError("not an IP address")
    try:
        found = ip_address(text)
    except ValueError:
        raise ValueError("not an IP address") from None
    return Address(found.version, int(found))
