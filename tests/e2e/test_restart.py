"""Restarts of every kind under 1,000 packets a second, and where BIRD loses some (RFC 4724 section 4.2)."""

from __future__ import annotations

import signal
import time

import pytest

from benchmarks.next_hops import changed
from demo.agent import Agent
from demo.lab import Lab, wait_for
from demo.traffic import Arrived, Flow
from tests.e2e.bird1 import Bird1
from tests.e2e.mesh import Mesh, bird_routes, wait_routes

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

PATIENCE = 120.0  # seconds: where ten programs want a processor an agent takes twenty to start


def via(address: str, last: int) -> str:
    return f"{address} via 192.168.78.{last}"


def complete(agent: Agent, count: int) -> bool:
    """Whether so many sessions stand and have brought all their routes."""
    return bool(agent.status().get("sessions", {}).get("complete") == count)


def talking(mesh: Mesh) -> list[Flow]:
    """Workloads of the first two hosts, each known to the other's kernel, with packets both ways."""
    one, two = (mesh.workload(host, f"w{n}", f"192.168.0.{n}") for n, host in enumerate(mesh.hosts[:2], 1))
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22)}, timeout=PATIENCE)
    wait_routes(mesh.hosts[1], {via("192.168.0.1", 21)}, timeout=PATIENCE)
    flows = [Flow(one, two), Flow(two, one)]
    for flow in flows:
        flow.start()
    return flows


def lost(flows: list[Flow]) -> list[Arrived]:
    found = [flow.stop() for flow in flows]
    assert all(one.sent > 500 for one in found), "the sender has not sent what it should"
    return [one for one in found if one.lost]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_restarts_lose_no_packet(lab: Lab, how: int) -> None:
    """Once, and again as soon as all has been said after the first one."""
    mesh = Mesh(lab, 3)
    mesh.start()
    flows = talking(mesh)
    mesh.watch_kernels()
    for pause in (0.7, 0.0):
        mesh.agents[1].kill(how)
        time.sleep(pause)
        mesh.agents[1].start()
        for agent in mesh.agents:
            wait_for("all has been said", lambda agent=agent: complete(agent, 2), PATIENCE)  # type: ignore[misc]
    time.sleep(0.5)
    assert lost(flows) == []
    assert mesh.deleted() == []


def test_a_second_restart_before_the_end_of_rib_loses_no_packet(lab: Lab) -> None:
    """Three ends in a row, of which two before anything was said. Then what is gone by then goes."""
    mesh = Mesh(lab, 2)
    mesh.start()
    flows = talking(mesh)
    gone = mesh.workload(mesh.hosts[1], "gone", "192.168.0.7")
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22), via("192.168.0.7", 22)})
    mesh.watch_kernels()
    mesh.agents[1].kill()
    ups = mesh.agents[0].process_text().count(": up")
    for _ in range(2):
        mesh.agents[1].start_cut_short(lambda: mesh.established(mesh.agents[0]) == 1)
        wait_for("its end is noticed", lambda: mesh.established(mesh.agents[0]) == 0, PATIENCE)
    assert mesh.agents[0].process_text().count(": up") == ups + 2, "a session stood each time"
    (peer,) = mesh.agents[0].status()["peers"]
    assert peer["stale"]
    mesh.agents[1].start()
    wait_for("all has been said", lambda: complete(mesh.agents[0], 1), PATIENCE)
    assert mesh.deleted() == []
    mesh.agents[1].kill()
    mesh.etcd.delete(gone.endpoint()[0])
    mesh.agents[1].start_cut_short(lambda: mesh.established(mesh.agents[0]) == 1)
    wait_for("its end is noticed", lambda: mesh.established(mesh.agents[0]) == 0, PATIENCE)
    assert bird_routes(mesh.hosts[0]) == {via("192.168.0.2", 22), via("192.168.0.7", 22)}
    mesh.agents[1].start()
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22)}, timeout=PATIENCE)
    assert lost(flows) == []
    assert all("192.168.0.7 " in line for line in mesh.deleted())


def test_stock_bird_deletes_what_is_stale_at_the_second_restart(lab: Lab) -> None:
    """RFC 4724 section 4.2 to the letter, on the side that is not ours: what the document says of it."""
    mesh = Mesh(lab, 2)
    mesh.etcd.start()
    mesh.pool("default-ipv4-ippool", "192.168.0.0/16")
    mesh.node(mesh.hosts[0])
    mesh.node(mesh.hosts[1])
    bird = Bird1(mesh.hosts[0], mesh.etcd.url)
    bird.start()
    mesh.agents[1].start()
    mesh.workload(mesh.hosts[1], "w2", "192.168.0.2")
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22)}, timeout=PATIENCE)
    mesh.agents[1].kill()
    time.sleep(0.5)
    assert bird_routes(mesh.hosts[0]) == {via("192.168.0.2", 22)}, "it helps once"
    mesh.agents[1].start_cut_short(lambda: bird.established() == 1)
    wait_routes(mesh.hosts[0], set(), timeout=PATIENCE)
    mesh.agents[1].start()
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22)}, timeout=PATIENCE)


def test_a_dead_node_keeps_no_new_route_out(lab: Lab) -> None:
    """What is learned after a restart is in the kernel while a node is waited for; only deletions wait for it."""
    mesh = Mesh(lab, 2, "--stale-route-time", "3600")
    mesh.etcd.start()
    mesh.node_at("dead", "192.168.78.99")
    for agent in mesh.agents:
        agent.start()
    old = mesh.workload(mesh.hosts[1], "old", "192.168.0.1")
    wait_routes(mesh.hosts[0], {via("192.168.0.1", 22)}, timeout=PATIENCE)
    mesh.agents[0].kill()
    mesh.etcd.delete(old.endpoint()[0])
    wait_for("host2 announces it no more", lambda: mesh.agents[1].status()["announced"] == [])
    mesh.workload(mesh.hosts[1], "new", "192.168.0.2")
    mesh.watch_kernels()
    mesh.agents[0].start()
    wait_routes(mesh.hosts[0], {via("192.168.0.1", 22), via("192.168.0.2", 22)}, timeout=PATIENCE)
    wait_for("all of the living node", lambda: complete(mesh.agents[0], 1), PATIENCE)
    status = mesh.agents[0].status()
    assert (status["sessions"]["wanted"], status["sessions"]["established"]) == (2, 1)
    assert status["kernel"]["stale"] == 1, "the old route waits for the dead node"
    assert mesh.deleted() == []


def test_another_next_hop_deletes_nothing() -> None:
    """Of 2,000 routes; with BIRD each is deleted and made again (`python -m benchmarks.restart --jobs 'next hops'`)."""
    assert changed("calico_route", 2000) == {"deleted": 0, "hole": 0.0}
