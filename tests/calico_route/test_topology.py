"""Who has a session with whom: mesh, reflectors, BGPPeers; both ends must come to the same answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.desired import Desired, Wishes
from calico_route.identity import Identity
from calico_route.model import BgpPeer, Node, Resource
from calico_route.sessions import MeshPeer, Options
from tests.calico_route.resources import bgp_peer, configuration, node, pool, view

AUTO = Options(auto_reflectors="rr=true")
LABEL = {"rr": "true"}
POOL = pool("p", "10.0.0.0/8")


def ask(name: str, *resources: Resource, options: Options | None = None) -> Desired:
    identity = Identity(name=name)
    return Wishes().state(
        view(*resources), identity, options or Options(), present=lambda *_: True, kernel_workloads=set()
    )


def nodes(reflecting: str, others: str, **spec: Any) -> list[Node]:
    """Nodes named by letters; those of the first text have the label."""
    return [
        node(name, f"192.0.2.{ord(name)}", labels=LABEL if name in reflecting else {}, **spec)
        for name in reflecting + others
    ]


def names(wanted: Desired) -> str:
    return "".join(sorted(peer.node for peer in wanted.peers.values()))


def clients(wanted: Desired) -> str:
    return "".join(sorted(peer.node for peer in wanted.peers.values() if peer.client))


# --- reflectors by a label ---


def test_the_others_speak_to_the_reflectors_alone() -> None:
    all_nodes = nodes("rs", "abc")
    for name in "abc":
        wanted = ask(name, *all_nodes, options=AUTO)
        assert (names(wanted), clients(wanted)) == ("rs", "")
    wanted = ask("r", *all_nodes, options=AUTO)
    assert (names(wanted), clients(wanted)) == ("abcs", "abc")
    assert {peer.cluster_id for peer in wanted.peers.values()} == {None}, "each has its BGP Identifier"


def test_without_a_reflector_the_mesh_is_full_and_that_is_said() -> None:
    wanted = ask("a", *nodes("", "abc"), options=AUTO)
    assert names(wanted) == "bc"
    assert "no node of AS 64512 has the label rr=true" in wanted.problems[0]


@pytest.mark.parametrize(("label", "reflects"), [("rr", True), ("rr=", False), ("rr=false", False), ("other", False)])
def test_a_label_with_and_without_value(label: str, *, reflects: bool) -> None:
    wanted = ask("a", *nodes("r", "abc"), options=Options(auto_reflectors=label))
    assert names(wanted) == ("r" if reflects else "bcr")


def test_the_cluster_id_of_the_node_serves_where_it_has_one() -> None:
    own = node("r", "192.0.2.1", labels=LABEL, routeReflectorClusterID="244.0.0.7")
    wanted = ask("r", own, *nodes("", "ab"), options=AUTO)
    assert {peer.cluster_id for peer in wanted.peers.values()} == {0xF4000007}
    assert names(ask("a", own, *nodes("", "ab"), options=AUTO)) == "r"


def test_another_as_keeps_its_mesh() -> None:
    everybody = [*nodes("r", "ab", asNumber=64512), *nodes("", "xy", asNumber=64600)]
    assert names(ask("a", *everybody, options=AUTO)) == "rxy"
    assert names(ask("x", *everybody, options=AUTO)) == "abry"


# --- Calico's way: routeReflectorClusterID and BGPPeers ---


def reflector(name: str, **spec: Any) -> Node:
    return node(name, f"192.0.2.{ord(name)}", routeReflectorClusterID="244.0.0.1", labels=LABEL, **spec)


TO_REFLECTORS = bgp_peer("to-reflectors", nodeSelector="!has(rr)", peerSelector="has(rr)")
AMONG = bgp_peer("among", nodeSelector="has(rr)", peerSelector="has(rr)")
NO_MESH = configuration(nodeToNodeMeshEnabled=False)


def test_a_reflector_is_outside_of_the_mesh_without_a_bgp_peer() -> None:
    everybody = [reflector("r"), *nodes("", "ab")]
    assert names(ask("a", *everybody)) == "b"
    wanted = ask("r", *everybody)
    assert names(wanted) == ""
    assert "no BGPPeer leads to it" in wanted.problems[0]


def test_reflectors_by_bgp_peer() -> None:
    everybody = [reflector("r"), reflector("s"), *nodes("", "ab"), TO_REFLECTORS, AMONG, NO_MESH, POOL]
    for name in "ab":
        wanted = ask(name, *everybody)
        assert (names(wanted), clients(wanted), wanted.problems) == ("rs", "", ())
    wanted = ask("r", *everybody)
    assert (names(wanted), clients(wanted)) == ("abs", "ab"), "one of the same cluster is no client"
    assert {peer.cluster_id for peer in wanted.peers.values()} == {0xF4000001}
    assert all(peer.export is not None for peer in wanted.peers.values()), "pools say what a reflector may tell"


def test_a_cluster_id_that_is_none_is_said_and_replaced() -> None:
    own = node("r", "192.0.2.1", routeReflectorClusterID="many")
    wanted = ask("r", own, *nodes("", "a"), bgp_peer("all", peerSelector="all()"), NO_MESH)
    assert {peer.cluster_id for peer in wanted.peers.values()} == {None}
    assert "'many'" in wanted.problems[0]


def test_a_router_for_all_for_some_and_for_one() -> None:
    a, b, c = node("a", "192.0.2.1", labels={"rack": "1"}), node("b", "192.0.2.2"), node("c", "192.0.2.3")
    peers = [
        bgp_peer("all", peerIP="198.51.100.1", asNumber=65001),
        bgp_peer("rack", nodeSelector="rack == '1'", peerIP="198.51.100.2", asNumber=65001),
        bgp_peer("one", node="b", peerIP="198.51.100.3", asNumber=64512),
    ]
    found = {name: set(ask(name, a, b, c, *peers, NO_MESH).peers) for name in "abc"}
    first, second, third = (f"198.51.100.{number}" for number in (1, 2, 3))
    assert found == {"a": {first, second}, "b": {first, third}, "c": {first}}
    router = ask("a", a, *peers, NO_MESH, POOL).peers[first]
    assert (router.node, router.peer_as, router.passive, router.internal) == ("", 65001, False, False)
    assert router.export is not None


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"peerIP": "198.51.100.1"}, "peerIP 198.51.100.1 has no asNumber"),
        ({"asNumber": 65001}, "neither peerIP nor peerSelector"),
        ({"localWorkloadSelector": "all()", "asNumber": 65001}, "workloads"),
        (
            {
                "peerIP": "198.51.100.1",
                "asNumber": 65001,
                "password": {"secretKeyRef": {"name": "bgp", "key": "password"}},
            },
            "--secrets-dir with a file bgp/password",
        ),
    ],
)
def test_what_is_not_served_is_said_and_hurts_no_other(spec: dict[str, Any], words: str) -> None:
    good = bgp_peer("zz", peerIP="198.51.100.9", asNumber=65001)
    wanted = ask("a", node("a", "192.0.2.1"), node("b", "192.0.2.2"), bgp_peer("bad", **spec), good)
    assert wanted.peers.keys() == {"192.0.2.2", "198.51.100.9"}
    assert any("BGPPeer bad" in problem and words in problem for problem in wanted.problems)


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"peerIP": "192.0.2.98", "asNumber": 64512}, ("b", 179, True)),
        ({"peerIP": "192.0.2.98"}, ("b", 179, True)),
        ({"peerIP": "192.0.2.98:179", "asNumber": 64512}, ("b", 179, True)),
        ({"peerIP": "192.0.2.98:1790", "asNumber": 64512}, ("", 1790, False)),
        ({"peerIP": "192.0.2.98", "asNumber": 65001}, ("", 179, False)),
    ],
)
def test_another_speaker_on_the_host_of_a_node(spec: dict[str, Any], found: tuple[str, int, bool]) -> None:
    """A node is what has its address, its AS and its port: any other is dialled, whatever its address is."""
    peer = ask("a", *nodes("", "ab"), bgp_peer("p", **spec), NO_MESH).peers["192.0.2.98"]
    assert (peer.node, peer.port, peer.passive) == found


def test_a_gateway_leads_one_way() -> None:
    """On the node that the BGPPeer leads to, its gateway leads nowhere."""
    some = bgp_peer("p", peerIP="192.0.2.98", asNumber=64512, reachableBy="192.0.2.254")
    both = [node("a", "192.0.2.97", "2001:db8::a"), node("b", "192.0.2.98", "2001:db8::b"), some, NO_MESH]
    assert ask("a", *both).peers["192.0.2.98"].reachable_by == "192.0.2.254"
    back = ask("b", *both)
    assert {address: peer.reachable_by for address, peer in back.peers.items()} == {"192.0.2.97": None}
    assert back.problems == ()


def test_a_peer_selector_wins_over_an_address() -> None:
    some = bgp_peer("p", peerSelector="all()", peerIP="198.51.100.1", asNumber=65001)
    assert ask("a", *nodes("", "ab"), some, NO_MESH).peers.keys() == {f"192.0.2.{ord('b')}"}


def test_times_are_rounded_to_whole_seconds_a_half_upwards() -> None:
    mesh = configuration(nodeMeshMaxRestartTime="2.5s")
    some = bgp_peer("p", peerIP="198.51.100.1", asNumber=65001, maxRestartTime="90m", keepaliveTime="4500ms")
    peers = ask("a", *nodes("", "ab"), some, mesh).peers
    assert peers[f"192.0.2.{ord('b')}"].restart_time == 3
    assert (peers["198.51.100.1"].restart_time, peers["198.51.100.1"].keepalive_time) == (4095, 5)
    none = bgp_peer("p", peerIP="198.51.100.1", asNumber=65001, maxRestartTime="", keepaliveTime="0s")
    peer = ask("a", *nodes("", "a"), none).peers["198.51.100.1"]
    assert (peer.restart_time, peer.keepalive_time) == (120, None)


def test_the_other_direction_of_a_bgp_peer_is_for_this_node_alone() -> None:
    """As confd names them in BIRD's configuration."""
    some = bgp_peer("p", peerSelector="has(rr)")
    everybody = [*nodes("rs", "a"), some, NO_MESH]
    assert {peer.bird_name for peer in ask("a", *everybody).peers.values()} == {
        "Global_192_0_2_114",
        "Global_192_0_2_115",
    }
    assert {peer.bird_name for peer in ask("r", *everybody).peers.values()} == {"Node_192_0_2_97", "Global_192_0_2_115"}


