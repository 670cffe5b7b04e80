"""Requests of those who look after the records: each looks again at what it changes, and compares all of it."""

from __future__ import annotations

from collections.abc import Sequence

from calico_route.model import AffinityState

from .cidr import Cidr
from .draft import Draft
from .handle import Affinity, Handle
from .requests import PlainRequest, Scene


class MendBlock(PlainRequest):
    """The free addresses of a block as its allocations say; deleted where it is empty and nobody's."""

    def __init__(self, cidr: Cidr) -> None:
        super().__init__(None)
        self._cidr = cidr

    async def apply(self, draft: Draft, scene: Scene) -> bool:
        block = await draft.block(self._cidr)
        if block is not None and (not block.consistent or (block.empty and block.affinity is None)):
            draft.put_block(block if block.consistent else block.mended())
        return True


class Recount(PlainRequest):
    """A handle as the blocks say. `blocks`: where to look for it besides where it says itself."""

    def __init__(self, handle: str, blocks: Sequence[Cidr]) -> None:
        super().__init__(handle)
        self._name = handle
        self._blocks = blocks

    async def apply(self, draft: Draft, scene: Scene) -> bool:
        found = await draft.handle(self._name)
        handle = found or Handle(self._name)
        for cidr in sorted({*self._blocks, *handle.blocks}):
            if cidr in scene.knowledge.problems:
                continue  # it cannot be told what it has
            block = await draft.block(cidr)
            if block is not None:
                draft.put_block(block)  # as it is: the transaction holds only if that is still so
            handle = handle.holding(cidr, 0 if block is None else len(block.of_handle(self._name)))
        if found is not None or handle.blocks:
            draft.put_handle(handle)
        return True


class SettleAffinity(PlainRequest):
    """The claim of a node on a block as the block says: confirmed where it is the node's, else deleted. With `gone`
    (there is no such node) the block becomes nobody's, and is deleted if it is empty."""

    def __init__(self, node: str, cidr: Cidr, *, gone: bool = False) -> None:
        super().__init__(None)
        self._node = node
        self._cidr = cidr
        self._gone = gone

    async def apply(self, draft: Draft, scene: Scene) -> bool:
        block = await draft.block(self._cidr)
        affinity = await draft.affinity(self._node, self._cidr)
        ours = block is not None and block.host == self._node
        if block is not None:
            draft.put_block(block.owned_by(None) if ours and self._gone else block)
        if ours and not self._gone:
            draft.put_affinity(
                self._node, self._cidr, Affinity(AffinityState.CONFIRMED, {} if affinity is None else affinity.raw)
            )
        elif affinity is not None:
            draft.put_affinity(self._node, self._cidr, None)
        self.result = (str(self._cidr),) if ours and self._gone else ()
        return True
