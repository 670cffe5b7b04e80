"""The tables, route by route, for people and programs that look: in slices, whatever changes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pybgp.errors import ConfigurationError
from pybgp.exchange import Exchange
from pybgp.family import Afi, Family
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.peer import Peer
from pybgp.prefix import IP_PREFIXES, NLRI, Prefix, pack_address
from pybgp.rib.loc_rib import LocRib
from pybgp.rib.lookup import covering, covers
from pybgp.rib.route import Path, Route, best_of, paths_of
from pybgp.router import Router

CHUNK = 512
LOOKED_AT = 8192
SORTED = 20_000
Wanted = Callable[[Route], bool]


@dataclass(frozen=True, slots=True)
class ListedRoute:
    """One path to one prefix. `best` and `selected` (one of the multipath set) are of the decision process. `path` is
    None in what was advertised, where `attributes` are as they were sent."""

    prefix: Prefix
    attributes: PathAttributes
    peer: str
    path: Path | None = None
    path_id: int = 0
    best: bool = False
    selected: bool = False

    @property
    def rejected(self) -> str | None:
        """Why it may not be used; None: it may."""
        return None if self.path is None else self.path.rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Filtering:
    """Which routes to list. `within`: this prefix and longer ones inside of it. `holding`: all prefixes that hold this
    address. `received`: only what this peer has sent, with the attributes as it sent them. `rejected`: only what may
    not be used. `wanted`: any test of a route, such as a Condition of a policy. None of it: everything."""

    family: Family | None = None
    within: Prefix | None = None
    holding: bytes | None = None
    received: str | None = None
    rejected: bool = False
    wanted: Wanted | None = None

    def families(self, router: Router) -> list[Family]:
        known = [rib.family for rib in router.tables]
        if self.family is not None:
            known = [family for family in known if family == self.family]
        if self.within is not None or self.holding is not None:
            of_address = Afi.IPV4 if len(self.holding or b"") == 4 else Afi.IPV6
            afi = of_address if self.within is None else self.within.family.afi
            known = [family for family in known if family.afi == afi and family.safi in IP_PREFIXES]
        return sorted(known)

    def keys(self, table: Callable[[], list[NLRI]], has: Callable[[NLRI], bool]) -> Iterator[list[NLRI]]:
        """Those of a table in question, in slices, empty ones among them so that looking takes no long turn. In
        order, but for very large tables: sorting them would hold up everything else."""
        if self.holding is not None:
            yield [one for one in covering(self.holding) if has(one)]
            return
        keys = table()
        if self.within is not None:
            within, inside = self.within.nlri, []
            for start in range(0, len(keys), LOOKED_AT):
                if start:
                    yield []
                inside += [one for one in keys[start : start + LOOKED_AT] if covers(within, one)]
            keys = inside
        if len(keys) <= SORTED:
            keys.sort(key=lambda one: (one[1:], one[0]))
        for start in range(0, len(keys), CHUNK):
            yield keys[start : start + CHUNK]


def listing(router: Router, which: Filtering) -> Iterator[list[ListedRoute]]:
    """The paths in the tables, in slices of some hundred prefixes, by family and prefix, best first.
    Raises ConfigurationError for a peer that is none."""
    source = None if which.received is None else _peer(router, which.received)
    for family in which.families(router):
        rib = router.tables.loc_rib(family)
        for keys in which.keys(rib.prefixes, rib.__contains__):
            yield [route for nlri in keys for route in _of_prefix(rib, nlri, which, source)]


def _of_prefix(rib: LocRib, nlri: NLRI, which: Filtering, peer: Peer | None) -> Iterator[ListedRoute]:
    selected = rib.selected(nlri)
    chosen, best = paths_of(selected), best_of(selected)
    for path in paths_of(rib.entry(nlri)):
        if which.rejected and path.rejected is None:
            continue
        if peer is not None and path.source.name != peer.address:
            continue
        attributes = path.attributes if peer is None else path.received
        if which.wanted is not None and not which.wanted(Route.of(rib.family, nlri, attributes, path.source)):
            continue
        prefix = Prefix.of(rib.family, nlri)
        yield ListedRoute(
            prefix, attributes, path.source.name, path, path.path_id, best=path is best, selected=path in chosen
        )


def advertised(router: Router, to: str, which: Filtering) -> Iterator[list[ListedRoute]]:
    """What a peer holds from us, with the attributes as they were sent. Raises ConfigurationError for no peer."""
    peer = _peer(router, to)
    for family in which.families(router):
        exchange = peer.exchanges.get(family)
        if exchange is not None and exchange.adj_rib_out is not None:
            yield from _sent(exchange, which)


def _sent(exchange: Exchange, which: Filtering) -> Iterator[list[ListedRoute]]:
    for keys in which.keys(exchange.told_destinations, lambda nlri: bool(exchange.told(nlri))):
        found = []
        for nlri in keys:
            for path_id, attributes in exchange.told(nlri).items():  # nothing, where it was withdrawn since
                route = Route.of(exchange.family, nlri, attributes, exchange.source)
                if which.wanted is None or which.wanted(route):
                    found.append(ListedRoute(route.prefix, attributes, exchange.source.name, path_id=path_id))
        yield found


def _peer(router: Router, address: str) -> Peer:
    peer = router.peers.get(address)
    if peer is None:
        raise ConfigurationError(f"{address} is no peer of this speaker")
    return peer


def what_is_asked(text: str | None) -> dict[str, Prefix | bytes]:
    """The fields of `Filtering` for a text: a prefix ("10.0.0.0/8"), an address, or nothing. ValueError otherwise."""
    if not text:
        return {}
    return {"within": Prefix(text)} if "/" in text else {"holding": pack_address(text)}
