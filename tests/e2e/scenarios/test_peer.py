"""BGPPeers: for whom they count, whom they lead to, and every setting of their sessions."""

from __future__ import annotations

import pytest

from tests.e2e.scenarios.objects import MESH_OFF, OWN_BLOCK, bgp_configuration, bgp_peer, node, secret
from tests.e2e.scenarios.scenario import (
    ALONE,
    HOLES,
    KERNEL,
    MESH,
    OWN,
    OWN4,
    POOLED,
    Scenario,
    at_tor,
    parametrized,
    peer,
    peer6,
    play,
    router,
    router6,
    scenario,
    session,
    via,
)
from tests.e2e.scenarios.stage import DOWN, UP, Stage
from tests.e2e.scenarios.stock import FROM_STOCK, FROM_TOR, STOCK4, STOCK6, TOR

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

# `before={}`: a peering that was read before would stay as it was.

RACK = "rack == 'r1' && !has(gone)"
LOCAL_SIDE = [
    router("for all nodes", peer()),
    router("for this node", peer(node="host1")),
    scenario("for another node", peer(node="host9")),
    router("for nodes with a label", {**node("host1", {"rack": "r1"}), **peer(nodeSelector=RACK)}),
    scenario("for nodes with another label", {**node("host1", {"rack": "r2"}), **peer(nodeSelector="rack in {'r1'}")}),
    router("for all, by a selector", peer(nodeSelector="all()")),
    scenario("a selector that cannot be read", peer(nodeSelector="rack = 'r1'"), said="nodeSelector", before={}),
    router(
        "two for one address: the first counts",
        {**peer(), **bgp_peer("ultimate", peerIP=TOR, asNumber=65009, node="host1")},
        said="BGPPeer ultimate",
    ),
]

HUB = node("host1", {"role": "hub"})
REMOTE_SIDE = [
    scenario(
        "nodes by label, in the place of the mesh",
        {**MESH_OFF, **node("host2", {"role": "hub"}), **bgp_peer(peerSelector="role == 'hub'")},
    ),
    scenario(
        "the other way round, by the peering of the others",
        {**MESH_OFF, **HUB, **bgp_peer(nodeSelector="!has(role)", peerSelector="role == 'hub'")},
    ),
    scenario(
        "and said to be so",
        {
            **MESH_OFF,
            **HUB,
            **bgp_peer(nodeSelector="!has(role)", peerSelector="role == 'hub'", reversePeering="Auto"),
        },
    ),
    scenario(
        "not the other way round",
        {
            **MESH_OFF,
            **HUB,
            **bgp_peer(nodeSelector="!has(role)", peerSelector="role == 'hub'", reversePeering="Manual"),
        },
        **ALONE,
    ),
    scenario(
        "a node by its address",
        {**MESH_OFF, **bgp_peer(peerIP=STOCK4, asNumber=64512)},
        {STOCK4: UP},
        stock=OWN4,
        kernel=HOLES | via(STOCK4, FROM_STOCK),
    ),
    scenario(
        "our own address, by the peering of others",
        {**MESH_OFF, **bgp_peer(peerIP="192.168.78.21", asNumber=64512, nodeSelector="!has(role)"), **HUB},
        {STOCK4: UP},
        stock=OWN4,
        kernel=HOLES | via(STOCK4, FROM_STOCK),
    ),
    scenario("our own address beside the mesh", peer(21, asNumber=64512)),
    scenario("with workloads", bgp_peer(localWorkloadSelector="all()", asNumber=65001), said="localWorkloadSelector"),
    scenario(
        "an address that is none",
        bgp_peer(peerIP="192.168.78", asNumber=65001),
        said="BGPPeer(tor): spec.peerIP",
        before={},
    ),
    scenario("without an AS", bgp_peer(peerIP=TOR), said="asNumber", before={}),
    router(
        "what can no longer be read stays as it was",
        peer(asNumber=[65009]),
        said="BGPPeer(tor): spec.asNumber",
        before=peer(),
        first=router("", {}).seen,
    ),
]

