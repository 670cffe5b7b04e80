"""Calico's objects as keys and values of etcd, in as few words as a scenario needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from tests.e2e.mesh import RESOURCES

State: TypeAlias = Mapping[str, str | None]
"""Keys beside those of the base, changed, or (None) taken from it."""

OWN_BLOCK, BORROWED, IN_BLOCK = "192.168.221.64/26", "192.168.99.5/32", "192.168.221.65/32"
SIX_BLOCK, SIX_BORROWED = "fd80::99:40/122", "fd80::98:5/128"

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


def resource(plural: str, name: str, /, labels: Mapping[str, str] | None = None, **spec: Any) -> dict[str, str]:
    """Key and value of one object of Calico."""
    value = {"apiVersion": "projectcalico.org/v3", "metadata": {"name": name, "labels": labels or {}}, "spec": spec}
    return {f"{RESOURCES}/{plural}/{name}": json.dumps(value)}


def bgp_configuration(name: str = "default", /, **spec: Any) -> dict[str, str]:
    return resource("bgpconfigurations", name, **spec)


def bgp_peer(name: str = "tor", /, **spec: Any) -> dict[str, str]:
    return resource("bgppeers", name, **spec)


def bgp_filter(name: str = "f", /, **spec: Any) -> dict[str, str]:
    return resource("bgpfilters", name, **spec)


def pool(name: str, cidr: str, /, **spec: Any) -> dict[str, str]:
    return resource("ippools", name, cidr=cidr, **spec)


def version(calico: str) -> dict[str, str]:
    return resource("clusterinformations", "default", calicoVersion=calico, datastoreReady=True)


def node(name: str, /, labels: Mapping[str, str] | None = None, **bgp: Any) -> dict[str, str]:
    """One of the two nodes, with its addresses."""
    last = name.removeprefix("host")
    addresses = {"ipv4Address": f"192.168.78.2{last}/24", "ipv6Address": f"2001:db8:78::2{last}/64"}
    return resource("nodes", name, labels, bgp={**addresses, **bgp})


def affinity(cidr: str, value: str = '{"state":"confirmed","deleted":false}', host: str = "host1") -> dict[str, str]:
    family = "ipv6" if ":" in cidr else "ipv4"
    return {f"/calico/ipam/v2/host/{host}/{family}/block/{cidr.replace('/', '-')}": value}


def secret(name: str, key: str) -> dict[str, dict[str, str]]:
    return {"secretKeyRef": {"name": name, "key": key}}


def without(state: State) -> dict[str, str | None]:
    return dict.fromkeys(state)


BASE: dict[str, str] = {
    **node("host1"),
    **node("host2"),
    **pool("four", "192.168.0.0/16"),
    **pool("six", "fd80::/16"),
    **affinity(OWN_BLOCK),
    **affinity(SIX_BLOCK),
}
MESH_OFF = bgp_configuration(nodeToNodeMeshEnabled=False)
