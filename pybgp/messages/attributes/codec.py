"""The attribute block of an UPDATE, octet by octet: lengths, flags, duplicates, values, outcomes (RFC 7606).

This is the exact way, which every block can go and every fault is found on.  It ends for any octets, in time
and memory linear in them, and never raises.
"""

from dataclasses import dataclass, field
from typing import Any, TypeVar

from pybgp.errors import (
    AttributeFlagsError,
    AttributeLengthError,
    MalformedASPath,
    MalformedAttributeList,
    ProtocolError,
    UnrecognizedWellKnownAttribute,
)
from pybgp.messages.attributes import ROW_OF
from pybgp.messages.attributes.aggregator import AGGREGATOR
from pybgp.messages.attributes.as4 import AS4_AGGREGATOR, AS4_PATH, merge
from pybgp.messages.attributes.as_path import AS_PATH, AsPath, encode_segments
from pybgp.messages.attributes.base import Attribute, Fault, Flag, Malformed, Outcome, RawAttribute, encode_tlv
from pybgp.messages.attributes.block import CANONICAL, NOT_IN_BLOCK
from pybgp.messages.attributes.mp_reach import MP_REACH
from pybgp.messages.attributes.mp_unreach import MP_UNREACH
from pybgp.messages.attributes.next_hop import NEXT_HOP
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.context import CodecContext

T = TypeVar("T")

_MP_CODES = (MP_REACH.code, MP_UNREACH.code)


@dataclass(slots=True)
class Block:
    """What a block holds.  `present` are the type codes that were there, well-formed or not,
    each with its offset in the message."""

    present: dict[int, int] = field(default_factory=dict)
    good: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    offset: int = 0  # in the message, of the attribute that is looked at

    def fault(self, outcome: Outcome, code: int, reason: str, error: ProtocolError, section: str = "") -> None:
        if error.offset is None:
            error.at(self.offset, section)
        self.faults.append(Fault(outcome, code, reason, error))

    @property
    def outcome(self) -> Outcome:
        return max((fault.outcome for fault in self.faults), default=Outcome.OK)


def name_of(code: int) -> str:
    """What to call an attribute in words for people."""
    row = ROW_OF.get(code)
    return row.name.upper() if row else f"attribute {code}"


def error_of(kind: type[ProtocolError], octets: bytes, reason: str) -> ProtocolError:
    """A RFC 4271 6.3 error whose data is "the erroneous attribute (type, length, and value)"."""
    return kind(reason, octets)


def split_block(block: bytes) -> tuple[list[RawAttribute], bytes]:
    """The attributes in wire order, and the rest that is none (too short, or longer than the block)."""
    found: list[RawAttribute] = []
    position, end = 0, len(block)
    while end - position >= 3:
        flags = block[position]
        value = position + 3 + (flags >> 4 & 1)
        if value > end:
            break
        stop = value + int.from_bytes(block[position + 2 : value], "big")
        if stop > end:
            break
        found.append(RawAttribute(flags, block[position + 1], block[value:stop]))
        position = stop
    return found, block[position:]


def decode_block(octets: bytes, context: CodecContext, offset: int = 0) -> Block:
    """Every attribute of a block, checked; what is wrong with it as faults. `offset`: of the block in the message."""
    block = Block()
    position = offset
    repeated: set[int] = set()
    attributes, rest = split_block(octets)
    for flags, code, value in attributes:
        block.offset = position
        position += (4 if flags & Flag.EXTENDED_LENGTH else 3) + len(value)
        if code in block.present:
            if code not in repeated:
                repeated.add(code)
                _duplicate(block, code)
            continue
        block.present[code] = block.offset
        row = ROW_OF.get(code)
        if row is None:
            _unrecognized(block, flags, code, value)
        else:
            _recognized(block, row, flags, value, context)
    block.offset = position
    if rest:
        _overrun(block, rest)
    if not context.four_octet_as:
        _upgrade(block, context)
    return block


def _duplicate(block: Block, code: int) -> None:
    # RFC 7606 3.g: twice MP_* resets the session, of any other the first one counts.
    outcome = Outcome.SESSION_RESET if code in _MP_CODES else Outcome.ATTRIBUTE_DISCARD
    reason = f"{name_of(code)} is there more than once"
    block.fault(outcome, code, reason, MalformedAttributeList(reason), "RFC 7606 3 g")


