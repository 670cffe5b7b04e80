"""The declarative form of a policy: `rules(match(...) >> action >> accept(), ..., default=reject())`.

    own_blocks = rules(
        match(prefix_in("10.65.0.0/16", le=32), ~community("no-export"), name="ours") >> set_med(20) >> accept(),
        default=reject("not one of our blocks"),
    )

Rules are asked in order. One whose conditions all hold does its actions; without `accept` or `reject` among
them the route, as edited, goes on to the next rule. `default` decides about what falls through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy.actions import Action, Verdict, reject
from pybgp.policy.condition import Condition
from pybgp.prefix import NLRI
from pybgp.rib.filter import Reason
from pybgp.rib.route import Route

DEFAULT = "default"
"""The name of what decides where no rule does."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions that must all hold, and actions in order. `rule >> action` is the rule with one more. The name is
    for people who ask why; without one it is the rule's number."""

    conditions: tuple[Condition, ...]
    actions: tuple[Action, ...] = ()
    name: str = ""

    def __rshift__(self, action: Action) -> Rule:
        if self.ends:
            raise ValueError(f"nothing can follow {self.actions[-1]} in a rule")
        return Rule(self.conditions, (*self.actions, action), self.name)

    @property
    def ends(self) -> bool:
        """True when a route that it matches goes no further."""
        return bool(self.actions) and self.actions[-1].verdict is not None

    def matches(self, route: Route) -> bool:
        return all(condition.test(route) for condition in self.conditions)

    def act(self, attributes: PathAttributes) -> PathAttributes | None:
        """The attributes after the edits; None where the rule rejects."""
        for action in self.actions:
            if action.edit is not None:
                attributes = action.edit(attributes)
            elif action.verdict is Verdict.REJECT:
                return None
        return attributes

    def __str__(self) -> str:
        conditions = " and ".join(map(str, self.conditions)) or "any route"
        return f"{conditions}: {', '.join(map(str, self.actions)) or 'nothing'}"


def match(*conditions: Condition, name: str = "") -> Rule:
    """The start of a rule: all conditions must hold; without any it matches every route."""
    return Rule(conditions, name=name)


@dataclass(frozen=True, slots=True)
class Trace:
    """How a policy came to its answer: the rules that matched, by name or number, in order; the last of them (or
    "default") decided. `reason` is why the route is rejected, "" where it is accepted."""

    route: Route | None
    matched: tuple[str, ...]
    rule: str
    reason: str


