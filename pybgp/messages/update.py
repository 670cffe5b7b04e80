"""UPDATE (RFC 4271 4.3, RFC 4760, RFC 7606): octets to what they announce and withdraw.

`decode_update` is total: for any octets it gives an `Update`, whose faults and outcome are values, or raises
the `ProtocolError` that ends the session.
"""

from collections.abc import Iterable
from typing import NamedTuple

from pybgp.errors import (
    BadMessageLength,
    InvalidNetworkField,
    MalformedAttributeList,
    MissingWellKnownAttribute,
    OptionalAttributeError,
)
from pybgp.family import IPV4_UNICAST, Family
from pybgp.messages.attributes.as_path import AS_PATH
from pybgp.messages.attributes.base import Fault, Outcome, RawAttribute
from pybgp.messages.attributes.codec import Block, decode_block, error_of, name_of, path_attributes, split_block
from pybgp.messages.attributes.labelled import LabelledAttributes
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.mp_reach import MP_REACH, MpReach
from pybgp.messages.attributes.mp_unreach import MP_UNREACH, MpUnreach
from pybgp.messages.attributes.next_hop import NEXT_HOP
from pybgp.messages.attributes.origin import ORIGIN
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.attributes.quick import quick_decoder
from pybgp.messages.context import CodecContext
from pybgp.messages.nlri import CODEC_OF, codec_of
from pybgp.messages.nlri.base import InvalidNlri, NlriCodec, cut_announced
from pybgp.messages.nlri.unicast import IPV4
from pybgp.prefix import NLRI


class Reach(NamedTuple):
    """Destinations that are reachable with these attributes; `path_ids` beside them where ADD-PATH is on."""

    family: Family
    nlri: list[NLRI]
    attributes: PathAttributes
    path_ids: list[int] | None = None


class Unreach(NamedTuple):
    """Destinations that are withdrawn; `path_ids` beside them where ADD-PATH is on."""

    family: Family
    nlri: list[NLRI]
    path_ids: list[int] | None = None


END_OF_RIB = Unreach(IPV4_UNICAST, [])

_HEADER = 19  # octets before the body of a message
_WITHDRAW = Outcome.TREAT_AS_WITHDRAW
_MP_REACH = MP_REACH.code
# Families on the quick way: their destinations come alone, and have a next hop.
_CODEC_OF_OCTETS = {
    family.afi.to_bytes(2, "big") + bytes((family.safi,)): (codec, codec.next_hop_lengths)
    for family, codec in CODEC_OF.items()
    if codec.labels is None and codec.next_hop_lengths is not None
}
_MP_CODES = frozenset({MP_REACH.code, MP_UNREACH.code})


class Update:
    """One UPDATE, in two views.

    What it means: `unreach`, to be carried out first (RFC 4271 4.3 lets an announcement of the same prefix
    win), then `reach`; `faults` and the strongest of them, `outcome`.  Treat-as-withdraw has already moved
    what was announced into `unreach`.  An End-of-RIB marker is an `Unreach` without NLRI, see `end_of_rib`.

    What it is: `withdrawn`, `attributes` with `remainder`, and `nlri`, octets of `body` in wire order;
    `update_body` puts them together again.

    Equal and hashed by `body` and `context`, which say everything.
    """

    __slots__ = ("body", "context", "faults", "reach", "unreach")

    def __init__(
        self,
        body: bytes,
        context: CodecContext,
        reach: tuple[Reach, ...],
        unreach: tuple[Unreach, ...],
        faults: tuple[Fault, ...] = (),
    ) -> None:
        """Made by `decode_update`."""
        self.body = body
        self.context = context
        self.reach = reach
        self.unreach = unreach
        self.faults = faults

    @property
    def outcome(self) -> Outcome:
        return max((fault.outcome for fault in self.faults), default=Outcome.OK)

    @property
    def end_of_rib(self) -> Family | None:
        """The family whose initial routes are complete with this message (RFC 4724 section 2)."""
        if self.reach or len(self.unreach) != 1 or self.unreach[0].nlri:
            return None
        if self.body == b"\0\0\0\0":
            return IPV4_UNICAST
        # Only an MP_UNREACH_NLRI without NLRI, and nothing besides.
        alone = self.attributes
        if len(alone) == 1 and alone[0].code == MP_UNREACH.code and not self.withdrawn and not self.remainder:
            return self.unreach[0].family
        return None

    @property
    def withdrawn(self) -> bytes:
        """The Withdrawn Routes field."""
        return self.body[2 : 2 + int.from_bytes(self.body[:2], "big")]

    @property
    def block(self) -> bytes:
        """The Path Attributes field."""
        start = 4 + int.from_bytes(self.body[:2], "big")
        return self.body[start : start + int.from_bytes(self.body[start - 2 : start], "big")]

    @property
    def attributes(self) -> tuple[RawAttribute, ...]:
        """The path attributes as they are on the wire, in their order; MP_* among them, malformed ones too."""
        return tuple(split_block(self.block)[0])

    @property
    def remainder(self) -> bytes:
        """What follows the last whole attribute in the Path Attributes field; empty when it is well-formed."""
        return split_block(self.block)[1]

    @property
    def nlri(self) -> bytes:
        """The Network Layer Reachability Information field."""
        start = 4 + int.from_bytes(self.body[:2], "big")
        return self.body[start + int.from_bytes(self.body[start - 2 : start], "big") :]

    @property
    def add_path(self) -> bool:
        """Whether `withdrawn` and `nlri` carry path identifiers."""
        return IPV4_UNICAST in self.context.add_path_receive

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Update):
            return NotImplemented
        return self.body == other.body and self.context == other.context

    def __hash__(self) -> int:
        return hash((self.body, self.context))

    def __repr__(self) -> str:
        return f"Update(reach={self.reach!r}, unreach={self.unreach!r}, faults={self.faults!r})"


