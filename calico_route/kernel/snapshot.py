"""What status asks of the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .problem import Problem
from .route import RouteSpec


@dataclass(frozen=True, slots=True)
class KernelSnapshot:
    """`installed`: AFI -> destination -> route; `pending`: changes not yet written; `problems` in words."""

    installed: Mapping[int, Mapping[bytes, RouteSpec]]
    problems: tuple[Problem, ...]
    pending: int
    unconfirmed: int
