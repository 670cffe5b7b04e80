"""How fast UPDATEs are decoded and encoded, in prefixes a second on one core.

    python -m benchmarks.codec [--json] [--rounds N] [--prefixes N]

Feeds: `packed /32` (one attribute set, full messages), `internet` (random IPv4 prefixes of the lengths of the
global table, an attribute set for each 6 or so, AS paths and communities of the usual sizes), `ipv6` (the same
in MP_REACH_NLRI).  `decode` starts with an empty pool, `again` with one that has seen the feed, `keep` keeps
every Update's attributes as a table would.  The best of N rounds.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.context import CodecContext
from pybgp.messages.update import decode_update
from pybgp.messages.update_writer import encode_reach
from pybgp.prefix import NLRI

CONTEXT = CodecContext(four_octet_as=True, internal=True, families=frozenset({IPV4_UNICAST, IPV6_UNICAST}))
# Length and weight, about as in the global tables.
IPV4_LENGTHS = {24: 60, 23: 10, 22: 12, 21: 5, 20: 5, 19: 3, 18: 1, 17: 1, 16: 2, 32: 1}
IPV6_LENGTHS = {48: 48, 32: 12, 44: 9, 40: 8, 36: 4, 46: 4, 64: 2, 29: 2, 128: 1}


class Feed(NamedTuple):
    name: str
    family: Family
    groups: list[tuple[PathAttributes, list[NLRI]]]

    @property
    def prefixes(self) -> int:
        return sum(len(keys) for _, keys in self.groups)

    def bodies(self) -> list[bytes]:
        messages: list[bytes] = []
        for attributes, keys in self.groups:
            messages += encode_reach(self.family, keys, attributes, CONTEXT)
        return [message[19:] for message in messages]


def packed(count: int) -> Feed:
    attributes = PathAttributes.build(as_path=[65001], next_hop="192.0.2.1", local_pref=100)
    keys = [b"\x20" + (0x0A000000 + number).to_bytes(4, "big") for number in range(count)]
    return Feed("packed /32", IPV4_UNICAST, [(attributes, keys)])


def random_keys(chance: random.Random, lengths: dict[int, int], count: int) -> list[NLRI]:
    keys = []
    for length in chance.choices(list(lengths), list(lengths.values()), k=count):
        octets = (length + 7) // 8
        keys.append(bytes((length,)) + (chance.getrandbits(length) << (8 * octets - length)).to_bytes(octets, "big"))
    return keys


def internet(name: str, family: Family, count: int) -> Feed:
    chance = random.Random(42)
    lengths = IPV4_LENGTHS if family == IPV4_UNICAST else IPV6_LENGTHS
    next_hop = "192.0.2.1" if family == IPV4_UNICAST else "2001:db8::1"
    groups = []
    while count > 0:
        keys = random_keys(chance, lengths, min(count, 1 + int(chance.expovariate(1 / 5))))
        values: dict[str, Any] = {}
        if chance.random() < 0.3:
            values["med"] = chance.randrange(1000)
        if chance.random() < 0.8:
            values["communities"] = [chance.getrandbits(32) for _ in range(chance.randint(1, 8))]
        if chance.random() < 0.1:
            values["large_communities"] = [(chance.getrandbits(32), 1, 2)]
        if chance.random() < 0.05:
            values["aggregator"] = (65001, "192.0.2.7")
        path = [chance.randint(1, 400000) for _ in range(chance.randint(2, 6))]
        groups.append((PathAttributes.build(as_path=path, next_hop=next_hop, local_pref=100, **values), keys))
        count -= len(keys)
    return Feed(name, family, groups)


def best(rounds: int, prepare: Callable[[], Callable[[], object]]) -> float:
    """Seconds of the fastest round; `prepare` is not counted."""
    fastest = float("inf")
    for _ in range(rounds):
        work = prepare()
        gc.collect()
        started = time.perf_counter()
        kept = work()
        fastest = min(fastest, time.perf_counter() - started)
        del kept
    return fastest


def decoding(bodies: list[bytes], pool: AttributePool | None = None) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        used = AttributePool() if pool is None else pool

        def work() -> None:
            for body in bodies:
                decode_update(body, CONTEXT, used)

        return work

    return prepare


def keeping(bodies: list[bytes]) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        pool = AttributePool()

        def work() -> object:
            return [[reach.attributes for reach in decode_update(body, CONTEXT, pool).reach] for body in bodies]

        return work

    return prepare


def encoding(feed: Feed) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        # Fresh objects: nothing that an earlier round kept on them.
        groups = [(PathAttributes.of_block(a.block, a.next_hop), keys) for a, keys in feed.groups]

        def work() -> None:
            for attributes, keys in groups:
                encode_reach(feed.family, keys, attributes, CONTEXT)

        return work

    return prepare


def measure(feed: Feed, rounds: int) -> dict[str, object]:
    bodies = feed.bodies()
    warm = AttributePool(limit=len(bodies) + 1)
    for body in bodies:
        assert not decode_update(body, CONTEXT, warm).faults
    seconds = {
        "decode": best(rounds, decoding(bodies)),
        "again": best(rounds, decoding(bodies, warm)),
        "keep": best(rounds, keeping(bodies)),
        "encode": best(rounds, encoding(feed)),
    }
    return {
        "feed": feed.name,
        "prefixes": feed.prefixes,
        "messages": len(bodies),
        **{f"{name}_prefixes_per_second": round(feed.prefixes / took) for name, took in seconds.items()},
        "decode_us_per_message": round(seconds["decode"] / len(bodies) * 1e6, 2),
        "encode_us_per_message": round(seconds["encode"] / len(bodies) * 1e6, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object a feed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prefixes", type=int, default=100_000, help="of each feed; five times as many /32")
    arguments = parser.parse_args()
    feeds = [
        packed(5 * arguments.prefixes),
        internet("internet", IPV4_UNICAST, arguments.prefixes),
        internet("ipv6", IPV6_UNICAST, arguments.prefixes),
    ]
    if not arguments.json:
        print(f"{'million prefixes/s':20}{'decode':>9}{'again':>9}{'keep':>9}{'encode':>9}{'us/message':>12}")
    for feed in feeds:
        result = measure(feed, arguments.rounds)
        if arguments.json:
            print(json.dumps(result), flush=True)
            continue
        columns = [
            f"{float(str(result[f'{n}_prefixes_per_second'])) / 1e6:9.2f}"
            for n in ("decode", "again", "keep", "encode")
        ]
        print(f"{feed.name:20}{''.join(columns)}{result['decode_us_per_message']:>12}", flush=True)


if __name__ == "__main__":
    main()
