"""Rules for the workloads of this node, as etcd has them, in the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from calico_route.etcd.follow import Timing, follow
from calico_route.etcd.store import KeySnapshot, Store, StoreError
from calico_route.kernel.socket import KernelError
from calico_route.model import WorkloadEndpoint
from calico_route.workload.ports import WorkloadError

from .changes import ChangeListener
from .cluster import Cluster
from .compile import Compiler
from .cutting import Cutter
from .judge import Verdict, judge
from .keys import FOLLOWED, profile_path
from .model import Flow
from .nft import Nft, NftError
from .profile import tag_warnings
from .source import Source, endpoint_of

log = logging.getLogger(__name__)

_PATIENCE = 10.0  # seconds that an admission waits for the first reading of the datastore
_RETRY, _RETRY_MAX = 0.5, 30.0
_COMPARE = 60.0  # seconds between two comparisons of the kernel's table with ours
_MEND_REST, _MEND_REST_MAX = 1.0, 30.0  # between two repairs, while somebody keeps on changing our table
_COMMAND_ECHO = 0.5  # seconds in which what a command `nft` has changed is taken to be of ours


class _Reach:
    """Whether etcd is there, for status and log."""

    def __init__(self) -> None:
        self.source, self.revision, self.reason = "", 0, "not read yet"

    def up(self, *, source: str, revision: int) -> None:
        if self.reason and self.revision:
            log.info("etcd at %s is back: policy follows it again", source)
        self.source, self.revision, self.reason = source, revision, ""

    def down(self, *, source: str, reason: str) -> None:
        if not self.reason:
            log.warning("etcd at %s: %s; the rules stay as they are", source, reason)
        self.source, self.reason = source, reason


class Policy:
    """Follows profiles, policies and endpoints in etcd and keeps the table `inet calico_route` of nftables.

    `to_host`: what becomes of packets from workloads to this host that their own rules let out: drop or accept.
    `netns`: another network namespace than the process's own. `nft_command`: use the command even where libnftables is.
    `on_problem` is called with a text for each thing that goes wrong; they are in `status()`, too.
    """

    def __init__(
        self,
        store: Store,
        *,
        node: str,
        interface_prefix: str = "cali",
        to_host: str = "drop",
        netns: str | None = None,
        nft_command: bool = False,
        timing: Timing | None = None,
        on_problem: Callable[[str], None] | None = None,
    ) -> None:
        self.cluster = Cluster(node, interface_prefix)
        self._store, self._timing, self._on_problem = store, timing, on_problem
        self._compiler = Compiler(self.cluster, to_host=to_host)
        self._source = Source(self.cluster, self._tell)
        self._nft = Nft(netns, command=nft_command)
        self._nft_command = nft_command
        self._listener = ChangeListener(netns, self._is_ours, self._touched)
        self._cutter = Cutter(self.cluster, netns, self._source.note)
        self._reach = _Reach()
        self._synced = asyncio.Event()
        self._wake = asyncio.Event()
        self._doubt = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._concerned: set[str] = set()
        self._whole = False  # our table in the kernel is another's, or of an agent before us
        self._intruder: str | None = None
        self._mended = 0
        self.transactions = 0
        self._last_ms = 0.0
        self._ran = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns with a table in force: that of an agent before us until etcd has been read, else the base table,
        which drops what comes from workloads. NftError where nftables can't be used."""
        await self._nft.open()
        try:
            self._listener.open()
        except KernelError as error:
            self._source.note("changes of nftables", (f"{error}; those of others are found once a minute",))
        if await self._nft.listing() is None:
            await self._apply(self._compiler.table.whole())
        else:
            self._whole = True
        self._tasks = [
            asyncio.create_task(self._follow(), name="policy follow"),
            asyncio.create_task(self._enforce(), name="policy enforce"),
            asyncio.create_task(self._compare(), name="policy compare"),
            asyncio.create_task(self._cutter.run(), name="policy connections"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop following; the rules stay in force."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(WorkloadError("the agent is going down", code="unavailable"))
        self._waiting = []
        self._listener.close()
        await self._nft.close()

    async def admit(self, endpoint: WorkloadEndpoint) -> None:
        """Returns when what its profiles say is in force for its interface. WorkloadError: unknown-profile, invalid
        (an interface of another name than ours), or unavailable (etcd was never read, or the kernel refuses)."""
        one = endpoint_of(endpoint)
        if not self.cluster.is_local(one):
            raise WorkloadError(
                f"interface {one.interface!r} of node {one.node!r} is not one of "
                f"{self.cluster.interface_prefix}* of {self.cluster.node}"
            )
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._synced.wait()
        except TimeoutError:
            text = f"policy has not been read from etcd yet: {self._reach.reason or 'still reading'}"
            raise WorkloadError(text, code="unavailable") from None
        for name in one.profiles:
            if self.cluster.profile(name) is None:
                await self._fetch(name)
        self.cluster.put_endpoint(one.key, one)
        await self._in_force()

    async def dismiss(self, interface: str) -> None:
        """The interface is gone, and its rules with it."""
        while (one := self.cluster.local.get(interface)) is not None:
            self.cluster.put_endpoint(one.endpoint.key, None)
        await self._in_force()

    async def synced(self) -> None:
        """Returns when etcd has been read for the first time."""
        await self._synced.wait()

    async def differences(self) -> list[str]:
        """What of the kernel's table is not as it should be. NftError where it cannot be read."""
        listing = await self._nft.listing()
        return ["the table is gone"] if listing is None else self._compiler.table.differences(listing)

    def explain(self, flow: Flow) -> Verdict:
        """Whether a connection would be allowed, by both ends' rules, wherever in the cluster they are."""
        return judge(self.cluster, flow)

    def warnings(self) -> dict[str, list[str]]:
        """By profile: tags that nobody carries."""
        tags = self.cluster.tags()
        found = {
            name: tag_warnings(profile.ingress + profile.egress, tags)
            for name, profile in self.cluster.profiles.items()
        }
        return {name: texts for name, texts in found.items() if texts}

    def status(self) -> dict[str, Any]:
        table = self._compiler.table
        return {
            "synced": self._synced.is_set(),
            "datastore": {
                "endpoint": self._reach.source,
                "revision": self._reach.revision,
                "problem": self._reach.reason or None,
            },
            "nftables": self._nft.how,
            "in_force": self._synced.is_set() and not self._whole and not self._waiting,
            "profiles": len(self.cluster.profiles),
            "policies": len(self.cluster.policies),
            "endpoints": len(self.cluster.endpoints),
            "interfaces": {
                interface: {"endpoint": str(one.endpoint), "profiles": list(one.endpoint.profiles)}
                for interface, one in sorted(self.cluster.local.items())
            },
            "chains": len(table.chains),
            "rules": sum(map(len, table.chains.values())),
            "sets": len(table.sets),
            "elements": sum(len(one.elements) for one in table.sets.values()),
            "transactions": self.transactions,
            "last_transaction_ms": round(self._last_ms, 2),
            "mended": self._mended,
            "connections_ended": self._cutter.ended,
            "problems": [f"{about}: {text}" for about, texts in self._source.problems.items() for text in texts],
            "warnings": [f"profile {name}: {text}" for name, texts in self.warnings().items() for text in texts],
        }

    async def _fetch(self, name: str) -> None:
        """A profile that was written a moment ago may not have come by the watch yet."""
        try:
            path = profile_path(name)
            stored = await self._store.get(path)
        except ValueError as error:
            raise WorkloadError(str(error), code="unknown-profile") from error
        except StoreError as error:
            raise WorkloadError(f"profile {name} can't be read: {error}", code="unavailable") from error
        if stored is None:
            raise WorkloadError(f"there is no profile {name}", code="unknown-profile")
        self._source.take(path, stored.value)

    async def _in_force(self) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._wake.set()
        await waiting

    async def _follow(self) -> None:
        stream = follow(self._store, FOLLOWED, self._reach, timing=self._timing)
        async with contextlib.aclosing(stream):
            async for news in stream:
                if isinstance(news, KeySnapshot):
                    await self._source.replace(news)
                    self._synced.set()
                else:
                    self._source.apply(news)
                self._wake.set()

    async def _enforce(self) -> None:
        """One transaction after the other; what is told during one goes together into the next."""
        pause, mend_rest, mended_at = _RETRY, _MEND_REST, 0.0
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self._synced.is_set() and (self._intruder is None or self._whole):
                continue  # nothing to put in the place of what an agent before us has left
            waiting, self._waiting = self._waiting, []
            intruder, self._intruder = self._intruder, None
            if intruder is not None:
                mend_rest = _MEND_REST if time.monotonic() - mended_at > _MEND_REST_MAX else mend_rest
                self._tell(f"nftables: table calico_route was changed by {intruder}; it is put right")
            try:
                await self._enforce_once(mend=intruder is not None)
            except NftError as error:
                self._source.note("nftables", (f"{error}; trying again, the rules before stay in force",))
                self._whole = True
                for one in waiting:
                    if not one.done():
                        text = f"the rules could not be put into the kernel: {error}"
                        one.set_exception(WorkloadError(text, code="unavailable"))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _RETRY_MAX)
                self._wake.set()
                continue
            pause = _RETRY
            self._source.note("nftables", ())
            for one in waiting:
                if not one.done():
                    one.set_result(None)
            if intruder is not None:
                self._mended += 1
                mended_at = time.monotonic()
                await asyncio.sleep(mend_rest)
                mend_rest = min(2 * mend_rest, _MEND_REST_MAX)

    async def _enforce_once(self, *, mend: bool) -> None:
        if self._synced.is_set():
            self._concerned |= self._compiler.update()
        table = self._compiler.table
        if self._whole or mend:
            self._whole = True  # until it has worked
            await self._apply(table.whole())
            self._whole = False
        elif table.changed:
            await self._apply(table.take())
        concerned, self._concerned = self._concerned, set()
        self._cutter.tell(concerned)

    async def _apply(self, commands: list[dict[str, Any]]) -> None:
        began = time.perf_counter()
        self._ran = float("inf")
        try:
            await self._nft.apply(commands)
        finally:
            self._ran = time.monotonic()
        self.transactions += 1
        self._last_ms = 1000 * (time.perf_counter() - began)

    async def _compare(self) -> None:
        """Events may be lost; the kernel's table itself is not."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_COMPARE):
                    await self._doubt.wait()
            self._doubt.clear()
            if self._whole or self._compiler.table.changed or not self._synced.is_set():
                continue
            before = self.transactions
            try:
                differences = await self.differences()
            except NftError as error:
                self._source.note("nftables", (f"the table can't be read: {error}",))
                continue
            if before != self.transactions or self._compiler.table.changed or self._ran == float("inf"):
                continue  # something was changed meanwhile
            if differences:
                self._intruder = f"somebody ({differences[0]})"
                self._wake.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """None of them ends by itself: a fault of ours must not pass for a quiet cluster."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("%s has failed", task.get_name(), exc_info=error)
            self._source.note(task.get_name(), (f"failed: {error!r}; the rules stay as they are until a restart",))

    def _is_ours(self, name: str) -> bool:
        if name == self._nft.thread_name:
            return True
        by_command = self._nft.how.endswith("nft")
        return by_command and name == "nft" and time.monotonic() - self._ran < _COMMAND_ECHO

    def _touched(self, who: str) -> None:
        """Events that were lost may have been our own: only a comparison tells."""
        if not who:
            self._doubt.set()
            return
        self._intruder = who
        self._wake.set()

    def _tell(self, text: str) -> None:
        log.warning("%s", text)
        if self._on_problem is not None:
            self._on_problem(text)