def update_body(withdrawn: bytes, attributes: Iterable[RawAttribute], nlri: bytes, remainder: bytes = b"") -> bytes:
    """The body of an UPDATE from its fields; ValueError for one that is longer than its length field can say."""
    block = b"".join([raw.encode() for raw in attributes]) + remainder
    for name, octets in (("withdrawn routes", withdrawn), ("path attributes", block)):
        if len(octets) > 0xFFFF:
            raise ValueError(f"{name} of {len(octets)} octets do not fit, 65535 do")
    return len(withdrawn).to_bytes(2, "big") + withdrawn + len(block).to_bytes(2, "big") + block + nlri


def decode_update(body: bytes, context: CodecContext, pool: AttributePool) -> Update:
    """The UPDATE whose message body (without header) this is, on a session of this context.

    Raises ProtocolError where RFC 7606 asks for a session reset, and never anything else.
    """
    size = len(body)
    if size < 4:
        raise BadMessageLength(f"an UPDATE has at least 23 octets, not {size + 19}", (size + 19).to_bytes(2, "big")).at(
            16
        )
    withdrawn_end = 2 + (body[0] << 8 | body[1])
    start = withdrawn_end + 2
    if start > size:
        reason = f"withdrawn routes of {withdrawn_end - 2} octets in a body of {size}"
        raise MalformedAttributeList(reason).at(_HEADER)
    end = start + (body[withdrawn_end] << 8 | body[withdrawn_end + 1])
    if end > size:
        reason = f"path attributes of {end - start} octets where {size - start} are left"
        raise MalformedAttributeList(reason).at(_HEADER + withdrawn_end)
    if start == end == size:
        if IPV4_UNICAST in context.families:
            # Nothing but withdrawn routes, or End-of-RIB.
            return Update(body, context, (), _unreach(body[2:withdrawn_end], context))
    elif end == size and withdrawn_end == 2 and end - start > 8 and body[start + 1] == _MP_REACH:
        reach = _quick_multiprotocol(body[start:end], context, pool)
        if reach is not None:
            return Update(body, context, (reach,), ())
    elif IPV4_UNICAST in context.families:
        octets = body[start:end]
        known = pool.decoded(context)
        attributes = known.get(octets)
        if attributes is None and context.four_octet_as:
            attributes = quick_decoder(context.internal)(octets, None)
            if attributes is not None:
                pool.remember(known, octets, attributes)
        if attributes is not None and (attributes.next_hop or end == size):
            unreach = _unreach(body[2:withdrawn_end], context) if withdrawn_end > 2 else ()
            if end == size:
                return Update(body, context, (), unreach)
            keys, path_ids = _cut(IPV4, body[end:], context, "NLRI", end)
            return Update(body, context, (Reach(IPV4_UNICAST, keys, attributes, path_ids),), unreach)
    return _decode_exactly(body, context, pool, withdrawn_end, start, end)


