"""Agents, BIRD, etcd and kernels together: what an operator does to a mesh, and what must not happen."""

from __future__ import annotations

import signal
import time

import pytest

from demo.article import lost_packets
from demo.lab import Lab, wait_for
from tests.e2e.bird import Bird, mesh_configuration
from tests.e2e.mesh import RESOURCES, Mesh, bird_routes, wait_routes

pytestmark = [pytest.mark.netns, pytest.mark.daemon]


def via(address: str, last: int) -> str:
    return f"{address} via 192.168.78.{last}"


def test_three_agents_and_bird_both_families(lab: Lab) -> None:
    mesh = Mesh(lab, 3, v6=True)
    stock = lab.host("stock", "192.168.78.30/24", "2001:db8:78::30/64")
    mesh.etcd.start()
    mesh.pool("default-ipv4-ippool", "192.168.0.0/16")
    mesh.pool("default-ipv6-ippool", "fd80::/16")
    mesh.node(stock)
    peers = [host.address for host in mesh.hosts] + [str(host.address_v6) for host in mesh.hosts]
    bird = Bird(stock, mesh_configuration(stock, peers))
    bird.start()
    for agent in mesh.agents:
        agent.start()
    hosts = [*mesh.hosts, stock]
    last = [21, 22, 23, 30]
    for number, host in enumerate(hosts, 1):
        mesh.workload(host, f"four{number}", f"192.168.0.{number}")
        mesh.workload(host, f"six{number}", f"fd80::{number}")
    for own, host in enumerate(hosts):
        others = [n for n in range(4) if n != own]
        wait_routes(host, {via(f"192.168.0.{n + 1}", last[n]) for n in others}, timeout=30)
        wait_routes(host, {f"fd80::{n + 1} via 2001:db8:78::{last[n]}" for n in others}, family=6)
    assert bird.established() == 6
    for agent in mesh.agents:
        peers_of = agent.status()["peers"]
        assert len(peers_of) == 6
        assert all(peer["state"] == "Established" for peer in peers_of)


def test_workload_comes_and_goes(lab: Lab) -> None:
    mesh = Mesh(lab, 2)
    mesh.start()
    one = mesh.workload(mesh.hosts[0], "one", "192.168.0.1")
    two = mesh.workload(mesh.hosts[1], "two", "192.168.0.2")
    wait_routes(mesh.hosts[1], {via("192.168.0.1", 21)})
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22)})
    assert lost_packets(one.run("ping", "-c", "3", "-i", "0.2", "192.168.0.2")) == 0
    assert "192.168.0.2 via 192.168.78.22 dev enp0s8 proto bird" in mesh.hosts[0].routes()
    mesh.etcd.delete(two.endpoint()[0])
    wait_routes(mesh.hosts[0], set())
    mesh.etcd.put(*two.endpoint())
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22)})
    assert bird_routes(mesh.hosts[1]) == {via("192.168.0.1", 21)}


def test_endpoint_without_interface_waits_for_it(lab: Lab) -> None:
    mesh = Mesh(lab, 2)
    mesh.start()
    early = lab.container(mesh.hosts[1], "early", "192.168.0.7")
    mesh.hosts[1].run("ip", "link", "set", early.interface, "name", "parked0")
    mesh.etcd.put(*early.endpoint())
    mesh.workload(mesh.hosts[1], "there", "192.168.0.8")
    wait_routes(mesh.hosts[0], {via("192.168.0.8", 22)})
    mesh.hosts[1].run("ip", "link", "set", "parked0", "name", early.interface)
    wait_routes(mesh.hosts[0], {via("192.168.0.7", 22), via("192.168.0.8", 22)})


def test_node_added_and_removed(lab: Lab) -> None:
    mesh = Mesh(lab, 3)
    mesh.start()
    for number, host in enumerate(mesh.hosts, 1):
        mesh.workload(host, f"w{number}", f"192.168.0.{number}")
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22), via("192.168.0.3", 23)})
    wait_routes(mesh.hosts[1], {via("192.168.0.1", 21), via("192.168.0.3", 23)})
    mesh.watch_kernels()
    before = {peer["address"]: peer["since"] for peer in mesh.agents[0].status()["peers"]}
    fourth = mesh.add_host()
    mesh.agents[3].start()
    mesh.workload(fourth, "w4", "192.168.0.4")
    for host in mesh.hosts[:3]:
        wait_for("w4 everywhere", lambda host=host: via("192.168.0.4", 24) in bird_routes(host))  # type: ignore[misc]
    assert mesh.deleted() == []
    mesh.agents[3].kill(signal.SIGTERM)
    mesh.etcd.delete(f"{RESOURCES}/nodes/host4")
    for host in mesh.hosts[:3]:
        wait_for("w4 gone", lambda host=host: via("192.168.0.4", 24) not in bird_routes(host))  # type: ignore[misc]
    after = {peer["address"]: peer["since"] for peer in mesh.agents[0].status()["peers"]}
    assert after == before, "the other sessions were touched"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_agent_restart_is_not_noticed(lab: Lab, how: int) -> None:
    """A crash and a planned restart: no route is deleted anywhere, no packet lost."""
    mesh = Mesh(lab, 3)
    mesh.start()
    stock = lab.host("stock", "192.168.78.30/24")
    mesh.node(stock)
    bird = Bird(stock, mesh_configuration(stock, [host.address for host in mesh.hosts]))
    bird.start()
    containers = [mesh.workload(host, f"w{n}", f"192.168.0.{n}") for n, host in enumerate(mesh.hosts, 1)]
    everything = {1: 21, 2: 22, 3: 23}
    for own, host in enumerate(mesh.hosts, 1):
        wait_routes(host, {via(f"192.168.0.{n}", last) for n, last in everything.items() if n != own})
    wait_routes(stock, {via(f"192.168.0.{n}", last) for n, last in everything.items()})
    mesh.hosts.append(stock)
    mesh.watch_kernels()
    ping = containers[0].start("ping", "ping", "-i", "0.05", "-c", "160", "192.168.0.2")
    for _ in range(2):
        mesh.agents[1].kill(how)
        time.sleep(0.7)
        mesh.agents[1].start()
        wait_for("host2 is back", lambda: mesh.established(mesh.agents[1]) == 3)
        time.sleep(1.0)
    ping.popen.wait(30)
    assert mesh.deleted() == []
    assert lost_packets(ping.text()) == 0


