"""The simulator of benchmarks/simulation: that it converges to what was announced, says so when not, and is
deterministic."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.simulation.clock import Clock
from benchmarks.simulation.cluster import Cluster, Plan, Reflected, Wrong, address, build
from benchmarks.simulation.growth import fit
from benchmarks.simulation.leaf import Leaf
from benchmarks.simulation.node import Node
from benchmarks.simulation.routes import Routes
from benchmarks.simulation.trials import Trials
from benchmarks.simulation.wires import Net, Traffic

MESH = Plan(nodes=5, each=3)
REFLECTED = Plan(nodes=9, each=3, whole=2, reflected=True)
GROUPS = Plan(nodes=12, each=3, whole=2, reflected=True, group=5)


def course(plan: Plan) -> tuple[float, Traffic, int]:
    cluster = build(plan)
    cluster.start()
    return cluster.converge(300), cluster.net.traffic, cluster.clock.happened


def test_the_clock_keeps_the_order() -> None:
    clock, seen = Clock(), []
    for name, when in (("b", 2.0), ("a", 1.0), ("c", 2.0), ("past", -1.0)):
        clock.at(when, seen.append, name)
    assert not clock.run(1.5)
    assert (seen, clock.now) == (["past", "a"], 1.5)
    assert clock.run(9.0, lambda: "b" in seen)
    assert (seen[-1], clock.now) == ("b", 2.0)


def test_sums_are_of_sets_and_tell_them_apart() -> None:
    routes = Routes(10, 4)
    every = [nlri for node in range(10) for nlri in routes.of(node)]
    assert routes.sum_over(reversed(every)) == routes.sum_of(range(10))
    assert len({routes.sum_of({node}) for node in range(10)}) == 10
    assert [routes.owner(nlri) for nlri in every[::4]] == list(range(10))
    assert routes.owner(b"\x20\x0a\xff\xff\xff") == routes.owner(b"\x18\x0a\0\0") == -1
    with pytest.raises(ValueError, match=r"fit into 10\.0\.0\.0/8"):
        Routes(1 << 20, 17)


@pytest.mark.parametrize("plan", [MESH, REFLECTED, GROUPS], ids=["mesh", "reflected", "groups"])
def test_a_seed_gives_one_course(plan: Plan) -> None:
    first = course(plan)
    assert course(plan) == first
    assert course(replace(plan, seed=plan.seed + 1)) != first


def test_a_course_does_not_depend_on_the_process() -> None:
    text = json.dumps({"nodes": 6, "each": 2})
    found = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "benchmarks.simulation.trials", text]
        root = Path(__file__).parent.parent
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
        steps = json.loads(done.stdout)["steps"]
        found.append([(one["name"], one["seconds"], one["messages"], one["octets"]) for one in steps])
    assert found[0] == found[1]
    assert len(found[0]) == 9


def test_a_mesh_says_each_route_once_to_each_other_node() -> None:
    cluster = build(MESH)
    cluster.start()
    cluster.converge(60)
    cluster.run(5)
    nodes = MESH.nodes
    # One UPDATE with all routes and one End-of-RIB for each direction of each session.
    assert cluster.net.traffic.updates == 2 * nodes * (nodes - 1)
    assert {len(node) for node in cluster.whole} == {nodes * MESH.each}
    assert {node.established for node in cluster.whole} == {nodes - 1}


def test_a_mesh_survives_what_it_should() -> None:
    report = Trials(MESH).run()
    steps = {one["name"]: one for one in report["steps"]}
    assert steps["killed"]["seconds"] < 1 < steps["machine lost"]["seconds"] <= MESH.hold_time + 1
    assert steps["link cut"]["seconds"] <= MESH.hold_time + 1
    # A KEEPALIVE at least every thirty seconds each way: the least there can be.
    assert steps["rest"]["messages"] >= 2 * MESH.nodes * (MESH.nodes - 1)
    assert steps["appears"]["updates"] == MESH.nodes - 1
    assert report["routes"] == (MESH.nodes - 1) * MESH.each  # the lost machine stays away


@pytest.mark.parametrize("plan", [REFLECTED, GROUPS], ids=["one group", "groups"])
def test_reflectors_tell_all_clients_all_routes(plan: Plan) -> None:
    report = Trials(plan).run(reflector_back=True)
    assert report["routes"] == plan.nodes * plan.each
    assert (report["whole_nodes"], report["stand_ins"]) == (2 + plan.whole, 2 * (plan.groups - 1))
    assert report["leaves"] == len(plan.members(0)) - plan.whole
    steps = {one["name"]: one for one in report["steps"]}
    # To every client but the one that has it, from both reflectors, and one to each of the two from it; between
    # the two, and to every stand-in from both.
    clients = len(plan.members(0))
    assert steps["appears"]["updates"] == 2 * (clients - 1) + 2 + 2 + 2 * report["stand_ins"]


def test_loss_costs_time_and_nothing_else() -> None:
    clean, lossy = Cluster(MESH), Cluster(replace(MESH, loss=0.2))
    times = []
    for cluster in (clean, lossy):
        cluster.start()
        times.append(cluster.converge(300))
    assert times[1] > times[0]
    assert lossy.net.traffic.updates >= clean.net.traffic.updates


def test_what_was_written_into_a_short_cut_arrives() -> None:
    cluster = build(MESH)
    cluster.start()
    cluster.converge(60)
    before = [node.established for node in cluster.whole]
    cluster.net.cut(address(0), address(1))
    first = cluster.host(0)
    assert isinstance(first, Node)
    cluster.extra.append(b"\x20\x0a\xff\xff\xff")
    first.announce(cluster.extra[:])
    with pytest.raises(Wrong, match="1 hosts have not"):
        cluster.converge(20)
    cluster.net.heal(address(0), address(1))
    assert 0 < cluster.converge(60) < 40
    assert [node.established for node in cluster.whole] == before
    assert not any(node.resets for node in cluster.whole)


def test_a_reborn_machine_does_not_know_old_connections() -> None:
    cluster = build(MESH)
    cluster.start()
    cluster.converge(60)
    cluster.host(2).kill(quietly=True)
    cluster.run(1)
    cluster.make(2).start()
    assert cluster.converge(120) < MESH.hold_time
    assert {node.established for node in cluster.whole} == {MESH.nodes - 1}


def test_a_leaf_notices_what_is_wrong() -> None:
    cluster = build(REFLECTED)
    assert isinstance(cluster, Reflected)
    cluster.start()
    cluster.converge(60)
    liar = cluster.host(0)
    assert isinstance(liar, Node)
    liar.announce(cluster.routes.of(5))  # another node's: the reflectors have both, and choose
    cluster.run(5)
    with pytest.raises(Wrong):
        cluster.check()


def test_a_leaf_that_was_told_one_route_too_many_is_not_done() -> None:
    cluster = build(REFLECTED)
    cluster.start()
    cluster.converge(60)
    leaf = next(iter(cluster.leaves))
    assert leaf.done
    assert isinstance(leaf, Leaf)
    talk = next(iter(leaf.talks.values()))
    leaf.want(talk.address, talk.wanted + 1)
    assert not leaf.done
    with pytest.raises(Wrong):
        cluster.check()


def test_nobody_answers_where_nobody_is() -> None:
    class Caller:
        address, alive = "172.16.0.1", True

        def __init__(self) -> None:
            self.heard: list[str] = []

        def refused(self, token: str) -> None:
            self.heard.append(token)

    clock = Clock()
    net, caller = Net(clock, 1, (0.001, 0.002)), Caller()
    net.connect(caller, "172.16.0.9", "nobody")  # type: ignore[arg-type]
    assert not clock.run(100.0, lambda: bool(caller.heard))


def test_plans_that_make_no_sense() -> None:
    for wrong in ({"nodes": 1}, {"nodes": 9, "whole": 0}, {"nodes": 9, "whole": 4, "group": 3}):
        with pytest.raises(ValueError, match="nodes"):
            Plan(**wrong)


def test_growth_finds_the_parts() -> None:
    sizes = [10.0, 20.0, 50.0, 100.0, 300.0]
    assert fit(sizes, [7 * size for size in sizes]).parts == {1: pytest.approx(7)}
    both = fit(sizes, [40 * size + 2 * size**2 for size in sizes])
    assert both.parts == {1: pytest.approx(40), 2: pytest.approx(2)}
    assert both.share(2, 20) == pytest.approx(0.5)
    assert both.at(1000) == pytest.approx(2_040_000)
    cubic = fit(sizes, [3e-6 * size**3 + 0.01 * size**2 for size in sizes])
    assert set(cubic.parts) == {2, 3}
    assert 2 < cubic.slope < 3
    assert str(fit(sizes, [2 * size**2 for size in sizes])) == "2 N²"
    with pytest.raises(ValueError, match="two sizes"):
        fit([5.0], [1.0])
