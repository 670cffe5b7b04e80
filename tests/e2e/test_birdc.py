"""Debian's `birdc` and `birdcl` (of BIRD 2 and of 1.6) as clients of an agent, beside the same questions to a BIRD in
the same mesh; and the checks of Calico and bird_exporter, which speak to the socket themselves."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
from pathlib import Path

import pytest

from demo.lab import Host, Lab, wait_for
from tests.calico_route.bird.clients import exporter, node_status, ready
from tests.e2e.bird import Bird, mesh_configuration
from tests.e2e.bird1 import FOLDER, Bird1
from tests.e2e.mesh import Mesh

pytestmark = [pytest.mark.netns, pytest.mark.daemon]


LAST = re.compile(rb"(?m)^\d{4} .*\n")


class Client:
    """`birdc` with the socket of an agent; or another program of the kind."""

    def __init__(self, host: Host, path: str, binary: str = "birdc") -> None:
        found = shutil.which(binary, path="/usr/sbin:/sbin:/usr/bin:/usr/local/sbin")
        if found is None:
            pytest.skip(f"{binary} is missing: apt-get install bird2, and setup.sh for that of BIRD 1.6")
        self.binary, self.host, self.path = found, host, path

    def whole(self, *words: str) -> list[str]:
        return self.host.run(self.binary, "-s", self.path, *words, check=False).splitlines()

    def __call__(self, *words: str) -> list[str]:
        """The answer without birdc's own first lines."""
        return self.whole(*words)[1:]


UP_AND_RUNNING = b"0013 Daemon is up and running\n"


