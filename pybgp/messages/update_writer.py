"""Attributes and many NLRI to as few UPDATE messages as hold them (RFC 4271 4.3, RFC 4760, RFC 8950, RFC 8654)."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, repeat

from pybgp.family import IPV4_UNICAST, Family
from pybgp.messages.attributes.labelled import LabelledAttributes
from pybgp.messages.attributes.mp_reach import MP_REACH, mp_reach_head
from pybgp.messages.attributes.mp_unreach import MP_UNREACH
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.context import CodecContext
from pybgp.messages.nlri import CODEC_OF, codec_of
from pybgp.messages.nlri.base import join_add_path
from pybgp.messages.nlri.labels import IMPLICIT_NULL, WITHDRAWN
from pybgp.prefix import NLRI

_MARKER = b"\xff" * 16
_UPDATE = b"\x02"
# Header, and the two length fields of an UPDATE.
_OVERHEAD = 19 + 4
# Flags (Optional, Extended Length), code and two octets of length.
_MP_OVERHEAD = 4


class AttributesTooLong(ValueError):
    """The attributes leave no room for one NLRI in a message of this session."""


def encode_reach(
    family: Family,
    nlri: Sequence[NLRI],
    attributes: PathAttributes,
    context: CodecContext,
    path_ids: Sequence[int] | None = None,
    stacks: Sequence[bytes] | None = None,
) -> list[bytes]:
    """Whole UPDATE messages, header included, that announce `nlri` in order with `attributes`.

    IPv4 unicast goes into the NLRI field with NEXT_HOP, and into MP_REACH_NLRI where its next hop has 16 or 32
    octets (RFC 8950); every other family goes into MP_REACH_NLRI, which is put first (RFC 7606 5.1).
    `path_ids` must be given just where `context.add_path_send` has the family.  Where it has labels, `nlri` get
    those of `stacks` beside them, or else all the one of the attributes, or label 3 where these have none.
    Raises AttributesTooLong, and ValueError for a next hop that the family cannot have on this session or for
    path identifiers or labels that do not fit it.
    """
    codec = codec_of(family)
    if codec.labels is not None:
        nlri = list(map(codec.labels.join, nlri, repeat(_stack_of(attributes)) if stacks is None else stacks))
    keys = _keys(family, nlri, context, path_ids)
    at = 0 if path_ids is None else 4
    next_hop = attributes.next_hop if codec.has_next_hop else b""
    if family == IPV4_UNICAST and len(next_hop) == 4:
        block = attributes.encoded(four_octet_as=context.four_octet_as, classic=True)
        room = context.maximum_length - _OVERHEAD - len(block)
        head = b"\0\0" + len(block).to_bytes(2, "big") + block if len(block) <= 0xFFFF else b""
        return [_message(head + part) for part in _parts(keys, room, at)]
    if not codec.allows_next_hop(len(next_hop), extended=family in context.extended_next_hop):
        raise ValueError(f"{family} on this session cannot have a next hop of {len(next_hop)} octets")
    block = attributes.encoded(four_octet_as=context.four_octet_as, classic=False)
    head = mp_reach_head(family, next_hop) + b"\0"
    room = context.maximum_length - _OVERHEAD - _MP_OVERHEAD - len(head) - len(block)
    return [_multiprotocol(MP_REACH.code, head + part, block) for part in _parts(keys, room, at)]


Groups = Sequence[tuple[PathAttributes | None, list[NLRI]]]


def with_stacks(family: Family, groups: Groups) -> list[tuple[PathAttributes | None, list[NLRI], list[bytes] | None]]:
    """Groups of destinations with their attributes (None: withdrawn), as few as share an UPDATE: those whose
    attributes differ in the label alone become one, with the label stacks beside the destinations."""
    if codec_of(family).labels is None:
        return [(attributes, nlri, None) for attributes, nlri in groups]
    found: list[tuple[PathAttributes | None, list[NLRI], list[bytes] | None]] = []
    shared: dict[tuple[bytes, bytes], tuple[list[NLRI], list[bytes]]] = {}
    for attributes, nlri in groups:
        if attributes is None:
            found.append((None, nlri, None))
            continue
        key = (attributes.block, attributes.next_hop)
        if key not in shared:
            shared[key] = [], []
            found.append((attributes, *shared[key]))
        shared[key][0].extend(nlri)
        shared[key][1].extend([_stack_of(attributes)] * len(nlri))
    return found


def _stack_of(attributes: PathAttributes) -> bytes:
    """What this speaker originates without a label is to come without one."""
    return attributes.stack if isinstance(attributes, LabelledAttributes) else IMPLICIT_NULL


def encode_unreach(
    family: Family, nlri: Sequence[NLRI], context: CodecContext, path_ids: Sequence[int] | None = None
) -> list[bytes]:
    """Whole UPDATE messages that withdraw `nlri`; raises ValueError as `encode_reach` for path identifiers."""
    labels = codec_of(family).labels
    if labels is not None:
        nlri = [labels.join(key, WITHDRAWN) for key in nlri]
    keys = _keys(family, nlri, context, path_ids)
    at = 0 if path_ids is None else 4
    room = context.maximum_length - _OVERHEAD
    if family == IPV4_UNICAST:
        return [_message(len(part).to_bytes(2, "big") + part + b"\0\0") for part in _parts(keys, room, at)]
    head = family.afi.to_bytes(2, "big") + bytes((family.safi,))
    room -= _MP_OVERHEAD + len(head)
    return [_multiprotocol(MP_UNREACH.code, head + part, b"") for part in _parts(keys, room, at)]


def encode_end_of_rib(family: Family, _context: CodecContext) -> bytes:
    """The End-of-RIB marker of a family, a whole message (RFC 4724 section 2)."""
    if family == IPV4_UNICAST:
        return _message(b"\0\0\0\0")
    value = family.afi.to_bytes(2, "big") + bytes((family.safi,))
    return _message(b"\0\0\0\x06" + bytes((MP_UNREACH.flags, MP_UNREACH.code, 3)) + value)


def _keys(
    family: Family, nlri: Sequence[NLRI], context: CodecContext, path_ids: Sequence[int] | None
) -> Sequence[bytes]:
    # The octets of a family without a row have everything in them.
    if (family in context.add_path_send and family in CODEC_OF) != (path_ids is not None):
        must = "needs" if path_ids is None else "has no"
        raise ValueError(f"{family} on this session {must} path identifiers")
    return nlri if path_ids is None else join_add_path(nlri, path_ids)


def _parts(keys: Sequence[bytes], room: int, at: int) -> list[bytes]:
    """The keys joined, cut so that each part has at most `room` octets and as many keys as fit.

    `at` is where a key has its length octet.
    """
    if not keys:
        return []
    parts: list[bytes] = []
    size = len(keys[0])
    count = max(room // size, 1)
    index = 0
    # Joined a message at a time: one join of very many is six times slower for each.
    while index < len(keys):
        some = keys[index : index + count]
        part = b"".join(some)
        if len(part) > room or not (index + count >= len(keys) or _in_step(part, len(some), size, at)):
            return parts + _uneven_parts(keys[index:] if index else keys, room)
        parts.append(part)
        index += count
    return parts


def _uneven_parts(keys: Sequence[bytes], room: int) -> list[bytes]:
    """The same for keys of any sizes."""
    ends = list(accumulate(map(len, keys)))
    parts: list[bytes] = []
    done = index = 0
    while index < len(ends):
        following = bisect_right(ends, done + room, index)
        if following == index:
            needed = len(keys[index])
            raise AttributesTooLong(f"the attributes leave {max(room, 0)} octets for NLRI, {needed} are needed")
        parts.append(b"".join(keys[index:following]))
        done, index = ends[following - 1], following
    return parts


def _in_step(joined: bytes, count: int, size: int, at: int) -> bool:
    """Whether all keys have `size` octets, without asking each one: their length octets are in step.

    The first key's length octet, at `at`, says that the second one begins at `size`, and so on.
    """
    return len(joined) == size * count and joined[at::size].count(joined[at]) == count


def _message(body: bytes) -> bytes:
    return _MARKER + (19 + len(body)).to_bytes(2, "big") + _UPDATE + body


def _multiprotocol(code: int, value: bytes, block: bytes) -> bytes:
    attribute = bytes((0x90, code)) + len(value).to_bytes(2, "big") + value
    return _message(b"\0\0" + (len(attribute) + len(block)).to_bytes(2, "big") + attribute + block)
