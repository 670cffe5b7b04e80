"""Who is spoken to and what is announced, rule by rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.datastore import Batch, Event
from calico_route.desired import Desired, Wishes
from calico_route.fields import host_address
from calico_route.identity import Identity, hashed_router_id
from calico_route.model import Resource, SecretReference
from calico_route.sessions import Options
from calico_route.view import View, fold
from pybgp import IPV6_UNICAST, Prefix
from tests.calico_route.resources import (
    bgp_filter,
    bgp_peer,
    block,
    cluster,
    configuration,
    endpoint,
    node,
    node_without_bgp,
    pool,
    view,
)

ME = Identity(name="me")
OWN = node("me", "192.0.2.5/24")
POOL = pool("default", "10.0.0.0/8")


def ask(
    *resources: Resource,
    identity: Identity = ME,
    options: Options | None = None,
    interfaces: tuple[str, ...] = (),
    routes: tuple[str, ...] = (),
    kernel: tuple[str, ...] = (),
) -> Desired:
    return Wishes().state(
        view(*resources),
        identity,
        options or Options(),
        present=lambda interface, prefix: interface in interfaces or str(prefix) in routes,
        kernel_workloads={Prefix(text) for text in kernel},
    )


def announced(wanted: Desired) -> set[str]:
    return {str(prefix) for prefix in wanted.announcements}


# --- the mesh ---


def test_a_session_to_each_other_node() -> None:
    wanted = ask(OWN, node("a", "192.0.2.1/24"), node("b", "192.0.2.9"))
    assert wanted.peers.keys() == {"192.0.2.1", "192.0.2.9"}
    assert wanted.problems == ()
    peer = wanted.peers["192.0.2.1"]
    assert (peer.node, peer.peer_as, peer.port, peer.local_address) == ("a", 64512, 179, "192.0.2.5")


def test_both_families() -> None:
    own = node("me", "192.0.2.5/24", "2001:db8::5/64")
    wanted = ask(own, node("a", "192.0.2.1", "2001:db8:0::1"), node("b", None, "2001:db8::2"), node("c", "192.0.2.3"))
    assert wanted.peers.keys() == {"192.0.2.1", "2001:db8::1", "2001:db8::2", "192.0.2.3"}
    assert wanted.peers["2001:db8::1"].local_address == "2001:db8::5"
    assert wanted.peers["2001:db8::1"].settings()["families"] == (IPV6_UNICAST,)
    assert wanted.local is not None
    assert wanted.local.listen == ("0.0.0.0", "::")


def test_no_ipv6_session_without_an_own_ipv6_address() -> None:
    assert ask(OWN, node("a", "192.0.2.1", "2001:db8::1")).peers.keys() == {"192.0.2.1"}


@pytest.mark.parametrize(
    ("own", "peer", "passive"),
    [("10.0.0.10", "10.0.0.9", True), ("10.0.0.9", "10.0.0.10", False), ("10.0.0.1", "10.0.0.2", True)],
)
def test_addresses_are_compared_as_text(own: str, peer: str, passive: bool) -> None:
    """10.0.0.9 is above 10.0.0.10 for Calico's nodes, and both ends must see it so."""
    assert ask(node("me", own), node("a", peer)).peers[peer].passive is passive


@given(st.lists(st.ip_addresses(v=4).map(str), min_size=2, max_size=2, unique=True))
@settings(max_examples=100, deadline=None)
def test_exactly_one_end_dials(addresses: list[str]) -> None:
    one, other = addresses
    nodes = node("one", one), node("other", other)
    here = ask(*nodes, identity=Identity(name="one")).peers[other]
    there = ask(*nodes, identity=Identity(name="other")).peers[one]
    assert here.passive != there.passive


def test_as_numbers() -> None:
    wanted = ask(
        node("me", "192.0.2.5", asNumber=65001), node("a", "192.0.2.1"), node("b", "192.0.2.2", asNumber=65002)
    )
    assert wanted.local is not None
    assert wanted.local.asn == 65001
    # not the cluster's 64512: a node without a number has the AS of whoever looks at it
    assert wanted.peers["192.0.2.1"].peer_as == 65001
    assert wanted.peers["192.0.2.2"].peer_as == 65002


def test_as_of_the_cluster_and_of_the_flag() -> None:
    cluster = configuration(asNumber=65010)
    local = ask(OWN, cluster).local
    assert local is not None
    assert local.asn == 65010
    local = ask(OWN, cluster, identity=replace(ME, asn=65020)).local
    assert local is not None
    assert local.asn == 65020


