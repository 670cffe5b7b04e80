"""Debian's `birdc` as client of an agent, beside the same questions to a BIRD in the same mesh."""

from __future__ import annotations

import shutil

import pytest

from demo.lab import Host, Lab, wait_for
from tests.e2e.bird import Bird, mesh_configuration
from tests.e2e.mesh import Mesh

pytestmark = [pytest.mark.netns, pytest.mark.daemon]


class Client:
    """`birdc` with the socket of an agent."""

    def __init__(self, host: Host, path: str) -> None:
        found = shutil.which("birdc", path="/usr/sbin:/sbin:/usr/bin:/usr/local/sbin")
        if found is None:
            pytest.skip("birdc is missing: apt-get install bird2")
        self.binary, self.host, self.path = found, host, path

    def __call__(self, *words: str) -> list[str]:
        """The answer without birdc's own first lines."""
        return self.host.run(self.binary, "-s", self.path, *words, check=False).splitlines()[1:]


def columns(line: str) -> list[str]:
    return line.split()[:4]


def test_birdc_asks_an_agent(lab: Lab) -> None:
    sockets = [str(lab.directory / f"bird{number}.ctl") for number in ("", "6")]
    mesh = Mesh(lab, 2, "--announce", "blocks", "--bird-socket", sockets[0], "--bird6-socket", sockets[1])
    first, second = mesh.hosts
    mesh.etcd.start()
    mesh.pool("default-ipv4-ippool", "192.168.0.0/16")
    mesh.etcd.put("/calico/ipam/v2/host/host1/ipv4/block/192.168.221.64-26", '{"state":"confirmed"}')
    mesh.workload(first, "c1", "192.168.99.5")
    mesh.node(second)
    bird = Bird(second, mesh_configuration(second, [first.address], "[ 192.168.8.0/24+ ]"))
    bird.start()
    mesh.workload(second, "c2", "192.168.8.1")
    agent = mesh.agents[0]
    agent.start()
    ask = Client(first, sockets[0])
    name = "Mesh_192_168_78_22"
    wait_for("the session", lambda: any(name in one and "Established" in one for one in ask("show", "protocols")))
    wait_for("its route", lambda: any("192.168.8.1/32" in one for one in ask("show", "route")))

    status = ask("show", "status")
    assert status[0].startswith("BIRD 1.6.8 (calico_route")
    assert status[1] == f"Router ID is {first.address}"
    assert status[-1] == "Daemon is up and running"
    protocols = ask("show", "protocols")
    assert protocols[0].split() == ["name", "proto", "table", "state", "since", "info"]
    assert [columns(line)[:2] for line in protocols[1:]] == [
        ["static1", "Static"], ["kernel1", "Kernel"], ["device1", "Device"], [name, "BGP"],
    ]  # fmt: skip
    details = [line.strip() for line in ask("show", "protocols", "all", name)]
    assert "BGP state:          Established" in details
    assert f"Neighbor ID:      {second.address}" in details
    assert any(line.startswith("Routes:         1 imported, 2 exported") for line in details), details

    routes = {line.split()[0]: line for line in ask("show", "route")}
    assert routes.keys() == {"192.168.221.64/26", "192.168.99.5/32", "192.168.8.1/32"}
    assert " blackhole [static1 " in routes["192.168.221.64/26"]
    assert f" via {second.address} on {first.interface} [{name} " in routes["192.168.8.1/32"]
    assert routes["192.168.8.1/32"].endswith("* (100/0) [i]")
    assert " dev cali" in routes["192.168.99.5/32"]
    exported = {line.split()[0] for line in ask("show", "route", "export", name)}
    assert exported == {"192.168.221.64/26", "192.168.99.5/32"} <= bird.prefixes()
    assert "BGP.local_pref: 100" in [line.strip() for line in ask("show", "route", "192.168.8.1/32", "all")]
    assert ask("show", "route", "for", "9.9.9.9") == ["Network not in table"]
    assert ask("show", "memory") == ["syntax error"]
    six = Client(first, sockets[1])
    assert [columns(line)[1] for line in six("show", "protocols")[1:]] == ["Static", "Kernel", "Device"]

    assert bird.process is not None
    bird.process.kill()
    wait_for("the end of the session", lambda: "Established" not in ask("show", "protocols")[-1])
    assert columns(ask("show", "protocols")[-1])[3] == "start"
    assert mesh.agents[0].kill(15) == 0
    assert not (lab.directory / "bird.ctl").exists()
