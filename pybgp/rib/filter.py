"""The face that import and export policy show to the RIBs: batches in, verdicts out.

`pybgp.policy.prepare` makes such filters from what users write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pybgp.family import Family
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import NLRI
from pybgp.rib.route import Source


class Reason(str):
    """Why a path is not used, or a peer not told, in words; and who says so: `check` ("import policy"), and of a
    policy its name and the name or number of the rule. Compared as the text that it is."""

    __slots__ = ("check", "policy", "rule")

    check: str
    policy: str
    rule: str

    def __new__(cls, text: str, *, check: str = "", policy: str = "", rule: str = "") -> Reason:
        made = super().__new__(cls, text)
        made.check, made.policy, made.rule = check, policy, rule
        return made


ELIGIBILITY = "eligibility"
"""The `check` of what rules a path out whatever policy says: loops, the first AS, the next hop."""
EXPORT_RULES = "export rules"
"""The `check` of what forbids telling a peer whatever policy says."""


Judgement = PathAttributes | str
"""The attributes to go on with, or why the route is rejected, in words (a `Reason`, where a policy says so). Never
raises: a filter that fails rejects, with the failure as the reason."""


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """What a policy says of one route, for people: `rules` are those that matched, the last of them decided."""

    policy: str
    accepted: bool
    rules: tuple[str, ...]
    reason: str


class Filter(Protocol):
    """A policy made ready. With `per_path` the verdict does not depend on the prefix: `judge` is asked once a
    path. Otherwise `judge_each` is asked, and its parts together are all the prefixes it was given. `constant`: it says
    the same of every route, now and ever, and changes nothing."""

    @property
    def per_path(self) -> bool: ...

    @property
    def constant(self) -> bool: ...

    def judge(self, family: Family, attributes: PathAttributes, source: Source) -> Judgement: ...

    def judge_each(
        self, family: Family, nlri: list[NLRI], attributes: PathAttributes, source: Source
    ) -> list[tuple[Judgement, list[NLRI]]]: ...

    def explain(self, family: Family, nlri: NLRI, attributes: PathAttributes, source: Source) -> PolicyAnswer: ...
