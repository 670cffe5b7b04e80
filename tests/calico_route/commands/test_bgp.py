"""`bgppeer`, `node bgppeer`, `bgp-node-mesh`, `default-node-as`."""

from __future__ import annotations

import pytest

from calico_route.documents import read_document
from calico_route.model import Kind, ResourceKey
from tests.calico_route.commands.conftest import Line


def test_a_neighbour_of_all_nodes(line: Line) -> None:
    assert "every node gets the neighbour 10.0.20.2 in AS 64512" in line("bgppeer add 10.0.20.2 as 64512").out
    document = line.read("bgppeers/global-10-0-20-2")
    assert document["spec"] == {"peerIP": "10.0.20.2", "asNumber": 64512}
    reading = read_document(ResourceKey(Kind.BGP_PEER, "", "global-10-0-20-2"), document)
    assert reading.resource is not None
    assert not reading.problems
    assert "already" in line("bgppeer add 10.0.20.2 as 64512").out
    assert "in AS 64512: remove it first" in line("bgppeer add 10.0.20.2 as 64513", code=1).err
    assert line("bgppeer show").out.splitlines() == [
        "peer       AS     of         name",
        "10.0.20.2  64512  all nodes  global-10-0-20-2",
    ]
    assert line("bgppeer remove 10.0.20.2 --json").json == {"removed": ["global-10-0-20-2"]}
    assert line("bgppeer show --json").json == []


def test_a_neighbour_of_one_node(line: Line) -> None:
    said = line("node bgppeer add 10.0.20.2:1790 as 1.10")
    assert "there is no Node host1 in etcd yet" in said.err
    document = line.read("bgppeers/node-host1-10-0-20-2-1790")
    assert document["spec"] == {"node": "host1", "peerIP": "10.0.20.2:1790", "asNumber": 65546}
    line("node bgppeer add 2001:db8::1 as 64512 --node-name host2")
    assert [one["peer"] for one in line("node bgppeer show --json").json] == ["10.0.20.2:1790"]
    assert [one["of"] for one in line("node bgppeer show --node-name host2 --ipv6 --json").json] == ["node host2"]
    assert line("node bgppeer show --ipv6 --json").json == []
    assert "node host1: BGPPeer" in line("bgppeer remove 10.0.20.2:1790", code=1).err
    line("node bgppeer remove 10.0.20.2:1790")
    assert line.read("bgppeers/node-host1-10-0-20-2-1790") is None


def test_peers_that_calicoctl_made_are_shown_and_removed(line: Line) -> None:
    line.write(
        {
            "bgppeers/tor": {"spec": {"peerIP": "10.9.9.9", "asNumber": 65001}},
            "bgppeers/rack": {"spec": {"peerIP": "10.9.9.9", "asNumber": 65001, "nodeSelector": "rack == 'r1'"}},
            "bgppeers/reflectors": {"spec": {"peerSelector": "rr == 'true'"}},
        }
    )
    assert "nodes rr == 'true'" in line("bgppeer show").out
    line("bgppeer remove 10.9.9.9")
    assert line.read("bgppeers/tor") is None
    assert line.read("bgppeers/rack") is not None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("add 10.0.20.2 in 64512", "comes the word as, not 'in'"),
        ("add 10.0.20.2 as 0", "from 1 to 4294967295"),
        ("add 10.0.20.2 as many", "not an AS number"),
        ("add 10.0.20 as 64512", "not an IP address"),
        ("add 10.0.20.2:99999 as 64512", "the port"),
        ("add 127.0.0.1 as 64512", "no session with such an address"),
        ("add 10.0.20.2", "Missing argument"),
    ],
)
def test_bad_words(line: Line, words: str, why: str) -> None:
    for group in ("bgppeer", "node bgppeer"):
        assert why in line(f"{group} {words}", code=2).err
    assert line.keys("bgppeers/") == []


def test_the_mesh(line: Line) -> None:
    assert line("bgp-node-mesh").out == "on\n"
    said = line("bgp-node-mesh off")
    assert said.out == "the mesh is off\n"
    assert "no node has a session now" in said.err
    assert line.read("bgpconfigurations/default")["spec"] == {"nodeToNodeMeshEnabled": False}
    assert line("bgp-node-mesh --json").json == {"mesh": False}
    line("bgp-node-mesh on")
    assert line("bgp-node-mesh").out == "on\n"
    assert "is not one of" in line("bgp-node-mesh maybe", code=2).err


def test_a_mesh_with_a_password_is_not_switched_off(line: Line) -> None:
    spec = {"nodeMeshPassword": {"secretKeyRef": {"name": "a", "key": "b"}}, "logSeverityScreen": "Info"}
    line.write({"bgpconfigurations/default": {"metadata": {"name": "default"}, "spec": spec}})
    assert "password" in line("bgp-node-mesh off", code=1).err
    line("bgp-node-mesh on")
    assert line.read("bgpconfigurations/default")["spec"] == {**spec, "nodeToNodeMeshEnabled": True}


def test_the_as_of_nodes(line: Line) -> None:
    assert line("default-node-as").out == "64512\n"
    line.write({"nodes/host2": {"spec": {"bgp": {"asNumber": 65000}}}})
    said = line("default-node-as 64511")
    assert "host2 (65000)" in said.err
    assert line("default-node-as --json").json == {"as": 64511}
    line("bgp-node-mesh off")
    assert line.read("bgpconfigurations/default")["spec"] == {"asNumber": 64511, "nodeToNodeMeshEnabled": False}
    assert "an AS number is from 1" in line("default-node-as 4294967296", code=2).err


def test_a_configuration_that_cannot_be_read_is_left_alone(line: Line) -> None:
    line.write({"bgpconfigurations/default": b"[]"})
    for words in ("bgp-node-mesh", "bgp-node-mesh on", "default-node-as", "default-node-as 64511"):
        assert "cannot be read" in line(words, code=1).err
