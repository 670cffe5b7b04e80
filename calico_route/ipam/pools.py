"""Which pools may give a workload its address, and how IPAM is set up. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from calico_route.fields import show
from calico_route.model import IpPool
from calico_route.selector import parse_selector
from calico_route.workload.ports import WorkloadError

from .block import RecordError, read_object
from .cidr import Address, Cidr, parse_cidr

_WORKLOAD = "Workload"
_MANUAL = "Manual"
_BLOCK_LENGTHS = {4: (20, 26, 32), 6: (116, 122, 128)}  # shortest, default, longest


class Pool(NamedTuple):
    """An IPPool as far as addresses go. `refusal` says why it gives none at all, in words; None: it does."""

    cidr: Cidr
    name: str
    block_length: int
    node_selector: str = "all()"
    manual: bool = False
    refusal: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.cidr})"

    @property
    def block_count(self) -> int:
        return 1 << (self.block_length - self.cidr.length)


def read_pool(pool: IpPool) -> Pool:
    """RecordError where blocks of the size do not fit."""
    cidr = parse_cidr(str(pool.cidr))
    shortest, default, longest = _BLOCK_LENGTHS[cidr.version]
    length = max(default, cidr.length) if pool.block_size is None else pool.block_size
    if not max(shortest, cidr.length) <= length <= longest:
        low = max(shortest, cidr.length)
        raise RecordError(f"spec.blockSize {length}: of {cidr} blocks have a length from {low} to {longest}")
    refusal = None
    if pool.disabled:
        refusal = "is disabled"
    elif pool.allowed_uses and _WORKLOAD not in pool.allowed_uses:
        refusal = f"is not for workloads: its allowedUses are {', '.join(pool.allowed_uses)}"
    return Pool(cidr, pool.name, length, pool.node_selector, pool.assignment_mode == _MANUAL, refusal)


class Configuration(NamedTuple):
    """IPAM's settings of the cluster; 0 blocks: as many as there are."""

    strict_affinity: bool = False
    auto_allocate_blocks: bool = True
    max_blocks_per_host: int = 0


def read_configuration(value: bytes) -> Configuration:
    """RecordError says what cannot be used."""
    document = read_object(value)
    strict, auto = document.get("strict_affinity"), document.get("auto_allocate_blocks")
    for name, flag in (("strict_affinity", strict), ("auto_allocate_blocks", auto)):
        if flag is not None and not isinstance(flag, bool):
            raise RecordError(f"{name} {show(flag)}: must be true or false")
    most = document.get("maxBlocksPerHost") or 0
    if not isinstance(most, int) or isinstance(most, bool) or most < 0:
        raise RecordError(f"maxBlocksPerHost {show(most)}: must be a number, 0 for no limit")
    return Configuration(bool(strict), auto is not False, most)


def choose(
    pools: Sequence[Pool], version: int, wanted: Sequence[str], labels: Mapping[str, str], node: str
) -> tuple[Pool, ...]:
    """The pools to try for an address of a version, in order.

    Those that are asked for by name or CIDR, in that order, whatever their nodeSelector and assignmentMode say (as
    Calico has it); else all that select the node, by CIDR. WorkloadError (`outside`) where there is none.
    """
    if wanted:
        asked = [find_pool(pools, text) for text in wanted]
        usable = [pool for pool in asked if pool.refusal is None]
        chosen = tuple(dict.fromkeys(pool for pool in usable if pool.cidr.version == version))
        if not chosen:
            reasons = [f"pool {pool} {pool.refusal}" for pool in asked if pool.refusal is not None]
            why = "; ".join(reasons) or f"none of the pools {', '.join(map(str, asked))} is of IPv{version}"
            raise WorkloadError(f"no IPv{version} address: {why}", code="outside")
        return chosen
    reasons = []
    found = []
    for pool in sorted(pools):
        if pool.cidr.version != version:
            continue
        if pool.refusal is not None:
            reasons.append(f"pool {pool} {pool.refusal}")
        elif pool.manual:
            reasons.append(f"pool {pool} is Manual: ask for it by name")
        elif not _selects(pool, labels):
            reasons.append(f"pool {pool} does not select node {node}: its nodeSelector is {pool.node_selector}")
        else:
            found.append(pool)
    if not found:
        why = "; ".join(reasons) or f"there is no IPv{version} pool: add one (calico-route pool add CIDR)"
        raise WorkloadError(f"no IPv{version} address to be had: {why}", code="outside")
    return tuple(found)


def find_pool(pools: Iterable[Pool], text: str) -> Pool:
    """By name or CIDR. WorkloadError (`outside`)."""
    known = sorted(pools)
    for pool in known:
        if text == pool.name:
            return pool
    try:
        cidr = parse_cidr(text) if "/" in text else None
    except ValueError:
        cidr = None
    for pool in known:
        if cidr == pool.cidr:
            return pool
    names = ", ".join(map(str, known)) or "none"
    raise WorkloadError(f"there is no pool {text}; there are: {names}", code="outside")


def pool_of(pools: Iterable[Pool], address: Address) -> Pool:
    """The pool that an explicit address lies in. WorkloadError (`outside`) where it is in none, or may not be used."""
    known = sorted(pools)
    for pool in known:
        if pool.cidr.covers(address):
            if pool.refusal is not None:
                raise WorkloadError(f"{address} cannot be had: pool {pool} {pool.refusal}", code="outside")
            return pool
    names = ", ".join(map(str, known)) or "none"
    raise WorkloadError(
        f"{address} is outside of every pool ({names}): choose another address, or add a pool that holds it",
        code="outside",
    )


def _selects(pool: Pool, labels: Mapping[str, str]) -> bool:
    try:
        return parse_selector(pool.node_selector)(labels)
    except ValueError as error:
        raise WorkloadError(f"pool {pool}: nodeSelector cannot be read: {error}", code="invalid") from error
