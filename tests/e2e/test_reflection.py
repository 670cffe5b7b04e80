"""Reflectors in place of the mesh, with real kernels and a real etcd."""

from __future__ import annotations

import json

import pytest

from demo.lab import Lab, wait_for
from tests.e2e.mesh import RESOURCES, Mesh, wait_routes

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

NODES = 4


def write(mesh: Mesh, kind: str, plural: str, name: str, spec: dict[str, object]) -> None:
    value = {"kind": kind, "apiVersion": "projectcalico.org/v3", "metadata": {"name": name}, "spec": spec}
    mesh.etcd.put(f"{RESOURCES}/{plural}/{name}", json.dumps(value))


def set_node(mesh: Mesh, number: int, labels: dict[str, str], **bgp: str) -> None:
    host = mesh.hosts[number]
    value = {
        "kind": "Node",
        "apiVersion": "projectcalico.org/v3",
        "metadata": {"name": host.name, "labels": labels},
        "spec": {"bgp": {"ipv4Address": f"{host.address}/24", **bgp}},
    }
    mesh.etcd.put(f"{RESOURCES}/nodes/{host.name}", json.dumps(value))


def whole(mesh: Mesh) -> None:
    for own, host in enumerate(mesh.hosts):
        wanted = {f"192.168.0.{n + 1} via 192.168.78.{21 + n}" for n in range(NODES) if n != own}
        wait_routes(host, wanted, timeout=30)


def has_sessions(mesh: Mesh, counts: list[int]) -> None:
    def now() -> list[int]:
        return [len(agent.status().get("peers", [])) for agent in mesh.agents]

    wait_for(f"the agents have {counts} sessions", lambda: now() == counts, 40)
    wait_for(
        f"{counts} of them are established", lambda: [mesh.established(agent) for agent in mesh.agents] == counts, 40
    )


def test_a_reflector_by_bgp_peer_then_by_label(lab: Lab) -> None:
    mesh = Mesh(lab, NODES, "--auto-reflectors", "reflects=yes")
    mesh.etcd.start()
    mesh.pool("default-ipv4-ippool", "192.168.0.0/16")
    write(mesh, "BGPConfiguration", "bgpconfigurations", "default", {"nodeToNodeMeshEnabled": False})
    write(mesh, "BGPPeer", "bgppeers", "to-reflectors", {"peerSelector": "has(calico-route-reflector)"})
    set_node(mesh, 0, {"calico-route-reflector": ""}, routeReflectorClusterID="244.0.0.1")
    for number in range(1, NODES):
        set_node(mesh, number, {})
    for agent in mesh.agents:
        agent.start()
    for number, host in enumerate(mesh.hosts, 1):
        mesh.workload(host, f"container{number}", f"192.168.0.{number}")
    whole(mesh)
    has_sessions(mesh, [3, 1, 1, 1])

    mesh.watch_kernels()
    write(mesh, "BGPConfiguration", "bgpconfigurations", "default", {"nodeToNodeMeshEnabled": True})
    set_node(mesh, 0, {"reflects": "yes"})
    mesh.etcd.delete(f"{RESOURCES}/bgppeers/to-reflectors")
    has_sessions(mesh, [3, 1, 1, 1])
    set_node(mesh, 2, {"reflects": "yes"})
    set_node(mesh, 0, {})
    has_sessions(mesh, [1, 1, 3, 1])
    whole(mesh)
    set_node(mesh, 2, {})
    has_sessions(mesh, [3, 3, 3, 3])
    whole(mesh)
    assert mesh.deleted() == []
