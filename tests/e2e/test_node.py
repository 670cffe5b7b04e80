"""One node among others: where its workloads come from, what its kernel gets, how it leaves."""

from __future__ import annotations

import json
import os
import signal
import stat
import time

import pytest

from demo.agent import Agent
from demo.lab import Container, Lab, wait_for
from tests.e2e.bird import Bird, mesh_configuration
from tests.e2e.mesh import RESOURCES, Mesh, bird_routes, wait_routes

pytestmark = [pytest.mark.netns, pytest.mark.daemon]


def via(address: str, last: int) -> str:
    return f"{address} via 192.168.78.{last}"


@pytest.mark.parametrize("source", ["kernel", "both"])
def test_workloads_from_the_kernel(lab: Lab, source: str) -> None:
    """What has a host route to a `cali…` interface is announced, whether etcd knows of it or not."""
    mesh = Mesh(lab, 2, "--workloads-from", source)
    mesh.start()
    first = lab.container(mesh.hosts[1], "first", "192.168.0.1")
    wait_routes(mesh.hosts[0], {via("192.168.0.1", 22)})
    lab.container(mesh.hosts[1], "second", "192.168.0.2")
    wait_routes(mesh.hosts[0], {via("192.168.0.1", 22), via("192.168.0.2", 22)})
    mesh.hosts[1].run("ip", "link", "del", first.interface)
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22)})


def test_only_what_a_pool_allows_is_announced(lab: Lab) -> None:
    mesh = Mesh(lab, 2)
    mesh.start()
    mesh.workload(mesh.hosts[1], "inside", "192.168.0.1")
    mesh.workload(mesh.hosts[1], "outside", "10.99.0.1")
    wait_routes(mesh.hosts[0], {via("192.168.0.1", 22)})
    assert "10.99.0.1" in mesh.agents[1].status_text(), "status says what is not announced, and why"
    mesh.pool("more", "10.99.0.0/24")
    wait_routes(mesh.hosts[0], {via("192.168.0.1", 22), via("10.99.0.1", 22)})


def test_the_same_address_on_two_nodes_is_multipath(lab: Lab) -> None:
    mesh = Mesh(lab, 3)
    mesh.start()
    mesh.workload(mesh.hosts[1], "here", "192.168.0.1")
    there = mesh.workload(mesh.hosts[2], "there", "192.168.0.1")

    def next_hops() -> set[str]:
        lines = " ".join(mesh.hosts[0].routes("192.168.0.1/32", "proto", "bird")).split()
        return {word for word in lines if word.startswith("192.168.78.")}

    wait_for("two next hops", lambda: next_hops() == {"192.168.78.22", "192.168.78.23"})
    mesh.etcd.delete(there.endpoint()[0])
    wait_for("one next hop", lambda: next_hops() == {"192.168.78.22"})


def test_routes_of_before_are_adopted(lab: Lab) -> None:
    """Same next hop: not touched at all. Another metric: the new one goes in first. Unknown: goes at the end."""
    mesh = Mesh(lab, 2)
    host = mesh.hosts[0]
    host.run("ip", "route", "add", "192.168.0.1", "via", "192.168.78.22", "proto", "bird")
    host.run("ip", "route", "add", "192.168.0.2", "via", "192.168.78.22", "proto", "bird", "metric", "1024")
    host.run("ip", "route", "add", "192.168.0.3", "via", "192.168.78.99", "proto", "bird")
    for number in (1, 2):
        lab.container(mesh.hosts[1], f"w{number}", f"192.168.0.{number}")
    mesh.watch_kernels()
    mesh.etcd.start()
    for number in (1, 2):
        container = next(c for c in lab.namespaces if c.name == f"w{number}")
        mesh.etcd.put(*container.endpoint())  # type: ignore[attr-defined]
    for agent in mesh.agents:
        agent.start()
    wait_routes(host, {via("192.168.0.1", 22), via("192.168.0.2", 22)}, timeout=40)
    assert "metric" not in " ".join(host.routes("proto", "bird"))
    lines = [line for line in mesh.monitors[0].text().splitlines() if "203.0.113.1" not in line]
    assert not any("192.168.0.1 " in line for line in lines), "an equal route is not touched"
    second = [line for line in lines if "192.168.0.2 " in line]
    assert [line.startswith("Deleted") for line in second] == [False, True]


def test_the_hosts_own_addresses_are_never_covered(lab: Lab) -> None:
    """The hosts live inside the pool: a workload with a host's address does not take its traffic away."""
    mesh = Mesh(lab, 3, "--announce-unchecked")
    mesh.start()
    mesh.workload(mesh.hosts[1], "fine", "192.168.0.1")
    mesh.workload(mesh.hosts[2], "other", "192.168.0.2")
    fine = {via("192.168.0.1", 22), via("192.168.0.2", 23)}
    wait_routes(mesh.hosts[0], fine)
    for number, address in enumerate(("192.168.78.21", "192.168.78.23")):
        clash = Container(lab, f"clash{number}", "")
        clash.address, clash.host, clash.interface = address, mesh.hosts[1], "cali0"
        mesh.etcd.put(*clash.endpoint())

    def problems() -> str:
        return json.dumps(mesh.agents[0].status().get("kernel"))

    wait_for("status tells of both", lambda: all(f"192.168.78.{n}" in problems() for n in (21, 23)))
    assert bird_routes(mesh.hosts[0]) == fine
    assert " via " not in mesh.hosts[0].run("ip", "route", "get", "192.168.78.23")


