"""Conditions about what is neither prefix nor AS_PATH nor community: next hop, peer, preference, origin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pybgp.family import Family
from pybgp.messages.attributes import ROW_NAMED
from pybgp.messages.attributes.base import Attribute
from pybgp.messages.attributes.only_to_customer import ONLY_TO_CUSTOMER
from pybgp.messages.attributes.origin import Origin
from pybgp.policy.as_paths import AsEntry, AsSet
from pybgp.policy.condition import Condition
from pybgp.prefix import pack_address
from pybgp.rib.decision import DEFAULT_LOCAL_PREF
from pybgp.rib.route import Route


def family_is(family: Family) -> Condition:
    return Condition(lambda route: route.family == family, f"family {family}")


def origin_is(origin: Origin | int) -> Condition:
    wanted = Origin(origin)
    return Condition(lambda route: route.attributes.origin == wanted, f"ORIGIN {wanted.name}")


def local_pref_in(*, ge: int = 0, le: int = 0xFFFFFFFF) -> Condition:
    """LOCAL_PREF (100 where there is none) is in this range."""

    def inside(route: Route) -> bool:
        value = route.attributes.local_pref
        return ge <= (DEFAULT_LOCAL_PREF if value is None else value) <= le

    return Condition(inside, f"LOCAL_PREF from {ge} to {le}")


def med_in(*, ge: int = 0, le: int = 0xFFFFFFFF) -> Condition:
    """MULTI_EXIT_DISC (0 where there is none) is in this range."""
    return Condition(lambda route: ge <= (route.attributes.med or 0) <= le, f"MED from {ge} to {le}")


def has_attribute(row: Attribute[Any] | str) -> Condition:
    """The route has this attribute, given as its row or by name ("only_to_customer"). ValueError for no name."""
    if isinstance(row, str):
        if row not in ROW_NAMED:
            raise ValueError(f"there is no attribute {row!r}: there are {', '.join(sorted(ROW_NAMED))}")
        row = ROW_NAMED[row]
    wanted = row
    return Condition(lambda route: wanted in route.attributes, f"has {wanted.name}")


def otc(*asns: AsEntry | AsSet) -> Condition:
    """The route carries ONLY_TO_CUSTOMER (RFC 9234 section 5) with one of these ASes; without any: it carries one."""
    wanted = AsSet(*asns) if asns else AsSet(f"0-{0xFFFFFFFF}")

    def carried(route: Route) -> bool:
        value = route.attributes.get(ONLY_TO_CUSTOMER)
        return value is not None and value in wanted

    return Condition(carried, f"ONLY_TO_CUSTOMER {wanted}" if asns else "has ONLY_TO_CUSTOMER")


def next_hop_is(*addresses: str) -> Condition:
    """The next hop (the global one of two) is one of these."""
    wanted = frozenset(map(pack_address, addresses))
    return Condition(lambda route: route.next_hop[:16] in wanted, f"next hop {_listed(addresses)}")


def peer_is(*peers: str) -> Condition:
    """The route came from one of these peers, by name or address."""
    names = frozenset(peers)
    addresses = frozenset(_addresses(peers))
    return Condition(
        lambda route: route.peer.name in names or (bool(route.peer.address) and route.peer.address in addresses),
        f"peer {_listed(peers)}",
    )


def peer_as(*asns: AsEntry | AsSet) -> Condition:
    """The route came from a peer in one of these ASes."""
    wanted = AsSet(*asns)
    return Condition(lambda route: not route.peer.local and route.peer.asn in wanted, f"peer AS {wanted}")


def peer_group(*groups: str) -> Condition:
    """The route came from a peer whose settings are of one of these groups."""
    names = frozenset(groups)
    return Condition(lambda route: route.peer.group in names, f"peer of group {_listed(groups)}")


PEER_ROLES = {"provider": "customer", "customer": "provider", "rs": "rs-client", "rs-client": "rs", "peer": "peer"}
"""Our role towards a peer (RFC 9234 section 4.1), and what the peer is then."""


def peer_role(*roles: str) -> Condition:
    """The route came from a peer that is our provider, rs (route server), rs-client, customer or peer, by the roles
    that were configured (RFC 9234). ValueError for what is no role."""
    for role in roles:
        if role not in PEER_ROLES:
            raise ValueError(f"a role is one of {', '.join(sorted(PEER_ROLES))}, not {role!r}")
    wanted = frozenset(roles)
    return Condition(lambda route: PEER_ROLES.get(route.peer.role or "") in wanted, f"peer is {_listed(roles)}")


def local_route() -> Condition:
    """This speaker originates the route."""
    return Condition(lambda route: route.peer.local, "own route")


def internal_route() -> Condition:
    """Learned by iBGP."""
    return Condition(lambda route: route.peer.internal and not route.peer.local, "learned by iBGP")


def external_route() -> Condition:
    """Learned by eBGP."""
    return Condition(lambda route: route.peer.external, "learned by eBGP")


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _addresses(peers: Iterable[str]) -> Iterable[bytes]:
    for peer in peers:
        try:
            yield pack_address(peer)
        except ValueError:
            continue  # a name
