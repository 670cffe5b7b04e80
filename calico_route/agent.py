"""The agent: datastore, speaker and kernel brought together. Level-triggered.

Whatever happens only marks the state as dirty. One task then computes what is wanted from what is known,
whole, and brings the rest to it; an event that is seen twice or not at all cannot make a wrong route. Only
learned routes, which may be many, go to the kernel by their changes (see mesh.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from pybgp import IPV4_UNICAST, IPV6_UNICAST, BGPError, Prefix, pack_address

from .believed import Believed
from .cache import Kept, SnapshotFile
from .datastore import Datastore, DatastoreError, DatastoreStatus, Snapshot, Update
from .desired import Desired, Wishes
from .diagnosis import md5_counters
from .discovery import Found
from .drain import Drain
from .grace import Grace
from .handover import Handover
from .identity import Identity
from .mesh import Mesh
from .model import Problem, ResourceKey, WorkloadEndpoint
from .ourselves import Ourselves
from .ports import KernelPort
from .sessions import MeshPeer, Options
from .tally import Tally
from .view import View, fold

log = logging.getLogger(__name__)

RETRY = 3.0  # seconds until what failed is tried again
GLANCE = 0.02  # seconds from an event of a peer to a look at all of them, while stale routes wait
SHARE = 0.2  # of the time that turns may take in the long run
CALM = 0.02  # seconds between turns that only the host's interfaces ask for: one that comes tells of it ten times
AT_ONCE = 0.05  # seconds of turns one after the other without a rest
LONGEST_REST = 0.5  # seconds
SAVE_AFTER = 0.5  # seconds from a change until it is on disk; more changes meanwhile go with it
FLUSH_TIME = 1.0  # seconds that the kernel gets for the last changes when we leave

_FAMILIES = {1: IPV4_UNICAST, 2: IPV6_UNICAST}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """What flags decide beyond sessions and announcements. Times in seconds.

    `register`: write our Node, and the default pool into a datastore without any. `compare_every`: between two
    full comparisons with the kernel, give or take a fifth.
    """

    stale_route_time: float = 30.0
    mass_deletion_hold: float = 300.0
    compare_every: float = 300.0
    flush_on_exit: bool = False
    register: bool = True
    interface_prefix: str = "cali"


class Agent:
    """`await agent.run()` runs until `stop()`; then everything is closed in good order.

    `find` looks for an address of this host; it is asked only where neither flags nor the Node have one.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        options: Options,
        agent_options: AgentOptions,
        datastore: Datastore,
        kernel: KernelPort,
        snapshots: SnapshotFile | None = None,
        find: Callable[[], Found | None] = lambda: None,
    ) -> None:
        self.options = options
        self.agent_options = agent_options
        self.datastore = datastore
        self.kernel = kernel
        self.ourselves = Ourselves(
            identity,
            datastore,
            find=find,
            register=agent_options.register,
            retry=RETRY,
            on_change=self.mark,
        )
        self.mesh = Mesh(kernel, on_event=self._on_peer_event)
        self.grace = Grace(agent_options.stale_route_time)
        self.handover = Handover()
        self._wishes = Wishes()
        self._protected: Mapping[str, MeshPeer] | None = None  # the sessions whose addresses the kernel's side knows
        self._tally = Tally()
        self.believed: Believed | None = None
        self.wanted: Desired | None = None
        self.started = self.changed = time.time()  # since 1970; `changed`: what the datastore says was taken over
        self.md5_before = md5_counters()
        self.problems: dict[ResourceKey, tuple[Problem, ...]] = {}
        self._snapshots = snapshots
        self._seen: View | None = None
        self._saved: View | None = None
        self._restarting = False
        self._kernel_open = False
        self._glance: asyncio.TimerHandle | None = None
        self._calm: asyncio.TimerHandle | None = None
        self._turned = float("-inf")  # the end of the last turn
        self._retry_at: float | None = None
        self._look_again_at: float | None = None  # a handover is under way
        self.draining: Drain | None = None
        self._withdraw_at: float | None = None  # a drain has not come to that yet
        self._dirty = asyncio.Event()
        self._wishes_dirty = True  # not only a peer has moved
        self._links_changed = True
        self._prefixes: dict[tuple[int, bytes], Prefix] = {}  # of workloads that the kernel has told of
        self._workloads: set[Prefix] = set()  # the same
        self._changed = asyncio.Event()  # what is in force: to be saved
        self._stopping = asyncio.Event()

    # --- life ---

    def mark(self) -> None:
        """Something happened: compare everything, soon."""
        self._wishes_dirty = True
        self._dirty.set()

    def _on_peer_event(self) -> None:
        """What is wanted stays, but perhaps stale routes may go now. A thousand peers come up in one look."""
        if self._glance is None and not self.grace.over:
            self._glance = asyncio.get_running_loop().call_later(GLANCE, self._look_at_peers)

    def _on_links(self) -> None:
        self._links_changed = True
        self._mark_calmly()

    def _mark_calmly(self) -> None:
        """At once after a quiet time, else together with what comes within a moment."""
        wait = self._turned + CALM - self._now()
        if wait <= 0:
            self.mark()
        elif self._calm is None:
            self._calm = asyncio.get_running_loop().call_later(wait, self._calmed)

    def _calmed(self) -> None:
        self._calm = None
        self.mark()

    def _look_at_peers(self) -> None:
        self._glance = None
        self._dirty.set()

    def drain(self, seconds: float | None) -> None:
        """Say to all neighbours that this node is about to go, and withdraw its routes after so many seconds; None:
        it stays after all."""
        now = self._now()
        self.draining = None if seconds is None else Drain(now, now + seconds)
        if seconds is None:
            log.info("drain: ended, everything is announced as before")
        else:
            log.info("drain: neighbours are told that this node is about to go, routes are withdrawn in %g s", seconds)
        self.mark()

    def stop(self) -> None:
        """Leave in good order."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop()`. Raises what makes all work impossible: no access to the kernel's routes."""
        kept = None if self._snapshots is None else await asyncio.to_thread(self._snapshots.load)
        self.believed = Believed(kept, self.agent_options.mass_deletion_hold, self._now(), self._here)
        self._saved = kept.view if isinstance(kept, Kept) else None
        self.datastore.on_status = self._on_status
        follower = asyncio.create_task(self._forever(self._follow), name="datastore")
        tasks = [follower]
        try:
            await self.kernel.start()
            self._kernel_open = True
            self._restarting = bool(self.kernel.adopted)
            self.kernel.on_next_hops_changed = self._on_next_hops
            self.kernel.on_links_changed, self.kernel.on_workloads_changed = self._on_links, self._mark_calmly
            tasks.append(asyncio.create_task(self._forever(self._reconcile_loop), name="reconcile"))
            tasks.append(asyncio.create_task(self._forever(self._compare_loop), name="comparison with the kernel"))
            if self._snapshots is not None:
                tasks.append(asyncio.create_task(self._forever(self._save_loop), name="snapshot on disk"))
            self.mark()
            await self._stopping.wait()
        finally:
            await self._leave(tasks)

    async def _leave(self, tasks: list[asyncio.Task[None]]) -> None:
        flush = self.agent_options.flush_on_exit
        log.info("leaving; %s", "routes are removed" if flush else "routes stay as they are")
        tasks += self.ourselves.tasks()
        for timer in (self._glance, self._calm):
            if timer is not None:
                timer.cancel()
        self._tally.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _attempt("sessions", self.mesh.stop(restart=not flush))
        if self._kernel_open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_TIME):
                    await _attempt("kernel routes", self.kernel.remove_all() if flush else self.kernel.flush())
            await _attempt("kernel", self.kernel.close())
        await _attempt("snapshot on disk", self._save())
        await _attempt("datastore", self.datastore.close())
        log.info("left")

    async def _forever(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run one of the loops; a mistake of ours in it is told and must not end it."""
        while True:
            try:
                await work()
            except Exception:
                log.exception("this should not happen; going on in %g s", RETRY)
            await asyncio.sleep(RETRY)

    # --- the datastore ---

    async def _follow(self) -> None:
        stream = self.datastore.follow()
        async for update in stream:
            self._seen = fold(self._seen or View(), update)
            self._note_problems(update)
            self.mark()

    def _note_problems(self, update: Update) -> None:
        if isinstance(update, Snapshot):
            self.problems.clear()
        else:
            for event in update.events:
                self.problems.pop(event.key, None)
        found: dict[ResourceKey, tuple[Problem, ...]] = {}
        for problem in update.problems:
            found[problem.key] = (*found.get(problem.key, ()), problem)
        self.problems.update(found)

    def _on_status(self, status: DatastoreStatus) -> None:
        if status.connected:
            log.info("datastore: %s", status)
        else:
            log.warning("datastore: %s; sessions and kernel routes stay as they are", status)
        self.mark()

    def _away(self) -> str:
        """Why the datastore does not answer; "" while it does, or before it was asked."""
        status = self.datastore.status
        return "" if status.connected or status.reason == DatastoreStatus().reason else status.reason

    # --- the loop ---

    async def _reconcile_loop(self) -> None:
        tired, last = 0.0, self._now()  # seconds of work that were not rested from
        while True:
            deadline = self._next_deadline()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._dirty.wait()
            await asyncio.sleep(0)  # what else happens in this turn comes along
            self._dirty.clear()
            now, began = self._now(), time.thread_time()
            if self._retry_at is not None and now >= self._retry_at:
                self._wishes_dirty, self._retry_at = True, None
            try:
                done = await self._turn(now)
            except Exception:
                log.exception("cannot reach what is wanted; trying again in %g s", RETRY)
                done = False
            self._turned = self._now()
            if not done and self._retry_at is None:
                self._retry_at = now + RETRY
            # A few endpoints that come and go are looked at at once, thousands a few times a second.
            tired = max(0.0, tired - SHARE * (now - last)) + time.thread_time() - began
            last = now
            if tired > AT_ONCE:
                await asyncio.sleep(min(LONGEST_REST, (tired - AT_ONCE) / SHARE))

    def _next_deadline(self) -> float | None:
        assert self.believed is not None
        now = self._now()
        deadlines = (
            self._retry_at,
            self.believed.next_deadline(self._seen),
            self.grace.next_deadline(self.mesh.progress(), now),
            self._look_again_at,
            self._withdraw_at,
        )
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    async def _turn(self, now: float) -> bool:
        """Do what there is to do. False: something has to be tried again."""
        assert self.believed is not None
        deadline = self.believed.next_deadline(self._seen)
        done = True
        handing_over = self._look_again_at is not None and now >= self._look_again_at
        handing_over |= self._withdraw_at is not None and now >= self._withdraw_at
        if self._wishes_dirty or handing_over or (deadline is not None and now >= deadline):
            self._wishes_dirty = False
            done = await self._reconcile(now)
        if self.mesh.speaker is not None:
            self.grace.begin(now)
            await self._sweep(now)
        return done

    async def _reconcile(self, now: float) -> bool:
        """Bring speaker and kernel to what is wanted. False: something has to be tried again."""
        assert self.believed is not None
        before = self.believed.view
        view = self.believed.decide(self._seen, self._away(), now)
        if view is None:
            return True
        if view is not before:
            self.changed = time.time()
            self._changed.set()
        self.ourselves.look(view, anew=self._links_changed)
        self._links_changed = False
        if self.believed.settled:
            self.ourselves.register(view)
        wanted = self._wishes.state(
            view,
            self.ourselves.identity,
            self.options,
            present=self._present,
            kernel_workloads=self._kernel_workloads(),
            interfaces=self.kernel.interface_names(),
        )
        self._withdraw_at = None
        if self.draining is not None:
            wanted = self.draining.applied(wanted, now)
            self._withdraw_at = self.draining.next_deadline(now)
        self._tell(wanted)
        self.wanted = wanted
        if self.mesh.speaker is None and self.believed.settled:
            self._retry_at = self.ourselves.introducing_until(view, now)
            if self._retry_at is not None:
                return True
        if self.mesh.outdated(wanted):
            await self._start_again(wanted)
        peers = self.handover.keep(wanted.peers, wanted.nodes, self.mesh.peers, self.mesh.complete, now)
        self._look_again_at = self.handover.next_deadline(now)
        if peers is not self._protected:
            self.kernel.protect({pack_address(address) for address in peers})
            self._protected = peers
        done = await self.mesh.apply(replace(wanted, peers=peers), restarting=self._restarting)
        return done and wanted.local is not None

    async def _start_again(self, wanted: Desired) -> None:
        """Stop the speaker: another one takes its place, or none if this node no longer takes part."""
        self.handover.again()
        if wanted.local is not None:
            log.warning("address, AS number or port of this node changed: all sessions start again")
            # A node that is still there may hear of us through others; with no session at all nobody does.
            staying = wanted.peers.keys() | wanted.nodes.keys() if wanted.peers else frozenset()
            await self.mesh.stop(restart=True, kept=staying.__contains__)
            self.kernel.begin_grace()
            self.grace.again()
            self._restarting = True
        else:
            log.warning("this node takes no part in BGP any more: all sessions end and learned routes go")
            await self.mesh.stop(restart=False)
            self.kernel.begin_grace()
            await self.kernel.sweep_stale()
            self.grace.again()

    async def _sweep(self, now: float) -> None:
        reason = self.grace.ready(self.mesh.progress(), now)
        if reason:
            await self.mesh.caught_up()
            count = await self.kernel.sweep_stale()
            self.grace.finish()
            log.info("%s: %d routes of before that nobody confirmed were deleted", reason, count)

    async def _compare_loop(self) -> None:
        """What the kernel's messages have told is enough as a rule; this finds what they have not."""
        while True:
            await asyncio.sleep(self.agent_options.compare_every * random.uniform(0.8, 1.2))
            count = await self.kernel.resync()
            if count:
                log.warning("%d routes in the kernel were not as they should be, and were put right", count)

    def _present(self, interface: str, prefix: Prefix) -> bool:
        if interface and self.kernel.interface_exists(interface):
            return True
        return self.kernel.local_route(prefix.nlri, prefix.family.afi)

    def _here(self, endpoint: WorkloadEndpoint) -> bool:
        return bool(endpoint.interface) and self.kernel.interface_exists(endpoint.interface)

    def _kernel_workloads(self) -> AbstractSet[Prefix]:
        if not self.options.workloads_from_kernel:
            return frozenset()
        routes = self.kernel.link_routes(self.agent_options.interface_prefix)
        known = self._prefixes
        for key in known.keys() - routes.keys():
            self._workloads.discard(known.pop(key))
        for key in routes.keys() - known.keys():
            known[key] = Prefix.of(_FAMILIES[key[0]], key[1])
            self._workloads.add(known[key])
        return self._workloads

    def _tell(self, wanted: Desired) -> None:
        """Log what is new among the problems, and what becomes of the addresses of the workloads."""
        before = self.wanted
        self._tally.note(wanted)
        for problem in wanted.problems:
            if before is None or problem not in before.problems:
                log.warning("%s", problem)
        for prefix, reason in wanted.withheld.items():
            if before is None or before.withheld.get(prefix) != reason:
                log.debug("%s is not announced: %s", prefix, reason)

    def _on_next_hops(self, next_hops: set[bytes] | None) -> None:
        if self.mesh.speaker is not None:
            self.mesh.speaker.next_hops_changed(next_hops)

    # --- the snapshot on disk ---

    async def _save_loop(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(SAVE_AFTER)
            await self._save()

    async def _save(self) -> None:
        """Keep what is in force, if it came from the datastore and is not on disk yet."""
        believed = self.believed
        self._changed.clear()
        if self._snapshots is None or believed is None or believed.view is None or believed.from_disk:
            return
        view = believed.view
        if self._saved is not None and view.tables == self._saved.tables:
            return
        source = self.datastore.status.driver
        try:
            await asyncio.to_thread(self._snapshots.save, view, source)
        except OSError as error:
            log.error(
                "cannot keep the snapshot %s: %s; started while the datastore is away, this node would have nothing",
                self._snapshots.path,
                error.strerror or error,
            )
        else:
            self._saved = view

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


async def _attempt(what: str, work: Coroutine[Any, Any, Any]) -> None:
    """One step of leaving: whatever goes wrong with it, the others follow."""
    try:
        await work
    except (BGPError, OSError, DatastoreError) as error:
        log.warning("%s: %s", what, error)
    except Exception:
        log.exception("%s", what)
