"""The face that import and export policy show to the RIBs: batches in, verdicts out.

`pybgp.policy.prepare` makes such filters from what users write.
"""

from __future__ import annotations

from typing import Protocol

from pybgp.family import Family
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import NLRI
from pybgp.rib.route import Source

Judgement = PathAttributes | str
"""The attributes to go on with, or why the route is rejected, in words. Never raises: a filter that fails
rejects, with the failure as the reason."""


class Filter(Protocol):
    """A policy made ready. With `per_path` the verdict does not depend on the prefix: `judge` is asked once a
    path. Otherwise `judge_each` is asked, and its parts together are all the prefixes it was given."""

    @property
    def per_path(self) -> bool: ...

    def judge(self, family: Family, attributes: PathAttributes, source: Source) -> Judgement: ...

    def judge_each(
        self, family: Family, nlri: list[NLRI], attributes: PathAttributes, source: Source
    ) -> list[tuple[Judgement, list[NLRI]]]: ...
