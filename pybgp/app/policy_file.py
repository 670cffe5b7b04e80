"""Policies of a file, in the declarative form: `[policy.NAME]` with `default` and `[[policy.NAME.rule]]`, and the
named sets `[prefix_set]` and `[as_set]` that rules refer to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pybgp import policy as p
from pybgp.app.policy_words import ACTIONS, CONDITIONS, Sets, listed
from pybgp.app.reader import Table
from pybgp.policy import Action, AsSet, Condition, Policy, PrefixSet

BUILT_IN: dict[str, Policy] = {"accept": p.accept_all, "reject": p.reject_all}
_GROUPS = ("any", "not")


def read_sets(prefixes: Table, asns: Table) -> Sets:
    """The named sets of a file."""
    prefix_sets: dict[str, PrefixSet] = {}
    for name, value in prefixes.rest().items():
        texts = prefixes.texts(name)
        if texts:
            for made in _made(prefixes, name, lambda entries, name: PrefixSet(*entries, name=name), texts, name):
                prefix_sets[name] = made
        elif value == []:
            prefixes.problem(name, "the list is empty")
    as_sets: dict[str, AsSet] = {}
    for name, value in asns.rest().items():
        if name[:1].isdecimal():
            asns.problem(name, "the name of an AS set does not begin with a digit")
        for made in _made(asns, name, lambda entries, name: AsSet(*listed(entries), name=name), value, name):
            as_sets[name] = made
    return Sets(prefix_sets, as_sets)


def read_policies(tables: Table, sets: Sets | None = None) -> dict[str, Policy]:
    """The built-in policies and those of the file, by name."""
    found = dict(BUILT_IN)
    for name in tables.rest():
        table = Table(tables.values[name], (*tables.path, name), tables.lines, tables.problems)
        if name in BUILT_IN:
            table.problem("", f"{name} is there already and cannot be another")
        found[name] = _policy(name, table, sets or Sets())
    return found


def _policy(name: str, table: Table, sets: Sets) -> Policy:
    default = _verdict(table, "default", "reject")
    rules: list[p.Rule] = []
    names: set[str] = set()
    for entry in table.tables("rule"):
        built = _rule(entry, sets)
        if built is None:
            continue
        if built.name and built.name in names:
            entry.problem("name", f"another rule of {name} is called {built.name!r}")
        names.add(built.name)
        rules.append(built)
    table.close(("default", "rule", "reason"))
    return table.attempt("", p.reject_all, lambda: p.rules(*rules, default=default, name=name))


def _verdict(table: Table, key: str, default: str | None = None) -> Action:
    """`accept` or `reject`, and the reason beside it."""
    word = table.take(key, str, default)
    reason = table.take("reason", str, "")
    if word not in ("accept", "reject", None):
        table.problem(key, f"must be accept or reject, not {word!r}")
    elif reason and word != "reject":
        table.problem("reason", f'goes with {key} = "reject"')
    return p.accept() if word == "accept" else p.reject(reason)


def _rule(table: Table, sets: Sets) -> p.Rule | None:
    before = len(table.problems)
    name = table.take("name", str, "")
    conditions = _conditions(table, sets)
    actions: list[Action] = []
    for key, action in ACTIONS.items():
        if key in table.values:
            actions += _made(table, key, action, table.take(key, object))
    if "then" in table.values or "reason" in table.values:
        actions.append(_verdict(table, "then"))
    if not actions and len(table.problems) == before:
        table.problem("", "a rule needs an action: then, or one that sets something")
    table.close({"name", "prefix", "ge", "le", "then", "reason", *CONDITIONS, *ACTIONS, *_GROUPS})
    if len(table.problems) > before:
        return None
    built = p.match(*conditions, name=name)
    for step in actions:
        built = built >> step
    return built


def _conditions(table: Table, sets: Sets) -> list[Condition]:
    """All the conditions of a rule, or of a table in `any` or `not`."""
    conditions: list[Condition] = []
    before = len(table.problems)
    prefixes = table.texts("prefix")
    ge, le = table.take("ge", int), table.take("le", int)
    if "prefix" in table.values and len(table.problems) == before:  # an empty list is no "any prefix"
        conditions += _made(table, "prefix", lambda: p.prefix_in(*listed(prefixes), ge=ge, le=le))
    elif ge is not None or le is not None:
        table.problem("ge" if ge is not None else "le", "goes with prefix")
    for key, condition in CONDITIONS.items():
        if key in table.values:
            conditions += _made(table, key, condition, table.take(key, object), sets)
    inner = {key: _group(table, key, sets) for key in _GROUPS if key in table.values}
    if inner.get("any"):
        conditions.append(p.any_of(*inner["any"]))
    conditions += [~one for one in inner.get("not", ())]
    return conditions


def _group(table: Table, key: str, sets: Sets) -> list[Condition]:
    """The tables of `any` or `not`, each as one condition: all that is in it."""
    value = table.take(key, (list, dict), [])
    single = isinstance(value, dict)
    found: list[Condition] = []
    for number, item in enumerate([value] if single else value):
        path = (*table.path, key) if single else (*table.path, key, number)
        inner = Table(item, path, table.lines, table.problems)
        before = len(table.problems)
        conditions = _conditions(inner, sets)
        inner.close({"prefix", "ge", "le", *CONDITIONS, *_GROUPS})
        if not conditions and len(table.problems) == before:
            inner.problem("", "needs a condition")
        if conditions:
            found.append(p.all_of(*conditions))
    if table.values[key] == []:
        table.problem(key, "the list is empty")
    return found


def _made(table: Table, key: str, make: Callable[..., Any], *arguments: object) -> list[Any]:
    """A list of what `make(*arguments)` gives, empty with a problem where it fails."""

    def careful() -> list[Any]:
        try:
            return [make(*arguments)]
        except (KeyError, AttributeError) as error:
            raise ValueError(f"{table.values[key]!r} is not understood ({error})") from None

    return table.attempt(key, [], careful)
