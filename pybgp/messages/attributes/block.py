"""Attributes in their canonical form, as octets: what `PathAttributes.block` is, and how one is changed.

Ascending type codes, the shortest length form, AS numbers of 4 octets, and none of the attributes that exist
on the wire alone.
"""

from collections.abc import Iterator

from pybgp.messages.attributes.aggregator import AGGREGATOR
from pybgp.messages.attributes.as4 import AS4_AGGREGATOR, AS4_PATH, split
from pybgp.messages.attributes.as_path import AS_PATH, AsPath
from pybgp.messages.attributes.base import encode_tlv
from pybgp.messages.attributes.mp_reach import MP_REACH
from pybgp.messages.attributes.mp_unreach import MP_UNREACH
from pybgp.messages.attributes.next_hop import NEXT_HOP
from pybgp.messages.context import CodecContext

# How values in a block are written, whatever the session it came from or goes to.
CANONICAL = CodecContext(four_octet_as=True, internal=True)
_OLD_SPEAKER = CodecContext(four_octet_as=False, internal=True)

# On the wire alone; elsewhere they are a next hop, NLRI, or merged into AS_PATH and AGGREGATOR.
NOT_IN_BLOCK = frozenset({NEXT_HOP.code, MP_REACH.code, MP_UNREACH.code, AS4_PATH.code, AS4_AGGREGATOR.code})


def walk(block: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """(flags, code, start, start of the value, stop) of each attribute of a well-formed block."""
    position, end = 0, len(block)
    while position < end:
        flags, code = block[position], block[position + 1]
        if flags & 0x10:
            value = position + 4
            stop = value + (block[position + 2] << 8 | block[position + 3])
        else:
            value = position + 3
            stop = value + block[position + 2]
        yield flags, code, position, value, stop
        position = stop


def place_of(block: bytes, code: int) -> int:
    """Where an attribute begins, or would: in front of the first one of that type or a higher one."""
    # Not by `walk`: this is what every route that is passed on costs, and the generator would be half of it.
    position, end = 0, len(block)
    while position < end and block[position + 1] < code:
        if block[position] & 0x10:
            position += 4 + (block[position + 2] << 8 | block[position + 3])
        else:
            position += 3 + block[position + 2]
    return position


def end_of(block: bytes, position: int) -> int:
    """Where the attribute that begins there ends."""
    if block[position] & 0x10:
        return position + 4 + (block[position + 2] << 8 | block[position + 3])
    return position + 3 + block[position + 2]


def find(block: bytes, code: int) -> tuple[int, int] | None:
    """Where the value of an attribute is."""
    start = place_of(block, code)
    if start >= len(block) or block[start + 1] != code:
        return None
    return start + (4 if block[start] & 0x10 else 3), end_of(block, start)


def replaced(block: bytes, code: int, tlv: bytes) -> bytes:
    """The block with an attribute put in its place; an empty one takes it out."""
    start = stop = place_of(block, code)
    if start < len(block) and block[start + 1] == code:
        stop = end_of(block, start)
    return block[:start] + tlv + block[stop:]


def for_old_speaker(block: bytes) -> bytes:
    """The block for a session with 2-octet AS numbers (RFC 6793 4.2.2)."""
    parts = {code: (flags, block[value:stop]) for flags, code, _start, value, stop in walk(block)}
    path = AS_PATH.decode(parts[AS_PATH.code][1], CANONICAL) if AS_PATH.code in parts else AsPath()
    aggregator = AGGREGATOR.decode(parts[AGGREGATOR.code][1], CANONICAL) if AGGREGATOR.code in parts else None
    path, as4_path, aggregator, as4_aggregator = split(path, aggregator)
    parts[AS_PATH.code] = (AS_PATH.flags, AS_PATH.encode(path, _OLD_SPEAKER))
    if aggregator is not None:
        parts[AGGREGATOR.code] = (parts[AGGREGATOR.code][0], AGGREGATOR.encode(aggregator, _OLD_SPEAKER))
    if as4_path is not None:
        parts[AS4_PATH.code] = (AS4_PATH.flags, AS4_PATH.encode(as4_path, _OLD_SPEAKER))
    if as4_aggregator is not None:
        parts[AS4_AGGREGATOR.code] = (AS4_AGGREGATOR.flags, AS4_AGGREGATOR.encode(as4_aggregator, _OLD_SPEAKER))
    return b"".join([encode_tlv(parts[code][0], code, parts[code][1]) for code in sorted(parts)])
