"""`Ipam`: the addresses of the cluster, for the workloads of one node and for those who look after them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from calico_route.etcd.store import Store
from calico_route.workload.ports import WorkloadError

from .access import Access
from .care import SETTLE, Care, Check, NodeRelease
from .census import describe, usage
from .choice import ORDERS, SEQUENTIAL
from .cidr import Address, parse_address
from .findings import GRACE
from .handle import handle_name
from .knowledge import Knowledge
from .paths import host_path
from .requests import Assign, Claim, Release
from .transactor import Transactor


class Ipam:
    """Addresses on Calico's IPAM records; an `Addresses` of workload/ports.py.

    Make it inside the event loop. Nothing is read before the first request; then pools, settings, hosts and blocks are
    followed in etcd until `close`, or until the store is closed. `order` is `sequential` or `blocks` (choice.py).
    Everything raises WorkloadError and nothing else; ValueError for a bad node or order.

    Who is cancelled while waiting must release the handle: its address may have been assigned all the same.
    """

    def __init__(
        self,
        store: Store,
        *,
        node: str,
        order: str = SEQUENTIAL,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if order not in ORDERS:
            raise ValueError(f"there is no order {order!r} of addresses: {' or '.join(ORDERS)}")
        host_path(node)
        self._node = node
        self._clock = clock
        self._access = Access(store)
        self._knowledge = Knowledge(self._access, node)
        self._transactor = Transactor(self._access, self._knowledge, node=node, order=order, clock=clock)
        self._care = Care(self._access, self._knowledge, self._transactor, node)

    @property
    def overtaken(self) -> int:
        """How many transactions had to be made again because somebody was faster."""
        return self._transactor.overtaken

    async def assign(
        self,
        handle: str,
        *,
        versions: Sequence[int] = (4,),
        pools: Sequence[str] = (),
        attributes: Mapping[str, str],
    ) -> tuple[str, ...]:
        """A free address of each IP version (4 or 6), in that order; from the pools of these names or CIDRs, if any are
        given, in their order. A handle that has one of a version already keeps it.

        `attributes` get `node` and `timestamp` where they have none. WorkloadError: full, outside, unavailable, busy.
        """
        if not versions or any(version not in (4, 6) for version in versions):
            raise WorkloadError(f"IP versions {', '.join(map(str, versions)) or '(none)'}: 4, 6 or both can be had")
        name = _handle(handle)
        return await self._transactor.ask(Assign(name, tuple(dict.fromkeys(versions)), pools, self._said(attributes)))

    async def claim(self, handle: str, addresses: Sequence[str], *, attributes: Mapping[str, str]) -> None:
        """Just these, all or none; those that the handle has already are no error.

        WorkloadError: outside, taken, reserved, invalid, unavailable, busy.
        """
        wanted = [_address(text) for text in addresses]
        if wanted:
            await self._transactor.ask(Claim(_handle(handle), wanted, self._said(attributes)))

    async def release(self, handle: str) -> tuple[str, ...]:
        """Give back all that the handle has, which is returned; () where it has nothing."""
        return await self._transactor.ask(Release(_handle(handle)))

    async def release_addresses(self, addresses: Sequence[str], *, force: bool = False) -> tuple[str, ...]:
        """Give back these, whoever has them; what was given back. WorkloadError (`taken`) where a workload uses one, or
        a tunnel of a node has it, unless forced."""
        return await self._care.release_addresses([_address(text) for text in addresses], force=force)

    async def release_node(self, name: str, *, force: bool = False) -> NodeRelease:
        """Give back all that a dead node had: its WorkloadEndpoints are deleted, then its addresses are free (those of
        its tunnels too), then its blocks are nobody's, or gone where nobody borrowed from them.

        WorkloadError (`busy`) where the node seems to be alive, unless forced."""
        return await self._care.release_node(_node(name), force=force)

    async def reserve_hosts(self) -> tuple[str, ...]:
        """Keep stock nodes off the addresses and subnets that hosts have inside the pools, by an IPReservation; the
        networks in it. To be called at the start, and when a node or a pool has come or gone."""
        return await self._care.reserve_hosts(self._clock())

    async def check(
        self, *, repair: bool = False, grace: float = GRACE, settle: float = SETTLE, living: Collection[str] = ()
    ) -> Check:
        """Find what does not fit together: leaked addresses, workloads whose address is not theirs, handles, claims.

        With `repair` it is looked twice, `settle` seconds apart, and what is the same both times is repaired where that
        can be done without a person. Addresses assigned less than `grace` seconds ago (or at a time unknown, unless
        that is 0) and those of handles in `living` are not taken for leaked."""
        return await self._care.check(self._clock(), repair=repair, grace=grace, settle=settle, living=living)

    async def show(self, address: str | None = None) -> dict[str, Any]:
        """Pools, blocks, settings and problems; or what is known of one address: texts and numbers, to be printed."""
        census = await self._care.census()
        return usage(census) if address is None else describe(census, _address(address))

    async def problems(self) -> tuple[str, ...]:
        """What of the datastore cannot be used, in words."""
        settings = await self._knowledge.look()
        return (*settings.problems, *(self._knowledge.problems[cidr] for cidr in sorted(self._knowledge.problems)))

    async def close(self) -> None:
        """Stop to follow; requests that wait are told so. The store stays open."""
        await self._transactor.close()
        await self._knowledge.close()

    def _said(self, attributes: Mapping[str, str]) -> dict[str, str]:
        stamp = self._clock().astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")  # as Go writes a time
        return {"node": self._node, "timestamp": stamp, **attributes}


def _handle(text: str) -> str:
    try:
        return handle_name(text)
    except ValueError as error:
        raise WorkloadError(str(error)) from error


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise WorkloadError(f"{text!r} is {error}") from error


def _node(name: str) -> str:
    try:
        host_path(name)
    except ValueError as error:
        raise WorkloadError(str(error)) from error
    return name
