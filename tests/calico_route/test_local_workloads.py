"""Kept up to date, it says what it would say of the same things at first sight."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.local_workloads import LocalWorkloads
from calico_route.model import Invalid, Kind, ResourceKey, WorkloadEndpoint
from pybgp import Prefix

INTERFACES = ("", "cali1", "cali2", "cali3")
PREFIXES = tuple(Prefix(f"192.168.0.{number}/32") for number in range(1, 5))


def endpoint(name: str, interface: str, *networks: Prefix, node: str = "n1") -> WorkloadEndpoint:
    return WorkloadEndpoint(name=name, namespace="default", node=node, interface=interface, networks=networks)


endpoints = st.builds(
    lambda name, interface, networks, node: endpoint(name, interface, *networks, node=node),
    st.sampled_from("abcd"),
    st.sampled_from(INTERFACES),
    st.lists(st.sampled_from(PREFIXES), max_size=2, unique=True),
    st.sampled_from(["n1", "n1", "n1", "n2"]),
)
moments = st.tuples(
    st.lists(endpoints, max_size=4),
    st.sets(st.sampled_from(INTERFACES[1:])),
    st.sets(st.sampled_from(PREFIXES)),  # with a local route
    st.booleans(),
)


@given(st.lists(moments, min_size=1, max_size=6))
@settings(deadline=None)
def test_as_at_first_sight(history: list[tuple[list[WorkloadEndpoint], set[str], set[Prefix], bool]]) -> None:
    kept, version, before = LocalWorkloads(), 0, (set[Prefix](), dict[Prefix, str]())
    known: dict[WorkloadEndpoint, WorkloadEndpoint] = {}
    for some, interfaces, routes, unchecked in history:
        # As in a View, what did not change is the same object; the table is another one.
        table = {one.key: known.setdefault(one, one) for one in some}
        kept.look(
            table,
            "n1",
            present=lambda interface, prefix, i=interfaces, r=routes: interface in i or prefix in r,  # type: ignore[misc]
            interfaces=interfaces,
            unchecked=unchecked,
        )
        reachable, obstacles = set[Prefix](), dict[Prefix, str]()
        for one in sorted((one for one in table.values() if one.node == "n1"), key=lambda one: one.name):
            for prefix in one.networks:
                if unchecked or one.interface in interfaces or prefix in routes:
                    reachable.add(prefix)
                else:
                    obstacles.setdefault(prefix, one.name)
        assert kept.reachable == reachable
        assert kept.obstacles.keys() == obstacles.keys()
        assert all(kept.obstacles[prefix].endswith(f"default/{name})") for prefix, name in obstacles.items())
        now = (set(kept.reachable), dict(kept.obstacles))
        assert (kept.version != version) == (now != before)
        version, before = kept.version, now


def test_nobody_is_asked_again_whose_interface_exists() -> None:
    asked = []

    def present(interface: str, prefix: Prefix) -> bool:
        asked.append((interface, prefix))
        return False

    own = LocalWorkloads()
    table = {one.key: one for one in (endpoint("a", "cali1", PREFIXES[0]), endpoint("b", "cali2", PREFIXES[1]))}
    for _ in range(3):
        own.look(table, "n1", present=present, interfaces={"cali1"}, unchecked=False)
    assert asked == [("cali2", PREFIXES[1])] * 3
    own.look(table, "n1", present=present, interfaces={"cali1", "cali2"}, unchecked=False)
    assert own.reachable == set(PREFIXES[:2])
    assert len(asked) == 3


def test_another_node_and_what_cannot_be_read() -> None:
    key = ResourceKey(Kind.WORKLOAD_ENDPOINT, "default", "broken")
    one = endpoint("a", "cali1", PREFIXES[0])
    table = MappingProxyType({key: Invalid(key, ()), one.key: one})
    own = LocalWorkloads()
    for node, expected in (("n2", set[Prefix]()), ("n1", {PREFIXES[0]}), ("n2", set[Prefix]())):
        own.look(table, node, present=lambda *_: False, interfaces={"cali1"}, unchecked=False)
        assert own.reachable == expected
        assert own.obstacles == {}
    moved = replace(one, networks=(PREFIXES[1],))
    own.look({moved.key: moved}, "n1", present=lambda *_: False, interfaces={"cali1"}, unchecked=False)
    assert own.reachable == {PREFIXES[1]}
