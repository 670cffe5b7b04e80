"""What is done for the whole cluster: check and repair, give back what a dead node had, keep off hosts' addresses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from calico_route.documents import read_value
from calico_route.etcd.store import Write
from calico_route.keys import format_path
from calico_route.model import WorkloadEndpoint
from calico_route.workload.ports import WorkloadError

from .access import Access
from .block import RecordError
from .census import Census, take_census
from .cidr import Address, Cidr
from .findings import GRACE, Finding, Kind, find
from .knowledge import Knowledge
from .paths import felix_status_path, host_path, reservation_path
from .repairs import MendBlock, Recount, SettleAffinity
from .requests import Claim, ReleaseAddresses, Request, whose
from .reserved import HOSTS_RESERVATION, KIND, write_reservation
from .transactor import Transactor

log = logging.getLogger(__name__)

SETTLE = 3.0
"""Seconds between two looks before something is repaired: a stock node writes handle, block and claim one after the
other, and in between they do not fit together."""


class Check(NamedTuple):
    """What `ipam check` found. `repaired` of it is in order now; `failed` could not be repaired, and why."""

    findings: tuple[Finding, ...]
    repaired: tuple[Finding, ...] = ()
    failed: tuple[tuple[Finding, str], ...] = ()

    @property
    def left(self) -> tuple[Finding, ...]:
        done = set(self.repaired)
        return tuple(one for one in self.findings if one not in done)


class NodeRelease(NamedTuple):
    """What a node has given back: addresses, its blocks, and the keys of its WorkloadEndpoints."""

    addresses: tuple[str, ...]
    blocks: tuple[str, ...]
    endpoints: tuple[str, ...]


class Care:
    """The part of `Ipam` that looks at everything. Raises WorkloadError and nothing else."""

    def __init__(self, access: Access, knowledge: Knowledge, transactor: Transactor, node: str) -> None:
        self._access = access
        self._knowledge = knowledge
        self._transactor = transactor
        self._node = node

    async def census(self) -> Census:
        return await take_census(self._access, self._node)

    async def check(
        self, now: datetime, *, repair: bool, grace: float = GRACE, settle: float = SETTLE, living: Collection[str] = ()
    ) -> Check:
        census = await self.census()
        findings = find(census, now=now, grace=grace, living=living)
        if not repair or not any(one.repairable for one in findings):
            return Check(tuple(findings))
        await asyncio.sleep(settle)
        census, before = await self.census(), set(findings)
        findings = find(census, now=now, grace=grace, living=living)
        repaired, failed = [], []
        # Claims on blocks come last: what is given back may empty a block.
        for finding in sorted((one for one in findings if one.repairable and one in before), key=_order):
            try:
                await self._transactor.ask(_repair(census, finding))
            except WorkloadError as error:
                if error.code == "unavailable":
                    raise
                failed.append((finding, str(error)))
            else:
                repaired.append(finding)
                log.info("addresses repaired: %s", finding.words)
        return Check(tuple(findings), tuple(repaired), tuple(failed))

    async def release_addresses(self, addresses: Sequence[Address], *, force: bool) -> tuple[str, ...]:
        census = await self.census()
        used = census.endpoints_by_address()
        owners: dict[Address, str | None] = {}
        blocks: dict[Address, Cidr] = {}
        for address in addresses:
            block = census.block_of(address)
            owner = None if block is None else block.owner(block.ordinal(address))
            if block is None or owner is None:
                continue
            if address in used and not force:
                endpoint = used[address][0]
                raise WorkloadError(
                    f"{address} is in use by workload {endpoint.namespace}/{endpoint.name} on node {endpoint.node}: "
                    "remove that, or force it",
                    code="taken",
                )
            if "type" in owner.secondary and not force:
                raise WorkloadError(f"{address} is no workload's but {whose(owner)}: force it", code="taken")
            owners[address], blocks[address] = owner.handle, block.cidr
        return await self._transactor.ask(ReleaseAddresses(owners, blocks)) if owners else ()

    async def release_node(self, name: str, *, force: bool) -> NodeRelease:
        census = await self.census()
        if not force:
            await self._refuse_living(census, name)
        endpoints = [one for one in census.endpoints if one.node == name]
        by_address = census.endpoints_by_address()
        used = {address for address, those in by_address.items() if all(one.node == name for one in those)}
        owners: dict[Address, str | None] = {}
        blocks: dict[Address, Cidr] = {}
        for address, block, owner in census.held():
            if owner.node == name or (owner.node is None and address in used):
                owners[address], blocks[address] = owner.handle, block.cidr
        # The workloads first: an address must not be given to somebody while another seems to have it.
        gone = [str(one.key) for one in endpoints if await self._delete(one)]
        released = await self._transactor.ask(ReleaseAddresses(owners, blocks)) if owners else ()
        of_node = {cidr for cidr, block in census.blocks.items() if block.host == name}
        of_node |= {cidr for node, cidr in census.affinities if node == name}
        given: tuple[str, ...] = ()
        for cidr in sorted(of_node):
            try:
                given += await self._transactor.ask(SettleAffinity(name, cidr, gone=True))
            except WorkloadError as error:
                if error.code == "unavailable":
                    raise
                log.warning("addresses: block %s of node %s stays: %s", cidr, name, error)
        mark = host_path(name)
        stored = await self._access.get(mark)
        if stored is not None:
            await self._access.transact([Write(mark, None, stored.revision)])
        log.info("addresses: node %s gave back %d addresses and %d blocks", name, len(released), len(given))
        return NodeRelease(released, given, tuple(gone))

    async def reserve_hosts(self, now: datetime) -> tuple[str, ...]:
        await self._knowledge.look()
        path = reservation_path(HOSTS_RESERVATION)
        while True:
            await self._knowledge.refresh()
            networks = (await self._knowledge.look()).hosts
            stored = await self._access.get(path)
            if stored is None and not networks:
                return ()
            try:
                value = write_reservation(networks, None if stored is None else stored.value, now)
            except RecordError as error:
                raise WorkloadError(f"{KIND} {HOSTS_RESERVATION} cannot be read ({error}): delete it") from error
            if stored is None or value != stored.value:
                # Calico refuses an IPReservation without any network.
                write = Write(path, value if networks else None, 0 if stored is None else stored.revision)
                if not await self._access.transact([write]):
                    continue  # somebody else was faster, or no answer: look again
            return tuple(map(str, networks))

    async def _refuse_living(self, census: Census, name: str) -> None:
        why = None
        if name == self._node:
            why = "it is this node"
        elif await self._access.get(felix_status_path(name)) is not None:
            why = "its Felix reports that it lives"
        elif name in census.nodes:
            why = "its Node is still there; delete that first if it is dead (calicoctl delete node)"
        if why is not None:
            raise WorkloadError(f"node {name} seems to be alive: {why}, or force it", code="busy")

    async def _delete(self, endpoint: WorkloadEndpoint) -> bool:
        """Unless it is another node's now."""
        path = format_path(endpoint.key)
        while (stored := await self._access.get(path)) is not None:
            found = read_value(endpoint.key, stored.value).resource
            if not isinstance(found, WorkloadEndpoint) or found.node != endpoint.node:
                return False
            if await self._access.transact([Write(path, None, stored.revision)]):
                return True
        return True


