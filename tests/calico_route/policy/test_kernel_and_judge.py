"""The kernel lets through what the judge says, for random rules and real packets."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from calico_route.etcd.follow import Timing
from calico_route.policy import Flow, Policy
from demo.lab import Host
from tests.calico_route.policy import lab as probes
from tests.calico_route.policy.lab import Workload, add_workload
from tests.calico_route.policy.memory_store import MemoryStore, policy, profile, workload
from tests.calico_route.policy.strategies import clusters

pytestmark = pytest.mark.netns
PROBES = 40
_numbers = itertools.count()
_seen: Counter[tuple[str, bool]] = Counter()


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Host, list[Workload]]]:
    with probes.hosted("judge") as (lab, host):
        made = [add_workload(lab, host, f"w{at}", [f"192.168.0.{at}", f"fd00::{at}"]) for at in range(1, 5)]
        for one in made:
            one.serve_tcp(80, 81)
            one.serve_udp(80, 81)
        yield host, made
        for one in made:
            one.close()


def probe(
    source: Workload, destination: Workload, version: int, kind: str, port: int, number: int
) -> tuple[Flow, bool]:
    """The flow, and whether it went through. Each has a number of its own: no connection of another is taken for it."""
    begin, end = source.address(version), destination.address(version)
    mine = 20000 + number % 20000
    if kind == "ping":
        protocol, request = (1, 8) if version == 4 else (58, 128)
        flow = Flow(begin, end, protocol, icmp_type=request, icmp_code=0)
        return flow, probes.answers_ping(source, end, mine)
    if kind == "tcp":
        return Flow(begin, end, 6, mine, port), probes.connects(source, end, port, source_port=mine)
    return Flow(begin, end, 17, mine, port), probes.answers_udp(source, end, port, source_port=mine)


@given(cluster=clusters())
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_kernel_agrees_with_the_judge(place: tuple[Host, list[Workload]], cluster: dict[str, Any]) -> None:
    asyncio.run(compare(*place, cluster))


def test_both_answers_were_seen_often() -> None:
    """Else the comparison above would show nothing."""
    assert min(_seen[decided, answer] for decided in ("policy", "profile") for answer in (True, False)) > 50, _seen


async def compare(host: Host, workloads: list[Workload], cluster: dict[str, Any]) -> None:
    store = MemoryStore()
    for number, one in enumerate(cluster["profiles"]):
        await store.write(profile(f"p{number}", one["inbound"], one["outbound"], *one["tags"]))
    for number, spec in enumerate(cluster["policies"]):
        await store.write(policy(f"policy{number}", spec))
    for one, carried in zip(workloads, cluster["workloads"], strict=True):
        await store.write(workload(one.name, one.addresses, carried["profiles"], labels=carried["labels"]))
    engine = Policy(store, node="n1", netns=host.netns, timing=Timing(retry=0.01))
    await engine.start()
    try:
        await engine.synced()
        await engine.dismiss("none")  # returns when all that is known is in force
        assert engine.status()["problems"] == []
        assert await engine.differences() == []
        chosen = random.Random(next(_numbers))
        asked = []
        for _ in range(PROBES):
            source, destination = chosen.sample(workloads, 2)
            kind = chosen.choice(["tcp", "tcp", "udp", "ping"])
            asked.append((source, destination, chosen.choice([4, 6]), kind, chosen.choice([80, 81])))
        with ThreadPoolExecutor(PROBES) as executor:
            loop = asyncio.get_running_loop()
            calls = [loop.run_in_executor(executor, probe, *one, next(_numbers)) for one in asked]
            answers = await asyncio.gather(*calls)
        for one, (flow, seen) in zip(asked, answers, strict=True):
            verdict = engine.explain(flow)
            for _ in range(3):  # a busy machine may be late with an answer
                if seen or not verdict.allowed:
                    break
                flow, seen = await asyncio.to_thread(probe, *one, next(_numbers))
                verdict = engine.explain(flow)
            assert seen == verdict.allowed, f"{flow}: {verdict.why}"
            _seen["policy" if "Policy" in verdict.why else "profile", seen] += 1
    finally:
        await engine.close()
