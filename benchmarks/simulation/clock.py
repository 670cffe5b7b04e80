"""Virtual time: a queue of what happens next. Between two happenings no time passes, whatever they cost."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any


class Clock:
    """`now` is in seconds. What is due at the same time happens in the order in which it was asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.happened = 0
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = count()

    def at(self, when: float, what: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._queue, (max(when, self.now), next(self._number), what, arguments))

    def run(self, until: float, done: Callable[[], bool] | None = None) -> bool:
        """Let everything happen up to `until`, or only until `done`; whether it was done. Without `done` time stands
        at `until` afterwards, otherwise where it got to."""
        queue = self._queue
        while queue and queue[0][0] <= until:
            if done is not None and done():
                return True
            self.now, _, what, arguments = heapq.heappop(queue)
            self.happened += 1
            what(*arguments)
        finished = done is not None and done()
        if not finished:
            self.now = until
        return finished
