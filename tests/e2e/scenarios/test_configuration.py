"""BGPConfiguration: every field of `default`, those of `node.<name>`, and what comes back when it is deleted."""

from __future__ import annotations

import pytest

from tests.e2e.scenarios.objects import (
    BORROWED,
    EXCLUDED,
    MESH_OFF,
    OWN_BLOCK,
    SIX_BLOCK,
    bgp_configuration,
    node,
    pool,
    secret,
    version,
)
from tests.e2e.scenarios.scenario import (
    ALONE,
    AS_BASE,
    BOTH_DOWN,
    HOLES,
    KERNEL,
    LONELY,
    OWN,
    OWN4,
    POOLED,
    UNLIKE,
    Scenario,
    at_stock,
    listens,
    parametrized,
    peer,
    play,
    router,
    scenario,
    session,
    via,
)
from tests.e2e.scenarios.stage import Stage
from tests.e2e.scenarios.stock import FROM_STOCK, FROM_TOR, SIX_STOCK, STOCK4, STOCK6, TOR, Ours

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

PASSWORD = bgp_configuration(nodeMeshPassword=secret("bgp", "mesh"))

MESH = [
    scenario("no mesh", MESH_OFF, **ALONE),
    scenario("`default` is deleted: all is as it was", {}, more=[listens("0.0.0.0:179", "[::]:179")]),
    scenario(
        "a node's own word on the mesh does not count", bgp_configuration("node.host1", nodeToNodeMeshEnabled=False)
    ),
    scenario("a configuration of nobody", bgp_configuration("other", nodeToNodeMeshEnabled=False)),
    scenario("that of another node", bgp_configuration("node.host9", listenPort=1179)),
    scenario(
        "a password that the other does not have",
        PASSWORD,
        BOTH_DOWN,
        stock=(),
        said="has no password",
        kernel=HOLES,
        before=MESH_OFF,
        first=LONELY,
    ),
    scenario("a password that both have", PASSWORD, ours=Ours(options='password "swordfish";')),
    scenario(
        "a password that is not there: none, and it is said",
        bgp_configuration(nodeMeshPassword=secret("bgp", "lost")),
        said="bgp/lost",
    ),
    scenario(
        "restart time",
        bgp_configuration(nodeMeshMaxRestartTime="1m5s"),
        more=[session("Restart time: 65", at=STOCK4), session("Restart time: 65", at=STOCK6)],
        before=MESH_OFF,
        first=LONELY,
    ),
    scenario(
        "another AS for all",
        bgp_configuration(asNumber="0.64600"),
        BOTH_DOWN,
        stock=(),
        said="AS 64512",
        kernel=HOLES,
        before=MESH_OFF,
        first=LONELY,
    ),
    scenario(
        "which the other has too",
        {**bgp_configuration(asNumber=64600), **node("host2", asNumber=64512)},
        ours=Ours(asn=64600),
        more=[at_stock(OWN_BLOCK, "BGP.as_path: 64600")],
    ),
    scenario(
        "fields of later versions",
        bgp_configuration(
            fieldOfTomorrow={"a": [1]}, logSeverityScreen="Debug", localWorkloadPeeringIPV4="169.254.1.9"
        ),
    ),
    scenario("interfaces that BIRD would leave out", bgp_configuration(ignoredInterfaces=["eth9", "docker*"])),
]

BAD = {
    "nodeToNodeMeshEnabled": "no",
    "listenPort": 70000,
    "bindMode": "Odd",
    "nodeMeshMaxRestartTime": "soon",
    "programClusterRoutes": "Sometimes",
    "ipv4NormalRoutePriority": -1,
    "serviceClusterIPs": [{"cidr": "10.96.0.0/40"}],
    "serviceLoadBalancerAggregation": "Perhaps",
    "nodeMeshPassword": "swordfish",
    "ignoredInterfaces": "eth9",
}
BAD_VALUES = [
    scenario(
        "each value that cannot be is named",
        bgp_configuration(**BAD),
        said=[f"BGPConfiguration(default): spec.{name}" for name in BAD],
    ),
    scenario("none of them is any more", {}),
]