def test_ports() -> None:
    wanted = ask(OWN, node("a", "192.0.2.1"), node("b", "192.0.2.2"), configuration(listenPort=1790),
                 configuration("node.b", listenPort=1791))  # fmt: skip
    assert wanted.local is not None
    assert wanted.local.port == 1790
    assert [peer.port for peer in wanted.peers.values()] == [1790, 1791]


def test_route_reflectors_stand_outside() -> None:
    reflector = node("r", "192.0.2.7", routeReflectorClusterID="244.0.0.1")
    assert ask(OWN, reflector, node("a", "192.0.2.1")).peers.keys() == {"192.0.2.1"}
    own = node("me", "192.0.2.5", routeReflectorClusterID="244.0.0.1")
    wanted = ask(own, node("a", "192.0.2.1"))
    assert not wanted.peers
    assert "route reflector" in wanted.problems[0]


def test_mesh_switched_off() -> None:
    assert not ask(OWN, node("a", "192.0.2.1"), configuration(nodeToNodeMeshEnabled=False)).peers


def test_nodes_that_take_no_part() -> None:
    wanted = ask(OWN, node_without_bgp("policy"), node("a", asNumber=65000))
    assert not wanted.peers
    assert wanted.problems == ("Node a has no address: no session to it",)


def test_addresses_that_exist_twice_are_reported_and_served_once() -> None:
    wanted = ask(OWN, node("a", "192.0.2.1"), node("b", "192.0.2.1"), node("clone", "192.0.2.5"))
    assert {address: peer.node for address, peer in wanted.peers.items()} == {"192.0.2.1": "a"}
    assert any("b has the address 192.0.2.1 of a" in text for text in wanted.problems)
    assert any("clone has our own address 192.0.2.5" in text for text in wanted.problems)


def test_an_external_node_hears_only_of_pools() -> None:
    wanted = ask(OWN, node("a", "192.0.2.1", asNumber=65002), node("b", "192.0.2.2"), POOL,
                 pool("closed", "10.9.0.0/16", disableBGPExport=True))  # fmt: skip
    export = wanted.peers["192.0.2.1"].export
    assert export is not None
    texts = ("10.1.2.3/32", "10.9.0.1/32", "11.0.0.1/32", "0.0.0.0/0")
    assert [text for text in texts if not export.refusal(Prefix(text))] == ["10.1.2.3/32"]
    assert wanted.peers["192.0.2.2"].export == export, "it is told what the other AS says, too"
    assert ask(OWN, node("b", "192.0.2.2"), POOL).peers["192.0.2.2"].export is None


def test_restart_time_of_the_mesh() -> None:
    assert ask(OWN, node("a", "192.0.2.1")).peers["192.0.2.1"].restart_time == 120
    told = configuration(nodeMeshMaxRestartTime="3m20s")
    assert ask(OWN, node("a", "192.0.2.1"), told).peers["192.0.2.1"].restart_time == 200


def test_a_password_is_nowhere_to_be_read() -> None:
    wanted = ask(OWN, node("a", "192.0.2.1"), options=Options(password="hunter2"))
    assert wanted.peers["192.0.2.1"].settings()["password"] == "hunter2"
    assert "hunter2" not in repr(wanted)


# --- ourselves ---


def test_a_given_address_wins_over_the_node() -> None:
    local = ask(OWN, identity=replace(ME, ipv4=host_address("192.0.2.77"))).local
    assert local is not None
    assert local.ipv4 is not None
    assert local.ipv4.address == "192.0.2.77"


def test_a_found_address_serves_only_without_a_node() -> None:
    found = replace(ME, found_ipv4=host_address("192.0.2.88/24"))
    with_node, without = ask(OWN, identity=found).local, ask(identity=found).local
    assert with_node is not None
    assert without is not None
    assert str(with_node.ipv4) == "192.0.2.5/24"
    assert str(without.ipv4) == "192.0.2.88/24"


def test_no_address_and_no_bgp() -> None:
    nobody = ask(node("a", "192.0.2.1"))
    assert nobody.local is None
    assert "give --ip" in nobody.problems[0]
    assert not nobody.peers
    idle = ask(
        node_without_bgp("me"), node("a", "192.0.2.1"), identity=replace(ME, found_ipv4=host_address("192.0.2.8"))
    )
    assert idle.local is None
    assert "no spec.bgp" in idle.problems[0]


