"""Long work in slices: generators that yield after each slice, taken in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

Failure = Callable[[object, Exception], None]


class Jobs:
    """A queue of generators. `step()` runs one slice of the job whose turn it is.

    A job belongs to an owner. A job that raises is dropped, and `failed(owner, error)` is told: the others go on.
    """

    __slots__ = ("_failed", "_queue")

    def __init__(self, failed: Failure) -> None:
        self._queue: deque[tuple[object, Iterator[object]]] = deque()
        self._failed = failed

    def add(self, owner: object, job: Iterator[object]) -> None:
        self._queue.append((owner, job))

    def step(self) -> bool:
        """Run one slice; False when there was nothing to do."""
        if not self._queue:
            return False
        owner, job = self._queue.popleft()
        try:
            next(job)
        except StopIteration:
            pass
        except Exception as error:  # noqa: BLE001  one job's bug is not another's
            self._failed(owner, error)
        else:
            self._queue.append((owner, job))
        return True

    def __len__(self) -> int:
        return len(self._queue)