LISTENING = [
    # The stock node goes on with the old port: it keeps what it was told as after a crash, and the kernel does so too.
    scenario(
        "another port for all",
        bgp_configuration(listenPort=1179),
        BOTH_DOWN,
        said="connection refused",
        more=[listens("0.0.0.0:1179", "[::]:1179")],
        before={},
        first=AS_BASE,
    ),
    scenario("and back", {}, more=[listens("0.0.0.0:179", "[::]:179")]),
    scenario(
        "another port for this node, of which the other knows",
        bgp_configuration("node.host1", listenPort=1180),
        ours=Ours(options="neighbor port 1180;"),
        more=[listens("0.0.0.0:1180", "[::]:1180")],
    ),
    scenario(
        "the node's wins",
        {**bgp_configuration(listenPort=1179), **bgp_configuration("node.host1", listenPort=1181)}
        | bgp_configuration("node.host2", listenPort=179),
        ours=Ours(options="neighbor port 1181;"),
        more=[listens("0.0.0.0:1181", "[::]:1181")],
    ),
    scenario(
        "only the node's addresses",
        bgp_configuration(bindMode="NodeIP"),
        more=[listens("192.168.78.21:179", "[2001:db8:78::21]:179")],
    ),
    scenario("all addresses", bgp_configuration(bindMode="None"), more=[listens("0.0.0.0:179", "[::]:179")]),
    scenario(
        "only those of this node, as up to v3.31",
        {**version("v3.31.0"), **bgp_configuration("node.host1", bindMode="NodeIP")},
        more=[listens("192.168.78.21:179", "[2001:db8:78::21]:179")],
    ),
    scenario(
        "which from v3.32 on does not count",
        {**version("v3.32.0"), **bgp_configuration("node.host1", bindMode="NodeIP")},
        more=[listens("0.0.0.0:179", "[::]:179")],
        kernel=HOLES | via(STOCK4, FROM_STOCK, UNLIKE) | via(STOCK6, {SIX_STOCK}, UNLIKE),
    ),
]

WIDE = [{"cidr": "192.168.0.0/16", "communities": ["64512:1"]}]
COMMUNITIES = [
    scenario(
        "by name and number",
        bgp_configuration(
            communities=[{"name": "inner", "value": "64512:300"}, {"name": "big", "value": "64512:300:100"}],
            prefixAdvertisements=[
                {"cidr": "192.168.0.0/16", "communities": ["inner", "big"]},
                {"cidr": "192.168.99.0/24", "communities": ["64512:99"]},
                {"cidr": "fd80::/16", "communities": ["64512:6"]},
            ],
        ),
        more=[
            at_stock(BORROWED, "(64512,300)", "(64512,99)", "(64512, 300, 100)"),
            at_stock(OWN_BLOCK, "(64512,300)", absent=["(64512,99)"]),
            at_stock(SIX_BLOCK, "(64512,6)", absent=["(64512,300)"]),
        ],
    ),
    scenario(
        "a value that cannot be is named, and the last good ones are kept",
        bgp_configuration(asNumber="many", prefixAdvertisements=WIDE),
        said='BGPConfiguration(default): spec.asNumber "many"',
        more=[at_stock(BORROWED, "(64512,300)", "(64512,99)", absent=["(64512,1)"])],
    ),
    scenario(
        "a name that nobody has given",
        bgp_configuration(prefixAdvertisements=[{"cidr": "192.168.0.0/16", "communities": ["lost", "64512:1"]}]),
        said="lost",
        more=[at_stock(OWN_BLOCK, "(64512,1)", absent=["(64512,300)"])],
    ),
    scenario(
        "a node's own replace the others",
        {
            **bgp_configuration(prefixAdvertisements=WIDE),
            **bgp_configuration(
                "node.host1", prefixAdvertisements=[{"cidr": "192.168.0.0/16", "communities": ["64512:2"]}]
            ),
        },
        more=[at_stock(OWN_BLOCK, "(64512,2)", absent=["(64512,1)"])],
    ),
    scenario("none", {}, more=[at_stock(OWN_BLOCK, "BGP.local_pref", absent=["(64512,"])]),
]

