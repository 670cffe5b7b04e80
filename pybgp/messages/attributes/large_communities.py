"""LARGE COMMUNITIES (RFC 8092): three 32-bit numbers each, "64500:1:2" in text."""

import struct
from collections.abc import Collection, Iterable
from typing import TypeAlias

from pybgp.messages.attributes.base import OPTIONAL_TRANSITIVE, Attribute, Malformed, accept_any, unsigned
from pybgp.messages.context import CodecContext

LargeCommunity: TypeAlias = tuple[int, int, int]


def parse_large_community(value: object) -> LargeCommunity:
    """Three integers or "64500:1:2"; ValueError otherwise."""
    parts: list[object]
    if isinstance(value, str):
        texts = value.split(":")
        if not all(text.isascii() and text.isdigit() and len(text) <= 10 for text in texts):
            raise ValueError(f'a large community is "number:number:number", not {value!r}')
        parts = [int(text) for text in texts]
    elif isinstance(value, tuple | list):
        parts = list(value)
    else:
        parts = []
    if len(parts) != 3:
        raise ValueError(f'a large community is "number:number:number", not {value!r}')
    first, second, third = (unsigned(part, "each part of a large community") for part in parts)
    return first, second, third


def _decode(value: bytes, _context: CodecContext) -> Collection[LargeCommunity]:
    if len(value) % 12:
        raise Malformed(f"{len(value)} octets are no multiple of 12")
    return tuple(struct.iter_unpack(">III", value))


def _encode(value: Collection[LargeCommunity], _context: CodecContext) -> bytes:
    ordered = sorted(value) if isinstance(value, set | frozenset) else value
    return b"".join([struct.pack(">III", *parse_large_community(item)) for item in ordered])


def _from_json(value: object) -> Collection[LargeCommunity]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"large communities are a list, not {value!r}")
    if isinstance(value, set | frozenset):
        return frozenset(map(parse_large_community, value))
    return tuple(map(parse_large_community, value))


LARGE_COMMUNITIES: Attribute[Collection[LargeCommunity]] = Attribute(
    code=32,
    section="RFC 8092 5",
    name="large_communities",
    flags=OPTIONAL_TRANSITIVE,
    decode=_decode,
    encode=_encode,
    to_json=lambda value: ["{}:{}:{}".format(*item) for item in value],
    from_json=_from_json,
    multiple=12,
    check=accept_any,
)
