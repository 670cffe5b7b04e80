"""Every reason for which a session does not come up, with a real BIRD (or none) on the other side, in the words of
`calico_route status`."""

from __future__ import annotations

import json

import pytest

from demo.lab import Host, Lab, wait_for
from tests.e2e.bird import BASE, Bird
from tests.e2e.mesh import RESOURCES, Mesh

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

PEER = """
protocol bgp node {{
    local {local} as {own};
    neighbor {peer} as {expected};
    multihop; connect delay time 1; connect retry time 2; error wait time 1,3;
    {more}
    ipv4 {{ import all; export none; }};
}}
"""


def speak(
    host: Host, to: str, *, own: int = 64512, expected: int = 64512, identifier: str = "", more: str = ""
) -> Bird:
    text = BASE.format(router_id=identifier or host.address)
    bird = Bird(host, text + PEER.format(local=host.address, own=own, peer=to, expected=expected, more=more))
    bird.start()
    return bird


def why(mesh: Mesh) -> dict[str, str]:
    """By node, or by address where it is none."""
    peers = mesh.agents[0].status().get("peers", [])
    return {peer["node"] or peer["address"]: peer["why_not"] for peer in peers}


def bgp_peer(mesh: Mesh, name: str, **spec: object) -> None:
    value = {"kind": "BGPPeer", "apiVersion": "projectcalico.org/v3", "metadata": {"name": name}, "spec": spec}
    mesh.etcd.put(f"{RESOURCES}/bgppeers/{name}", json.dumps(value))


def test_one_node_with_every_kind_of_neighbour(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    mesh = Mesh(lab, 1)
    agent, me = mesh.agents[0], mesh.hosts[0].address
    mesh.etcd.start()
    mesh.pool("p", "10.65.0.0/16")
    names = ("fine", "refusing", "silent", "other-as", "expecting", "same-id", "twin1", "twin2", "stranger", "gone")
    hosts = {name: lab.host(name, f"192.168.78.{30 + number}/24") for number, name in enumerate(names)}
    for name in names:
        if name != "stranger":
            mesh.node(hosts[name])
    bgp_peer(mesh, "far", peerIP="10.99.0.1", asNumber=65001)
    hosts["silent"].run("ip", "route", "add", "blackhole", f"{me}/32")  # it hears, and its answers are lost
    hosts["gone"].run("ip", "link", "set", hosts["gone"].interface, "down")
    speak(hosts["fine"], me)
    speak(hosts["other-as"], me, own=65009)
    speak(hosts["expecting"], me, expected=65077)
    speak(hosts["same-id"], me, identifier=me)
    for name in ("twin1", "twin2"):
        speak(hosts[name], me, identifier="9.9.9.9")
    speak(hosts["stranger"], me)
    agent.start()

    expected = {
        "fine": "",
        "refusing": "connection refused: nothing listens there: does its BGP daemon run, and on this port?",
        "silent": "no answer to the connection attempt within 10 s: the host is down, or something between drops TCP",
        "gone": "no route to host: ",
        "10.99.0.1": "network is unreachable: no route leads there",
        "other-as": "the peer says it is AS 65009, configured is AS 64512: the number in etcd",
        "expecting": "it expects another AS number of us (we say 64512)",
        "same-id": "the internal peer has our own BGP Identifier: two nodes have one router id",
        "twin1": "",
        "twin2": "",
    }

    def all_told() -> bool:
        found = why(mesh)
        return found.keys() == expected.keys() and all(
            words in found[name] if words else not found[name] for name, words in expected.items()
        )

    wait_for(f"the reasons (now {why(mesh)})", all_told, 60)
    problems = agent.status()["problems"]
    stranger = hosts["stranger"].address
    assert any(line.startswith(f"{stranger} connects here (") and "no neighbour" in line for line in problems)
    twins = f"{hosts['twin1'].address} and {hosts['twin2'].address} have the same BGP Identifier 9.9.9.9"
    assert any(line.startswith(twins) for line in problems)

    page = agent.status_text()
    with capsys.disabled():
        print("", page, sep="\n")
    lines = page.splitlines()
    assert lines[0].startswith("ATTENTION  7 of 10 sessions are not established")
    assert "far" in page
    assert max(map(len, lines)) < 160, "nothing that a terminal would break"
    begin = lines.index("Not established")
    told = "\n".join(lines[begin:])
    for name, words in expected.items():
        assert not words or name in told
    assert f"{stranger} connects here" in page


PASSWORDS = {
    "another one": ("ours", 'password "theirs";', "probably the passwords differ ("),
    "none there": ("ours", "", "probably the other side has no password ("),
    "none here": ("", 'password "theirs";', "probably the other side has a password ("),
}


@pytest.mark.parametrize("case", PASSWORDS)
def test_passwords(lab: Lab, case: str) -> None:
    """Linux drops in silence, and counts."""
    here, there, words = PASSWORDS[case]
    flags = []
    if here:
        file = lab.directory / "secret"
        file.write_text(here)
        flags = ["--mesh-password-file", str(file)]
    mesh = Mesh(lab, 1, *flags)
    other = lab.host("other", "192.168.78.30/24")
    mesh.etcd.start()
    mesh.node(other)
    bird = speak(other, mesh.hosts[0].address, more=there)
    mesh.agents[0].start()
    wait_for("the reason", lambda: words in why(mesh).get("other", ""), 60)
    assert bird.established() == 0
    page = " ".join(mesh.agents[0].status_text().split())  # which is folded
    assert words in page
    assert "theirs" not in page + mesh.agents[0].process_text()


def test_a_node_that_speaks_from_another_address(lab: Lab) -> None:
    """The top reason of `BIRD is not ready`: autodetection took the wrong interface. Both sides of it are told."""
    mesh = Mesh(lab, 1)
    other = lab.host("other", "192.168.78.30/24")
    other.run("ip", "address", "add", "172.21.0.1/16", "dev", "lo")
    mesh.etcd.start()
    value = {
        "kind": "Node",
        "apiVersion": "projectcalico.org/v3",
        "metadata": {"name": "other"},
        "spec": {"bgp": {"ipv4Address": "172.21.0.1/16"}},
    }
    mesh.etcd.put(f"{RESOURCES}/nodes/other", json.dumps(value))
    speak(other, mesh.hosts[0].address)
    mesh.agents[0].start()

    def told() -> bool:
        status = mesh.agents[0].status()
        (text,) = [peer["why_not"] for peer in status.get("peers", [])] or [""]
        return "network is unreachable" in text and any(
            line.startswith("192.168.78.30 connects here") for line in status["problems"]
        )

    wait_for("where it should be, and where it is", told, 30)
