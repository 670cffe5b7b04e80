"""Conditions of the declarative form: what a rule looks at. Combine them with `&`, `|` and `~`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pybgp.family import Afi, Family
from pybgp.messages.attributes.communities import format_community, parse_community
from pybgp.messages.attributes.large_communities import LargeCommunity, parse_large_community
from pybgp.messages.attributes.origin import Origin
from pybgp.prefix import NLRI, Prefix, pack_address
from pybgp.rib.decision import DEFAULT_LOCAL_PREF
from pybgp.rib.lookup import shortened
from pybgp.rib.route import Route


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of a route. `per_path` says that it does not look at the prefix; `text` describes it."""

    test: Callable[[Route], bool]
    text: str
    per_path: bool = True

    def __call__(self, route: Route) -> bool:
        return self.test(route)

    def __and__(self, other: Condition) -> Condition:
        return Condition(
            lambda route: self.test(route) and other.test(route),
            f"({self.text} and {other.text})",
            self.per_path and other.per_path,
        )

    def __or__(self, other: Condition) -> Condition:
        return Condition(
            lambda route: self.test(route) or other.test(route),
            f"({self.text} or {other.text})",
            self.per_path and other.per_path,
        )

    def __invert__(self) -> Condition:
        return Condition(lambda route: not self.test(route), f"not {self.text}", self.per_path)

    def __str__(self) -> str:
        return self.text


def prefix_in(*prefixes: str | Prefix, ge: int | None = None, le: int | None = None) -> Condition:
    """The prefix is one of these. With `ge` or `le` (lengths in bits): it is inside one of these and its length
    is in the range, as in a prefix list; `ge` alone goes up to the host, `le` alone begins at the length given.
    ValueError for a bad prefix or an empty range."""
    if not prefixes:
        raise ValueError("prefix_in needs at least one prefix")
    sets: dict[Family, dict[int, set[NLRI]]] = {}
    for prefix in map(Prefix, prefixes):
        bits = 32 if prefix.family.afi == Afi.IPV4 else 128
        lowest = prefix.length if ge is None else ge
        highest = bits if le is None else le
        if not prefix.length <= lowest <= highest <= bits:
            raise ValueError(
                f"prefix_in {prefix}: lengths from {lowest} to {highest} are no range from {prefix.length} to {bits}"
            )
        sets.setdefault(prefix.family, {}).setdefault(prefix.length, set()).add(prefix.nlri)
    text = "prefix in " + ", ".join(map(str, prefixes))
    if ge is None and le is None:
        exact = {(family, nlri) for family, lengths in sets.items() for group in lengths.values() for nlri in group}
        return Condition(lambda route: (route.family, route.nlri) in exact, text, per_path=False)

    def inside(route: Route) -> bool:
        nlri = route.nlri
        length = nlri[0]
        if (le is not None and length > le) or (ge is not None and length < ge):
            return False
        return any(at <= length and shortened(nlri, at) in group for at, group in sets.get(route.family, {}).items())

    return Condition(inside, f"{text}{'' if ge is None else f' ge {ge}'}{'' if le is None else f' le {le}'}", False)


def family_is(family: Family) -> Condition:
    return Condition(lambda route: route.family == family, f"family {family}")


def community(*values: str | int) -> Condition:
    """The route has all these communities: "65000:100", a well-known name such as "no-export", or a number."""
    wanted = frozenset(map(parse_community, values))
    if not wanted:
        raise ValueError("community needs at least one community")
    text = "community " + ", ".join(map(format_community, sorted(wanted)))
    return Condition(lambda route: wanted <= route.attributes.communities, text)


def large_community(*values: LargeCommunity | str) -> Condition:
    """The route has all these large communities (RFC 8092)."""
    wanted = frozenset(map(parse_large_community, values))
    if not wanted:
        raise ValueError("large_community needs at least one community")
    text = "large community " + ", ".join(map(str, values))
    return Condition(lambda route: wanted <= route.attributes.large_communities, text)


def as_path_has(asn: int) -> Condition:
    """The AS is somewhere in the AS_PATH."""
    return Condition(lambda route: route.attributes.count_as(asn) > 0, f"AS {asn} in the AS_PATH")


def as_path_length(*, ge: int = 0, le: int | None = None) -> Condition:
    """The length of the AS_PATH, as the decision process counts it, is in this range."""
    if ge < 0 or (le is not None and le < ge):
        raise ValueError(f"as_path_length: from {ge} to {le} is no range")
    return Condition(
        lambda route: ge <= route.attributes.as_path_length and (le is None or route.attributes.as_path_length <= le),
        f"AS_PATH length from {ge}" + ("" if le is None else f" to {le}"),
    )


def neighbor_as(*asns: int) -> Condition:
    """The first AS of the AS_PATH is one of these; 0 is a route from the local AS."""
    wanted = frozenset(asns)
    return Condition(lambda route: route.attributes.neighbor_as in wanted, f"neighboring AS {_listed(asns)}")


def origin_as(*asns: int) -> Condition:
    """The last AS of the AS_PATH, where the route comes from, is one of these; 0 is the local AS (or a set)."""
    wanted = frozenset(asns)
    return Condition(lambda route: route.attributes.as_path.origin_as in wanted, f"origin AS {_listed(asns)}")


def origin_is(origin: Origin | int) -> Condition:
    wanted = Origin(origin)
    return Condition(lambda route: route.attributes.origin == wanted, f"ORIGIN {wanted.name}")


def local_pref_in(*, ge: int = 0, le: int = 0xFFFFFFFF) -> Condition:
    """LOCAL_PREF (100 where there is none) is in this range."""

    def inside(route: Route) -> bool:
        value = route.attributes.local_pref
        return ge <= (DEFAULT_LOCAL_PREF if value is None else value) <= le

    return Condition(inside, f"LOCAL_PREF from {ge} to {le}")


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


def peer_as(*asns: int) -> Condition:
    """The route came from a peer in one of these ASes."""
    wanted = frozenset(asns)
    return Condition(lambda route: not route.peer.local and route.peer.asn in wanted, f"peer AS {_listed(asns)}")


def local_route() -> Condition:
    """This speaker originates the route."""
    return Condition(lambda route: route.peer.local, "own route")


def internal_route() -> Condition:
    """Learned by iBGP."""
    return Condition(lambda route: route.peer.internal and not route.peer.local, "learned by iBGP")


def external_route() -> Condition:
    """Learned by eBGP."""
    return Condition(lambda route: route.peer.external, "learned by eBGP")


def where(test: Callable[[Route], bool], text: str = "", *, per_path: bool = False) -> Condition:
    """Any function of a route. `per_path` promises that it does not look at the prefix."""
    return Condition(test, text or getattr(test, "__name__", "a function"), per_path)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def _addresses(peers: Iterable[str]) -> Iterable[bytes]:
    for peer in peers:
        try:
            yield pack_address(peer)
        except ValueError:
            continue  # a name
