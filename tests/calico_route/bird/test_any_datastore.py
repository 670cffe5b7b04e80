"""Whatever the datastore says, BIRD 1.6 takes the configuration that is printed from it: for IPv4 and for IPv6, on an
ordinary node and on a reflector."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.bird.configuration import bird_configuration
from calico_route.datastore import Snapshot
from calico_route.documents import read_document
from calico_route.identity import Identity
from calico_route.model import Kind, Resource, ResourceKey, SecretReference
from calico_route.sessions import Options
from calico_route.view import View, fold
from tests.calico_route.bird.test_configuration import accepted

# Names as Kubernetes allows them, and what somebody else may have written into etcd.
NAMES = st.sampled_from(
    ["a", "b", "my-filter.1", "0", "print", "filter", "UPPER", "x" * 70, "it's", 'q"', "ümlaut", "a\nb; }"]
)
PATTERNS = st.sampled_from(["eth0", "eth*", "*.cali", "docker+", 'a"b', "new\nline", "back\\slash", "", "]", "é"])
V4 = st.sampled_from(["10.0.0.0/8", "10.65.0.0/16", "192.168.0.0/16", "192.168.1.64/26", "10.0.0.7/32", "0.0.0.0/0"])
V6 = st.sampled_from(["fd00::/8", "fd80::/48", "fd80::1/128", "::/0", "2001:db8::/32"])
ANY_NETWORK = st.one_of(V4, V6)
AS_NUMBERS = st.sampled_from([64512, 64513, 65001, 4200000000, "65010", "64512.7", 1, 4294967295])
COMMUNITIES = st.sampled_from(["64512:1", "0:0", "65535:65535", "64512:1:2", "4294967295:1:2", "1:2:3:4", "x"])
PRIORITIES = st.sampled_from([0, 1, 512, 1024, 2147483647, -1])
YES_NO = st.booleans()
ADDRESSES = st.sampled_from(
    ["10.0.0.2", "10.0.0.11:1790", "fd00::2", "[fd00::3]:179", "172.16.0.1", "fe80::1%eth0", "fe80::1", "not one"]
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any of the fields, and any not."""
    return st.fixed_dictionaries({}, optional=fields)


