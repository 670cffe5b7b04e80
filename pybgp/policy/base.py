"""What a policy is, and how the RIBs get to ask it in batches.

A policy is a callable from `Route` to `Route` or None: None rejects, `with_` and `with_attributes` edit. One
that does not look at the prefix says so with `@per_path` and is asked once a path instead of once a prefix.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from pybgp.family import Family
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy.rules import Trace
from pybgp.prefix import NLRI
from pybgp.rib.filter import Filter, Judgement, PolicyAnswer, Reason
from pybgp.rib.route import Route, Source

logger = logging.getLogger(__name__)

Policy = Callable[[Route], Route | None]

P = TypeVar("P", bound=Policy)

_PER_PATH = "per_path"
_REASONS_KEPT = 1000
MISSING = (
    "no {direction} policy on an eBGP session (RFC 8212): nothing is {verb}; "
    "give the peer one, accept_all if that is what you want"
)


@runtime_checkable
class Deciding(Protocol):
    """A policy that can say more than yes or no: `Rules`, and chains of policies."""

    def decide(self, route: Route) -> Route | Reason: ...

    def decide_each(self, route: Route, nlri: list[NLRI]) -> list[tuple[PathAttributes | Reason, list[NLRI]]]: ...

    def trace(self, route: Route) -> Trace: ...


def deciding(policy: object) -> Deciding | None:
    """The policy, if it is such a one."""
    return policy if isinstance(policy, Deciding) else None


def per_path(policy: P) -> P:
    """Promise that a policy's answer does not depend on the prefix. It is then asked once for all prefixes
    that came with the same attributes, and `route.prefix` raises ValueError."""
    setattr(policy, _PER_PATH, True)
    return policy


def looks_at_prefixes(policy: Policy) -> bool:
    """False when the policy promises not to (see `per_path`)."""
    return not getattr(policy, _PER_PATH, False)


@per_path
def accept_all(route: Route) -> Route | None:
    """Every route, as it is."""
    return route


@per_path
def reject_all(route: Route) -> Route | None:
    """No route."""
    return None


def policy_name(policy: Policy) -> str:
    """A name for logs and reasons."""
    return getattr(policy, "__name__", None) or type(policy).__name__


def prepare(policy: Policy | None, direction: str, *, external: bool) -> Filter:
    """A policy made ready for the RIBs. None accepts on internal sessions and rejects on external ones, as
    RFC 8212 demands. `direction` is "import" or "export", for the reasons."""
    if direction not in ("import", "export"):
        raise ValueError(f"a policy is for import or export, not {direction!r}")
    if policy is None:
        if external:
            verb = "accepted" if direction == "import" else "sent"
            return _Everything(
                "none (RFC 8212)",
                Reason(MISSING.format(direction=direction, verb=verb), check=f"{direction} policy", rule="RFC 8212"),
            )
        return _Everything("none", None)
    if policy is accept_all:
        return _Everything(policy_name(policy), None)
    return _Asked(policy, direction)


def missing_policy(filter_: Filter) -> str | None:
    """The sentence to log when a peer exchanges nothing for want of a policy (RFC 8212)."""
    if isinstance(filter_, _Everything) and filter_.answer is not None:
        return filter_.answer
    return None


class _Everything:
    """The same answer for every route; None accepts."""

    per_path = True
    constant = True

    def __init__(self, name: str, answer: Reason | None) -> None:
        self.name = name
        self.answer = answer

    def judge(self, family: Family, attributes: PathAttributes, source: Source) -> Judgement:
        return attributes if self.answer is None else self.answer

    def judge_each(
        self, family: Family, nlri: list[NLRI], attributes: PathAttributes, source: Source
    ) -> list[tuple[Judgement, list[NLRI]]]:
        return [(attributes if self.answer is None else self.answer, nlri)]

    def explain(self, family: Family, nlri: NLRI, attributes: PathAttributes, source: Source) -> PolicyAnswer:
        return PolicyAnswer(self.name, self.answer is None, (), self.answer or "")


class _Asked:
    """A callable, asked route by route (or path by path, or batch by batch). It gives a Route, None, or the reason
    as a str."""

    constant = False

    def __init__(self, policy: Policy, direction: str) -> None:
        self._deciding = deciding(policy)
        self._ask: Callable[[Route], object] = policy if self._deciding is None else self._deciding.decide
        self._name = policy_name(policy)
        self._check = f"{direction} policy"
        self._rejected = Reason(f"rejected by {self._check} {self._name}", check=self._check, policy=self._name)
        self._reasons: dict[tuple[str, str], Reason] = {}
        self._failed = False
        self.per_path = not looks_at_prefixes(policy)

    def judge(self, family: Family, attributes: PathAttributes, source: Source) -> Judgement:
        return self._answer(Route.of(family, None, attributes, source))

    def judge_each(
        self, family: Family, nlri: list[NLRI], attributes: PathAttributes, source: Source
    ) -> list[tuple[Judgement, list[NLRI]]]:
        if self._deciding is not None:
            try:
                parts = self._deciding.decide_each(Route.of(family, None, attributes, source), nlri)
            except Exception:  # noqa: BLE001, S110  one by one, so that only the prefix that it fails for suffers
                pass
            else:
                return [(self._judgement(answer), part) for answer, part in parts]
        return grouped(nlri, lambda one: self._answer(Route.of(family, one, attributes, source)))

    def explain(self, family: Family, nlri: NLRI, attributes: PathAttributes, source: Source) -> PolicyAnswer:
        route = Route.of(family, nlri, attributes, source)
        if self._deciding is not None:
            try:
                trace = self._deciding.trace(route)
            except Exception as error:  # noqa: BLE001
                return PolicyAnswer(self._name, False, (), self._failure(error))
            return PolicyAnswer(self._name, trace.route is not None, trace.matched, trace.reason)
        answer = self._answer(route)
        return PolicyAnswer(self._name, not isinstance(answer, str), (), answer if isinstance(answer, str) else "")

    def _answer(self, route: Route) -> Judgement:
        try:
            answer = self._ask(route)
        except Exception as error:
            if not self._failed:
                self._failed = True
                logger.exception("policy %s failed on %r; such routes are rejected", self._name, route)
            return Reason(self._failure(error), check=self._check, policy=self._name)
        if isinstance(answer, Route):
            return answer.attributes
        return self._judgement(answer)

    def _judgement(self, answer: object) -> Judgement:
        if isinstance(answer, PathAttributes):
            return answer
        if answer is None:
            return self._rejected
        if not isinstance(answer, str):
            text = f"policy {self._name} gave {type(answer).__name__}, not a Route or None"
            return Reason(text, check=self._check, policy=self._name)
        rule = answer.rule if isinstance(answer, Reason) else ""
        reason = self._reasons.get((answer, rule))
        if reason is None:
            reason = Reason(f"{self._rejected}: {answer}", check=self._check, policy=self._name, rule=rule)
            if len(self._reasons) >= _REASONS_KEPT:
                self._reasons.clear()
            self._reasons[answer, rule] = reason
        return reason

    def _failure(self, error: Exception) -> str:
        return f"policy {self._name} failed: {type(error).__name__}: {error}"


def grouped(nlri: list[NLRI], ask: Callable[[NLRI], Judgement]) -> list[tuple[Judgement, list[NLRI]]]:
    """The prefixes by the answer that each of them gets."""
    groups: dict[Judgement, list[NLRI]] = {}
    for one in nlri:
        answer = ask(one)
        group = groups.get(answer)
        if group is None:
            groups[answer] = [one]
        else:
            group.append(one)
    return list(groups.items())
