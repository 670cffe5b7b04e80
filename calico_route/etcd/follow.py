"""A snapshot and then every change, through whatever happens to etcd and to the way there.

The rules, each of which cost somebody events once:

* A watch resumes from the mod_revision of the last event that was seen for its key, never from the
  revision in a reply's header: that is the store's own, ahead of the events while the watch catches up.
* It resumes AT that revision and drops what it knows, not one above it. etcd before 3.4.34 and 3.5.16
  loses a deletion when compaction ends at its very revision; asked from one below, it reports the
  compaction instead, and everything is read anew.
* Silence is not health. After `probe` seconds without an event a linearizable read must succeed on the same
  endpoint, else that endpoint is left: this finds frozen servers, cut networks and a lost quorum.
* History may start again (a data directory wiped, a backup restored): another cluster id, a lower term or
  a lower revision ask for everything anew. A backup that was restored under the old name may be none of these
  once it has overtaken us; so after each loss of the way the last event that was seen must be in the history.
* Each key is a watch of its own, and what one transaction has done comes one key after the other. Where that could
  mislead (`doubted`), everything is read anew instead, at one revision.
* etcd itself has lost events of watches; so all is read anew from time to time, less often the more keys
  there are and never in step with other agents.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .store import (
    ClosedError,
    CompactedError,
    DeniedError,
    Head,
    KeyEvent,
    KeySnapshot,
    Store,
    StoredValue,
    UnavailableError,
    Wanted,
)

_KEYS_FOR_RARER_RESYNC = 5000
_LONGEST_RESYNC = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds. The pauses are drawn from half to one and a half times what is written."""

    probe: float = 5.0
    resync: float = 300.0
    retry: float = 0.1  # after the first failure, then twice as long each time
    retry_max: float = 3.0
    denied: float = 30.0  # after a refusal, which only a person can cure

    def resync_after(self, keys: int) -> float:
        """How long a snapshot of so many keys is good for, before it is spread."""
        return min(max(self.resync, _LONGEST_RESYNC), self.resync * max(1.0, keys / _KEYS_FOR_RARER_RESYNC))


class Reporter(Protocol):
    """Told how it stands; called often, so it must sort out what is news."""

    def up(self, *, source: str, revision: int) -> None: ...

    def down(self, *, source: str, reason: str) -> None: ...


async def follow(
    store: Store,
    keys: Sequence[bytes],
    reporter: Reporter,
    *,
    wanted: Wanted | None = None,
    doubted: Callable[[list[KeyEvent]], Awaitable[bool]] | None = None,
    timing: Timing | None = None,
    spread: Callable[[float, float], float] = random.uniform,
) -> AsyncGenerator[KeySnapshot | list[KeyEvent], None]:
    """Yield a KeySnapshot, then lists of events in order for each of `keys` (see Store).

    A further snapshot replaces everything known; `doubted` may ask for one in the place of some events. Ends only when
    the store is closed; use it under contextlib.aclosing().
    """
    timing = timing or Timing()
    history = _History(keys)
    pause = timing.retry
    due = 0.0
    while True:
        endpoint = store.endpoint
        changes: _Changes | None = None
        try:
            if history.unknown or time.monotonic() >= due or not await history.goes_on(store):
                snapshot = await store.snapshot(keys, wanted)
                history.restart(snapshot.head, snapshot.newest)
                due = time.monotonic() + timing.resync_after(snapshot.seen) * spread(0.5, 1.5)
                reporter.up(source=endpoint, revision=history.revision)
                yield snapshot
            changes = _Changes(store, history.seen)
            reporter.up(source=endpoint, revision=history.revision)
            while time.monotonic() < due:
                batch = await changes.next(timing.probe)
                if batch is None:
                    if history.broken_by(await store.head()):
                        raise CompactedError("the history of the store started again")
                    pause = timing.retry
                    reporter.up(source=endpoint, revision=history.revision)
                    continue
                news = history.news(batch)
                if news:
                    pause = timing.retry
                    if doubted is not None and await _asked(doubted, news, history):
                        break
                    reporter.up(source=endpoint, revision=history.revision)
                    yield news
        except CompactedError as error:
            # No outage; but two in a row without an event between them must not become a busy loop.
            if history.unknown:
                reporter.down(source=endpoint, reason=str(error))
                await asyncio.sleep(pause * spread(0.5, 1.5))
                pause = min(pause * 2, timing.retry_max)
            history.forget()
        except DeniedError as error:
            reporter.down(source=endpoint, reason=f"etcd refuses: {error}")
            await _close(changes)
            await store.reset(endpoint)
            await asyncio.sleep(timing.denied * spread(0.5, 1.5))
        except UnavailableError as error:
            reporter.down(source=endpoint, reason=str(error))
            await _close(changes)
            await store.reset(endpoint)
            await asyncio.sleep(pause * spread(0.5, 1.5))
            pause = min(pause * 2, timing.retry_max)
        except ClosedError:
            return
        finally:
            await _close(changes)


