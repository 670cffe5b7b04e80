"""CLUSTER_LIST (RFC 4456 section 8): the clusters that a route was reflected through, last one first."""

import struct
from collections.abc import Iterable

from pybgp.messages.attributes.base import OPTIONAL_NON_TRANSITIVE, Attribute, Malformed, accept_any, unsigned
from pybgp.messages.attributes.originator_id import format_identifier, parse_identifier
from pybgp.messages.context import CodecContext


def _decode(value: bytes, _context: CodecContext) -> tuple[int, ...]:
    if len(value) % 4:
        raise Malformed(f"{len(value)} octets are no multiple of 4")
    return struct.unpack(f">{len(value) // 4}I", value)


def _encode(value: tuple[int, ...], _context: CodecContext) -> bytes:
    return b"".join([unsigned(item, "a cluster id").to_bytes(4, "big") for item in value])


def _from_json(value: object) -> tuple[int, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"a cluster list is a list, not {value!r}")
    return tuple(parse_identifier(item, "a cluster id") for item in value)


CLUSTER_LIST: Attribute[tuple[int, ...]] = Attribute(
    code=10,
    section="RFC 7606 7.10",
    name="cluster_list",
    flags=OPTIONAL_NON_TRANSITIVE,
    decode=_decode,
    encode=_encode,
    to_json=lambda value: [format_identifier(item) for item in value],
    from_json=_from_json,
    multiple=4,
    check=accept_any,
    from_external=False,
)
