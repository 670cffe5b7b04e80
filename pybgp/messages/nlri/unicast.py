"""IPv4 and IPv6 unicast (RFC 4271 4.3, RFC 4760 section 5, RFC 7911 section 3).

A field is cut by one regular expression with an alternative for each prefix length, which matches canonical
entries only: a loop in C instead of some ten steps of Python for each prefix.  `findall` skips what it cannot
match, so the sum of the lengths proves that it matched everything; where it did not, an exact loop finds
the host bits to mask, or the error.
"""

import re
import struct
from collections.abc import Sequence

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages.nlri.base import Cut, CutAddPath, InvalidNlri, NlriCodec
from pybgp.prefix import NLRI

# Fields shorter than this are not worth a look for the uniform case.
_UNIFORM_FROM = 64


def _entry_pattern(length: int) -> bytes:
    """Matches one canonical entry of this prefix length."""
    whole, bits = divmod(length, 8)
    head = re.escape(bytes([length])) + b"." * whole
    if not bits:
        return head
    step = 1 << (8 - bits)
    return head + b"[" + b"".join(b"\\x%02x" % octet for octet in range(0, 256, step)) + b"]"


def _alternatives(maximum: int, popular: Sequence[int]) -> bytes:
    """All lengths, the frequent ones first: the expression tries them in this order."""
    order = [*popular, *(length for length in range(maximum, -1, -1) if length not in popular)]
    return b"|".join(map(_entry_pattern, order))


def _cut_exactly(family: Family, maximum: int, field: bytes, path_ids: list[int] | None) -> list[NLRI]:
    """Masks host bits, or says what is wrong with the field (RFC 7606 section 5.3)."""
    keys: list[NLRI] = []
    position, end = 0, len(field)
    while position < end:
        if path_ids is not None:
            if end - position < 5:
                raise InvalidNlri(f"{end - position} octets are left where a path identifier and a prefix begin")
            path_ids.append(int.from_bytes(field[position : position + 4], "big"))
            position += 4
        length = field[position]
        if length > maximum:
            raise InvalidNlri(f"prefix length {length} is greater than {maximum} ({family})")
        stop = position + 1 + (length + 7) // 8
        if stop > end:
            raise InvalidNlri(f"a /{length} needs {stop - position} octets and {end - position} are left ({family})")
        key = field[position:stop]
        spare = -length % 8
        if spare and key[-1] & ((1 << spare) - 1):
            key = key[:-1] + bytes([key[-1] >> spare << spare])
        keys.append(key)
        position = stop
    return keys


def _cutter(family: Family, maximum: int, popular: Sequence[int]) -> Cut:
    findall = re.compile(_alternatives(maximum, popular), re.DOTALL).findall
    # Entry size by length octet where any octets are canonical; 0 elsewhere.
    sizes = bytes(1 + n // 8 if n <= maximum and n % 8 == 0 else 0 for n in range(256))
    unpackers: dict[tuple[int, int], struct.Struct] = {}

    def cut(field: bytes) -> list[NLRI]:
        if len(field) >= _UNIFORM_FROM:
            size = sizes[field[0]]
            if size > 1:
                count, rest = divmod(len(field), size)
                if not rest and field[::size] == field[:1] * count:
                    unpacker = unpackers.get((count, size))
                    if unpacker is None:
                        if len(unpackers) >= 256:
                            unpackers.clear()
                        unpacker = unpackers[count, size] = struct.Struct(f"{size}s" * count)
                    return list(unpacker.unpack(field))
        keys: list[NLRI] = findall(field)
        if len(b"".join(keys)) != len(field):
            return _cut_exactly(family, maximum, field, None)
        return keys

    return cut


def _add_path_cutter(family: Family, maximum: int, popular: Sequence[int]) -> CutAddPath:
    findall = re.compile(b"(....)(" + _alternatives(maximum, popular) + b")", re.DOTALL).findall

    def cut_add_path(field: bytes) -> tuple[list[NLRI], list[int]]:
        pairs: list[tuple[bytes, NLRI]] = findall(field)
        keys = [key for _, key in pairs]
        if len(b"".join(keys)) + 4 * len(keys) != len(field):
            path_ids: list[int] = []
            return _cut_exactly(family, maximum, field, path_ids), path_ids
        return keys, list(struct.unpack(f">{len(keys)}I", b"".join([path_id for path_id, _ in pairs])))

    return cut_add_path


_POPULAR_IPV4 = (24, 32, 22, 23, 20, 21, 16, 19, 18, 17, 26)
_POPULAR_IPV6 = (48, 128, 32, 44, 64, 40, 36, 46, 29)

IPV4 = NlriCodec(
    family=IPV4_UNICAST,
    cut=_cutter(IPV4_UNICAST, 32, _POPULAR_IPV4),
    cut_add_path=_add_path_cutter(IPV4_UNICAST, 32, _POPULAR_IPV4),
    next_hop_lengths=frozenset({4}),
    extended_next_hop_lengths=frozenset({16, 32}),
)
IPV6 = NlriCodec(
    family=IPV6_UNICAST,
    cut=_cutter(IPV6_UNICAST, 128, _POPULAR_IPV6),
    cut_add_path=_add_path_cutter(IPV6_UNICAST, 128, _POPULAR_IPV6),
    # Global alone, or global and link-local (RFC 2545 section 3).
    next_hop_lengths=frozenset({16, 32}),
)
