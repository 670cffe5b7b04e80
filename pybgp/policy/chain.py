"""Several policies as one: each gets what the one before it gave, and the first to reject decides."""

from __future__ import annotations

from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy.base import Deciding, Policy, deciding, looks_at_prefixes, policy_name
from pybgp.policy.rules import Trace
from pybgp.prefix import NLRI
from pybgp.rib.filter import Reason
from pybgp.rib.route import Route


class Chain:
    """See the module; made by `chain`."""

    def __init__(self, policies: tuple[Policy, ...]) -> None:
        if not policies:
            raise ValueError("a chain needs at least one policy")
        self.policies = policies
        self._parts = tuple((policy, deciding(policy)) for policy in policies)
        self.__name__ = " then ".join(map(policy_name, policies))
        self.per_path = not any(map(looks_at_prefixes, policies))

    def __call__(self, route: Route) -> Route | None:
        answer = self.decide(route)
        return None if isinstance(answer, str) else answer

    def decide(self, route: Route) -> Route | Reason:
        """The route as accepted by all, or why one of them rejects it."""
        for policy, asked in self._parts:
            answer = policy(route) if asked is None else asked.decide(route)
            if not isinstance(answer, Route):
                return _refusal(policy, answer)
            route = answer
        return route

    def decide_each(self, route: Route, nlri: list[NLRI]) -> list[tuple[PathAttributes | Reason, list[NLRI]]]:
        """The same for many prefixes with the same attributes: `route` stands for any of them."""
        done: list[tuple[PathAttributes | Reason, list[NLRI]]] = []
        waiting = [(route.attributes, nlri)]
        for policy, asked in self._parts:
            following: list[tuple[PathAttributes, list[NLRI]]] = []
            for attributes, part in waiting:
                for answer, some in _ask(policy, asked, route.with_attributes(attributes), part):
                    if isinstance(answer, str):
                        done.append((answer, some))
                    else:
                        following.append((answer, some))
            waiting = following
        return [*done, *waiting]

    def trace(self, route: Route) -> Trace:
        """How they decide about a route; the rules are told with their policy's name."""
        matched: list[str] = []
        for policy, asked in self._parts:
            name = policy_name(policy)
            if asked is not None:
                trace = asked.trace(route)
                matched += [f"{name}: {rule}" for rule in trace.matched]
                answer: Route | None = trace.route
                reason = trace.reason
            else:
                answer = policy(route)
                matched.append(name)
                reason = ""
            if answer is None:
                return Trace(None, tuple(matched), matched[-1], reason or f"policy {name}")
            route = answer
        return Trace(route, tuple(matched), matched[-1] if matched else "", "")


def _ask(
    policy: Policy, asked: Deciding | None, route: Route, nlri: list[NLRI]
) -> list[tuple[PathAttributes | Reason, list[NLRI]]]:
    if asked is not None:
        return [
            (answer if isinstance(answer, PathAttributes) else _refusal(policy, answer), part)
            for answer, part in asked.decide_each(route, nlri)
        ]
    groups: dict[PathAttributes | Reason, list[NLRI]] = {}
    if not looks_at_prefixes(policy):
        answer = policy(route)
        return [(answer.attributes if isinstance(answer, Route) else _refusal(policy, answer), nlri)]
    for one in nlri:
        answer = policy(Route.of(route.family, one, route.attributes, route.peer))
        key = answer.attributes if isinstance(answer, Route) else _refusal(policy, answer)
        groups.setdefault(key, []).append(one)
    return list(groups.items())


def _refusal(policy: Policy, answer: object) -> Reason:
    name = policy_name(policy)
    if isinstance(answer, Reason):
        return Reason(f"{name}: {answer}", rule=f"{name}: {answer.rule}" if answer.rule else name)
    return Reason(f"{name}: {answer}" if isinstance(answer, str) else name, rule=name)


def chain(*policies: Policy) -> Policy:
    """One policy of several: each gets what the one before it gave; the first to reject decides."""
    return Chain(policies)
