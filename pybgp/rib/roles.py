"""Route leaks (RFC 9234 section 5): what ONLY_TO_CUSTOMER and our role towards a neighbour allow.

`role` is ours: "customer" means that the neighbour is our provider. The procedures are those of IPv4 and IPv6
unicast; other families are left alone, as the RFC asks.
"""

from __future__ import annotations

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages.attributes.only_to_customer import ONLY_TO_CUSTOMER
from pybgp.messages.attributes.path_attributes import PathAttributes

_FAMILIES = frozenset((IPV4_UNICAST, IPV6_UNICAST))
_UPWARD = frozenset(("customer", "peer", "rs-client"))  # the neighbour is a provider, a peer or a route server
_DOWNWARD = frozenset(("provider", "peer", "rs"))  # ... a customer, a peer or a client of our route server
_FROM_BELOW = frozenset(("provider", "rs"))


def leaked(role: str | None, family: Family, attributes: PathAttributes, peer_as: int) -> str | None:
    """Why what a neighbour sent is a leak, in words; None: it is none."""
    if role is None or family not in _FAMILIES:
        return None
    mark = attributes.get(ONLY_TO_CUSTOMER)
    if mark is None:
        return None
    if role in _FROM_BELOW:
        below = "a customer" if role == "provider" else "a client of the route server"
        return f"route leak: {below} sent what AS {mark} marked ONLY_TO_CUSTOMER"
    if role == "peer" and mark != peer_as:
        return f"route leak: a peer sent what AS {mark}, not its own AS {peer_as}, marked ONLY_TO_CUSTOMER"
    return None


def marked_on_arrival(role: str | None, family: Family, attributes: PathAttributes, peer_as: int) -> PathAttributes:
    """With ONLY_TO_CUSTOMER where a provider, a peer or a route server sent it without."""
    if role not in _UPWARD or family not in _FAMILIES or ONLY_TO_CUSTOMER in attributes:
        return attributes
    return attributes.with_(ONLY_TO_CUSTOMER, peer_as)


def must_not_go(role: str | None, family: Family, attributes: PathAttributes) -> str | None:
    """Why a neighbour may not be told, in words; None: it may."""
    if role not in _UPWARD or family not in _FAMILIES:
        return None
    mark = attributes.get(ONLY_TO_CUSTOMER)
    if mark is None:
        return None
    above = {"customer": "a provider", "peer": "a peer", "rs-client": "a route server"}[role]
    return f"ONLY_TO_CUSTOMER of AS {mark}: {above} is not told"


def marked_on_leaving(role: str | None, family: Family, attributes: PathAttributes, local_as: int) -> PathAttributes:
    """With ONLY_TO_CUSTOMER where a customer, a peer or a route server's client is told of it."""
    if role not in _DOWNWARD or family not in _FAMILIES or ONLY_TO_CUSTOMER in attributes:
        return attributes
    return attributes.with_(ONLY_TO_CUSTOMER, local_as)