# --- both ends ---

LETTERS = "abcdef"
selectors = st.sampled_from(["all()", "has(rr)", "!has(rr)", "rack == '1'", "rack != '1'", "rack in {'1', '2'}"])


@st.composite
def clusters(draw: st.DrawFn) -> list[Resource]:
    made: list[Resource] = []
    for letter in draw(st.permutations(LETTERS))[: draw(st.integers(2, 6))]:
        labels = draw(st.dictionaries(st.sampled_from(["rr", "rack"]), st.sampled_from(["true", "1", "2"])))
        spec: dict[str, Any] = {"asNumber": draw(st.sampled_from([64512, 64512, 64512, 64600]))}
        if draw(st.booleans()):
            spec["routeReflectorClusterID"] = draw(st.sampled_from(["244.0.0.1", "244.0.0.2"]))
        ipv6 = f"2001:db8::{ord(letter):x}" if draw(st.booleans()) else None
        made.append(node(letter, f"192.0.2.{ord(letter)}", ipv6, labels=labels, **spec))
    for number in range(draw(st.integers(0, 4))):
        where: dict[str, Any] = {}
        match draw(st.integers(0, 2)):
            case 0:
                where["node"] = draw(st.sampled_from(LETTERS))
            case 1:
                where["nodeSelector"] = draw(selectors)
        if draw(st.booleans()):
            where["peerSelector"] = draw(selectors)
        else:
            where |= {"peerIP": f"192.0.2.{ord(draw(st.sampled_from(LETTERS)))}", "asNumber": 64512}
        made.append(bgp_peer(f"p{number}", **where))
    made.append(configuration(nodeToNodeMeshEnabled=draw(st.booleans())))
    return made


