"""All of IPAM's records and the workloads that use them, at one revision: for those who look after the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from calico_route.documents import read_value
from calico_route.keys import WORKLOADS, parse_path
from calico_route.model import Node, WorkloadEndpoint

from .access import Access
from .block import Attribute, Block, RecordError, read_block
from .cidr import Address, Cidr, parse_cidr
from .handle import Affinity, Handle, read_affinity, read_handle
from .knowledge import Settings, read_settings
from .paths import (
    BLOCKS,
    CONFIG,
    HANDLES,
    HOSTS,
    NODES,
    POOLS,
    RESERVATIONS,
    AffinityName,
    read_affinity_path,
    read_block_path,
)

_EVERYTHING = (POOLS, RESERVATIONS, CONFIG, NODES, BLOCKS, HANDLES, HOSTS, WORKLOADS)
_RECORDS_A_SLICE = 100  # read without giving way to other tasks


@dataclass(slots=True)
class Census:
    """`unreadable` has what cannot be used: what it is, and why. Such records are left alone."""

    settings: Settings
    nodes: dict[str, Node] = field(default_factory=dict)
    blocks: dict[Cidr, Block] = field(default_factory=dict)
    handles: dict[str, Handle] = field(default_factory=dict)
    affinities: dict[AffinityName, Affinity] = field(default_factory=dict)
    endpoints: list[WorkloadEndpoint] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    unreadable_blocks: set[Cidr] = field(default_factory=set)
    _lengths: dict[int, set[int]] | None = None

    def endpoints_by_address(self) -> dict[Address, list[WorkloadEndpoint]]:
        found: dict[Address, list[WorkloadEndpoint]] = {}
        for endpoint in self.endpoints:
            for address in addresses_of(endpoint):
                found.setdefault(address, []).append(endpoint)
        return found

    def held(self) -> Iterable[tuple[Address, Block, Attribute]]:
        """Each address that somebody has, in order."""
        for cidr in sorted(self.blocks):
            block = self.blocks[cidr]
            for ordinal, owner in block.held():
                yield block.address(ordinal), block, owner

    def block_of(self, address: Address) -> Block | None:
        if self._lengths is None:
            self._lengths = {4: set(), 6: set()}
            for cidr in self.blocks:
                self._lengths[cidr.version].add(cidr.length)
        everything = Cidr(address.version, 0, 0)
        around = (everything.around(address.number, length) for length in self._lengths[address.version])
        return next((self.blocks[cidr] for cidr in around if cidr in self.blocks), None)


def addresses_of(endpoint: WorkloadEndpoint) -> list[Address]:
    """The addresses of a workload itself, without those that are translated to it."""
    networks = [parse_cidr(str(one)) for one in endpoint.networks if one not in endpoint.nat_networks]
    return [Address(one.version, one.first) for one in networks]


async def take_census(access: Access, node: str) -> Census:
    """UnreachableError (`unavailable`)."""
    values = (await access.snapshot(_EVERYTHING)).values
    census = Census(await read_settings(values, node))
    for count, (path, value) in enumerate(values.items(), 1):
        if count % _RECORDS_A_SLICE == 0:
            await asyncio.sleep(0)
        _read(census, path, value)
    return census


def _read(census: Census, path: bytes, value: bytes) -> None:
    what = path.decode("utf-8", "replace")
    try:
        if path.startswith(BLOCKS):
            cidr = read_block_path(path)
            if cidr is None:
                raise RecordError("this is no name of a block")
            what = f"block {cidr}"
            census.unreadable_blocks.add(cidr)
            census.blocks[cidr] = read_block(cidr, value)
            census.unreadable_blocks.discard(cidr)
        elif path.startswith(HANDLES):
            name = path[len(HANDLES) :].decode("utf-8", "replace")
            what = f"handle {name}"
            census.handles[name] = read_handle(name, value)
        elif path.startswith(HOSTS):
            affinity = read_affinity_path(path)
            if affinity is not None:
                what = f"affinity of node {affinity.node} to block {affinity.cidr}"
                census.affinities[affinity] = read_affinity(value)
        elif (key := parse_path(path)) is not None:
            resource, problems = read_value(key, value)
            if isinstance(resource, WorkloadEndpoint):
                census.endpoints.append(resource)
            elif isinstance(resource, Node):
                census.nodes[resource.name] = resource
            elif resource is None:
                census.unreadable[str(key)] = "; ".join(map(str, problems))
    except RecordError as error:
        census.unreadable[what] = str(error)


def usage(census: Census) -> dict[str, object]:
    """What `ipam show` prints: a list of pools, and a list of blocks, with texts and numbers alone."""
    pools = []
    for pool in census.settings.pools:
        inside = [block for cidr, block in census.blocks.items() if pool.cidr.covers(cidr)]
        used = sum(1 for block in inside for _ in block.held())
        pools.append(
            {
                "name": pool.name,
                "cidr": str(pool.cidr),
                "addresses": pool.cidr.size,
                "used": used,
                "free": pool.cidr.size - used,
                "blocks": len(inside),
                "block_length": pool.block_length,
                "state": pool.refusal or ("assigns what is asked for by name" if pool.manual else "assigns"),
            }
        )
    blocks = []
    for cidr, block in sorted(census.blocks.items()):
        owners = [owner for _, owner in block.held()]
        borrowed: dict[str, int] = {}
        for owner in owners:
            if owner.node is not None and owner.node != block.host:
                borrowed[owner.node] = borrowed.get(owner.node, 0) + 1
        blocks.append(
            {
                "cidr": str(cidr),
                "node": block.host or "",
                "used": len(owners),
                "free": cidr.size - len(owners),
                "borrowed": dict(sorted(borrowed.items())),
            }
        )
    configuration: Mapping[str, object] = census.settings.configuration._asdict()
    problems = [*census.settings.problems, *(f"{what}: {why}" for what, why in sorted(census.unreadable.items()))]
    return {"pools": pools, "blocks": blocks, "configuration": dict(configuration), "problems": problems}


def describe(census: Census, address: Address) -> dict[str, object]:
    """What is known of one address, with texts and numbers alone."""
    block = census.block_of(address)
    owner = None if block is None else block.owner(block.ordinal(address))
    pool = next((pool for pool in census.settings.pools if pool.cidr.covers(address)), None)
    return {
        "address": str(address),
        "pool": "" if pool is None else pool.name,
        "block": "" if block is None else str(block.cidr),
        "block_node": (block.host or "") if block is not None else "",
        "assigned": owner is not None,
        "handle": (owner.handle or "") if owner is not None else "",
        "attributes": {} if owner is None else dict(owner.secondary),
        "endpoints": [str(one.key) for one in census.endpoints if address in addresses_of(one)],
        "reserved": census.settings.reserved.why(address) or "",
    }
