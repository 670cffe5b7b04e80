"""What is known, compiled step by step, is what compiling it at once gives; and the least commands lead there."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.policy.cluster import Cluster
from calico_route.policy.compile import Compiler
from calico_route.policy.source import Source
from calico_route.policy.table import RuleText, Table
from tests.calico_route.policy.memory_store import policy, profile, workload
from tests.calico_route.policy.strategies import clusters, policies


class Kernel:
    """Carries out commands as nftables would, and refuses what it would refuse."""

    def __init__(self) -> None:
        self.chains: dict[str, list[str]] = {}
        self.sets: dict[str, set[Any]] = {}
        self.maps: dict[str, dict[str, str]] = {}

    def run(self, commands: list[dict[str, Any]]) -> None:
        for command in commands:
            ((verb, thing),) = command.items()
            ((kind, one),) = thing.items()
            getattr(self, f"{verb}_{kind}")(one)
        self.check()

    def check(self) -> None:
        """Nobody refers to what is not there."""
        for rules in self.chains.values():
            for text in rules:
                for name in _references(json.loads(text)):
                    assert name in self.chains or name.removeprefix("@") in {**self.sets, **self.maps}, name
        for known in self.maps.values():
            assert set(known.values()) <= set(self.chains)

    def add_table(self, one: dict[str, Any]) -> None:
        pass

    def delete_table(self, one: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]

    def add_set(self, one: dict[str, Any]) -> None:
        assert one["name"] not in self.sets
        self.sets[one["name"]] = {_key(element) for element in one.get("elem", ())}

    def delete_set(self, one: dict[str, Any]) -> None:
        del self.sets[one["name"]]

    def add_map(self, one: dict[str, Any]) -> None:
        self.maps[one["name"]] = {}

    def add_chain(self, one: dict[str, Any]) -> None:
        assert one["name"] not in self.chains
        self.chains[one["name"]] = []

    def flush_chain(self, one: dict[str, Any]) -> None:
        self.chains[one["name"]].clear()

    def delete_chain(self, one: dict[str, Any]) -> None:
        assert not self.chains.pop(one["name"]), "not empty"

    def add_rule(self, one: dict[str, Any]) -> None:
        self.chains[one["chain"]].append(json.dumps(one["expr"]))

    def add_element(self, one: dict[str, Any]) -> None:
        for element in one["elem"]:
            if one["name"] in self.maps:
                interface, verdict = element
                assert interface not in self.maps[one["name"]]
                assert verdict["goto"]["target"] in self.chains
                self.maps[one["name"]][interface] = verdict["goto"]["target"]
            else:
                self.sets[one["name"]].add(_key(element))

    def delete_element(self, one: dict[str, Any]) -> None:
        for element in one["elem"]:
            if one["name"] in self.maps:
                assert self.maps[one["name"]].pop(element[0]) == element[1]["goto"]["target"]
            else:
                self.sets[one["name"]].remove(_key(element))

    @property
    def state(self) -> Any:
        return self.chains, self.sets, self.maps


def _key(element: Any) -> Any:
    return tuple(element["concat"]) if isinstance(element, dict) else element


def _references(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.startswith("@") else []
    if isinstance(value, dict):
        found = [value["jump"]["target"]] if "jump" in value else []
        return found + [name for one in value.values() for name in _references(one)]
    return [name for one in value for name in _references(one)] if isinstance(value, list) else []


def written(cluster: dict[str, Any]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for number, one in enumerate(cluster["profiles"]):
        found |= profile(f"p{number}", one["inbound"], one["outbound"], *one["tags"])
    for number, spec in enumerate(cluster["policies"]):
        found |= policy(f"policy{number}", spec)
    for number, one in enumerate(cluster["workloads"]):
        # Two have the same address for a while, and one is elsewhere.
        addresses = [f"192.168.0.{number // 2}", f"fd00::{number}"]
        node = "n2" if number == 3 else "n1"
        found |= workload(f"w{number}", addresses, one["profiles"], labels=one["labels"], node=node)
    return found


def compiler() -> tuple[Source, Compiler]:
    cluster = Cluster("n1")
    return Source(cluster, lambda text: None), Compiler(cluster)


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_step_by_step_is_as_at_once(data: st.DataObject) -> None:
    source, stepwise = compiler()
    kernel = Kernel()
    kernel.run(stepwise.table.whole())
    there: dict[bytes, bytes] = {}
    for _ in range(data.draw(st.integers(1, 3))):
        wanted = written(data.draw(clusters()))
        changes: list[tuple[bytes, bytes | None]] = [(path, wanted.get(path)) for path in there.keys() | wanted.keys()]
        changes = data.draw(st.permutations(changes))
        kept = data.draw(st.integers(0, len(changes)))
        for path, value in changes[:kept]:
            if value is None and path not in there:
                continue
            source.take(path, value)
            if value is None:
                del there[path]
            else:
                there[path] = value
            if data.draw(st.integers(0, 3)) == 0:
                stepwise.update()
                kernel.run(stepwise.table.take())
        stepwise.update()
        kernel.run(stepwise.table.take())
        assert not stepwise.table.changed

    other, at_once = compiler()
    for path, value in there.items():
        other.take(path, value)
    at_once.update()
    fresh = Kernel()
    fresh.run(at_once.table.whole())
    assert kernel.state == fresh.state
    kernel.run(stepwise.table.whole())
    assert kernel.state == fresh.state


def test_nothing_changed_is_no_command() -> None:
    source, made = compiler()
    both = profile("web") | workload("w1", ["192.168.0.1"], ["web"])
    for path, value in both.items():
        source.take(path, value)
    made.update()
    assert made.table.take()
    for path, value in both.items():
        source.take(path, value)
    made.update()
    assert not made.table.changed
    assert made.table.take() == []


def test_a_member_is_one_element() -> None:
    source, made = compiler()
    first = profile("web") | workload("w1", ["192.168.0.1"], ["web"])
    for path, value in first.items():
        source.take(path, value)
    made.update()
    made.table.take()
    for path, value in workload("far", ["192.168.0.9"], ["web"], node="n2").items():
        source.take(path, value)
    made.update()
    (command,) = made.table.take()
    assert command["add"]["element"]["elem"] == ["192.168.0.9"]


def test_profiles_that_nobody_here_uses_are_not_in_the_kernel() -> None:
    source, made = compiler()
    for path, value in (profile("web") | profile("db") | workload("w1", ["192.168.0.1"], ["web"])).items():
        source.take(path, value)
    made.update()
    names = " ".join([*made.table.chains, *made.table.sets])
    assert "web" in names
    assert "db" not in names


@given(policies())
def test_no_policy_is_too_odd_to_compile(spec: dict[str, Any]) -> None:
    source, made = compiler()
    both = policy("p", {**spec, "selector": ""}) | profile("web") | workload("w1", ["192.168.0.1"], ["web"])
    for path, value in both.items():
        source.take(path, value)
    made.update()
    Kernel().run(made.table.whole())


def test_a_listing_that_differs_is_told() -> None:
    table = Table()
    table.chain("c", [RuleText(({"drop": None},), "one")])
    table.add_set("s", "ipv4_addr", ["192.0.2.1"])
    table.map("m", "cali1", "c")
    good = [
        {"chain": {"name": "c"}},
        {"rule": {"chain": "c", "comment": "one"}},
        {"set": {"name": "s", "elem": ["192.0.2.1"]}},
        {"map": {"name": "m", "elem": [["cali1", {"goto": {"target": "c"}}]]}},
    ]
    assert table.differences(good) == []
    assert table.differences(good[:1] + good[2:]) == ["chain c has other rules"]
    assert table.differences([*good[:2], {"set": {"name": "s"}}, *good[3:]]) == ["set s has other elements"]
    assert table.differences(good[:3]) == ["map m is missing"]
    assert table.differences([*good, {"chain": {"name": "x"}}]) == ["chain x is not ours"]
