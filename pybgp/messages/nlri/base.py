"""One row a family: how its NLRI is cut into keys, which next hops it may have, and how it is written for people.

An NLRI key (`pybgp.prefix.NLRI`) is one destination in canonical wire form: the length octet and the
significant octets, host bits zero.  So equality of destinations is equality of bytes, and encoding is
`b"".join`.  What is no part of a destination is never part of a key: the path identifiers of ADD-PATH (RFC 7911)
travel in a list beside the keys, label stacks (RFC 8277) with the attributes.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from pybgp.family import Family
from pybgp.messages.nlri.labels import WITHDRAWN, read_labels, show_labels
from pybgp.prefix import NLRI, format_nlri, read_nlri

Cut: TypeAlias = Callable[[bytes], list[NLRI]]
CutAddPath: TypeAlias = Callable[[bytes], tuple[list[NLRI], list[int]]]


class InvalidNlri(ValueError):
    """The field is syntactically incorrect in the sense of RFC 7606 section 5.3; the text says why."""


@dataclass(frozen=True, eq=False, slots=True)
class Labels:
    """For a family with a label stack before each destination.

    `split(field, add_path, withdrawn)` gives keys, path identifiers (none without `add_path`) and stacks in wire
    order, or raises `InvalidNlri`; `withdrawn` says that the field is that of MP_UNREACH_NLRI, where three octets
    take the place of a stack.  `join` makes a wire entry of a key and a stack, ValueError where they do not fit.
    """

    split: Callable[[bytes, bool, bool], tuple[list[NLRI], list[int], list[bytes]]]
    join: Callable[[NLRI, bytes], bytes]


@dataclass(frozen=True, eq=False, slots=True)
class NlriCodec:
    """The row of one family.

    `cut` takes a whole field (never empty) and gives its keys in wire order; `cut_add_path` does it for a
    field whose entries carry path identifiers.  Both run in time linear in the field, mask host bits that
    the sender left set (RFC 4271 4.3 calls them irrelevant), and raise `InvalidNlri`, nothing else.
    `next_hop_lengths` are the octets that the Next Hop of MP_REACH_NLRI may have (RFC 4760, RFC 2545), and
    `extended_next_hop_lengths` those allowed as well where RFC 8950 was negotiated.  None: the family has no next
    hop; whatever comes is ignored, and none is sent.
    With `labels` both cuts are for withdrawn routes, and `labels.split` for announced ones.
    `show` writes a key as text and `read` gives it back, or raises ValueError; None where a key is an IP prefix.
    """

    family: Family
    cut: Cut
    cut_add_path: CutAddPath
    next_hop_lengths: frozenset[int] | None
    extended_next_hop_lengths: frozenset[int] = frozenset()
    labels: Labels | None = None
    show: Callable[[NLRI], str] | None = None
    read: Callable[[str], NLRI] | None = None

    def allows_next_hop(self, size: int, *, extended: bool) -> bool:
        """Whether MP_REACH_NLRI may have a next hop of so many octets; `extended`: RFC 8950 was negotiated."""
        lengths = self.next_hop_lengths
        return lengths is None or size in lengths or (extended and size in self.extended_next_hop_lengths)

    @property
    def has_next_hop(self) -> bool:
        return self.next_hop_lengths is not None


_ANY_LENGTH = frozenset(range(256))


def raw_codec(family: Family) -> NlriCodec:
    """For a family that nobody knows: a whole field is one key, which is kept octet by octet."""
    return NlriCodec(family, lambda field: [field], lambda field: ([field], [0]), _ANY_LENGTH)


def join_add_path(nlri: Sequence[NLRI], path_ids: Sequence[int]) -> list[bytes]:
    """Each key with its path identifier in front of it (RFC 7911 section 3); ValueError on bad identifiers."""
    if len(nlri) != len(path_ids):
        raise ValueError(f"{len(nlri)} NLRI came with {len(path_ids)} path identifiers")
    try:
        packed = struct.pack(f">{len(path_ids)}I", *path_ids)
    except struct.error:
        raise ValueError("a path identifier is not an integer from 0 to 4294967295") from None
    return [packed[4 * i : 4 * i + 4] + key for i, key in enumerate(nlri)]


def cut_announced(
    codec: NlriCodec, field: bytes, add_path: bool
) -> list[tuple[list[NLRI], list[int] | None, bytes | None]]:
    """Keys, path identifiers (None without ADD-PATH) and label stack (None where the family has none) of an announced
    field, in wire order: one entry for each run of destinations with the same stack. Raises InvalidNlri."""
    if not field:
        return []
    if codec.labels is None:
        return [(*codec.cut_add_path(field), None) if add_path else (codec.cut(field), None, None)]
    keys, path_ids, stacks = codec.labels.split(field, add_path, False)
    found: list[tuple[list[NLRI], list[int] | None, bytes | None]] = []
    start = 0
    for stack, run in groupby(stacks):
        stop = start + len(list(run))
        found.append((keys[start:stop], path_ids[start:stop] if add_path else None, stack))
        start = stop
    return found


def nlri_to_json(codec: NlriCodec | None, field: bytes, add_path: bool, *, withdrawn: bool = False) -> object:
    """A whole NLRI field for people and JSON, such that `nlri_from_json` gives the same octets back.

    A list of "10.0.0.0/8", or of {"path_id": 1, "prefix": "10.0.0.0/8"}; with labels "10.0.0.0/8 label 100".  A
    field that has no such list (no codec, a syntax error, host bits set) is one string of hexadecimal digits.
    `withdrawn`: the field is one of withdrawn routes.
    """
    if not field:
        return []
    if codec is None:
        return field.hex()
    try:
        keys, path_ids, stacks = _split(codec, field, add_path, withdrawn)
    except InvalidNlri:
        return field.hex()
    entries = keys if codec.labels is None else list(map(codec.labels.join, keys, stacks))
    if b"".join(join_add_path(entries, path_ids) if add_path else entries) != field:
        return field.hex()
    texts = [format_nlri(codec.family, key) for key in keys]
    if codec.labels is not None:
        usual = WITHDRAWN if withdrawn else b""
        texts = [
            text if stack == usual else f"{text}{_LABEL}{show_labels(stack)}"
            for text, stack in zip(texts, stacks, strict=True)
        ]
    if not add_path:
        return texts
    return [{"path_id": path_id, "prefix": text} for path_id, text in zip(path_ids, texts, strict=True)]


_LABEL = " label "


def _split(
    codec: NlriCodec, field: bytes, add_path: bool, withdrawn: bool
) -> tuple[list[NLRI], list[int], Sequence[bytes]]:
    if codec.labels is not None:
        return codec.labels.split(field, add_path, withdrawn)
    return (*codec.cut_add_path(field), ()) if add_path else (codec.cut(field), [], ())


def nlri_from_json(codec: NlriCodec, value: object, *, withdrawn: bool = False) -> bytes:
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
            parts.append(_entry(codec, item, withdrawn))
            continue
        if not isinstance(item, dict) or set(item) != {"path_id", "prefix"} or not isinstance(item["prefix"], str):
            raise ValueError(f'an NLRI is "prefix" or {{"path_id": …, "prefix": …}}, not {item!r}')
        path_id = item["path_id"]
        if not isinstance(path_id, int) or isinstance(path_id, bool) or not 0 <= path_id <= 0xFFFFFFFF:
            raise ValueError(f"a path identifier is an integer from 0 to 4294967295, not {path_id!r}")
        parts.append(path_id.to_bytes(4, "big") + _entry(codec, item["prefix"], withdrawn))
    return b"".join(parts)


def _entry(codec: NlriCodec, text: str, withdrawn: bool) -> bytes:
    if codec.labels is None:
        return read_nlri(codec.family, text)
    prefix, found, label = text.partition(_LABEL)
    if not found and not withdrawn:
        raise ValueError(f'{codec.family} needs labels, as in "{prefix} label 100"')
    return codec.labels.join(read_nlri(codec.family, prefix), read_labels(label) if found else WITHDRAWN)
