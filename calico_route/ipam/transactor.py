"""Requests to transactions: those that wait go together, and come again until nobody was faster."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from calico_route.etcd.store import Write
from calico_route.workload.ports import WorkloadError

from .access import Access, UnreachableError
from .block import RecordError, read_block
from .draft import MOST_WRITES, Draft
from .knowledge import Knowledge
from .paths import affinity_path, block_path
from .requests import Request, Scene

log = logging.getLogger(__name__)

_TOGETHER = 32  # requests
_ROOM = MOST_WRITES // 2  # keys of a draft, above which the next request waits for the next transaction
_PATIENCE = 60.0  # seconds of being overtaken by others
_LONGEST_PAUSE = 0.5  # seconds; at first as long as a transaction takes, then twice as long each time


class Transactor:
    """Makes one transaction at a time for all who ask in this process."""

    def __init__(
        self, access: Access, knowledge: Knowledge, *, node: str, order: str, clock: Callable[[], datetime]
    ) -> None:
        self._access = access
        self._knowledge = knowledge
        self._node = node
        self._order = order
        self._clock = clock
        self._waiting: deque[tuple[Request, asyncio.Future[tuple[str, ...]]]] = deque()
        self._doubts: dict[str, Sequence[Write]] = {}  # by handle: what may have happened, or may still
        self._task: asyncio.Task[None] | None = None
        self.overtaken = 0  # transactions that others were faster than

    async def ask(self, request: Request) -> tuple[str, ...]:
        """What comes of a request. WorkloadError where it cannot be done.

        Who gives up waiting does not know whether it was done: release the handle then."""
        future: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="ipam: transactions")
        return await future

    async def close(self) -> None:
        """Those who wait are told that nothing comes any more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self._refuse(self._waiting)  # a task that was cancelled before it began has told nobody

    async def _work(self) -> None:
        batch: list[tuple[Request, asyncio.Future[tuple[str, ...]]]] = []
        try:
            while self._waiting:
                batch = []
                while self._waiting and len(batch) < _TOGETHER:
                    request, future = self._waiting.popleft()
                    if not future.done():
                        batch.append((request, future))
                await self._serve(batch)
        finally:  # cancelled, or a fault of our own: nobody is to wait for ever
            self._refuse([*batch, *self._waiting])

    def _refuse(self, waiting: Iterable[tuple[Request, asyncio.Future[tuple[str, ...]]]]) -> None:
        for _, future in waiting:
            if not future.done():
                future.set_exception(UnreachableError("the allocation of addresses was stopped"))
        self._waiting.clear()

    async def _serve(self, batch: list[tuple[Request, asyncio.Future[tuple[str, ...]]]]) -> None:
        try:
            await self._fence([request for request, _ in batch])
            outcomes = await self._transact([request for request, _ in batch])
        except WorkloadError as error:
            outcomes = {request: error for request, _ in batch}
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            raise
        again = []
        for request, future in batch:
            if request not in outcomes:
                again.append((request, future))  # no room, or more to do
            elif not future.done():
                outcome = outcomes[request]
                if isinstance(outcome, WorkloadError):
                    # Each gets one of its own: a traceback grows on the way of whoever raises it.
                    future.set_exception(type(outcome)(str(outcome), code=outcome.code))
                else:
                    future.set_result(outcome)
        self._waiting.extendleft(reversed(again))

    async def _transact(self, requests: list[Request]) -> dict[Request, tuple[str, ...] | WorkloadError]:
        draft = Draft(self._access, self._knowledge, self._node)
        deadline = time.monotonic() + _PATIENCE
        attempts = 0
        doubtful: list[Write] = []
        outcomes: dict[Request, tuple[str, ...] | WorkloadError] = {}
        made: frozenset[bytes] = frozenset()
        try:
            while True:
                began = time.monotonic()
                outcomes, partial = await self._draw(draft, requests)
                writes = draft.writes()
                done = await self._access.transact(writes) if writes else True
                if done:
                    made = frozenset(write.key for write in writes)
                    break
                if done is None:
                    doubtful = writes
                    for request in requests:
                        request.doubted()
                    log.info("addresses: no answer to a transaction of %d keys: looking what came of it", len(writes))
                else:
                    self.overtaken += 1
                attempts += 1
                now = time.monotonic()
                if now > deadline:
                    raise WorkloadError("others change the same addresses all the time; try again", code="busy")
                await asyncio.sleep(random.uniform(0, min((now - began) * 2 ** min(attempts, 6), _LONGEST_PAUSE)))
                await draft.again(everything=done is None)
        finally:
            if doubtful:
                for request in requests:
                    if request.handle is not None and not isinstance(outcomes.get(request) if made else None, tuple):
                        self._doubts[request.handle] = doubtful
            await self._give_up(draft, made)
        for request in requests:
            if request in partial or isinstance(outcomes.get(request), tuple):
                request.committed()
        return outcomes

    async def _draw(
        self, draft: Draft, requests: list[Request]
    ) -> tuple[dict[Request, tuple[str, ...] | WorkloadError], frozenset[Request]]:
        """What comes of each request if the draft is made, and which of them have more to do. Those for which there is
        no room are in neither."""
        settings = await self._knowledge.look()
        scene = Scene(settings, self._knowledge, self._node, self._order, self._clock())
        outcomes: dict[Request, tuple[str, ...] | WorkloadError] = {}
        partial = set()
        for request in requests:
            if draft.size > _ROOM:
                break
            mark = draft.mark()
            try:
                if await request.apply(draft, scene):
                    outcomes[request] = request.result
                else:
                    partial.add(request)
            except UnreachableError:
                raise
            except WorkloadError as error:
                draft.restore(mark)
                outcomes[request] = error
        return outcomes, frozenset(partial)

    async def _fence(self, requests: list[Request]) -> None:
        """A request for a handle with a transaction that was never answered must not be overtaken by it."""
        for request in requests:
            if request.handle in self._doubts:
                await self._access.fence(self._doubts[request.handle])
                del self._doubts[request.handle]

    async def _give_up(self, draft: Draft, made: frozenset[bytes]) -> None:
        """Take back claims on blocks that others have made, or that are not needed after all."""
        for cidr, revision in draft.claims.items():
            path = affinity_path(self._node, cidr)
            if path in made:
                continue
            try:
                stored = await self._access.get(block_path(cidr))
                if stored is None or read_block(cidr, stored.value).host != self._node:
                    await self._access.transact([Write(path, None, revision)])
            except (UnreachableError, RecordError) as error:
                log.warning("addresses: the claim on block %s stays pending (`ipam check` mends it): %s", cidr, error)
