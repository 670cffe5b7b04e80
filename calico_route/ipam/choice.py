"""Where the next address comes from. Pure: the blocks as far as they are known, and what is reserved.

`sequential` takes the lowest free address of the first pool, in whoever's block it is. `blocks` is Calico's way: blocks
of the own node, then a new one, and only then the blocks of others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
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


class _Table:
    """The blocks of one IP version in order, and where they begin and end."""

    def __init__(self, known: Iterable[Cidr]) -> None:
        self.known = sorted(known)
        self.firsts = [cidr.first for cidr in self.known]
        self.lasts = [cidr.last for cidr in self.known]
        self.reach = list(accumulate(self.lasts, max))  # how far this one and those before it go


class BlockMap:
    """The blocks that there are, found by address. One may lie in another where a pool was made anew with another
    block size: no new block may overlap any of them, and those that do give nothing, else an address would be there
    twice."""

    def __init__(self) -> None:
        self._summaries: dict[Cidr, Summary] = {}
        self._tables: dict[int, _Table] = {}  # made when asked for

    def __iter__(self) -> Iterator[tuple[Cidr, Summary]]:
        return iter(self._summaries.items())

    def __len__(self) -> int:
        return len(self._summaries)

    def get(self, cidr: Cidr) -> Summary | None:
        return self._summaries.get(cidr)

    def put(self, cidr: Cidr, found: Summary) -> None:
        if cidr not in self._summaries:
            self._tables.pop(cidr.version, None)
        self._summaries[cidr] = found

    def remove(self, cidr: Cidr) -> None:
        if self._summaries.pop(cidr, None) is not None:
            self._tables.pop(cidr.version, None)

    def overlapping(self, cidr: Cidr) -> list[Cidr]:
        """All that have an address in common with it, in order."""
        table = self._table(cidr.version)
        place = bisect_right(table.firsts, cidr.last) - 1
        found = []
        while place >= 0 and table.reach[place] >= cidr.first:
            if table.lasts[place] >= cidr.first:
                found.append(table.known[place])
            place -= 1
        return found[::-1]

    def walk(self, pool: Pool, reserved: Reserved) -> Iterator[tuple[Cidr, Summary | None]]:
        """The blocks of a pool in order that have an address which is free and not reserved; and where there is a gap,
        the first new block (None) that would fit into it."""
        version, last = pool.cidr.version, pool.cidr.last
        table = self._table(version)
        firsts, lasts, known, count = table.firsts, table.lasts, table.known, len(table.known)
        position = pool.cidr.first
        gap_told = False
        following = bisect_left(firsts, position)  # the first block that is not behind us
        while True:
            # One after the other, without a look at what is reserved: most blocks of a full cluster are full.
            while following < count and firsts[following] <= position:
                if lasts[following] >= position:
                    found = self._summaries[known[following]]
                    position = lasts[following] + 1
                    alone = following + 1 == count or firsts[following + 1] >= position
                    if alone and found.free and found.free & ~reserved.bits(known[following]):
                        yield known[following], found
                following += 1
            position = reserved.next_free(Address(version, position)).number
            if position > last:
                return
            if following < count and firsts[following] <= position:
                continue
            new = pool.cidr.around(position, pool.block_length)
            covered = table.reach[following - 1] if following else -1
            if covered < new.first and (following == count or firsts[following] > new.last):
                if not gap_told:
                    gap_told = True
                    yield new, None
                if following == count:
                    return
                position = firsts[following]  # every gap is as good as the first
            else:
                position = min(firsts[following], new.last + 1) if following < count else new.last + 1

    def _table(self, version: int) -> _Table:
        table = self._tables.get(version)
        if table is None:
            table = _Table(cidr for cidr in self._summaries if cidr.version == version)
            self._tables[version] = table
        return table


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
                elif found.lendable:
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
            if found is None:
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
