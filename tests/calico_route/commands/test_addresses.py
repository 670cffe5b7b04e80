"""`ipam`."""

from __future__ import annotations

import pytest

from tests.calico_route.commands.conftest import Line, block, endpoint

CONTAINER = "6f1c2a8b9d0e"


@pytest.fixture
def used(line: Line) -> Line:
    """A pool with an address of a workload, one that leaked long ago, and a node."""
    line("pool add 192.168.0.0/16")
    records = block("192.168.0.0/26", {1: f"calico.{CONTAINER}", 7: "calico.gone"})
    for attribute in records["/calico/ipam/v2/assignment/ipv4/block/192.168.0.0-26"]["attributes"]:
        attribute["secondary"]["timestamp"] = "2020-01-01 00:00:00 +0000 UTC"
    node = {"kind": "Node", "metadata": {"name": "host1"}, "spec": {"bgp": {"ipv4Address": "10.0.0.1/24"}}}
    line.write({**records, **endpoint(CONTAINER), "nodes/host1": node})
    return line


def test_show(used: Line) -> None:
    head, row = used("ipam show").out.splitlines()
    assert head.split("  ")[0] == "cidr"
    assert row.split()[:4] == ["192.168.0.0/16", "192-168-0-0-16", "2", "65534"]
    assert used("ipam show --json").json["pools"][0]["used"] == 2
    assert "192.168.0.0/26  host1" in used("ipam show --blocks").out
    assert used("ipam show --addresses --json").json == [
        {"address": "192.168.0.1", "node": "host1", "holder": f"host1-cni-{CONTAINER}-eth1", "endpoint": True},
        {"address": "192.168.0.7", "node": "host1", "holder": "calico.gone", "endpoint": False},
    ]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("192.168.0.1", f"is assigned to handle calico.{CONTAINER}"),
        ("192.168.0.2", "is free"),
        ("10.0.0.1", "is in no pool"),
    ],
)
def test_who_has_an_address(used: Line, address: str, words: str) -> None:
    assert f"{address} {words}" in used(f"ipam show {address}").out
    assert used(f"ipam show {address} --json").json["address"] == address


def test_release(used: Line) -> None:
    assert "is in use by workload" in used("ipam release 192.168.0.1", code=1).err
    said = used("ipam release 192.168.0.7 192.168.0.8")
    assert said.out == "released: 192.168.0.7\n"
    assert "nobody holds 192.168.0.8" in said.err
    assert "nobody holds 192.168.0.7" in used("ipam release 192.168.0.7", code=1).err
    assert "/calico/ipam/v2/handle/calico.gone" not in used.keys("/calico/ipam/")
    assert used(f"ipam release --handle calico.{CONTAINER} --json").json == {"released": ["192.168.0.1"]}
    assert "holds nothing" in used("ipam release --handle calico.nobody", code=1).err


def test_a_dead_node(used: Line) -> None:
    used.write({**block("192.168.0.64/26", {0: "calico.x"}, node="host2"), **endpoint("77", node="host2")})
    assert "seems to be alive: it is this node" in used("ipam release --node host1", code=1).err
    gone = used("ipam release --node host2 --json").json
    assert gone["addresses"] == ["192.168.0.64"]
    assert len(gone["endpoints"]) == 1
    assert used.read("workloadendpoints/default/host2-cni-77-eth1") is None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("release", "say what to release"),
        ("release 192.168.0.1 --node host1", "say what to release"),
        ("release moon", "is no address"),
        ("show moon", "is no address"),
        ("reelase", "Did you mean 'release'?"),
    ],
)
def test_bad_words(line: Line, words: str, why: str) -> None:
    assert why in line(f"ipam {words}", code=2).err


def test_check_finds_and_repairs(used: Line) -> None:
    said = used("ipam check", code=1)
    assert "192.168.0.7 is assigned to" in said.out
    assert "ipam check --repair" in said.out
    [finding] = used("ipam check --json", code=1).json
    assert (finding["kind"], finding["repairable"], finding["repaired"]) == ("leaked", True, False)
    repaired = used("ipam check --repair").out.splitlines()
    assert repaired[0].startswith("repaired  192.168.0.7 is assigned to")
    assert used("ipam check").out == "all records of addresses fit together\n"
