"""What a policy is, and how the RIBs get to ask it in batches.

A policy is a callable from `Route` to `Route` or None: None rejects, `with_` and `with_attributes` edit. One
that does not look at the prefix says so with `@per_path` and is asked once a path instead of once a prefix.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from pybgp.family import Family
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import NLRI
from pybgp.rib.filter import Filter, Judgement
from pybgp.rib.route import Route, Source

logger = logging.getLogger(__name__)

Policy = Callable[[Route], Route | None]

P = TypeVar("P", bound=Policy)

_PER_PATH = "per_path"
MISSING = (
    "no {direction} policy on an eBGP session (RFC 8212): nothing is {verb}; "
    "give the peer one, accept_all if that is what you want"
)


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


def chain(*policies: Policy) -> Policy:
    """One policy of several: each gets what the one before it gave; the first to reject decides."""
    if not policies:
        raise ValueError("a chain needs at least one policy")

    def chained(route: Route) -> Route | None:
        current: Route | None = route
        for policy in policies:
            if current is None:
                return None
            current = policy(current)
        return current

    chained.__name__ = " then ".join(policy_name(policy) for policy in policies)
    if not any(map(looks_at_prefixes, policies)):
        per_path(chained)
    return chained


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
            return _Everything(
                MISSING.format(direction=direction, verb="accepted" if direction == "import" else "sent")
            )
        return _Everything(None)
    if policy is accept_all:
        return _Everything(None)
    ask: Callable[[Route], object] = getattr(policy, "decide", policy)
    return _Asked(ask, policy_name(policy), direction, per_path=not looks_at_prefixes(policy))


def missing_policy(filter_: Filter) -> str | None:
    """The sentence to log when a peer exchanges nothing for want of a policy (RFC 8212)."""
    if isinstance(filter_, _Everything) and filter_.answer is not None:
        return filter_.answer
    return None


class _Everything:
    """The same answer for every route; None accepts."""

    per_path = True

    def __init__(self, answer: str | None) -> None:
        self.answer = answer

    def judge(self, family: Family, attributes: PathAttributes, source: Source) -> Judgement:
        return attributes if self.answer is None else self.answer

    def judge_each(
        self, family: Family, nlri: list[NLRI], attributes: PathAttributes, source: Source
    ) -> list[tuple[Judgement, list[NLRI]]]:
        return [(attributes if self.answer is None else self.answer, nlri)]


class _Asked:
    """A callable, asked route by route (or path by path). It gives a Route, None, or the reason as a str."""

    def __init__(self, ask: Callable[[Route], object], name: str, direction: str, *, per_path: bool) -> None:
        self._policy = ask
        self._name = name
        self._direction = direction
        self._rejected = f"rejected by {direction} policy {name}"
        self._failed = False
        self.per_path = per_path

    def judge(self, family: Family, attributes: PathAttributes, source: Source) -> Judgement:
        return self._ask(Route.of(family, None, attributes, source))

    def judge_each(
        self, family: Family, nlri: list[NLRI], attributes: PathAttributes, source: Source
    ) -> list[tuple[Judgement, list[NLRI]]]:
        return grouped(nlri, lambda one: self._ask(Route.of(family, one, attributes, source)))

    def _ask(self, route: Route) -> Judgement:
        try:
            answer = self._policy(route)
        except Exception as error:
            if not self._failed:
                self._failed = True
                logger.exception("policy %s failed on %r; such routes are rejected", self._name, route)
            return f"policy {self._name} failed: {type(error).__name__}: {error}"
        if isinstance(answer, Route):
            return answer.attributes
        if answer is None:
            return self._rejected
        if isinstance(answer, str):
            return f"{self._rejected}: {answer}"
        return f"policy {self._name} gave {type(answer).__name__}, not a Route or None"


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
