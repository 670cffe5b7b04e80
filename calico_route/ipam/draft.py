"""One transaction in the making: what was read for it, and how it shall be."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, TypeAlias

from calico_route.etcd.store import StoredValue, Write
from calico_route.model import AffinityState
from calico_route.workload.ports import WorkloadError

from .access import Access
from .block import Block, RecordError, new_block, read_block, write_block
from .choice import UNUSABLE, summary
from .cidr import Cidr
from .handle import Affinity, Handle, read_affinity, read_handle, write_affinity, write_handle
from .knowledge import Knowledge
from .paths import affinity_path, block_path, handle_path

MOST_WRITES = 120  # etcd takes 128 by default

_Record: TypeAlias = Block | Handle | Affinity


class _Read(NamedTuple):
    record: _Record | None
    revision: int  # 0: there is none


class Mark(NamedTuple):
    """How the draft stood."""

    now: dict[bytes, _Record | None]


class Draft:
    """Reads each key once, keeps what is changed, and says it as Writes that hold only if nobody was faster."""

    def __init__(self, access: Access, knowledge: Knowledge, node: str) -> None:
        self._access = access
        self._knowledge = knowledge
        self._node = node
        self._read: dict[bytes, _Read] = {}
        self._broken: dict[bytes, str] = {}
        self._assumed: set[bytes] = set()  # not read: taken not to be there
        self._blocks: dict[bytes, Cidr] = {}
        self._handles: dict[bytes, str] = {}
        self._affinities: set[bytes] = set()
        self._now: dict[bytes, _Record | None] = {}
        self.claims: dict[Cidr, int] = {}  # blocks that were made pending for the node, and the revision of that

    def mark(self) -> Mark:
        return Mark(dict(self._now))

    def restore(self, mark: Mark) -> None:
        self._now = dict(mark.now)

    @property
    def size(self) -> int:
        return len(self._now)

    async def block(self, cidr: Cidr) -> Block | None:
        """WorkloadError where it cannot be used."""
        path = block_path(cidr)
        self._blocks[path] = cidr
        found = await self._get(path)
        if path in self._broken:
            raise WorkloadError(f"block {cidr} in etcd cannot be used and is left alone: {self._broken[path]}")
        assert found is None or isinstance(found, Block)
        self._knowledge.learn(cidr, None if found is None else summary(found))
        return found

    async def handle(self, name: str) -> Handle | None:
        """WorkloadError where it cannot be used."""
        path = handle_path(name)
        self._handles[path] = name
        found = await self._get(path)
        if path in self._broken:
            raise WorkloadError(f"handle {name} in etcd cannot be used and is left alone: {self._broken[path]}")
        assert found is None or isinstance(found, Handle)
        return found

    async def affinity(self, node: str, cidr: Cidr) -> Affinity | None:
        """One that cannot be used counts as one that is to be deleted."""
        path = affinity_path(node, cidr)
        self._affinities.add(path)
        found = await self._get(path)
        assert found is None or isinstance(found, Affinity)
        return Affinity(AffinityState.PENDING_DELETION) if path in self._broken else found

    def put_affinity(self, node: str, cidr: Cidr, affinity: Affinity | None) -> None:
        self._now[affinity_path(node, cidr)] = affinity

    def assume_new(self, name: str) -> None:
        """Spare the reading of a handle that most likely is not there; the transaction fails if it is."""
        path = handle_path(name)
        if path not in self._read:
            self._handles[path] = name
            self._read[path] = _Read(None, 0)
            self._assumed.add(path)

    def put_block(self, block: Block) -> None:
        path = block_path(block.cidr)
        self._blocks[path] = block.cidr
        # An empty block that is nobody's is given back, as Calico does it.
        self._now[path] = None if block.empty and block.affinity is None else block
        self._knowledge.learn(block.cidr, summary(block) if self._now[path] is not None else None)

    def put_handle(self, handle: Handle) -> None:
        path = handle_path(handle.name)
        self._handles[path] = handle.name
        self._now[path] = handle if handle.blocks else None

    async def claim(self, cidr: Cidr, now: datetime) -> Block:
        """A new block of the node's, which it says first by a pending affinity, as Calico does it; or what is there
        meanwhile."""
        found = await self.block(cidr)
        if found is not None:
            return found
        path = affinity_path(self._node, cidr)
        while True:
            stored = await self._access.get(path)
            raw = {}
            if stored is not None:
                try:
                    affinity = read_affinity(stored.value)
                except RecordError:
                    affinity = Affinity(AffinityState.PENDING_DELETION)  # whatever it was: it is ours to write
                raw = dict(affinity.raw)
                if affinity.state is not AffinityState.PENDING_DELETION:
                    break
            pending = write_affinity(AffinityState.PENDING, raw)
            await self._access.transact([Write(path, pending, 0 if stored is None else stored.revision)])
        self.claims[cidr] = stored.revision
        self._read[path] = _Read(affinity, stored.revision)
        self._now[path] = Affinity(AffinityState.CONFIRMED, affinity.raw)
        block = new_block(cidr, self._node, now)
        self._now[block_path(cidr)] = block
        return block

    def writes(self) -> list[Write]:
        """All that is not as it was read."""
        found = []
        for path, record in self._now.items():
            before = self._read[path]
            if record is None and not before.revision:
                continue
            found.append(Write(path, None if record is None else _value(record), before.revision))
        return found

    async def again(self, *, everything: bool) -> None:
        """Read anew what the lost transaction was about, for the next one.

        Handles are their owners' alone: they are read only where the blocks have not changed, which says that it was
        they who did not fit; or where all of it is asked for, because nobody knows what happened.
        """
        blocks = [path for path in self._read if path in self._blocks or path in self._affinities]
        handles = [path for path in self._read if path in self._handles]
        changed = self._take(await self._access.get_all([*blocks, *handles] if everything else blocks))
        if not everything and not changed:
            self._take(await self._access.get_all(handles))
        known = {*blocks, *handles}
        self._read = {path: read for path, read in self._read.items() if path in known}
        self._now.clear()

    async def _get(self, path: bytes) -> _Record | None:
        if path in self._now:
            return self._now[path]
        if path not in self._read:
            self._take({path: await self._access.get(path)})
        return self._read[path].record

    def _take(self, found: dict[bytes, StoredValue | None]) -> bool:
        """Whether something is not as it was."""
        changed = False
        for path, stored in found.items():
            revision = 0 if stored is None else stored.revision
            before = self._read.get(path)
            if before is not None and before.revision == revision and path not in self._assumed:
                continue
            changed = changed or before is None or before.revision != revision
            self._assumed.discard(path)
            self._broken.pop(path, None)
            record: _Record | None = None
            try:
                if stored is None:
                    record = None
                elif path in self._affinities:
                    record = read_affinity(stored.value)
                elif path in self._blocks:
                    record = read_block(self._blocks[path], stored.value)
                else:
                    record = read_handle(self._handles[path], stored.value)
            except RecordError as error:
                self._broken[path] = str(error)
            self._read[path] = _Read(record, revision)
            if path in self._blocks:
                known = summary(record) if isinstance(record, Block) else None if stored is None else UNUSABLE
                self._knowledge.learn(self._blocks[path], known)
        return changed


def _value(record: _Record) -> bytes:
    if isinstance(record, Block):
        return write_block(record)
    if isinstance(record, Handle):
        return write_handle(record)
    return write_affinity(record.state, record.raw)
