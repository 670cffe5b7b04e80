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

from benchmarks.simulation import pages
from benchmarks.simulation.__main__ import keep, read
from benchmarks.simulation.clock import Clock
from benchmarks.simulation.cluster import Cluster, Plan, Reflected, Wrong, address, build
from benchmarks.simulation.growth import fit
from benchmarks.simulation.node import Node
from benchmarks.simulation.pages import Result, costs, growths, happenings, kinds, sessions
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
    clock = Clock()
    seen: list[str] = []
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
    before = leaf.done
    talk = next(iter(leaf.talks.values()))
    leaf.want(talk.address, talk.wanted + 1)
    assert (before, leaf.done) == (True, False)
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


@pytest.mark.parametrize(("nodes", "whole", "group"), [(1, 4, 2000), (9, 0, 2000), (9, 4, 3)])
def test_plans_that_make_no_sense(nodes: int, whole: int, group: int) -> None:
    with pytest.raises(ValueError, match="nodes"):
        Plan(nodes=nodes, whole=whole, group=group)


def test_growth_finds_the_parts() -> None:
    sizes = [10.0, 20.0, 50.0, 100.0, 300.0]
    assert fit(sizes, [7 * size for size in sizes]).parts == {1: pytest.approx(7)}
    both = fit(sizes, [40 * size + 2 * size**2 for size in sizes])
    assert both.parts == {1: pytest.approx(40), 2: pytest.approx(2)}
    assert both.share(2, 20) == pytest.approx(0.5)
    assert both.at(1000) == pytest.approx(2_040_000)
    cubic = fit(sizes, [3e-5 * size**3 + 0.01 * size**2 for size in sizes])
    assert set(cubic.parts) == {2, 3}
    assert set(fit(sizes, [3e-6 * size**3 + 0.01 * size**2 for size in sizes]).parts) == {2}, "no more than chance"
    assert 2 < cubic.slope < 3
    large = fit(sizes, [5e9 + 1e7 * size for size in sizes])
    assert large.parts == {0: pytest.approx(5e9), 1: pytest.approx(1e7)}
    assert str(fit(sizes, [300.0] * 5)) == "300"
    assert str(fit(sizes, [2 * size**2 for size in sizes])) == "2 N²"
    with pytest.raises(ValueError, match="two sizes"):
        fit([5.0], [1.0])


@pytest.fixture(scope="module")
def results() -> list[Result]:
    plans = [replace(MESH, nodes=nodes) for nodes in (4, 6, 9)]
    plans += [replace(REFLECTED, nodes=nodes, group=nodes) for nodes in (6, 9, 12)]
    plans += [replace(GROUPS, nodes=nodes) for nodes in (12, 20)]
    return [Trials(plan).run(reflector_back=True) for plan in plans]


def test_the_page_has_a_row_for_each_cluster(results: list[Result]) -> None:
    for of_a_kind in kinds(results):
        lines = costs(of_a_kind).splitlines()
        assert len(lines) == 2 + len(of_a_kind)
        for shown in (lines, happenings(of_a_kind).splitlines()):
            assert len({line.count("|") for line in shown}) == 1
    assert [sessions(one) for one in results] == [6, 15, 36, 13, 19, 25, 2 * 5 + 1 + 8, 2 * 5 + 1 + 12]


def test_the_growth_is_what_the_protocol_makes_it(results: list[Result]) -> None:
    mesh, reflected, _ = kinds(results)
    # Two reflectors say one UPDATE for each node to each other one: what else is said is linear.
    found = growths(reflected, ["messages at the start", "messages for one new route"])
    start = found["messages at the start"]
    assert set(start.parts) == {1, 2}
    assert start.parts[2] == pytest.approx(2, rel=0.05)
    assert start.error < 0.02
    assert max(found["messages for one new route"].parts) == 1
    assert growths(mesh, ["messages at the start"])["messages at the start"].last > 1.8


def test_the_page_is_written_between_its_markers(
    results: list[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "scale.md"
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    monkeypatch.setattr(pages, "PAGE", page)
    page.write_text("before\n")
    with pytest.raises(ValueError, match="markers"):
        pages.write(results, "a machine")
    page.write_text(f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n")
    pages.write(results, "a machine")
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    for name in ("scale-mesh", "scale-reflectors"):
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
        first = (tmp_path / f"{name}.svg").read_bytes()
        pages.write(results, "a machine")
        assert (tmp_path / f"{name}.svg").read_bytes() == first


def test_results_of_one_plan_take_each_others_place(results: list[Result], tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    for one in (results[0], results[1], {**results[0], "memory": 1}):
        keep(file, one)
    assert [(one["nodes"], one["memory"]) for one in read(file)] == [(6, results[1]["memory"]), (4, 1)]
