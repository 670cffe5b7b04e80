"""AS_PATH (RFC 4271 5.1.2, RFC 6793, confederation segments of RFC 5065).

AS numbers have 2 or 4 octets on the wire, as the session has it; everywhere else they are ints.
In text: "65001 65002", sets in braces "{65003,65004}", confederation sequences "(65010 65011)", confederation
sets "[65012,65013]".
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from pybgp.errors import MalformedASPath
from pybgp.messages.attributes.base import WELL_KNOWN, Attribute, Malformed, unsigned
from pybgp.messages.context import CodecContext


class SegmentType(IntEnum):
    AS_SET = 1
    AS_SEQUENCE = 2
    AS_CONFED_SEQUENCE = 3
    AS_CONFED_SET = 4


_SET, _SEQUENCE, _CONFED_SEQUENCE, _CONFED_SET = 1, 2, 3, 4
_BRACKETS = {1: "{}", 2: "", 3: "()", 4: "[]"}
_JSON_NAMES = {1: "set", 2: "sequence", 3: "confed-sequence", 4: "confed-set"}
_JSON_TYPES = {name: SegmentType(number) for number, name in _JSON_NAMES.items()}
_TOKEN = re.compile(r"\s*(?:(\d{1,10})|([{(\[])\s*([\d\s,]*?)\s*[})\]])", re.ASCII)


class Segment(NamedTuple):
    type: SegmentType
    asns: tuple[int, ...]

    def __str__(self) -> str:
        brackets = _BRACKETS[self.type]
        if not brackets:
            return " ".join(map(str, self.asns))
        separator = " " if self.type == _CONFED_SEQUENCE else ","
        return brackets[0] + separator.join(map(str, self.asns)) + brackets[1]


@dataclass(frozen=True, slots=True)
class AsPath:
    """An AS path: its segments in wire order, nearest AS first.  Immutable."""

    segments: tuple[Segment, ...] = ()

    @classmethod
    def of(cls, value: object) -> "AsPath":
        """From an AsPath, "65001 {65002,65003}", integers (one AS_SEQUENCE), or JSON segments; else ValueError."""
        if isinstance(value, AsPath):
            return value
        if isinstance(value, str):
            return cls._parse(value)
        if not isinstance(value, Iterable):
            raise ValueError(f"an AS path is text or a list of AS numbers, not {value!r}")
        items = list(value)
        if all(isinstance(item, int) for item in items):
            return cls._sequence(items)
        return cls(tuple(_segment_of(item) for item in items))

    @classmethod
    def _sequence(cls, asns: list[int]) -> "AsPath":
        checked = tuple(_asn(asn) for asn in asns)
        # One segment holds 255 AS numbers (RFC 4271 4.3).
        return cls(tuple(Segment(SegmentType.AS_SEQUENCE, checked[i : i + 255]) for i in range(0, len(checked), 255)))

    @classmethod
    def _parse(cls, text: str) -> "AsPath":
        segments: list[Segment] = []
        run: list[int] = []
        position, text = 0, text.strip()
        while position < len(text):
            token = _TOKEN.match(text, position)
            if token is None:
                raise ValueError(f"no AS path: {text!r}")
            position = token.end()
            if token[1]:
                run.append(int(token[1]))
                continue
            segments += cls._sequence(run).segments
            run = []
            kind = {"{": SegmentType.AS_SET, "(": SegmentType.AS_CONFED_SEQUENCE, "[": SegmentType.AS_CONFED_SET}[
                token[2]
            ]
            segments.append(Segment(kind, tuple(_asn(int(asn)) for asn in token[3].replace(",", " ").split())))
        segments += cls._sequence(run).segments
        path = cls(tuple(segments))
        if any(not segment.asns for segment in segments):
            raise ValueError(f"an AS path has no empty segments: {text!r}")
        return path

    def __str__(self) -> str:
        return " ".join(map(str, self.segments))

    def __iter__(self) -> Iterator[int]:
        """Every AS number, nearest first, those of sets and confederation segments too."""
        for segment in self.segments:
            yield from segment.asns

    def __contains__(self, asn: object) -> bool:
        return any(asn in segment.asns for segment in self.segments)

    def count(self, asn: int) -> int:
        """How often an AS number is in the path."""
        return sum(segment.asns.count(asn) for segment in self.segments)

    @property
    def length(self) -> int:
        """As the decision counts it: a set is 1 (RFC 4271 9.1.2.2 a), confederation segments are 0 (RFC 5065 5.3)."""
        return sum(len(asns) if kind == _SEQUENCE else 1 if kind == _SET else 0 for kind, asns in self.segments)

    @property
    def neighbor_as(self) -> int:
        """The first AS after leading confederation segments, 0 where that is a set or nothing."""
        for kind, asns in self.segments:
            if kind == _SEQUENCE and asns:
                return asns[0]
            if kind == _SET:
                return 0
        return 0

    @property
    def origin_as(self) -> int:
        """The AS that originated the route (the last one), 0 where that is a set or nothing."""
        if self.segments and self.segments[-1].type == _SEQUENCE and self.segments[-1].asns:
            return self.segments[-1].asns[-1]
        return 0

    def prepend(self, asn: int, times: int = 1) -> "AsPath":
        """The path with `asn` in front, in the leading AS_SEQUENCE or a new one (RFC 4271 5.1.2)."""
        new = (_asn(asn),) * times
        rest = self.segments
        if rest and rest[0].type == _SEQUENCE and len(rest[0].asns) + times <= 255:
            return AsPath((Segment(SegmentType.AS_SEQUENCE, new + rest[0].asns), *rest[1:]))
        return AsPath(AsPath._sequence(list(new)).segments + rest)

    def without_confederation(self) -> "AsPath":
        """The path as it leaves a confederation, and as AS4_PATH carries it (RFC 5065 4.1, RFC 6793 4.2.2)."""
        return AsPath(tuple(segment for segment in self.segments if segment.type <= _SEQUENCE))


def _asn(value: object) -> int:
    if value == 0:
        raise ValueError("AS 0 is not allowed in a path (RFC 7607)")
    return unsigned(value, "an AS number")


def _segment_of(item: object) -> Segment:
    if isinstance(item, dict) and set(item) == {"type", "asns"}:
        kind, asns = _JSON_TYPES.get(item["type"]) if isinstance(item["type"], str) else None, item["asns"]
    elif isinstance(item, tuple) and len(item) == 2 and item[0] in list(SegmentType):
        kind, asns = SegmentType(item[0]), item[1]
    else:
        raise ValueError(f'a segment is {{"type": …, "asns": […]}}, not {item!r}')
    if kind is None:
        raise ValueError(f"a segment's type is one of {', '.join(_JSON_TYPES)}, not {item!r}")
    if not isinstance(asns, list | tuple) or not 0 < len(asns) <= 255:
        raise ValueError(f"a segment has a list of 1 to 255 AS numbers, not {asns!r}")
    return Segment(kind, tuple(_asn(asn) for asn in asns))


def check_segments(value: bytes, width: int) -> int:
    """Goes over the segments (RFC 7606 7.2); the highest segment type, or `Malformed`."""
    position, end, highest = 0, len(value), 0
    while position < end:
        if end - position < 2:
            raise Malformed("a single octet is left after the last segment")
        kind, count = value[position], value[position + 1]
        if not 1 <= kind <= 4:
            raise Malformed(f"unknown segment type {kind}")
        if not count:
            raise Malformed("a segment has no AS number")
        position += 2
        stop = position + count * width
        if stop > end:
            raise Malformed(f"a segment of {count} AS numbers runs over the end of the attribute")
        # The search is a cheap "no" for nearly every path; zeros across two numbers need the exact look.
        if value.find(b"\0" * width, position, stop) >= 0 and 0 in unpack_asns(value[position:stop], width):
            raise Malformed("AS 0 (RFC 7607)")
        if kind > highest:
            highest = kind
        position = stop
    return highest


def unpack_asns(value: bytes, width: int) -> tuple[int, ...]:
    return struct.unpack(f">{len(value) // width}{'I' if width == 4 else 'H'}", value)


def decode_segments(value: bytes, width: int) -> AsPath:
    """Builds the path; raises `Malformed` as `check_segments`."""
    check_segments(value, width)
    segments: list[Segment] = []
    position, end = 0, len(value)
    while position < end:
        stop = position + 2 + value[position + 1] * width
        segments.append(Segment(SegmentType(value[position]), unpack_asns(value[position + 2 : stop], width)))
        position = stop
    return AsPath(tuple(segments))


def encode_segments(path: AsPath, width: int) -> bytes:
    """The octets; with a width of 2 every AS number must fit, ValueError otherwise."""
    parts: list[bytes] = []
    try:
        for kind, asns in path.segments:
            parts.append(struct.pack(f">BB{len(asns)}{'I' if width == 4 else 'H'}", kind, len(asns), *asns))
    except struct.error:
        raise ValueError(f"the AS path {path} does not fit AS numbers of {width} octets") from None
    return b"".join(parts)


def measure(value: bytes) -> tuple[int, int]:
    """(`AsPath.length`, `AsPath.neighbor_as`) of valid octets with 4-octet AS numbers, without building a path."""
    position, end, length, neighbor = 0, len(value), 0, -1
    while position < end:
        kind, count = value[position], value[position + 1]
        if kind == _SEQUENCE:
            length += count
            if neighbor < 0:
                neighbor = int.from_bytes(value[position + 2 : position + 6], "big")
        elif kind == _SET:
            length += 1
            if neighbor < 0:
                neighbor = 0
        position += 2 + 4 * count
    return length, max(neighbor, 0)


def _check(value: bytes, context: CodecContext) -> None:
    if check_segments(value, 4 if context.four_octet_as else 2) > _SEQUENCE and not context.internal:
        # RFC 5065 section 5: confederation segments from outside of the confederation.
        raise Malformed("confederation segments from an external peer")


def _decode(value: bytes, context: CodecContext) -> AsPath:
    return decode_segments(value, 4 if context.four_octet_as else 2)


def _encode(value: AsPath, context: CodecContext) -> bytes:
    return encode_segments(value, 4 if context.four_octet_as else 2)


def _plain(value: object) -> bytes:
    """Of one AS_SEQUENCE, as an AsPath or as integers."""
    asns: tuple[int, ...] | list[int]
    if isinstance(value, AsPath):
        if len(value.segments) != 1:
            return b""
        kind, asns = value.segments[0]
        if kind != _SEQUENCE:
            return b""
    elif isinstance(value, list | tuple) and set(map(type, value)) == {int}:
        asns = value
    else:
        return b""
    count = len(asns)
    if count >= len(_SEQUENCES) or 0 in asns:
        return b""
    try:
        return _SEQUENCES[count](WELL_KNOWN, 2, 2 + 4 * count, _SEQUENCE, count, *asns)
    except struct.error:
        return b""


_SEQUENCES = [struct.Struct(f">5B{count}I").pack for count in range(64)]  # by the number of AS numbers


def as_path_to_json(value: AsPath) -> object:
    return [{"type": _JSON_NAMES[kind], "asns": list(asns)} for kind, asns in value.segments]


def _everyday_pattern() -> bytes:
    """No segment, or one AS_SEQUENCE with 4-octet AS numbers; the frequent lengths first.  AS 0 is not looked for."""
    counts = sorted(range(1, 64), key=lambda count: abs(count - 4))
    sequences = [re.escape(bytes((2 + 4 * count, _SEQUENCE, count))) + b".{%d}" % (4 * count) for count in counts]
    return b"(?:" + b"|".join([*sequences, rb"\0"]) + b")"


AS_PATH = Attribute(
    code=2,
    section="RFC 7606 7.2",
    name="as_path",
    flags=WELL_KNOWN,
    decode=_decode,
    encode=_encode,
    to_json=as_path_to_json,
    from_json=AsPath.of,
    check=_check,
    error=MalformedASPath,
    pattern=_everyday_pattern(),
    plain=_plain,
)