def rules(networks: st.SearchStrategy[str], bits: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    lengths = some(min=st.integers(0, bits + 1), max=st.integers(0, bits + 1))
    operations = st.one_of(
        st.builds(lambda value: {"addCommunity": {"value": value}}, COMMUNITIES),
        st.builds(lambda value: {"prependASPath": {"prefix": value}}, st.lists(AS_NUMBERS, max_size=3)),
        st.builds(lambda value: {"setPriority": {"value": value}}, PRIORITIES),
    )
    network = some(
        cidr=networks, matchOperator=st.sampled_from(["In", "NotIn", "Equal", "NotEqual"]), prefixLength=lengths
    )
    criteria = some(
        source=st.just("RemotePeers"),
        interface=PATTERNS,
        peerType=st.sampled_from(["eBGP", "iBGP"]),
        communities=st.builds(lambda values: {"values": values}, st.lists(COMMUNITIES, max_size=2)),
        asPathPrefix=st.lists(AS_NUMBERS, max_size=3),
        priority=PRIORITIES,
        operations=st.lists(operations, max_size=3),
    )
    action = st.sampled_from(["Accept", "Reject"])
    return st.lists(
        st.builds(lambda one, two, act: {**one, **two, "action": act}, network, criteria, action), max_size=4
    )


FILTERS = some(exportV4=rules(V4, 32), importV4=rules(V4, 32), exportV6=rules(V6, 128), importV6=rules(V6, 128))
POOLS = st.builds(
    lambda cidr, rest: {"cidr": cidr, **rest},
    ANY_NETWORK,
    some(
        disableBGPExport=YES_NO,
        ipipMode=st.sampled_from(["Always", "CrossSubnet", "Never"]),
        vxlanMode=st.sampled_from(["Always", "CrossSubnet", "Never"]),
        nodeSelector=st.sampled_from(["all()", "has(rr)", "!all("]),
        disabled=YES_NO,
    ),
)
SECRET = st.builds(lambda key: {"secretKeyRef": {"name": "bgp", "key": key}}, st.sampled_from(["there", "missing"]))
DURATIONS = st.sampled_from(["90s", "2m", "1h", "0s", "0.5s", "bad"])
PEERS = some(
    peerIP=ADDRESSES,
    asNumber=AS_NUMBERS,
    node=st.sampled_from(["a", "rr"]),
    nodeSelector=st.sampled_from(["all()", "has(rr)", "a b c"]),
    peerSelector=st.sampled_from(["all()", "has(rr)"]),
    keepOriginalNextHop=YES_NO,
    nextHopMode=st.sampled_from(["Auto", "Self", "Keep"]),
    sourceAddress=st.sampled_from(["UseNodeIP", "None"]),
    localASNumber=AS_NUMBERS,
    maxRestartTime=DURATIONS,
    keepaliveTime=DURATIONS,
    ttlSecurity=st.integers(0, 256),
    numAllowedLocalASNumbers=st.integers(0, 12),
    reachableBy=st.sampled_from(["10.0.0.1", "fd00::1", "10.9.9.9"]),
    reversePeering=st.sampled_from(["Auto", "Manual"]),
    filters=st.lists(NAMES, max_size=3, unique=True),
    password=SECRET,
)
NETWORKS = st.lists(st.builds(lambda cidr: {"cidr": cidr}, ANY_NETWORK), max_size=2)
SETTINGS = some(
    asNumber=AS_NUMBERS,
    nodeToNodeMeshEnabled=YES_NO,
    listenPort=st.sampled_from([179, 1179, 65535]),
    bindMode=st.sampled_from(["None", "NodeIP"]),
    nodeMeshMaxRestartTime=DURATIONS,
    nodeMeshPassword=SECRET,
    communities=st.just([{"name": "named", "value": "64512:77"}]),
    prefixAdvertisements=st.lists(
        st.builds(
            lambda cidr, values: {"cidr": cidr, "communities": values},
            ANY_NETWORK,
            st.lists(st.one_of(COMMUNITIES, st.just("named")), max_size=3),
        ),
        max_size=3,
    ),
    serviceClusterIPs=NETWORKS,
    serviceExternalIPs=NETWORKS,
    serviceLoadBalancerIPs=NETWORKS,
    serviceLoadBalancerAggregation=st.sampled_from(["Enabled", "Disabled"]),
    programClusterRoutes=st.sampled_from(["Enabled", "Disabled"]),
    ipv4NormalRoutePriority=PRIORITIES,
    ipv6NormalRoutePriority=PRIORITIES,
    ignoredInterfaces=st.lists(PATTERNS, max_size=3),
)
BLOCKS = st.tuples(
    st.one_of(V4, V6), st.sampled_from([{}, {"state": "confirmed"}, {"state": "pending"}, {"state": "pendingDeletion"}])
)


def read(kind: Kind, name: str, spec: dict[str, Any], **metadata: Any) -> Resource | None:
    document = {"kind": str(kind), "apiVersion": "projectcalico.org/v3", "metadata": {"name": name, **metadata}}
    return read_document(ResourceKey(kind, "", name), {**document, "spec": spec})[0]


@settings(max_examples=150, deadline=None)
@given(
    pools=st.dictionaries(NAMES, POOLS, max_size=4),
    peers=st.dictionaries(NAMES, PEERS, max_size=4),
    filters=st.dictionaries(NAMES, FILTERS, max_size=4),
    own=SETTINGS,
    of_node=SETTINGS,
    blocks=st.lists(BLOCKS, max_size=4),
    others=st.lists(some(asNumber=AS_NUMBERS, routeReflectorClusterID=st.just("244.0.0.2")), max_size=3),
    reflects=YES_NO,
    compat=st.sampled_from(["auto", "v3.31", "v3.32", "v3.33"]),
    v6=YES_NO,
)
def test_bird_takes_it(
    pools: dict[str, dict[str, Any]],
    peers: dict[str, dict[str, Any]],
    filters: dict[str, dict[str, Any]],
    own: dict[str, Any],
    of_node: dict[str, Any],
    blocks: list[tuple[str, dict[str, Any]]],
    others: list[dict[str, Any]],
    reflects: bool,
    compat: str,
    v6: bool,
) -> None:
    six = {"ipv6Address": "fd00::9/64"} if v6 else {}
    cluster_id = {"routeReflectorClusterID": "244.0.0.1"} if reflects else {}
    found = [
        read(Kind.NODE, "a", {"bgp": {"ipv4Address": "10.0.0.9/24", **six, **cluster_id}}),
        read(Kind.BGP_CONFIGURATION, "default", own),
        read(Kind.BGP_CONFIGURATION, "node.a", of_node),
        *[read(Kind.IP_POOL, name, spec) for name, spec in pools.items()],
        *[read(Kind.BGP_PEER, name, spec) for name, spec in peers.items()],
        *[read(Kind.BGP_FILTER, name, spec) for name, spec in filters.items()],
        *[read_document(ResourceKey(Kind.BLOCK_AFFINITY, "a", cidr), spec)[0] for cidr, spec in blocks],
    ]
    for number, bgp in enumerate(others, 10):
        addresses = {"ipv4Address": f"10.0.0.{number}/24", "ipv6Address": f"fd00::{number}/64"}
        found.append(read(Kind.NODE, f"n{number}", {"bgp": {**addresses, **bgp}}, labels={"rr": "1"}))
    view = fold(View(), Snapshot(1, {one.key: one for one in found if one is not None}))
    options = Options(compat=compat, secrets={SecretReference("bgp", "there"): "hunter2"})
    for version in (4, 6):
        text = bird_configuration(view, Identity(name="a"), options, version=version)
        assert "hunter2" not in text
        accepted(text, version)
