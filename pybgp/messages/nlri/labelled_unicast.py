"""IPv4 and IPv6 unicast with labels, SAFI 4 (RFC 8277).

On the wire an entry is a length in bits, a label stack and a prefix.  The destination is the prefix alone: "10.0.0.0/8
label 100" after "10.0.0.0/8 label 200" replaces it (section 2.4), and in MP_UNREACH_NLRI three octets without meaning
take the place of the stack.
"""

from pybgp.family import Afi, Family, Safi
from pybgp.messages.nlri.base import InvalidNlri, Labels, NlriCodec
from pybgp.messages.nlri.labels import BOTTOM, SIZE
from pybgp.prefix import NLRI


def _stack_end(field: bytes, start: int, bits: int, withdrawn: bool) -> int:
    """Where the label stack that begins at `start`, in an entry of so many bits, ends.

    The Bottom of Stack bit says so; where no label has it there is one, as it is to be ignored then (section 2.2).
    """
    end = start + SIZE
    while not withdrawn and 8 * (end - start) <= bits:
        if field[end - 1] & BOTTOM:
            return end
        end += SIZE
    return start + SIZE


def _split(family: Family, field: bytes, add_path: bool, withdrawn: bool) -> tuple[list[NLRI], list[int], list[bytes]]:
    """Keys, path identifiers (none without ADD-PATH) and label stacks, in wire order."""
    maximum = 32 if family.afi == Afi.IPV4 else 128
    keys: list[NLRI] = []
    path_ids: list[int] = []
    stacks: list[bytes] = []
    position, end = 0, len(field)
    while position < end:
        if add_path:
            if end - position < 5:
                raise InvalidNlri(f"{end - position} octets are left where a path identifier and a prefix begin")
            path_ids.append(int.from_bytes(field[position : position + 4], "big"))
            position += 4
        bits = field[position]
        start = position + 1
        stop = start + (bits + 7) // 8
        if stop > end:
            raise InvalidNlri(f"{bits} bits need {stop - start} octets and {end - start} are left ({family})")
        prefix = _stack_end(field, start, bits, withdrawn)
        length = bits - 8 * (prefix - start)
        if length < 0:
            raise InvalidNlri(f"{bits} bits end before the label stack does ({family})")
        if length > maximum:
            raise InvalidNlri(f"prefix length {length} is greater than {maximum} ({family})")
        octets = field[prefix:stop]
        spare = -length % 8
        if spare and octets[-1] & ((1 << spare) - 1):
            octets = octets[:-1] + bytes([octets[-1] >> spare << spare])
        keys.append(bytes((length,)) + octets)
        stacks.append(field[start:prefix])
        position = stop
    return keys, path_ids, stacks


def _join(key: NLRI, stack: bytes) -> bytes:
    bits = key[0] + 8 * len(stack)
    if not stack or bits > 255:
        raise ValueError(f"{len(stack) // SIZE} labels before a /{key[0]}: at least one, and what 255 bits can hold")
    return bytes((bits,)) + stack + key[1:]


def _codec(family: Family, next_hop_lengths: frozenset[int], extended: frozenset[int] = frozenset()) -> NlriCodec:
    def cut(field: bytes) -> list[NLRI]:
        return _split(family, field, False, True)[0]

    def cut_add_path(field: bytes) -> tuple[list[NLRI], list[int]]:
        return _split(family, field, True, True)[:2]

    def split(field: bytes, add_path: bool, withdrawn: bool) -> tuple[list[NLRI], list[int], list[bytes]]:
        return _split(family, field, add_path, withdrawn)

    return NlriCodec(family, cut, cut_add_path, next_hop_lengths, extended, labels=Labels(split, _join))


IPV4_LABELLED = _codec(Family(Afi.IPV4, Safi.LABELED_UNICAST), frozenset({4}), frozenset({16, 32}))
IPV6_LABELLED = _codec(Family(Afi.IPV6, Safi.LABELED_UNICAST), frozenset({16, 32}))
