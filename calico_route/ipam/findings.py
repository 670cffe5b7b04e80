"""What does not fit together in IPAM's records. Pure: from a Census to Findings, in words for a person."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from calico_route.model import AffinityState, WorkloadEndpoint

from .block import Attribute
from .census import Census
from .cidr import Address, Cidr
from .paths import AffinityName
from .requests import whose

GRACE = 900.0  # seconds: as long as kube-controllers of Calico waits before it takes an address for leaked
HANDLE = "calico-route/handle"
"""Annotation of a WorkloadEndpoint: the handle of its addresses."""
_WINDOWS = "windows-reserved-ipam-handle"  # of the addresses that Windows nodes need of each of their blocks
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)?(?: ?Z| ?\+00:?00(?: UTC)?)?")


class Kind(StrEnum):
    UNREADABLE = "unreadable"  # a record that cannot be used
    CONTRADICTION = "contradiction"  # a block whose two lists of free addresses differ
    LEAKED = "leaked"  # an address that no workload uses
    UNRECORDED = "unrecorded"  # a workload whose address is free for anybody
    FOREIGN = "foreign"  # a workload whose address is another's
    DUPLICATE = "duplicate"  # several workloads with one address
    HOST_ADDRESS = "host-address"  # a workload with an address of a host
    HANDLE = "handle"  # a handle that says something else than the blocks
    AFFINITY = "affinity"  # a claim without its block
    UNCLAIMED = "unclaimed"  # a block without its node's claim
    EMPTY = "empty"  # a block of nobody that nobody uses
    OVERLAP = "overlap"  # blocks with an address in common
    DEAD_NODE = "dead-node"  # addresses and blocks of a node that does not exist


REPAIRABLE = frozenset(
    {Kind.CONTRADICTION, Kind.LEAKED, Kind.UNRECORDED, Kind.HANDLE, Kind.AFFINITY, Kind.UNCLAIMED, Kind.EMPTY}
)


class Finding(NamedTuple):
    """One thing that does not fit. `words` say what, and what is to be done. The others name what it is about;
    two looks that find the same give equal Findings."""

    kind: Kind
    words: str
    cidr: Cidr | None = None
    address: Address | None = None
    handle: str | None = None
    node: str | None = None

    @property
    def repairable(self) -> bool:
        return self.kind in REPAIRABLE


def find(census: Census, *, now: datetime, grace: float = GRACE, living: Collection[str] = ()) -> list[Finding]:
    """All that does not fit. An address that was assigned less than `grace` seconds ago is not taken for leaked (its
    workload is still being made), nor is one whose handle is in `living`."""
    return [
        *_unreadable(census),
        *_blocks(census),
        *_leaks(census, now, grace, frozenset(living)),
        *_endpoints(census),
        *_handles(census),
        *_affinities(census),
        *_dead_nodes(census),
    ]


def handle_of(census: Census, endpoint: WorkloadEndpoint) -> str:
    """The handle of a workload: one that ends in its container's id, as Calico makes them, else ours for it."""
    container = container_of(endpoint)
    known = sorted(name for name in census.handles if name.rpartition(".")[2] == container)
    return known[0] if known else f"calico.{container}"


def container_of(endpoint: WorkloadEndpoint) -> str:
    spec = endpoint.raw.get("spec")
    found = spec.get("containerID") if isinstance(spec, dict) else None
    return (found if isinstance(found, str) and found else endpoint.name).lower()


def _unreadable(census: Census) -> Iterator[Finding]:
    for what, why in sorted(census.unreadable.items()):
        yield Finding(Kind.UNREADABLE, f"{what}: {why}; it is left alone: mend or delete it by hand")


def _blocks(census: Census) -> Iterator[Finding]:
    before: Cidr | None = None
    for cidr in sorted({*census.blocks, *census.unreadable_blocks}):
        if before is not None and before.overlaps(cidr):
            words = f"block {cidr} overlaps block {before}: an address may be given twice; free one of them by hand"
            yield Finding(Kind.OVERLAP, words, cidr)
        if before is None or not before.covers(cidr):
            before = cidr
        block = census.blocks.get(cidr)
        if block is None:
            continue
        if not block.consistent:
            words = f"block {cidr}: its lists of free addresses differ: `unallocated` is to be made anew from the other"
            yield Finding(Kind.CONTRADICTION, words, cidr)
        if block.empty and block.affinity is None:
            yield Finding(Kind.EMPTY, f"block {cidr} is nobody's and has no addresses in use: to be deleted", cidr)


def _leaks(census: Census, now: datetime, grace: float, living: frozenset[str]) -> Iterator[Finding]:
    used = census.endpoints_by_address()
    for address, block, owner in census.held():
        if "type" in owner.secondary or owner.handle in (None, _WINDOWS) or not block.consistent:
            continue  # of a tunnel or a service, or not a workload's at all
        if address in used or owner.handle in living:
            continue
        age = _age(owner, now)
        if grace > 0 and (age is None or age < grace):
            continue
        since = f" since {owner.secondary['timestamp']}" if "timestamp" in owner.secondary else ""
        words = f"{address} is assigned to {whose(owner)}{since}, and no WorkloadEndpoint has it: to be given back"
        yield Finding(Kind.LEAKED, words, block.cidr, address, owner.handle, owner.node)


