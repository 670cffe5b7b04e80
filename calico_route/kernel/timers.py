"""Named one-shot timers: a second wish for one that is due already changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    def __init__(self) -> None:
        self._due: dict[str, asyncio.TimerHandle] = {}
        self._closed = False

    def later(self, name: str, delay: float, callback: Callable[[], None]) -> None:
        """Call back once, `delay` seconds from now, unless a call of that name is due already."""
        if name in self._due or self._closed:
            return

        def run() -> None:
            del self._due[name]
            callback()

        self._due[name] = asyncio.get_running_loop().call_later(max(0.0, delay), run)

    def close(self) -> None:
        self._closed = True
        for timer in self._due.values():
            timer.cancel()
        self._due.clear()
