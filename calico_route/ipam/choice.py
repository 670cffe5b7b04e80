"""Where the next address comes from. Pure: the blocks as far as they are known, and what is reserved.

`sequential` takes the lowest free address of the first pool, in whoever's block it is. `blocks` is Calico's way: blocks
of the own node, then a new one, and only then the blocks of others.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .block import Block
from .cidr import Address, Cidr
from .pools import Configuration, Pool
from .reserved import Reserved

SEQUENTIAL = "sequential"
BLOCKS = "blocks"
ORDERS = (SEQUENTIAL, BLOCKS)


class Summary(NamedTuple):
    """What has to be known of a block to choose one: its free addresses as bits (none where it cannot be used), whose
    it is, and whether that is a node or nobody."""

    free: int
    host: str | None = None
    lendable: bool = True


def summary(block: Block) -> Summary:
    if block.deleted or not block.consistent:
        return Summary(0, block.host)
    return Summary(block.free, block.host, block.host is not None or block.affinity is None)


UNUSABLE = Summary(0, None, lendable=False)
"""Stands for a block that cannot be read: it takes its place, and gives nothing."""


class BlockMap:
    """The blocks that there are, found by address. One may lie in another where a pool was made anew with another
    block size: no new block may overlap any of them, else an address would be there twice."""

    def __init__(self) -> None:
        self._summaries: dict[Cidr, Summary] = {}
        self._sorted: dict[int, list[Cidr]] = {4: [], 6: []}
        self._reach: dict[int, list[int] | None] = {4: None, 6: None}

    def __iter__(self) -> Iterator[tuple[Cidr, Summary]]:
        return iter(self._summaries.items())

    def __len__(self) -> int:
        return len(self._summaries)

    def get(self, cidr: Cidr) -> Summary | None:
        return self._summaries.get(cidr)

    def put(self, cidr: Cidr, found: Summary) -> None:
        if cidr not in self._summaries:
            insort(self._sorted[cidr.version], cidr)
            self._reach[cidr.version] = None
        self._summaries[cidr] = found

    def remove(self, cidr: Cidr) -> None:
        if self._summaries.pop(cidr, None) is not None:
            self._sorted[cidr.version].remove(cidr)
            self._reach[cidr.version] = None

    def overlapping(self, cidr: Cidr) -> list[Cidr]:
        """All that have an address in common with it, in order."""
        known, reach = self._tables(cidr.version)
        place = bisect_right(known, Cidr(cidr.version, cidr.last, 129)) - 1
        found = []
        while place >= 0 and reach[place] >= cidr.first:
            if known[place].last >= cidr.first:
                found.append(known[place])
            place -= 1
        return found[::-1]

    def walk(self, pool: Pool, reserved: Reserved) -> Iterator[tuple[Cidr, Summary | None]]:
        """The blocks of a pool in order that have an address which is not reserved: those that there are, and before
        the first of them that comes after a gap the new one (None) which would fill it."""
        version, last = pool.cidr.version, pool.cidr.last
        known, reach = self._tables(version)
        position = pool.cidr.first
        gap_told = False
        while (position := reserved.next_free(Address(version, position)).number) <= last:
            place = bisect_right(known, Cidr(version, position, 129)) - 1
            following = known[place + 1].first if place + 1 < len(known) else None
            if place >= 0 and known[place].last >= position:
                yield known[place], self._summaries[known[place]]
                position = known[place].last + 1
                continue
            covered = reach[place] if place >= 0 else -1
            new = pool.cidr.around(position, pool.block_length)
            free = covered < new.first and (following is None or following > new.last)
            if free and not gap_told:
                gap_told = True
                yield new, None
            if not free:
                position = min(following, new.last + 1) if following is not None else new.last + 1
            elif following is None or following > last:
                return
            else:
                position = following

    def _tables(self, version: int) -> tuple[list[Cidr], list[int]]:
        reach = self._reach[version]
        known = self._sorted[version]
        if reach is None:
            reach, furthest = [], -1
            for cidr in known:
                furthest = max(furthest, cidr.last)
                reach.append(furthest)
            self._reach[version] = reach
        return known, reach


class Place(NamedTuple):
    """A block to take an address of. `new`: it has to be made first, as a block of the node. `own`: only as long as it
    is the node's."""

    cidr: Cidr
    new: bool = False
    own: bool = False


def places(
    blocks: BlockMap, pools: Sequence[Pool], reserved: Reserved, node: str, order: str, configuration: Configuration
) -> Iterator[Place]:
    """Where to look, best first. What is known of blocks may have changed: the next one is for when it has."""
    claim = _may_claim(blocks, pools, node, configuration)
    if order == SEQUENTIAL and not configuration.strict_affinity:
        for pool in pools:
            for cidr, found in blocks.walk(pool, reserved):
                if found is None:
                    if claim:
                        yield Place(cidr, new=True)
                elif found.lendable and found.free & ~reserved.bits(cidr):
                    yield Place(cidr)
        return
    yield from _of(blocks, pools, reserved, node)
    if claim:
        for pool in pools:
            gaps = (cidr for cidr, found in blocks.walk(pool, reserved) if found is None)
            yield from (Place(cidr, new=True, own=True) for cidr in gaps)
    if not configuration.strict_affinity:
        yield from _of(blocks, pools, reserved, None)


def _of(blocks: BlockMap, pools: Sequence[Pool], reserved: Reserved, node: str | None) -> Iterator[Place]:
    """Blocks with room: of a node, or (None) all that may be borrowed from."""
    for pool in pools:
        for cidr, found in blocks.walk(pool, reserved):
            if found is None or not found.free & ~reserved.bits(cidr):
                continue
            if found.host == node if node is not None else found.lendable:
                yield Place(cidr, own=node is not None)


def _may_claim(blocks: BlockMap, pools: Sequence[Pool], node: str, configuration: Configuration) -> bool:
    if not configuration.auto_allocate_blocks:
        return False
    most = configuration.max_blocks_per_host
    versions = {pool.cidr.version for pool in pools}
    return not most or sum(found.host == node and cidr.version in versions for cidr, found in blocks) < most


def pick(block: Block, reserved: Reserved, order: str) -> int | None:
    """The address of a block to take, as its ordinal: the lowest, or in Calico's way the one that has been free for the
    longest (so that what was given back is not at once somebody else's). None: it has none."""
    usable = block.free & ~reserved.bits(block.cidr)
    if not usable or block.deleted or not block.consistent:
        return None
    if order == SEQUENTIAL:
        return (usable & -usable).bit_length() - 1
    return next(ordinal for ordinal in block.unallocated if usable >> ordinal & 1)
