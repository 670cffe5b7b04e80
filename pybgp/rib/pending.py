"""What waits to be told to one peer: slots by key, and the order in which the keys came."""

from __future__ import annotations

from collections import deque

from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import NLRI

Slot = tuple[PathAttributes | None, PathAttributes | None]
"""What the peer holds, and what it is to be told; None is nothing, or a withdrawal. What it holds is of use only where
it is not kept beside (see `AdjRibOut`)."""


class Queue:
    """Lists of keys in order of arrival. Keys that are no longer wanted stay until their turn, but never
    more of them than there are wanted ones (or a few thousand)."""

    SLACK = 4096

    def __init__(self) -> None:
        self._batches: deque[list[NLRI]] = deque()
        self._offset = 0  # into the first batch
        self.keys = 0
        self.mixed = False  # whether one list may have several sets of attributes
        self.only: Slot | None = None  # what all keys were queued with, where that is one

    def put(
        self,
        keys: list[NLRI],
        pending: dict[NLRI, Slot],
        *,
        wanted: bool,
        slot: Slot | None = None,
    ) -> None:
        """Queue keys; `wanted` is which kind of slot this queue is for (announcements: True); `slot` is that of all of
        them, where they have the same."""
        if slot is not self.only:
            self.only = None if self._batches else slot
        self._batches.append(keys)
        self.keys += len(keys)
        if self.keys > 2 * len(pending) + self.SLACK:
            self.clear()
            kept = [one for one, (_, target) in pending.items() if (target is not None) is wanted]
            if kept:
                self._batches.append(kept)
                self.keys = len(kept)
                self.mixed = True

    def take(self, limit: int) -> list[NLRI]:
        """Up to `limit` keys from one list; empty when there is none."""
        if not self._batches:
            return []
        batch = self._batches[0]
        start, self._offset = self._offset, self._offset + limit
        if self._offset >= len(batch):
            self._batches.popleft()
            self._offset = 0
        taken = batch[start : start + limit] if start or limit < len(batch) else batch
        self.keys -= len(taken)
        return taken

    def clear(self) -> None:
        self._batches.clear()
        self._offset = 0
        self.keys = 0
        self.mixed = False
        self.only = None
