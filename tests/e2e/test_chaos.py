"""Twenty rounds of chaos, and the picture that they are judged by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demo.lab import Lab
from tests.e2e.chaos.faults import FAULTS
from tests.e2e.chaos.oracle import Route, Site, State, documents, expected, held
from tests.e2e.chaos.run import chaos, kinds_of

SEED = 50  # of the first sixty one with most kinds of faults
ROUNDS = 20

SITES = {
    site.name: site
    for site in (Site("one", "192.168.78.1"), Site("two", "192.168.78.2", "10.65.2.64/26"), Site("off", "192.168.78.3"))
}
BUILT = {"one": {"10.65.1.1", "10.77.1.1", "10.65.1.9"}, "two": {"10.65.2.70", "10.65.99.1"}, "off": {"10.65.3.1"}}


def state() -> State:
    endpoints = {"one": {"10.65.1.1", "10.77.1.1", "10.65.1.2"}, "off": {"10.65.3.1"}}
    return State({"one", "two"}, {"10.65.0.0/16": True, "10.77.0.0/16": True}, endpoints)


@pytest.mark.netns
@pytest.mark.daemon
def test_twenty_rounds(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """The kernel of every node holds exactly what it should after each."""
    summary = chaos(lab, SEED, ROUNDS)
    with capsys.disabled():
        print("", *summary.lines(), sep="\n  ")
    assert summary.good, "\n".join(summary.lines())
    assert summary.rounds == ROUNDS
    assert summary.routes > 50 * ROUNDS


def test_a_seed_gives_the_same_faults_again() -> None:
    rounds = [kinds_of(3, number) for number in range(1, 21)]
    assert rounds == [kinds_of(3, number) for number in range(1, 21)]
    assert rounds != [kinds_of(4, number) for number in range(1, 21)]


def test_every_fault_comes_and_one_of_etcd_a_round() -> None:
    found = [kinds_of(seed, number) for seed in range(10) for number in range(1, 21)]
    assert {kind for kinds in found for kind in kinds} == set(FAULTS)
    assert all(1 <= len(set(kinds)) == len(kinds) <= 3 for kinds in found)
    assert all(sum(FAULTS[kind].group == "etcd" for kind in kinds) <= 1 for kinds in found)


def test_expected_of_a_node_that_learns() -> None:
    """Workloads with endpoint and interface; who is no node, tells nothing; foreign routes stay."""
    foreign = Route("203.0.113.0/24", "blackhole", protocol="static")
    routes = expected(SITES["two"], SITES, state(), BUILT, [foreign])
    learned = {(route.destination, route.gateway) for route in routes if route.gateway}
    assert learned == {("10.65.1.1", "192.168.78.1"), ("10.77.1.1", "192.168.78.1")}
    assert foreign in routes
    assert Route("10.65.2.64/26", "blackhole") in routes


def test_expected_from_a_node_with_a_block() -> None:
    """The block whole, and what lies outside of it alone; a pool that is not exported, or gone, takes them along."""
    seen = state()
    learned = {route.destination for route in expected(SITES["one"], SITES, seen, BUILT, []) if route.gateway}
    assert learned == {"10.65.2.64/26", "10.65.99.1"}
    seen.pools["10.65.0.0/16"] = False
    assert not any(route.gateway for route in expected(SITES["one"], SITES, seen, BUILT, []))
    assert Route("10.65.2.64/26", "blackhole") not in expected(SITES["two"], SITES, seen, BUILT, [])


def test_held_reads_what_ip_prints() -> None:
    listing = [
        {"dst": "10.65.1.1", "gateway": "192.168.78.1", "dev": "enp0s8", "protocol": "bird", "flags": ["linkdown"]},
        {"type": "blackhole", "dst": "10.65.2.64/26", "protocol": "bird", "flags": []},
        {"dst": "10.65.1.2", "dev": "cali1", "scope": "link", "flags": []},
        {"dst": "10.65.1.3", "protocol": "bird", "nexthops": [{"gateway": "192.168.78.1"}]},
        {"type": "local", "dst": "127.0.0.1", "dev": "lo", "table": "local", "protocol": "kernel"},
    ]
    assert held(json.dumps(listing)) == {
        Route("10.65.1.1", gateway="192.168.78.1", interface="enp0s8"),
        Route("10.65.2.64/26", "blackhole"),
        Route("10.65.1.2", interface="cali1", protocol="boot"),
        Route("10.65.1.3", "multipath"),
    }


def test_documents_name_every_resource() -> None:
    found = documents(state(), SITES)
    pools = [json.loads(value)["spec"]["cidr"] for key, value in found.items() if "/ippools/" in key]
    assert sorted(pools) == ["10.65.0.0/16", "10.77.0.0/16"]
    assert sum("/nodes/" in key for key in found) == 2
    assert sum("/workloadendpoints/" in key for key in found) == 4
    assert "/calico/ipam/v2/host/two/ipv4/block/10.65.2.64-26" in found


def test_the_page_names_every_fault() -> None:
    page = (Path(__file__).parents[2] / "docs" / "chaos.md").read_text()
    assert [name for name in FAULTS if name not in page] == []
