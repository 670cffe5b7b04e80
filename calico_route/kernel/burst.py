"""Writing one slice of routes after the other, so that the kernel never waits for the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from .fib import Fib
from .socket import KernelError, Overrun
from .work import Work
from .writer import Answers, Writer, Written

SLICE = 2000  # destinations planned in one go: about 2 ms, then the event loop has its turn
AHEAD = 4  # slices that wait for the kernel behind the one that it works on
BURST = 20  # slices written one after the other before events are looked at
INLINE = 128  # routes written without the detour of a thread, in half a millisecond at most


class Burst:
    """Up to `BURST` slices of one family. While the kernel works on one, in the writer's thread, the next are planned,
    packed and put behind it.

    That happens in the callbacks of answers and wishes themselves, not in a task: while a table is read from a
    neighbour each turn of the event loop takes 5 ms, and a task would need several to hear of one answer, with the
    kernel idle meanwhile.
    """

    def __init__(self, fib: Fib, writer: Writer, planned: Callable[[], None], aside: Callable[[], None]) -> None:
        """`planned` is called after each slice was planned, `aside` when the first is handed to the thread."""
        self._fib = fib
        self._writer = writer
        self._planned = planned
        self._aside = aside
        self._left = BURST
        self._written: deque[Written] = deque()
        self._failure: KernelError | None = None
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.surprised = False  # a route of somebody else was met that nobody had told of
        self.lost = False  # answers of the kernel were

    async def run(self) -> None:
        """Write. Raises KernelError, when all that was under way is over; what was not taken is wanted again."""
        self._fill()
        if self._written:
            try:
                await asyncio.shield(self._over)
            except asyncio.CancelledError:
                self._left = 0
                while self._written:  # close() comes: the writer is closed after us, and ends what it has begun
                    self._settle(self._written.popleft())
                raise
        if self._failure is not None:
            raise self._failure

    def wanted(self) -> None:
        """There are new wishes: put them behind what is being written, unless enough waits there to fill the time."""
        if self._written and (len(self._written) == 1 or len(self._fib.dirty) >= SLICE):
            self._fill()

    def _fill(self) -> None:
        fib = self._fib
        now = asyncio.get_running_loop().time()
        while self._left and len(self._written) <= AHEAD:
            if any(fib.waits_for(one.nlri, SLICE) for one in self._written):
                return
            works = fib.plan(SLICE, now)
            self._planned()
            if not works:
                return
            self._left -= 1
            batches = self._writer.pack(fib.afi, works)
            if not self._written:
                if sum(len(work.nlri) for work in works) <= INLINE:
                    self._take_in(works, partial(self._writer.write, batches))
                    continue
                self._aside()
            self._written.append(self._writer.write_aside(works, batches, self._answered))

    def _answered(self) -> None:
        """The oldest write has ended."""
        if not self._written:
            return  # cancelled meanwhile
        try:
            self._settle(self._written.popleft())
            self._fill()
        except Exception as error:  # noqa: BLE001 - handed to who waits in `run`
            self._left = 0
            if not self._over.done():
                self._over.set_exception(error)
            return
        if not self._written and not self._over.done():
            self._over.set_result(None)

    def _settle(self, one: Written) -> None:
        self._take_in(one.works, one.answer.result)

    def _take_in(self, works: list[Work], answer: Callable[[], Answers]) -> None:
        answers: Answers = {}
        try:
            answers = answer()
        except Overrun:
            self.lost = True
        except KernelError as error:
            self._fib.again(works)
            self._failure = error
            self._left = 0
            return
        self.surprised |= self._fib.settle(works, answers)
