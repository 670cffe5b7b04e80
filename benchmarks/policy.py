"""How long a change of policy takes to be in force, with many profiles, members and workloads.

200 profiles of five rules with 5,000 members in the cluster, of which 1,000 are workloads of this node; a real kernel
in a network namespace of its own, a store in memory. Measured is from the event of the datastore to the end of the
transaction, each kind of change many times, and the processor's time of this process with its kernel's:

rules       the rules of one profile are others
member      a workload of another node comes, and goes
workload    a workload of this node is admitted, and dismissed
profiles    a workload of this node is given another profile
policy      a NetworkPolicy that selects five workloads of this node comes, and goes

`--workloads 200` beside `--workloads 1000` shows what depends on their number: with both all profiles are in use. After
each kind the kernel's table is compared with what it should be: a difference ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from calico_route.etcd.follow import Timing
from calico_route.policy import Policy
from demo.lab import why_impossible
from tests.calico_route.policy.memory_store import MemoryStore, as_endpoint, policy, profile, workload


def profile_rules(number: int, port: int = 0) -> list[dict[str, Any]]:
    """Five rules, of which two name tags."""
    return [
        {"src_tag": f"p{number}"},
        {"src_tag": f"p{(number + 1) % 200}", "protocol": "tcp", "dst_ports": [80, 443, 8000 + port]},
        {"src_net": "10.0.0.0/8", "protocol": "tcp", "dst_ports": ["9000:9100"]},
        {"protocol": "icmp", "icmp_type": 8},
        {"action": "deny", "src_net": "172.16.0.0/12"},
    ]


def named(number: int, workloads: int, profiles: int, chosen: int | None = None, node: str = "") -> dict[bytes, bytes]:
    """One workload: the first are of this node, all others of a hundred more."""
    address = f"192.168.{number // 250}.{number % 250 + 1}"
    place = node or ("n1" if number < workloads else f"n{2 + number % 100}")
    use = number % profiles if chosen is None else chosen
    return workload(f"w{number}", [address], [f"p{use}"], node=place, interface=f"cali{number}")


async def measure(options: argparse.Namespace, netns: str) -> dict[str, Any]:
    store = MemoryStore()
    values: dict[bytes, bytes | None] = {}
    for number in range(options.profiles):
        values.update(profile(f"p{number}", profile_rules(number), [{}]))
    for number in range(options.members):
        values.update(named(number, options.workloads, options.profiles))
    await store.write(values)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    engine = Policy(store, node="n1", netns=netns, timing=Timing(resync=1e6), nft_command=options.command)
    began = time.perf_counter()
    await engine.start()
    try:
        await engine.synced()
        await engine.dismiss("none")  # returns when all that is known is in force
        status = engine.status()
        found: dict[str, Any] = {
            "start": time.perf_counter() - began,
            "memory": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
            "counts": {name: status[name] for name in ("chains", "rules", "sets", "elements")},
            "times": {},
            "cpu": {},
        }

        async def check() -> None:
            differences = await engine.differences()
            if differences:
                raise SystemExit(f"the kernel's table is not as it should be: {differences[:3]}")

        async def changes(name: str, change: Callable[[int], dict[bytes, bytes | None]]) -> None:
            times, used = [], 0.0
            for turn in range(options.turns):
                written = change(turn)
                done = engine.transactions
                began, cpu = time.perf_counter(), time.process_time()
                await store.write(written)
                while engine.transactions == done:  # noqa: ASYNC110 - nobody tells, and this is not to be measured
                    await asyncio.sleep(0.0005)
                times.append(time.perf_counter() - began)
                used += time.process_time() - cpu
                await asyncio.sleep(options.rest)
            found["times"][name], found["cpu"][name] = times, used / options.turns
            await check()

        await changes("rules", lambda turn: {**profile(f"p{turn % 20}", profile_rules(turn % 20, turn + 1), [{}])})
        extra = named(options.members + 1, 0, options.profiles)
        await changes("member", lambda turn: {path: None if turn % 2 else value for path, value in extra.items()})
        await changes("profiles", lambda turn: {**named(turn % 50, options.workloads, options.profiles, 3 + turn)})
        selecting = policy("some", {"selector": "p60 == ''", "ingress": [{"action": "Allow"}]})
        await changes("policy", lambda turn: {path: None if turn % 2 else value for path, value in selecting.items()})
        times = []
        cpu = time.process_time()
        for turn in range(options.turns // 2):
            one = as_endpoint(workload(f"new{turn}", [f"192.168.200.{turn + 1}"], ["p5"], interface=f"calinew{turn}"))
            for call in (lambda one=one: engine.admit(one), lambda one=one: engine.dismiss(one.interface)):
                began = time.perf_counter()
                await _called(call)
                times.append(time.perf_counter() - began)
        found["times"]["workload"], found["cpu"]["workload"] = times, (time.process_time() - cpu) / len(times)
        await check()
        return found
    finally:
        await engine.close()


async def _called(call: Callable[[], Awaitable[None]]) -> None:
    await call()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profiles", type=int, default=200)
    parser.add_argument("--members", type=int, default=5000)
    parser.add_argument("--workloads", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--rest", type=float, default=0.02, help="seconds between two changes")
    parser.add_argument("--command", action="store_true", help="the command nft in place of libnftables")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    options = parser.parse_args()
    impossible = why_impossible()
    if impossible:
        print(impossible, file=sys.stderr)
        return 1
    netns = f"bench{os.getpid()}"
    subprocess.run(["ip", "netns", "add", netns], check=True)
    try:
        found = asyncio.run(measure(options, netns))
    finally:
        subprocess.run(["ip", "netns", "del", netns], check=False)
    rows = {}
    for name, times in found["times"].items():
        ordered = sorted(times)
        p99 = ordered[int(0.99 * (len(ordered) - 1))]
        rows[name] = {
            "p50_ms": round(1000 * statistics.median(times), 2),
            "p99_ms": round(1000 * p99, 2),
            "cpu_ms": round(1000 * found["cpu"][name], 2),
        }
    if options.json:
        kept = {name: getattr(options, name) for name in ("profiles", "members", "workloads", "turns", "command")}
        print(json.dumps({"benchmark": "policy", **kept, **found["counts"], "changes": rows}))
        return 0
    print(
        f"{options.profiles} profiles, {options.members} members, {options.workloads} workloads here: "
        + ", ".join(f"{count} {name}" for name, count in found["counts"].items())
    )
    print(f"start to all in force {1000 * found['start']:.0f} ms, {found['memory']:.0f} MiB")
    for name, row in rows.items():
        print(f"{name:9} p50 {row['p50_ms']:7.2f} ms   p99 {row['p99_ms']:7.2f} ms   cpu {row['cpu_ms']:7.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