class Rules:
    """A policy of rules. Callable as any other policy; `decide` also gives the reason of a rejection, `decide_each`
    answers for all prefixes of a path at once, `trace` tells how it came about."""

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
        self._prepared = tuple(_Prepared.of(rule, number) for number, rule in enumerate(parts, 1))
        self._no_match = Reason(f"no rule matched: {default}", rule=DEFAULT)

    def __call__(self, route: Route) -> Route | None:
        answer = self.decide(route)
        return None if isinstance(answer, str) else answer

    def decide(self, route: Route) -> Route | Reason:
        """The route as accepted, or why it is rejected."""
        for prepared in self._prepared:
            rule = prepared.rule
            if not rule.matches(route):
                continue
            attributes = rule.act(route.attributes)
            if attributes is None:
                return prepared.refusal
            if attributes is not route.attributes:
                route = route.with_attributes(attributes)
            if rule.ends:
                return route
        return route if self.default.verdict is Verdict.ACCEPT else self._no_match

    def decide_each(self, route: Route, nlri: list[NLRI]) -> list[tuple[PathAttributes | Reason, list[NLRI]]]:
        """The same for many prefixes with the same attributes: `route` stands for any of them. Conditions that do not
        look at prefixes are asked once, edits are made once."""
        done: list[tuple[PathAttributes | Reason, list[NLRI]]] = []
        waiting: list[tuple[PathAttributes, list[NLRI]]] = [(route.attributes, nlri)]
        for prepared in self._prepared:
            rule = prepared.rule
            following: list[tuple[PathAttributes, list[NLRI]]] = []
            for attributes, part in waiting:
                asked = route if attributes is route.attributes else route.with_attributes(attributes)
                matched, others = prepared.split(asked, part)
                if others:
                    following.append((attributes, others))
                if matched:
                    edited = rule.act(attributes)
                    if edited is None:
                        done.append((prepared.refusal, matched))
                    elif rule.ends:
                        done.append((edited, matched))
                    else:
                        following.append((edited, matched))
            waiting = following if len(following) < 2 else _merged(following)
            if not waiting:
                return done
        if self.default.verdict is Verdict.ACCEPT:
            done += waiting
        else:
            done += [(self._no_match, part) for _attributes, part in waiting]
        return done

    def trace(self, route: Route) -> Trace:
        """How it decides about a route."""
        matched: list[str] = []
        for prepared in self._prepared:
            if not prepared.rule.matches(route):
                continue
            matched.append(prepared.label)
            attributes = prepared.rule.act(route.attributes)
            if attributes is None:
                return Trace(None, tuple(matched), prepared.label, prepared.refusal)
            route = route.with_attributes(attributes)
            if prepared.rule.ends:
                return Trace(route, tuple(matched), prepared.label, "")
        if self.default.verdict is Verdict.ACCEPT:
            return Trace(route, (*matched, DEFAULT), DEFAULT, "")
        return Trace(None, (*matched, DEFAULT), DEFAULT, self._no_match)

    @property
    def labelled(self) -> list[tuple[str, Rule]]:
        """The rules with their names, or their numbers."""
        return [(prepared.label, prepared.rule) for prepared in self._prepared]

    def __str__(self) -> str:
        lines = [f"{label}. {rule}" for label, rule in self.labelled]
        return "\n".join([*lines, f"otherwise: {self.default}"])

    def __repr__(self) -> str:
        return f"<Rules {self.__name__}: {len(self.parts)} and a default>"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A rule with its conditions in the order in which a batch asks them, and what it says when it rejects."""

    rule: Rule
    label: str
    refusal: Reason
    of_path: tuple[Condition, ...]
    of_prefix: tuple[Condition, ...]

    @classmethod
    def of(cls, rule: Rule, number: int) -> _Prepared:
        label = rule.name or str(number)
        return cls(
            rule,
            label,
            Reason(f"rule {label}: {rule.actions[-1]}", rule=label),
            tuple(condition for condition in rule.conditions if condition.per_path),
            tuple(condition for condition in rule.conditions if not condition.per_path),
        )

    def split(self, route: Route, nlri: list[NLRI]) -> tuple[list[NLRI], list[NLRI]]:
        """The prefixes that match and those that do not."""
        if not all(condition.test(route) for condition in self.of_path):
            return [], nlri
        matched, others = nlri, []
        for condition in self.of_prefix:
            held = condition.among(route, matched)
            if not all(held):
                others += [one for one, holds in zip(matched, held, strict=True) if not holds]
                matched = [one for one, holds in zip(matched, held, strict=True) if holds]
                if not matched:
                    return [], nlri
        return matched, others


def _merged(parts: Sequence[tuple[PathAttributes, list[NLRI]]]) -> list[tuple[PathAttributes, list[NLRI]]]:
    """Prefixes that have the same attributes by now, together: so there are never more parts than answers."""
    groups: dict[PathAttributes, list[NLRI]] = {}
    for attributes, part in parts:
        held = groups.get(attributes)
        groups[attributes] = part if held is None else held + part
    return list(groups.items())


_REJECT = reject()


def rules(*parts: Rule, default: Action = _REJECT, name: str = "rules") -> Rules:
    """A policy of rules. ValueError for a rule without actions, or a default that is no verdict."""
    return Rules(parts, default, name)