@given(clusters(), st.sampled_from(["", "rr", "rr=true", "rack=1"]))
@settings(max_examples=300, deadline=None)
def test_both_ends_of_a_session_want_it(resources: list[Resource], label: str) -> None:
    """And what is to be agreed on is: who dials, and each other's AS."""
    everybody = {one.name: one for one in resources if isinstance(one, Node)}
    by_address = {one.name for one in resources if isinstance(one, BgpPeer) and one.peer_ip is not None}
    options = Options(auto_reflectors=label)
    wants = {name: ask(name, *resources, options=options).peers for name in everybody}
    addresses = {
        address.address: name
        for name, one in everybody.items()
        for address in (one.ipv4, one.ipv6)
        if address is not None
    }
    for name, peers in wants.items():
        for address, peer in peers.items():
            if not peer.node or peer.peer_as != (everybody[peer.node].asn or 64512):
                continue  # an address of no node, or the wrong AS: no other end
            assert addresses[address] == peer.node
            assert peer.local_address is not None
            other: Mapping[str, MeshPeer] = wants[peer.node]
            assert peer.local_address in other, f"{name} wants {peer.node}, which does not want {name}"
            back = other[peer.local_address]
            assert back.passive != peer.passive or not back.node  # by a wrong AS it is another speaker, and dialled
            assert back.peer_as == peer.own_as or back.origin in by_address
