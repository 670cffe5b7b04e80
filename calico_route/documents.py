"""Calico's documents (JSON or YAML objects) to resources and back.

Reading is total: any object gives a Reading, and unknown fields are tolerated. What cannot be used is
named with its key, its field, its value and the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from pybgp import Prefix

from .fields import Fields, host_address, network, peer_address, show
from .filter_documents import read_bgp_filter
from .model import (
    API_VERSION,
    DEFAULT_POOL_CIDR,
    DEFAULT_POOL_NAME,
    AffinityState,
    BgpConfiguration,
    BgpPeer,
    BlockAffinity,
    ClusterInformation,
    IpPool,
    Kind,
    Node,
    PeerAddress,
    PrefixAdvertisement,
    Problem,
    Raw,
    ReadyFlag,
    Resource,
    ResourceKey,
    WorkloadEndpoint,
)
from .selector import parse_selector


class Reading(NamedTuple):
    """What a document says. `resource` is None when a problem is fatal."""

    resource: Resource | None
    problems: tuple[Problem, ...] = ()


def read_value(key: ResourceKey, value: bytes) -> Reading:
    """The resource in a value of the datastore."""
    if key.kind is Kind.READY_FLAG:
        return _read_ready(key, value)
    if key.kind is Kind.BLOCK_AFFINITY and value.strip() in (b"", b'""', b"null"):
        value = b"{}"  # written so by old versions: a confirmed affinity
    try:
        document = json.loads(value)
    except (ValueError, RecursionError) as error:
        shown = show(value[:60].decode("utf-8", "replace"))
        return Reading(None, (Problem(key, "", shown, f"not JSON: {error}"),))
    return read_document(key, document)


def read_document(key: ResourceKey, document: object) -> Reading:
    """The resource in a document; `key` tells its kind and name, and wins over what the document says."""
    problems: list[Problem] = []
    if not isinstance(document, Mapping):
        return Reading(None, (Problem(key, "", show(document), "must be an object"),))
    fields = Fields(key, document, problems)
    if key.kind is Kind.BLOCK_AFFINITY:
        resource = _read_block_affinity(key, fields)
    else:
        _check_envelope(key, fields)
        resource = _READERS[key.kind](key, fields)
    if any(problem.fatal for problem in problems):
        resource = None
    return Reading(resource, tuple(problems))


def _check_envelope(key: ResourceKey, fields: Fields) -> None:
    kind = fields.text("kind")
    if kind is not None and kind != key.kind:
        fields.problem("kind", kind, f"must be {key.kind}")
    name = fields.section("metadata").text("name")
    if name is not None and name != key.name:
        fields.problem("metadata.name", name, f"the key says {key.name}, which is used", fatal=False)


def _read_ready(key: ResourceKey, value: bytes) -> Reading:
    text = value.decode("utf-8", "replace").strip().strip('"').lower()
    if text not in ("true", "false"):
        return Reading(None, (Problem(key, "", show(text), "must be true or false"),))
    return Reading(ReadyFlag(ready=text == "true"))


def _read_node(key: ResourceKey, fields: Fields) -> Resource:
    metadata, spec = fields.section("metadata"), fields.section("spec")
    bgp, wireguard = spec.section("bgp"), spec.section("wireguard")
    return Node(
        name=key.name,
        bgp=spec.has("bgp"),
        asn=bgp.as_number("asNumber"),
        ipv4=bgp.host_address("ipv4Address", 4),
        ipv6=bgp.host_address("ipv6Address", 6),
        cluster_id=bgp.text("routeReflectorClusterID"),
        ipv4_ipip_tunnel=bgp.address("ipv4IPIPTunnelAddr", fatal=False),
        ipv4_vxlan_tunnel=spec.address("ipv4VXLANTunnelAddr", fatal=False),
        ipv6_vxlan_tunnel=spec.address("ipv6VXLANTunnelAddr", fatal=False),
        ipv4_wireguard=wireguard.address("interfaceIPv4Address", fatal=False),
        ipv6_wireguard=wireguard.address("interfaceIPv6Address", fatal=False),
        labels=metadata.texts_by_name("labels"),
        pod_cidrs=fields.section("status").prefixes("podCIDRs"),
        raw=fields.values,
    )


def _read_bgp_configuration(key: ResourceKey, fields: Fields) -> Resource:
    spec = fields.section("spec")
    if key.name != "default" and not key.name.startswith("node."):
        fields.problem("metadata.name", key.name, "neither default nor node.<name>: it is not used", fatal=False)
    communities: dict[str, str] = {}
    for entry in spec.sections("communities"):
        name, value = entry.text("name"), entry.text("value")
        if name is None or value is None:
            entry.problem("", None, "must have a name and a value")
        else:
            communities[name] = value
    advertisements = []
    for entry in spec.sections("prefixAdvertisements"):
        cidr = entry.prefix("cidr")
        if cidr is not None:
            advertisements.append(PrefixAdvertisement(cidr, entry.texts("communities")))
    return BgpConfiguration(
        name=key.name,
        asn=spec.as_number("asNumber"),
        mesh_enabled=spec.flag("nodeToNodeMeshEnabled"),
        listen_port=spec.number("listenPort", 1, 65535),
        log_severity=spec.text("logSeverityScreen"),
        bind_mode=spec.word("bindMode", ("None", "NodeIP")),
        ignored_interfaces=spec.texts("ignoredInterfaces"),
        communities=communities,
        prefix_advertisements=tuple(advertisements),
        node_mesh_password=spec.secret("nodeMeshPassword"),
        node_mesh_max_restart_time=spec.duration("nodeMeshMaxRestartTime"),
        service_cluster_ips=spec.prefixes("serviceClusterIPs", of="cidr"),
        service_external_ips=spec.prefixes("serviceExternalIPs", of="cidr"),
        service_load_balancer_ips=spec.prefixes("serviceLoadBalancerIPs", of="cidr"),
        service_load_balancer_aggregation=spec.word("serviceLoadBalancerAggregation", ("Enabled", "Disabled")),
        program_cluster_routes=spec.word(
            "programClusterRoutes", ("Enabled", "Disabled", "EnabledIPIPOnly", "EnabledNoEncapOnly")
        ),
        ipv4_route_priority=spec.number("ipv4NormalRoutePriority", 0, 0x7FFFFFFF),
        ipv6_route_priority=spec.number("ipv6NormalRoutePriority", 0, 0x7FFFFFFF),
        raw=fields.values,
    )


def _read_ip_pool(key: ResourceKey, fields: Fields) -> Resource | None:
    spec = fields.section("spec")
    cidr = spec.prefix("cidr")
    if cidr is None:
        return None
    modes = ("Never", "Always", "CrossSubnet")
    return IpPool(
        name=key.name,
        cidr=cidr,
        disabled=bool(spec.flag("disabled")),
        disable_bgp_export=bool(spec.flag("disableBGPExport")),
        ipip_mode=spec.word("ipipMode", modes) or "Never",
        vxlan_mode=spec.word("vxlanMode", modes) or "Never",
        nat_outgoing=bool(spec.flag("natOutgoing")),
        block_size=spec.number("blockSize", 0, 128),
        node_selector=spec.text("nodeSelector") or "all()",
        allowed_uses=spec.texts("allowedUses"),
        assignment_mode=spec.text("assignmentMode") or "Automatic",
        raw=fields.values,
    )


def _read_workload_endpoint(key: ResourceKey, fields: Fields) -> Resource | None:
    spec = fields.section("spec")
    node = spec.text("node")
    if node is None:
        spec.problem("node", spec.values.get("node"), "must name the node of the workload")
        return None
    networks: list[Prefix] = []
    for index, value in enumerate(spec.items("ipNetworks")):
        _host_route(spec, f"ipNetworks[{index}]", value, networks)
    translated: list[Prefix] = []
    for entry in spec.sections("ipNATs"):
        if entry.has("externalIP"):
            _host_route(entry, "externalIP", entry.values["externalIP"], translated)
    return WorkloadEndpoint(
        namespace=key.namespace,
        name=key.name,
        node=node,
        networks=tuple(dict.fromkeys(networks + translated)),
        nat_networks=tuple(dict.fromkeys(translated)),
        interface=spec.text("interfaceName") or "",
        orchestrator=spec.text("orchestrator") or "",
        endpoint=spec.text("endpoint") or "",
        mac=spec.text("mac") or "",
        profiles=spec.texts("profiles"),
        labels=fields.section("metadata").texts_by_name("labels"),
        raw=fields.values,
    )


def _host_route(fields: Fields, name: str, value: object, found: list[Prefix]) -> None:
    """Add a /32 or /128; Calico routes nothing else to a workload."""
    try:
        host = host_address(value)
    except ValueError as error:
        fields.problem(name, value, str(error))
        return
    prefix = network(value)
    if host.prefix_length != (128 if ":" in host.address else 32):
        fields.problem(name, value, "not announced: only /32 and /128 lead to a workload", fatal=False)
    else:
        found.append(prefix)


def _read_bgp_peer(key: ResourceKey, fields: Fields) -> Resource:
    spec = fields.section("spec")
    peer_ip: PeerAddress | None = None
    text = spec.text("peerIP")
    if text is not None:
        try:
            peer_ip = peer_address(text)
        except ValueError as error:
            spec.problem("peerIP", text, str(error))
    _check_sides(spec, peer_ip)
    return BgpPeer(
        name=key.name,
        node=spec.text("node"),
        node_selector=_selector(spec, "nodeSelector"),
        peer_ip=peer_ip,
        peer_selector=_selector(spec, "peerSelector"),
        local_workload_selector=spec.text("localWorkloadSelector"),
        asn=spec.as_number("asNumber"),
        local_asn=spec.as_number("localASNumber"),
        next_hop_mode=spec.word("nextHopMode", ("Auto", "Self", "Keep")),
        keep_original_next_hop=bool(spec.flag("keepOriginalNextHop")),
        source_address=spec.word("sourceAddress", ("UseNodeIP", "None")),
        max_restart_time=spec.duration("maxRestartTime"),
        keepalive_time=spec.duration("keepaliveTime"),
        allowed_local_as=spec.number("numAllowedLocalASNumbers", 0, 0x7FFFFFFF),
        ttl_security=spec.number("ttlSecurity", 0, 255),
        reachable_by=spec.address("reachableBy"),
        reverse_peering=spec.word("reversePeering", ("Auto", "Manual")),
        filters=spec.texts("filters"),
        password=spec.secret("password"),
        raw=fields.values,
    )


def _check_sides(spec: Fields, peer_ip: PeerAddress | None) -> None:
    """What Calico's own API would not take, and which of two that exclude each other counts."""
    for first, second in (("node", "nodeSelector"), ("peerSelector", "peerIP"), ("peerSelector", "asNumber")):
        if spec.text(first) is not None and spec.values.get(second) not in (None, "", 0):
            spec.problem(second, spec.values[second], f"is not used beside {first}", fatal=False)
    gateway = spec.values.get("reachableBy")
    if peer_ip is not None and isinstance(gateway, str) and gateway and (":" in gateway) != (":" in peer_ip.address):
        spec.problem("reachableBy", gateway, f"is of another IP version than peerIP {peer_ip.address}")


