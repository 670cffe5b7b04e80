"""Many nodes at once against a real etcd, beside stock nodes that use the same pool: nothing is given twice, or lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable

import pytest

from calico_route.etcd.store import Store
from calico_route.ipam import Ipam
from calico_route.ipam.paths import BLOCKS, HANDLES, HOSTS
from calico_route.workload.ports import WorkloadError
from tests.calico_route.etcd.conftest import StoreMaker
from tests.calico_route.etcd.server import EtcdServer
from tests.calico_route.ipam.records import assert_handles_fit, assigned, pool
from tests.calico_route.ipam.stock import StockNode

pytestmark = pytest.mark.daemon

NodeMaker = Callable[..., Ipam]


@pytest.fixture
async def make_node(server: EtcdServer, make_store: StoreMaker) -> AsyncIterator[NodeMaker]:
    """An Ipam with a store of its own, as each node has it."""
    made: list[Ipam] = []

    def make(name: str, order: str = "sequential") -> Ipam:
        made.append(Ipam(make_store(server.url), node=name, order=order))
        return made[-1]

    server.put_all(pool("192.168.0.0/16"))
    yield make
    for one in made:
        await one.close()


async def everything(store: Store) -> dict[bytes, bytes]:
    return (await store.snapshot([BLOCKS, HANDLES, HOSTS])).values


async def test_five_thousand_addresses_for_eight_nodes(
    server: EtcdServer, make_store: StoreMaker, make_node: NodeMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    """32 clients on 8 nodes. In order, since nobody gives anything back: the first 5,000 addresses of the pool."""
    nodes = [make_node(f"n{number}") for number in range(8)]
    numbers = iter(range(5000))
    found: list[str] = []

    async def client(node: Ipam) -> None:
        for number in numbers:
            found.extend(await node.assign(f"calico.c{number}", attributes={"container": f"c{number}"}))

    start = time.perf_counter()
    await asyncio.gather(*(client(nodes[number % 8]) for number in range(32)))
    seconds = time.perf_counter() - start
    assert len(found) == len(set(found)) == 5000
    values = await everything(make_store(server.url))
    assert set(assigned(values)) == set(found)
    assert_handles_fit(values)
    # A block may be left with gaps only where a claim on it and the choice of an address in another went together.
    assert len([key for key in values if key.startswith(BLOCKS)]) == -(-5001 // 64)
    with capsys.disabled():
        overtaken = sum(node.overtaken for node in nodes)
        print(f" 5,000 addresses, 32 clients, 8 nodes: {seconds:.1f} s, {overtaken} transactions overtaken", end=" ")


@pytest.mark.parametrize("order", ["sequential", "blocks"])
async def test_beside_stock_nodes(server: EtcdServer, make_store: StoreMaker, make_node: NodeMaker, order: str) -> None:
    """Assigning and giving back on both sides, in a pool so small that all borrow from all in the end."""
    server.put_all(pool("192.168.0.0/23"))
    stock = [StockNode(make_store(server.url), f"s{number}", "192.168.0.0/23", number * 3) for number in range(2)]
    ours = [make_node(f"n{number}", order) for number in range(3)]
    choice = random.Random(7)
    held: dict[str, str] = {}

    async def client(number: int) -> None:
        for step in range(30):
            handle = f"net.w{number}-{step}"
            one = stock[number % 2] if number < 4 else None
            mine = ours[number % 3]
            address = await one.assign(handle) if one is not None else (await mine.assign(handle, attributes={}))[0]
            assert address not in held, f"{address} was given to {held[address]} and to {handle}"
            held[address] = handle
            if choice.random() < 0.3:
                del held[address]
                if one is not None:
                    await one.release(handle)
                else:
                    assert await mine.release(handle) == (address,)

    await asyncio.gather(*(client(number) for number in range(12)))
    values = await everything(make_store(server.url))
    assert assigned(values) == held
    assert_handles_fit(values)
    check = await ours[0].check(grace=3600)
    assert [one for one in check.findings if one.kind not in ("dead-node",)] == []


async def test_the_last_addresses_of_a_pool(server: EtcdServer, make_store: StoreMaker, make_node: NodeMaker) -> None:
    """More ask than there are: all are given, and the others are told that it is full."""
    server.put_all(pool("192.168.0.0/26", blockSize=28))
    nodes = [make_node(f"n{number}", "blocks" if number % 2 else "sequential") for number in range(4)]
    asked = [nodes[number % 4].assign(f"c{number}", attributes={}) for number in range(80)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, BaseException)]
    assert {one.code for one in refused if isinstance(one, WorkloadError)} == {"full"}
    assert len(refused) == 17
    assert len(assigned(await everything(make_store(server.url)))) == 63


async def test_etcd_is_killed_in_the_middle(server: EtcdServer, make_store: StoreMaker, make_node: NodeMaker) -> None:
    """Who was told `unavailable` asks again, with the same handle: nothing leaks."""
    nodes = [make_node(f"n{number}") for number in range(3)]
    await nodes[0].assign("first", attributes={})
    found: dict[str, str] = {}
    failures = 0

    async def client(number: int) -> None:
        nonlocal failures
        for step in range(15):
            handle = f"w{number}-{step}"
            while handle not in found:
                try:
                    found[handle] = (await nodes[number % 3].assign(handle, attributes={}))[0]
                except WorkloadError as error:
                    assert error.code == "unavailable"
                    failures += 1
                    await asyncio.sleep(0.2)

    async def trouble() -> None:
        for _ in range(2):
            before = len(found)
            while len(found) < before + 10:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

    await asyncio.gather(trouble(), *(client(number) for number in range(6)))
    values = await everything(make_store(server.url))
    assert assigned(values) == {address: handle for handle, address in found.items()} | {"192.168.0.1": "first"}
    assert len(found) == 90
    assert_handles_fit(values)