def _quick_multiprotocol(octets: bytes, context: CodecContext, pool: AttributePool) -> Reach | None:
    """MP_REACH_NLRI before a block that was seen before or is an everyday one; None to look exactly.

    The place of MP_REACH_NLRI is what RFC 7606 5.1 asks for.
    """
    flags, size = octets[0], len(octets)
    if flags == 0x90:
        value = 4
        stop = 4 + (octets[2] << 8 | octets[3])
    elif flags == 0x80:
        value = 3
        stop = 3 + octets[2]
    else:
        return None
    row = _CODEC_OF_OCTETS.get(octets[value : value + 3])
    if row is None:
        return None
    codec, lengths = row
    if codec.family not in context.families:
        return None
    length = octets[value + 3]
    first = value + 5 + length
    # An attribute over the end, without NLRI, or with another next hop is the exact way's.
    if not first < stop <= size or length not in lengths:
        return None
    known = pool.decoded_multiprotocol(context)
    key = octets[value + 3 : first - 1] + octets[stop:]
    attributes = known.get(key)
    if attributes is None:
        if not context.four_octet_as:
            return None
        attributes = quick_decoder(context.internal)(octets[stop:], octets[value + 4 : first - 1])
        if attributes is None:
            return None
        pool.remember(known, key, attributes)
    try:
        if codec.family in context.add_path_receive:
            keys, path_ids = codec.cut_add_path(octets[first:stop])
            return Reach(codec.family, keys, attributes, path_ids)
        return Reach(codec.family, codec.cut(octets[first:stop]), attributes)
    except InvalidNlri:
        return None


def _cut(
    codec: NlriCodec, field: bytes, context: CodecContext, name: str, at: int
) -> tuple[list[NLRI], list[int] | None]:
    """The keys and path identifiers of a classic field, which begins `at` this octet of the body."""
    try:
        if codec.family in context.add_path_receive:
            return codec.cut_add_path(field)
        return codec.cut(field), None
    except InvalidNlri as error:
        # RFC 7606 5.3: what cannot be read cannot be treated as withdrawn.
        raise InvalidNetworkField(f"{name}: {error}").at(_HEADER + at, "RFC 7606 5.3") from None


def _unreach(field: bytes, context: CodecContext) -> tuple[Unreach, ...]:
    """What the Withdrawn Routes field withdraws; an empty one is that of an End-of-RIB marker."""
    return (Unreach(IPV4_UNICAST, *_cut(IPV4, field, context, "withdrawn routes", 2)),) if field else (END_OF_RIB,)


def _decode_exactly(
    body: bytes, context: CodecContext, pool: AttributePool, withdrawn_end: int, start: int, end: int
) -> Update:
    """The way for everything that is new, multiprotocol or wrong."""
    octets, field = body[start:end], body[end:]
    block = decode_block(octets, context, _HEADER + start)
    faults = block.faults
    unreach: list[Unreach] = []
    reach: list[tuple[Family, bytes | None, list[NLRI], list[int] | None, bytes | None]] = []
    if (withdrawn_end > 2 or len(body) == 4) and _negotiated(IPV4_UNICAST, context, 0, _HEADER, faults):
        unreach += _unreach(body[2:withdrawn_end], context)
    if MP_UNREACH.code in block.good:
        gone = MP_UNREACH.decode(block.good[MP_UNREACH.code][1], context)
        if _negotiated(gone.family, context, MP_UNREACH.code, block.present[MP_UNREACH.code], faults):
            unreach.append(Unreach(gone.family, *_cut_multiprotocol(gone, block, context)[0][:2]))
    announces = bool(field)
    if MP_REACH.code in block.good:
        new = MP_REACH.decode(block.good[MP_REACH.code][1], context)
        announces = announces or bool(new.nlri)
        if not field:
            # RFC 4760 section 3: a NEXT_HOP without NLRI of its own is to be ignored.
            faults[:] = [f for f in faults if f.attribute != NEXT_HOP.code or f.outcome < _WITHDRAW]
        if _negotiated(new.family, context, MP_REACH.code, block.present[MP_REACH.code], faults):
            next_hop = new.next_hop if codec_of(new.family).has_next_hop else b""
            parts = _cut_multiprotocol(new, block, context)
            reach += [(new.family, next_hop, keys, path_ids, stack) for keys, path_ids, stack in parts]
    if field and _negotiated(IPV4_UNICAST, context, 0, _HEADER + end, faults):
        reach.append((IPV4_UNICAST, None, *_cut(IPV4, field, context, "NLRI", end), None))
    if announces:
        _demand_mandatory(block, context, bool(field), _HEADER + start - 2)
    attributes = _attributes_after_faults(block, announces)
    if attributes is None:
        unreach += [Unreach(family, keys, path_ids) for family, _next_hop, keys, path_ids, _stack in reach]
        return Update(body, context, (), tuple(unreach), tuple(faults))
    if announces and not faults and block.present.keys().isdisjoint(_MP_CODES):
        pool.remember(pool.decoded(context), octets, attributes)
    announced = tuple(
        Reach(
            family,
            keys,
            attributes if next_hop is None else pool.intern(_multiprotocol(attributes, next_hop, stack)),
            path_ids,
        )
        for family, next_hop, keys, path_ids, stack in reach
    )
    return Update(body, context, announced, tuple(unreach), tuple(faults))


