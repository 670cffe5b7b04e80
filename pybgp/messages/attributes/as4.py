"""AS4_PATH and AS4_AGGREGATOR (RFC 6793): how 4-octet AS numbers cross a session with 2-octet ones.

They are never part of a `PathAttributes`: on such a session they are merged on arrival (4.2.3) and made when
sending (4.2.2); a speaker with 4-octet AS numbers must not send them, and they are discarded (4.1).
"""

from pybgp.errors import AttributeLengthError
from pybgp.messages.attributes.aggregator import (
    Aggregator,
    aggregator_from_json,
    aggregator_to_json,
    decode_aggregator,
)
from pybgp.messages.attributes.as_path import (
    AsPath,
    Segment,
    SegmentType,
    as_path_to_json,
    decode_segments,
    encode_segments,
)
from pybgp.messages.attributes.base import OPTIONAL_TRANSITIVE, Attribute, Malformed, Outcome, unsigned
from pybgp.messages.context import CodecContext

AS_TRANS = 23456
_WIDE = CodecContext(four_octet_as=True)


def _decode_path(value: bytes, _context: CodecContext) -> AsPath:
    if len(value) < 6:
        # RFC 6793 section 6: "too small (i.e., less than 6) … to carry at least one AS number".
        raise Malformed(f"{len(value)} octets hold no AS number", AttributeLengthError)
    return decode_segments(value, 4)


def _encode_path(value: AsPath, _context: CodecContext) -> bytes:
    return encode_segments(value, 4)


def _decode_aggregator(value: bytes, _context: CodecContext) -> Aggregator:
    return decode_aggregator(value, _WIDE)


def _encode_aggregator(value: Aggregator, _context: CodecContext) -> bytes:
    if len(value.address) != 4:
        raise ValueError(f"the address of an aggregator has 4 octets, not {len(value.address)}")
    return unsigned(value.asn, "the AS of an aggregator").to_bytes(4, "big") + value.address


AS4_PATH = Attribute(
    code=17,
    section="RFC 6793 6",
    name="as4_path",
    flags=OPTIONAL_TRANSITIVE,
    decode=_decode_path,
    encode=_encode_path,
    to_json=as_path_to_json,
    from_json=AsPath.of,
    malformed=Outcome.ATTRIBUTE_DISCARD,
    from_new_speaker=False,
)

AS4_AGGREGATOR = Attribute(
    code=18,
    section="RFC 6793 6",
    name="as4_aggregator",
    flags=OPTIONAL_TRANSITIVE,
    decode=_decode_aggregator,
    encode=_encode_aggregator,
    to_json=aggregator_to_json,
    from_json=aggregator_from_json,
    length=8,
    malformed=Outcome.ATTRIBUTE_DISCARD,
    from_new_speaker=False,
)


def merge(
    path: AsPath,
    as4_path: AsPath | None,
    aggregator: Aggregator | None,
    as4_aggregator: Aggregator | None,
) -> tuple[AsPath, Aggregator | None]:
    """The path and the aggregator that an old speaker's attributes mean (RFC 6793 4.2.3)."""
    if aggregator is not None and as4_aggregator is not None:
        if aggregator.asn != AS_TRANS:
            return path, aggregator
        aggregator = as4_aggregator
    if as4_path is not None:
        path = _merge_paths(path, as4_path.without_confederation())
    return path, aggregator


def _merge_paths(path: AsPath, as4_path: AsPath) -> AsPath:
    """As many leading AS numbers of `path` before `as4_path` as its own length exceeds that one's."""
    missing = path.length - as4_path.length
    if missing < 0 or not as4_path.segments:
        return path
    leading: list[Segment] = []
    for segment in path.segments:
        kind, asns = segment
        if kind in (SegmentType.AS_CONFED_SEQUENCE, SegmentType.AS_CONFED_SET):
            # Prepended "if it is either the leading path segment or is adjacent to a path segment that is
            # prepended"; what came before it was prepended whole, or the loop had ended.
            leading.append(segment)
        elif missing <= 0:
            break
        elif kind == SegmentType.AS_SET:
            leading.append(segment)
            missing -= 1
        else:
            leading.append(Segment(kind, asns[:missing]))
            taken = min(missing, len(asns))
            missing -= taken
            if taken < len(asns):
                break
    return AsPath(_join_sequences(leading, list(as4_path.segments)))


def _join_sequences(leading: list[Segment], rest: list[Segment]) -> tuple[Segment, ...]:
    if (
        leading
        and rest
        and leading[-1].type == rest[0].type == SegmentType.AS_SEQUENCE
        and len(leading[-1].asns) + len(rest[0].asns) <= 255
    ):
        joined = Segment(SegmentType.AS_SEQUENCE, leading[-1].asns + rest[0].asns)
        return (*leading[:-1], joined, *rest[1:])
    return (*leading, *rest)


def split(
    path: AsPath, aggregator: Aggregator | None
) -> tuple[AsPath, AsPath | None, Aggregator | None, Aggregator | None]:
    """(AS_PATH, AS4_PATH, AGGREGATOR, AS4_AGGREGATOR) for an old speaker (RFC 6793 4.2.2)."""
    as4_path = as4_aggregator = None
    if any(asn > 0xFFFF for asn in path):
        as4_path = path.without_confederation()
        path = AsPath(
            tuple(
                Segment(kind, tuple(asn if asn <= 0xFFFF else AS_TRANS for asn in asns)) for kind, asns in path.segments
            )
        )
        if not as4_path.segments:
            as4_path = None
    if aggregator is not None and aggregator.asn > 0xFFFF:
        as4_aggregator = aggregator
        aggregator = Aggregator(AS_TRANS, aggregator.address)
    return path, as4_path, aggregator, as4_aggregator
