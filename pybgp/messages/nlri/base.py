"""One row a family: how its NLRI is cut into keys, and which next hops it may have.

An NLRI key (`pybgp.prefix.NLRI`) is one destination in canonical wire form: the length octet and the
significant octets, host bits zero.  So equality of destinations is equality of bytes, and encoding is
`b"".join`.  The path identifier of ADD-PATH (RFC 7911) is never part of a key: identifiers travel in a list
beside the keys.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pybgp.family import Family
from pybgp.prefix import NLRI, format_nlri, parse_nlri

Cut: TypeAlias = Callable[[bytes], list[NLRI]]
CutAddPath: TypeAlias = Callable[[bytes], tuple[list[NLRI], list[int]]]


class InvalidNlri(ValueError):
    """The field is syntactically incorrect in the sense of RFC 7606 section 5.3; the text says why."""


@dataclass(frozen=True, eq=False, slots=True)
class NlriCodec:
    """The row of one family.

    `cut` takes a whole field (never empty) and gives its keys in wire order; `cut_add_path` does it for a
    field whose entries carry path identifiers.  Both run in time linear in the field, mask host bits that
    the sender left set (RFC 4271 4.3 calls them irrelevant), and raise `InvalidNlri`, nothing else.
    `next_hop_lengths` are the octets that the Next Hop of MP_REACH_NLRI may have (RFC 4760, RFC 2545), and
    `extended_next_hop_lengths` those allowed as well where RFC 8950 was negotiated.
    """

    family: Family
    maximum: int
    cut: Cut
    cut_add_path: CutAddPath
    next_hop_lengths: frozenset[int]
    extended_next_hop_lengths: frozenset[int] = frozenset()


def join_add_path(nlri: Sequence[NLRI], path_ids: Sequence[int]) -> list[bytes]:
    """Each key with its path identifier in front of it (RFC 7911 section 3); ValueError on bad identifiers."""
    if len(nlri) != len(path_ids):
        raise ValueError(f"{len(nlri)} NLRI came with {len(path_ids)} path identifiers")
    try:
        packed = struct.pack(f">{len(path_ids)}I", *path_ids)
    except struct.error:
        raise ValueError("a path identifier is not an integer from 0 to 4294967295") from None
    return [packed[4 * i : 4 * i + 4] + key for i, key in enumerate(nlri)]


def nlri_to_json(codec: NlriCodec | None, field: bytes, add_path: bool) -> list[object] | str:
    """A whole NLRI field for people and JSON, such that `nlri_from_json` gives the same octets back.

    A list of "10.0.0.0/8", or of {"path_id": 1, "prefix": "10.0.0.0/8"}.  A field that has no such list (no
    codec, a syntax error, host bits set) is one string of hexadecimal digits.
    """
    if not field:
        return []
    if codec is None:
        return field.hex()
    try:
        if add_path:
            keys, path_ids = codec.cut_add_path(field)
            if b"".join(join_add_path(keys, path_ids)) != field:
                return field.hex()
            return [
                {"path_id": path_id, "prefix": format_nlri(codec.family, key)}
                for key, path_id in zip(keys, path_ids, strict=True)
            ]
        keys = codec.cut(field)
    except InvalidNlri:
        return field.hex()
    if b"".join(keys) != field:
        return field.hex()
    return [format_nlri(codec.family, key) for key in keys]


def nlri_from_json(family: Family, value: object) -> bytes:
    """The field that `nlri_to_json` described; raises ValueError with what is wrong."""
    if isinstance(value, str):
        try:
            return bytes.fromhex(value)
        except ValueError:
            raise ValueError(f"an NLRI field given as a string is hexadecimal digits, not {value!r}") from None
    if not isinstance(value, list | tuple):
        raise ValueError(f"an NLRI field is a list of prefixes or a string of hexadecimal digits, not {value!r}")
    parts: list[bytes] = []
    for item in value:
        if isinstance(item, str):
            parts.append(_parse(family, item))
            continue
        if not isinstance(item, dict) or set(item) != {"path_id", "prefix"} or not isinstance(item["prefix"], str):
            raise ValueError(f'an NLRI is "prefix" or {{"path_id": …, "prefix": …}}, not {item!r}')
        path_id = item["path_id"]
        if not isinstance(path_id, int) or isinstance(path_id, bool) or not 0 <= path_id <= 0xFFFFFFFF:
            raise ValueError(f"a path identifier is an integer from 0 to 4294967295, not {path_id!r}")
        parts.append(path_id.to_bytes(4, "big") + _parse(family, item["prefix"]))
    return b"".join(parts)


def _parse(family: Family, text: str) -> NLRI:
    found, nlri = parse_nlri(text)
    if found.afi != family.afi:
        raise ValueError(f"{text} is no prefix of {family}")
    return nlri
