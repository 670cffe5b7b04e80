"""What the kernel of every node must hold, out of the test's own picture of the cluster. Pure.

Nothing here asks an agent, etcd or a kernel: the picture is what the run itself has written and built.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

RESOURCES = "/calico/resources/v3/projectcalico.org"
INTERFACE = "enp0s8"


@dataclass(frozen=True, slots=True)
class Site:
    """A machine that may be a node. `block` is its address block where it announces blocks, as Calico's BIRD does."""

    name: str
    address: str
    block: str | None = None

    @property
    def announces_blocks(self) -> bool:
        return self.block is not None


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """A route as `ip -json route` shows it, without its flags."""

    destination: str
    kind: str = "unicast"
    gateway: str = ""
    interface: str = ""
    protocol: str = "bird"
    table: str = "main"
    metric: int = 0


@dataclass(slots=True)
class State:
    """What the datastore is to say. `pools`: by CIDR, whether it is exported; `endpoints`: workloads by site."""

    nodes: set[str] = field(default_factory=set)
    pools: dict[str, bool] = field(default_factory=dict)
    endpoints: dict[str, set[str]] = field(default_factory=dict)

    def copy(self) -> State:
        endpoints = {name: set(addresses) for name, addresses in self.endpoints.items()}
        return State(set(self.nodes), dict(self.pools), endpoints)

    def exported(self, destination: str) -> bool:
        """Whether it lies in a pool, and in none that is not exported."""
        network = IPv4Network(destination)
        around = [exported for cidr, exported in self.pools.items() if network.subnet_of(IPv4Network(cidr))]
        return bool(around) and all(around)


def interface_of(address: str) -> str:
    return "cali" + hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()[:11]


def documents(state: State, sites: Mapping[str, Site]) -> dict[str, str]:
    """Keys and values of the datastore."""
    found: dict[str, Any] = {}
    for number, (cidr, exported) in enumerate(sorted(state.pools.items())):
        name = "default-ipv4-ippool" if number == 0 else "pool-" + cidr.replace(".", "-").replace("/", "-")
        spec = {"cidr": cidr, "ipipMode": "Never", "vxlanMode": "Never", "disableBGPExport": not exported}
        found[f"{RESOURCES}/ippools/{name}"] = _resource("IPPool", name, spec)
    for name in state.nodes:
        site = sites[name]
        found[f"{RESOURCES}/nodes/{name}"] = _resource("Node", name, {"bgp": {"ipv4Address": f"{site.address}/24"}})
        if site.block is not None:
            key = f"/calico/ipam/v2/host/{name}/ipv4/block/{site.block.replace('/', '-')}"
            found[key] = {"state": "confirmed", "deleted": False}
    for node, addresses in state.endpoints.items():
        for address in addresses:
            name = f"{node}-cni-{address.replace('.', '-')}-eth1"
            spec = {
                "orchestrator": "cni",
                "node": node,
                "containerID": address.replace(".", "-"),
                "endpoint": "eth1",
                "ipNetworks": [f"{address}/32"],
                "interfaceName": interface_of(address),
            }
            found[f"{RESOURCES}/workloadendpoints/default/{name}"] = _resource("WorkloadEndpoint", name, spec)
    return {key: json.dumps(value, separators=(",", ":")) for key, value in found.items()}


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "apiVersion": "projectcalico.org/v3", "metadata": {"name": name}, "spec": spec}


def announced(site: Site, state: State, built: Iterable[str]) -> set[str]:
    """Destinations that a node tells of. `built`: addresses of the workloads that have an interface there.

    One that announces blocks goes by the interfaces; one that announces workloads by etcd, and the interfaces.
    """
    if site.block is None:
        candidates = {address for address in built if address in state.endpoints.get(site.name, ())}
    else:
        block = IPv4Network(site.block)
        candidates = {address for address in built if IPv4Address(address) not in block} | {site.block}
    return {one for one in candidates if state.exported(one)}


def expected(
    site: Site, sites: Mapping[str, Site], state: State, built: Mapping[str, set[str]], foreign: Iterable[Route]
) -> set[Route]:
    """The whole of the kernel's tables, `local` aside, of a node that takes part."""
    network = Route("192.168.78.0/24", interface=INTERFACE, protocol="kernel")
    routes = {network, *foreign}
    routes |= {Route(address, interface=interface_of(address), protocol="boot") for address in built[site.name]}
    if site.block is not None and state.exported(site.block):
        routes.add(Route(site.block, "blackhole"))
    for name in state.nodes - {site.name}:
        other = sites[name]
        for destination in announced(other, state, built[name]):
            routes.add(Route(destination, gateway=other.address, interface=INTERFACE))
    return routes


def held(listing: str) -> set[Route]:
    """What `ip -json route show table all` has printed, without the table `local`. A route of several next hops,
    which nothing here may make, is told as one of that kind."""
    found = set()
    for line in json.loads(listing):
        if line.get("table") == "local":
            continue
        route = Route(
            line["dst"],
            line.get("type", "unicast"),
            line.get("gateway", ""),
            line.get("dev", ""),
            line.get("protocol", "boot"),
            str(line.get("table", "main")),
            line.get("metric", 0),
        )
        found.add(replace(route, kind="multipath") if "nexthops" in line else route)
    return found
