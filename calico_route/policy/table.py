"""Our table of nftables as it should be, and the least commands that make it so.

Edits are collected; `take` gives the commands of one transaction for them, `whole` those that put the whole table in
the place of whatever is there, without a moment between the two. Names of chains, sets and maps are the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .expressions import Statement

FAMILY = "inet"
NAME = "calico_route"
Command: TypeAlias = dict[str, Any]
Element: TypeAlias = str | tuple[str, ...]
"""An address, or the parts of a concatenation."""


@dataclass(frozen=True, slots=True)
class RuleText:
    """One rule of a chain: its statements, and the comment that tells it from others."""

    statements: tuple[Statement, ...]
    comment: str


@dataclass(frozen=True, slots=True)
class Hook:
    """What makes a base chain of one."""

    hook: str
    priority: int


@dataclass(slots=True)
class _Set:
    type: str | tuple[str, ...]
    elements: set[Element] = field(default_factory=set)


class Table:
    """Chains, sets, and maps from an interface to the chain that its packets go to."""

    def __init__(self) -> None:
        self.chains: dict[str, tuple[RuleText, ...]] = {}
        self.hooks: dict[str, Hook] = {}
        self.sets: dict[str, _Set] = {}
        self.maps: dict[str, dict[str, str]] = {}
        self._new_chains: set[str] = set()
        self._filled: set[str] = set()
        self._dropped_chains: set[str] = set()
        self._new_sets: set[str] = set()
        self._dropped_sets: dict[str, set[Element]] = {}  # with what the kernel has in them
        self._elements: dict[str, dict[Element, bool]] = {}  # True: to be added, False: to be deleted
        self._mapped: dict[str, dict[str, str | None]] = {}  # what stands in the kernel, where that is to change

    @property
    def changed(self) -> bool:
        return bool(
            self._filled
            or self._dropped_chains
            or self._new_sets
            or self._dropped_sets
            or any(self._elements.values())
            or any(self._mapped.values())
        )

    def chain(self, name: str, rules: Iterable[RuleText], hook: Hook | None = None) -> bool:
        """Make a chain, or fill it anew. False: it is as it was."""
        made = tuple(rules)
        if self.chains.get(name) == made:
            return False
        if name not in self.chains:
            if name in self._dropped_chains:
                self._dropped_chains.discard(name)
            else:
                self._new_chains.add(name)
            if hook is not None:
                self.hooks[name] = hook
        self.chains[name] = made
        self._filled.add(name)
        return True

    def drop_chain(self, name: str) -> None:
        if self.chains.pop(name, None) is None:
            return
        self._filled.discard(name)
        if name in self._new_chains:
            self._new_chains.discard(name)
        else:
            self._dropped_chains.add(name)

    def add_set(self, name: str, kind: str | tuple[str, ...], elements: Iterable[Element] = ()) -> None:
        """A new set. The name says the type: one that was dropped just before is filled differently, and stays."""
        wanted = set(elements)
        self.sets[name] = _Set(kind, wanted)
        there = self._dropped_sets.pop(name, None)
        if there is None:
            self._new_sets.add(name)
        else:
            changes = dict.fromkeys(wanted - there, True) | dict.fromkeys(there - wanted, False)
            self._elements[name] = changes

    def drop_set(self, name: str) -> None:
        dropped = self.sets.pop(name, None)
        if dropped is None:
            return
        pending = self._elements.pop(name, {})
        if name in self._new_sets:
            self._new_sets.discard(name)
            return
        there = dropped.elements.difference(element for element, present in pending.items() if present)
        self._dropped_sets[name] = there.union(element for element, present in pending.items() if not present)

    def element(self, name: str, element: Element, present: bool) -> bool:
        """Put an element into a set, or take it out. False: it is so already."""
        elements = self.sets[name].elements
        if (element in elements) == present:
            return False
        if present:
            elements.add(element)
        else:
            elements.discard(element)
        if name not in self._new_sets:
            pending = self._elements.setdefault(name, {})
            if element in pending:
                del pending[element]  # back to what the kernel has
            else:
                pending[element] = present
        return True

    def map(self, name: str, interface: str, chain: str | None) -> None:
        """Lead the packets of an interface to a chain; None: nowhere."""
        known = self.maps.setdefault(name, {})
        before = known.get(interface)
        if before == chain:
            return
        pending = self._mapped.setdefault(name, {})
        pending.setdefault(interface, before)
        if pending[interface] == chain:
            del pending[interface]
        if chain is None:
            del known[interface]
        else:
            known[interface] = chain

    def take(self) -> list[Command]:
        """The commands for all that was changed since; they are taken to be carried out."""
        commands: list[Command] = []
        commands += [_add_set(name, self.sets[name]) for name in sorted(self._new_sets)]
        commands += [_chain("add", name, self.hooks.get(name)) for name in sorted(self._new_chains)]
        for name, changes in self._mapped.items():
            elements = [_to_chain(interface, before) for interface, before in changes.items() if before is not None]
            if elements:
                commands.append(_elements("delete", name, elements))
        for name in sorted(self._filled | self._dropped_chains):
            if name not in self._new_chains:
                commands.append({"flush": _chain_of(name)})
        for name in sorted(self._filled):
            commands += [_rule(name, rule) for rule in self.chains[name]]
        for name, pending in self._elements.items():
            for verb, present in (("delete", False), ("add", True)):
                elements = [_element(one) for one, wanted in pending.items() if wanted is present]
                if elements:
                    commands.append(_elements(verb, name, elements))
        for name, changes in self._mapped.items():
            known = self.maps[name]
            elements = [_to_chain(interface, known[interface]) for interface in changes if interface in known]
            if elements:
                commands.append(_elements("add", name, elements))
        commands += [{"delete": _chain_of(name)} for name in sorted(self._dropped_chains)]
        commands += [{"delete": {"set": _of(name)}} for name in sorted(self._dropped_sets)]
        self._settle()
        return commands

    def whole(self) -> list[Command]:
        """The commands that put this table in the place of one that may be there."""
        table = {"table": {"family": FAMILY, "name": NAME}}
        commands: list[Command] = [{"add": table}, {"delete": table}, {"add": table}]
        commands += [_add_set(name, one) for name, one in self.sets.items()]
        commands += [{"add": {"map": {**_of(name), "type": "ifname", "map": "verdict"}}} for name in self.maps]
        commands += [_chain("add", name, self.hooks.get(name)) for name in self.chains]
        for name, rules in self.chains.items():
            commands += [_rule(name, rule) for rule in rules]
        for name, known in self.maps.items():
            if known:
                commands.append(_elements("add", name, [_to_chain(*one) for one in known.items()]))
        self._settle()
        return commands

    def differences(self, listing: Iterable[Mapping[str, Any]]) -> list[str]:
        """What of a listing (`nft -j list table`) is not as it should be, in a few words."""
        found: list[str] = []
        chains: dict[str, list[str]] = {}
        sets: set[str] = set()
        maps: set[str] = set()
        for entry in listing:
            if "chain" in entry:
                one = entry["chain"]
                chains.setdefault(one["name"], [])
                hook = self.hooks.get(one["name"])
                if (one.get("hook"), one.get("prio")) != ((hook.hook, hook.priority) if hook else (None, None)):
                    found.append(f"chain {one['name']} is hooked in elsewhere")
            elif "rule" in entry:
                chains.setdefault(entry["rule"]["chain"], []).append(entry["rule"].get("comment", ""))
            elif "set" in entry:
                one = entry["set"]
                sets.add(one["name"])
                if one["name"] in self.sets and _read_elements(one) != self.sets[one["name"]].elements:
                    found.append(f"set {one['name']} has other elements")
            elif "map" in entry:
                one = entry["map"]
                maps.add(one["name"])
                if one["name"] in self.maps and _read_map(one) != self.maps[one["name"]]:
                    found.append(f"map {one['name']} leads elsewhere")
        for what, there, wanted in (
            ("chain", set(chains), set(self.chains)),
            ("set", sets, set(self.sets)),
            ("map", maps, set(self.maps)),
        ):
            found += [f"{what} {name} is missing" for name in sorted(wanted - there)]
            found += [f"{what} {name} is not ours" for name in sorted(there - wanted)]
        for name, rules in self.chains.items():
            if name in chains and chains[name] != [rule.comment for rule in rules]:
                found.append(f"chain {name} has other rules")
        return found

    def _settle(self) -> None:
        for one in (self._new_chains, self._filled, self._dropped_chains, self._new_sets):
            one.clear()
        self._dropped_sets.clear()
        self._elements.clear()
        self._mapped.clear()


def _of(name: str) -> dict[str, Any]:
    return {"family": FAMILY, "table": NAME, "name": name}


def _chain_of(name: str) -> dict[str, Any]:
    return {"chain": _of(name)}


def _chain(verb: str, name: str, hook: Hook | None) -> Command:
    extra = {} if hook is None else {"type": "filter", "hook": hook.hook, "prio": hook.priority, "policy": "accept"}
    return {verb: {"chain": {**_of(name), **extra}}}


def _rule(chain: str, rule: RuleText) -> Command:
    statements = list(rule.statements)
    return {
        "add": {"rule": {"family": FAMILY, "table": NAME, "chain": chain, "expr": statements, "comment": rule.comment}}
    }


def _add_set(name: str, one: _Set) -> Command:
    kind = list(one.type) if isinstance(one.type, tuple) else one.type
    found: dict[str, Any] = {**_of(name), "type": kind}
    if one.elements:
        found["elem"] = [_element(element) for element in one.elements]
    return {"add": {"set": found}}


def _element(element: Element) -> Any:
    return element if isinstance(element, str) else {"concat": list(element)}


def _to_chain(interface: str, chain: str) -> list[Any]:
    return [interface, {"goto": {"target": chain}}]


def _elements(verb: str, name: str, elements: list[Any]) -> Command:
    return {verb: {"element": {**_of(name), "elem": elements}}}


def _read_elements(one: Mapping[str, Any]) -> set[Element]:
    return {tuple(el["concat"]) if isinstance(el, dict) and "concat" in el else el for el in one.get("elem", ())}


def _read_map(one: Mapping[str, Any]) -> dict[str, str]:
    return {interface: verdict.get("goto", {}).get("target", "") for interface, verdict in one.get("elem", ())}