def test_workload_that_went_while_its_agent_was_away(lab: Lab) -> None:
    mesh = Mesh(lab, 2)
    mesh.start()
    gone = mesh.workload(mesh.hosts[1], "gone", "192.168.0.5")
    mesh.workload(mesh.hosts[1], "stays", "192.168.0.6")
    both = {via("192.168.0.5", 22), via("192.168.0.6", 22)}
    wait_routes(mesh.hosts[0], both)
    mesh.agents[1].kill()
    mesh.etcd.delete(gone.endpoint()[0])
    time.sleep(0.5)
    assert bird_routes(mesh.hosts[0]) == both, "the helper keeps what it had"
    mesh.agents[1].start()
    wait_routes(mesh.hosts[0], {via("192.168.0.6", 22)})


def test_etcd_away_during_changes(lab: Lab) -> None:
    mesh = Mesh(lab, 2)
    mesh.start()
    first = mesh.workload(mesh.hosts[1], "first", "192.168.0.1")
    wait_routes(mesh.hosts[0], {via("192.168.0.1", 21 + 1)})
    mesh.watch_kernels()
    assert mesh.etcd.process is not None
    mesh.etcd.process.kill()
    time.sleep(2)
    assert bird_routes(mesh.hosts[0]) == {via("192.168.0.1", 22)}
    mesh.agents[1].kill()
    mesh.agents[1].start()
    wait_for("host2 works from its snapshot", lambda: mesh.established(mesh.agents[1]) == 1)
    mesh.etcd.start()
    mesh.etcd.delete(first.endpoint()[0])
    mesh.workload(mesh.hosts[1], "second", "192.168.0.2")
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22)})
    assert all("192.168.0.1 " in line for line in mesh.deleted())


def test_without_etcd_and_snapshot_nothing_is_sent(lab: Lab) -> None:
    """An agent which knows nothing opens no session: an empty End-of-RIB would make its peers flush."""
    mesh = Mesh(lab, 2)
    mesh.start()
    mesh.workload(mesh.hosts[1], "kept", "192.168.0.1")
    wait_routes(mesh.hosts[0], {via("192.168.0.1", 22)})
    assert mesh.etcd.process is not None
    mesh.etcd.process.kill()
    mesh.agents[1].kill()
    mesh.agents[1].state += "-empty"
    mesh.agents[1].start()
    wait_for("the agent says that it waits", lambda: mesh.agents[1].status() != {})
    time.sleep(2)
    assert bird_routes(mesh.hosts[0]) == {via("192.168.0.1", 22)}
    assert mesh.established(mesh.agents[1]) == 0


def test_link_down_and_up(lab: Lab) -> None:
    mesh = Mesh(lab, 2, "--hold-time", "9")
    mesh.start()
    mesh.workload(mesh.hosts[0], "one", "192.168.0.1")
    mesh.workload(mesh.hosts[1], "two", "192.168.0.2")
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22)})
    mesh.hosts[0].run("ip", "link", "set", "enp0s8", "down")
    wait_routes(mesh.hosts[0], set())
    time.sleep(1)
    mesh.hosts[0].run("ip", "link", "set", "enp0s8", "up")
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22)}, timeout=40)
    wait_routes(mesh.hosts[1], {via("192.168.0.1", 21)}, timeout=40)


def test_foreign_routes_are_left_alone(lab: Lab) -> None:
    mesh = Mesh(lab, 2)
    host = mesh.hosts[0]
    host.run("ip", "route", "add", "192.168.0.9", "via", "192.168.78.22", "proto", "static")
    host.run("ip", "route", "add", "192.168.0.10", "via", "192.168.78.22", "proto", "bird", "table", "100")
    host.run("ip", "route", "add", "192.168.0.11", "via", "192.168.78.22", "proto", "bird")
    mesh.start()
    mesh.workload(mesh.hosts[1], "two", "192.168.0.2")
    wait_for("route in", lambda: via("192.168.0.2", 22) in bird_routes(host))
    wait_routes(host, {via("192.168.0.2", 22)}, timeout=40)  # the adopted .11 that nobody confirms goes
    assert any("192.168.0.9 " in line for line in host.routes("proto", "static"))
    assert any("192.168.0.10 " in line for line in host.routes("table", "100"))
