"""What can be asked: each request says what it does to a draft, and again when others were faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from calico_route.workload.ports import WorkloadError

from .block import Attribute, Block
from .choice import Place, pick, places
from .cidr import BITS, Address, Cidr
from .draft import MOST_WRITES, Draft
from .handle import Handle
from .knowledge import Knowledge, Settings
from .pools import Pool, choose, pool_of

_BLOCKS_AT_ONCE = 50  # of a release: the rest comes in further transactions


class Scene(NamedTuple):
    """What requests go by."""

    settings: Settings
    knowledge: Knowledge
    node: str
    order: str
    now: datetime


class Request(Protocol):
    """`handle` is whose it is, if it is anybody's. `result` is good once the transaction has been made."""

    handle: str | None
    result: tuple[str, ...]

    async def apply(self, draft: Draft, scene: Scene) -> bool:
        """False: there is more to do, in a further transaction. WorkloadError where it cannot be done."""
        ...

    def committed(self) -> None:
        """The transaction was made."""
        ...

    def doubted(self) -> None:
        """Nobody knows whether it was made; `apply` comes again, and sees."""
        ...


class PlainRequest:
    """A request that needs to remember nothing between its transactions."""

    def __init__(self, handle: str | None) -> None:
        self.handle = handle
        self.result: tuple[str, ...] = ()

    def committed(self) -> None:
        pass

    def doubted(self) -> None:
        pass


class Assign(PlainRequest):
    """A free address of each version."""

    def __init__(self, handle: str, versions: Sequence[int], pools: Sequence[str], said: Mapping[str, str]) -> None:
        super().__init__(handle)
        self._name = handle
        self._versions = tuple(versions)
        self._pools = tuple(pools)
        self._said = said
        self._sure = False

    async def apply(self, draft: Draft, scene: Scene) -> bool:
        draft.assume_new(self._name)
        handle = await draft.handle(self._name) or Handle(self._name)
        have: dict[int, Address] = {}
        for cidr in handle.blocks:
            block = await draft.block(cidr)
            if block is not None and cidr.version not in have:
                for ordinal in block.of_handle(self._name)[:1]:
                    have[cidr.version] = block.address(ordinal)
        for version in self._versions:
            if version not in have:
                block, ordinal = await self._find(draft, scene, version)
                block = block.assign([ordinal], self._name, self._said)
                draft.put_block(block)
                handle = handle.holding(block.cidr, len(block.of_handle(self._name)))
                draft.put_handle(handle)
                have[version] = block.address(ordinal)
        self.result = tuple(str(have[version]) for version in self._versions)
        return True

    async def _find(self, draft: Draft, scene: Scene, version: int) -> tuple[Block, int]:
        settings, knowledge = scene.settings, scene.knowledge
        while True:
            pools = choose(settings.pools, version, self._pools, settings.labels, scene.node)
            place = next(
                places(knowledge.blocks, pools, settings.reserved, scene.node, scene.order, settings.configuration),
                None,
            )
            if place is not None:
                found = await _take(draft, scene, place)
                if found is not None:
                    return found
            elif self._sure:
                raise WorkloadError(_full(version, pools, scene), code="full")
            else:  # it may be that we have not heard yet of what was given back
                await knowledge.refresh()
                settings = await knowledge.look()
                self._sure = True


async def _take(draft: Draft, scene: Scene, place: Place) -> tuple[Block, int] | None:
    """None: the block is not as it was known; what was read of it is known now."""
    try:
        block = await (draft.claim(place.cidr, scene.now) if place.new else draft.block(place.cidr))
    except WorkloadError as error:
        if error.code == "unavailable":
            raise
        return None  # it cannot be read: known as one without room
    if block is None:
        return None
    if place.own and block.host != scene.node:
        return None
    ordinal = pick(block, scene.settings.reserved, scene.order)
    return None if ordinal is None else (block, ordinal)


def _full(version: int, pools: Sequence[Pool], scene: Scene) -> str:
    names = ", ".join(map(str, pools))
    configuration = scene.settings.configuration
    limits = []
    if configuration.strict_affinity:
        limits.append("strict_affinity keeps addresses in other nodes' blocks from this node")
    if not configuration.auto_allocate_blocks:
        limits.append("auto_allocate_blocks is off, so that no block is made")
    elif configuration.max_blocks_per_host:
        limits.append(f"a node may have {configuration.max_blocks_per_host} blocks (maxBlocksPerHost)")
    why = f" ({'; '.join(limits)})" if limits else ""
    return (
        f"no free IPv{version} address for node {scene.node} in {names}{why}: add a pool, give back addresses "
        "(`calico-route ipam check` finds those that nobody uses), or look at the reservations"
    )


