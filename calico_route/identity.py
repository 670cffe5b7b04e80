"""Who this node is: its name, its addresses and its AS number, and where each of them comes from."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from .model import HostAddress, Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What flags and the environment say, and what was found out where they say nothing.

    An address that was given wins over the Node's, and the Node is corrected; one that was found only
    serves where the Node has none. `without` holds the IP versions that were switched off.
    """

    name: str
    ipv4: HostAddress | None = None
    ipv6: HostAddress | None = None
    found_ipv4: HostAddress | None = None
    asn: int | None = None
    router_id: str | None = None  # dotted quad, or "hash"
    without: frozenset[int] = frozenset()

    def given(self, version: int) -> HostAddress | None:
        """The address of this IP version that flags or environment name."""
        return self.ipv4 if version == 4 else self.ipv6

    def effective(self, version: int, own: Node | None) -> HostAddress | None:
        """The address to use, given our Node in the datastore."""
        if version in self.without:
            return None
        given = self.given(version)
        if given is not None:
            return given
        if own is None:
            return self._found(version)
        if not own.bgp:
            return None  # policy only, as somebody decided
        stored = own.ipv4 if version == 4 else own.ipv6
        if stored is None and own.ipv4 is None and own.ipv6 is None:
            return self._found(version)
        return stored

    def _found(self, version: int) -> HostAddress | None:
        return self.found_ipv4 if version == 4 else None


def router_id(identity: Identity, ipv4: HostAddress | None) -> str:
    """The BGP Identifier as a dotted quad: the one that was set, else the IPv4 address, else one made of
    the node's name."""
    if identity.router_id not in (None, "hash"):
        return str(identity.router_id)
    if identity.router_id is None and ipv4 is not None:
        return ipv4.address
    return hashed_router_id(identity.name)


def hashed_router_id(name: str) -> str:
    """Calico's way to make a BGP Identifier of a node's name: the first octets of its SHA-256, below 224."""
    octets = bytearray(sha256(name.encode()).digest()[:4])
    if octets[0] > 223:
        octets[0] -= 32
    return ".".join(map(str, octets))
