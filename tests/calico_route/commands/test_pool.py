"""`pool`."""

from __future__ import annotations

import re

import pytest

from tests.calico_route.commands.conftest import Line, block, endpoint

POOL = "ippools/192-168-0-0-16"


def test_a_pool_is_written_as_calicoctl_writes_it(line: Line) -> None:
    said = line("pool add 192.168.0.0/16")
    assert said.out == "pool 192-168-0-0-16 192.168.0.0/16 is there\n"
    document = line.read(POOL)
    assert (document["kind"], document["apiVersion"]) == ("IPPool", "projectcalico.org/v3")
    metadata = document["metadata"]
    assert metadata["name"] == "192-168-0-0-16"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", metadata["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert document["spec"] == {
        "cidr": "192.168.0.0/16",
        "vxlanMode": "Never",
        "ipipMode": "Never",
        "blockSize": 26,
        "nodeSelector": "all()",
        "allowedUses": ["Workload", "Tunnel"],
        "assignmentMode": "Automatic",
    }


def test_the_flags_of_v049_are_understood(line: Line) -> None:
    said = line("pool add 10.20.0.0/16 --ipip --nat-outgoing")
    assert "tunl0" in said.err
    assert "calico_route itself translates no addresses" in said.err
    assert "ip saddr 10.20.0.0/16 ip daddr != 10.20.0.0/16 masquerade" in said.err
    spec = line.read("ippools/10-20-0-0-16")["spec"]
    assert (spec["ipipMode"], spec["natOutgoing"]) == ("Always", True)
    line("pool remove 10.20.0.0/16 --ipip")
    assert line.read("ippools/10-20-0-0-16") is None


def test_json_is_the_document_that_was_written(line: Line) -> None:
    assert line("pool add fd80:24e2:f998:72d6::/64 --name six --json").json == line.read("ippools/six")
    assert line.read("ippools/six")["spec"]["blockSize"] == 122


def test_adding_what_is_there_changes_nothing(line: Line) -> None:
    line("pool add 192.168.0.0/16")
    before = line.read(POOL)
    assert "already" in line("pool add 192.168.0.0/16").out
    assert "is a pool already" in line("pool add 192.168.0.0/16 --ipip", code=1).err
    assert line.read(POOL) == before


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ("10.0.0.1/8", 2, "write 10.0.0.0/8 if that network is meant"),
        ("10.0.0.0/33", 2, "is no network"),
        ("ten", 2, "is no network"),
        ("169.254.0.0/16", 2, "workloads cannot have such addresses"),
        ("10.0.0.0/27", 2, "smaller than one block"),
        ("10.0.0.0/16 --block-size 33", 2, "from 20 to 32"),
        ("10.0.0.0/16 --name Big_Pool", 2, "small letters"),
        ("fd00::/64 --ipip", 2, "IPIP carries IPv4 alone"),
        ("192.168.0.0/24", 1, "overlaps IPPool 192-168-0-0-16 192.168.0.0/16"),
        ("10.0.0.0/16 --name 192-168-0-0-16", 1, "give another with --name"),
        ("10.0.0.0/16 --nosuch", 2, "--nosuch"),
        ("", 2, "CIDR"),
    ],
)
def test_what_cannot_be_a_pool_is_refused(line: Line, words: str, code: int, why: str) -> None:
    line("pool add 192.168.0.0/16")
    assert why in line(f"pool add {words}", code=code).err
    assert line.keys("ippools/") == ["/calico/resources/v3/projectcalico.org/ippools/192-168-0-0-16"]


def test_show(line: Line) -> None:
    assert "no pool" in line("pool show").out
    line("pool add 192.168.0.0/16")
    line("pool add fd80::/64 --name six")
    line.write({"ippools/broken": b"{", "ippools/odd": {"spec": {"cidr": "moon"}}})
    said = line("pool show")
    assert said.out.splitlines() == [
        "cidr            name            block  IPIP   VXLAN  options",
        "192.168.0.0/16  192-168-0-0-16  /26    Never  Never  -",
        "fd80::/64       six             /122   Never  Never  -",
    ]
    assert "IPPool broken is left out: not JSON" in said.err
    assert "'moon'" in said.err
    assert [one["name"] for one in line("pool show --ipv6 --json").json] == ["six"]
    assert line("pool show --ipv4 --json").json == [
        {
            "name": "192-168-0-0-16",
            "cidr": "192.168.0.0/16",
            "blockSize": 26,
            "ipipMode": "Never",
            "vxlanMode": "Never",
            "natOutgoing": False,
            "disabled": False,
            "disableBGPExport": False,
            "nodeSelector": "all()",
        }
    ]


def test_a_pool_in_use_is_not_removed_but_by_force(line: Line) -> None:
    line("pool add 192.168.0.0/16")
    line.write({**endpoint(), **block("192.168.0.64/26", {3: "vxlan-tunnel-addr-host1"})})
    said = line("pool remove 192.168.0.0/16", code=1)
    assert "host1-cni-6f1c2a8b9d0e-eth1 on host1 (192.168.0.1)" in said.err
    assert "vxlan-tunnel-addr-host1 on host1 (192.168.0.67)" in said.err
    assert "--force" in said.err
    assert line.read(POOL) is not None
    forced = line("pool remove 192.168.0.0/16 --force --json")
    assert [one["address"] for one in forced.json["in_use"]] == ["192.168.0.1", "192.168.0.67"]
    assert line.read(POOL) is None
    assert len(line.keys("/calico/ipam/")) == 3  # who has addresses keeps the records of them


def test_empty_blocks_go_with_their_pool(line: Line) -> None:
    line("pool add 192.168.0.0/16")
    line("pool add 10.0.0.0/16")
    line.write({**block("192.168.0.0/26", {}), **block("10.0.0.0/26", {})})
    line("pool remove 192-168-0-0-16")
    assert line.keys("/calico/ipam/") == [
        "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26",
        "/calico/ipam/v2/host/host1/ipv4/block/10.0.0.0-26",
    ]


def test_a_pool_that_is_not_there(line: Line) -> None:
    line("pool add 192.168.0.0/16")
    assert "there is 192.168.0.0/16 (192-168-0-0-16)" in line("pool remove 10.0.0.0/8", code=1).err
    assert "did you mean" in line("pool shwo", code=2).err.lower()
