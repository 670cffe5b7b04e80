"""The workloads of a node: added, removed, checked, in an order that is safe at every moment.

    add     journal → profiles → address → interface → outside → rules → routes → endpoint → journal: ready
    remove  journal → endpoint → routes → rules → interface → address → journal: gone

Rules are in force before a packet can get through, the endpoint is in etcd when all stands, and an address is given
back when nothing says any more that it is here. What fails is undone; what cannot be undone now, because etcd is away,
is owed, and done by `Repair` (repair.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from calico_route.etcd.store import Store

from . import interface as dataplane
from .endpoint import PATIENCE, Endpoints, endpoint_of, resource_key
from .journal import Journal, Key, Record, Stage
from .locks import Locks
from .names import endpoint_key, handle_of, host_interface, peer_interface, workload_mac
from .ports import Addresses, Profiles, Rules, WorkloadError
from .repair import Repair
from .request import Workload, WorkloadRequest, netns_identity
from .watch import LinkWatch

log = logging.getLogger(__name__)

AT_ONCE = 16
"""Workloads that are in work at the same time; others wait in the order in which they came."""
THREADS = 4
ASIDE = 1.0
"""Seconds from an interface that vanishes until it is looked into: as a rule the runtime says itself what became of the
container, and has the first turn."""
ADMITTED_WITHIN = 15.0
"""Seconds that the rules of an interface may take: they are made of what etcd says."""
LEAVE_WITHIN = 2.0
"""Seconds that work in progress gets at the end. What is not done then, the next start undoes."""

_T = TypeVar("_T")


class Workloads:
    """`repair()` first, then everything else, `close()` at the end. `state_dir` holds the journal.

    `rules` None: no policy on this node. `profiles` None: names of profiles are taken as they are.
    """

    def __init__(
        self,
        store: Store,
        addresses: Addresses,
        rules: Rules | None,
        *,
        node: str,
        state_dir: Path,
        interface_prefix: str = "cali",
        profiles: Profiles | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.node = node
        self.addresses = addresses
        self.rules = rules
        self.profiles = profiles
        self.endpoints = Endpoints(store, node, patience=patience)
        self.journal = Journal(state_dir / f"{node}.workloads")
        self.locks = Locks()
        self._prefix = interface_prefix
        self._threads = ThreadPoolExecutor(THREADS, "workload")
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._planned_handles: set[str] = set()  # of adds that are about to be in the journal
        self._repair = Repair(self)
        self._watch = LinkWatch(self._vanished)

    # --- what is asked for ---

    async def add(self, request: WorkloadRequest) -> Workload:
        """Make it so; what is so already is told again. WorkloadError, and then nothing is left of it.

        A caller that goes does not stop it: asking again, or for the removal, waits for its end.
        """
        request = request.checked()
        return await self._go_on(self._added(request))

    async def remove(self, container: str, interface: str | None = None) -> tuple[Workload, ...]:
        """Of one interface of a container, or of all. What there was; nothing there: (). WorkloadError where this
        node cannot; what only etcd is missing for is done as soon as it answers."""
        if interface is not None:
            keys = [(container, interface)]  # one may be on its way
        else:
            keys = [key for key in self.journal.records if key[0] == container]
        removed = [await self._go_on(self._removed(key)) for key in keys]
        return tuple(one for one in removed if one is not None)

    async def check(self, container: str, interface: str = "eth1") -> Workload:
        """WorkloadError (`unknown`, or `differs`) where it is not as it was made."""
        async with self.locks.of((container, interface)):
            record = self.journal.records.get((container, interface))
            if record is None or record.stage is not Stage.READY:
                raise WorkloadError(f"container {container} has no {interface} here", code="unknown")
            found = await self.blocking(dataplane.fault, record.wiring)
            if found is None and await self.endpoints.get(record) is None:
                found = f"its endpoint {record.endpoint} is not in the datastore"
            if found is not None:
                raise WorkloadError(f"container {container}: {found}", code="differs")
            return record.workload

    def list(self) -> tuple[Workload, ...]:
        """All that stand, by container."""
        ready = (one for one in self.journal.records.values() if one.stage is Stage.READY)
        return tuple(one.workload for one in sorted(ready, key=lambda one: one.key))

    async def keep(
        self, attachments: Iterable[Key], *, network: str = "calico", orchestrator: str = "cni"
    ) -> tuple[Workload, ...]:
        """Remove all of a network that are not in the list (CNI's GC): what was removed. One that cannot be removed
        does not keep the others from going; WorkloadError tells of it at the end."""
        wanted = set(attachments)
        removed: list[Workload] = []
        trouble: WorkloadError | None = None
        for key, record in list(self.journal.records.items()):
            asked = record.request
            if key not in wanted and (asked.network, asked.orchestrator) == (network, orchestrator):
                try:
                    removed += await self.remove(*key)
                except WorkloadError as error:
                    trouble = trouble or error
        if trouble is not None:
            raise trouble
        return tuple(removed)

    async def repair(self) -> None:
        """At the start: undo what was begun, finish what was to go, set up again what is to stay. What etcd is needed
        for goes on in the background while it is away."""
        try:
            self._watch.open()
        except OSError as error:
            raise WorkloadError(f"cannot listen to the kernel: {error.strerror or error}", code="internal") from error
        await self._repair.begin()

    async def close(self) -> None:
        """Finish what is in work, or leave it to the next start. All that stands, stays."""
        self._closing = True
        self._watch.close()
        self._repair.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LEAVE_WITHIN)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def ready(self) -> str | None:
        """None, or in words what keeps this node from taking more."""
        if self._closing:
            return "the agent is about to end"
        return self._repair.waiting()

    def status(self) -> dict[str, Any]:
        """For `calico_route status`: how many stand, what is in work, and what is owed, with the reason."""
        stages = [record.stage for record in self.journal.records.values()]
        return {
            "count": stages.count(Stage.READY),
            "adding": stages.count(Stage.ADDING),
            "removing": stages.count(Stage.REMOVING),
            "problems": self._repair.problems(),
        }

    # --- one add ---

    async def _added(self, request: WorkloadRequest) -> Workload:
        async with self.locks.of((request.container, request.interface)), self._room:
            found = self.journal.records.get((request.container, request.interface))
            if found is not None and found.stage is not Stage.READY:
                await self.take_down(found)  # of a try that could not be undone then
                found = None
            if found is not None:
                _agrees(found, request)
                if await self._stands(found, request):
                    return found.workload
                found = replace(found, request=replace(found.request, netns=request.netns))
            identity = "" if request.netns is None else await self.blocking(netns_identity, request.netns)
            if identity is None:
                words = f"no network namespace {request.netns}: is the container still running?"
                raise WorkloadError(words, code="no-netns")
            record = replace(found or self._planned(request), namespace_identity=identity)
            self._planned_handles.add(record.handle.lower())
            try:
                await self.written(record, Stage.ADDING, durable=True)
            finally:
                self._planned_handles.discard(record.handle.lower())
            return (await self.build(record)).workload

    async def _stands(self, found: Record, request: WorkloadRequest) -> bool:
        """Whether it is there in that very namespace; a container that was started again has another one."""
        if found.request.netns != request.netns:
            return False
        return await self.blocking(dataplane.fault, found.wiring) is None

    def _planned(self, request: WorkloadRequest) -> Record:
        host = host_interface(self._prefix, request.container, request.interface)
        other = self.journal.on.get(host)
        if other is not None:
            raise WorkloadError(f"{host} is of container {other[0]} already", code="taken")
        uid = str(uuid4())
        taken = self.journal.holders.keys() | self._planned_handles
        return Record(
            request=request,
            stage=Stage.ADDING,
            host_interface=host,
            peer=peer_interface(request.container, request.interface),
            mac=request.mac or workload_mac(request.container, request.interface),
            handle="" if request.held else handle_of(request, uid, taken),
            endpoint=endpoint_key(self.node, request).name,
            uid=uid,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            profiles=tuple(request.profiles),
        )

    async def build(self, record: Record) -> Record:
        """Every step of an add for a record that is in the journal; undone if one fails."""
        self.reached("journal", record)
        try:
            record = await self.steps(record)
        except asyncio.CancelledError:
            raise  # we are leaving: the next start undoes it
        except Exception as error:
            log.warning("container %s, %s: %s; what was done is undone", *record.key, error)
            try:
                await self.take_down(record)
            except WorkloadError as trouble:
                log.warning("container %s, %s: not all could be undone yet: %s", *record.key, trouble)
            raise
        log.info("container %s, %s: %s on %s", *record.key, ", ".join(record.addresses), record.host_interface)
        return record

    async def steps(self, record: Record) -> Record:
        asked = record.request
        if self.profiles is not None and asked.profiles:
            found = await self.profiles.ensure(asked.profiles, create=asked.create_profiles)
            record = replace(record, profiles=found)
        self.reached("profiles", record)
        record = replace(record, addresses=await self._addressed(record))
        self.reached("address", record)
        wiring = record.wiring
        await self.blocking(dataplane.connect, wiring)
        self.reached("interface", record)
        await self.blocking(dataplane.set_up_outside, wiring)
        self.reached("outside", record)
        await self._admitted(record)
        self.reached("rules", record)
        await self.blocking(dataplane.add_routes, wiring)
        self.reached("routes", record)
        await self.endpoints.put(record)
        self.reached("endpoint", record)
        record = await self.written(record, Stage.READY)
        self.reached("ready", record)
        return record

    async def _admitted(self, record: Record) -> None:
        if self.rules is None:
            return
        try:
            async with asyncio.timeout(ADMITTED_WITHIN):
                await self.rules.admit(endpoint_of(record, self.node))
        except TimeoutError:
            words = f"no rules for {record.host_interface} within {ADMITTED_WITHIN:g} s: see `calico-route status`"
            raise WorkloadError(words, code="unavailable") from None

    async def _addressed(self, record: Record) -> tuple[str, ...]:
        asked = record.request
        if asked.held:
            return tuple(asked.addresses)
        if record.addresses or not asked.versions:
            wanted = record.addresses or tuple(asked.addresses)  # the first: it stood before, with these
            await self.hold(replace(record, addresses=wanted))
            return wanted
        return await self.addresses.assign(
            record.handle, versions=asked.versions, pools=tuple(asked.pools), attributes=self._attributes(record)
        )

    async def hold(self, record: Record) -> None:
        """Its addresses are its own, unless they are a runtime's. WorkloadError."""
        if record.handle:
            await self.addresses.claim(record.handle, record.addresses, attributes=self._attributes(record))

    def _attributes(self, record: Record) -> dict[str, str]:
        asked = record.request
        names = {"container": asked.container, "interface": asked.interface}
        return {"node": self.node, **names, "timestamp": record.created}

    # --- one removal ---

    async def _removed(self, key: Key) -> Workload | None:
        async with self.locks.of(key), self._room:
            record = self.journal.records.get(key)
            if record is None:
                return None
            try:
                await self.take_down(record)
            except WorkloadError as error:
                if error.code != "unavailable":
                    raise
                # Here nothing is left of it, and the rest is on disk: the runtime need not ask again.
                log.warning("container %s, %s: gone from this host, but %s", *key, error)
            else:
                log.info("container %s, %s: removed", *key)
            return record.workload

    async def take_down(self, record: Record) -> None:
        """All of it, backwards. What fails does not keep the rest from going: WorkloadError tells of it at the end,
        and the record stays, for another try."""
        if record.stage is not Stage.REMOVING:
            record = await self.written(record, Stage.REMOVING, durable=True)
        trouble: WorkloadError | None = None
        wiring = record.wiring
        steps: list[tuple[str, Callable[[], Coroutine[Any, Any, Any]]]] = [
            ("endpoint", lambda: self.endpoints.delete(resource_key(record))),
            ("routes", lambda: self.blocking(dataplane.remove_routes, wiring)),
            ("rules", lambda: self._dismissed(record)),
            ("interface", lambda: self.blocking(dataplane.disconnect, wiring)),
        ]
        for name, step in steps:
            try:
                await step()
            except WorkloadError as error:
                trouble = trouble or error
            except Exception as error:
                log.exception("container %s, %s: no %s", *record.key, name)
                trouble = trouble or WorkloadError(f"{type(error).__name__}: {error}", code="internal")
            self.reached(f"no {name}", record)
        if trouble is None and record.handle:
            try:  # not before: whoever gets the address next must not meet this endpoint
                await self.addresses.release(record.handle)
            except WorkloadError as error:
                trouble = error
            self.reached("no address", record)
        if trouble is not None:
            self._repair.owe(record.key, str(trouble))
            raise trouble
        try:
            await self.blocking(self.journal.remove, record)
        except OSError as error:
            raise _unwritable(self.journal.directory, error) from error
        self._repair.settled(record.key)

    async def _dismissed(self, record: Record) -> None:
        if self.rules is not None:
            await self.rules.dismiss(record.host_interface)

    # --- the ground below ---

    def reached(self, what: str, record: Record) -> None:
        """A step is done."""
        log.debug("container %s, %s: %s", *record.key, what)

    def _vanished(self, name: str | None) -> None:
        """A container died, or somebody removed its interface: which of them it was, is found out."""
        records = self.journal.records
        key = None if name is None else self.journal.on.get(name)
        for record in list(records.values()) if name is None else [None if key is None else records.get(key)]:
            if record is not None and record.stage is Stage.READY:
                why = f"{record.host_interface} has vanished"
                asyncio.get_running_loop().call_later(ASIDE, self._look_into, record, why)

    def _look_into(self, record: Record, why: str) -> None:
        """What has been done since may be another record of the same workload: to look once too often is no harm."""
        now = self.journal.records.get(record.key)
        if now is not None and now.uid == record.uid and not self._closing:
            self._repair.owe(record.key, why)

    async def written(self, record: Record, stage: Stage, *, durable: bool = False) -> Record:
        try:
            return await self.blocking(lambda: self.journal.move(record, stage, durable=durable))
        except OSError as error:
            raise _unwritable(self.journal.directory, error) from error

    async def blocking(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """In a thread: the loop has sessions to keep."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _go_on(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Whoever waits for it may go."""
        if self._closing:
            work.close()
            raise WorkloadError("the agent is about to end: try again in a moment", code="unavailable")
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever waits, if anybody does; it is in the log in any case


def _agrees(found: Record, request: WorkloadRequest) -> None:
    """WorkloadError where another thing is asked for than what stands."""
    what = f"container {request.container} has {request.interface} already"
    if found.request.network != request.network or found.request.orchestrator != request.orchestrator:
        raise WorkloadError(f"{what}, in network {found.request.network}: remove it first", code="taken")
    if not request.versions and set(request.addresses) != set(found.addresses):
        raise WorkloadError(f"{what}, with {', '.join(found.addresses)}: remove it first", code="taken")
    if (found.request.netns is None) != (request.netns is None):
        raise WorkloadError(f"{what}: remove it first", code="taken")
    if tuple(request.profiles) != tuple(found.request.profiles):
        words = ", ".join(found.request.profiles) or "no profile"
        raise WorkloadError(f"{what}, with {words}: remove it first, or change its endpoint's profiles", code="taken")


def _unwritable(directory: Path, error: OSError) -> WorkloadError:
    words = f"cannot write {directory}: {error.strerror or error}; give another --state-dir, or make room there"
    return WorkloadError(words, code="internal")
