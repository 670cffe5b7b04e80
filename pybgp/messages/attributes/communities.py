"""COMMUNITIES (RFC 1997): a set of 32-bit values, "65000:100" in text."""

import struct
from collections.abc import Collection, Iterable

from pybgp.messages.attributes.base import OPTIONAL_TRANSITIVE, Attribute, Malformed, accept_any, unsigned
from pybgp.messages.context import CodecContext

# IANA's registry of well-known communities, the ones with routing meaning.
GRACEFUL_SHUTDOWN = 0xFFFF0000  # RFC 8326
ACCEPT_OWN = 0xFFFF0001  # RFC 7611
LLGR_STALE = 0xFFFF0006  # RFC 9494
NO_LLGR = 0xFFFF0007  # RFC 9494
BLACKHOLE = 0xFFFF029A  # RFC 7999
NO_EXPORT = 0xFFFFFF01  # RFC 1997
NO_ADVERTISE = 0xFFFFFF02  # RFC 1997
NO_EXPORT_SUBCONFED = 0xFFFFFF03  # RFC 1997
NO_PEER = 0xFFFFFF04  # RFC 3765

WELL_KNOWN_NAMES: dict[str, int] = {
    "graceful-shutdown": GRACEFUL_SHUTDOWN,
    "accept-own": ACCEPT_OWN,
    "llgr-stale": LLGR_STALE,
    "no-llgr": NO_LLGR,
    "blackhole": BLACKHOLE,
    "no-export": NO_EXPORT,
    "no-advertise": NO_ADVERTISE,
    "no-export-subconfed": NO_EXPORT_SUBCONFED,
    "no-peer": NO_PEER,
}
_NAME_OF = {value: name for name, value in WELL_KNOWN_NAMES.items()}


def format_community(value: int) -> str:
    return _NAME_OF.get(value) or f"{value >> 16}:{value & 0xFFFF}"


def parse_community(value: object) -> int:
    """A 32-bit integer, "65000:100" or a well-known name; ValueError otherwise."""
    if not isinstance(value, str):
        return unsigned(value, "a community")
    known = WELL_KNOWN_NAMES.get(value.lower().replace("_", "-"))
    if known is not None:
        return known
    parts = value.split(":")
    if len(parts) == 2 and all(part.isascii() and part.isdigit() and len(part) <= 5 for part in parts):
        high, low = int(parts[0]), int(parts[1])
        if high <= 0xFFFF and low <= 0xFFFF:
            return high << 16 | low
    raise ValueError(f'a community is "AS:value" (both up to 65535) or a well-known name, not {value!r}')


def _decode(value: bytes, _context: CodecContext) -> Collection[int]:
    if len(value) % 4:
        raise Malformed(f"{len(value)} octets are no multiple of 4")
    return struct.unpack(f">{len(value) // 4}I", value)


def _encode(value: Collection[int], _context: CodecContext) -> bytes:
    # A set has no order of its own: sorted, so that equal sets are equal octets.
    ordered = sorted(value) if isinstance(value, set | frozenset) else value
    return b"".join([unsigned(item, "a community").to_bytes(4, "big") for item in ordered])


def _from_json(value: object) -> Collection[int]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"communities are a list, not {value!r}")
    if isinstance(value, set | frozenset):
        return frozenset(map(parse_community, value))
    return tuple(map(parse_community, value))


def _plain(value: object) -> bytes:
    """Of integers, in the order that sets of them have."""
    if not isinstance(value, list | tuple | set | frozenset) or set(map(type, value)) != {int}:
        return b""
    ordered = sorted(set(value))
    count = len(ordered)
    if count >= len(_SETS):
        return b""
    try:
        return _SETS[count](OPTIONAL_TRANSITIVE, 8, 4 * count, *ordered)
    except struct.error:
        return b""


_SETS = [struct.Struct(f">3B{count}I").pack for count in range(64)]  # by the number of communities


COMMUNITIES: Attribute[Collection[int]] = Attribute(
    code=8,
    section="RFC 7606 7.8",
    name="communities",
    flags=OPTIONAL_TRANSITIVE,
    decode=_decode,
    encode=_encode,
    to_json=lambda value: [format_community(item) for item in value],
    from_json=_from_json,
    multiple=4,
    check=accept_any,
    plain=_plain,
)
