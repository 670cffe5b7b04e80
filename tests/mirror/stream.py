"""A thousand UPDATEs, the same ones for everybody: well-formed ones, and the same with something changed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from pybgp.errors import ProtocolError
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.messages import CodecContext
from pybgp.messages.attributes.as_path import AsPath, Segment, SegmentType
from pybgp.messages.attributes.base import RawAttribute
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.framing import HEADER_LENGTH
from pybgp.messages.update import decode_update
from pybgp.messages.update_writer import encode_reach
from pybgp.prefix import NLRI
from tests.fuzz.mutation import mutated_body
from tests.mirror.scene import BOTH, TELLER_AS

COUNT = 1000
ENDING = 25  # how many of them may end a session: each costs a new one


class Step(NamedTuple):
    """Whom it comes from, what was told before of the same prefixes, and the body of the UPDATE."""

    number: int
    internal: bool
    base: bytes
    body: bytes
    changed: bool


def steps(seed: int, count: int = COUNT) -> Iterator[Step]:
    random = Random(seed)
    ending = 0
    number = 0
    while number < count:
        internal = random.random() < 0.5
        context = CodecContext(
            four_octet_as=True, internal=internal, families=frozenset(BOTH if internal else BOTH[:1])
        )
        family = IPV6_UNICAST if internal and random.random() < 0.3 else IPV4_UNICAST
        keys = prefixes(random, family == IPV6_UNICAST)
        hop = "2001:db8::99" if family == IPV6_UNICAST else "192.0.2.99"
        plain: dict[str, Any] = {"local_pref": 100} if internal else {"as_path": [TELLER_AS]}
        (base,) = encode_reach(family, keys, PathAttributes.build(next_hop=hop, **plain), context)
        (message,) = encode_reach(family, keys, attributes(random, internal, hop), context)
        body = message[HEADER_LENGTH:]
        changed = random.random() < 0.6
        if changed:
            body = mutated_body(body, random)
        try:
            decode_update(body, context, AttributePool())
        except ProtocolError:
            if ending >= ENDING:
                continue
            ending += 1
        yield Step(number, internal, base, body, changed)
        number += 1


def prefixes(random: Random, v6: bool) -> list[NLRI]:
    found: set[NLRI] = set()
    for _ in range(random.choice((1, 1, 2, 3))):
        length = random.choice((32, 48, 64)) if v6 else random.choice((16, 20, 24, 32))
        head = b"\x20\x01\x0d\xb8" if v6 else bytes((10, random.randrange(256)))
        size = (length + 7) // 8
        octets = bytearray((head + random.randbytes(8))[:size])
        if length % 8:
            octets[-1] &= 0xF0
        found.add(bytes((length,)) + bytes(octets))
    return sorted(found)


def attributes(random: Random, internal: bool, hop: str) -> PathAttributes:
    """A well-formed set of any attributes."""
    asns = [random.choice((65010, 65011, 400000, 3356)) for _ in range(random.randrange(5))]
    if not internal:
        asns.insert(0, TELLER_AS)
    segments = [Segment(SegmentType.AS_SEQUENCE, tuple(asns))] if asns else []
    if random.random() < 0.2:
        segments.append(Segment(SegmentType.AS_SET, (64999, 65020)))
    values: dict[str, Any] = {"origin": random.choice(("igp", "egp", "incomplete")), "as_path": AsPath(tuple(segments))}

    def maybe(name: str, value: object, chance: float = 0.3) -> None:
        if random.random() < chance:
            values[name] = value

    maybe("med", random.randrange(1 << 32))
    maybe("atomic_aggregate", True)
    maybe("aggregator", {"asn": random.choice((65010, 400000)), "address": "192.0.2.77"})
    maybe("communities", [65010 << 16 | random.randrange(1, 65000) for _ in range(random.randrange(1, 4))], 0.5)
    maybe("extended_communities", [bytes((0, 2, 0xFD, 0xF2)) + random.randbytes(4)])
    maybe("large_communities", [(65010, random.randrange(1 << 32), 1)])
    if internal:
        values["local_pref"] = random.choice((0, 100, 200, 1 << 31))
        maybe("originator_id", "192.0.2.200", 0.2)
        maybe("cluster_list", ["192.0.2.201", "192.0.2.202"], 0.2)
    unknown = []
    if random.random() < 0.4:
        unknown.append(RawAttribute(random.choice((0xC0, 0xE0, 0x80)), 130 + random.randrange(60), random.randbytes(6)))
    return PathAttributes.build(next_hop=hop, unknown=unknown, **values)
