"""What a route costs in the RIB: nanoseconds for each kind of work, and bytes kept.

    python -m benchmarks.rib [--routes 200000] [--json]

Two mixes: `host` is /32s that share one attribute set a peer, in lists of 800 (a full UPDATE); `internet` has
a set of attributes for every seven prefixes, in lists of seven. Attribute sets and prefixes are made beforehand
(that is the codec's work); the collector is off while the clock runs. Bytes are what `tracemalloc` finds more
after than before, prefixes and attribute sets included.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
import tracemalloc
from collections.abc import Callable

from pybgp.family import IPV4_UNICAST
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy import accept_all, prepare
from pybgp.prefix import NLRI
from pybgp.rib import AdjRibIn, AdjRibOut, Delta, Eligibility, Export, LocRib, Source

Update = tuple[list[NLRI], PathAttributes]
MIXES = {"host": (32, 800, None), "internet": (24, 7, 7)}  # prefix length, prefixes an update, prefixes a set
ACCEPT = prepare(accept_all, "import", external=False)
ELIGIBILITY = Eligibility(bgp_identifier=0xC0000201)


def prefixes(count: int, length: int) -> list[NLRI]:
    shift = 32 - length
    return [
        bytes((length,)) + ((0x14000000 + (number << shift)).to_bytes(4, "big")[: (length + 7) // 8])
        for number in range(count)
    ]


def updates(mix: str, count: int, neighbor: int) -> list[Update]:
    """What one peer sends: lists of prefixes with their attributes."""
    length, size, per_set = MIXES[mix]
    keys = prefixes(count, length)
    next_hop = bytes((192, 0, 2, neighbor & 0xFF))

    def attributes(number: int) -> PathAttributes:
        path = [neighbor, 3356 + number % 40, 64500 + number]
        return PathAttributes.build(as_path=path, next_hop=next_hop, communities=[number, neighbor], local_pref=100)

    shared = attributes(0)
    return [
        (keys[start : start + size], shared if per_set is None else attributes(start // per_set))
        for start in range(0, count, size)
    ]


def peer(number: int) -> Source:
    return Source(
        f"peer{number}",
        bytes((192, 0, 2, number)),
        bgp_identifier=number,
        asn=64512,
        local_as=64512,
        internal=True,
        route_reflector_client=True,
        local_address=bytes((192, 0, 2, 254)),
    )


def out_to(target: Source) -> AdjRibOut:
    policy = prepare(accept_all, "export", external=False)
    return AdjRibOut(IPV4_UNICAST, Export(target, IPV4_UNICAST, policy, cluster_id=0xC0000201))


class Bench:
    """One run of one mix; each method is timed and leaves the table for the next one."""

    def __init__(self, mix: str, count: int) -> None:
        self.rib = LocRib(IPV4_UNICAST)
        self.first, self.second = (AdjRibIn(peer(number), self.rib, ACCEPT, ELIGIBILITY) for number in (1, 2))
        self.out = out_to(peer(3))
        self.feeds = [updates(mix, count, 64500 + number) for number in (1, 2)]
        self.deltas: list[Delta] = []

    def announce_first(self) -> None:
        for nlri, attributes in self.feeds[0]:
            self.deltas += self.first.announce(nlri, attributes)

    def announce_again(self) -> None:
        for nlri, attributes in self.feeds[0]:
            self.first.announce(nlri, attributes)

    def announce_second(self) -> None:
        for nlri, attributes in self.feeds[1]:
            self.second.announce(nlri, attributes)

    def queue(self) -> None:
        for delta in self.deltas:
            self.out.apply(delta)

    def drain(self) -> None:
        while self.out.drain(2048):
            pass

    def second_down(self) -> None:
        for _ in self.second.remove():
            pass

    def snapshot(self) -> None:
        for _ in self.rib.snapshot():
            pass

    def withdraw_first(self) -> None:
        for nlri, _ in self.feeds[0]:
            self.first.withdraw(nlri)


STEPS: tuple[tuple[str, Callable[[Bench], None]], ...] = (
    ("announce, first peer", Bench.announce_first),
    ("announced again, no change", Bench.announce_again),
    ("into Adj-RIB-Out", Bench.queue),
    ("drained", Bench.drain),
    ("announce, second peer", Bench.announce_second),
    ("walk for a new peer", Bench.snapshot),
    ("second peer down", Bench.second_down),
    ("withdraw, last peer", Bench.withdraw_first),
)


def times(mix: str, count: int) -> dict[str, float]:
    """Nanoseconds a route for each step."""
    bench = Bench(mix, count)
    result: dict[str, float] = {}
    gc.collect()
    gc.disable()
    try:
        for name, step in STEPS:
            begin = time.perf_counter_ns()
            step(bench)
            result[name] = (time.perf_counter_ns() - begin) / count
    finally:
        gc.enable()
    return result


def memory(mix: str, count: int) -> dict[str, float]:
    """Bytes a route, prefixes and attributes included."""
    result: dict[str, float] = {}
    gc.collect()
    tracemalloc.start()
    try:
        rib = LocRib(IPV4_UNICAST)
        first, second = (AdjRibIn(peer(number), rib, ACCEPT, ELIGIBILITY) for number in (1, 2))
        out = out_to(peer(3))
        begin = tracemalloc.get_traced_memory()[0]

        def measured(name: str) -> None:
            gc.collect()
            result[name] = (tracemalloc.get_traced_memory()[0] - begin) / count

        feed = updates(mix, count, 64501)
        while feed:
            first.announce(*feed.pop())
        measured("one peer in")
        for deltas in rib.snapshot():
            for delta in deltas:
                out.apply(delta)
            while out.drain(2048):
                pass
        measured("one in, one out")
        feed = updates(mix, count, 64502)
        while feed:
            nlri, attributes = feed.pop()
            second.announce(nlri, attributes)
        measured("two in, one out")
    finally:
        tracemalloc.stop()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="what a route costs in the RIB")
    parser.add_argument("--routes", type=int, default=200_000)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    result = {mix: {"ns": times(mix, options.routes), "bytes": memory(mix, options.routes)} for mix in MIXES}
    if options.json:
        print(json.dumps({"benchmark": "rib", "routes": options.routes, **result}))
        return
    for unit, title in (("ns", "ns a route"), ("bytes", "bytes a route")):
        print(f"{title:<28}" + "".join(f"{mix:>10}" for mix in result))
        for name in result["host"][unit]:
            print(f"{name:<28}" + "".join(f"{result[mix][unit][name]:>10.0f}" for mix in result))
        print()


if __name__ == "__main__":
    main()