def raw(path: str, question: str) -> bytes:
    """As programs ask that speak to the socket themselves; empty where the connection was refused."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(5)
        asking.connect(path)
        octets = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            asking.sendall(f"{question}\n".encode())
            while part := asking.recv(65536):
                octets += part
                if len(LAST.findall(octets)) > 1:  # of the greeting, and of the answer
                    break
    return octets


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


def test_all_who_ask_birds_socket(lab: Lab) -> None:
    """An agent beside a BIRD 1.6: the same questions to both, in both versions of birdc, and as others read them."""
    sockets = [str(lab.directory / f"bird{number}.ctl") for number in ("", "6")]
    flags = ("--announce", "blocks", "--workloads-from", "kernel", "--bird-socket", sockets[0])
    mesh = Mesh(lab, 2, *flags, "--bird6-socket", sockets[1], v6=True)
    first, second = mesh.hosts
    mesh.etcd.start()
    for third in (1, 2, 99):  # without the hosts' own network, which BIRD would announce, too
        mesh.pool(f"v4-{third}", f"192.168.{third}.0/24")
    mesh.pool("v6", "fd80::/48")
    mesh.node(first)
    mesh.node(second)
    for number, host in enumerate(mesh.hosts, 1):
        mesh.etcd.put(f"/calico/ipam/v2/host/{host.name}/ipv4/block/192.168.{number}.64-26", '{"state":"confirmed"}')
        lab.container(host, f"borrower{number}", f"192.168.99.{number}")
    lab.container(first, "six", "fd80::5")
    bird = Bird1(second, mesh.etcd.url)
    bird.start()
    agent = mesh.agents[0]
    process = agent.start()
    ask, six = Client(first, sockets[0]), Client(first, sockets[1])
    wait_for("the session", lambda: bird.established() == 1, 40)
    wait_for("its routes", lambda: any("192.168.2.64/26" in one for one in ask("show", "route")))

    # Calico's readiness and `calicoctl node status`: a process of this name, and the table.
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    assert arguments[0] == b"bird"
    (peer,) = node_status(raw(sockets[0], "show protocols"))
    assert (peer.kind, peer.address, peer.state, peer.bgp) == ("Mesh", second.address, "up", "Established")
    assert ready(raw(sockets[0], "show protocols"), raw(sockets[0], "show status"))
    (away,) = node_status(raw(sockets[1], "show protocols"), separator=":")
    assert (away.address, away.bgp) == (second.address_v6, "Passive"), "the other one dials, and is not there"
    assert not ready(raw(sockets[1], "show protocols"), raw(sockets[1], "show status"))

    # Liveness, with each program of that name.
    client, their = Client(first, sockets[0], str(FOLDER / "birdc")), Client(second, bird.socket, str(FOLDER / "birdc"))
    for one in (ask, Client(first, sockets[0], "birdcl"), client):
        assert one.whole("show", "status")[0].startswith("BIRD 1.6.8")
        assert one.whole("show", "status")[-1] == "Daemon is up and running"

    # bird_exporter reads of both the same.
    name, theirs = "Mesh_192_168_78_22", "Mesh_192_168_78_21"
    wait_for("what BIRD has told", lambda: exporter(raw(sockets[0], "show protocols all"))[name].imported == 2)
    ours, stock = exporter(raw(sockets[0], "show protocols all")), exporter(raw(bird.socket, "show protocols all"))
    assert (ours[name].exported, stock[theirs].imported) == (2, 2)
    assert ours[name].changes.keys() == stock[theirs].changes.keys()
    assert ours[name].changes["Import updates"] == [2, 0, 0, 0, 2]
    assert ours[name].changes["Export updates"][4] == stock[theirs].changes["Import updates"][4] == 2

    # Routes in all forms, by the client of the same age, line by line as BIRD tells them.
    for words, network in (("all", "192.168.2.64/26"), ("primary", "192.168.2.64/26"), ("for", "192.168.2.65")):
        (line, *_) = client("show", "route", *((words, network) if words == "for" else (network, words)))
        assert line.startswith(f"192.168.2.64/26    via {second.address} on {first.interface} [{name} ")
        assert line.endswith("] * (100/0) [i]")
    mirrored = their("show", "route", "192.168.1.64/26", "all")[1:]
    expected = [line.replace(first.address, second.address) for line in mirrored]
    assert client("show", "route", "192.168.2.64/26", "all")[1:] == expected
    assert client("show", "route", "192.168.99.1/32", "all")[1] == "\tType: inherit unicast univ"
    for how, networks in (("export", 2), ("preexport", 2), ("noexport", 0)):
        assert len(client("show", "route", how, name)) == networks, how
    assert client("show", "route", "count") == ["4 of 4 routes for 4 networks"]
    assert client("show", "route", "table", "other") == their("show", "route", "table", "other")
    assert client("show", "protocols", "other") == their("show", "protocols", "other")
    assert client("show", "route", "protocol", "other") == their("show", "route", "protocol", "other")
    assert client("show", "route", "export", "other") == their("show", "route", "export", "other")
    assert client("show", "route", "for", "9.9.9.9") == their("show", "route", "for", "9.9.9.9")
    assert [line.split()[0] for line in six("show", "route")] == ["fd80::5/128"]


def test_clients_of_bad_will(lab: Lab) -> None:
    """Garbage, half lines, connections without end, readers that read nothing: others get their answers, and the
    sessions stand."""
    path = str(lab.directory / "bird.ctl")
    mesh = Mesh(lab, 2)
    mesh.agents[0].flags = ("--bird-socket", path)
    mesh.start()
    wait_for("the session", lambda: mesh.established(mesh.agents[0]) == 1)
    with contextlib.ExitStack() as held:
        for number in range(400):
            one = held.enter_context(socket.socket(socket.AF_UNIX))
            one.connect(path)  # waits while the queue is full
            one.settimeout(5)
            try:
                one.sendall((b"show route\n" * 200, b"\x00\xff" * 300 + b"\n", b"show sta", b"")[number % 4])
            except (BrokenPipeError, ConnectionResetError):
                continue  # refused: there are others
        wait_for("an answer all the same", lambda: raw(path, "show status").endswith(UP_AND_RUNNING))
    status = mesh.agents[0].status()
    assert status["sessions"]["established"] == 1
    assert status["peers"][0]["established_count"] == 1
    assert "Traceback" not in mesh.agents[0].process_text()
