"""EXTENDED COMMUNITIES (RFC 4360, RFC 5668): eight octets each.

The row of the attribute; how one community is written in words is `extended_community_words`.
"""

from collections.abc import Collection, Iterable

from pybgp.messages.attributes.base import OPTIONAL_TRANSITIVE, Attribute, Malformed, accept_any
from pybgp.messages.attributes.extended_community_words import format_extended_community, parse_extended_community
from pybgp.messages.context import CodecContext

__all__ = ["EXTENDED_COMMUNITIES", "format_extended_community", "parse_extended_community"]


def _decode(value: bytes, _context: CodecContext) -> Collection[bytes]:
    if len(value) % 8:
        raise Malformed(f"{len(value)} octets are no multiple of 8")
    return tuple(value[i : i + 8] for i in range(0, len(value), 8))


def _encode(value: Collection[bytes], _context: CodecContext) -> bytes:
    ordered = sorted(value) if isinstance(value, set | frozenset) else value
    return b"".join([parse_extended_community(item) for item in ordered])


def _from_json(value: object) -> Collection[bytes]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ValueError(f"extended communities are a list, not {value!r}")
    if isinstance(value, set | frozenset):
        return frozenset(map(parse_extended_community, value))
    return tuple(map(parse_extended_community, value))


EXTENDED_COMMUNITIES: Attribute[Collection[bytes]] = Attribute(
    code=16,
    section="RFC 7606 7.14",
    name="extended_communities",
    flags=OPTIONAL_TRANSITIVE,
    decode=_decode,
    encode=_encode,
    to_json=lambda value: [format_extended_community(item) for item in value],
    from_json=_from_json,
    multiple=8,
    check=accept_any,
)
