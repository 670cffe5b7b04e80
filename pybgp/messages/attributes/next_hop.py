"""NEXT_HOP (RFC 4271 5.1.3): one IPv4 address, as its 4 octets.

In `PathAttributes` the next hop of every family is the field `next_hop`; this row is for the wire.
"""

from pybgp.errors import InvalidNextHop
from pybgp.messages.attributes.base import WELL_KNOWN, Attribute, Malformed
from pybgp.messages.context import CodecContext
from pybgp.prefix import format_address, pack_address


def _check(value: bytes, _context: CodecContext) -> None:
    # "Syntactic correctness means that the NEXT_HOP attribute represents a valid IP host address" (RFC 4271
    # 6.3).  127/8 is one; whether it makes sense as a next hop is the RIB's question.
    if not 0 < value[0] < 224:
        raise Malformed(f"next hop {format_address(value)} is not the address of a host")


def _decode(value: bytes, context: CodecContext) -> bytes:
    _check(value, context)
    return value


def _encode(value: bytes, _context: CodecContext) -> bytes:
    if len(value) != 4:
        raise ValueError(f"NEXT_HOP has 4 octets, not {len(value)}")
    return value


def _from_json(value: object) -> bytes:
    if isinstance(value, bytes):
        raw = value
    elif isinstance(value, str):
        raw = pack_address(value)
    else:
        raise ValueError(f"a next hop is an IPv4 address, not {value!r}")
    if len(raw) != 4:
        raise ValueError(f"NEXT_HOP is an IPv4 address, not {value!r}")
    return raw


NEXT_HOP = Attribute(
    code=3,
    section="RFC 7606 7.3",
    name="next_hop",
    flags=WELL_KNOWN,
    decode=_decode,
    encode=_encode,
    to_json=format_address,
    from_json=_from_json,
    length=4,
    check=_check,
    error=InvalidNextHop,
    pattern=rb"[\x01-\xdf]...",
)
