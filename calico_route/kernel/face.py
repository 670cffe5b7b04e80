"""The kernel as the agent sees it: learned routes go in, next hops and workloads are found."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from .burst import Burst
from .contest import INSIST
from .fib import LINGER, Fib
from .problem import Problem, Reporter
from .reader import Reader
from .resolver import TRACKED_MAXIMUM
from .route import (
    MAIN_TABLE,
    PLAIN,
    PROTOCOL_BIRD,
    RouteOptions,
    RouteSpec,
    protocol_name,
)
from .snapshot import KernelSnapshot
from .socket import KernelError, MonitorSocket, Overrun, in_namespace
from .state import State
from .timers import Timers
from .words import route_text
from .writer import Writer

T = TypeVar("T")

logger = logging.getLogger("calico_route.kernel")

KERNEL_LOSS = 0.05  # seconds to let a link going down tell the whole story before routes are put back
RETRY_FIRST, RETRY_LAST = 1.0, 30.0
REPORT_AFTER = 0.5  # seconds of quiet before the log tells what is kept out
OTHERS_AFTER = 5.0  # seconds until it is looked who has had the last word, where somebody else writes our routes
NOT_OPEN = "the kernel's routes are not open: start() first, and not after close()"
LOOK_AFTER = 1.0  # seconds from an event that can have changed routes in silence to a full look


class Kernel:
    """Learned routes of one table and protocol, in the network namespace `netns` (None: the process's own).

    Only routes of that protocol in that table are ever touched, but with `insist` those of others too that have the
    very destination and metric of a learned one: what others take is then overwritten, once a second at most. Without,
    what they make stays, and what they delete is put back after growing pauses. Not safe for use from several threads.
    Callbacks run in the event loop: `on_next_hops_changed` with the next hops whose `resolve` gives
    another answer than before (None: ask again about all), `on_links_changed` without arguments (of addresses, too),
    `on_workloads_changed` without arguments when `link_routes` or `local_route` may give another answer.
    """

    def __init__(
        self,
        *,
        table: int = MAIN_TABLE,
        protocol: int = PROTOCOL_BIRD,
        metric: int | None = None,
        netns: str | None = None,
        workload_interfaces: str = "cali",
        monitor_buffer: int = 1 << 23,
        insist: bool = False,
    ) -> None:
        self.table = table
        self.protocol = protocol
        self.workload_interfaces = workload_interfaces
        self.on_next_hops_changed: Callable[[set[bytes] | None], None] | None = None
        self.on_links_changed: Callable[[], None] | None = None
        self.on_workloads_changed: Callable[[], None] | None = None
        self.adopted: Mapping[tuple[int, bytes], RouteSpec] = {}
        self._netns = netns
        self._monitor_buffer = monitor_buffer
        self._state = State(table, protocol, metric, insist=insist)
        self._here = self._state.here
        self._fibs = self._state.fibs
        self._reader = Reader(table, protocol, netns)
        self._writer = Writer(table, protocol, netns)
        self._monitor: MonitorSocket | None = None
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._waiters: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[object]] = set()
        self._timers = Timers()
        self._reporter = Reporter()
        self._retry_delay = RETRY_FIRST
        self._closed = False
        self._listening = False
        self._under_way: Burst | None = None
        self._looked_at = float("-inf")
        self.looks = 0  # full looks taken, for status

    # --- life ---

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the sockets, look at everything, adopt the routes of our protocol. Raises KernelError."""
        port, size = self._writer.open({afi: fib.metric for afi, fib in self._fibs.items()}), self._monitor_buffer
        try:
            self._monitor = in_namespace(self._netns, lambda: MonitorSocket(self.table, port, size))
            await self._look()
        except BaseException:
            await self.close()
            raise
        self.adopted = {(afi, nlri): spec for afi, fib in self._fibs.items() for nlri, spec in fib.unconfirmed.items()}
        if self.adopted:
            logger.info("adopted %d routes of protocol %s", len(self.adopted), protocol_name(self.protocol))
        self._listen(True)
        self._spawn(self._write())
        self._kick()

    async def close(self) -> None:
        """Stop. The routes stay; what was not flushed yet is not written any more."""
        self._closed = True
        self._listen(False)
        self._timers.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writer.close()
        self._release(KernelError(NOT_OPEN))
        if self._monitor is not None:
            self._monitor.close()

    # --- wishes ---

    def update(
        self,
        afi: int,
        nlri: Sequence[bytes],
        next_hops: tuple[bytes, ...] | None,
        options: RouteOptions = PLAIN,
    ) -> None:
        """Want routes to these destinations (wire form) over these BGP next hops; None: want none.

        Next hops are raw addresses of 4 or 16 octets, or of 32, a global and a link-local one (RFC 2545
        section 3). Several make one ECMP route. The last wish for a destination counts; writing happens
        in the background, see `flush`.
        """
        self._fibs[afi].want(nlri, next_hops, options)
        touched = self._state.resolver.touched(afi, nlri)
        if touched:
            self._follow(touched)
        if self._under_way is not None:
            self._under_way.wanted()
        self._kick()

    async def flush(self) -> None:
        """Return when everything wanted so far is in the kernel, or known not to go in.

        Raises KernelError where nothing can be written. To give up waiting does no harm.
        """
        if self._monitor is None or self._closed:
            raise KernelError(NOT_OPEN)
        while self._state.dirty or self._lock.locked():
            self._kick()
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def begin_grace(self) -> None:
        """Forget all wishes and count the routes that are in as unconfirmed, as after a start."""
        for fib in self._fibs.values():
            fib.grace()

    async def sweep_stale(self, afi: int | None = None) -> int:
        """Delete the routes of our protocol that nobody has asked for; gives how many.

        These are the ones found at the start, and those that somebody else has made since.
        """
        if self._monitor is None or self._closed:
            raise KernelError(NOT_OPEN)
        if not self._lock.locked():
            self._read_events()
        count = sum(fib.sweep() for which, fib in self._fibs.items() if afi in (None, which))
        if count:
            logger.info("deleting %d stale routes", count)
        await self.flush()
        return count

    async def remove_all(self) -> None:
        """Delete every route of ours, for good."""
        for fib in self._fibs.values():
            fib.desired.clear()
            fib.dirty.clear()
            fib.dirty.update(dict.fromkeys((*fib.installed, *fib.surplus)))
        await self.flush()

    # --- questions ---

    def resolve(self, next_hop: bytes) -> int | None:
        """The interior cost of a next hop (0: on a link, else the metric on the way), None: unreachable."""
        if len(self._state.resolver) > TRACKED_MAXIMUM:
            self._state.prune()
            self._call(self.on_next_hops_changed, None)
        cost = self._state.resolver.resolve(next_hop).cost
        self._state.touch_guards()
        return cost

    def why_unreachable(self, next_hop: bytes) -> str:
        """Why `resolve` gives None, in words; "" where it does not."""
        return self._state.resolver.resolve(next_hop).reason

    def protect(self, addresses: Iterable[bytes]) -> None:
        """Addresses (of other hosts) that no learned route may lead off the link that they are on.

        The next hops of learned routes are protected anyway.
        """
        self._state.protect(addresses)
        self._kick()

    def link_routes(self, prefix: str | None = None) -> dict[tuple[int, bytes], str]:
        """Whole addresses on links of that name's beginning: (AFI, destination) -> interface.

        That is how the workloads of a host show in its kernel.
        """
        return self._here.host_routes(self.workload_interfaces if prefix is None else prefix)

    def local_route(self, nlri: bytes, afi: int) -> bool:
        """Whether this whole address is on a workload interface."""
        return self._here.host_route(afi, nlri, self.workload_interfaces) is not None

    def interface_exists(self, name: str) -> bool:
        return name in self._here.names

    def interface_names(self) -> AbstractSet[str]:
        """The names of all that exist: not a copy."""
        return self._here.names.keys()

    def interface_of(self, afi: int, nlri: bytes, next_hop: bytes) -> str | None:
        """Through which interface a destination is reached: that of its next hop, or without one that on whose link
        it is."""
        if not next_hop:
            return self._here.host_route(afi, nlri, "")
        hops = self._state.resolver.resolve(next_hop).hops
        return self._here.name(hops[0].ifindex) if hops else None

    def routes(self) -> KernelSnapshot:
        """What is in the kernel now, and what is not, and why."""
        return KernelSnapshot(
            {afi: dict(fib.installed) for afi, fib in self._fibs.items()},
            tuple(self.problems()),
            sum(len(fib.dirty) for fib in self._fibs.values()),
            sum(len(fib.unconfirmed) for fib in self._fibs.values()),
        )

    def problems(self) -> list[Problem]:
        """Every destination that is not in the kernel as wanted, or that somebody else contests."""
        return self._state.problems(asyncio.get_running_loop().time())

    def describe(self, afi: int, nlri: bytes) -> str | None:
        """A route of ours as `ip route` shows it, None where there is none."""
        spec = self._fibs[afi].installed.get(nlri)
        return None if spec is None else route_text(self._here, afi, nlri, spec, self.protocol)

    # --- writing ---

    def _kick(self) -> None:
        self._wake.set()

    def _spawn(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while self._state.dirty:
                    await self._slice()
            except KernelError as error:
                logger.error("%s; trying again in %.0f s", error, RETRY_LAST)
                self._timers.later("write", RETRY_LAST, self._kick)
                self._release(error)
            else:
                self._release(None)

    def _release(self, error: KernelError | None) -> None:
        """Let go those who wait in `flush`."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter.done():
                continue
            if error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(None)

    async def _slice(self) -> None:
        async with self._lock:
            self._read_events()
            for fib in self._fibs.values():
                await self._burst(fib)
                if fib.lingering:
                    self._timers.later("expire", LINGER, self._expire)
                if fib.failed:
                    self._timers.later("retry", self._retry_delay, self._retry)
            self._timers.later("report", REPORT_AFTER, self._report)
            self._put_back_in(self._state.kept_out(asyncio.get_running_loop().time()))
        await asyncio.sleep(0)

    async def _burst(self, fib: Fib) -> None:
        """Write of one family; events are taken in when all is written, never meanwhile."""
        self._under_way = burst = Burst(fib, self._writer, self._state.touch_guards, partial(self._listen, False))
        try:
            await burst.run()
        finally:
            self._under_way = None
            self._listen(not self._closed)
            if burst.lost:
                self._look_soon("answers of the kernel were lost")
        if burst.surprised:
            self._read_events()
            if fib.unblock():
                self._look_soon("a route is in the way that nobody told of")

    # --- listening ---

    def _listen(self, on: bool) -> None:
        if self._monitor is None or on == self._listening:
            return
        loop = asyncio.get_running_loop()
        self._listening = on
        if on:
            loop.add_reader(self._monitor.fileno(), self._readable)
        else:
            loop.remove_reader(self._monitor.fileno())

    def _readable(self) -> None:
        if not self._lock.locked():
            self._read_events()

    def _read_events(self) -> None:
        assert self._monitor is not None
        try:
            events = self._monitor.read()
        except Overrun:
            self._look_soon("messages of the kernel were lost", 0.0)
            return
        if not events:
            return
        effects = self._state.take_in(events, asyncio.get_running_loop().time())
        if effects.next_hops:
            self._call(self.on_next_hops_changed, effects.next_hops)
        if effects.links:
            self._call(self.on_links_changed)
        if effects.workloads:
            self._call(self.on_workloads_changed)
        self._put_back_in(effects.put_back_in)
        if effects.strange:
            self._timers.later("report", REPORT_AFTER, self._report)
            self._look_soon("somebody writes routes of our protocol, maybe just before ours", OTHERS_AFTER)
        if effects.kernel_loss:
            self._timers.later("kernel loss", KERNEL_LOSS, self._put_back_kernel_loss)
        if effects.link_down:
            self._look_soon("a link went down")
        if self._state.dirty:
            self._kick()

    def _put_back_in(self, pause: float | None) -> None:
        if pause is not None:  # another place may be due sooner than this one
            self._timers.later("put back", min(pause, INSIST), self._put_back)

    def _put_back(self) -> None:
        now = asyncio.get_running_loop().time()
        problems = self._state.put_back(now)
        self._put_back_in(self._state.contest.next_in(now))
        if problems:
            more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
            words = "; ".join(dict.fromkeys(problem.text for problem in problems))
            logger.warning("%s%s %s", problems[0].prefix, more, words)
        self._kick()

    def _put_back_kernel_loss(self) -> None:
        self._state.put_back_kernel_loss()
        self._kick()

    def _follow(self, next_hops: set[bytes]) -> None:
        changed = self._state.follow(next_hops)
        if changed:
            self._call(self.on_next_hops_changed, changed)

    def _call(self, callback: Callable[..., None] | None, *arguments: object) -> None:
        """Later in this turn of the loop, so that what a callback does never meets half-taken-in events."""
        if callback is not None:
            asyncio.get_running_loop().call_soon(callback, *arguments)

    # --- full looks ---

    async def resync(self) -> int:
        """Look at everything and put right what differs; gives how many routes of ours did.

        Raises KernelError. To give up waiting does no harm: the look goes on.
        """
        if self._monitor is None or self._closed:
            raise KernelError(NOT_OPEN)
        wrong = await asyncio.shield(self._spawn(self._look_locked()))
        await self.flush()
        return wrong

    async def _look_locked(self) -> int:
        async with self._lock:
            return await self._look()

    async def _look(self) -> int:
        self.looks += 1
        listening = self._listening
        self._listen(False)  # what happens meanwhile is taken in afterwards
        wrong = 0
        try:
            look = await self._reader.look()
            for part in self._state.show(look):
                wrong += part
                await asyncio.sleep(0)
        finally:
            self._listen(listening and not self._closed)
            self._looked_at = asyncio.get_running_loop().time()
        self._follow(self._state.resolver.known())
        self._call(self.on_links_changed)
        self._call(self.on_workloads_changed)
        self._kick()
        return wrong

    def _look_soon(self, why: str, delay: float = LOOK_AFTER) -> None:
        """Take a full look after a while, but no more than one a second."""
        if not self._closed:
            logger.debug("comparing all routes: %s", why)
            wait = self._looked_at + LOOK_AFTER - asyncio.get_running_loop().time()
            self._timers.later("look", max(delay, wait), self._look_now)

    def _look_now(self) -> None:
        self._spawn(self._look_again())

    async def _look_again(self) -> None:
        try:
            wrong = await self.resync()
        except KernelError as error:
            logger.error("%s", error)
            self._look_soon("the last try failed", RETRY_LAST)
            return
        if wrong:
            logger.warning("%d routes of ours were not in the kernel as they should be", wrong)

    # --- what time brings ---

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        deadlines = [d for fib in self._fibs.values() if (d := fib.expire(now)) is not None]
        if deadlines:
            self._timers.later("expire", min(deadlines) - now + 0.001, self._expire)
        self._kick()

    def _retry(self) -> None:
        again = sum(fib.retry() for fib in self._fibs.values())
        self._retry_delay = min(RETRY_LAST, 2 * self._retry_delay) if again else RETRY_FIRST
        self._kick()

    def _report(self) -> None:
        if self._state.dirty:
            self._timers.later("report", REPORT_AFTER, self._report)
        else:
            self._reporter.report([problem for fib in self._fibs.values() for problem in fib.problems()])
