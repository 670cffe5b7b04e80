"""Routes into the kernel and out again: `calico_route.kernel` against a bare loop in the same run.

    python -m benchmarks.fib [--routes 100000] [--rounds 3] [--ipv6] [--json]

The bare loop packs each message with one `struct.pack` and sends 500 at a time, without looking at what is
there or keeping a record: what the kernel and Python's sockets allow. Times are medians of the rounds,
which take turns. Makes a network namespace of its own (be root, or use run-isolated.sh), and removes it.
`cpu` is the same ratio for processor time, kernel and user, which other work on the machine disturbs less;
`stall` is the longest time for which another task of the event loop had to wait during ours.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from calico_route.daemon import SWITCH
from calico_route.kernel import IPV4, IPV6, Kernel
from calico_route.kernel.socket import in_namespace

NEXT_HOPS = {
    IPV4: (socket.inet_pton(socket.AF_INET, "192.168.78.22"), socket.inet_pton(socket.AF_INET, "192.168.78.23")),
    IPV6: (socket.inet_pton(socket.AF_INET6, "2001:db8::22"), socket.inet_pton(socket.AF_INET6, "2001:db8::23")),
}


def destinations(afi: int, count: int) -> list[bytes]:
    if afi == IPV4:
        return [b" " + struct.pack(">I", 0x0A000000 + number) for number in range(count)]
    head = b"\x80" + bytes.fromhex("20010db80001" + "00" * 6)
    return [head + struct.pack(">I", 16 + number) for number in range(count)]


class Bare:
    """Packing included, batches of 500, nothing else."""

    def __init__(self, netns: str, afi: int, ifindex: int) -> None:
        self._socket = in_namespace(netns, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._afi, self._ifindex = afi, ifindex

    def run(self, nlri: list[bytes], gateway: bytes | None) -> None:
        size = 4 if self._afi == IPV4 else 16
        family = socket.AF_INET if self._afi == IPV4 else socket.AF_INET6
        form = f"=IHHIIBBBBBBBBIHH{size}s" + (f"HH{size}sHHI" if gateway else "")
        length = struct.calcsize(form)
        kind, flags = (24, 0x501) if gateway else (25, 0x001)
        tail = (4 + size, 5, gateway, 8, 4, self._ifindex) if gateway else ()
        scope, route_type = (0, 1) if gateway else (255, 0)
        for start in range(0, len(nlri), 500):
            self._socket.send(
                b"".join(
                    struct.pack(
                        form, length, kind, flags, 0, 0, family, 8 * size, 0, 0, 254, 12, scope, route_type, 0,
                        4 + size, 1, destination[1:], *tail,
                    )
                    for destination in nlri[start : start + 500]
                )
            )  # fmt: skip
            try:
                raise SystemExit(f"the kernel refused: {self._socket.recv(65536, socket.MSG_DONTWAIT)!r}")
            except BlockingIOError:
                pass

    def close(self) -> None:
        self._socket.close()


async def stall(stop: asyncio.Event) -> float:
    worst = 0.0
    while not stop.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        worst = max(worst, time.perf_counter() - began - 0.001)
    return worst


async def ours(kernel: Kernel, afi: int, nlri: list[bytes], next_hop: bytes | None) -> tuple[float, float, float]:
    stop = asyncio.Event()
    watch = asyncio.create_task(stall(stop))
    await asyncio.sleep(0)
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(nlri), 800):  # as they come: one UPDATE message holds about 800
        kernel.update(afi, nlri[start : start + 800], None if next_hop is None else (next_hop,))
        await asyncio.sleep(0)
    await kernel.flush()
    taken, cpu = time.perf_counter() - began, time.process_time() - cpu
    stop.set()
    return taken, cpu, await watch


async def measure(netns: str, afi: int, count: int, rounds: int) -> dict[str, float]:
    nlri = destinations(afi, count)
    first, second = NEXT_HOPS[afi]
    index = in_namespace(netns, lambda: socket.if_nametoindex("eth0"))
    found: dict[str, list[float]] = {}

    def note(name: str, seconds: float) -> None:
        found.setdefault(name, []).append(seconds)

    for _ in range(rounds):
        bare = Bare(netns, afi, index)
        for name, gateway in (("in", first), ("replace", second), ("out", None)):
            began, cpu = time.perf_counter(), time.process_time()
            bare.run(nlri, gateway)
            note(f"bare_{name}", time.perf_counter() - began)
            note(f"bare_{name}_cpu", time.process_time() - cpu)
        bare.close()
        began = time.perf_counter()
        async with Kernel(netns=netns) as kernel:
            note("start", time.perf_counter() - began)
            for name, gateway in (("in", first), ("replace", second)):
                seconds, used, waited = await ours(kernel, afi, nlri, gateway)
                note(name, seconds)
                note(f"{name}_cpu", used)
                note("stall", waited)
            if kernel.problems() or len(kernel.routes().installed[afi]) != count:
                raise SystemExit(f"not all routes are in: {kernel.problems()[:1]}")
        began = time.perf_counter()
        async with Kernel(netns=netns) as kernel:
            note("start_adopting", time.perf_counter() - began)
            note("confirm", (await ours(kernel, afi, nlri, second))[0])
            began = time.perf_counter()
            if await kernel.resync():
                raise SystemExit("a comparison found differences")
            note("compare", time.perf_counter() - began)
            seconds, used, waited = await ours(kernel, afi, nlri, None)
            note("out", seconds)
            note("out_cpu", used)
            note("stall", waited)
    medians = {name: statistics.median(values) for name, values in found.items()}
    medians["stall"] = max(found["stall"])
    return medians


def main() -> None:
    sys.setswitchinterval(SWITCH)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    options = parser.parse_args()
    afi = IPV6 if options.ipv6 else IPV4
    netns = f"bench{os.getpid()}"
    subprocess.run(["ip", "netns", "add", netns], check=True)
    try:
        commands = [
            "link set lo up",
            "link add eth0 type veth peer name far0",
            "link set eth0 up",
            "link set far0 up",
            "addr add 192.168.78.21/24 dev eth0",
            "-6 addr add 2001:db8::21/64 dev eth0 nodad",
        ]
        for command in commands:
            subprocess.run(["ip", "-n", netns, *command.split()], check=True)
        seconds = asyncio.run(measure(netns, afi, options.routes, options.rounds))
    finally:
        subprocess.run(["ip", "netns", "del", netns], check=False)
    rates = {
        name: round(options.routes / value)
        for name, value in seconds.items()
        if name not in ("start", "stall") and not name.endswith("_cpu")
    }
    kinds = ("in", "replace", "out")
    ratios = {name: round(seconds[name] / seconds[f"bare_{name}"], 2) for name in kinds}
    cpu = {name: round(seconds[f"{name}_cpu"] / seconds[f"bare_{name}_cpu"], 2) for name in kinds}
    if options.json:
        print(
            json.dumps(
                {
                    "benchmark": "fib",
                    "family": "ipv6" if options.ipv6 else "ipv4",
                    "routes": options.routes,
                    "rounds": options.rounds,
                    "routes_per_second": rates,
                    "time_against_bare": ratios,
                    "cpu_against_bare": cpu,
                    "longest_stall_ms": round(1000 * seconds["stall"], 1),
                    "start_ms": round(1000 * seconds["start"], 1),
                }
            )
        )
        return
    print(f"{options.routes} {'IPv6' if options.ipv6 else 'IPv4'} routes, medians of {options.rounds} rounds")
    for name in kinds:
        print(
            f"{name:8} {rates[name]:9,}/s   bare {rates['bare_' + name]:9,}/s   "
            f"against bare: time {ratios[name]:.2f}, cpu {cpu[name]:.2f}"
        )
    print(
        f"adopt    {rates['start_adopting']:9,}/s   confirm {rates['confirm']:9,}/s   compare {rates['compare']:9,}/s"
    )
    print(f"longest stall of the event loop {1000 * seconds['stall']:.1f} ms, start {1000 * seconds['start']:.1f} ms")


if __name__ == "__main__":
    main()