NETWORKS = {
    "serviceClusterIPs": [{"cidr": "10.96.0.0/12"}, {"cidr": "fd96::/112"}],
    "serviceExternalIPs": [{"cidr": "198.51.100.0/28"}, {"cidr": "198.51.100.77/32"}],
}
BALANCED = [{"cidr": "203.0.113.0/28"}]
SERVICES = [
    scenario(
        "networks of services",
        bgp_configuration(**NETWORKS, serviceLoadBalancerIPs=BALANCED, serviceLoadBalancerAggregation="Enabled"),
        stock=OWN | {"10.96.0.0/12", "fd96::/112", "198.51.100.0/28", "203.0.113.0/28"},
    ),
    scenario(
        "those of load balancers not as a whole",
        bgp_configuration(**NETWORKS, serviceLoadBalancerIPs=BALANCED, serviceLoadBalancerAggregation="Disabled"),
        stock=OWN | {"10.96.0.0/12", "fd96::/112", "198.51.100.0/28"},
    ),
    router(
        "what is learned of them is not installed",
        {**bgp_configuration(serviceClusterIPs=[{"cidr": "172.0.0.0/8"}]), **peer()},
        told={*OWN4, *FROM_STOCK, "172.0.0.0/8"},
        onward={POOLED, "172.0.0.0/8", "172.16.0.0/12"},
        kernel=KERNEL | via(TOR, FROM_TOR - {"172.16.0.0/12"}),
    ),
    router(
        "nor on a node that has none",
        {
            **bgp_configuration(serviceClusterIPs=[{"cidr": "172.0.0.0/8"}]),
            **node("host1", {EXCLUDED: "true"}),
            **peer(),
        },
        kernel=KERNEL | via(TOR, FROM_TOR - {"172.16.0.0/12"}),
    ),
]

ENCAPSULATED = pool("four", "192.168.0.0/16", ipipMode="Always")
BLACK4, BLACK6 = {f"blackhole {OWN_BLOCK}"}, {f"blackhole {SIX_BLOCK}"}
TUNNELED = BLACK4 | via(STOCK4, FROM_STOCK, f"{UNLIKE} dev tunl0 onlink")
PLAIN6 = BLACK6 | via(STOCK6, {SIX_STOCK}, UNLIKE)


def programs(value: str | None, calico: str) -> dict[str, str]:
    some = {} if value is None else bgp_configuration(programClusterRoutes=value)
    return {**version(calico), **ENCAPSULATED, **some}


KERNEL_RULES = [
    scenario("v3.32 installs all", programs(None, "v3.32.0"), kernel=TUNNELED | PLAIN6),
    scenario("v3.32, Disabled", programs("Disabled", "v3.32.0"), kernel=()),
    scenario("v3.33 leaves IPIP to Felix", programs(None, "v3.33.0"), kernel=PLAIN6),
    scenario("v3.33, Enabled", programs("Enabled", "v3.33.0"), kernel=TUNNELED | PLAIN6),
    scenario("v3.33, Disabled", programs("Disabled", "v3.33.0"), kernel=()),
    scenario("v3.33, EnabledIPIPOnly", programs("EnabledIPIPOnly", "v3.33.0"), kernel=TUNNELED),
    scenario("v3.33, EnabledNoEncapOnly", programs("EnabledNoEncapOnly", "v3.33.0"), kernel=PLAIN6),
    scenario(
        "priorities",
        {**version("v3.32.0"), **bgp_configuration(ipv4NormalRoutePriority=512, ipv6NormalRoutePriority=2048)},
        kernel=HOLES | via(STOCK4, FROM_STOCK, UNLIKE) | via(STOCK6, {SIX_STOCK}, UNLIKE),
        more=[
            at_stock(OWN_BLOCK, f"BGP.local_pref: {2147483647 - 512}"),
            at_stock(SIX_BLOCK, f"BGP.local_pref: {2147483647 - 2048}"),
        ],
    ),
    scenario(
        "priorities mean nothing up to v3.31",
        {**version("v3.31.0"), **bgp_configuration(ipv4NormalRoutePriority=512)},
        more=[at_stock(OWN_BLOCK, "BGP.local_pref: 100")],
    ),
]


@parametrized(MESH, BAD_VALUES, LISTENING, COMMUNITIES, SERVICES, KERNEL_RULES)
def test_bgp_configuration(stage: Stage, one: Scenario) -> None:
    play(stage, one)
