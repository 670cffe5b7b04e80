"""What an agent writes about itself, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

from calico_route.datastore import MemoryDatastore
from calico_route.documents import read_document
from calico_route.fields import host_address
from calico_route.identity import Identity
from calico_route.model import IpPool, Kind, Node, Resource, ResourceKey
from calico_route.registration import Plan, carry_out, corrected, corrections, plan
from calico_route.view import View
from tests.calico_route.resources import node, node_without_bgp, pool, view

ME = Identity(name="me", ipv4=host_address("192.0.2.5/24"))
KEY = ResourceKey(Kind.NODE, "", "me")
POOL = pool("p", "10.0.0.0/8")


async def register(store: MemoryDatastore, identity: Identity, *resources: Resource) -> list[str]:
    return await carry_out(plan(view(*resources), identity), store, identity)


async def test_an_empty_cluster_gets_node_and_pool() -> None:
    store = MemoryDatastore()
    done = await register(store, replace(ME, asn=65001))
    own, made = await store.get(KEY), await store.get(ResourceKey(Kind.IP_POOL, "", "default-ipv4-ippool"))
    assert isinstance(own, Node)
    assert (str(own.ipv4), own.asn, own.bgp) == ("192.0.2.5/24", 65001, True)
    assert isinstance(made, IpPool)
    assert (str(made.cidr), made.ipip_mode, made.disable_bgp_export) == ("192.168.0.0/16", "Never", False)
    assert done == [
        "registered Node me with 192.0.2.5/24",
        "there was no IP pool: made default-ipv4-ippool 192.168.0.0/16",
    ]


async def test_with_any_pool_none_is_made() -> None:
    store = MemoryDatastore([POOL])
    await register(store, ME, POOL)
    assert await store.get(ResourceKey(Kind.IP_POOL, "", "default-ipv4-ippool")) is None


async def test_who_comes_second_changes_nothing() -> None:
    """Two agents saw the same empty datastore."""
    store = MemoryDatastore()
    stale = plan(View(), ME)
    assert len(await carry_out(stale, store, ME)) == 2
    first = await store.get(KEY)
    assert await carry_out(stale, store, replace(ME, ipv4=host_address("192.0.2.66"))) == []
    assert await store.get(KEY) == first


def test_nothing_to_do() -> None:
    assert not plan(view(node("me", "192.0.2.5/24"), POOL), ME)
    assert plan(view(node("me", "192.0.2.5"), POOL), ME) == Plan(), "only the length of the subnet differs"
    assert not plan(view(node("me", "192.0.2.99"), POOL), Identity(name="me", found_ipv4=host_address("192.0.2.5")))
    assert not plan(view(POOL), Identity(name="me")), "no address: nothing to register"


async def test_flags_win_over_the_node_and_the_rest_of_it_stays() -> None:
    document = {
        "kind": "Node",
        "metadata": {"name": "me", "uid": "u", "labels": {"rack": "r1"}},
        "spec": {
            "bgp": {"ipv4Address": "192.0.2.9/24", "ipv6Address": "2001:db8::9/64", "ipv4IPIPTunnelAddr": "10.1.1.1"},
            "orchRefs": [{"nodeName": "me"}],
            "addresses": [
                {"address": "192.0.2.9/24", "type": "CalicoNodeIP"},
                {"address": "192.0.2.9", "type": "InternalIP"},
            ],
        },
    }
    own = read_document(KEY, document).resource
    assert isinstance(own, Node)
    store = MemoryDatastore([own, POOL])
    identity = replace(ME, asn=65001)
    done = await register(store, identity, own, POOL)
    changes = "IPv4 address 192.0.2.9/24 -> 192.0.2.5/24, AS (of the cluster) -> 65001"
    assert done == [f"corrected Node me, flags win over it: {changes}"]
    now = await store.get(KEY)
    assert isinstance(now, Node)
    assert (str(now.ipv4), str(now.ipv6), now.asn) == ("192.0.2.5/24", "2001:db8::9/64", 65001)
    assert now.labels == {"rack": "r1"}
    assert now.raw["metadata"]["uid"] == "u"
    assert now.raw["spec"]["orchRefs"] == [{"nodeName": "me"}]
    assert now.raw["spec"]["addresses"] == [
        {"address": "192.0.2.9", "type": "InternalIP"},
        {"address": "192.0.2.5/24", "type": "CalicoNodeIP"},
    ]
    assert own.raw["spec"]["bgp"]["ipv4Address"] == "192.0.2.9/24", "the old value is not touched"
    assert corrections(now, identity) == ()


def test_an_address_gives_a_policy_only_node_bgp() -> None:
    own = node_without_bgp("me")
    assert corrections(own, ME) == ("IPv4 address (none) -> 192.0.2.5/24",)
    assert corrected(own, ME).bgp


async def test_a_correction_that_somebody_else_made_meanwhile() -> None:
    seen = node("me", "192.0.2.9")
    store = MemoryDatastore([node("me", "192.0.2.5"), POOL])
    assert await register(store, ME, seen, POOL) == []


def test_a_found_address_goes_into_a_node_without_any() -> None:
    found = Identity(name="me", found_ipv4=host_address("192.0.2.5/24"))
    bare = node("me", asNumber=65001)
    assert corrections(bare, found) == ("IPv4 address (none) -> 192.0.2.5/24",)
    assert str(corrected(bare, found).ipv4) == "192.0.2.5/24"
    assert corrections(node_without_bgp("me"), found) == (), "who takes no part is left alone"
    assert corrections(node("me", None, "2001:db8::5"), found) == ()
