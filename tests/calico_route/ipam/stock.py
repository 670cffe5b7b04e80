"""An allocator that does what a stock Calico node does: affine blocks, one record after the other, each with
compare-and-swap. It knows nothing of the code under test: its records are plain JSON."""

from __future__ import annotations

import json
from ipaddress import IPv4Network, ip_network

from calico_route.etcd.store import Store

_IPAM = "/calico/ipam/v2"


class StockNode:
    """Assigns from the pool as one node, whose name chooses where it begins to look for blocks."""

    def __init__(self, store: Store, node: str, pool: str, start: int) -> None:
        self._store = store
        self._node = node
        self._blocks = [one for one in ip_network(pool).subnets(new_prefix=26) if isinstance(one, IPv4Network)]
        self._start = start

    async def assign(self, handle: str) -> str:
        while True:
            for cidr in await self._affine():
                address = await self._from_block(cidr, handle, affine=True)
                if address is not None:
                    return address
            if not await self._claim():
                break
        for cidr in self._blocks:
            address = await self._from_block(cidr, handle, affine=False)
            if address is not None:
                return address
        raise AssertionError("the pool is full")

    async def release(self, handle: str) -> None:
        """The block first, then the handle."""
        stored = await self._store.get(f"{_IPAM}/handle/{handle}".encode())
        assert stored is not None
        for text in json.loads(stored.value)["block"]:
            while True:
                key = self._block_key(IPv4Network(text))
                held = await self._store.get(key)
                assert held is not None
                block = json.loads(held.value)
                gone = [place for place, one in enumerate(block["attributes"]) if one["handle_id"] == handle]
                for ordinal, index in enumerate(block["allocations"]):
                    if index in gone:
                        block["allocations"][ordinal] = None
                        block["unallocated"].append(ordinal)
                kept = [place for place in range(len(block["attributes"])) if place not in gone]
                block["attributes"] = [block["attributes"][place] for place in kept]
                block["allocations"] = [None if one is None else kept.index(one) for one in block["allocations"]]
                block["sequenceNumber"] += 1
                if await self._store.replace(key, json.dumps(block).encode(), held.revision):
                    break
            await self._count(handle, text, -1)

    async def _affine(self) -> list[IPv4Network]:
        prefix = f"{_IPAM}/host/{self._node}/ipv4/block/".encode()
        snapshot = await self._store.snapshot([prefix])
        return [IPv4Network(key[len(prefix) :].decode().replace("-", "/")) for key in sorted(snapshot.values)]

    async def _claim(self) -> bool:
        """Pending, block, confirmed: False where every block of the pool is somebody's."""
        there = (await self._store.snapshot([f"{_IPAM}/assignment/ipv4/block/".encode()])).values
        for cidr in self._blocks[self._start :] + self._blocks[: self._start]:
            if self._block_key(cidr) in there:
                continue
            affinity = f"{_IPAM}/host/{self._node}/ipv4/block/{cidr.network_address}-26".encode()
            if not await self._store.create(affinity, b'{"state":"pending","deleted":false}'):
                continue
            block = {
                "cidr": str(cidr),
                "affinity": f"host:{self._node}",
                "allocations": [None] * 64,
                "unallocated": list(range(64)),
                "attributes": [],
                "sequenceNumber": 0,
                "sequenceNumberForAllocation": {},
                "deleted": False,
                "newer": {"than": "this"},
            }
            pending = await self._store.get(affinity)
            assert pending is not None
            if await self._store.create(self._block_key(cidr), json.dumps(block).encode()):
                confirmed = b'{"state":"confirmed","deleted":false}'
                assert await self._store.replace(affinity, confirmed, pending.revision)
                return True
            from calico_route.etcd.store import Write

            assert await self._store.transact([Write(affinity, None, pending.revision)])
        return False

    async def _from_block(self, cidr: IPv4Network, handle: str, *, affine: bool) -> str | None:
        while True:
            key = self._block_key(cidr)
            stored = await self._store.get(key)
            if stored is None:
                return None
            block = json.loads(stored.value)
            if affine and block["affinity"] != f"host:{self._node}":
                return None
            if not block["unallocated"]:
                return None
            await self._count(handle, str(cidr), 1)
            ordinal = block["unallocated"].pop(0)
            block["attributes"].append({"handle_id": handle, "secondary": {"node": self._node, "pod": handle}})
            block["allocations"][ordinal] = len(block["attributes"]) - 1
            block["sequenceNumber"] += 1
            block["sequenceNumberForAllocation"][str(ordinal)] = block["sequenceNumber"]
            if await self._store.replace(key, json.dumps(block).encode(), stored.revision):
                return str(cidr[ordinal])
            await self._count(handle, str(cidr), -1)

    async def _count(self, handle: str, block: str, count: int) -> None:
        from calico_route.etcd.store import Write

        key = f"{_IPAM}/handle/{handle}".encode()
        while True:
            stored = await self._store.get(key)
            document = {"block": {}, "deleted": False} if stored is None else json.loads(stored.value)
            document["block"][block] = document["block"].get(block, 0) + count
            if not document["block"][block]:
                del document["block"][block]
            value = json.dumps(document).encode() if document["block"] else None
            if await self._store.transact([Write(key, value, 0 if stored is None else stored.revision)]):
                return

    def _block_key(self, cidr: IPv4Network) -> bytes:
        return f"{_IPAM}/assignment/ipv4/block/{cidr.network_address}-{cidr.prefixlen}".encode()
