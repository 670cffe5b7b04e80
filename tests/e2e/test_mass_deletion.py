"""Keys vanish from a real etcd, far too many at once: held, shouted, undone when they are back, believed in the end."""

from __future__ import annotations

import base64
import json

import pytest

from calico_route.guard import WORKLOADS
from demo.agent import Agent
from demo.lab import Host, Lab, wait_for
from tests.e2e.mesh import RESOURCES, Mesh, bird_routes, wait_routes

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

HOLD = "45"  # seconds: a busy machine puts the keys back in less
EACH = (1, 2, 3)  # the workloads of a host
LOST = {
    "all pools": f"{RESOURCES}/ippools/",
    "most nodes": f"{RESOURCES}/nodes/host",  # of four, one has another name
    WORKLOADS: f"{RESOURCES}/workloadendpoints/",
    "everything": "/calico/",
}


def keys(mesh: Mesh, prefix: str) -> dict[str, str]:
    found = json.loads(mesh.etcd.ctl("get", "--prefix", prefix, "-w", "json")).get("kvs", [])
    return {base64.b64decode(one["key"]).decode(): base64.b64decode(one["value"]).decode() for one in found}


def held_back(agent: Agent) -> list[str]:
    return [one["what"] for one in agent.status()["held_back"]]


def expected(mesh: Mesh, own: Host) -> set[str]:
    others = [(n, host) for n, host in enumerate(mesh.hosts, 1) if host is not own]
    return {f"192.168.{n}.{last} via {host.address}" for n, host in others for last in EACH}


@pytest.mark.parametrize("what", LOST)
def test_too_much_is_gone_at_once(lab: Lab, what: str) -> None:
    mesh = Mesh(lab, 4, "--mass-deletion-hold", HOLD)
    mesh.hosts[3].name = "other"
    mesh.start()
    for number, host in enumerate(mesh.hosts, 1):
        for last in EACH:
            mesh.workload(host, f"w{number}{last}", f"192.168.{number}.{last}")
    for host in mesh.hosts:
        wait_routes(host, expected(mesh, host), timeout=60)
    mesh.watch_kernels()
    since = [peer["since"] for agent in mesh.agents for peer in agent.status()["peers"]]
    kept = keys(mesh, LOST[what])
    assert kept

    mesh.etcd.ctl("del", "--prefix", LOST[what])
    for agent in mesh.agents:
        wait_for("status shows it", lambda agent=agent: what in held_back(agent))  # type: ignore[misc]
        assert f"error   believed: {what} gone from the datastore at once" in agent.process_text()
        assert what in agent.status_text().partition("Held back")[2]
    for host in mesh.hosts:
        assert bird_routes(host) == expected(mesh, host)

    for key, value in kept.items():
        mesh.etcd.put(key, value)
    for agent in mesh.agents:
        wait_for("it is over", lambda agent=agent: held_back(agent) == [])  # type: ignore[misc]
        assert f"what was gone ({what}) is back: nothing was changed" in agent.process_text()
        assert "believed now" not in agent.process_text()
    assert mesh.deleted() == []
    assert since == [peer["since"] for agent in mesh.agents for peer in agent.status()["peers"]]

    mesh.etcd.ctl("del", "--prefix", LOST[what])
    for host, agent in zip(mesh.hosts, mesh.agents, strict=True):
        wait_routes(host, set(), timeout=120)
        wait_for("it says so", lambda agent=agent: f"{what} still gone" in agent.process_text())  # type: ignore[misc]