def _multiprotocol(attributes: PathAttributes, next_hop: bytes, stack: bytes | None) -> PathAttributes:
    """The attributes of what MP_REACH_NLRI announces."""
    attributes = attributes.with_raw_next_hop(next_hop)
    return attributes if stack is None else LabelledAttributes.of(attributes, stack)


def _negotiated(family: Family, context: CodecContext, code: int, offset: int, faults: list[Fault]) -> bool:
    if family in context.families:
        return True
    # RFC 4760 section 7 lets a speaker "ignore all the subsequent routes with that AFI/SAFI", RFC 7606's AFI/SAFI
    # disable.  Nothing of such a family is ever taken, so leaving this out is all that there is to do.
    reason = f"{family} was not negotiated, its routes are left out"
    error = OptionalAttributeError(reason).at(offset, "RFC 4760 7")
    faults.append(Fault(Outcome.AFI_SAFI_DISABLE, code, reason, error))
    return False


def _cut_multiprotocol(
    value: MpReach | MpUnreach, block: Block, context: CodecContext
) -> list[tuple[list[NLRI], list[int] | None, bytes | None]]:
    """The keys, path identifiers and label stack of an MP attribute, after a look at its next hop: of MP_REACH_NLRI
    an entry for each run with the same labels, of MP_UNREACH_NLRI one."""
    family = value.family
    codec = codec_of(family)
    # The octets of a family without a row are kept as they are.
    add_path = family in context.add_path_receive and family in CODEC_OF
    try:
        if isinstance(value, MpReach):
            if not codec.allows_next_hop(len(value.next_hop), extended=family in context.extended_next_hop):
                raise InvalidNlri(f"a next hop of {len(value.next_hop)} octets for {family}")
            return cut_announced(codec, value.nlri, add_path)
        if add_path:
            return [(*(codec.cut_add_path(value.nlri) if value.nlri else ([], [])), None)]
        return [(codec.cut(value.nlri) if value.nlri else [], None, None)]
    except InvalidNlri as error:
        # RFC 7606 5.3 and 7.11; RFC 4760 section 7 names the error.
        code = (MP_REACH if isinstance(value, MpReach) else MP_UNREACH).code
        flags, octets = block.good[code]
        reason = f"{name_of(code)}: {error}"
        section = "RFC 7606 7.11" if isinstance(value, MpReach) else "RFC 7606 7.12"
        wrong = error_of(OptionalAttributeError, RawAttribute(flags, code, octets).encode(), reason)
        raise wrong.at(block.present[code], section) from None


def _demand_mandatory(block: Block, context: CodecContext, classic: bool, offset: int) -> None:
    """RFC 7606 3.d; LOCAL_PREF is "required" on internal sessions (RFC 4271 section 5, RFC 4760 section 3)."""
    for row, needed in ((ORIGIN, True), (AS_PATH, True), (NEXT_HOP, classic), (LOCAL_PREF, context.internal)):
        if needed and row.code not in block.present:
            reason = f"{row.name.upper()} is missing"
            error = MissingWellKnownAttribute(reason, bytes((row.code,))).at(offset, "RFC 7606 3 d")
            block.fault(_WITHDRAW, row.code, reason, error)


def _attributes_after_faults(block: Block, announces: bool) -> PathAttributes | None:
    """The attributes, None to treat as withdrawn; raises where only a reset is left."""
    if block.outcome is Outcome.SESSION_RESET:
        raise next(fault.error for fault in block.faults if fault.outcome is Outcome.SESSION_RESET)
    withdraw = [fault for fault in block.faults if fault.outcome is _WITHDRAW]
    if not withdraw:
        return path_attributes(block)
    if not announces:
        # RFC 7606 5.2: without reachable NLRI we cannot be confident that the NLRI were read.
        raise withdraw[0].error
    return None