def _order(finding: Finding) -> int:
    late = (Kind.HANDLE, Kind.AFFINITY, Kind.UNCLAIMED, Kind.EMPTY)
    return late.index(finding.kind) + 1 if finding.kind in late else 0


def _repair(census: Census, finding: Finding) -> Request:
    if finding.kind is Kind.LEAKED and finding.address is not None and finding.cidr is not None:
        return ReleaseAddresses({finding.address: finding.handle}, {finding.address: finding.cidr})
    if finding.kind is Kind.UNRECORDED and finding.address is not None and finding.handle is not None:
        said = {"node": finding.node or "", "container": finding.handle.rpartition(".")[2]}
        return Claim(finding.handle, [finding.address], said)
    if finding.kind is Kind.HANDLE and finding.handle is not None:
        cidrs = {block.cidr for _, block, owner in census.held() if owner.handle == finding.handle}
        return Recount(finding.handle, sorted(cidrs))
    if finding.kind in (Kind.AFFINITY, Kind.UNCLAIMED) and finding.node is not None and finding.cidr is not None:
        gone = finding.kind is Kind.UNCLAIMED and finding.node not in census.nodes
        return SettleAffinity(finding.node, finding.cidr, gone=gone)
    if finding.kind in (Kind.CONTRADICTION, Kind.EMPTY) and finding.cidr is not None:
        return MendBlock(finding.cidr)
    raise AssertionError(f"no repair for {finding}")