FAR = "10.99.0.1"
SESSIONS = [
    router("port", bgp_peer(peerIP="192.168.78.253:1790", asNumber=65001), "192.168.78.253"),
    router("AS as asdot", peer(248, asNumber="1.10"), "192.168.78.248"),
    scenario("wrong AS", peer(asNumber=65009), {**MESH, TOR: DOWN}, said="AS 65001"),
    router("password", peer(252, password=secret("bgp", "tor")), "192.168.78.252"),
    scenario("no such password", peer(252, password=secret("bgp", "lost")), said="bgp/lost"),
    scenario("no password where one is asked for", peer(252), {**MESH, "192.168.78.252": DOWN}, said="192.168.78.252"),
    router(
        "our AS for it",
        peer(246, localASNumber=64999),
        "192.168.78.246",
        more=[at_tor(OWN_BLOCK, "BGP.as_path: 64999\n", at="192.168.78.246")],
    ),
    router("TTL security", peer(251, ttlSecurity=1), "192.168.78.251"),
    router("keepalive", peer(keepaliveTime="7s")),
    router("restart time", peer(maxRestartTime="1m30s"), more=[session("Restart time: 90")], before={}),
    router("source address: the node's", peer(sourceAddress="UseNodeIP")),
    router("source address: any", peer(sourceAddress="None")),
    router(
        "reachable by a gateway",
        bgp_peer(peerIP=FAR, asNumber=65001, reachableBy=TOR),
        FAR,
        kernel=KERNEL | via(TOR, {FAR}) | via(TOR, FROM_TOR),
    ),
    scenario("by one of the other IP version", peer(reachableBy=STOCK6), said="reachableBy", before={}),
    router("our own AS in its paths: refused", peer(247), "192.168.78.247", heard=(), onward=()),
    router("our own AS in its paths: allowed", peer(247, numAllowedLocalASNumbers=1), "192.168.78.247", onward=()),
    router("a field of a later version", peer(fieldOfTomorrow="x")),
]

NEXT_HOPS = [
    router("next hop, by itself", peer(), more=[at_tor("192.168.50.64/26", "BGP.next_hop: 192.168.78.21\n")]),
    router("as it was", peer(nextHopMode="Keep"), more=[at_tor("192.168.50.64/26", f"BGP.next_hop: {STOCK4}\n")]),
    router("we", peer(nextHopMode="Self"), more=[at_tor("192.168.50.64/26", "BGP.next_hop: 192.168.78.21\n")]),
    router(
        "as it was, the older field",
        peer(keepOriginalNextHop=True),
        more=[at_tor("192.168.50.64/26", f"BGP.next_hop: {STOCK4}\n")],
    ),
    router(
        "the newer field wins",
        peer(keepOriginalNextHop=True, nextHopMode="Self"),
        more=[at_tor("192.168.50.64/26", "BGP.next_hop: 192.168.78.21\n")],
    ),
]

TO_STOCK = {
    **bgp_peer("node", peerIP=STOCK4, asNumber=64512),
    **bgp_peer("node6", peerIP=STOCK6, asNumber=64512),
}
REFLECTOR = {
    **MESH_OFF,
    **node("host1", routeReflectorClusterID="244.0.0.1"),
    **peer(250, asNumber=64512),
    **TO_STOCK,
}
BALANCED = bgp_configuration(nodeToNodeMeshEnabled=False, serviceLoadBalancerIPs=[{"cidr": "172.0.0.0/8"}])
INTERNAL = [
    router("an internal one: nothing of the mesh", peer(250, asNumber=64512), "192.168.78.250", told=OWN4, onward=()),
    router(
        "one of a reflector",
        REFLECTOR,
        "192.168.78.250",
        more=[at_tor("192.168.50.64/26", "BGP.cluster_list: 244.0.0.1", at="192.168.78.250")],
    ),
    router(
        "a reflector lets addresses of load balancers through",
        {
            **REFLECTOR,
            **bgp_configuration(nodeToNodeMeshEnabled=False, serviceLoadBalancerIPs=[{"cidr": "172.0.0.0/8"}]),
        },
        "192.168.78.250",
        told={*OWN4, *FROM_STOCK, "172.0.0.0/8"},
        onward={POOLED, "172.0.0.0/8", "172.16.0.0/12"},
        kernel=KERNEL | via("192.168.78.250", FROM_TOR - {"172.16.0.0/12"}),
    ),
    router(
        "of two in one cluster neither is a client",
        {**REFLECTOR, **node("host2", routeReflectorClusterID="244.0.0.1")},
        "192.168.78.250",
        more=[at_tor("192.168.50.64/26", "BGP.cluster_list: 244.0.0.1", at="192.168.78.250")],
    ),
]

TWIN = "192.168.78.249"
OTHERS = [
    router6("IPv6", peer6()),
    router6("IPv6 in brackets", peer6(peerIP="[2001:db8:78::fe]:179")),
    router6("IPv6, next hop: we", peer6(nextHopMode="Self")),
    scenario(
        "two ways of the same cost",
        {**peer(), **bgp_peer("twin", peerIP=TWIN, asNumber=65002)},
        {**MESH, TOR: UP, TWIN: UP},
        stock=OWN | {POOLED},
        tor={*OWN4, *FROM_STOCK, POOLED},
        kernel=KERNEL | {f"{one} + {TWIN} + {TOR}" for one in FROM_TOR},
    ),
    router("and one of them left", peer()),
]


@parametrized(LOCAL_SIDE, REMOTE_SIDE, SESSIONS, NEXT_HOPS, INTERNAL, OTHERS)
def test_bgp_peers(stage: Stage, one: Scenario) -> None:
    play(stage, one)
