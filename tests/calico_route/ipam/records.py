"""Records as Calico writes them, and what every state of a datastore must satisfy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from calico_route.ipam.findings import HANDLE
from calico_route.ipam.paths import BLOCKS, CONFIG, HANDLES, POOLS, RESERVATIONS
from calico_route.keys import format_path, join_workload_name
from calico_route.model import Kind, ResourceKey


def compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def pool(cidr: str, name: str = "default", **spec: Any) -> dict[bytes, bytes]:
    document = {"kind": "IPPool", "metadata": {"name": name}, "spec": {"cidr": cidr, **spec}}
    return {POOLS + name.encode(): compact(document)}


def node(name: str, address: str | None = None, labels: Mapping[str, str] | None = None) -> dict[bytes, bytes]:
    bgp = {} if address is None else {"ipv6Address" if ":" in address else "ipv4Address": address}
    document = {"kind": "Node", "metadata": {"name": name, "labels": dict(labels or {})}, "spec": {"bgp": bgp}}
    return {format_path(ResourceKey(Kind.NODE, "", name)): compact(document)}


def reservation(name: str, *cidrs: str) -> dict[bytes, bytes]:
    document = {"kind": "IPReservation", "metadata": {"name": name}, "spec": {"reservedCIDRs": list(cidrs)}}
    return {RESERVATIONS + name.encode(): compact(document)}


def configuration(**fields: Any) -> dict[bytes, bytes]:
    return {CONFIG: compact(fields)}


def endpoint(host: str, container: str, *addresses: str, handle: str | None = None) -> dict[bytes, bytes]:
    """`handle`: what its annotation says, as calico_route writes it."""
    name = join_workload_name(host, "cni", container, "eth1")
    spec = {
        "orchestrator": "cni",
        "node": host,
        "containerID": container,
        "endpoint": "eth1",
        "ipNetworks": [f"{one}/{128 if ':' in one else 32}" for one in addresses],
    }
    metadata: dict[str, object] = {"name": name, "namespace": "default"}
    if handle is not None:
        metadata["annotations"] = {HANDLE: handle}
    document = {"kind": "WorkloadEndpoint", "metadata": metadata, "spec": spec}
    return {format_path(ResourceKey(Kind.WORKLOAD_ENDPOINT, "default", name)): compact(document)}


def assigned(values: Mapping[bytes, bytes]) -> dict[str, str]:
    """Address to handle of all blocks, read by a way of its own; each block is checked by itself."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if not key.startswith(BLOCKS):
            continue
        block = json.loads(value)
        network = ip_network(block["cidr"])
        assert key.endswith(f"/block/{block['cidr'].replace('/', '-')}".encode())
        allocations, attributes = block["allocations"], block["attributes"]
        assert len(allocations) == network.num_addresses
        free = [ordinal for ordinal, index in enumerate(allocations) if index is None]
        assert sorted(block["unallocated"]) == free
        assert {index for index in allocations if index is not None} == set(range(len(attributes)))
        for ordinal, index in enumerate(allocations):
            if index is not None:
                address = str(network[ordinal])
                assert address not in found, f"{address} is assigned twice"
                found[address] = attributes[index]["handle_id"]
    return found


def assert_handles_fit(values: Mapping[bytes, bytes]) -> None:
    """Every handle says just what the blocks say."""
    blocks = [ip_network(json.loads(value)["cidr"]) for key, value in values.items() if key.startswith(BLOCKS)]
    counted: dict[str, dict[str, int]] = {}
    for address, handle in assigned(values).items():
        block = next(str(one) for one in blocks if ip_address(address) in one)
        of_handle = counted.setdefault(handle, {})
        of_handle[block] = of_handle.get(block, 0) + 1
    handles = {
        key[len(HANDLES) :].decode(): json.loads(value)["block"]
        for key, value in values.items()
        if key.startswith(HANDLES)
    }
    assert handles == counted
