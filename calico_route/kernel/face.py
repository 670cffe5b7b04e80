"""The kernel as the agent sees it: learned routes go in, next hops and workloads are found."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

from .contest import Contest
from .fib import Fib, Work
from .netlink import NLM_F_REPLACE, Event, LinkEvent, RouteEvent
from .problem import Problem, Reporter
from .reader import Reader
from .resolver import TRACKED_MAXIMUM, Resolver
from .route import (
    IPV4,
    IPV6,
    MAIN_TABLE,
    PLAIN,
    PROTOCOL_BIRD,
    RouteOptions,
    RouteSpec,
    host_nlri,
    prefix_text,
    protocol_name,
)
from .snapshot import KernelSnapshot
from .socket import KernelError, MonitorSocket, Overrun, in_namespace
from .surroundings import Surroundings
from .timers import Timers
from .words import route_text
from .writer import Answers, Writer

logger = logging.getLogger("calico_route.kernel")

SLICE = 2000  # destinations planned in one go: about 2 ms, then the event loop has its turn
KERNEL_LOSS = 0.05  # seconds to let a link going down tell the whole story before routes are put back
RETRY_FIRST, RETRY_LAST = 1.0, 30.0
REPORT_AFTER = 0.5  # seconds of quiet before the log tells what is kept out
LOOK_AFTER = 1.0  # seconds from an event that can have changed routes in silence to a full look


class Kernel:
    """Learned routes of one table and protocol, in the network namespace `netns` (None: the process's own).

    Only routes of that protocol in that table are ever touched. Not safe for use from several threads.
    Callbacks run in the event loop: `on_next_hops_changed` with the next hops whose `resolve` gives
    another answer than before (None: ask again about all), `on_links_changed` without arguments,
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
        self._here = Surroundings()
        self._fibs = {afi: Fib(afi, self._here, metric) for afi in (IPV4, IPV6)}
        self._resolver = Resolver(
            self._here,
            lambda afi, nlri: self._fibs[afi].learned(nlri),
            lambda afi: self._fibs[afi].lengths,
        )
        for fib in self._fibs.values():
            fib.resolver = self._resolver
        self._reader = Reader(table, protocol, netns)
        self._writer = Writer(table, protocol, netns)
        self._monitor: MonitorSocket | None = None
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers = Timers()
        self._contest = Contest()
        self._reporter = Reporter()
        self._lost_to_kernel: dict[tuple[int, bytes], None] = {}
        self._retry_delay = RETRY_FIRST
        self._protected: set[bytes] = set()
        self._closed = False
        self._listening = False
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
        port, size = self._writer.open(), self._monitor_buffer
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
        await self._writer.close()
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
        touched = self._resolver.touched(afi, nlri)
        if touched:
            self._follow(touched)
        self._kick()

    async def flush(self) -> None:
        """Return when everything wanted so far is in the kernel, or known not to go in."""
        while self._lock.locked() or any(fib.dirty for fib in self._fibs.values()):
            await self._slice()  # waits for one that is under way

    def begin_grace(self) -> None:
        """Forget all wishes and count the routes that are in as unconfirmed, as after a start."""
        for fib in self._fibs.values():
            fib.grace()

    async def sweep_stale(self, afi: int | None = None) -> int:
        """Delete the routes found at the start that nobody has asked for; gives how many."""
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
        if len(self._resolver) > TRACKED_MAXIMUM:
            self._prune()
        return self._resolver.resolve(next_hop).cost

    def why_unreachable(self, next_hop: bytes) -> str:
        """Why `resolve` gives None, in words; "" where it does not."""
        return self._resolver.resolve(next_hop).reason

    def protect(self, addresses: Iterable[bytes]) -> None:
        """Addresses (of other hosts) that no learned route may lead off the link that they are on.

        The next hops of learned routes are protected anyway.
        """
        self._protected = set(addresses)
        for address in self._protected:
            self._resolver.resolve(address)
        self._touch_guards()
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
        found = [problem for fib in self._fibs.values() for problem in fib.problems()]
        contested = self._contest.shown(asyncio.get_running_loop().time())
        return found + [Problem(afi, nlri, *reason) for (afi, nlri), reason in contested.items()]

    def describe(self, afi: int, nlri: bytes) -> str | None:
        """A route of ours as `ip route` shows it, None where there is none."""
        spec = self._fibs[afi].installed.get(nlri)
        return None if spec is None else route_text(self._here, afi, nlri, spec, self.protocol)

    # --- writing ---

    def _kick(self) -> None:
        self._wake.set()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.flush()
            except KernelError as error:
                logger.error("%s; trying again in %.0f s", error, RETRY_LAST)
                self._timers.later("write", RETRY_LAST, self._kick)

    async def _slice(self) -> None:
        async with self._lock:
            if self._monitor is None or self._closed:
                raise KernelError("the kernel's routes are not open: start() first, and not after close()")
            self._read_events()
            loop = asyncio.get_running_loop()
            for fib in self._fibs.values():
                works = fib.plan(SLICE, loop.time())
                if works:
                    await self._carry_out(fib, works)
                if fib.lingering:
                    self._expire()
                if fib.failed:
                    self._timers.later("retry", self._retry_delay, self._retry)
            self._timers.later("report", REPORT_AFTER, self._report)
        await asyncio.sleep(0)

    async def _carry_out(self, fib: Fib, works: list[Work]) -> None:
        batches = self._writer.pack(fib.afi, works)
        answers: Answers = {}
        lost = False
        try:
            if len(batches) == 1:
                answers = self._writer.write(batches)
            else:
                self._listen(False)  # events are taken in between writes, never during one
                try:
                    answers = await self._writer.write_aside(batches)
                finally:
                    self._listen(not self._closed)
        except Overrun:
            lost = True
        if fib.settle(works, answers):
            self._read_events()
            if fib.unblock():
                self._look_soon("a route is in the way that nobody told of")
        if lost:
            self._look_soon("answers of the kernel were lost")

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
        if events:
            self._take_in(events)

    def _take_in(self, events: list[Event]) -> None:
        here = self._here
        asked: set[bytes] = set()
        links: set[int] = set()
        workloads = False
        for event in events:
            if isinstance(event, RouteEvent):
                route = event.route
                if route.table != self.table or route.flags:
                    continue
                fib = self._fibs[event.afi]
                if route.protocol == self.protocol and not route.tos:
                    self._ours_changed(fib, event)
                    continue
                here.apply_route(event)
                if event.present and event.flags & NLM_F_REPLACE:
                    fib.displaced(event.nlri, route.spec.metric)
                fib.touch((event.nlri,))
                asked |= self._resolver.touched(event.afi, (event.nlri,))
                workloads |= route.spec.connected and event.nlri[0] in (32, 128)
            elif isinstance(event, LinkEvent):
                links.add(event.link.ifindex)
                if here.apply_link(event):
                    self._link_down()
            else:
                here.apply_address(event)
                asked.add(event.address.address)
                self._fibs[event.address.afi].touch((host_nlri(event.address.address),))
        if links:
            asked |= self._resolver.on_links(links)
            for fib in self._fibs.values():
                for name in {here.name(index) for index in links}:
                    fib.device_changed(name)
            self._call(self.on_links_changed)
        if links or workloads:
            self._call(self.on_workloads_changed)
        self._follow(asked)
        if any(fib.dirty for fib in self._fibs.values()):
            self._kick()

    def _ours_changed(self, fib: Fib, event: RouteEvent) -> None:
        spec = event.route.spec
        if event.present:
            if event.flags & NLM_F_REPLACE:
                self._here.forget_slot(event.afi, event.nlri, spec.metric)
            harmed = fib.appeared(event.nlri, spec)
        else:
            harmed = fib.vanished(event.nlri, spec)
        if not harmed:
            return
        if not event.port:  # the kernel itself, because a link goes down: the rest of the story follows
            self._lost_to_kernel[event.afi, event.nlri] = None
            self._timers.later("kernel-loss", KERNEL_LOSS, self._put_back_kernel_loss)
            return
        now = asyncio.get_running_loop().time()
        wait = self._contest.note(event.afi, event.nlri, event.present, event.port, now)
        self._timers.later("insist", wait, self._put_back)

    def _put_back(self) -> None:
        places = self._contest.take(asyncio.get_running_loop().time())
        words = "; ".join(dict.fromkeys(reason.text for reason in places.values()))
        first = next(iter(places), None)
        if first is not None:
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            logger.warning("%s%s %s", prefix_text(*first), more, words)
        self._touch_all(places)

    def _put_back_kernel_loss(self) -> None:
        places, self._lost_to_kernel = self._lost_to_kernel, {}
        self._touch_all(places)

    def _touch_all(self, places: Iterable[tuple[int, bytes]]) -> None:
        for afi, nlri in places:
            self._fibs[afi].touch((nlri,))
        self._kick()

    def _link_down(self) -> None:
        for fib in self._fibs.values():
            fib.links_down()
        self._look_soon("a link went down")

    def _follow(self, asked: set[bytes]) -> None:
        """Resolve these next hops again, then those that depend on the routes over them, and so on."""
        every: set[bytes] = set()
        for _ in range(16):
            changed, costs = self._resolver.refresh(asked)
            if not changed:
                break
            every |= costs
            asked = set()
            for afi, fib in self._fibs.items():
                affected = fib.next_hops_changed(changed)
                if affected:
                    asked |= self._resolver.touched(afi, affected)
        self._touch_guards()
        if every and self.on_next_hops_changed is not None:
            self._call(self.on_next_hops_changed, every)

    def _touch_guards(self) -> None:
        for afi, nlri in self._resolver.guards_changed:
            self._fibs[afi].touch((nlri,))
        self._resolver.guards_changed.clear()

    def _prune(self) -> None:
        wanted = set(self._protected)
        for fib in self._fibs.values():
            wanted |= fib.next_hops()
        self._resolver.prune(wanted)
        if self.on_next_hops_changed is not None:
            self._call(self.on_next_hops_changed, None)

    def _call(self, callback: Callable[..., None] | None, *arguments: object) -> None:
        """Later in this turn of the loop, so that what a callback does never meets half-taken-in events."""
        if callback is not None:
            asyncio.get_running_loop().call_soon(callback, *arguments)

    # --- full looks ---

    async def resync(self) -> int:
        """Look at everything and put right what differs; gives how many routes of ours did."""
        async with self._lock:
            wrong = await self._look()
        await self.flush()
        return wrong

    async def _look(self) -> int:
        self.looks += 1
        listening = self._listening
        self._listen(False)
        try:
            look = await self._reader.look()
        finally:
            self._listen(listening)
        look.show(self._here)
        wrong = sum(fib.found(look.ours[afi]) for afi, fib in self._fibs.items())
        for fib in self._fibs.values():
            fib.touch([nlri for nlri in fib.reasons if nlri not in fib.failed])
        self._follow(self._resolver.known())
        self._call(self.on_links_changed)
        self._call(self.on_workloads_changed)
        self._kick()
        return wrong

    def _look_soon(self, why: str, delay: float = LOOK_AFTER) -> None:
        if not self._closed:
            logger.debug("comparing all routes: %s", why)
            self._timers.later("look", delay, lambda: self._spawn(self._look_again()))

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
        if any(fib.dirty for fib in self._fibs.values()):
            self._kick()

    def _retry(self) -> None:
        again = sum(fib.retry() for fib in self._fibs.values())
        self._retry_delay = min(RETRY_LAST, 2 * self._retry_delay) if again else RETRY_FIRST
        self._kick()

    def _report(self) -> None:
        if any(fib.dirty for fib in self._fibs.values()):
            self._timers.later("report", REPORT_AFTER, self._report)
        else:
            self._reporter.report([problem for fib in self._fibs.values() for problem in fib.problems()])
