"""Policies of a file: `[policy.NAME]` with `default` and `[[policy.NAME.rule]]`, in the declarative form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pybgp import policy as p
from pybgp.app.reader import Table
from pybgp.family import Family
from pybgp.policy import Action, Condition, Policy
from pybgp.prefix import format_address, pack_address

BUILT_IN: dict[str, Policy] = {"accept": p.accept_all, "reject": p.reject_all}


MOST_PREPENDED = 255  # what one AS_PATH segment holds


def _list(value: Any) -> list[Any]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ValueError("the list is empty")
    return listed


def _texts(value: Any) -> list[str]:
    for item in _list(value):
        if not isinstance(item, str):
            raise ValueError(f"must be a text, or a list of texts, not {item!r}")
    return _list(value)


def _numbers(value: Any, least: int = 1) -> list[int]:
    for item in _list(value):
        if not isinstance(item, int) or isinstance(item, bool) or not least <= item <= 0xFFFFFFFF:
            raise ValueError(f"must be a number from {least} to 4294967295, or a list of such, not {item!r}")
    return _list(value)


def _any_of(make: Callable[[Any], Condition], values: list[Any]) -> Condition:
    first, *others = map(make, values)
    for other in others:
        first = first | other
    return first


def _sources(values: Any) -> Condition:
    for value in _texts(values):
        if value not in _SOURCES:
            raise ValueError(f"must be one of {', '.join(_SOURCES)}, not {value!r}")
    return _any_of(lambda value: _SOURCES[value](), _list(values))


def _peer(text: str) -> str:
    """An address as `PeerConfig` writes it, so that other spellings of it match as well."""
    host, percent, zone = text.partition("%")
    return format_address(pack_address(host)) + percent + zone


def _prepend(value: Any) -> Action:
    """An AS number, or [AS number, times]."""
    if isinstance(value, list) and len(value) != 2:
        raise ValueError(f"must be an AS number, or a list of it and how many times, not {value!r}")
    asn, times = (*_numbers(value), 1)[:2]
    if times > MOST_PREPENDED:
        raise ValueError(f"up to {MOST_PREPENDED} times, not {times}")
    return p.prepend(asn, times)


_SOURCES: dict[str, Callable[[], Condition]] = {
    "local": p.local_route,
    "internal": p.internal_route,
    "external": p.external_route,
}
CONDITIONS: dict[str, Callable[[Any], Condition]] = {
    "family": lambda value: _any_of(lambda name: p.family_is(Family.parse(name)), _texts(value)),
    "community": lambda value: p.community(*_list(value)),
    "large_community": lambda value: p.large_community(*_list(value)),
    "as_path_has": lambda value: _any_of(p.as_path_has, _numbers(value)),
    "as_path_longer_than": lambda value: p.as_path_length(ge=_numbers([value], 0)[0] + 1),
    "neighbor_as": lambda value: p.neighbor_as(*_numbers(value, 0)),
    "origin_as": lambda value: p.origin_as(*_numbers(value, 0)),
    "next_hop": lambda value: p.next_hop_is(*_texts(value)),
    "peer": lambda value: p.peer_is(*map(_peer, _texts(value))),
    "peer_as": lambda value: p.peer_as(*_numbers(value)),
    "source": _sources,
}
ACTIONS: dict[str, Callable[[Any], Action]] = {
    "set_local_pref": p.set_local_pref,
    "set_med": p.set_med,
    "set_next_hop": lambda value: p.set_next_hop(*_texts([value])),
    "set_communities": lambda value: p.set_communities(*([] if value == [] else _list(value))),
    "add_communities": lambda value: p.add_communities(*_list(value)),
    "remove_communities": lambda value: p.remove_communities(*_list(value)),
    "add_large_communities": lambda value: p.add_large_communities(*_list(value)),
    "prepend": _prepend,
}


def read_policies(tables: Table) -> dict[str, Policy]:
    """The built-in policies and those of the file, by name."""
    found = dict(BUILT_IN)
    for name in tables.rest():
        table = Table(tables.values[name], (*tables.path, name), tables.lines, tables.problems)
        if name in BUILT_IN:
            table.problem("", f"{name} is there already and cannot be another")
        found[name] = _policy(name, table)
    return found


def _policy(name: str, table: Table) -> Policy:
    default = _verdict(table, table.take("default", str, "reject"), "default")
    rules = []
    for entry in table.tables("rule"):
        built = _rule(entry)
        if built is not None:
            rules.append(built)
    table.close(("default", "rule"))
    return table.attempt("", p.reject_all, lambda: p.rules(*rules, default=default, name=name))


def _verdict(table: Table, word: str, key: str) -> Action:
    verdicts = {"accept": p.accept, "reject": p.reject}
    if word not in verdicts:
        table.problem(key, f"must be accept or reject, not {word!r}")
    return verdicts.get(word, p.reject)()


def _rule(table: Table) -> p.Rule | None:
    conditions: list[Condition] = []
    actions: list[Action] = []
    before = len(table.problems)
    prefixes = table.texts("prefix")
    ge, le = table.take("ge", int), table.take("le", int)
    if "prefix" in table.values and len(table.problems) == before:  # an empty list is no "any prefix"
        conditions += _made(table, "prefix", lambda: p.prefix_in(*_list(prefixes), ge=ge, le=le))
    elif ge is not None or le is not None:
        table.problem("ge" if ge is not None else "le", "goes with prefix")
    for key, condition in CONDITIONS.items():
        if key in table.values:
            value = table.take(key, object)
            conditions += _made(table, key, condition, value)
    for key, action in ACTIONS.items():
        if key in table.values:
            value = table.take(key, object)
            actions += _made(table, key, action, value)
    if "then" in table.values:
        actions.append(_verdict(table, table.take("then", str, "reject"), "then"))
    if not actions and len(table.problems) == before:
        table.problem("", "a rule needs an action: then, or one that sets something")
    table.close({"prefix", "ge", "le", "then", *CONDITIONS, *ACTIONS})
    if len(table.problems) > before:
        return None
    built = p.match(*conditions)
    for step in actions:
        built = built >> step
    return built


def _made(table: Table, key: str, make: Callable[..., Any], *arguments: object) -> list[Any]:
    """A list of what `make(*arguments)` gives, empty with a problem where it fails."""

    def careful() -> list[Any]:
        try:
            return [make(*arguments)]
        except (KeyError, AttributeError) as error:
            raise ValueError(f"{table.values[key]!r} is not understood ({error})") from None

    return table.attempt(key, [], careful)