async def _asked(doubted: Callable[[list[KeyEvent]], Awaitable[bool]], news: list[KeyEvent], history: _History) -> bool:
    """True: the history is forgotten. So it is where nobody answers, since these events do not come again."""
    doubt = True
    try:
        doubt = await doubted(news)
    finally:
        if doubt:
            history.forget()
    return doubt


class _History:
    """How far each key was followed, and in which history."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)
        self._head: Head | None = None
        self._last: KeyEvent | None = None  # the newest that is known
        self.seen: dict[bytes, int] = {}

    @property
    def unknown(self) -> bool:
        return self._head is None

    @property
    def revision(self) -> int:
        return max(self.seen.values(), default=0)

    def restart(self, head: Head, newest: KeyEvent | None) -> None:
        self._head, self._last = head, newest
        self.seen = dict.fromkeys(self._keys, head.revision)

    def forget(self) -> None:
        self._head = None

    def broken_by(self, now: Head) -> bool:
        """Whether the store cannot be the one that was followed."""
        was = self._head
        if was is None:
            return True
        if now.cluster_id != was.cluster_id or now.raft_term < was.raft_term or now.revision < self.revision:
            return True
        self._head = now
        return False

    async def goes_on(self, store: Store) -> bool:
        """Whether the store, after the way to it was lost, is still the one that was followed."""
        if self.broken_by(await store.head()):
            return False
        return self._last is None or await _happened(store, self._last)

    def news(self, batch: list[KeyEvent]) -> list[KeyEvent]:
        """The events that were not seen before; they are seen now."""
        before = dict(self.seen)
        news = []
        for event in batch:
            watched = self._watched(event.key)
            if watched is not None and event.revision > before[watched]:
                self.seen[watched] = max(self.seen[watched], event.revision)
                news.append(event)
                if self._last is None or event.revision >= self._last.revision:
                    self._last = event
        return news

    def _watched(self, key: bytes) -> bytes | None:
        for name in self._keys:
            if key == name or (name.endswith(b"/") and key.startswith(name)):
                return name
        return None


async def _happened(store: Store, event: KeyEvent) -> bool:
    """Whether this is in the store's history. CompactedError where that, and what came of it, is not kept any more:
    a watch could not go on either."""
    now = await store.get(event.key)
    if event.value is not None:
        written = StoredValue(event.value, event.revision)
        return now == written or await store.get(event.key, event.revision) == written
    try:
        then, before = [await store.get(event.key, event.revision - ago) for ago in (0, 1)]
    except CompactedError:
        return now is None
    return then is None and before is not None


class _Changes:
    """A running watch whose next batch can be waited for with a time limit, without losing it."""

    def __init__(self, store: Store, revisions: dict[bytes, int]) -> None:
        self._watch = store.watch(dict(revisions))
        self._next: asyncio.Future[list[KeyEvent]] | None = None

    async def next(self, patience: float) -> list[KeyEvent] | None:
        """The next batch, or None when there was none for `patience` seconds."""
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._watch))
        done, _ = await asyncio.wait({self._next}, timeout=patience)
        if not done:
            return None
        batch, self._next = self._next, None
        return batch.result()

    async def close(self) -> None:
        """Stop the watch and wait until it has let go of its stream."""
        waiting, self._next = self._next, None
        if waiting is not None:
            waiting.cancel()
            # Not `await waiting`: a cancellation of our own task must not be taken for that of the watch.
            await asyncio.wait({waiting})
            if not waiting.cancelled():
                waiting.exception()  # what it came to is of no interest any more
        await self._watch.aclose()


async def _close(changes: _Changes | None) -> None:
    if changes is not None:
        await changes.close()