def _selector(spec: Fields, name: str) -> str | None:
    text = spec.text(name)
    if text is not None:
        try:
            parse_selector(text)
        except ValueError as error:
            spec.problem(name, None, str(error))
            return None
    return text


def _read_cluster_information(key: ResourceKey, fields: Fields) -> Resource:
    spec = fields.section("spec")
    return ClusterInformation(
        name=key.name,
        ready=spec.flag("datastoreReady"),
        version=spec.text("calicoVersion"),
        guid=spec.text("clusterGUID"),
        cluster_type=spec.text("clusterType"),
        raw=fields.values,
    )


def _read_block_affinity(key: ResourceKey, fields: Fields) -> Resource | None:
    text = fields.text("state", AffinityState.CONFIRMED)
    try:
        state = AffinityState(text or "")
    except ValueError:
        fields.problem("state", text, f"must be one of {', '.join(AffinityState)}")
        return None
    deleted = bool(fields.flag("deleted"))
    return BlockAffinity(node=key.namespace, cidr=Prefix(key.name), state=state, deleted=deleted)


_READERS: dict[Kind, Callable[[ResourceKey, Fields], Resource | None]] = {
    Kind.NODE: _read_node,
    Kind.BGP_CONFIGURATION: _read_bgp_configuration,
    Kind.IP_POOL: _read_ip_pool,
    Kind.WORKLOAD_ENDPOINT: _read_workload_endpoint,
    Kind.BGP_PEER: _read_bgp_peer,
    Kind.BGP_FILTER: read_bgp_filter,
    Kind.CLUSTER_INFORMATION: _read_cluster_information,
}


