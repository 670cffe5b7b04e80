"""Next hops through tables made by hand."""

from __future__ import annotations

import random

import pytest

from calico_route.kernel.netlink import AddressEvent, InterfaceAddress, Link, LinkEvent, RouteEvent
from calico_route.kernel.resolver import NO_CARRIER_COST, Resolver, split_next_hop
from calico_route.kernel.route import IPV4, IPV6, KernelRoute, NextHop, RouteSpec, RouteType, cover
from calico_route.kernel.surroundings import Surroundings

from .conftest import nlri, raw

PEER = raw("192.168.78.22")


class Tables:
    """Surroundings and learned routes, in words."""

    def __init__(self) -> None:
        self.here = Surroundings()
        self.learned: dict[int, dict[bytes, tuple[bytes, ...]]] = {IPV4: {}, IPV6: {}}
        self.resolver = Resolver(
            self.here,
            lambda afi, destination: self.learned[afi].get(destination),
            lambda afi: {destination[0] for destination in self.learned[afi]},
        )

    def link(self, index: int, *, up: bool = True, carrier: bool = True) -> None:
        self.here.apply_link(LinkEvent(True, Link(index, f"eth{index}", up, carrier, False)))

    def address(self, text: str, index: int, *, present: bool = True) -> None:
        afi = IPV6 if ":" in text else IPV4
        self.here.apply_address(AddressEvent(present, InterfaceAddress(index, afi, raw(text), 24)))

    def route(
        self, destination: str, *ways: tuple[str, int], kind: int = 1, metric: int = 0, present: bool = True
    ) -> None:
        afi = IPV6 if ":" in destination else IPV4
        hops = tuple(sorted(NextHop(raw(gateway) if gateway else b"", index) for gateway, index in ways))
        route = KernelRoute(4, 254, 0, 0, 0, RouteSpec(hops, kind, metric))
        self.here.apply_route(RouteEvent(present, 0, 0, afi, nlri(destination), route))

    def learn(self, destination: str, *next_hops: str) -> None:
        afi = IPV6 if ":" in destination else IPV4
        self.learned[afi][nlri(destination)] = tuple(map(raw, next_hops))


@pytest.fixture
def tables() -> Tables:
    made = Tables()
    made.link(2)
    made.link(3)
    made.route("192.168.78.0/24", ("", 2))
    made.route("10.0.0.0/24", ("", 3))
    made.route("2001:db8::/64", ("", 2))
    made.route("fe80::/64", ("", 2))
    made.route("fe80::/64", ("", 3))
    return made


def test_on_a_link(tables: Tables) -> None:
    resolution = tables.resolver.resolve(PEER)
    assert resolution.hops == (NextHop(PEER, 2),)
    assert resolution.cost == 0
    assert resolution.link == nlri("192.168.78.0/24")


def test_no_route(tables: Tables) -> None:
    resolution = tables.resolver.resolve(raw("203.0.113.1"))
    assert resolution.cost is None
    assert resolution.reason == "no route to next hop 203.0.113.1"


@pytest.mark.parametrize("raw_next_hop", [b"", b"\1\2\3", bytes(4), bytes(16), bytes(20)])
def test_what_is_no_address(tables: Tables, raw_next_hop: bytes) -> None:
    assert tables.resolver.resolve(raw_next_hop).cost is None
    assert "is no address" in tables.resolver.resolve(raw_next_hop).reason


def test_through_a_route_with_gateways(tables: Tables) -> None:
    tables.route("172.16.0.0/12", ("192.168.78.1", 2), ("10.0.0.1", 3), metric=20)
    resolution = tables.resolver.resolve(raw("172.16.9.9"))
    assert resolution.hops == (NextHop(raw("10.0.0.1"), 3), NextHop(raw("192.168.78.1"), 2))
    assert (resolution.cost, resolution.link) == (20, None)


