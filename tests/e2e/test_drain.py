"""`calico-route drain` beside BIRD: what a stock neighbour hears before routes are withdrawn, and when one may stop."""

from __future__ import annotations

import subprocess
import sys

import pytest

from demo.lab import Lab, wait_for
from tests.e2e.bird import Bird, mesh_configuration
from tests.e2e.bird1 import Bird1
from tests.e2e.mesh import Mesh, bird_routes, wait_routes

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

WAIT = "5"  # seconds
ROUTE = "192.168.0.1/32"


@pytest.mark.parametrize("version", [1, 2])
def test_a_node_says_good_bye(lab: Lab, version: int) -> None:
    mesh = Mesh(lab, 2)
    stock = lab.host("stock", "192.168.78.30/24")
    mesh.etcd.start()
    mesh.pool("default-ipv4-ippool", "192.168.0.0/16")
    for host in (*mesh.hosts, stock):
        mesh.node(host)
    bird: Bird | Bird1 = (
        Bird1(stock, mesh.etcd.url)
        if version == 1
        else Bird(stock, mesh_configuration(stock, [host.address for host in mesh.hosts]))
    )
    bird.start()
    for agent in mesh.agents:
        agent.start()
    for number, host in enumerate(mesh.hosts, 1):
        mesh.workload(host, f"w{number}", f"192.168.0.{number}")
    both = {f"192.168.0.{n} via {host.address}" for n, host in enumerate(mesh.hosts, 1)}
    wait_routes(stock, both, timeout=40)

    def heard() -> str:
        return " ".join(bird.ctl("show", "route", ROUTE, "all").split())

    assert "BGP.local_pref: 100" in heard()
    assert "65535,0" not in heard()
    words = [sys.executable, "-m", "calico_route", "drain", "--socket", mesh.agents[0].socket]
    with subprocess.Popen(
        mesh.hosts[0].command(*words, "--wait", WAIT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as drain:
        wait_for("BIRD hears of it", lambda: "(65535,0)" in heard() and "BGP.local_pref: 0" in heard())
        assert bird_routes(stock) == both, "it is still a way"
        assert drain.poll() is None, "it is not safe yet"
        said, _ = drain.communicate(timeout=60)
    assert drain.returncode == 0
    assert said.splitlines() == [
        "2 neighbours are told that host1 is about to go",
        "routes are withdrawn",
        "every neighbour knows: it is safe to stop",
    ]
    wait_routes(stock, {f"192.168.0.2 via {mesh.hosts[1].address}"})
    wait_routes(mesh.hosts[1], set())
    assert "192.168.0.1" not in bird.ctl("show", "route")
    assert mesh.established(mesh.agents[0]) == 2
    assert bird_routes(mesh.hosts[0]) == {f"192.168.0.2 via {mesh.hosts[1].address}"}, "what it has learned stays"
    mesh.hosts[0].run(*words, "--end")
    wait_routes(stock, both)
    assert "BGP.local_pref: 100" in heard()
