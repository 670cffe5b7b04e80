"""Documents to resources and back: every field that routing needs, and every way to spoil one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route import fields
from calico_route.datastore import Batch, Event, Interpreter
from calico_route.documents import Reading, new_ip_pool, new_node, read_document, read_value, write_value
from calico_route.model import (
    AffinityState,
    BgpConfiguration,
    BgpFilter,
    BgpPeer,
    BlockAffinity,
    ClusterInformation,
    HostAddress,
    Invalid,
    IpPool,
    Kind,
    Node,
    PeerAddress,
    PrefixAdvertisement,
    Problem,
    ReadyFlag,
    ResourceKey,
    SecretReference,
    WorkloadEndpoint,
)
from pybgp import Prefix

UID = UUID("5f0c2f3e-8a3e-4f57-9c11-0d2a1b7c9e01")
NODE = ResourceKey(Kind.NODE, "", "n1")
WORKLOAD = ResourceKey(Kind.WORKLOAD_ENDPOINT, "default", "n1-k8s-web--0-eth0")


def document(kind: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"kind": kind, "apiVersion": "projectcalico.org/v3", "metadata": metadata, "spec": spec}


def good(key: ResourceKey, value: object) -> Any:
    reading = read_document(key, value)
    assert reading.problems == ()
    assert reading.resource is not None
    assert reading.resource.key == key
    return reading.resource


def problems(key: ResourceKey, value: object) -> dict[str, Problem]:
    reading = read_document(key, value)
    assert (reading.resource is None) == any(problem.fatal for problem in reading.problems)
    return {problem.field: problem for problem in reading.problems}


def test_a_node_with_everything() -> None:
    node = good(
        NODE,
        {
            **document(
                "Node",
                {
                    "bgp": {
                        "asNumber": 64600,
                        "ipv4Address": "10.192.0.2/16",
                        "ipv6Address": "2001:DB8:0::2/64",
                        "ipv4IPIPTunnelAddr": "192.168.221.64",
                        "routeReflectorClusterID": "244.0.0.1",
                    },
                    "ipv4VXLANTunnelAddr": "192.168.221.65",
                    "orchRefs": [{"nodeName": "n1", "orchestrator": "k8s"}],
                },
                name="n1",
                labels={"rack": "r1"},
                creationTimestamp=None,
            ),
            "status": {"podCIDRs": ["10.244.3.0/24"], "something": "new"},
        },
    )
    assert node == Node(
        name="n1",
        asn=64600,
        ipv4=HostAddress("10.192.0.2", 16),
        ipv6=HostAddress("2001:db8::2", 64),
        cluster_id="244.0.0.1",
        ipv4_ipip_tunnel="192.168.221.64",
        ipv4_vxlan_tunnel="192.168.221.65",
        labels={"rack": "r1"},
        pod_cidrs=(Prefix("10.244.3.0/24"),),
    )
    assert node.raw["spec"]["orchRefs"] == [{"nodeName": "n1", "orchestrator": "k8s"}]


def test_a_bare_address_is_a_host_and_a_node_without_bgp_takes_no_part() -> None:
    assert good(NODE, document("Node", {"bgp": {"ipv4Address": "10.0.0.1"}})).ipv4 == ("10.0.0.1", 32)
    assert good(NODE, document("Node", {})).bgp is False
    assert good(NODE, document("Node", {"bgp": {}})).bgp is True
    assert good(NODE, document("Node", {"bgp": {"ipv4Address": "", "asNumber": 0}})).ipv4 is None


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("asNumber", "1.65536", "below 65536"),
        ("asNumber", 4294967296, "from 1 to 4294967295"),
        ("asNumber", -1, "from 1 to"),
        ("asNumber", True, "not an AS number"),
        ("asNumber", 1.1, "in quotes"),
        ("asNumber", "64512x", "not an AS number"),
        ("asNumber", "1.2.3", "not an AS number"),
        ("asNumber", "٣", "not an AS number"),
        ("ipv4Address", "10.0.0.1/33", "0 to 32"),
        ("ipv4Address", "10.0.0.1/255.255.0.0", "0 to 32"),
        ("ipv4Address", "2001:db8::1", "IPv4"),
        ("ipv4Address", "10.0.0", "not an IP address"),
        ("ipv4Address", 7, "not an IP address"),
        ("ipv6Address", "10.0.0.1/24", "IPv6"),
        ("ipv6Address", "fe80::1%eth0/64", "zone"),
        ("routeReflectorClusterID", 4, "must be a text"),
    ],
)
def test_a_bad_field_of_a_node_is_named_with_its_value(field: str, value: object, why: str) -> None:
    found = problems(NODE, document("Node", {"bgp": {field: value}}))
    problem = found[f"spec.bgp.{field}"]
    assert problem.fatal
    assert why in problem.why
    assert problem.value == json.dumps(value)
    assert str(problem).startswith(f"Node(n1): spec.bgp.{field} ")


@pytest.mark.parametrize(
    ("value", "number"),
    [(64512, 64512), (64512.0, 64512), ("64512", 64512), ("1.10", 65546), ("0.1", 1), ("65535.65535", 0xFFFFFFFF)],
)
def test_as_numbers_in_all_their_spellings(value: object, number: int) -> None:
    assert fields.as_number(value) == number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2m0s", 120),
        ("1h5m", 3900),
        ("90s", 90),
        ("1.5s", 1.5),
        ("300ms", 0.3),
        ("0", 0),
        ("7us", 7e-6),
        ("7µs", 7e-6),
        ("+1m", 60),
    ],
)
def test_durations_as_go_writes_them(text: str, seconds: float) -> None:
    assert fields.duration(text) == pytest.approx(seconds)


def test_a_bad_address_that_no_route_depends_on_costs_the_node_nothing() -> None:
    for spec, field in (
        ({"bgp": {"ipv4IPIPTunnelAddr": "10.0.0.0/24"}}, "spec.bgp.ipv4IPIPTunnelAddr"),
        ({"ipv4VXLANTunnelAddr": "?"}, "spec.ipv4VXLANTunnelAddr"),
        ({"wireguard": {"interfaceIPv4Address": 7}}, "spec.wireguard.interfaceIPv4Address"),
    ):
        assert not problems(NODE, document("Node", spec))[field].fatal


@pytest.mark.parametrize(
    ("text", "why"), [("-1s", "negative"), ("9" * 400 + "h", "292 years"), ("²s", "not a duration")]
)
def test_durations_that_are_out_of_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        fields.duration(text)


@pytest.mark.parametrize("text", ["", "s", "90", "1s ", "1d", "1.2.3s", "++1s", "1s+1s", 90, None])
def test_other_durations_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        fields.duration(text)


def test_the_kind_must_fit_the_key_and_the_key_wins_over_the_name() -> None:
    assert problems(NODE, document("IPPool", {}))["kind"].fatal
    reading = read_document(NODE, document("Node", {}, name="other"))
    assert isinstance(reading.resource, Node)
    assert reading.resource.name == "n1"
    assert not reading.problems[0].fatal


def test_bgp_configuration_of_the_cluster_and_of_a_node() -> None:
    spec = {
        "logSeverityScreen": "Info",
        "nodeToNodeMeshEnabled": False,
        "asNumber": "64513",
        "listenPort": 178,
        "bindMode": "NodeIP",
        "communities": [{"name": "internal", "value": "64512:300"}],
        "prefixAdvertisements": [{"cidr": "192.168.0.0/16", "communities": ["internal", "64512:55"]}],
        "nodeMeshPassword": {"secretKeyRef": {"name": "bgp-secrets", "key": "mesh"}},
        "nodeMeshMaxRestartTime": "2m0s",
        "ignoredInterfaces": ["eth9", "docker*"],
        "serviceClusterIPs": [{"cidr": "10.96.0.0/12"}],
        "programClusterRoutes": "EnabledNoEncapOnly",
        "somethingNew": {"deep": [1, 2]},
    }
    configuration = good(ResourceKey(Kind.BGP_CONFIGURATION, "", "default"), document("BGPConfiguration", spec))
    assert configuration == BgpConfiguration(
        name="default",
        log_severity="Info",
        mesh_enabled=False,
        asn=64513,
        listen_port=178,
        bind_mode="NodeIP",
        communities={"internal": "64512:300"},
        prefix_advertisements=(PrefixAdvertisement(Prefix("192.168.0.0/16"), ("internal", "64512:55")),),
        node_mesh_password=SecretReference("bgp-secrets", "mesh"),
        node_mesh_max_restart_time=120.0,
        ignored_interfaces=("eth9", "docker*"),
        service_cluster_ips=(Prefix("10.96.0.0/12"),),
        program_cluster_routes="EnabledNoEncapOnly",
    )
    assert configuration.node is None
    of_node = good(ResourceKey(Kind.BGP_CONFIGURATION, "", "node.n1"), document("BGPConfiguration", {}))
    assert of_node.node == "n1"
    assert of_node.mesh_enabled is None


def test_problems_inside_lists_are_named_with_their_index() -> None:
    key = ResourceKey(Kind.BGP_CONFIGURATION, "", "default")
    spec = {
        "prefixAdvertisements": [{"cidr": "192.168.0.0/16"}, {"cidr": "nonsense"}, 3],
        "communities": [{"name": "a"}],
        "ignoredInterfaces": ["eth9", 9],
        "nodeMeshPassword": {},
        "listenPort": 0,
        "nodeToNodeMeshEnabled": "yes",
        "bindMode": "Sideways",
    }
    found = problems(key, document("BGPConfiguration", spec))
    assert set(found) == {
        "spec.prefixAdvertisements[1].cidr",
        "spec.prefixAdvertisements[2]",
        "spec.communities[0].",
        "spec.ignoredInterfaces[1]",
        "spec.nodeMeshPassword",
        "spec.listenPort",
        "spec.nodeToNodeMeshEnabled",
        "spec.bindMode",
    }
    assert not found["spec.bindMode"].fatal


def test_a_pool_and_its_defaults() -> None:
    key = ResourceKey(Kind.IP_POOL, "", "p")
    spec = {"cidr": "192.168.3.4/16", "ipipMode": "CrossSubnet", "natOutgoing": True, "blockSize": 26}
    pool = good(key, document("IPPool", spec))
    assert pool == IpPool(
        name="p", cidr=Prefix("192.168.0.0/16"), ipip_mode="CrossSubnet", nat_outgoing=True, block_size=26
    )
    assert good(key, document("IPPool", {"cidr": "fd80::/64", "disableBGPExport": True})).disable_bgp_export
    assert problems(key, document("IPPool", {}))["spec.cidr"].fatal
    unknown = read_document(key, document("IPPool", {"cidr": "10.0.0.0/8", "vxlanMode": "Perhaps"}))
    assert isinstance(unknown.resource, IpPool)
    assert unknown.resource.vxlan_mode == "Never"
    assert [problem.field for problem in unknown.problems] == ["spec.vxlanMode"]


def test_a_workload_announces_its_hosts_and_external_addresses() -> None:
    spec = {
        "node": "n1",
        "orchestrator": "k8s",
        "endpoint": "eth0",
        "ipNetworks": ["192.168.221.70/32", "192.168.221.71", "fd80::46/128"],
        "ipNATs": [{"internalIP": "192.168.221.70", "externalIP": "203.0.113.9"}, {"internalIP": "10.0.0.1"}],
        "interfaceName": "cali2f3a9d1b7c4",
    }
    workload = good(WORKLOAD, document("WorkloadEndpoint", spec, labels={"app": "web"}))
    assert workload == WorkloadEndpoint(
        namespace="default",
        name=WORKLOAD.name,
        node="n1",
        networks=(
            Prefix("192.168.221.70/32"),
            Prefix("192.168.221.71/32"),
            Prefix("fd80::46/128"),
            Prefix("203.0.113.9/32"),
        ),
        nat_networks=(Prefix("203.0.113.9/32"),),
        interface="cali2f3a9d1b7c4",
        orchestrator="k8s",
        endpoint="eth0",
        labels={"app": "web"},
    )


def test_a_wider_network_of_a_workload_is_left_out_and_said() -> None:
    spec = {"node": "n1", "ipNetworks": ["192.168.1.0/24", "192.168.2.1/32"]}
    reading = read_document(WORKLOAD, document("WorkloadEndpoint", spec))
    assert isinstance(reading.resource, WorkloadEndpoint)
    assert reading.resource.networks == (Prefix("192.168.2.1/32"),)
    assert [(problem.field, problem.fatal) for problem in reading.problems] == [("spec.ipNetworks[0]", False)]
    assert problems(WORKLOAD, document("WorkloadEndpoint", {"ipNetworks": []}))["spec.node"].fatal


def test_a_peer_with_everything() -> None:
    key = ResourceKey(Kind.BGP_PEER, "", "tor")
    spec = {
        "nodeSelector": "rack == 'r1'",
        "peerIP": "10.192.255.1:1790",
        "asNumber": 65001,
        "localASNumber": "0.64999",
        "nextHopMode": "Self",
        "password": {"secretKeyRef": {"name": "bgp-secrets", "key": "tor"}},
        "sourceAddress": "UseNodeIP",
        "maxRestartTime": "1m30s",
        "keepaliveTime": "20s",
        "numAllowedLocalASNumbers": 1,
        "ttlSecurity": 1,
        "reachableBy": "10.192.0.1",
        "filters": ["only-agg", "tag"],
        "reversePeering": "Auto",
    }
    assert good(key, document("BGPPeer", spec)) == BgpPeer(
        name="tor",
        node_selector="rack == 'r1'",
        peer_ip=PeerAddress("10.192.255.1", 1790),
        asn=65001,
        local_asn=64999,
        next_hop_mode="Self",
        password=SecretReference("bgp-secrets", "tor"),
        source_address="UseNodeIP",
        max_restart_time=90.0,
        keepalive_time=20.0,
        allowed_local_as=1,
        ttl_security=1,
        reachable_by="10.192.0.1",
        filters=("only-agg", "tag"),
        reverse_peering="Auto",
    )
    assert problems(key, document("BGPPeer", {"peerIP": "10.0.0.1:99999"}))["spec.peerIP"].fatal


@pytest.mark.parametrize(
    ("text", "address", "port"),
    [
        ("1.2.3.4", "1.2.3.4", None),
        ("1.2.3.4:179", "1.2.3.4", 179),
        ("2001:DB8::1", "2001:db8::1", None),
        ("[2001:db8::1]", "2001:db8::1", None),
        ("[2001:db8::1]:1790", "2001:db8::1", 1790),
    ],
)
def test_peer_addresses(text: str, address: str, port: int | None) -> None:
    assert fields.peer_address(text) == PeerAddress(address, port)


@pytest.mark.parametrize("text", ["", "host", "1.2.3.4:", "1.2.3.4:0", "[::1]x", "[::1", "1.2.3.4:70000", 5])
def test_other_peer_addresses_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"address|port|brackets"):
        fields.peer_address(text)


def test_filter_cluster_and_flags() -> None:
    filter_ = good(
        ResourceKey(Kind.BGP_FILTER, "", "f"),
        document("BGPFilter", {"exportV4": [{"action": "Accept"}, {"action": "Reject"}], "importV6": []}),
    )
    assert isinstance(filter_, BgpFilter)
    assert [rule.accept for rule in filter_.export_v4] == [True, False]
    cluster = good(
        ResourceKey(Kind.CLUSTER_INFORMATION, "", "default"),
        document("ClusterInformation", {"datastoreReady": False, "calicoVersion": "v3.31.0"}),
    )
    assert cluster == ClusterInformation(ready=False, version="v3.31.0")
    ready = ResourceKey(Kind.READY_FLAG, "", "Ready")
    assert read_value(ready, b"true\n").resource == ReadyFlag(ready=True)
    assert read_value(ready, b'"false"').resource == ReadyFlag(ready=False)
    assert read_value(ready, b"perhaps").resource is None


def test_block_affinities_old_and_new() -> None:
    key = ResourceKey(Kind.BLOCK_AFFINITY, "n1", "192.168.221.64/26")
    block = Prefix("192.168.221.64/26")
    for value in (b"", b"{}", b'{"state":""}', b'{"state":"confirmed","deleted":false}'):
        assert read_value(key, value).resource == BlockAffinity(node="n1", cidr=block)
    pending = read_value(key, b'{"state":"pendingDeletion","deleted":true}').resource
    assert pending == BlockAffinity(node="n1", cidr=block, state=AffinityState.PENDING_DELETION, deleted=True)
    assert read_value(key, b'{"state":"odd"}').resource is None


def test_a_registered_node_has_calicos_shape() -> None:
    created = datetime(2026, 11, 23, 2, 0, tzinfo=timezone(timedelta(hours=2)))
    node = new_node("n1", ipv4="192.168.78.21/24", uid=UID, created=created)
    assert json.loads(write_value(node)) == {
        "kind": "Node",
        "apiVersion": "projectcalico.org/v3",
        "metadata": {"name": "n1", "uid": str(UID), "creationTimestamp": "2026-11-23T00:00:00Z"},
        "spec": {
            "bgp": {"ipv4Address": "192.168.78.21/24"},
            "addresses": [{"address": "192.168.78.21/24", "type": "CalicoNodeIP"}],
        },
    }
    both = new_node("n1", ipv4="10.0.0.1/8", ipv6="fd00::1/64", asn=64600, uid=UID, created=created)
    assert both.raw["spec"]["bgp"] == {
        "asNumber": 64600,
        "ipv4Address": "10.0.0.1/8",
        "ipv6Address": "fd00::1/64",
    }
    assert read_value(both.key, write_value(both)).resource == both
    for bad in ({}, {"ipv4": "fd00::1/64"}, {"ipv4": "10.0.0.1/99"}, {"ipv4": "10.0.0.1/8", "asn": -3}):
        with pytest.raises(ValueError, match=r"address|number|IPv4"):
            new_node("n1", **bad, uid=UID, created=created)


def test_the_default_pool() -> None:
    pool = new_ip_pool(uid=UID, created=datetime(2026, 11, 23, tzinfo=UTC))
    assert (pool.name, str(pool.cidr)) == ("default-ipv4-ippool", "192.168.0.0/16")
    assert (pool.ipip_mode, pool.vxlan_mode, pool.nat_outgoing) == ("Never", "Never", False)
    assert read_value(pool.key, write_value(pool)).resource == pool


def test_what_was_read_is_written_back_with_the_fields_nobody_knows() -> None:
    value = {**document("Node", {"bgp": {"ipv4Address": "10.0.0.1/8"}, "x": [1]}, name="n1"), "y": {"z": None}}
    assert json.loads(write_value(good(NODE, value))) == value
    with pytest.raises(ValueError, match="no document"):
        write_value(Node(name="n1"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    *("kind", "metadata", "spec", "name", "labels", "bgp"),
    *("asNumber", "ipv4Address", "cidr", "ipNetworks", "ipNATs", "externalIP"),
    *("node", "peerIP", "communities", "prefixAdvertisements", "nodeMeshPassword", "secretKeyRef"),
    *("exportV4", "state", "deleted", "datastoreReady", "listenPort", "status"),
    *("podCIDRs"),
]
shaped = st.recursive(
    json_values,
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=6) | st.lists(inner, max_size=2),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from([kind for kind in Kind if kind is not Kind.READY_FLAG]), value=shaped)
def test_reading_is_total(kind: Kind, value: object) -> None:
    key = ResourceKey(kind, "n1", "10.0.0.0/26")
    reading = read_document(key, value)
    assert reading.resource is None or reading.resource.key == ResourceKey(
        kind, "n1" if kind in (Kind.WORKLOAD_ENDPOINT, Kind.BLOCK_AFFINITY) else "", "10.0.0.0/26"
    )
    assert (reading.resource is None) <= any(problem.fatal for problem in reading.problems)
    for problem in reading.problems:
        assert problem.why
        assert str(problem).encode()


@settings(max_examples=100, deadline=None)
@given(kind=st.sampled_from(list(Kind)), value=st.binary(max_size=40))
def test_any_octets_are_read(kind: Kind, value: bytes) -> None:
    reading = read_value(ResourceKey(kind, "n1", "10.0.0.0/26"), value)
    assert reading.resource is not None or reading.problems


def test_deep_nesting_is_a_problem_and_no_crash() -> None:
    reading = read_value(NODE, b"[" * 200_000)
    assert reading.resource is None
    assert "not JSON" in reading.problems[0].why


class TestInterpreter:
    """The last good value stays in force."""

    bad = Reading(None, (Problem(NODE, "spec", "1", "odd"),))

    def test_a_value_that_went_bad_keeps_its_last_good_form(self, caplog: pytest.LogCaptureFixture) -> None:
        interpreter = Interpreter()
        node = Node(name="n1", asn=1)
        assert interpreter.replace(5, [(NODE, Reading(node))]).resources == {NODE: node}
        batch = interpreter.apply([(NODE, self.bad, 6)])
        assert batch == Batch(6, (), self.bad.problems)
        assert "the last good value stays in force" in caplog.text
        snapshot = interpreter.replace(7, [(NODE, self.bad)])
        assert snapshot.resources == {NODE: node}
        assert snapshot.problems == self.bad.problems
        assert caplog.text.count("stays in force") == 1
        assert interpreter.apply([(NODE, None, 8)]) == Batch(8, (Event(NODE, None, 8),))

    def test_thousands_of_problems_are_a_few_lines_in_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        interpreter = Interpreter()
        keys = [ResourceKey(Kind.NODE, "", f"n{number}") for number in range(1000)]
        snapshot = interpreter.replace(5, [(key, Reading(None, (Problem(key, "spec", "1", "odd"),))) for key in keys])
        assert len(snapshot.problems) == 1000
        assert len(caplog.records) == 21
        assert caplog.records[-1].getMessage() == "and 980 more problems like these"

    def test_a_value_that_was_never_good_is_there_but_invalid(self) -> None:
        interpreter = Interpreter()
        invalid = Invalid(NODE, self.bad.problems)
        assert interpreter.replace(5, [(NODE, self.bad)]).resources == {NODE: invalid}
        node = Node(name="n1")
        assert interpreter.apply([(NODE, Reading(node), 6)]) == Batch(6, (Event(NODE, node, 6),))

    def test_a_value_that_is_good_again_is_told_though_it_means_the_same(self) -> None:
        interpreter = Interpreter()
        node = Node(name="n1", asn=1)
        interpreter.replace(5, [(NODE, Reading(node))])
        interpreter.apply([(NODE, self.bad, 6)])
        assert interpreter.apply([(NODE, Reading(node), 7)]) == Batch(7, (Event(NODE, node, 7),))
        assert interpreter.problems == {}

    def test_what_is_cured_in_the_same_batch_is_no_problem(self) -> None:
        """As after an outage, when all that was missed comes at once."""
        interpreter = Interpreter()
        node = Node(name="n1", asn=1)
        interpreter.replace(5, [(NODE, Reading(node))])
        assert interpreter.apply([(NODE, self.bad, 6), (NODE, Reading(node), 7)]) == Batch(7, (Event(NODE, node, 7),))
        changed = Node(name="n1", asn=2)
        assert interpreter.apply([(NODE, self.bad, 8), (NODE, Reading(changed), 9), (NODE, self.bad, 10)]) == Batch(
            10, (Event(NODE, changed, 9),), self.bad.problems
        )
        assert interpreter.apply([(NODE, self.bad, 11), (NODE, None, 12)]) == Batch(12, (Event(NODE, None, 12),))

    def test_what_was_never_good_and_is_bad_in_another_way(self) -> None:
        interpreter = Interpreter()
        interpreter.replace(5, [(NODE, self.bad)])
        worse = Reading(None, (Problem(NODE, "spec", "2", "odder"),))
        invalid = Invalid(NODE, worse.problems)
        assert interpreter.apply([(NODE, worse, 6)]) == Batch(6, (Event(NODE, invalid, 6),), worse.problems)

    def test_what_means_the_same_is_no_event(self) -> None:
        interpreter = Interpreter()
        interpreter.replace(5, [(NODE, Reading(Node(name="n1", raw={"a": 1})))])
        assert interpreter.apply([(NODE, Reading(Node(name="n1", raw={"a": 2})), 6)]) is None
        assert interpreter.resources[NODE].raw == {"a": 2}  # type: ignore[union-attr]

    def test_what_is_not_wanted_is_absent_and_leaves_when_it_turns_so(self) -> None:
        interpreter = Interpreter(lambda resource: not isinstance(resource, WorkloadEndpoint) or resource.node == "n1")
        mine = WorkloadEndpoint(namespace="default", name=WORKLOAD.name, node="n1")
        theirs = WorkloadEndpoint(namespace="default", name=WORKLOAD.name, node="n2")
        assert interpreter.replace(5, [(WORKLOAD, Reading(theirs))]).resources == {}
        assert interpreter.apply([(WORKLOAD, Reading(theirs), 6)]) is None
        assert interpreter.apply([(WORKLOAD, Reading(mine), 7)]) == Batch(7, (Event(WORKLOAD, mine, 7),))
        assert interpreter.apply([(WORKLOAD, Reading(theirs), 8)]) == Batch(8, (Event(WORKLOAD, None, 8),))
