"""Nodes: who is in the mesh, AS numbers and addresses in every spelling, labels, and the flags of readiness."""

from __future__ import annotations

import pytest

from tests.e2e.scenarios.objects import EXCLUDED, MESH_OFF, bgp_configuration, bgp_peer, node, resource, version
from tests.e2e.scenarios.scenario import (
    ALONE,
    AS_BASE,
    BOTH_DOWN,
    HOLES,
    KERNEL4,
    KERNEL6,
    LONELY,
    MESH,
    OWN4,
    OWN6,
    UNLIKE,
    Scenario,
    at_stock,
    parametrized,
    play,
    scenario,
    via,
)
from tests.e2e.scenarios.stage import DOWN, UP, Stage
from tests.e2e.scenarios.stock import FROM_STOCK, SIX_STOCK, STOCK4, STOCK6, Ours

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

SPELLINGS = [
    scenario("the base", {}),
    scenario("AS number as a string, asplain", node("host1", asNumber="64512")),
    scenario("AS number as a string, asdot", node("host1", asNumber="0.64512")),
    scenario("a bare address", node("host1", ipv4Address="192.168.78.21", ipv6Address="2001:db8:78::21")),
    scenario(
        "fields of other programs",
        node("host1", ipv4IPIPTunnelAddr="192.168.221.64", fieldOfTomorrow={"a": [1]}),
    ),
]

MEMBERS = [
    scenario("a node without BGP", resource("nodes", "host2"), **ALONE),
    scenario("ours without BGP", resource("nodes", "host1"), {}, stock=(), kernel=(), said="spec.bgp"),
    scenario("back again", {}),
    scenario(
        "the other has IPv4 alone",
        node("host2", ipv6Address=""),
        {STOCK4: UP},
        stock=OWN4,
        kernel=HOLES | KERNEL4,
    ),
    scenario(
        "we have IPv6 alone",
        node("host1", ipv4Address=""),
        {STOCK6: UP},
        stock=OWN6,
        kernel=HOLES | KERNEL6,
    ),
    scenario(
        "the other is a reflector, and so not in the mesh",
        node("host2", routeReflectorClusterID="1.1.1.1"),
        before={},
        first=AS_BASE,
        **ALONE,
    ),
    scenario("we are one", node("host1", routeReflectorClusterID="1.1.1.1"), **ALONE),
    scenario(
        "a third node that is dead",
        resource("nodes", "host3", bgp={"ipv4Address": "192.168.78.23/24"}),
        {**MESH, "192.168.78.23": DOWN},
        said="192.168.78.23",
    ),
    scenario(
        "a third node with the other's address",
        resource("nodes", "host3", bgp={"ipv4Address": "192.168.78.22/24"}),
        said="host3",
    ),
]

CHANGES = [
    scenario(
        "the other has another AS than it says",
        node("host2", asNumber=64600),
        BOTH_DOWN,
        stock=(),
        kernel=HOLES,
        said="AS 64512",
    ),
    scenario(
        "ours has another AS",
        {**node("host1", asNumber=64600), **node("host2", asNumber=64512)},
        ours=Ours(asn=64600),
        more=[at_stock("192.168.221.64/26", "BGP.as_path: 64600")],
        before={},
        first=AS_BASE,
    ),
    scenario("another address", node("host1", ipv4Address="192.168.78.31/24"), ours=Ours(ipv4="192.168.78.31")),
    scenario("and back", {}),
    scenario(
        "a label that a BGPPeer asks for",
        {**MESH_OFF, **node("host2", {"hub": "yes"}), **bgp_peer(peerSelector="hub == 'yes'")},
        before={**MESH_OFF, **node("host2", {"hub": "no"}), **bgp_peer(peerSelector="hub == 'yes'")},
        first=LONELY,
    ),
    scenario(
        "a label that a BGPPeer no longer finds",
        {**MESH_OFF, **node("host2", {"hub": "no"}), **bgp_peer(peerSelector="hub == 'yes'")},
        **ALONE,
    ),
    scenario(
        "a label that keeps services away",
        {
            **node("host1", {EXCLUDED: "true"}),
            **bgp_configuration(serviceExternalIPs=[{"cidr": "198.51.100.0/28"}]),
        },
    ),
    scenario(
        "an AS number that is none: the last good Node stays",
        node("host2", asNumber="many"),
        said="Node(host2): spec.bgp.asNumber",
        before={},
        first=AS_BASE,
    ),
    scenario(
        "an address that is none: the last good Node stays",
        node("host2", ipv4Address="192.168.78.222.1/24"),
        said="Node(host2): spec.bgp.ipv4Address",
    ),
]

NOT_READY = {"/calico/v1/Ready": "false"}
NOR_READY = resource("clusterinformations", "default", datastoreReady=False)
READY = [
    scenario("not ready", NOT_READY, before={}, first=AS_BASE, in_force=False, said="Ready says false"),
    scenario("what changes then is not acted upon", {**NOT_READY, **MESH_OFF}, in_force=False),
    scenario("until it is ready again", {"/calico/v1/Ready": "true", **MESH_OFF}, **ALONE),
    scenario("by the newer flag", NOR_READY, before={}, first=AS_BASE, in_force=False, said="datastoreReady: false"),
    scenario("what changes then neither", {**NOR_READY, **MESH_OFF}, in_force=False),
    scenario("until the flag has gone", MESH_OFF, **ALONE),
]

VERSIONS = [
    scenario(
        "metrics and LOCAL_PREF from v3.32 on",
        version("v3.32.1"),
        kernel=HOLES | via(STOCK4, FROM_STOCK, UNLIKE) | via(STOCK6, {SIX_STOCK}, UNLIKE),
        more=[at_stock("192.168.221.64/26", "BGP.local_pref: 2147482623")],
    ),
    scenario("neither in v3.31", version("v3.31.4"), more=[at_stock("192.168.221.64/26", "BGP.local_pref: 100")]),
    scenario("nor where it is not said", {}, more=[at_stock("192.168.221.64/26", "BGP.local_pref: 100")]),
]


@parametrized(SPELLINGS, MEMBERS, CHANGES, READY, VERSIONS)
def test_nodes(stage: Stage, one: Scenario) -> None:
    play(stage, one)
