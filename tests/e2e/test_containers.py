"""`calico-route node` with everything beside the agent: containers by CNI on two hosts, killed agents, its end."""

from __future__ import annotations

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.lab import Lab, wait_for
from demo.node import Box, Node, box, cali, journal
from tests.e2e.mesh import RESOURCES, Mesh, wait_routes
from tests.e2e.test_privileges import credentials

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

FOUR = f"{1 << 10 | 1 << 12 | 1 << 19 | 1 << 21:016x}"  # BIND_SERVICE, NET_ADMIN, SYS_PTRACE, SYS_ADMIN


def nodes(lab: Lab, *flags: str) -> tuple[Mesh, Node, Node]:
    mesh = Mesh(lab, 2)
    mesh.etcd.start()
    first, second = (Node(host, mesh.etcd.url, *flags) for host in mesh.hosts)
    first.start()
    second.start()
    return mesh, first, second


def ping(inside: Box, target: str, *, lost: bool = False) -> None:
    text = inside.run("ping", "-c1", "-W1", target, check=False)
    assert ("100% packet loss" in text) == lost, text


def test_two_containers_on_two_hosts(lab: Lab) -> None:
    """As in the article: addresses in order over both hosts, a /32 on each side, and packets between members of one
    profile; then the same with both agents killed and started again, and nothing at the end."""
    mesh, first, second = nodes(lab)
    one, two, other = box(first.host, "c1"), box(second.host, "c2"), box(second.host, "c3")
    db = first.network(profiles=["db"])
    added = first.cni("ADD", "c1", one, db)
    assert added["ips"] == [{"address": "192.168.0.1/32", "gateway": "169.254.1.1", "interface": 1}]
    cali_name = added["interfaces"][0]["name"]
    assert second.cni("ADD", "c2", two, second.network(profiles=["db"]))["ips"][0]["address"] == "192.168.0.2/32"
    assert second.cni("ADD", "c3", other, second.network(profiles=["web"]))["ips"][0]["address"] == "192.168.0.3/32"
    wait_routes(first.host, {"192.168.0.2 via 192.168.78.22", "192.168.0.3 via 192.168.78.22"})
    wait_routes(second.host, {"192.168.0.1 via 192.168.78.21"})
    assert f"192.168.0.1 dev {cali_name} scope link" in first.host.routes()
    wait_for("c1 reaches c2", lambda: " 0% packet loss" in one.run("ping", "-c1", "-W1", "192.168.0.2", check=False))
    ping(other, "192.168.0.1", lost=True)

    status = first.status()
    assert status["workloads"]["count"] == 1
    assert status["policy"]["interfaces"].keys() == {cali_name}
    assert "workloads  1 count" in first.status_text()
    assert first.process is not None
    assert credentials(first.process.pid)["CapEff"] == FOUR

    for node in (first, second):
        node.kill()
    ping(one, "192.168.0.2")
    ping(other, "192.168.0.1", lost=True)
    for node in (first, second):
        node.start()
    wait_routes(second.host, {"192.168.0.1 via 192.168.78.21"})
    ping(one, "192.168.0.2")
    ping(other, "192.168.0.1", lost=True)
    assert first.cni("CHECK", "c1", one, {**db, "prevResult": added}) == {}

    for node, container, inside in ((first, "c1", one), (second, "c2", two), (second, "c3", other)):
        assert node.cni("DEL", container, inside, node.network()) == {}
        assert node.cni("DEL", container, None, node.network()) == {}, "again"
    wait_routes(first.host, set())
    for node in (first, second):
        assert cali(node.host) == journal(node) == []
    endpoints = mesh.etcd.ctl("get", "--prefix", "--keys-only", f"{RESOURCES}/workloadendpoints/")
    assert endpoints.split() == []
    handles = mesh.etcd.ctl("get", "--prefix", "--keys-only", "/calico/ipam/v2/handle/")
    assert handles.split() == []


def test_all_containers_of_a_node_go_at_once(lab: Lab) -> None:
    """To the agent that is no mass deletion, which it would hold back: the interfaces go, too."""
    _, first, second = nodes(lab)
    boxes = [box(first.host, f"c{number}") for number in range(8)]
    for inside in boxes:
        first.cni("ADD", inside.name, inside, first.network())
    wait_routes(second.host, {f"192.168.0.{last} via 192.168.78.21" for last in range(1, 9)})
    with ThreadPoolExecutor(len(boxes)) as threads:
        removed = [threads.submit(first.ask, {"request": "remove", "container": inside.name}) for inside in boxes]
    assert all("removed" in one.result() for one in removed)
    wait_routes(second.host, set())
    assert first.status()["held_back"] == []


def test_a_container_without_rules_is_not_heard(lab: Lab) -> None:
    """A `cali…` interface that nobody has admitted: with policy on its packets are dropped."""
    mesh = Mesh(lab, 1)
    mesh.etcd.start()
    node = Node(mesh.hosts[0], mesh.etcd.url)
    node.start()
    stranger = lab.container(node.host, "stranger", "192.168.9.9")
    text = stranger.run("ping", "-c1", "-W1", node.host.address, check=False)
    assert "100% packet loss" in text


