"""Destinations: the wire form which is used inside, and `Prefix`, the value for people.

Inside, a destination is `NLRI`: one octet of length in bits, then as many octets as that needs, with the host bits
zero (RFC 4271, section 4.3). Equality of prefixes is then equality of bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import total_ordering
from ipaddress import IPv6Address, ip_address
from typing import Any

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family, Safi

NLRI = bytes
IP_PREFIXES = frozenset((Safi.UNICAST, Safi.MULTICAST, Safi.LABELED_UNICAST))
"""The families of IPv4 and IPv6 whose destinations are prefixes."""


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


_FORMS: dict[Family, tuple[Callable[[NLRI], str], Callable[[str], NLRI]]] = {}


def write_as(family: Family, show: Callable[[NLRI], str], read: Callable[[str], NLRI]) -> None:
    """How destinations of a family are written that are no IP prefixes; `read` raises ValueError."""
    _FORMS[family] = show, read


def format_nlri(family: Family, nlri: NLRI) -> str:
    """Text of a destination: "10.65.0.2/32", or as its family writes it. Raises ValueError."""
    form = _FORMS.get(family)
    if form is not None:
        return form[0](nlri)
    width = _width(family)
    if not nlri or nlri[0] > 8 * width or len(nlri) != 1 + (nlri[0] + 7) // 8:
        raise ValueError(f"{nlri.hex()} is no destination of {family}")
    return f"{format_address(nlri[1:].ljust(width, bytes(1)))}/{nlri[0]}"


def read_nlri(family: Family, text: str) -> NLRI:
    """The destination of a family that `format_nlri` shows so. Raises ValueError."""
    form = _FORMS.get(family)
    if form is not None:
        return form[1](text)
    found, nlri = parse_nlri(text)
    if found.afi != family.afi or family.safi not in IP_PREFIXES:
        raise ValueError(f"{text} is no destination of {family}")
    return nlri


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
    if family.safi in IP_PREFIXES:
        if family.afi == Afi.IPV4:
            return 4
        if family.afi == Afi.IPV6:
            return 16
    raise ValueError(f"{family} has no IP prefixes")


@total_ordering
class Prefix:
    """One destination, mostly an IPv4 or IPv6 prefix: immutable, hashable, ordered by family, address and length.

    Made from text, from another Prefix or from a netaddr.IPNetwork, which makes one of unicast; raises ValueError for
    anything else, for a bad length and for host bits that are set. `read` makes one of any family. What is no IP
    prefix (a flow specification) has no `length`, `address` and `network`, and holds itself alone.
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

    @classmethod
    def read(cls, family: Family, text: str) -> Prefix:
        """From the text of a destination of any family, as `str()` gives it. Raises ValueError."""
        return cls.of(family, read_nlri(family, text))

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
        if self == other:
            return True
        if self.family != other.family or self.family.safi not in IP_PREFIXES or other.length < self.length:
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
        return self._order() < other._order()

    def _order(self) -> tuple[Family, int, int, NLRI]:
        if self.family.safi in IP_PREFIXES:
            return self.family, self.address, self.length, b""
        return self.family, 0, 0, self.nlri

    def __hash__(self) -> int:
        return hash(self.nlri)  # destinations of several families that agree in all octets are few

    def __reduce__(self) -> tuple[Any, ...]:
        return (Prefix.of, (self.family, self.nlri))

    def __str__(self) -> str:
        return format_nlri(self.family, self.nlri)

    def __repr__(self) -> str:
        return f"Prefix({str(self)!r})"
