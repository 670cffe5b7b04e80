"""Runs follow() in a task and keeps what it said, so that a test can wait for a state instead of a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from calico_route.etcd.follow import Timing, follow
from calico_route.etcd.store import KeyEvent, KeySnapshot, Store

_PATIENCE = 40.0


async def eventually(reached: Callable[[], bool]) -> None:
    """Ask until something holds that nobody announces, such as what a server says of itself."""
    async with asyncio.timeout(_PATIENCE):
        while not reached():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)


class Follower:
    """`events` holds all events, `snapshots` all snapshots, `state` what they amount to."""

    def __init__(self) -> None:
        self.snapshots: list[KeySnapshot] = []
        self.events: list[KeyEvent] = []
        self.state: dict[bytes, bytes] = {}
        self.reasons: list[str] = []
        self.sources: list[str] = []
        self.connected = False
        self._changed = asyncio.Event()

    def up(self, *, source: str, revision: int) -> None:
        self.connected = True
        self.sources.append(source)
        self._changed.set()

    def down(self, *, source: str, reason: str) -> None:
        self.connected = False
        self.reasons.append(reason)
        self._changed.set()

    async def run(self, store: Store, keys: Sequence[bytes], timing: Timing) -> None:
        async with contextlib.aclosing(follow(store, keys, self, timing=timing)) as stream:
            async for news in stream:
                if isinstance(news, KeySnapshot):
                    self.snapshots.append(news)
                    self.state = dict(news.values)
                else:
                    self.events += news
                    for event in news:
                        if event.value is None:
                            self.state.pop(event.key, None)
                        else:
                            self.state[event.key] = event.value
                self._changed.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until something holds; fails after a time that no healthy run needs."""
        async with asyncio.timeout(_PATIENCE):
            while not reached():
                self._changed.clear()
                await self._changed.wait()


@contextlib.asynccontextmanager
async def following(store: Store, *keys: bytes, timing: Timing | None = None) -> AsyncIterator[Follower]:
    """A Follower that has its first snapshot, unless the store is away."""
    follower = Follower()
    timing = timing or Timing(probe=0.3, retry=0.05, retry_max=0.3, denied=0.2)
    task = asyncio.ensure_future(follower.run(store, keys, timing))
    try:
        await follower.until(lambda: bool(follower.snapshots or follower.reasons or task.done()))
        yield follower
        assert not task.done(), "follow() ended"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