def test_detached_and_stopped(lab: Lab) -> None:
    mesh = Mesh(lab, 1)
    mesh.etcd.start()
    node = Node(mesh.hosts[0], mesh.etcd.url)
    log = lab.directory / "node.log"
    told = node.host.run(*node.command(), "--detach", "--log-file", str(log), timeout=60)
    pid = int(Path(node.socket).with_suffix(".pid").read_text())
    try:
        assert f"node host1 runs: pid {pid}, 192.168.78.21, AS 64512" in told
        assert str(log) in told
        assert "workloads on" in log.read_text()
        wait_for("the node is ready", node.ready)
        again = lab.run(*node.host.command("sh", "-c", '"$@" 2>&1', "sh", *node.command(), "--detach"), check=False)
        assert "runs already" in again
        one = box(node.host, "c1")
        node.cni("ADD", "c1", one, node.network())
        refused = stop(lab, node)
        assert "Current host has active endpoints so can't be stopped. Force with --force" in refused
        assert "host1-cni-c1-eth1" in refused
        assert node.status()["pid"] == pid
        node.cni("DEL", "c1", one, node.network())
        assert "calico_route" in tables(node)
        other = stop(lab, node, "host9")
        assert "is of node host1: give --node-name host1" in other
        assert node.status()["pid"] == pid
        assert stop(lab, node) == "Node stopped and all configuration removed\n"
        assert "calico_route" not in tables(node), "without workloads there is nothing to protect"
        wait_for("it has ended", lambda: not Path(f"/proc/{pid}").exists())
        assert mesh.etcd.ctl("get", "--keys-only", f"{RESOURCES}/nodes/host1").split() == []
        assert not Path(node.socket).with_suffix(".pid").exists()
        assert "no agent of host1 runs here" in stop(lab, node)
    finally:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)


def tables(node: Node) -> str:
    return node.host.run("nft", "list", "tables")


def stop(lab: Lab, node: Node, name: str = "") -> str:
    words = [sys.executable, "-m", "calico_route", "node", "stop", *node.source]
    words += ["--node-name", name or node.host.name, "--socket", node.socket]
    return lab.run(*node.host.command("sh", "-c", '"$@" 2>&1', "sh", *words), check=False)


def test_detached_and_not_able_to_start(lab: Lab) -> None:
    host = lab.host("host1", "192.168.78.21/24")
    node = Node(host, "http://192.168.78.21:1")
    Path(node.state).write_text("no directory")
    words = [
        *node.command(),
        "--detach",
        "--log-file",
        str(lab.directory / "x.log"),
        "--mesh-password-file",
        "/no/such",
    ]
    told = lab.run(*host.command("sh", "-c", '"$@" 2>&1', "sh", *words), check=False)
    assert "/no/such" in told


def test_detached_beside_the_sockets_of_one_that_was_killed(lab: Lab) -> None:
    """Their files are there; what counts is who answers."""
    mesh = Mesh(lab, 1)
    mesh.etcd.start()
    node = Node(mesh.hosts[0], mesh.etcd.url)
    node.start()
    node.kill()
    assert node.workloads.exists()
    node.host.run(*node.command(), "--detach", "--log-file", str(lab.directory / "node.log"), timeout=60)
    try:
        assert "workloads" in node.ask({"request": "list"}), "at once"
    finally:
        stop(lab, node)


def test_rules_of_before_end_with_policy_off(lab: Lab) -> None:
    """Else they would drop whatever comes after them."""
    mesh = Mesh(lab, 1)
    mesh.etcd.start()
    node = Node(mesh.hosts[0], mesh.etcd.url)
    node.start()
    one = box(node.host, "c1")
    node.cni("ADD", "c1", one, node.network(profiles=["a"]))
    node.kill()
    assert "calico_route" in tables(node)
    node = Node(mesh.hosts[0], mesh.etcd.url, "--policy", "off")
    node.start()
    two = box(node.host, "c2")
    node.cni("ADD", "c2", two, node.network(profiles=["b"]))
    ping(one, "192.168.0.2")
    assert "calico_route" not in tables(node)


def test_the_status_document_is_json(lab: Lab) -> None:
    mesh = Mesh(lab, 1)
    mesh.etcd.start()
    node = Node(mesh.hosts[0], mesh.etcd.url, "--policy", "off")
    node.start()
    one, two = box(node.host, "c1"), box(node.host, "c2")
    assert "ips" in node.cni("ADD", "c1", one, node.network(profiles=["a"]))
    node.cni("ADD", "c2", two, node.network(profiles=["b"]))
    ping(one, "192.168.0.2")
    status = node.status()
    assert "policy" not in status
    assert json.loads(json.dumps(status))["workloads"]["problems"] == []
