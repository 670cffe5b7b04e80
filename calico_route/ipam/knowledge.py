"""What is known of pools, settings, hosts and blocks: followed in etcd, so that not all of it is read for an address.

These are hints only, a little late at times: what is written is compared with what was read for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import NamedTuple

from calico_route.documents import read_value
from calico_route.etcd.follow import follow
from calico_route.etcd.store import KeyEvent, KeySnapshot
from calico_route.keys import parse_path
from calico_route.model import IpPool, Node

from .access import Access, UnreachableError
from .block import RecordError, read_block
from .choice import UNUSABLE, BlockMap, Summary, summary
from .cidr import Cidr
from .paths import BLOCKS, CONFIG, NODES, POOLS, RESERVATIONS, read_block_path
from .pools import Configuration, Pool, read_configuration, read_pool
from .reserved import HOSTS_RESERVATION, Reservation, Reserved, first_addresses, merged, of_hosts, read_reservation

log = logging.getLogger(__name__)

_FOLLOWED = (POOLS, RESERVATIONS, CONFIG, NODES, BLOCKS)
_PATIENCE = 15.0  # seconds for the first look at the datastore
_RECORDS_A_SLICE = 100  # read without giving way to other tasks


class Settings(NamedTuple):
    """What the cluster says of addresses. `labels` are the own node's; `hosts` the networks inside the pools that
    belong to hosts; `problems` what could not be used, in words."""

    pools: tuple[Pool, ...] = ()
    configuration: Configuration = Configuration()
    reserved: Reserved = Reserved()
    labels: Mapping[str, str] = {}
    hosts: tuple[Cidr, ...] = ()
    problems: tuple[str, ...] = ()


class Knowledge:
    """Starts to follow when it is asked for the first time. It is a Reporter of `follow`."""

    def __init__(self, access: Access, node: str) -> None:
        self._access = access
        self._node = node
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._known = False
        self._failures = 0  # in a row
        self._documents: dict[bytes, bytes] = {}
        self._unread: dict[Cidr, bytes | None] = {}
        self._settings: Settings | None = None
        self._told: set[str] = set()
        self.blocks = BlockMap()
        self.problems: dict[Cidr, str] = {}

    def up(self, *, source: str, revision: int) -> None:
        self._failures = 0

    def down(self, *, source: str, reason: str) -> None:
        self._failures += 1
        self._news.set()

    async def look(self) -> Settings:
        """Everything that is known now. UnreachableError where nothing is."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow(), name="ipam: follow etcd")
        if not self._known:
            await self._first()
        elif self._failures:
            await self.refresh()  # nobody tells us of changes now
        return await self._read()

    async def refresh(self) -> None:
        """Read all of it, as it is now."""
        self._replace(await self._access.snapshot(_FOLLOWED))

    def learn(self, cidr: Cidr, found: Summary | None) -> None:
        """What a block was just now, or will be in a moment; None: there is no such block."""
        self._unread.pop(cidr, None)
        if found is None:
            self.blocks.remove(cidr)
        else:
            self.blocks.put(cidr, found)

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _first(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                while not self._known:
                    if self._failures:
                        await self.refresh()  # says why not, of now and not of the last time that it was tried
                        return
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            raise UnreachableError(f"etcd at {self._access.store.endpoint} does not answer; try again") from error

    async def _follow(self) -> None:
        async with contextlib.aclosing(follow(self._access.store, _FOLLOWED, self)) as stream:
            async for news in stream:
                if isinstance(news, KeySnapshot):
                    self._replace(news)
                else:
                    self._apply(news)
        self.down(source=self._access.store.endpoint, reason="the store was closed")

    def _replace(self, snapshot: KeySnapshot) -> None:
        blocks = {}
        self._documents = {}
        for key, value in snapshot.values.items():
            if not key.startswith(BLOCKS):
                self._documents[key] = value
            elif (cidr := read_block_path(key)) is not None:
                blocks[cidr] = value
        self._unread = {cidr: None for cidr, _ in self.blocks if cidr not in blocks}
        self._unread.update(blocks)
        self._settings = None
        self._known = True
        self._news.set()

    def _apply(self, events: list[KeyEvent]) -> None:
        for key, value, _ in events:
            if key.startswith(BLOCKS):
                if (cidr := read_block_path(key)) is not None:
                    self._unread[cidr] = value
            else:
                self._settings = None
                if value is None:
                    self._documents.pop(key, None)
                else:
                    self._documents[key] = value

    async def _read(self) -> Settings:
        count = 0
        while self._unread:
            cidr, value = self._unread.popitem()
            self._read_block(cidr, value)
            count += 1
            if count % _RECORDS_A_SLICE == 0:
                await asyncio.sleep(0)
        settings = self._settings
        while settings is None:
            documents = dict(self._documents)
            settings = await read_settings(documents, self._node)
            if documents == self._documents:
                self._settings = settings
                for problem in settings.problems:
                    self._tell(problem)
        return settings

    def _read_block(self, cidr: Cidr, value: bytes | None) -> None:
        self.problems.pop(cidr, None)
        if value is None:
            self.blocks.remove(cidr)
            return
        try:
            block = read_block(cidr, value)
        except RecordError as error:
            self.blocks.put(cidr, UNUSABLE)
            self.problems[cidr] = f"block {cidr}: {error}: it is left alone, and gives no addresses"
            self._tell(self.problems[cidr])
            return
        self.blocks.put(cidr, summary(block))
        if not block.consistent:
            self.problems[cidr] = f"block {cidr}: its two lists of free addresses differ: `ipam check` mends it"
            self._tell(self.problems[cidr])

    def _tell(self, problem: str) -> None:
        """Once: it is read again with every change."""
        if problem not in self._told:
            self._told.add(problem)
            log.warning("%s", problem)


async def read_settings(documents: Mapping[bytes, bytes], node: str) -> Settings:
    """What the keys of pools, reservations, nodes and the configuration say; others are passed over."""
    pools: list[Pool] = []
    nodes: list[Node] = []
    reservations: list[Reservation] = []
    problems: list[str] = []
    configuration = Configuration()
    labels: Mapping[str, str] = {}
    for count, (path, value) in enumerate(documents.items(), 1):
        if count % _RECORDS_A_SLICE == 0:
            await asyncio.sleep(0)
        name = path.rpartition(b"/")[2].decode("utf-8", "replace")
        try:
            if path == CONFIG:
                configuration = read_configuration(value)
            elif path.startswith(RESERVATIONS):
                # Ours says no more than the Nodes do, and they are asked here.
                if name != HOSTS_RESERVATION:
                    found, odd = read_reservation(name, value)
                    reservations += found
                    problems += [f"IPReservation {name}: {one}" for one in odd]
            elif path.startswith((POOLS, NODES)) and (key := parse_path(path)) is not None:
                resource, odd_fields = read_value(key, value)
                if isinstance(resource, IpPool):
                    pools.append(read_pool(resource))
                elif isinstance(resource, Node):
                    nodes.append(resource)
                    labels = resource.labels if resource.name == node else labels
                elif path.startswith(POOLS):
                    problems.append(f"IPPool {name} gives no addresses: {'; '.join(map(str, odd_fields))}")
        except RecordError as error:
            kind = {POOLS: "IPPool", RESERVATIONS: "IPReservation"}.get(path[: -len(name)] or b"", "IPAM configuration")
            problems.append(f"{kind} {name} is not used: {error}")
    hosts = of_hosts(nodes, pools)
    reserved = Reserved([*reservations, *hosts, *first_addresses(pools)])
    return Settings(tuple(sorted(pools)), configuration, reserved, labels, merged(hosts), tuple(problems))
