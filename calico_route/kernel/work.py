"""What is to be written: routes gathered by kind of message, next-hop set and prefix length."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache

from .route import RouteSpec


class Op(IntEnum):
    ADD = 0  # nothing of ours is there: refused where somebody else's is
    REPLACE = 1
    DELETE = 2
    DELETE_EXACT = 3  # names the next hops: one of several routes that we have for a destination


@dataclass(slots=True)
class Work:
    """Messages of one kind for destinations of one prefix length."""

    op: Op
    spec: RouteSpec
    nlri: list[bytes] = field(default_factory=list)


@cache
def bare(metric: int) -> RouteSpec:
    """What a deletion needs to say of a route."""
    return RouteSpec(metric=metric)


class Works:
    """Messages gathered by kind, next-hop set and prefix length."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int, int], Work] = {}

    def group(self, op: Op, spec: RouteSpec, length: int) -> list[bytes]:
        """The destinations of a kind, to add to."""
        key = (op, id(spec), length)
        work = self._found.get(key)
        if work is None:
            work = self._found[key] = Work(op, spec)
        return work.nlri

    def add(self, op: Op, spec: RouteSpec, nlri: bytes) -> None:
        self.group(op, spec, nlri[0]).append(nlri)

    def sorted(self) -> list[Work]:
        return sorted(self._found.values(), key=lambda work: work.op)
