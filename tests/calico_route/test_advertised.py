"""Blocks, networks of services and communities, out of the datastore."""

from __future__ import annotations

from calico_route.advertised import EXCLUDED, Advertised, advertised
from calico_route.compat import Compat
from calico_route.model import Node, Resource
from pybgp import Prefix
from tests.calico_route.resources import block, configuration, node, view

OWN = node("me", "192.0.2.5/24")


def found(
    *resources: Resource, own: Node = OWN, known: Compat | None = None, blocks: bool = True, pod_cidrs: bool = False
) -> tuple[Advertised, list[str]]:
    problems: list[str] = []
    made = advertised(view(*resources), own, known or Compat(), problems, blocks=blocks, pod_cidrs=pod_cidrs)
    return made, problems


def texts(prefixes: tuple[Prefix, ...]) -> list[str]:
    return [str(prefix) for prefix in prefixes]


def test_blocks_in_all_states() -> None:
    some = (
        block("me", "192.168.0.64/26"),
        block("me", "192.168.0.0/26", state="confirmed"),
        block("me", "192.168.1.0/26", state="pending"),
        block("me", "192.168.2.0/26", state="pendingDeletion"),
        block("me", "192.168.3.0/26", state="confirmed", deleted=True),
        block("other", "192.168.4.0/26"),
        block("me", "fd80::40/122"),
    )
    made, problems = found(*some)
    assert texts(made.whole) == ["192.168.0.0/26", "192.168.0.64/26", "fd80::40/122"]
    assert texts(made.held) == ["192.168.0.0/26", "192.168.0.64/26", "192.168.2.0/26", "fd80::40/122"]
    assert problems == []
    assert found(*some, blocks=False)[0].held == ()


def test_blocks_that_the_node_names() -> None:
    made, _ = found(
        block("me", "192.168.0.0/26"), own=Node(name="me", pod_cidrs=(Prefix("10.244.3.0/24"),)), pod_cidrs=True
    )
    assert texts(made.whole) == texts(made.held) == ["10.244.3.0/24"]


def networks(**more: object) -> Resource:
    return configuration(
        serviceClusterIPs=[{"cidr": "10.96.0.0/12"}, {"cidr": "fd00::/108"}],
        serviceExternalIPs=[{"cidr": "198.51.100.0/28"}, {"cidr": "198.51.100.77/32"}],
        serviceLoadBalancerIPs=[{"cidr": "203.0.113.0/28"}, {"cidr": "fd01::1/128"}],
        **more,
    )


def test_networks_of_services() -> None:
    """Single addresses are announced where a service has them, which etcd does not say."""
    made, _ = found(networks())
    assert texts(made.services) == ["10.96.0.0/12", "fd00::/108", "198.51.100.0/28", "203.0.113.0/28"]
    assert made.reflected == ()
    made, _ = found(networks(serviceLoadBalancerAggregation="Disabled"))
    assert texts(made.services) == ["10.96.0.0/12", "fd00::/108", "198.51.100.0/28"]


def test_a_node_may_be_left_out() -> None:
    made, _ = found(networks(), own=node("me", "192.0.2.5", labels={EXCLUDED: "true"}))
    assert made.services == ()
    assert len(made.served) == 6, "what others announce of them is not for its kernel all the same"


def test_a_reflector_passes_on_what_balancers_announce() -> None:
    own = node("me", "192.0.2.5", routeReflectorClusterID="244.0.0.1")
    made, _ = found(networks(), own=own)
    assert texts(made.reflected) == ["203.0.113.0/28", "fd01::1/128"]
    made, _ = found(networks(), own=own, known=Compat(external_services=True))
    assert texts(made.reflected)[2:] == ["198.51.100.0/28", "198.51.100.77/32"]


ADVERTISED = [{"cidr": "192.168.0.0/16", "communities": ["internal", "64512:55", "64512:55"]}]


def test_communities_by_name_and_value() -> None:
    cluster = configuration(
        communities=[{"name": "internal", "value": "64512:300:100"}],
        prefixAdvertisements=[*ADVERTISED, {"cidr": "fd00::/16", "communities": ["none"]}],
    )
    made, problems = found(cluster)
    assert [(str(cidr), values) for cidr, values in made.communities] == [
        ("192.168.0.0/16", ("64512:300:100", "64512:55"))
    ]
    (problem,) = problems
    assert "default" in problem
    assert "fd00::/16" in problem
    assert "none: no community has this name" in problem


def test_settings_of_the_node_take_the_place_of_the_clusters() -> None:
    cluster = configuration(communities=[{"name": "internal", "value": "64512:300"}], prefixAdvertisements=ADVERTISED)
    own = configuration("node.me", prefixAdvertisements=[{"cidr": "10.0.0.0/8", "communities": ["internal"]}])
    made, problems = found(cluster, own, configuration("node.other", prefixAdvertisements=[]))
    assert [(str(cidr), values) for cidr, values in made.communities] == [("10.0.0.0/8", ("64512:300",))]
    assert problems == []
    assert found(cluster, configuration("node.me", listenPort=1790))[0].communities[0][0] == Prefix("192.168.0.0/16")


def test_a_value_that_is_none_is_told() -> None:
    cluster = configuration(
        communities=[{"name": "x", "value": "gold"}],
        prefixAdvertisements=[{"cidr": "10.0.0.0/8", "communities": ["x", "1:99999"]}],
    )
    made, problems = found(cluster)
    assert made.communities == ()
    assert len(problems) == 2