def test_bgp_identifier() -> None:
    def identifier(identity: Identity, *resources: Resource) -> str:
        local = ask(*resources, identity=identity).local
        assert local is not None
        return local.bgp_identifier

    assert identifier(ME, OWN) == "192.0.2.5"
    assert identifier(replace(ME, router_id="198.51.100.1"), OWN) == "198.51.100.1"
    assert identifier(replace(ME, router_id="hash"), OWN) == hashed_router_id("me")
    assert identifier(ME, node("me", None, "2001:db8::5")) == hashed_router_id("me")


@given(st.text(min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_a_hashed_identifier_is_a_unicast_address(name: str) -> None:
    octets = [int(octet) for octet in hashed_router_id(name).split(".")]
    assert len(octets) == 4
    assert octets[0] < 224


def test_bind_mode() -> None:
    local = ask(node("me", "192.0.2.5/24", "2001:db8::5"), configuration(bindMode="NodeIP")).local
    assert local is not None
    assert local.listen == ("192.0.2.5", "2001:db8::5")


def test_bind_mode_of_a_node_counts_up_to_v3_31() -> None:
    own, of_node = node("me", "192.0.2.5/24"), configuration("node.me", bindMode="NodeIP")
    cluster = configuration(bindMode="None")
    for version, listen in (("v3.31", "192.0.2.5"), ("v3.32", "0.0.0.0")):
        local = ask(own, cluster, of_node, options=Options(compat=version)).local
        assert local is not None
        assert local.listen == (listen,)


# --- announcements ---

ENDPOINT = endpoint("w", "me", "10.0.0.1/32", "fd80::1/128", interface="cali1")


def test_an_endpoint_waits_for_its_interface() -> None:
    wanted = ask(OWN, POOL, endpoint("w", "me", "10.0.0.1/32", interface="cali1"))
    assert announced(wanted) == set()
    reason = wanted.withheld[Prefix("10.0.0.1/32")]
    assert "interface cali1 does not exist" in reason
    assert "default/w" in reason
    assert announced(ask(OWN, POOL, ENDPOINT, interfaces=("cali1",))) == {"10.0.0.1/32"}
    assert announced(ask(OWN, POOL, ENDPOINT, routes=("10.0.0.1/32",))) == {"10.0.0.1/32"}
    assert announced(ask(OWN, POOL, ENDPOINT, options=Options(announce_unchecked=True))) == {"10.0.0.1/32"}


def test_only_own_endpoints() -> None:
    other = endpoint("w", "another", "10.0.0.1/32", interface="cali1")
    assert announced(ask(OWN, POOL, other, interfaces=("cali1",))) == set()


def test_only_inside_pools_that_may_be_exported() -> None:
    closed = pool("closed", "10.9.0.0/16", disableBGPExport=True)
    disabled = pool("full", "172.16.0.0/12", disabled=True)
    here = endpoint("w", "me", "10.0.0.1/32", "10.9.0.1/32", "192.0.2.99/32", "172.16.0.1/32", interface="cali1")
    wanted = ask(OWN, POOL, closed, disabled, here, interfaces=("cali1",))
    assert announced(wanted) == {"10.0.0.1/32", "172.16.0.1/32"}, "`disabled` is about new addresses only"
    assert "closed 10.9.0.0/16 has disableBGPExport" in wanted.withheld[Prefix("10.9.0.1/32")]
    assert wanted.withheld[Prefix("192.0.2.99/32")] == "in no IP pool"


def test_workloads_from_the_kernel() -> None:
    kernel_only = Options(workloads_from_etcd=False, workloads_from_kernel=True)
    both = Options(workloads_from_kernel=True)
    seen = (OWN, POOL, ENDPOINT)
    routes = ("10.0.0.7/32", "192.0.2.99/32")
    assert announced(ask(*seen, kernel=routes, interfaces=("cali1",))) == {"10.0.0.1/32"}
    only = ask(*seen, kernel=routes, interfaces=("cali1",), options=kernel_only)
    assert announced(only) == {"10.0.0.7/32"}
    assert only.withheld == {Prefix("192.0.2.99/32"): "in no IP pool"}
    assert announced(ask(*seen, kernel=routes, interfaces=("cali1",), options=both)) == {"10.0.0.1/32", "10.0.0.7/32"}


def test_of_two_endpoints_with_one_address_the_one_that_is_there_counts() -> None:
    twice = (
        endpoint("old", "me", "10.0.0.1/32", interface="cali0"),
        endpoint("w", "me", "10.0.0.1/32", interface="cali1"),
    )
    wanted = ask(OWN, POOL, *twice, interfaces=("cali1",))
    assert announced(wanted) == {"10.0.0.1/32"}
    assert not wanted.withheld


# --- again and again ---

_SOME: list[Resource] = [
    OWN,
    node("me", "192.0.2.6/24"),
    *(node(name, f"192.0.2.{number}/24") for number, name in enumerate("abc", 10)),
    pool("default", "10.0.0.0/8"),
    pool("default", "10.0.0.0/8", disableBGPExport=True),
    pool("other", "10.1.0.0/16", disableBGPExport=True),
    configuration(asNumber=64999),
    configuration(nodeToNodeMeshEnabled=False),
    *(endpoint(f"w{number}", "me", f"10.{number}.0.1/32", interface="cali1") for number in range(3)),
]


@given(st.lists(st.tuples(st.sampled_from(_SOME), st.booleans(), st.sampled_from(["10.1.0.9/32", "10.2.0.9/32"]))))
def test_what_is_remembered_is_what_would_be_worked_out(changes: list[tuple[Resource, bool, str]]) -> None:
    wishes, seen = Wishes(), View()
    for revision, (resource, there, route) in enumerate(changes):
        event = Event(resource.key, resource if there else None, revision)
        seen = fold(seen, Batch(revision, (event,)))
        for options in (Options(), Options(workloads_from_kernel=True)):
            answers = [
                one.state(seen, ME, options, present=lambda *_: True, kernel_workloads={Prefix(route)})
                for one in (wishes, Wishes())
            ]
            assert answers[0] == answers[1]


def test_sessions_stay_the_same_object_while_workloads_come_and_go() -> None:
    wishes, seen = Wishes(), view(OWN, POOL, node("a", "192.0.2.1/24"))
    first = wishes.state(seen, ME, Options(), present=lambda *_: True, kernel_workloads=set())
    workload = endpoint("w", "me", "10.0.0.1/32")
    seen = fold(seen, Batch(2, (Event(workload.key, workload, 2),)))
    second = wishes.state(seen, ME, Options(), present=lambda *_: True, kernel_workloads=set())
    assert announced(second) == {"10.0.0.1/32"}
    assert second.peers is first.peers


# --- blocks, versions of Calico, routes of our own ---

BLOCKS = Options(announce_blocks=True, workloads_from_kernel=True)


def test_blocks_whole_and_what_is_outside_of_them_by_itself() -> None:
    """A block, a workload in it, and an address that was borrowed from the block of another node."""
    wanted = ask(OWN, POOL, block("me", "10.1.1.64/26"), options=BLOCKS, kernel=("10.1.1.65/32", "10.2.0.5/32"))
    assert announced(wanted) == {"10.1.1.64/26", "10.2.0.5/32"}
    assert "own block 10.1.1.64/26" in wanted.withheld[Prefix("10.1.1.65/32")]
    assert {str(prefix): static.gateway for prefix, static in wanted.statics.items()} == {"10.1.1.64/26": None}
    plain = ask(OWN, POOL, block("me", "10.1.1.64/26"), options=replace(BLOCKS, announce_blocks=False))
    assert (plain.announcements, plain.statics) == (frozenset(), {})


def test_a_block_on_its_way_out_covers_nothing_any_more() -> None:
    leaving = block("me", "10.1.1.64/26", state="pendingDeletion")
    wanted = ask(OWN, POOL, leaving, options=BLOCKS, kernel=("10.1.1.65/32",))
    assert announced(wanted) == {"10.1.1.64/26", "10.1.1.65/32"}
    assert list(map(str, wanted.statics)) == ["10.1.1.64/26"]
    coming = block("me", "10.1.1.64/26", state="pending")
    wanted = ask(OWN, POOL, coming, options=BLOCKS, kernel=("10.1.1.65/32",))
    assert (announced(wanted), wanted.statics) == ({"10.1.1.65/32"}, {})


def test_a_block_of_one_address_ends_nothing() -> None:
    """And is announced where a workload has the address."""
    wanted = ask(OWN, POOL, block("me", "10.1.1.1/32"), options=BLOCKS)
    assert (announced(wanted), wanted.statics) == (set(), {})
    wanted = ask(OWN, POOL, block("me", "10.1.1.1/32"), options=BLOCKS, kernel=("10.1.1.1/32",))
    assert (announced(wanted), wanted.statics) == ({"10.1.1.1/32"}, {})


def test_blocks_come_and_go() -> None:
    wishes, kernel = Wishes(), {Prefix("10.1.1.65/32")}
    found = []
    for some in ((), (block("me", "10.1.1.64/26"),), ()):
        wanted = wishes.state(view(OWN, POOL, *some), ME, BLOCKS, present=lambda *_: False, kernel_workloads=kernel)
        found.append(announced(wanted))
    assert found == [{"10.1.1.65/32"}, {"10.1.1.64/26"}, {"10.1.1.65/32"}]


def test_networks_of_services_are_announced_and_stay_out_of_the_kernel() -> None:
    wanted = ask(OWN, POOL, configuration(serviceClusterIPs=[{"cidr": "10.96.0.0/12"}]))
    assert announced(wanted) == {"10.96.0.0/12"}
    assert not wanted.kernel.plain
    assert wanted.statics == {}


def test_from_some_version_on_local_pref_carries_the_metric() -> None:
    assert ask(OWN, POOL).local_prefs == ()
    wanted = ask(OWN, POOL, cluster(calicoVersion="v3.32.1"), configuration(ipv6NormalRoutePriority=7))
    assert wanted.local_prefs == ((1, 2147482623), (2, 2147483640))
    assert wanted.kernel.metrics
    assert ask(OWN, POOL, cluster(calicoVersion="v3.32.1"), options=Options(compat="v3.31")).local_prefs == ()


def test_communities_make_the_mesh_look() -> None:
    there = configuration(prefixAdvertisements=[{"cidr": "10.0.0.0/8", "communities": ["64512:5"]}])
    wanted = ask(OWN, POOL, node("a", "192.0.2.1"), there)
    export = wanted.peers["192.0.2.1"].export
    assert export is not None
    assert export.communities == ((Prefix("10.0.0.0/8"), ("64512:5",)),)


def test_filters_are_those_of_the_neighbour_alone() -> None:
    filters = (
        bgp_filter("out", exportV4=[{"action": "Reject"}]),
        bgp_filter("in", importV4=[{"action": "Accept"}], importV6=[{"action": "Reject"}]),
    )
    router = bgp_peer("tor", peerIP="192.0.2.254", asNumber=65001, filters=["out", "none", "in"])
    wanted = ask(OWN, POOL, node("a", "192.0.2.1"), router, *filters)
    tor, mesh = wanted.peers["192.0.2.254"], wanted.peers["192.0.2.1"]
    assert tor.export is not None
    assert [one.name for one in tor.export.filters] == ["out"]
    assert tor.export.allowed == (Prefix("10.0.0.0/8"),)
    assert [one.name for one in tor.imports] == ["in"]
    assert mesh.imports == ()
    assert mesh.export is not None
    assert mesh.export.filters == ()
    assert wanted.problems == ()


def test_a_gateway_leads_to_a_neighbour_that_is_far() -> None:
    router = bgp_peer("tor", peerIP="198.51.100.1", asNumber=65001, reachableBy="192.0.2.254")
    wanted = ask(OWN, POOL, router)
    assert {str(prefix): static.gateway for prefix, static in wanted.statics.items()} == {
        "198.51.100.1/32": "192.0.2.254"
    }
    assert wanted.problems == ()


def test_passwords_that_the_datastore_only_names() -> None:
    reference = {"secretKeyRef": {"name": "bgp", "key": "mesh"}}
    tor = {"secretKeyRef": {"name": "bgp", "key": "tor"}}
    resources = (
        *(OWN, POOL, node("a", "192.0.2.1"), configuration(nodeMeshPassword=reference)),
        bgp_peer("tor", peerIP="192.0.2.254", asNumber=65001, password=tor),
        bgp_peer("open", peerIP="192.0.2.253", asNumber=65001),
    )
    secrets = {SecretReference("bgp", "mesh"): "m", SecretReference("bgp", "tor"): "t"}
    wanted = ask(*resources, options=Options(secrets=secrets))
    assert {address: peer.password for address, peer in wanted.peers.items()} == {
        "192.0.2.1": "m",
        "192.0.2.254": "t",
        "192.0.2.253": None,
    }
    assert wanted.problems == ()
    without = ask(*resources)
    assert without.peers.keys() == {"192.0.2.1", "192.0.2.253"}
    assert len(without.problems) == 2
    assert all("--secrets-dir" in problem for problem in without.problems)
