"""What is fed to speakers: whole UPDATE streams of an iBGP session, made before any clock starts.

`host` is N consecutive /32s that share one attribute set, UPDATEs filled to 4096 octets. `internet` has the shape of a
full table: distinct /17 to /24, a new attribute set for 6.8 prefixes on average, AS paths of 2 to 6, up to 8
communities, sometimes MED; hardly an attribute block comes twice (99.96 % are new). `mrt` is a table that somebody has
dumped (RFC 6396, TABLE_DUMP_V2): the first peer's view of IPv4.
"""

from __future__ import annotations

import bz2
import gzip
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from pybgp import IPV4_UNICAST, CodecContext, PathAttributes
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.update import decode_update
from pybgp.messages.update_writer import encode_reach, encode_unreach
from pybgp.prefix import NLRI

CONTEXT = CodecContext(four_octet_as=True, internal=True, extended_message=False)
LENGTHS = {24: 60.2, 23: 9.6, 22: 11.3, 21: 5.0, 20: 4.6, 19: 4.2, 18: 2.9, 17: 2.2}  # per cent of a full table
PER_SET = 6.8
TRANSITS = (174, 1299, 2914, 3257, 3320, 3356, 3491, 5511, 6453, 6461, 6762, 6830, 6939, 7018, 9002, 12956)


class Feed(NamedTuple):
    """`announce` and `withdraw` are octets for the wire."""

    name: str
    routes: int
    announce: bytes
    withdraw: bytes


def host(count: int, next_hop: str) -> Feed:
    keys = [b"\x20" + (0x0B000000 + number).to_bytes(4, "big") for number in range(count)]
    attributes = PathAttributes.build(next_hop=next_hop, local_pref=100)
    announce = b"".join(encode_reach(IPV4_UNICAST, keys, attributes, CONTEXT))
    return Feed("host", count, announce, b"".join(encode_unreach(IPV4_UNICAST, keys, CONTEXT)))


def internet(count: int, next_hop: str, seed: int = 4271) -> Feed:
    numbers = random.Random(seed)
    keys = list(prefixes(count, numbers))
    groups = list(grouped(keys, numbers))
    announce = [
        message
        for group in groups
        for message in encode_reach(IPV4_UNICAST, group, attribute_set(numbers, next_hop), CONTEXT)
    ]
    return Feed("inet", count, b"".join(announce), b"".join(encode_unreach(IPV4_UNICAST, keys, CONTEXT)))


def prefixes(count: int, numbers: random.Random) -> Iterator[NLRI]:
    """Distinct, in random order."""
    seen: set[NLRI] = set()
    lengths, weights = list(LENGTHS), list(LENGTHS.values())
    while len(seen) < count:
        for length in numbers.choices(lengths, weights, k=4096):
            first = numbers.randrange(1, 224)
            if first in (10, 127, 169, 172, 192):
                continue
            value = (first << 24 | numbers.getrandbits(24)) >> (32 - length) << (32 - length)
            key = bytes((length,)) + value.to_bytes(4, "big")[: (length + 7) // 8]
            if key not in seen and len(seen) < count:
                seen.add(key)
                yield key


def grouped(keys: list[NLRI], numbers: random.Random) -> Iterator[list[NLRI]]:
    """Runs of prefixes that share a set: 6.8 on average, most of them short."""
    start = 0
    while start < len(keys):
        size = min(400, 1 + int(numbers.expovariate(1 / (PER_SET - 0.5))))
        yield keys[start : start + size]
        start += size


def attribute_set(numbers: random.Random, next_hop: str) -> PathAttributes:
    path = numbers.choices(TRANSITS, k=numbers.randint(1, 3)) + [
        numbers.randrange(1000, 400_000) for _ in range(numbers.randint(1, 3))
    ]
    communities = [numbers.choice(TRANSITS) << 16 | numbers.getrandbits(16) for _ in range(numbers.randint(0, 8))]
    return PathAttributes.build(
        as_path=path,
        next_hop=next_hop,
        local_pref=100,
        med=numbers.randrange(200) if numbers.random() < 0.3 else None,
        communities=communities or None,
        origin=numbers.choices(("igp", "incomplete", "egp"), (88, 11, 1))[0],
    )


def mrt(path: Path, next_hop: str, limit: int | None = None) -> Feed:
    """Raises ValueError where the file is no table dump."""
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
    keys: list[NLRI] = []
    announce: list[bytes] = []
    waiting: list[NLRI] = []
    block = b""

    def flush() -> None:
        if not waiting:
            return
        body = b"\0\0" + len(block).to_bytes(2, "big") + block + b"".join(waiting)
        update = decode_update(body, CodecContext(four_octet_as=True), AttributePool())
        for reach in update.reach:
            attributes = reach.attributes.with_next_hop(bytes(map(int, next_hop.split("."))))
            if attributes.local_pref is None:
                attributes = attributes.with_(LOCAL_PREF, 100)
            announce.extend(encode_reach(IPV4_UNICAST, reach.nlri, attributes, CONTEXT))
            keys.extend(reach.nlri)

    with openers.get(path.suffix, open)(path, "rb") as file:
        for key, attributes in _dumped(file):
            if attributes != block or len(waiting) > 500:
                flush()
                waiting, block = [], attributes
            waiting.append(key)
            if limit is not None and len(keys) + len(waiting) >= limit:
                break
        flush()
    if not keys:
        raise ValueError(f"{path}: no IPv4 routes of TABLE_DUMP_V2 (RFC 6396) in it")
    keys = list(dict.fromkeys(keys))
    return Feed("mrt", len(keys), b"".join(announce), b"".join(encode_unreach(IPV4_UNICAST, keys, CONTEXT)))


def _dumped(file: IO[bytes]) -> Iterator[tuple[NLRI, bytes]]:
    """Prefix and attributes of the first entry of each RIB_IPV4_UNICAST record."""
    read = file.read
    while len(header := read(12)) == 12:
        kind, subtype = int.from_bytes(header[4:6], "big"), int.from_bytes(header[6:8], "big")
        record = read(int.from_bytes(header[8:12], "big"))
        if (kind, subtype) != (13, 2):
            continue
        end = 5 + (record[4] + 7) // 8
        at = end + 2 + 6  # entry count; peer index and time of the first entry
        size = int.from_bytes(record[at : at + 2], "big")
        yield record[4:end], record[at + 2 : at + 2 + size]


def make(kind: str, count: int, next_hop: str, file: Path | None = None) -> Feed:
    """By name: "host", "inet" or "mrt"."""
    if kind == "mrt":
        if file is None:
            raise ValueError("give the table with --mrt FILE")
        return mrt(file, next_hop, count)
    return host(count, next_hop) if kind == "host" else internet(count, next_hop)