def test_the_longest_match_then_the_lowest_metric_over_a_link_that_is_up(tables: Tables) -> None:
    tables.route("172.16.0.0/12", ("192.168.78.1", 2))
    tables.route("172.16.9.0/24", ("192.168.78.2", 2), metric=7)
    tables.route("172.16.9.0/24", ("10.0.0.2", 3), metric=5)
    next_hop = raw("172.16.9.9")
    assert tables.resolver.resolve(next_hop).hops == (NextHop(raw("10.0.0.2"), 3),)
    tables.link(3, up=False)
    assert tables.resolver.refresh([next_hop]) == ({next_hop}, {next_hop})
    assert tables.resolver.resolve(next_hop).hops == (NextHop(raw("192.168.78.2"), 2),)
    tables.route("172.16.9.0/24", ("192.168.78.2", 2), metric=7, present=False)
    tables.resolver.refresh([next_hop])
    assert tables.resolver.resolve(next_hop).hops == (NextHop(raw("192.168.78.1"), 2),)


def test_behind_a_route_that_leads_nowhere(tables: Tables) -> None:
    tables.route("172.16.0.0/12", kind=RouteType.UNREACHABLE)
    tables.route("0.0.0.0/0", ("192.168.78.1", 2))
    resolution = tables.resolver.resolve(raw("172.16.9.9"))
    assert resolution.cost is None
    assert resolution.reason == "next hop 172.16.9.9 is behind a route of type unreachable to 172.16.0.0/12"


def test_an_address_of_this_host(tables: Tables) -> None:
    tables.address("192.168.78.21", 2)
    assert "address of this host itself" in tables.resolver.resolve(raw("192.168.78.21")).reason
    tables.address("192.168.78.21", 2, present=False)
    tables.resolver.refresh([raw("192.168.78.21")])
    assert tables.resolver.resolve(raw("192.168.78.21")).cost == 0


def test_a_link_without_carrier_costs_much(tables: Tables) -> None:
    tables.link(2, carrier=False)
    assert tables.resolver.resolve(PEER).cost == NO_CARRIER_COST
    assert tables.resolver.resolve(PEER).hops == (NextHop(PEER, 2),)


def test_global_and_link_local(tables: Tables) -> None:
    both = raw("2001:db8::22") + raw("fe80::22")
    assert tables.resolver.resolve(both).hops == (NextHop(raw("fe80::22"), 2),)
    assert split_next_hop(raw("fe80::22") + raw("2001:db8::22")) == (raw("2001:db8::22"), raw("fe80::22"))
    tables.route("2001:db8:9::/48", ("2001:db8::1", 2))
    behind = raw("2001:db8:9::9") + raw("fe80::22")  # not on a link: its link-local address means nothing here
    assert tables.resolver.resolve(behind).hops == (NextHop(raw("2001:db8::1"), 2),)


def test_link_local_alone(tables: Tables) -> None:
    assert "could be on any interface (eth2, eth3)" in tables.resolver.resolve(raw("fe80::22")).reason
    tables.link(3, up=False)
    tables.resolver.refresh([raw("fe80::22")])
    assert tables.resolver.resolve(raw("fe80::22")).hops == (NextHop(raw("fe80::22"), 2),)


def test_through_learned_routes(tables: Tables) -> None:
    tables.learn("172.16.0.0/12", "192.168.78.22")
    tables.learn("172.31.0.0/16", "172.16.1.1", "10.0.0.9")
    resolution = tables.resolver.resolve(raw("172.31.5.5"))
    assert resolution.hops == (NextHop(raw("10.0.0.9"), 3), NextHop(PEER, 2))
    assert resolution.cost == 2


def test_a_learned_route_never_resolves_its_own_next_hop(tables: Tables) -> None:
    tables.learn("172.16.0.0/12", "172.16.1.1")
    assert tables.resolver.resolve(raw("172.16.1.1")).reason == "no route to next hop 172.16.1.1"
    tables.route("0.0.0.0/0", ("192.168.78.1", 2))
    tables.resolver.refresh([raw("172.16.1.1")])
    assert tables.resolver.resolve(raw("172.16.1.1")).hops == (NextHop(raw("192.168.78.1"), 2),)


def test_learned_routes_in_a_circle(tables: Tables) -> None:
    tables.learn("172.16.0.0/16", "172.17.0.1")
    tables.learn("172.17.0.0/16", "172.18.0.1")
    tables.learn("172.18.0.0/16", "172.16.0.1")
    for text in ("172.16.0.1", "172.17.0.1", "172.18.0.1"):
        assert tables.resolver.resolve(raw(text)).cost is None
    tables.learn("172.18.0.0/16", "10.0.0.9")
    assert tables.resolver.refresh(tables.resolver.known())[0] == {
        raw(text) for text in ("172.16.0.1", "172.17.0.1", "172.18.0.1")
    }


