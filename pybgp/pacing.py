"""How long one peer may keep the event loop busy, and advice on the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SLICE = 0.010
"""Seconds of work in one turn of the loop, after which everybody else has a turn."""
PREFIXES = 2048
"""Prefixes in one step of long work: well below a slice."""


class Slice:
    """One turn's share of time: `while slice.lasts(): step()`."""

    __slots__ = ("_clock", "_until")

    def __init__(self, clock: Callable[[], float], seconds: float = SLICE) -> None:
        self._clock = clock
        self._until = clock() + seconds

    def lasts(self) -> bool:
        return self._clock() < self._until


@contextmanager
def gc_for_full_tables(threshold: int = 200_000) -> Iterator[None]:
    """For programs that hold hundreds of thousands of routes: collect rarely, and not what is there already.

    Python's cyclic collector walks every object again and again while a table grows (half a second at a
    million routes), and routes make no cycles. The collector belongs to the process, so the library never
    touches it by itself: a daemon wraps its main function in this. Everything is put back at the end.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(threshold, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
