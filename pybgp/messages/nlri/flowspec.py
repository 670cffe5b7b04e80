"""Flow specifications for IPv4 (RFC 8955) and IPv6 (RFC 8956), SAFI 133.

An entry is a length (one octet below 240, else two that begin with 0xf) and components in ascending order of their
types.  A key is the entry with all that has no meaning put right: the shorter form of the length, host bits and
reserved bits zero.  In text a specification is a list of words and values:

    destination 10.0.0.0/8 protocol =6,=17 port >=80&<=90 tcp-flags =syn fragment is-fragment,!=first

Numbers: `=` `!=` `<` `<=` `>` `>=`, or `never` and `always`, which ignore their number.  Flags: `syn+ack` is true where
any of them is set, `=syn+ack` where both are, `!` turns it round.  "&" binds to what stands before it, "," means or.
A value in more octets than it needs says in how many bits: `=80/16`.  A prefix of IPv6 that is compared from a bit on
is `::1200:0/64-104`.
"""

import re
from typing import NamedTuple

from pybgp.family import Afi, Family, Safi
from pybgp.messages.nlri.base import InvalidNlri, NlriCodec
from pybgp.prefix import NLRI, format_address, pack_address

_WORDS = (
    *("", "destination", "source", "protocol", "port", "destination-port", "source-port", "icmp-type", "icmp-code"),
    *("tcp-flags", "packet-length", "dscp", "fragment", "flow-label"),
)
_PREFIXES, _BITMASKS = frozenset({1, 2}), frozenset({9, 12})
_FLOW_LABEL = 13
# RFC 8955 4.2.2.9, 4.2.2.11 and 4.2.2.12: the octets that a value may have at most.
_WIDEST = {9: 2, 11: 1, 12: 1}
_END, _AND = 0x80, 0x40
# Bits that mean something, beside the end bit and the length.
_NUMERIC, _BITMASK = 0x47, 0x43
_LONGEST = 0xFFF

