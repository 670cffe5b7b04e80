"""The declarative form of a policy: `rules(match(...) >> action >> accept(), ..., default=reject())`.

    own_blocks = rules(
        match(prefix_in("10.65.0.0/16", le=32), ~community("no-export")) >> set_local_pref(200) >> accept(),
        default=reject("not one of our blocks"),
    )

Rules are asked in order. One whose conditions all hold does its actions; without `accept` or `reject` among
them the route, as edited, goes on to the next rule. `default` decides about what falls through.
"""

from __future__ import annotations

from dataclasses import dataclass

from pybgp.policy.actions import Action, Verdict, reject
from pybgp.policy.match import Condition
from pybgp.rib.route import Route


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions that must all hold, and actions in order. `rule >> action` is the rule with one more."""

    conditions: tuple[Condition, ...]
    actions: tuple[Action, ...] = ()

    def __rshift__(self, action: Action) -> Rule:
        if self.ends:
            raise ValueError(f"nothing can follow {self.actions[-1]} in a rule")
        return Rule(self.conditions, (*self.actions, action))

    @property
    def ends(self) -> bool:
        """True when a route that it matches goes no further."""
        return bool(self.actions) and self.actions[-1].verdict is not None

    def matches(self, route: Route) -> bool:
        return all(condition.test(route) for condition in self.conditions)

    def __str__(self) -> str:
        conditions = " and ".join(map(str, self.conditions)) or "any route"
        return f"{conditions}: {', '.join(map(str, self.actions)) or 'nothing'}"


def match(*conditions: Condition) -> Rule:
    """The start of a rule: all conditions must hold; without any it matches every route."""
    return Rule(conditions)


class Rules:
    """A policy of rules. Callable as any other policy; `decide` also gives the reason of a rejection."""

    def __init__(self, parts: tuple[Rule, ...], default: Action, name: str) -> None:
        if default.verdict is None:
            raise ValueError(f"the default is accept() or reject(), not {default}")
        for number, rule in enumerate(parts, 1):
            if not rule.actions:
                raise ValueError(f"rule {number} of {name} ({rule}) has no action")
        self.parts = parts
        self.default = default
        self.__name__ = name
        self.per_path = all(condition.per_path for rule in parts for condition in rule.conditions)

    def __call__(self, route: Route) -> Route | None:
        answer = self.decide(route)
        return None if isinstance(answer, str) else answer

    def decide(self, route: Route) -> Route | str:
        """The route as accepted, or why it is rejected."""
        for number, rule in enumerate(self.parts, 1):
            if not rule.matches(route):
                continue
            attributes = route.attributes
            for action in rule.actions:
                if action.edit is not None:
                    attributes = action.edit(attributes)
                elif action.verdict is Verdict.REJECT:
                    return f"rule {number}: {action}"
            if attributes is not route.attributes:
                route = route.with_attributes(attributes)
            if rule.ends:
                return route
        return route if self.default.verdict is Verdict.ACCEPT else f"no rule matched: {self.default}"

    def __str__(self) -> str:
        lines = [f"{number}. {rule}" for number, rule in enumerate(self.parts, 1)]
        return "\n".join([*lines, f"otherwise: {self.default}"])

    def __repr__(self) -> str:
        return f"<Rules {self.__name__}: {len(self.parts)} and a default>"


_REJECT = reject()


def rules(*parts: Rule, default: Action = _REJECT, name: str = "rules") -> Rules:
    """A policy of rules. ValueError for a rule without actions, or a default that is no verdict."""
    return Rules(parts, default, name)
