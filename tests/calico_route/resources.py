"""Calico's objects for tests, made from documents as the datastore holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calico_route.datastore import Snapshot
from calico_route.documents import read_document
from calico_route.model import (
    BgpConfiguration,
    BgpFilter,
    BgpPeer,
    BlockAffinity,
    ClusterInformation,
    IpPool,
    Kind,
    Node,
    Resource,
    ResourceKey,
    WorkloadEndpoint,
)
from calico_route.view import View, fold


def _made(
    kind: Kind, name: str, spec: dict[str, Any], namespace: str = "", labels: Mapping[str, str] | None = None
) -> Resource:
    metadata: dict[str, Any] = {"name": name, **({"namespace": namespace} if namespace else {})}
    metadata["labels"] = dict(labels or {})
    document = {"kind": str(kind), "apiVersion": "projectcalico.org/v3", "metadata": metadata, "spec": spec}
    resource, problems = read_document(ResourceKey(kind, namespace, name), document)
    assert resource is not None, problems
    return resource


def node(
    name: str,
    ipv4: str | None = None,
    ipv6: str | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    **bgp: Any,
) -> Node:
    spec = {"ipv4Address": ipv4, "ipv6Address": ipv6, **bgp}
    made = _made(Kind.NODE, name, {"bgp": {key: value for key, value in spec.items() if value is not None}}, "", labels)
    assert isinstance(made, Node)
    return made


def node_without_bgp(name: str) -> Node:
    made = _made(Kind.NODE, name, {})
    assert isinstance(made, Node)
    return made


def bgp_peer(name: str, **spec: Any) -> BgpPeer:
    made = _made(Kind.BGP_PEER, name, spec)
    assert isinstance(made, BgpPeer)
    return made


def bgp_filter(name: str, **spec: Any) -> BgpFilter:
    made = _made(Kind.BGP_FILTER, name, spec)
    assert isinstance(made, BgpFilter)
    return made


def block(node: str, cidr: str, **spec: Any) -> BlockAffinity:
    made, problems = read_document(ResourceKey(Kind.BLOCK_AFFINITY, node, cidr), spec)
    assert isinstance(made, BlockAffinity), problems
    return made


def pool(name: str, cidr: str, **spec: Any) -> IpPool:
    made = _made(Kind.IP_POOL, name, {"cidr": cidr, **spec})
    assert isinstance(made, IpPool)
    return made


def configuration(name: str = "default", **spec: Any) -> BgpConfiguration:
    made = _made(Kind.BGP_CONFIGURATION, name, spec)
    assert isinstance(made, BgpConfiguration)
    return made


def endpoint(name: str, node: str, *networks: str, interface: str = "") -> WorkloadEndpoint:
    spec = {"node": node, "ipNetworks": list(networks), "interfaceName": interface}
    made = _made(Kind.WORKLOAD_ENDPOINT, name, spec, "default")
    assert isinstance(made, WorkloadEndpoint)
    return made


def cluster(**spec: Any) -> ClusterInformation:
    made = _made(Kind.CLUSTER_INFORMATION, "default", spec)
    assert isinstance(made, ClusterInformation)
    return made


def view(*resources: Resource, revision: int = 1) -> View:
    return fold(View(), Snapshot(revision, {one.key: one for one in resources}))