def test_a_mass_deletion_is_held_back(lab: Lab) -> None:
    mesh = Mesh(lab, 2, "--mass-deletion-hold", "4")
    mesh.start()
    mesh.workload(mesh.hosts[1], "one", "192.168.0.1")
    wait_routes(mesh.hosts[0], {via("192.168.0.1", 22)})
    mesh.watch_kernels()
    mesh.etcd.ctl("del", "--prefix", f"{RESOURCES}/ippools/")
    wait_for("it is shouted", lambda: "held" in mesh.agents[1].status_text().lower())
    assert bird_routes(mesh.hosts[0]) == {via("192.168.0.1", 22)}
    mesh.pool("again", "192.168.0.0/16")
    wait_for("it is over", lambda: not mesh.agents[1].status()["held_back"])
    assert mesh.deleted() == []
    mesh.etcd.ctl("del", "--prefix", f"{RESOURCES}/ippools/")
    wait_routes(mesh.hosts[0], set(), timeout=20)  # after the time of the flag it is believed


def test_leaving(lab: Lab) -> None:
    mesh = Mesh(lab, 2)
    mesh.agents[1].flags = ("--flush-on-exit",)
    mesh.start()
    for number, host in enumerate(mesh.hosts, 1):
        mesh.workload(host, f"w{number}", f"192.168.0.{number}")
    wait_routes(mesh.hosts[0], {via("192.168.0.2", 22)})
    wait_routes(mesh.hosts[1], {via("192.168.0.1", 21)})
    mode = os.stat(mesh.agents[0].socket).st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    begin = time.monotonic()
    assert mesh.agents[1].kill(signal.SIGTERM) == 0
    assert time.monotonic() - begin < 5
    assert bird_routes(mesh.hosts[1]) == set()
    wait_routes(mesh.hosts[0], set())
    assert mesh.agents[1].status() == {}


def test_a_mesh_from_files(lab: Lab) -> None:
    """Hosts without etcd: the same objects from a file, read again when it changes."""
    hosts = [lab.host(f"host{n}", f"192.168.78.2{n}/24") for n in (1, 2)]
    file = lab.directory / "cluster.yaml"
    nodes = "".join(
        f"---\napiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {{name: {host.name}}}\n"
        f"spec: {{bgp: {{ipv4Address: {host.address}/24}}}}\n"
        for host in hosts
    )
    pool = "---\napiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p}\nspec: {cidr: 192.168.0.0/16}\n"
    container = lab.container(hosts[1], "c", "192.168.0.9")
    endpoint = "---\n" + container.endpoint()[1] + "\n"
    file.write_text(nodes + pool + endpoint)
    agents = [Agent(host, "") for host in hosts]
    for agent in agents:
        agent.source = ["--peer-from-file", str(file)]
        agent.start()
    wait_routes(hosts[0], {via("192.168.0.9", 22)})
    file.write_text(nodes + pool + "---\n{broken")
    time.sleep(2.5)
    assert bird_routes(hosts[0]) == {via("192.168.0.9", 22)}, "a broken file changes nothing"
    file.write_text(nodes + pool)
    wait_routes(hosts[0], set())


def test_next_hop_behind_a_router(lab: Lab) -> None:
    """Nodes on two networks: the next hop is not on a link and follows the kernel's own routes."""
    mesh = Mesh(lab, 1)
    host = mesh.hosts[0]
    far = lab.host("far", "192.168.79.5/24")
    for number in (1, 2):
        router = lab.host(f"router{number}", f"192.168.78.{240 + number}/24")
        router.run("ip", "address", "add", f"192.168.79.{240 + number}/24", "dev", "enp0s8")
    for name in ("host1", "store"):
        near = next(n for n in lab.namespaces if n.name == name)
        near.run("ip", "route", "add", "192.168.79.0/24", "via", "192.168.78.241")
    far.run("ip", "route", "add", "192.168.78.0/24", "via", "192.168.79.241")
    mesh.hosts.append(far)
    mesh.agents.append(Agent(far, mesh.etcd.url))
    mesh.start()
    mesh.workload(far, "one", "192.168.0.1")
    wait_routes(host, {via("192.168.0.1", 241)})
    mesh.watch_kernels()
    host.run("ip", "route", "replace", "192.168.79.0/24", "via", "192.168.78.242")
    wait_routes(host, {via("192.168.0.1", 242)})
    assert mesh.deleted() == []
    host.run("ip", "route", "del", "192.168.79.0/24")
    wait_routes(host, set())
    host.run("ip", "route", "add", "192.168.79.0/24", "via", "192.168.78.241")
    wait_routes(host, {via("192.168.0.1", 241)}, timeout=40)


def test_a_mesh_with_password_and_ttl_security(lab: Lab) -> None:
    """All sessions of the mesh protected, a stock node among them."""
    secret = lab.directory / "secret"
    secret.write_text("for the mesh\n")
    mesh = Mesh(lab, 2, "--mesh-password-file", str(secret), "--ttl-security", "1")
    stock = lab.host("stock", "192.168.78.30/24")
    mesh.etcd.start()
    mesh.node(stock)
    peers = [host.address for host in mesh.hosts]
    bird = Bird(stock, mesh_configuration(stock, peers, options='password "for the mesh"; direct; ttl security on;'))
    bird.start()
    for agent in mesh.agents:
        agent.start()
    hosts = {21: mesh.hosts[0], 22: mesh.hosts[1], 30: stock}
    for last, host in hosts.items():
        mesh.workload(host, f"w{last}", f"192.168.0.{last}")
    for own, host in hosts.items():
        wait_routes(host, {via(f"192.168.0.{last}", last) for last in hosts if last != own}, timeout=30)
    assert bird.established() == 2
    for agent in mesh.agents:
        assert "for the mesh" not in json.dumps(agent.status()) + agent.process_text()
