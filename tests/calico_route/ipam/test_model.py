"""Whole histories against a model: several nodes, requests at the same time, and answers that are lost on the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.etcd.store import Write
from calico_route.ipam import Ipam
from calico_route.ipam.paths import HOSTS
from calico_route.workload.ports import WorkloadError
from tests.calico_route.ipam.memory_store import Cluster, MemoryStore
from tests.calico_route.ipam.records import assert_handles_fit, assigned, node, pool


class Step(NamedTuple):
    what: str
    node: int
    handle: str
    address: int


# A node has its own handles, as it has its own containers.
steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["assign", "assign", "claim", "release"]),
        st.integers(0, 2),
        st.sampled_from("abcdefgh"),
        st.integers(0, 31),
    ),
    max_size=8,
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(steps, max_size=6), st.sampled_from([0.0, 0.4]), st.sampled_from(["sequential", "blocks"]), st.integers()
)
def test_histories(rounds: list[list[Step]], lossy: float, order: str, seed: int) -> None:
    asyncio.run(run(rounds, lossy, order, random.Random(seed)))


async def run(rounds: list[list[Step]], lossy: float, order: str, chance: random.Random) -> None:
    cluster = Cluster()
    for values in (pool("10.0.0.0/27", blockSize=29), *(node(f"n{number}") for number in range(3))):
        for key, value in values.items():
            cluster.put(key, value)
    stores = [MemoryStore(cluster) for _ in range(3)]

    def lose(writes: Sequence[Write]) -> str | None:
        return chance.choice(["before", "after"]) if chance.random() < lossy else None

    for store in stores:
        store.lose_answer = lose
    nodes = [Ipam(store, node=f"n{number}", order=order) for number, store in enumerate(stores)]
    model: dict[str, str] = {}  # address to handle
    try:
        for one in rounds:
            await play(one, nodes, model)
            values = {key: stored.value for key, stored in cluster.values.items()}
            assert assigned(values) == model
            assert_handles_fit(values)
        for store in stores:
            store.lose_answer = lambda writes: None
        assert (await nodes[0].check(repair=True, settle=0, grace=1e9)).left == ()
        values = {key: stored.value for key, stored in cluster.values.items()}
        assert assigned(values) == model
        assert all(b"confirmed" in value for key, value in values.items() if key.startswith(HOSTS))
    finally:
        for ipam in nodes:
            await ipam.close()


async def play(steps: list[Step], nodes: list[Ipam], model: dict[str, str]) -> None:
    """All steps at the same time, but one for each handle."""
    once = {(step.node, step.handle): step for step in steps}.values()
    outcomes = await asyncio.gather(*(take(step, nodes[step.node]) for step in once))
    for step, gone in zip(once, outcomes, strict=True):
        if step.what == "release":
            handle = f"net.{step.node}{step.handle}"
            assert sorted(gone) == sorted(address for address, holder in model.items() if holder == handle)
            for address in gone:
                del model[address]
    for step, got in zip(once, outcomes, strict=True):
        handle = f"net.{step.node}{step.handle}"
        for address in got if step.what != "release" else ():
            assert model.setdefault(address, handle) == handle


async def take(step: Step, ipam: Ipam) -> tuple[str, ...]:
    """What the handle got, or gave back."""
    handle = f"net.{step.node}{step.handle}"
    try:
        if step.what == "assign":
            return await ipam.assign(handle, attributes={})
        if step.what == "release":
            return await ipam.release(handle)
        await ipam.claim(handle, [f"10.0.0.{step.address}"], attributes={})
    except WorkloadError as error:
        assert error.code in ("taken", "full"), error
        return ()
    return (f"10.0.0.{step.address}",)
