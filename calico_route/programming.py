"""Which learned routes go into the kernel, and how: plainly, through a tunnel, with a metric, or not at all.

A pool with VXLAN is Felix's, and so are, from some version on, those with IPIP and what is reached through WireGuard;
networks of services are handled by whoever serves them. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from pybgp import Family, PathView, Prefix, pack_address
from pybgp.policy import PrefixSet

from .compat import Compat, metric_of
from .fields import network as network_of
from .kernel.route import RouteOptions, RouteType
from .model import HostAddress, IpPool, Node

TUNNEL = "tunl0"


class Static(NamedTuple):
    """A route of our own in the kernel, before any learned one: through a gateway, or into nothing."""

    gateway: str | None = None

    @property
    def next_hops(self) -> tuple[bytes, ...]:
        return () if self.gateway is None else (pack_address(self.gateway),)

    @property
    def options(self) -> RouteOptions:
        return RouteOptions(type=RouteType.BLACKHOLE if self.gateway is None else RouteType.UNICAST)


class Way(Enum):
    """How routes into a network are installed."""

    PLAIN = "plainly"
    TUNNEL = "through the tunnel"
    TUNNEL_ACROSS = "through the tunnel, but plainly to a next hop on our own subnet"
    NOT = "not at all"


@dataclass(frozen=True, slots=True)
class KernelRules:
    """`ways` are tried in order, the first network that a route is in decides; outside of all: plainly. `subnet` is
    that of this node's own address. Nothing with one of the next hops `encrypted` goes in."""

    ways: tuple[tuple[Prefix, Way], ...] = ()
    subnet: Prefix | None = None
    metrics: bool = False
    encrypted: frozenset[bytes] = frozenset()

    @property
    def plain(self) -> bool:
        """Whether all routes go in just as they are."""
        return not self.ways and not self.metrics and not self.encrypted

    def takes(self, prefix: Prefix) -> bool:
        """Whether a route of our own goes in."""
        return next((way for network, way in self.ways if prefix in network), Way.PLAIN) is not Way.NOT

    def parts(
        self, family: Family, nlri: Sequence[bytes], path: PathView
    ) -> Iterator[tuple[Sequence[bytes], RouteOptions | None]]:
        """Destinations with a path in common, by how they go in; None: they do not."""
        metric = metric_of(path.attributes.local_pref) if self.metrics else None
        rest = nlri
        if path.next_hop in self.encrypted:
            yield nlri, None
            return
        for network, way in self.ways:
            if network.family == family and rest:
                inside = _set_of(network).which(family, rest)
                some = [one for one, there in zip(rest, inside, strict=True) if there]
                if some:
                    rest = [one for one, there in zip(rest, inside, strict=True) if not there]
                    yield some, self._options(way, path.next_hop, metric)
        if rest:
            yield rest, self._options(Way.PLAIN, path.next_hop, metric)

    def _options(self, way: Way, next_hop: bytes, metric: int | None) -> RouteOptions | None:
        if way is Way.NOT:
            return None
        near = way is Way.TUNNEL_ACROSS and self.subnet is not None and _set_of(self.subnet).holds_address(next_hop)
        if way is Way.PLAIN or near:
            return RouteOptions(metric=metric)
        return RouteOptions(metric=metric, device=TUNNEL, onlink=True)


def kernel_rules(
    pools: Sequence[IpPool],
    services: Sequence[Prefix],
    known: Compat,
    ipv4: HostAddress | None,
    encrypted: Iterable[bytes] = (),
) -> KernelRules:
    """`services` are the networks of services: nothing of them goes in, and nothing by the next hops `encrypted`."""
    ways = [(network, Way.NOT) for network in sorted(set(services))]
    ways += [(pool.cidr, _way(pool, known, ipv4)) for pool in sorted(pools, key=lambda one: str(one.cidr))]
    while ways and ways[-1][1] is Way.PLAIN:  # one that no other comes after decides nothing
        ways.pop()
    subnet = None if ipv4 is None else network_of(str(ipv4))
    subnet = subnet if any(way is Way.TUNNEL_ACROSS for _, way in ways) else None
    return KernelRules(tuple(ways), subnet, known.metrics, frozenset(encrypted))


def encrypted_next_hops(own: Node, nodes: Iterable[Node], known: Compat) -> Iterator[bytes]:
    """The addresses of nodes that this one reaches through WireGuard, by IP version."""
    if known.encrypted:
        for node in nodes:
            if node.name != own.name:
                if own.ipv4_wireguard and node.ipv4_wireguard and node.ipv4 is not None:
                    yield pack_address(node.ipv4.address)
                if own.ipv6_wireguard and node.ipv6_wireguard and node.ipv6 is not None:
                    yield pack_address(node.ipv6.address)


def _way(pool: IpPool, known: Compat, ipv4: HostAddress | None) -> Way:
    if pool.vxlan_mode != "Never":
        return Way.NOT
    if pool.ipip_mode == "Never":
        return Way.PLAIN if known.plain else Way.NOT
    if not known.tunnels:
        return Way.NOT
    if pool.cidr.family.afi != 1 or ipv4 is None:
        return Way.PLAIN
    return Way.TUNNEL if pool.ipip_mode == "Always" else Way.TUNNEL_ACROSS


@lru_cache(maxsize=256)
def _set_of(network: Prefix) -> PrefixSet:
    return PrefixSet(network, le=128 if network.family.afi == 2 else 32)