def _endpoints(census: Census) -> Iterator[Finding]:
    for address, several in sorted(census.endpoints_by_address().items()):
        names = ", ".join(f"{one.namespace}/{one.name}" for one in several)
        if len(several) > 1:
            words = f"{address} is the address of {len(several)} workloads: {names}: remove all but one of them"
            yield Finding(Kind.DUPLICATE, words, address=address)
        if not any(pool.cidr.covers(address) for pool in census.settings.pools):
            continue  # an address from elsewhere is no business of IPAM's
        reason = census.settings.reserved.why(address, fixed=True)
        if reason is not None:
            words = f"{address} of workload {names} belongs to {reason}: give the workload another address"
            yield Finding(Kind.HOST_ADDRESS, words, address=address)
        if any(cidr.covers(address) for cidr in census.unreadable_blocks):
            continue
        block = census.block_of(address)
        owner = None if block is None else block.owner(block.ordinal(address))
        if owner is None:
            handle = handle_of(census, several[0])
            words = f"{address} of workload {names} is not recorded as assigned: to be assigned to handle {handle}"
            yield Finding(Kind.UNRECORDED, words, None, address, handle, several[0].node)
            continue
        for endpoint in several:
            if not _fits(owner, endpoint):
                name = f"{endpoint.namespace}/{endpoint.name} on node {endpoint.node}"
                words = f"{address} of workload {name} is assigned to {whose(owner)}: make the workload anew"
                yield Finding(Kind.FOREIGN, words, address=address, handle=owner.handle, node=endpoint.node)


def _handles(census: Census) -> Iterator[Finding]:
    counted: dict[str, dict[Cidr, int]] = {}
    for _, block, owner in census.held():
        if owner.handle is not None:
            of_handle = counted.setdefault(owner.handle, {})
            of_handle[block.cidr] = of_handle.get(block.cidr, 0) + 1
    unreadable = {what.removeprefix("handle ") for what in census.unreadable if what.startswith("handle ")}
    for name in sorted({*counted, *census.handles} - unreadable):
        handle = census.handles.get(name)
        # What a block that cannot be read has of it is not known: the handle's word counts.
        says = {} if handle is None else dict(handle.blocks)
        has = counted.get(name, {}) | {cidr: says[cidr] for cidr in says if cidr in census.unreadable_blocks}
        if handle is not None and says == has and has:
            continue
        told = ", ".join(f"{count} in {cidr}" for cidr, count in sorted(says.items())) or "nothing"
        real = ", ".join(f"{count} in {cidr}" for cidr, count in sorted(has.items())) or "nothing"
        what = f"handle {name} says {told}" if handle is not None else f"there is no handle {name}"
        what += f", the blocks have {real}: to be {'made as the blocks say' if has else 'deleted'}"
        yield Finding(Kind.HANDLE, what, handle=name)


def _affinities(census: Census) -> Iterator[Finding]:
    for name, affinity in sorted(census.affinities.items(), key=lambda one: one[0]):
        node, cidr = name
        if cidr in census.unreadable_blocks:
            continue
        block = census.blocks.get(cidr)
        what = f"node {node} has a claim ({affinity.state}) on block {cidr}"
        if block is None:
            yield Finding(Kind.AFFINITY, f"{what}, which does not exist: to be deleted", cidr, node=node)
        elif block.host != node:
            other = f"of node {block.host}" if block.host else "nobody's"
            yield Finding(Kind.AFFINITY, f"{what}, which is {other}: to be deleted", cidr, node=node)
        elif affinity.state is not AffinityState.CONFIRMED:
            yield Finding(Kind.AFFINITY, f"{what}, which is its own: to be confirmed", cidr, node=node)
    for cidr, block in sorted(census.blocks.items()):
        if block.host is not None and AffinityName(block.host, cidr) not in census.affinities:
            words = f"block {cidr} is of node {block.host}, which has no claim on it: the claim is to be written"
            if block.host not in census.nodes:
                words = f"block {cidr} is of node {block.host}, which is gone with its claim: to be nobody's"
            yield Finding(Kind.UNCLAIMED, words, cidr, node=block.host)


def _dead_nodes(census: Census) -> Iterator[Finding]:
    if not census.nodes:
        return  # addresses without nodes in the datastore: it cannot be told who is gone
    addresses: dict[str, int] = {}
    blocks: dict[str, int] = {}
    for _, _, owner in census.held():
        node = owner.node
        if node is not None and node not in census.nodes:
            addresses[node] = addresses.get(node, 0) + 1
    for node, _ in census.affinities:
        if node not in census.nodes:
            blocks[node] = blocks.get(node, 0) + 1
    for node in sorted({*addresses, *blocks}):
        words = (
            f"node {node} does not exist, and has {addresses.get(node, 0)} addresses and {blocks.get(node, 0)} blocks: "
            f"give them back with `calico-route ipam release --node {node}`"
        )
        yield Finding(Kind.DEAD_NODE, words, node=node)


def _fits(owner: Attribute, endpoint: WorkloadEndpoint) -> bool:
    """Whether an address may be the workload's. A handle that does not name a container as CNI does says nothing.

    Endpoints of calico_route name their handle; "": the address is held by somebody else for it, as by Docker's driver.
    """
    handle = (owner.handle or "").lower()
    if owner.node is not None and owner.node != endpoint.node:
        return False
    metadata = endpoint.raw.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    named = annotations.get(HANDLE) if isinstance(annotations, dict) else None
    if isinstance(named, str):
        return named.lower() in ("", handle)
    spec = endpoint.raw.get("spec")
    container = spec.get("containerID") if isinstance(spec, dict) else None
    if not isinstance(container, str) or not container or "." not in handle:
        return True
    return handle.endswith(f".{container.lower()}")


def _age(owner: Attribute, now: datetime) -> float | None:
    """Seconds since the assignment; None where that is not written."""
    found = _STAMP.match(owner.secondary.get("timestamp", ""))
    if found is None:
        return None
    try:
        made = datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (now - made).total_seconds()
