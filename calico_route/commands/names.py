"""Names that Calico's API takes, and those made of addresses."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network

from calico_route.fields import as_number, peer_address
from calico_route.model import PeerAddress

from .answer import BadInput

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_LONGEST = 253


def resource_name(text: str, what: str) -> str:
    """A name as Calico v3 takes it. BadInput."""
    if not _NAME.fullmatch(text) or len(text) > _LONGEST:
        raise BadInput(
            f"{what} {text!r}: a name is made of small letters, digits, dashes and dots, begins and ends with a "
            f"letter or digit, and has at most {_LONGEST} characters"
        )
    return text


def of_address(text: str) -> str:
    """An address or CIDR as (part of) a name, in the way of Calico's own conversion: `192-168-0-0-16`."""
    return re.sub(r"[^0-9a-z]+", "-", text.lower()).strip("-")


def cidr(text: str) -> IPv4Network | IPv6Network:
    """A network without bits set beyond its length. BadInput, with the network that was probably meant."""
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise BadInput(f"{text!r} is no network: write 192.168.0.0/16 or fd80:24e2:f998:72d6::/64") from None
    raise BadInput(f"{text!r} has bits set beyond its length: write {network} if that network is meant")


def neighbour(text: str) -> PeerAddress:
    """The address of a BGP neighbour, with its port where it has one. BadInput."""
    try:
        return peer_address(text)
    except ValueError as error:
        raise BadInput(f"neighbour {text!r}: {error}; write 192.0.2.1, 192.0.2.1:1790 or 2001:db8::1") from None


def as_text(peer: PeerAddress) -> str:
    """As BGPPeer.spec.peerIP is written."""
    if peer.port is None:
        return peer.address
    return f"[{peer.address}]:{peer.port}" if ":" in peer.address else f"{peer.address}:{peer.port}"


def asn(text: str) -> int:
    """An AS number, `64512` or `1.10`. BadInput."""
    try:
        return as_number(text)
    except ValueError as error:
        raise BadInput(f"AS {text!r}: {error}") from None
