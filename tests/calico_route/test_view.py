"""Folding updates: a batch after batch gives what one snapshot would give."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.datastore import Batch, Event, Snapshot
from calico_route.model import Invalid, Kind, Problem, ReadyFlag, Resource, ResourceKey
from calico_route.view import View, fold
from tests.calico_route.resources import cluster, configuration, endpoint, node, node_without_bgp, pool, view

RESOURCES: list[Resource] = [
    *(node(name, f"192.0.2.{number}") for number, name in enumerate("abcd", 1)),
    *(node(name, f"192.0.2.{number}") for number, name in enumerate("abcd", 11)),
    pool("p", "10.0.0.0/8"),
    pool("q", "10.0.0.0/9"),
    pool("p", "10.0.0.0/10"),
    endpoint("w", "a", "10.0.0.1/32"),
    configuration(asNumber=65000),
]
events = st.lists(st.tuples(st.sampled_from(RESOURCES), st.booleans()), max_size=30)


@given(events, st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_batches_give_what_a_snapshot_gives(changes: list[tuple[Resource, bool]], size: int) -> None:
    content: dict[ResourceKey, Resource | Invalid] = {}
    folded = View()
    for start in range(0, len(changes), size):
        batch = []
        for number, (resource, put) in enumerate(changes[start : start + size], start + 1):
            batch.append(Event(resource.key, resource if put else None, number))
            if put:
                content[resource.key] = resource
            else:
                content.pop(resource.key, None)
        folded = fold(folded, Batch(batch[-1].revision, tuple(batch)))
    assert folded == fold(View(), Snapshot(len(changes), content))
    assert folded.empty == (not content)


def test_an_old_view_stays_what_it_was() -> None:
    before = view(node("a", "192.0.2.1"), pool("p", "10.0.0.0/8"))
    key = ResourceKey(Kind.NODE, "", "a")
    after = fold(before, Batch(7, (Event(key, None, 7),)))
    assert before.node("a") is not None
    assert after.node("a") is None
    assert after.table(Kind.IP_POOL) is before.table(Kind.IP_POOL), "what does not change is shared"
    assert after.revision == 7


def test_a_snapshot_replaces_everything() -> None:
    assert fold(view(node("a", "192.0.2.1")), Snapshot(9, {})) == View(9)


def test_defaults_and_settings_of_a_node() -> None:
    empty = View()
    assert (empty.asn, empty.mesh, empty.port("a")) == (64512, True, 179)
    told = view(
        configuration(asNumber=65010, nodeToNodeMeshEnabled=False, listenPort=1790),
        configuration("node.a", listenPort=1791, asNumber=65011, nodeToNodeMeshEnabled=True),
    )
    assert (told.asn, told.mesh) == (65010, False), "of one node's settings only the port counts"
    assert (told.port("a"), told.port("b")) == (1791, 1790)


def test_workloads_of_a_node() -> None:
    seen = view(endpoint("w2", "a", "10.0.0.2/32"), endpoint("w1", "a", "10.0.0.1/32"), endpoint("w3", "ab"))
    assert [one.name for one in seen.workloads("a")] == ["w1", "w2"]


def test_what_was_never_readable_is_reported_and_used_nowhere() -> None:
    key = ResourceKey(Kind.NODE, "", "broken")
    invalid = Invalid(key, (Problem(key, "spec", "x", "must be an object"),))
    seen = fold(view(node("a", "192.0.2.1")), Batch(2, (Event(key, invalid, 2),)))
    assert [one.name for one in seen.nodes] == ["a"]
    assert seen.node("broken") is None
    assert seen.invalid == (invalid,)


def test_ready() -> None:
    assert View().not_ready == "", "hand-made clusters have no such key"
    assert view(ReadyFlag(ready=True), cluster(datastoreReady=True)).not_ready == ""
    assert "Ready" in view(ReadyFlag(ready=False)).not_ready
    assert "ClusterInformation" in view(ReadyFlag(ready=True), cluster(datastoreReady=False)).not_ready


def test_a_node_without_bgp() -> None:
    found = view(node_without_bgp("a")).node("a")
    assert found is not None
    assert not found.bgp