def write_value(resource: Resource) -> bytes:
    """The value that the datastore holds for a resource, compact as Calico writes it.

    ValueError for a resource that was made without a document (`raw`).
    """
    if isinstance(resource, ReadyFlag):
        return b"true" if resource.ready else b"false"
    if isinstance(resource, BlockAffinity):
        document: Raw = {"state": str(resource.state), "deleted": resource.deleted}
    else:
        document = resource.raw
        if not document:
            raise ValueError(f"{resource.key} has no document to write")
    return json.dumps(document, separators=(",", ":")).encode()


def new_node(
    name: str,
    *,
    ipv4: str | None = None,
    ipv6: str | None = None,
    asn: int | None = None,
    uid: UUID,
    created: datetime,
) -> Node:
    """A Node as Calico registers it: the addresses are CIDRs of the host's own subnets (`192.0.2.7/24`).

    ValueError for a bad address or AS number, or without any address.
    """
    bgp: dict[str, Any] = {}
    if asn is not None:
        bgp["asNumber"] = asn
    addresses = []
    for field_name, text in (("ipv4Address", ipv4), ("ipv6Address", ipv6)):
        if text is not None:
            bgp[field_name] = str(host_address(text))
            addresses.append({"address": bgp[field_name], "type": "CalicoNodeIP"})
    if not addresses:
        raise ValueError(f"node {name} has no address to register")
    spec = {"bgp": bgp, "addresses": addresses}
    made = _made(ResourceKey(Kind.NODE, "", name), spec, uid, created)
    assert isinstance(made, Node)
    return made


def new_ip_pool(
    name: str = DEFAULT_POOL_NAME, cidr: str = DEFAULT_POOL_CIDR, *, uid: UUID, created: datetime
) -> IpPool:
    """An IPPool without encapsulation and without NAT. ValueError for a bad CIDR."""
    prefix = network(cidr)
    spec = {
        "cidr": str(prefix),
        "vxlanMode": "Never",
        "ipipMode": "Never",
        "blockSize": 122 if ":" in cidr else 26,
        "nodeSelector": "all()",
        "allowedUses": ["Workload", "Tunnel"],
        "assignmentMode": "Automatic",
    }
    made = _made(ResourceKey(Kind.IP_POOL, "", name), spec, uid, created)
    assert isinstance(made, IpPool)
    return made


def _made(key: ResourceKey, spec: dict[str, Any], uid: UUID, created: datetime) -> Resource:
    stamp = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "kind": str(key.kind),
        "apiVersion": API_VERSION,
        "metadata": {"name": key.name, "uid": str(uid), "creationTimestamp": stamp},
        "spec": spec,
    }
    reading = read_document(key, document)
    if reading.resource is None:
        raise ValueError("; ".join(str(problem) for problem in reading.problems))
    return reading.resource
