"""Destinations: the wire form which is used inside, and `Prefix`, the value for people.

Inside, a destination is `NLRI`: one octet of length in bits, then as many octets as that needs, with the host bits
zero (RFC 4271, section 4.3). Equality of prefixes is then equality of bytes.
"""

from __future__ import annotations

from functools import total_ordering
from ipaddress import IPv6Address, ip_address
from typing import Any

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family

NLRI = bytes


def pack_address(text: str) -> bytes:
    """The 4 or 16 octets of an address. Raises ValueError, also for a zone such as `%eth0`."""
    try:
        if not isinstance(text, str):  # ip_address takes numbers and octets as well
            raise ValueError
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IPv4 or IPv6 address") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError(f"{text!r} has a zone, which has no place in a packed address")
    return address.packed


def format_address(raw: bytes) -> str:
    """Text of 4 octets (dotted quad) or 16 (RFC 5952). Raises ValueError for any other length."""
    if len(raw) == 4:
        return "%d.%d.%d.%d" % tuple(raw)  # noqa: UP031 (three times faster than a join)
    if len(raw) == 16:
        return str(IPv6Address(raw))
    raise ValueError(f"an address has 4 or 16 octets, not {len(raw)}")


def format_nlri(family: Family, nlri: NLRI) -> str:
    """Text of a destination of a unicast-like family, such as "10.65.0.2/32". Raises ValueError."""
    width = _width(family)
    if not nlri or nlri[0] > 8 * width or len(nlri) != 1 + (nlri[0] + 7) // 8:
        raise ValueError(f"{nlri.hex()} is no destination of {family}")
    return f"{format_address(nlri[1:].ljust(width, bytes(1)))}/{nlri[0]}"


def parse_nlri(text: str) -> tuple[Family, NLRI]:
    """Family and wire form of "10.0.0.0/8" or "2001:db8::/32"; without a length, of one address. Raises ValueError."""
    address_text, slash, length_text = text.partition("/")
    try:
        packed = pack_address(address_text)
    except ValueError:
        raise ValueError(f"{text!r} is no IPv4 or IPv6 prefix") from None
    bits = 8 * len(packed)
    length = bits
    if slash:
        if not (length_text.isascii() and length_text.isdecimal() and len(length_text) < 4) or int(length_text) > bits:
            raise ValueError(f"{text!r}: the length must be a number from 0 to {bits}")
        length = int(length_text)
    if int.from_bytes(packed) & ((1 << (bits - length)) - 1):
        raise ValueError(f"{text!r} has host bits set")
    family = IPV4_UNICAST if bits == 32 else IPV6_UNICAST
    return family, bytes((length,)) + packed[: (length + 7) // 8]


def _width(family: Family) -> int:
    if family.afi == Afi.IPV4:
        return 4
    if family.afi == Afi.IPV6:
        return 16
    raise ValueError(f"{family} has no IP prefixes")


@total_ordering
class Prefix:
    """One IPv4 or IPv6 destination: immutable, hashable, ordered by family, address and length.

    Made from text, from another Prefix or from a netaddr.IPNetwork; raises ValueError for anything else, for a bad
    length and for host bits that are set.
    """

    __slots__ = ("family", "nlri")
    family: Family
    nlri: NLRI

    def __init__(self, text: str | Prefix | Any) -> None:
        if isinstance(text, Prefix):
            family, nlri = text.family, text.nlri
        else:
            family, nlri = parse_nlri(text if isinstance(text, str) else str(text))
        object.__setattr__(self, "family", family)
        object.__setattr__(self, "nlri", nlri)

    @classmethod
    def of(cls, family: Family, nlri: NLRI) -> Prefix:
        """From the wire form, which must be canonical; nothing is checked."""
        made = object.__new__(cls)
        object.__setattr__(made, "family", family)
        object.__setattr__(made, "nlri", nlri)
        return made

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Prefix does not change: {name}")

    @property
    def length(self) -> int:
        """Length in bits."""
        return self.nlri[0]

    @property
    def address(self) -> int:
        """The network address as a number."""
        return int.from_bytes(self.nlri[1:].ljust(_width(self.family), bytes(1)))

    @property
    def network(self) -> Any:
        """The same as netaddr.IPNetwork."""
        from netaddr import IPNetwork

        return IPNetwork(str(self))

    def __contains__(self, other: Prefix | str) -> bool:
        """Whether `other` is this prefix or lies inside it. Raises ValueError where it is no prefix."""
        if not isinstance(other, Prefix):
            other = Prefix(other)
        if self.family != other.family or other.length < self.length:
            return False
        shift = 8 * _width(self.family) - self.length
        return self.address >> shift == other.address >> shift

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Prefix):
            return NotImplemented
        return self.nlri == other.nlri and self.family == other.family

    def __lt__(self, other: Prefix) -> bool:
        if not isinstance(other, Prefix):
            return NotImplemented
        return (self.family, self.address, self.length) < (other.family, other.address, other.length)

    def __hash__(self) -> int:
        return hash((self.family, self.nlri))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Prefix.of, (self.family, self.nlri))

    def __str__(self) -> str:
        return format_nlri(self.family, self.nlri)

    def __repr__(self) -> str:
        return f"Prefix({str(self)!r})"
