"""Hypothesis strategies for prefixes, attributes, sessions and UPDATEs, for every test that needs some."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages.attributes import ATTRIBUTES, ROW_OF
from pybgp.messages.attributes.aggregator import AGGREGATOR, Aggregator
from pybgp.messages.attributes.as4 import AS4_AGGREGATOR, AS4_PATH
from pybgp.messages.attributes.as_path import AS_PATH, AsPath, Segment, SegmentType
from pybgp.messages.attributes.atomic_aggregate import ATOMIC_AGGREGATE
from pybgp.messages.attributes.base import Attribute, Flag, Malformed, RawAttribute
from pybgp.messages.attributes.cluster_list import CLUSTER_LIST
from pybgp.messages.attributes.communities import COMMUNITIES
from pybgp.messages.attributes.extended_communities import EXTENDED_COMMUNITIES
from pybgp.messages.attributes.large_communities import LARGE_COMMUNITIES
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.mp_reach import MP_REACH, MpReach
from pybgp.messages.attributes.mp_unreach import MP_UNREACH, MpUnreach
from pybgp.messages.attributes.next_hop import NEXT_HOP
from pybgp.messages.attributes.origin import ORIGIN, Origin
from pybgp.messages.attributes.originator_id import ORIGINATOR_ID
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.context import CodecContext
from pybgp.messages.update import update_body
from pybgp.prefix import NLRI, Prefix

FAMILIES = (IPV4_UNICAST, IPV6_UNICAST)
uint32s = st.integers(0, 0xFFFFFFFF)


# -- prefixes ---------------------------------------------------------------------------------------------


@st.composite
def nlris(draw: st.DrawFn, family: Family = IPV4_UNICAST, *, minimum: int = 0) -> NLRI:
    """One destination in wire form, of a length from `minimum` on."""
    bits = 32 if family == IPV4_UNICAST else 128
    length = draw(st.integers(minimum, bits))
    address = draw(st.integers(0, (1 << length) - 1)) << (bits - length) if length else 0
    return bytes((length,)) + address.to_bytes(bits // 8, "big")[: (length + 7) // 8]


def prefixes(family: Family = IPV4_UNICAST, *, minimum: int = 0) -> SearchStrategy[Prefix]:
    return nlris(family, minimum=minimum).map(lambda nlri: Prefix.of(family, nlri))


def nlri_lists(
    family: Family = IPV4_UNICAST, *, min_size: int = 1, max_size: int = 30, unique: bool = True
) -> SearchStrategy[list[NLRI]]:
    return st.lists(nlris(family), min_size=min_size, max_size=max_size, unique=unique)


# -- attributes -------------------------------------------------------------------------------------------


def asns(maximum: int = 0xFFFFFFFF) -> SearchStrategy[int]:
    """AS numbers, mostly of two octets, as on the wire."""
    return st.one_of(st.integers(1, min(65535, maximum)), st.integers(1, maximum))


def as_paths(*, confederations: bool = True, maximum: int = 0xFFFFFFFF) -> SearchStrategy[AsPath]:
    """Paths of all shapes that are valid on the wire."""
    kinds = list(SegmentType) if confederations else [SegmentType.AS_SET, SegmentType.AS_SEQUENCE]
    segment = st.builds(Segment, st.sampled_from(kinds), st.lists(asns(maximum), min_size=1, max_size=6).map(tuple))
    return st.lists(segment, max_size=4).map(lambda segments: AsPath(tuple(segments)))


def next_hops(family: Family = IPV4_UNICAST) -> SearchStrategy[bytes]:
    """4 octets for IPv4; 16, or 32 with a link-local address, for IPv6."""
    if family == IPV4_UNICAST:
        return st.tuples(st.integers(1, 223), st.binary(min_size=3, max_size=3)).map(
            lambda parts: bytes((parts[0],)) + parts[1]
        )
    global_ = st.binary(min_size=15, max_size=15).map(lambda tail: b"\x20" + tail)
    link_local = st.binary(min_size=8, max_size=8).map(lambda tail: b"\xfe\x80" + bytes(6) + tail)
    return st.one_of(global_, st.tuples(global_, link_local).map(b"".join))


def _tuples(items: SearchStrategy[Any]) -> SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, min_size=1, max_size=8).map(tuple)


@st.composite
def mp_reaches(draw: st.DrawFn) -> MpReach:
    family = draw(st.sampled_from(FAMILIES))
    keys = draw(nlri_lists(family, max_size=5))
    return MpReach(family, draw(next_hops(family)), b"".join(keys))


@st.composite
def mp_unreaches(draw: st.DrawFn) -> MpUnreach:
    family = draw(st.sampled_from(FAMILIES))
    return MpUnreach(family, b"".join(draw(nlri_lists(family, min_size=0, max_size=5))))


def attribute_values(row: Attribute[Any], *, four_octet_as: bool = True) -> SearchStrategy[Any]:
    """Valid values of one row, as its `decode` makes them."""
    maximum = 0xFFFFFFFF if four_octet_as else 0xFFFF
    aggregators = st.builds(Aggregator, asns(), st.binary(min_size=4, max_size=4))
    values: dict[int, SearchStrategy[Any]] = {
        ORIGIN.code: st.sampled_from(Origin),
        AS_PATH.code: as_paths(maximum=maximum),
        NEXT_HOP.code: next_hops(),
        MED.code: uint32s,
        LOCAL_PREF.code: uint32s,
        ATOMIC_AGGREGATE.code: st.just(True),
        AGGREGATOR.code: st.builds(Aggregator, asns(maximum), st.binary(min_size=4, max_size=4)),
        COMMUNITIES.code: _tuples(uint32s),
        ORIGINATOR_ID.code: uint32s,
        CLUSTER_LIST.code: _tuples(uint32s),
        MP_REACH.code: mp_reaches(),
        MP_UNREACH.code: mp_unreaches(),
        EXTENDED_COMMUNITIES.code: _tuples(st.binary(min_size=8, max_size=8)),
        AS4_PATH.code: as_paths().filter(lambda path: bool(path.segments)),
        AS4_AGGREGATOR.code: aggregators,
        LARGE_COMMUNITIES.code: _tuples(st.tuples(uint32s, uint32s, uint32s)),
    }
    return values[row.code] if row.code in values else _any_values(row)


def _any_values(row: Attribute[Any]) -> SearchStrategy[Any]:
    """Values of a row that has no strategy of its own yet: those of octets that it decodes."""
    if row.length is not None:
        octets = st.binary(min_size=row.length, max_size=row.length)
    elif row.multiple is not None:
        item = st.binary(min_size=row.multiple, max_size=row.multiple)
        octets = st.lists(item, min_size=1, max_size=4).map(b"".join)
    else:
        octets = st.binary(max_size=20)

    def valid(value: bytes) -> bool:
        try:
            row.decode(value, CodecContext(four_octet_as=True, internal=True))
        except Malformed:
            return False
        return True

    return octets.filter(valid).map(lambda value: row.decode(value, CodecContext(four_octet_as=True, internal=True)))


@st.composite
def unknown_attributes(draw: st.DrawFn, *, flags: tuple[int, ...] = (0x80, 0xC0, 0xE0)) -> RawAttribute:
    """Optional attributes that no row is for."""
    code = draw(st.integers(33, 255).filter(lambda code: code not in ROW_OF))
    return RawAttribute(draw(st.sampled_from(flags)), code, draw(st.binary(max_size=20)))


_OPTIONAL_NAMES = (
    "med",
    "atomic_aggregate",
    "aggregator",
    "communities",
    "extended_communities",
    "large_communities",
)
_INTERNAL_NAMES = ("originator_id", "cluster_list")
_ROW_NAMED = {row.name: row for row in ATTRIBUTES}


@st.composite
def path_attributes(
    draw: st.DrawFn,
    *,
    family: Family = IPV4_UNICAST,
    internal: bool = True,
    next_hop: SearchStrategy[bytes] | None = None,
) -> PathAttributes:
    """Sets that may be announced on an internal or an external session, with a next hop of the family."""
    names = set(draw(st.lists(st.sampled_from(_OPTIONAL_NAMES + _INTERNAL_NAMES * internal), unique=True, max_size=5)))
    values = {name: draw(attribute_values(_ROW_NAMED[name])) for name in sorted(names)}
    if internal:
        values["local_pref"] = draw(uint32s)
    return PathAttributes.build(
        origin=draw(st.sampled_from(Origin)),
        as_path=draw(as_paths(confederations=internal)),
        next_hop=draw(next_hops(family) if next_hop is None else next_hop),
        unknown=draw(st.lists(unknown_attributes(flags=(0xE0,)), max_size=1)),
        **values,
    )


# -- sessions and UPDATEs ---------------------------------------------------------------------------------


@st.composite
def contexts(draw: st.DrawFn) -> CodecContext:
    """Sessions with both families; ADD-PATH in both directions or in neither."""
    add_path = draw(st.frozensets(st.sampled_from(FAMILIES)))
    return CodecContext(
        four_octet_as=draw(st.booleans()),
        extended_message=draw(st.booleans()),
        internal=draw(st.booleans()),
        families=frozenset(FAMILIES),
        add_path_receive=add_path,
        add_path_send=add_path,
        extended_next_hop=draw(st.sampled_from((frozenset(), frozenset({IPV4_UNICAST})))),
    )


@st.composite
def raw_attributes(draw: st.DrawFn, row: Attribute[Any], context: CodecContext) -> RawAttribute:
    """One valid attribute in any form that the wire allows: Partial bit, Extended Length for a short one."""
    value = row.encode(draw(attribute_values(row, four_octet_as=context.four_octet_as)), context)
    flags = row.flags
    if flags & Flag.OPTIONAL and flags & Flag.TRANSITIVE and draw(st.booleans()):
        flags |= Flag.PARTIAL
    if len(value) > 255 or draw(st.booleans()):
        flags |= Flag.EXTENDED_LENGTH
    return RawAttribute(flags, row.code, value)


@st.composite
def update_bodies(draw: st.DrawFn, context: CodecContext) -> bytes:
    """Bodies of UPDATEs with attributes of all kinds in any order and any fields, without ADD-PATH."""
    rows = draw(st.lists(st.sampled_from(ATTRIBUTES), unique_by=lambda row: row.code, max_size=6))
    for row in (ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF):
        if row not in rows and draw(st.integers(0, 9)):
            rows.append(row)
    attributes = [draw(raw_attributes(row, context)) for row in draw(st.permutations(rows))]
    attributes += draw(st.lists(unknown_attributes(), max_size=1))
    withdrawn = b"".join(draw(nlri_lists(min_size=0, max_size=3)))
    return update_body(withdrawn, attributes, b"".join(draw(nlri_lists(min_size=0, max_size=3))))


@st.composite
def mutated(draw: st.DrawFn, octets: SearchStrategy[bytes]) -> bytes:
    """What is left of some octets after a few were changed, inserted, or cut away."""
    result = bytearray(draw(octets))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(result)))
        change = draw(st.sampled_from(("set", "insert", "delete", "truncate")))
        if change == "set" and position < len(result):
            result[position] = draw(st.integers(0, 255))
        elif change == "insert":
            result[position:position] = draw(st.binary(max_size=4))
        elif change == "delete":
            del result[position : position + draw(st.integers(1, 4))]
        elif change == "truncate":
            del result[position:]
    return bytes(result)
