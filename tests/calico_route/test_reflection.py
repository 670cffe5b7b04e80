"""Agents whose mesh gives way to reflectors, and comes back: nobody loses a route meanwhile."""

from __future__ import annotations

import pytest

from calico_route import agent as agent_module
from calico_route import handover
from calico_route.report import report
from calico_route.sessions import Options
from tests.calico_route.cluster import Cluster, Running, cluster, until
from tests.calico_route.resources import bgp_peer, configuration, endpoint, node

OPTIONS = Options(announce_unchecked=True, auto_reflectors="rr")
NAMES = "abcd"
ENDPOINTS = [endpoint(f"w{name}", name, f"10.0.0.{number}/32") for number, name in enumerate(NAMES, 1)]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "RETRY", 0.05)
    monkeypatch.setattr(handover, "LINGER", 2.0)  # a refused connection is tried again sooner
    monkeypatch.setattr(handover, "LOOK", 0.05)


def others(name: str) -> dict[str, str]:
    return {f"10.0.0.{number}/32": f"192.0.2.{number}" for number, one in enumerate(NAMES, 1) if one != name}


def whole(running: dict[str, Running]) -> bool:
    return all(one.kernel.shown == others(name) for name, one in running.items())


def sessions(mesh: Cluster, running: dict[str, Running]) -> dict[str, str]:
    """With whom each has one."""
    names = {address: name for name, address in mesh.addresses.items()}
    return {
        name: "".join(sorted(names[address] for address in one.agent.mesh.snapshots())) for name, one in running.items()
    }


async def label(mesh: Cluster, reflecting: str) -> None:
    """Put the label on these nodes and off the others, one after the other."""
    for name in NAMES:
        labels = {"rr": ""} if name in reflecting else {}
        await mesh.datastore.put(node(name, mesh.addresses[name], labels=labels))


FULL = {"a": "bcd", "b": "acd", "c": "abd", "d": "abc"}


async def test_reflectors_come_move_and_go_and_no_route_is_lost() -> None:
    async with cluster(NAMES, *ENDPOINTS) as mesh:
        running = {name: mesh.start(name, options=OPTIONS) for name in NAMES}
        await until(lambda: whole(running) and sessions(mesh, running) == FULL)
        installed = {name: list(one.kernel.log) for name, one in running.items()}
        for reflecting, wanted in (
            ("a", {"a": "bcd", "b": "a", "c": "a", "d": "a"}),
            ("b", {"a": "b", "b": "acd", "c": "b", "d": "b"}),
            ("cd", {"a": "cd", "b": "cd", "c": "abd", "d": "abc"}),
            ("", FULL),
        ):
            await label(mesh, reflecting)
            await until(lambda wanted=wanted: sessions(mesh, running) == wanted)  # type: ignore[misc]
            assert whole(running), {name: (one.kernel.shown, one.kernel.log) for name, one in running.items()}
        assert {name: one.kernel.log for name, one in running.items()} == installed, "no route was touched"
        assert all(one["established_count"] == 1 for one in report(running["a"].agent)["peers"] if one["node"] == "c")


async def test_what_leaves_is_shown_as_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "LINGER", 1000.0)
    async with cluster(NAMES, *ENDPOINTS) as mesh:
        running = {name: mesh.start(name, options=OPTIONS) for name in NAMES}
        await until(lambda: whole(running))
        await label(mesh, "a")
        await until(lambda: running["b"].agent.handover.under_way)
        told = report(running["b"].agent)
        assert {peer["node"]: peer["leaving"] for peer in told["peers"]} == {"a": False, "c": True, "d": True}
        assert (told["sessions"]["wanted"], told["sessions"]["established"]) == (1, 3)


async def test_a_reflector_that_dies_takes_nothing_with_it_where_there_is_another() -> None:
    async with cluster(NAMES, *ENDPOINTS) as mesh:
        await label(mesh, "ab")
        running = {name: mesh.start(name, options=OPTIONS) for name in NAMES}
        await until(lambda: whole(running))
        await running["a"].stop()
        del running["a"]
        await until(lambda: all(one.agent.mesh.snapshots()[mesh.addresses["a"]].restarting for one in running.values()))
        assert all(set(others(name)) == set(one.kernel.shown) for name, one in running.items())


async def test_calicos_own_way() -> None:
    """`routeReflectorClusterID`, BGPPeers, and no mesh."""
    peers = bgp_peer("all-to-a", peerSelector="has(rr)")
    async with cluster(NAMES, *ENDPOINTS, peers, nodeToNodeMeshEnabled=False) as mesh:
        reflector = node("a", mesh.addresses["a"], labels={"rr": ""}, routeReflectorClusterID="244.0.0.1")
        await mesh.datastore.put(reflector)
        running = {name: mesh.start(name) for name in NAMES}
        await until(lambda: whole(running))
        assert sessions(mesh, running) == {"a": "bcd", "b": "a", "c": "a", "d": "a"}
        await mesh.datastore.put(configuration(listenPort=mesh.port, bindMode="NodeIP", nodeToNodeMeshEnabled=True))
        await mesh.datastore.put(node("a", mesh.addresses["a"]))
        await mesh.datastore.delete(peers.key)
        await until(lambda: sessions(mesh, running) == FULL)
        await until(lambda: whole(running))
        assert not any("delete" in line for one in running.values() for line in one.kernel.log)