def _unrecognized(block: Block, flags: int, code: int, value: bytes) -> None:
    if not flags & Flag.OPTIONAL:
        # RFC 4271 6.3; RFC 7606 leaves it as it was.
        reason = f"attribute {code} is well-known by its flags, and not known"
        octets = RawAttribute(flags, code, value).encode()
        block.fault(Outcome.SESSION_RESET, code, reason, error_of(UnrecognizedWellKnownAttribute, octets, reason))
    elif flags & Flag.TRANSITIVE:
        # To be passed on with the Partial bit set; the non-transitive are "quietly ignored" (RFC 4271 section 5).
        block.good[code] = (flags | Flag.PARTIAL, value)


def _recognized(block: Block, row: Attribute[Any], flags: int, value: bytes, context: CodecContext) -> None:
    code = row.code
    if (not row.from_external and not context.internal) or (not row.from_new_speaker and context.four_octet_as):
        sender = "an external peer" if not row.from_external else "a speaker with 4-octet AS numbers"
        reason = f"{name_of(code)} from {sender} is ignored"
        block.fault(Outcome.ATTRIBUTE_DISCARD, code, reason, MalformedAttributeList(reason), row.section)
        return
    kind: type[ProtocolError]
    start, section = block.offset, row.section
    if (flags ^ row.flags) & (Flag.OPTIONAL | Flag.TRANSITIVE):
        # RFC 7606 3.c: treat-as-withdraw, whatever the attribute; in MP_* it makes the NLRI incorrect (5.3).
        outcome = max(row.malformed, Outcome.TREAT_AS_WITHDRAW)
        kind, reason, section = AttributeFlagsError, f"flags 0x{flags:02x}", "RFC 7606 3 c"
    elif (row.length is not None and len(value) != row.length) or (
        row.multiple is not None and (not value or len(value) % row.multiple)
    ):
        expected = row.length if row.length is not None else f"a multiple of {row.multiple}"
        outcome = row.malformed
        start += 2
        kind, reason = AttributeLengthError, f"{len(value)} octets where {expected} are expected"
    else:
        try:
            (row.check or row.decode)(value, context)
        except Malformed as malformed:
            outcome = row.malformed
            start += 4 if flags & Flag.EXTENDED_LENGTH else 3
            kind, reason = malformed.error or row.error, malformed.reason
        else:
            block.good[code] = (flags, value)
            return
    reason = f"{name_of(code)}: {reason}"
    # RFC 4271 6.3 defines no data for Malformed AS_PATH.
    octets = b"" if kind is AS_PATH.error else RawAttribute(flags, code, value).encode()
    block.fault(outcome, code, reason, error_of(kind, octets, reason).at(start, section))


def _overrun(block: Block, rest: bytes) -> None:
    # RFC 7606 section 4: treat-as-withdraw; but the NLRI of an MP attribute cannot be read then (3.j).
    code = rest[1] if len(rest) > 1 else 0
    if len(rest) >= 3 + (rest[0] >> 4 & 1):
        reason = f"{name_of(code)} is longer than the rest of the attributes"
    else:
        reason = f"{len(rest)} octets are left after the attributes, too few for one"
    outcome = Outcome.SESSION_RESET if code in _MP_CODES else Outcome.TREAT_AS_WITHDRAW
    block.fault(outcome, code, reason, error_of(AttributeLengthError, rest, reason), "RFC 7606 4")


def _upgrade(block: Block, context: CodecContext) -> None:
    """Replaces AS_PATH and AGGREGATOR by what they mean with 4-octet AS numbers (RFC 6793 4.2.3)."""
    good = block.good

    def value_of(row: Attribute[T]) -> T | None:
        return row.decode(good[row.code][1], context) if row.code in good else None

    path, aggregator = merge(
        value_of(AS_PATH) or AsPath(), value_of(AS4_PATH), value_of(AGGREGATOR), value_of(AS4_AGGREGATOR)
    )
    if aggregator is not None:
        good[AGGREGATOR.code] = (good[AGGREGATOR.code][0], AGGREGATOR.encode(aggregator, CANONICAL))
    if AS_PATH.code in good:
        octets = encode_segments(path, 4)
        if len(octets) > 0xFFFF:
            reason = f"AS_PATH: {path.length} AS numbers do not fit with 4 octets each"
            block.fault(AS_PATH.malformed, AS_PATH.code, reason, MalformedASPath(reason))
            del good[AS_PATH.code]
        else:
            good[AS_PATH.code] = (good[AS_PATH.code][0], octets)


def path_attributes(block: Block) -> PathAttributes:
    """What the good attributes of a block say, with NEXT_HOP as the next hop."""
    good = block.good
    parts = [encode_tlv(good[code][0], code, good[code][1]) for code in sorted(good) if code not in NOT_IN_BLOCK]
    return PathAttributes.of_block(b"".join(parts), good.get(NEXT_HOP.code, (0, b""))[1])