class Claim(PlainRequest):
    """Just these addresses."""

    def __init__(self, handle: str, addresses: Sequence[Address], said: Mapping[str, str]) -> None:
        super().__init__(handle)
        self._name = handle
        self._addresses = tuple(dict.fromkeys(addresses))
        self._said = said

    async def apply(self, draft: Draft, scene: Scene) -> bool:
        draft.assume_new(self._name)
        before = draft.size
        for address in self._addresses:
            pool = pool_of(scene.settings.pools, address)
            block = await self._block(draft, scene, address, pool)
            ordinal = block.ordinal(address)
            owner = block.owner(ordinal)
            if owner is not None:
                if owner.handle == self._name:
                    continue
                raise WorkloadError(f"{address} is taken by {whose(owner)}", code="taken")
            reason = scene.settings.reserved.why(address, fixed=True)
            if reason is not None:
                raise WorkloadError(f"{address} is reserved: it belongs to {reason}; choose another", code="reserved")
            if scene.settings.configuration.strict_affinity and block.host != scene.node:
                raise WorkloadError(
                    f"{address} is reserved: its block {block.cidr} is of node {block.host or '(none)'}, and "
                    "strict_affinity keeps other nodes out of it",
                    code="reserved",
                )
            block = block.assign([ordinal], self._name, self._said)
            draft.put_block(block)
            handle = await draft.handle(self._name) or Handle(self._name)
            draft.put_handle(handle.holding(block.cidr, len(block.of_handle(self._name))))
        if draft.size - before > MOST_WRITES:
            raise WorkloadError(f"{len(self._addresses)} addresses are too many to be claimed at once")
        self.result = tuple(map(str, self._addresses))
        return True

    async def _block(self, draft: Draft, scene: Scene, address: Address, pool: Pool) -> Block:
        usual = pool.cidr.around(address.number, pool.block_length)
        alone = Cidr(address.version, address.number, BITS[address.version])
        for cidr in (usual, *scene.knowledge.blocks.overlapping(alone)):
            block = await draft.block(cidr)
            if block is not None:
                if block.deleted or not block.consistent:
                    raise WorkloadError(
                        f"{address} cannot be had: block {cidr} contradicts itself; `calico-route ipam check` mends it"
                    )
                return block
        around = scene.knowledge.blocks.overlapping(usual)
        if around:
            names = ", ".join(map(str, around))
            raise WorkloadError(
                f"{address} cannot be had: its block {usual} would overlap {names}, made with another block size"
            )
        return await draft.claim(usual, scene.now)


class Release(PlainRequest):
    """All that a handle has."""

    def __init__(self, handle: str) -> None:
        super().__init__(handle)
        self._name = handle
        self._done: tuple[str, ...] = ()
        self._now: tuple[str, ...] = ()

    async def apply(self, draft: Draft, scene: Scene) -> bool:
        handle = await draft.handle(self._name)
        if handle is None:
            self.result = self._done  # with what an unanswered transaction has done after all
            return True
        gone: list[str] = []
        cidrs = sorted(handle.blocks)
        for cidr in cidrs[:_BLOCKS_AT_ONCE]:
            block = await draft.block(cidr)
            if block is not None:
                ordinals = block.of_handle(self._name)
                gone += (str(block.address(ordinal)) for ordinal in ordinals)
                if ordinals:
                    draft.put_block(block.release(ordinals))
            handle = handle.holding(cidr, 0)
        draft.put_handle(handle)
        self._now = tuple(gone)
        self.result = tuple(dict.fromkeys(self._done + self._now))
        return not handle.blocks

    def committed(self) -> None:
        self._done = tuple(dict.fromkeys(self._done + self._now))  # a doubt may say the same again

    doubted = committed


class ReleaseAddresses(PlainRequest):
    """These, whoever has them; `held_by` (a handle each) says whose they were when that was decided: an address that
    somebody else has got since stays."""

    def __init__(self, addresses: Mapping[Address, str | None], blocks: Mapping[Address, Cidr]) -> None:
        super().__init__(None)
        self._addresses = dict(addresses)
        self._left: dict[Address, str | None] = {}
        self._blocks = blocks
        self._done: tuple[str, ...] = ()
        self._now: tuple[str, ...] = ()

    async def apply(self, draft: Draft, scene: Scene) -> bool:
        gone = []
        before = draft.size
        self._left = dict(self._addresses)
        for address in sorted(self._addresses, key=lambda one: (self._blocks[one], one)):
            if draft.size - before > _BLOCKS_AT_ONCE:
                break
            held_by, cidr = self._left.pop(address), self._blocks[address]
            block = await draft.block(cidr)
            owner = None if block is None else block.owner(block.ordinal(address))
            if block is None or owner is None or owner.handle != held_by:
                continue
            gone.append(str(address))
            block = block.release([block.ordinal(address)])
            draft.put_block(block)
            handle = None if owner.handle is None else await draft.handle(owner.handle)
            if handle is not None:
                draft.put_handle(handle.holding(cidr, len(block.of_handle(handle.name))))
        self._now = tuple(gone)
        self.result = tuple(dict.fromkeys(self._done + self._now))
        return not self._left

    def committed(self) -> None:
        self._done = tuple(dict.fromkeys(self._done + self._now))  # a doubt may say the same again
        self._addresses = self._left

    def doubted(self) -> None:
        self._done = tuple(dict.fromkeys(self._done + self._now))  # a doubt may say the same again


def whose(owner: Attribute) -> str:
    """Who has an address, for a person."""
    said = owner.secondary
    name = said.get("pod") or said.get("container") or said.get("name")
    parts = []
    if name:
        kind = "pod" if said.get("pod") else "container"
        parts.append(f"{kind} {said['namespace']}/{name}" if said.get("namespace") else f"{kind} {name}")
    elif said.get("type"):
        parts.append(said["type"])
    if owner.node:
        parts.append(f"on node {owner.node}")
    handle = f"handle {owner.handle}" if owner.handle else "somebody without a handle"
    return f"{' '.join(parts)} ({handle})" if parts else handle
