"""How learned routes go into the kernel, by pool."""

from __future__ import annotations

import pytest

from calico_route.compat import Compat
from calico_route.kernel.route import RouteOptions, RouteType
from calico_route.model import HostAddress, IpPool
from calico_route.programming import KernelRules, Static, Way, kernel_rules
from pybgp import IPV4_UNICAST, IPV6_UNICAST, PathAttributes, PathView, Prefix, Source, pack_address
from pybgp.rib import Path
from tests.calico_route.resources import pool

US = HostAddress("10.192.0.2", 16)
OLD = Compat()
NEW = Compat(priorities=((1, 1024), (2, 1024)))
FELIX = Compat(priorities=((1, 1024), (2, 1024)), tunnels=False)
PLAIN = pool("plain", "192.168.0.0/16")
IPIP = pool("ipip", "10.244.0.0/16", ipipMode="Always")
CROSS = pool("cross", "10.245.0.0/16", ipipMode="CrossSubnet")
VXLAN = pool("vxlan", "10.246.0.0/16", vxlanMode="Always")


def path(next_hop: str = "10.192.0.3", local_pref: int | None = 100) -> PathView:
    source = Source(name="a", address=b"\x0a\xc0\0\3", asn=64512, local_as=64512, internal=True)
    return PathView(Path(source, PathAttributes.build(next_hop=next_hop, local_pref=local_pref)))


def way(rules: KernelRules, text: str, **where: object) -> RouteOptions | None:
    prefix = Prefix(text)
    ((nlri, options),) = rules.parts(prefix.family, [prefix.nlri], path(**where))  # type: ignore[arg-type]
    assert nlri == [prefix.nlri]
    return options


TUNNEL = RouteOptions(device="tunl0", onlink=True)


def test_pools_without_encapsulation_cost_nothing() -> None:
    rules = kernel_rules([PLAIN, pool("more", "fd00::/16")], (), OLD, US)
    assert rules == KernelRules()
    assert rules.plain


@pytest.mark.parametrize(
    ("text", "next_hop", "options"),
    [
        ("192.168.0.1/32", "10.192.0.3", RouteOptions()),
        ("10.244.1.0/26", "10.192.0.3", TUNNEL),
        ("10.245.1.0/26", "10.192.255.3", RouteOptions()),
        ("10.245.1.0/26", "10.193.0.3", TUNNEL),
        ("10.246.1.0/26", "10.192.0.3", None),
        ("172.16.0.0/12", "10.192.0.3", RouteOptions()),
    ],
)
def test_each_kind_of_pool(text: str, next_hop: str, options: RouteOptions | None) -> None:
    rules = kernel_rules([PLAIN, IPIP, CROSS, VXLAN], (), OLD, US)
    assert way(rules, text, next_hop=next_hop) == options


def test_tunnels_are_felixs_from_some_version_on() -> None:
    rules = kernel_rules([PLAIN, IPIP, CROSS], (), FELIX, US)
    assert way(rules, "10.244.1.0/26") is None
    assert way(rules, "10.245.1.0/26") is None
    assert way(rules, "192.168.0.1/32") == RouteOptions(metric=2147483547)
    assert way(kernel_rules([PLAIN], (), Compat(plain=False), US), "192.168.0.1/32") is None


def test_the_metric_is_that_of_the_local_pref() -> None:
    rules = kernel_rules([PLAIN, IPIP], (), NEW, US)
    assert not rules.plain
    assert way(rules, "192.168.0.1/32", local_pref=2147482623) == RouteOptions(metric=1024)
    assert way(rules, "192.168.0.1/32", local_pref=None) == RouteOptions(metric=1024)
    assert way(rules, "10.244.0.0/26", local_pref=2147483135) == RouteOptions(metric=512, device="tunl0", onlink=True)


def test_nothing_of_services_goes_in() -> None:
    rules = kernel_rules([PLAIN], [Prefix("192.168.5.0/24"), Prefix("fd00::/108")], OLD, US)
    assert way(rules, "192.168.5.0/24") is None
    assert way(rules, "192.168.5.1/32") is None
    assert way(rules, "192.168.6.1/32") == RouteOptions()
    assert way(rules, "fd00::1/128", next_hop="2001:db8::3") is None
    assert way(rules, "fd01::1/128", next_hop="2001:db8::3") == RouteOptions()


def test_whose_own_blocks_are() -> None:
    rules = kernel_rules([PLAIN, IPIP, VXLAN], [Prefix("172.16.0.0/12")], OLD, US)
    assert rules.takes(Prefix("192.168.0.0/26"))
    assert rules.takes(Prefix("10.244.0.0/26"))
    assert rules.takes(Prefix("203.0.113.0/26"))
    assert not rules.takes(Prefix("10.246.0.0/26"))
    assert not rules.takes(Prefix("172.16.0.0/26"))


def test_a_pool_inside_of_another_one() -> None:
    """The first in order of their text decides, as with Calico."""
    rules = kernel_rules([pool("all", "10.0.0.0/8", ipipMode="Always"), pool("part", "10.1.0.0/16")], (), OLD, US)
    assert way(rules, "10.1.0.1/32") == TUNNEL
    rules = kernel_rules([pool("all", "10.0.0.0/7", ipipMode="Always"), pool("part", "10.0.0.0/16")], (), OLD, US)
    assert way(rules, "10.0.0.1/32") == RouteOptions()
    assert way(rules, "10.1.0.1/32") == TUNNEL


def test_many_destinations_at_once() -> None:
    rules = kernel_rules([PLAIN, IPIP, VXLAN], (), OLD, US)
    nlri = [Prefix(text).nlri for text in ("10.244.0.1/32", "192.168.0.1/32", "10.246.0.1/32", "10.244.0.2/32")]
    found = {
        str(Prefix.of(IPV4_UNICAST, one)): options
        for some, options in rules.parts(IPV4_UNICAST, nlri, path())
        for one in some
    }
    assert found == {
        "10.244.0.1/32": TUNNEL,
        "10.244.0.2/32": TUNNEL,
        "10.246.0.1/32": None,
        "192.168.0.1/32": RouteOptions(),
    }
    assert list(rules.parts(IPV6_UNICAST, [Prefix("fd00::1/128").nlri], path("2001:db8::3"))) == [
        ([Prefix("fd00::1/128").nlri], RouteOptions())
    ]


def test_without_an_ipv4_address_there_is_no_tunnel() -> None:
    made: list[IpPool] = [IPIP]
    assert kernel_rules(made, (), OLD, None).plain
    assert Way.TUNNEL in {way for _, way in kernel_rules(made, (), OLD, US).ways}


def test_what_is_reached_through_wireguard_is_felixs() -> None:
    rules = kernel_rules([PLAIN], (), NEW, US, [pack_address("10.192.0.3")])
    assert not rules.plain
    assert way(rules, "192.168.0.1/32") is None
    assert way(rules, "172.16.0.0/12") is None
    assert way(rules, "192.168.0.1/32", next_hop="10.192.0.4") == RouteOptions(metric=2147483547)


def test_own_routes() -> None:
    assert (Static().next_hops, Static().options.type) == ((), RouteType.BLACKHOLE)
    assert Static("192.0.2.1").next_hops == (bytes((192, 0, 2, 1)),)
    assert Static("192.0.2.1").options == RouteOptions()
