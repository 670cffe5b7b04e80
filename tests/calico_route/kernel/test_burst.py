"""Slices behind slices: a writer that answers when the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import cast

import pytest

from calico_route.kernel.burst import AHEAD, BURST, INLINE, SLICE, Burst
from calico_route.kernel.fib import Fib
from calico_route.kernel.route import IPV4, PLAIN
from calico_route.kernel.socket import KernelError, Overrun
from calico_route.kernel.work import Op, Work
from calico_route.kernel.writer import Answers, Writer, Written

from .conftest import raw
from .test_fib import PEER, made


class Slow:
    """In the place of a Writer: what is handed over waits for `answer`."""

    def __init__(self) -> None:
        self.inline: list[int] = []
        self.sizes: list[int] = []
        self.ops: list[Op] = []
        self._open: list[tuple[Written, Callable[[], None]]] = []

    def pack(self, afi: int, works: Sequence[Work]) -> list[bytes]:
        return [bytes(len(work.nlri)) for work in works]

    def write(self, batches: list[bytes]) -> Answers:
        self.inline += map(len, batches)
        return {}

    def write_aside(self, works: list[Work], batches: list[bytes], answered: Callable[[], None]) -> Written:
        self.sizes += map(len, batches)
        self.ops += [work.op for work in works]
        one = Written(works, frozenset().union(*(work.nlri for work in works)), Future())
        self._open.append((one, answered))
        return one

    @property
    def waiting(self) -> int:
        return len(self._open)

    async def answer(self, error: Exception | None = None) -> None:
        one, answered = self._open.pop(0)
        if error is None:
            one.answer.set_result({})
        else:
            one.answer.set_exception(error)
        answered()
        await asyncio.sleep(0)


def destinations(count: int, first: int = 0) -> list[bytes]:
    return [b"\x20" + raw("10.0.0.0")[:1] + number.to_bytes(3, "big") for number in range(first, first + count)]


class Scene:
    def __init__(self) -> None:
        self.fib: Fib = made().fibs[IPV4]
        self.writer = Slow()
        self.asides = 0
        self.burst = Burst(self.fib, cast(Writer, self.writer), lambda: None, self._aside)

    def _aside(self) -> None:
        self.asides += 1

    def want(self, nlri: list[bytes], gateway: bytes | None = PEER) -> None:
        self.fib.want(nlri, None if gateway is None else (gateway,), PLAIN)
        self.burst.wanted()

    async def begin(self) -> asyncio.Task[None]:
        task = asyncio.create_task(self.burst.run())
        await asyncio.sleep(0)
        return task


async def test_few_routes_are_written_at_once_and_without_a_thread() -> None:
    scene = Scene()
    scene.want(destinations(INLINE))
    await scene.burst.run()
    assert scene.writer.inline == [INLINE]
    assert not scene.asides
    assert len(scene.fib.installed) == INLINE


async def test_some_slices_wait_behind_the_one_in_the_kernel_and_no_more() -> None:
    scene = Scene()
    scene.want(destinations((AHEAD + 3) * SLICE))
    task = await scene.begin()
    assert scene.writer.waiting == AHEAD + 1
    await scene.writer.answer()
    assert scene.writer.waiting == AHEAD + 1  # planned in the call that told of the answer
    while scene.writer.waiting:
        await scene.writer.answer()
    await task
    assert scene.writer.sizes == [SLICE] * (AHEAD + 3)
    assert len(scene.fib.installed) == (AHEAD + 3) * SLICE
    assert scene.asides == 1


async def test_wishes_that_come_meanwhile_go_behind_what_is_written() -> None:
    scene = Scene()
    scene.want(destinations(SLICE))
    task = await scene.begin()
    scene.want(destinations(1, SLICE))
    assert scene.writer.sizes == [SLICE, 1]  # the kernel would be idle soon
    scene.want(destinations(1, SLICE + 1))
    assert scene.writer.sizes == [SLICE, 1]  # something waits: more may come together
    scene.want(destinations(SLICE - 1, SLICE + 2))
    assert scene.writer.sizes == [SLICE, 1, SLICE]
    while scene.writer.waiting:
        await scene.writer.answer()
    await task
    assert len(scene.fib.installed) == 2 * SLICE + 1
    assert not scene.fib.dirty


async def test_a_route_on_its_way_waits_for_the_answer() -> None:
    scene = Scene()
    scene.want(destinations(SLICE))
    task = await scene.begin()
    scene.want(destinations(SLICE), None)
    assert scene.writer.ops == [Op.ADD]
    await scene.writer.answer()
    assert scene.writer.ops == [Op.ADD, Op.DELETE]
    await scene.writer.answer()
    await task
    assert not scene.fib.installed


async def test_a_burst_ends_so_that_events_are_looked_at() -> None:
    scene = Scene()
    scene.want(destinations((BURST + 1) * SLICE))
    task = await scene.begin()
    while scene.writer.waiting:
        await scene.writer.answer()
    await task
    assert len(scene.fib.installed) == BURST * SLICE
    assert len(scene.fib.dirty) == SLICE


async def test_what_was_not_taken_is_wanted_again() -> None:
    scene = Scene()
    scene.want(destinations(3 * SLICE))
    task = await scene.begin()
    await scene.writer.answer()
    await scene.writer.answer(KernelError("no"))
    assert not task.done()  # one is still under way
    await scene.writer.answer()
    with pytest.raises(KernelError, match="no"):
        await task
    assert len(scene.fib.installed) == 2 * SLICE
    assert set(scene.fib.dirty) == set(destinations(SLICE, SLICE))


async def test_lost_answers_are_told() -> None:
    scene = Scene()
    scene.want(destinations(SLICE))
    task = await scene.begin()
    await scene.writer.answer(Overrun())
    await task
    assert scene.burst.lost


async def test_what_goes_wrong_in_planning_ends_the_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.want(destinations(SLICE))
    task = await scene.begin()

    def broken(works: Sequence[Work], refusals: Answers) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(scene.fib, "settle", broken)
    await scene.writer.answer()
    with pytest.raises(ZeroDivisionError):
        await task


async def test_who_gives_up_waiting_has_what_was_begun_counted() -> None:
    scene = Scene()
    scene.want(destinations(SLICE))
    task = await scene.begin()
    one = scene.writer._open[0][0]
    task.cancel()
    one.answer.set_result({})
    with pytest.raises(asyncio.CancelledError):
        await task
    scene.writer._open[0][1]()  # told late
    assert len(scene.fib.installed) == SLICE