_COMPARISONS = ("never", "=", ">", ">=", "<", "<=", "!=", "always")
_MATCHES = ("", "=", "!", "!=")
_NUMERIC_TEXT = re.compile(r"(never|always|!=|<=|>=|<|>|=)([0-9]{1,20})(?:/(8|16|32|64))?")
_BITMASK_TEXT = re.compile(r"(!=|!|=|)([a-z0-9+-]+)(?:/(8|16|32|64))?")
_FLAGS = {
    9: {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ece": 64, "cwr": 128},
    12: {"dont-fragment": 1, "is-fragment": 2, "first": 4, "last": 8},
}


class _Test(NamedTuple):
    """An operator without its end bit and length, and its value in so many octets."""

    operator: int
    value: int
    size: int


class _Flow(NamedTuple):
    """(type, prefix) or (type, tests), ascending; a prefix is (length, offset, pattern octets)."""

    prefixes: dict[int, tuple[int, int, bytes]]
    tests: dict[int, list[_Test]]


# -- octets -----------------------------------------------------------------------------------------------


def _read(family: Family, octets: bytes) -> _Flow:
    """The components of one specification; raises InvalidNlri (RFC 8955 section 4.2: "considered malformed")."""
    flow = _Flow({}, {})
    position, last = 0, 0
    while position < len(octets):
        kind = octets[position]
        if not 0 < kind < len(_WORDS) or (kind == _FLOW_LABEL and family.afi == Afi.IPV4):
            raise InvalidNlri(f"unknown component type {kind} ({family})")
        if kind <= last:
            raise InvalidNlri(f"component type {kind} after {last}: they have to ascend")
        last = kind
        if kind in _PREFIXES:
            flow.prefixes[kind], position = _read_prefix(family, octets, position + 1)
        else:
            flow.tests[kind], position = _read_tests(kind, octets, position + 1)
    return flow


def _read_prefix(family: Family, octets: bytes, position: int) -> tuple[tuple[int, int, bytes], int]:
    ipv4 = family.afi == Afi.IPV4
    start = position + (1 if ipv4 else 2)
    if start > len(octets):
        raise InvalidNlri("a prefix component ends before its length")
    length, offset = octets[position], 0 if ipv4 else octets[position + 1]
    if length > (32 if ipv4 else 128):
        raise InvalidNlri(f"prefix length {length} ({family})")
    if offset and offset >= length:
        raise InvalidNlri(f"an offset of {offset} bits in a prefix of {length} (RFC 8956 section 3.1)")
    bits = length - offset
    stop = start + (bits + 7) // 8
    if stop > len(octets):
        raise InvalidNlri(f"{bits} bits of prefix need {stop - start} octets and {len(octets) - start} are left")
    pattern = octets[start:stop]
    spare = -bits % 8
    if spare:
        pattern = pattern[:-1] + bytes((pattern[-1] >> spare << spare,))
    return (length, offset, pattern), stop


def _read_tests(kind: int, octets: bytes, position: int) -> tuple[list[_Test], int]:
    tests: list[_Test] = []
    meaning = _BITMASK if kind in _BITMASKS else _NUMERIC
    while True:
        if position == len(octets):
            raise InvalidNlri(f"{_WORDS[kind]}: the list of operators has no end")
        operator = octets[position]
        size = 1 << (operator >> 4 & 3)
        stop = position + 1 + size
        if stop > len(octets):
            raise InvalidNlri(f"{_WORDS[kind]}: a value of {size} octets where {len(octets) - position - 1} are left")
        if size > _WIDEST.get(kind, size):
            raise InvalidNlri(f"{_WORDS[kind]}: a value of {size} octets, {_WIDEST[kind]} is the most")
        # The first operator has nothing to be combined with (RFC 8955 section 4.2.1.1).
        combined = operator & meaning & (0xFF if tests else ~_AND)
        tests.append(_Test(combined, int.from_bytes(octets[position + 1 : stop], "big"), size))
        position = stop
        if operator & _END:
            return tests, position


def _write(family: Family, flow: _Flow) -> NLRI:
    """The entry, length included; ValueError for one that is too long."""
    parts: list[bytes] = []
    for kind in sorted(flow.prefixes.keys() | flow.tests.keys()):
        parts.append(bytes((kind,)))
        if kind in flow.prefixes:
            length, offset, pattern = flow.prefixes[kind]
            parts += (bytes((length,) if family.afi == Afi.IPV4 else (length, offset)), pattern)
            continue
        tests = flow.tests[kind]
        for number, test in enumerate(tests, 1):
            operator = test.operator | (test.size.bit_length() - 1) << 4 | (_END if number == len(tests) else 0)
            parts += (bytes((operator,)), test.value.to_bytes(test.size, "big"))
    octets = b"".join(parts)
    if len(octets) < 0xF0:
        return bytes((len(octets),)) + octets
    if len(octets) > _LONGEST:
        raise ValueError(f"a flow specification of {len(octets)} octets, {_LONGEST} is the most")
    return (0xF000 | len(octets)).to_bytes(2, "big") + octets


def _cut(family: Family, field: bytes, path_ids: list[int] | None) -> list[NLRI]:
    keys: list[NLRI] = []
    position, end = 0, len(field)
    while position < end:
        if path_ids is not None:
            if end - position < 5:
                raise InvalidNlri(f"{end - position} octets are left where a path identifier and a length begin")
            path_ids.append(int.from_bytes(field[position : position + 4], "big"))
            position += 4
        start = position + (1 if field[position] < 0xF0 else 2)
        length = int.from_bytes(field[position:start], "big") & _LONGEST
        stop = start + length
        if stop > end:
            raise InvalidNlri(f"a flow specification of {length} octets where {max(end - start, 0)} are left")
        keys.append(_write(family, _read(family, field[start:stop])))
        position = stop
    return keys


# -- text -------------------------------------------------------------------------------------------------


def _show(family: Family, nlri: NLRI) -> str:
    """Text of a key; ValueError (InvalidNlri is one) for octets that are none."""
    flow = _read(family, nlri[1 if nlri[0] < 0xF0 else 2 :])
    words = []
    for kind in sorted(flow.prefixes.keys() | flow.tests.keys()):
        shown = _show_prefix(family, *flow.prefixes[kind]) if kind in _PREFIXES else _show_tests(kind, flow.tests[kind])
        words.append(f"{_WORDS[kind]} {shown}")
    return " ".join(words) or "all"


def _show_prefix(family: Family, length: int, offset: int, pattern: bytes) -> str:
    size = 4 if family.afi == Afi.IPV4 else 16
    number = int.from_bytes(pattern, "big") << 8 * size >> 8 * len(pattern) >> offset
    return f"{format_address(number.to_bytes(size, 'big'))}/{f'{offset}-' if offset else ''}{length}"


def _show_tests(kind: int, tests: list[_Test]) -> str:
    shown = ""
    for test in tests:
        if shown:
            shown += "&" if test.operator & _AND else ","
        if kind in _BITMASKS:
            # "not" is 2 and "match" 1.
            shown += _MATCHES[test.operator & 3] + _show_flags(kind, test.value)
        else:
            # "less" is 4, "greater" 2 and "equal" 1.
            shown += f"{_COMPARISONS[test.operator & 7]}{test.value}"
        if test.size != _octets_for(kind, test.value):
            shown += f"/{8 * test.size}"
    return shown


def _show_flags(kind: int, value: int) -> str:
    words = [word for word, bit in _FLAGS[kind].items() if value & bit]
    rest = value & ~sum(_FLAGS[kind].values())
    return "+".join([*words, *([f"0x{rest:x}"] if rest or not words else [])])


def _octets_for(kind: int, value: int) -> int:
    """RFC 8956 section 3.7 asks for four octets of flow label."""
    least = 4 if kind == _FLOW_LABEL else 1
    return next(size for size in (1, 2, 4, 8) if size >= least and value < 1 << 8 * size)


def _parse(family: Family, text: str) -> NLRI:
    """The key that `_show` shows so; ValueError says what is wrong."""
    flow = _Flow({}, {})
    words = text.split() if text.strip() != "all" else []
    if len(words) % 2 or (not words and text.strip() != "all"):
        raise ValueError(f'a flow specification is words and values in turn, or "all", not {text!r}')
    for word, value in zip(words[::2], words[1::2], strict=True):
        kind = _WORDS.index(word) if word in _WORDS else 0
        if not kind or kind in flow.prefixes or kind in flow.tests:
            raise ValueError(f"{word!r} is there twice, or none of {', '.join(_WORDS[1:])}")
        if kind in _PREFIXES:
            flow.prefixes[kind] = _parse_prefix(family, value)
        else:
            flow.tests[kind] = _parse_tests(kind, value)
    octets = _write(family, flow)
    _read(family, octets[1 if octets[0] < 0xF0 else 2 :])
    return octets


def _parse_prefix(family: Family, text: str) -> tuple[int, int, bytes]:
    address, _, range_ = text.partition("/")
    first, dash, last = range_.rpartition("-")
    packed = pack_address(address)
    size = 4 if family.afi == Afi.IPV4 else 16
    numbers = [int(digits) if re.fullmatch("[0-9]{1,3}", digits) else 999 for digits in (first or "0", last)]
    if len(packed) != size or not numbers[0] <= numbers[1] <= 8 * size or (dash and (size == 4 or not numbers[0])):
        raise ValueError(f"{text!r} is no prefix of {family}")
    offset, length = numbers
    bits = length - offset
    number = int.from_bytes(packed, "big")
    pattern = number >> (8 * size - length)
    if pattern << (8 * size - length) != number or pattern >> bits:
        raise ValueError(f"{text!r} has other bits set than those that are compared")
    octets = (bits + 7) // 8
    return length, offset, (pattern << 8 * octets - bits).to_bytes(octets, "big")


def _parse_tests(kind: int, text: str) -> list[_Test]:
    form = _BITMASK_TEXT if kind in _BITMASKS else _NUMERIC_TEXT
    tests: list[_Test] = []
    for joint, part in re.findall("(^|[,&])([^,&]*)", text):
        found = form.fullmatch(part)
        if found is None:
            raise ValueError(f"{_WORDS[kind]}: {part!r} is no operator and value")
        if kind in _BITMASKS:
            operator, value = _MATCHES.index(found[1]), _parse_flags(kind, found[2])
        else:
            operator, value = _COMPARISONS.index(found[1]), int(found[2])
        if value >> 64:
            raise ValueError(f"{_WORDS[kind]}: {value} has more than 64 bits")
        size = int(found[3]) // 8 if found[3] else _octets_for(kind, value)
        if value >> 8 * size:
            raise ValueError(f"{_WORDS[kind]}: {value} has more than {8 * size} bits")
        tests.append(_Test(operator | (_AND if joint == "&" else 0), value, size))
    return tests


def _parse_flags(kind: int, text: str) -> int:
    value = 0
    for word in text.split("+"):
        if word in _FLAGS[kind]:
            value |= _FLAGS[kind][word]
        elif re.fullmatch("0x[0-9a-f]{1,16}", word):
            value |= int(word, 16)
        else:
            raise ValueError(f"{_WORDS[kind]}: {word!r} is none of {', '.join(_FLAGS[kind])}, and no 0x…")
    return value


# -- rows -------------------------------------------------------------------------------------------------


def _codec(family: Family) -> NlriCodec:
    def cut_add_path(field: bytes) -> tuple[list[NLRI], list[int]]:
        path_ids: list[int] = []
        return _cut(family, field, path_ids), path_ids

    return NlriCodec(
        family=family,
        cut=lambda field: _cut(family, field, None),
        cut_add_path=cut_add_path,
        # RFC 8955 section 4: none is sent, and one that comes is ignored.
        next_hop_lengths=None,
        show=lambda nlri: _show(family, nlri),
        read=lambda text: _parse(family, text),
    )


IPV4_FLOWSPEC = _codec(Family(Afi.IPV4, Safi.FLOWSPEC))
IPV6_FLOWSPEC = _codec(Family(Afi.IPV6, Safi.FLOWSPEC))