def test_a_link_comes_before_any_learned_route(tables: Tables) -> None:
    tables.learn("192.168.78.22/32", "10.0.0.9")
    assert tables.resolver.resolve(PEER).hops == (NextHop(PEER, 2),)


def test_a_default_route_without_gateway(tables: Tables) -> None:
    tables.route("0.0.0.0/0", ("", 3))
    next_hop = raw("203.0.113.1")
    assert tables.resolver.resolve(next_hop).hops == (NextHop(next_hop, 3),)
    assert nlri("203.0.113.0/24") not in tables.resolver.guards(IPV4)


def test_guards_are_the_destinations_inside_the_link_that_cover_a_next_hop(tables: Tables) -> None:
    tables.resolver.resolve(PEER)
    expected = {cover(PEER, length) for length in range(25, 33)}
    assert set(tables.resolver.guards(IPV4)) == expected
    assert tables.resolver.guarded_by(IPV4, nlri("192.168.78.0/26")) == (PEER, nlri("192.168.78.0/24"))
    assert tables.resolver.guards_changed == {(IPV4, destination) for destination in expected}
    tables.route("192.168.78.0/24", ("", 2), present=False)
    tables.resolver.refresh([PEER])
    assert not tables.resolver.guards(IPV4)


def test_gateways_on_the_way_are_guarded(tables: Tables) -> None:
    tables.route("0.0.0.0/0", ("192.168.78.1", 2))
    tables.resolver.resolve(raw("203.0.113.1"))
    assert nlri("192.168.78.1/32") in tables.resolver.guards(IPV4)


def test_pruned_next_hops_are_forgotten_with_their_guards(tables: Tables) -> None:
    tables.resolver.resolve(PEER)
    tables.resolver.resolve(raw("192.168.78.23"))
    assert tables.resolver.touched(IPV4, [nlri("192.168.78.0/24")]) == {PEER, raw("192.168.78.23")}
    tables.resolver.prune([PEER])
    assert tables.resolver.known() == {PEER}
    assert nlri("192.168.78.23/32") not in tables.resolver.guards(IPV4)
    assert tables.resolver.touched(IPV4, [nlri("192.168.78.0/24")]) == {PEER}


def test_touched_never_leaves_out_a_next_hop_that_changes() -> None:
    """Routes come and go at random: every next hop that resolves otherwise was among those touched."""
    chance = random.Random(4271)
    tables = Tables()
    for index in (2, 3):
        tables.link(index)
    tables.route("10.0.0.0/8", ("", 2))
    next_hops = [bytes((172, 16, chance.randrange(4), chance.randrange(4))) for _ in range(12)]
    for next_hop in next_hops:
        tables.resolver.resolve(next_hop)
    changes = 0
    for _ in range(400):
        length = chance.choice([0, 12, 16, 22, 24, 30, 32])
        destination = cover(bytes((172, 16, chance.randrange(4), chance.randrange(4))), length)
        gateway = bytes((10, 0, 0, chance.randrange(1, 4)))
        if chance.random() < 0.5:
            if destination in tables.learned[IPV4]:
                del tables.learned[IPV4][destination]
            else:
                tables.learned[IPV4][destination] = (chance.choice([gateway, *next_hops]),)
        else:
            known = tables.here.routes[IPV4].get(destination, ())
            spec = known[0].spec if known else RouteSpec((NextHop(gateway, 2),))
            route = KernelRoute(4, 254, 0, 0, 0, spec)
            tables.here.apply_route(RouteEvent(not known, 0, 0, IPV4, destination, route))
        asked = tables.resolver.touched(IPV4, [destination])
        while asked:  # as State.follow: next hops behind learned routes whose own next hops changed
            changed, _ = tables.resolver.refresh(asked)
            changes += len(changed)
            dependent = [d for d, via in tables.learned[IPV4].items() if not changed.isdisjoint(via)]
            asked = tables.resolver.touched(IPV4, dependent) if dependent else set()
        before = {next_hop: tables.resolver.resolve(next_hop) for next_hop in next_hops}
        assert tables.resolver.refresh(next_hops) == (set(), set()), before
    assert changes > 100
