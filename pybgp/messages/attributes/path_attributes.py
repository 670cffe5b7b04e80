"""A set of path attributes as the whole speaker carries it: compact, immutable, interpreted on access.

On arrival everything is validated and the few numbers that the decision process needs are taken out; the rest
stays octets until somebody asks.  What is kept costs more than what is parsed, and most of it is never looked
at.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, TypeVar, overload

from pybgp.messages.attributes import ROW_NAMED, ROW_OF
from pybgp.messages.attributes.as_path import AS_PATH, AsPath, SegmentType, measure
from pybgp.messages.attributes.base import (
    Attribute,
    Malformed,
    RawAttribute,
    encode_tlv,
)
from pybgp.messages.attributes.block import CANONICAL, NOT_IN_BLOCK, find, for_old_speaker, place_of, replaced, walk
from pybgp.messages.attributes.cluster_list import CLUSTER_LIST
from pybgp.messages.attributes.communities import COMMUNITIES
from pybgp.messages.attributes.large_communities import LARGE_COMMUNITIES, LargeCommunity
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.next_hop import NEXT_HOP
from pybgp.messages.attributes.origin import ORIGIN, Origin
from pybgp.messages.attributes.originator_id import ORIGINATOR_ID
from pybgp.messages.context import CodecContext
from pybgp.prefix import format_address, pack_address

T = TypeVar("T")

_ORIGIN, _AS_PATH, _NEXT_HOP, _MED, _LOCAL_PREF = ORIGIN.code, AS_PATH.code, NEXT_HOP.code, MED.code, LOCAL_PREF.code
_ORIGINATOR_ID, _CLUSTER_LIST = ORIGINATOR_ID.code, CLUSTER_LIST.code
_ORIGINATOR_HEAD = bytes((ORIGINATOR_ID.flags, _ORIGINATOR_ID, 4))
_MANDATORY = frozenset({_ORIGIN, _AS_PATH})
_ASKED: dict[int, Any] = {}  # stands for: encoded once, and nothing kept


class PathAttributes:
    """One set of path attributes.  Immutable; equal and hashed by `block` and `next_hop`.

    block       the attributes in canonical form: ascending type codes, shortest length form, AS numbers of 4
                octets, without NEXT_HOP, MP_REACH_NLRI, MP_UNREACH_NLRI, AS4_PATH and AS4_AGGREGATOR.
                Attributes that the codec does not know are in it value for value, already marked Partial when
                they were received; unknown non-transitive ones are not (RFC 4271 section 5)
    next_hop    of NEXT_HOP or MP_REACH_NLRI: no octets, 4, 16, or 32 (global and link-local address)
    origin, local_pref, med, as_path_length, neighbor_as (0: none), originator_id, cluster_list_length
                what the decision process needs; None where the attribute is absent

    `attributes[MED]`, `attributes.get(MED)` and `MED in attributes` take the rows of
    `pybgp.messages.attributes`.  Make one with `build`, change one with `with_`, `without`, `with_next_hop`.
    """

    __slots__ = (
        "_memo",
        "as_path_length",
        "block",
        "cluster_list_length",
        "local_pref",
        "med",
        "neighbor_as",
        "next_hop",
        "origin",
        "originator_id",
    )

    def __init__(
        self,
        block: bytes,
        next_hop: bytes,
        origin: int,
        as_path_length: int,
        neighbor_as: int,
        local_pref: int | None,
        med: int | None,
        originator_id: int | None,
        cluster_list_length: int,
    ) -> None:
        """Trusts its arguments: for the codec.  Everybody else uses `build`."""
        self.block = block
        self.next_hop = next_hop
        self.origin = origin
        self.as_path_length = as_path_length
        self.neighbor_as = neighbor_as
        self.local_pref = local_pref
        self.med = med
        self.originator_id = originator_id
        self.cluster_list_length = cluster_list_length
        # Built values by type code, encoded blocks by a negative number: made on demand.
        self._memo: dict[int, Any] | None = None

    @classmethod
    def of_block(cls, block: bytes, next_hop: bytes = b"") -> "PathAttributes":
        """From a valid canonical block."""
        origin, length, neighbor, clusters = int(Origin.INCOMPLETE), 0, 0, 0
        local_pref = med = originator_id = None
        for _flags, code, _start, value, stop in walk(block):
            if code == _ORIGIN:
                origin = block[value]
            elif code == _AS_PATH:
                length, neighbor = measure(block[value:stop])
            elif code == _MED:
                med = int.from_bytes(block[value:stop], "big")
            elif code == _LOCAL_PREF:
                local_pref = int.from_bytes(block[value:stop], "big")
            elif code == _ORIGINATOR_ID:
                originator_id = int.from_bytes(block[value:stop], "big")
            elif code == _CLUSTER_LIST:
                clusters = (stop - value) // 4
        return cls(block, next_hop, origin, length, neighbor, local_pref, med, originator_id, clusters)

    @classmethod
    def build(
        cls,
        *,
        origin: object = Origin.IGP,
        as_path: object = (),
        next_hop: str | bytes | None = None,
        unknown: Iterable[RawAttribute] = (),
        **attributes: object,
    ) -> "PathAttributes":
        """From values by name: `build(origin="igp", as_path=[65001], next_hop="192.0.2.1", med=10)`.

        The names are those of the rows (`ATTRIBUTES`); a value may be what the row's `decode` makes, or its
        JSON or text form (`communities=["65000:1", "no-export"]`).  None leaves an attribute out.  Communities
        of all kinds are sorted and their duplicates dropped.  `unknown` adds attributes that the codec has no
        row for, as they are.  Raises ValueError for an unknown name or a bad value.
        """
        values: dict[int, bytes] = {}
        for name, value in {"origin": origin, "as_path": as_path, **attributes}.items():
            row = _SETTABLE.get(name)
            if row is None:
                known = ", ".join(sorted(_SETTABLE))
                raise ValueError(f"there is no path attribute {name!r} to set; known: {known}, next_hop")
            if value is None:
                continue
            try:
                if type(value) in _PLAIN:
                    tlv = _plain_tlv(row.code, value)
                elif row.plain is None or not (tlv := row.plain(value)):
                    value = row.from_json(value)
                    if name.endswith("communities"):
                        value = frozenset(value)
                    tlv = _checked_tlv(row, value)[0]
            except ValueError as error:
                text = str(error)
                raise ValueError(text if text.startswith(f"{name}: ") else f"{name}: {text}") from None
            if tlv:
                values[row.code] = tlv
        for raw in unknown:
            if raw.code in ROW_OF or raw.code in values:
                raise ValueError(f"attribute {raw.code} is known, or given twice: set it by its name")
            values[raw.code] = encode_tlv(raw.flags, raw.code, raw.value)
        block = b"".join([values[code] for code in sorted(values)])
        return cls.of_block(block, _pack_next_hop(next_hop))

    # -- reading ------------------------------------------------------------------------------------------

    @overload
    def get(self, row: Attribute[T]) -> T | None: ...
    @overload
    def get(self, row: Attribute[T], default: T) -> T: ...
    def get(self, row: Attribute[T], default: T | None = None) -> T | None:
        """The value of an attribute, or `default` where it is absent."""
        memo = self._memo
        code = row.code
        if memo is not None and code in memo:
            value: T = memo[code]
            return value
        if code == _NEXT_HOP:
            return self.next_hop if len(self.next_hop) == 4 else default  # type: ignore[return-value]
        span = find(self.block, code)
        if span is None:
            return default
        value = row.decode(self.block[span[0] : span[1]], CANONICAL)
        self._remember(code, value)
        return value

    def _remember(self, key: int, value: object) -> None:
        if self._memo is None or self._memo is _ASKED:
            self._memo = {}
        self._memo[key] = value

    def __getitem__(self, row: Attribute[T]) -> T:
        value = self.get(row)
        if value is None:
            raise KeyError(row.name)
        return value

    def __contains__(self, row: Attribute[Any]) -> bool:
        if row.code == _NEXT_HOP:
            return len(self.next_hop) == 4
        return find(self.block, row.code) is not None

    def items(self) -> Iterator[tuple[Attribute[Any], Any]]:
        """(row, value) of every known attribute in the block, ascending; the next hop is not among them."""
        for _flags, code, _start, _value, _stop in walk(self.block):
            row = ROW_OF.get(code)
            if row is not None:
                yield row, self[row]

    @property
    def unknown(self) -> tuple[RawAttribute, ...]:
        """The attributes that the codec has no row for."""
        return tuple(
            RawAttribute(flags, code, self.block[value:stop])
            for flags, code, _start, value, stop in walk(self.block)
            if code not in ROW_OF
        )

    @property
    def as_path(self) -> AsPath:
        return self.get(AS_PATH, _EMPTY_PATH)

    @property
    def communities(self) -> frozenset[int]:
        found = self.get(COMMUNITIES)
        return frozenset(found) if found else frozenset()

    @property
    def large_communities(self) -> frozenset[LargeCommunity]:
        found = self.get(LARGE_COMMUNITIES)
        return frozenset(found) if found else frozenset()

    @property
    def cluster_list(self) -> tuple[int, ...]:
        return self.get(CLUSTER_LIST, ())

    @property
    def cluster_octets(self) -> bytes:
        """The CLUSTER_LIST as it is on the wire."""
        span = find(self.block, _CLUSTER_LIST) if self.cluster_list_length else None
        return b"" if span is None else self.block[span[0] : span[1]]

    @property
    def next_hop_text(self) -> str | None:
        """The next hop as an address (the global one of two), None where there is none; the octets in hexadecimal
        digits where a family that the codec does not know has something else."""
        octets = self.next_hop[:16] if len(self.next_hop) == 32 else self.next_hop
        if len(octets) in (0, 4, 16):
            return format_address(octets) if octets else None
        return octets.hex()

    @property
    def link_local_next_hop(self) -> str | None:
        """The link-local address beside a global IPv6 next hop (RFC 2545), if any."""
        return format_address(self.next_hop[16:]) if len(self.next_hop) == 32 else None

    def count_as(self, asn: int) -> int:
        """How often an AS is in the AS_PATH, mostly without building it: for loop detection."""
        if asn.to_bytes(4, "big") not in self.block:
            return 0
        return self.as_path.count(asn)

    # -- changing -----------------------------------------------------------------------------------------

    def with_(self, row: Attribute[T], value: T) -> "PathAttributes":
        """A copy with one attribute set; ValueError for a bad value.  Empty communities remove the attribute."""
        if row.code == _NEXT_HOP:
            return self.with_next_hop(row.encode(value, CANONICAL))
        if row.code in NOT_IN_BLOCK:
            raise ValueError(f"{row.name} is made by the codec and cannot be set")
        tlv, octets = _checked_tlv(row, value)
        return self._replaced(row.code, tlv, octets if tlv else None)

    def without(self, row: Attribute[Any]) -> "PathAttributes":
        """A copy without one attribute; ValueError for ORIGIN and AS_PATH, which every route has."""
        if row.code == _NEXT_HOP:
            return self.with_next_hop(b"")
        if row.code in _MANDATORY:
            raise ValueError(f"{row.name} is mandatory")
        return self._replaced(row.code, b"", None)

    @property
    def has_plain_path(self) -> bool:
        """Whether the AS_PATH is empty or one AS_SEQUENCE, as most are."""
        span = find(self.block, _AS_PATH)
        if span is None or span[0] == span[1]:
            return True
        return self.block[span[0]] == SegmentType.AS_SEQUENCE and span[1] - span[0] == 2 + 4 * self.as_path_length

    def prepend(self, asn: int) -> "PathAttributes":
        """A copy with an AS number in front of the AS_PATH, as `AsPath.prepend`, without building the path."""
        if not 0 < asn <= 0xFFFFFFFF:
            raise ValueError(f"an AS number is an integer from 1 to 4294967295, not {asn!r}")
        span = find(self.block, _AS_PATH)
        value = b"" if span is None else self.block[span[0] : span[1]]
        if value and value[0] == SegmentType.AS_SEQUENCE and value[1] < 255:
            value = bytes((value[0], value[1] + 1)) + asn.to_bytes(4, "big") + value[2:]
        else:
            value = bytes((SegmentType.AS_SEQUENCE, 1)) + asn.to_bytes(4, "big") + value
        tlv = encode_tlv(AS_PATH.flags, _AS_PATH, value)
        new = self._copy(replaced(self.block, _AS_PATH, tlv), self.next_hop)
        new.as_path_length += 1
        new.neighbor_as = asn
        return new

    def reflected(self, originator_id: int, clusters: bytes) -> "PathAttributes":
        """A copy with ORIGINATOR_ID, and CLUSTER_LIST as octets, as a route reflector sends it (RFC 4456 section 8):
        both in one go, in the place of those that are there."""
        block = self.block
        start = place_of(block, _ORIGINATOR_ID)
        stop = (
            start if self.originator_id is None and not self.cluster_list_length else place_of(block, _CLUSTER_LIST + 1)
        )
        tlv = (
            _ORIGINATOR_HEAD
            + originator_id.to_bytes(4, "big")
            + encode_tlv(CLUSTER_LIST.flags, _CLUSTER_LIST, clusters)
        )
        new = self._copy(self.block[:start] + tlv + self.block[stop:], self.next_hop)
        new.originator_id = originator_id
        new.cluster_list_length = len(clusters) // 4
        return new

    def with_next_hop(self, next_hop: bytes) -> "PathAttributes":
        """A copy with another next hop: 4, 16 or 32 octets, or none; ValueError otherwise."""
        if next_hop == self.next_hop:
            return self
        if len(next_hop) not in (0, 4, 16, 32):
            raise ValueError(f"a next hop has 0, 4, 16 or 32 octets, not {len(next_hop)}")
        return self._copy(self.block, next_hop)

    def with_raw_next_hop(self, next_hop: bytes) -> "PathAttributes":
        """The same for the codec, with any octets: for families that it does not know."""
        return self._copy(self.block, next_hop)

    def _copy(self, block: bytes, next_hop: bytes) -> "PathAttributes":
        return PathAttributes(
            block,
            next_hop,
            self.origin,
            self.as_path_length,
            self.neighbor_as,
            self.local_pref,
            self.med,
            self.originator_id,
            self.cluster_list_length,
        )

    def _replaced(self, code: int, tlv: bytes, octets: bytes | None) -> "PathAttributes":
        """A copy with one TLV put in its place (none: taken out), and the field that comes from it set anew."""
        block = replaced(self.block, code, tlv)
        if block == self.block:
            return self
        new = self._copy(block, self.next_hop)
        number = None if octets is None else int.from_bytes(octets, "big") if len(octets) == 4 else None
        if code == _ORIGIN:
            new.origin = octets[0] if octets else int(Origin.INCOMPLETE)
        elif code == _AS_PATH:
            new.as_path_length, new.neighbor_as = measure(octets or b"")
        elif code == _MED:
            new.med = number
        elif code == _LOCAL_PREF:
            new.local_pref = number
        elif code == _ORIGINATOR_ID:
            new.originator_id = number
        elif code == _CLUSTER_LIST:
            new.cluster_list_length = len(octets or b"") // 4
        return new

    # -- sending ------------------------------------------------------------------------------------------

    def encoded(self, *, four_octet_as: bool, classic: bool) -> bytes:
        """The attributes as an UPDATE carries them, without MP_REACH_NLRI; kept when it is asked for again.

        `classic`: with NEXT_HOP, for IPv4 in the NLRI field.  Without 4-octet AS numbers AS_PATH and AGGREGATOR
        are mapped to AS_TRANS where needed, with AS4_PATH and AS4_AGGREGATOR beside them (RFC 6793 4.2.2).
        """
        key = -1 - (2 * four_octet_as + classic)
        memo = self._memo
        if memo is not None and key in memo:
            known: bytes = memo[key]
            return known
        if four_octet_as and not classic:
            return self.block
        encoded = self.block if four_octet_as else for_old_speaker(self.block)
        if classic:
            encoded = replaced(encoded, _NEXT_HOP, encode_tlv(NEXT_HOP.flags, _NEXT_HOP, self.next_hop))
        if memo is None:
            self._memo = _ASKED  # most sets go to one neighbour: what is asked for twice is kept
        else:
            self._remember(key, encoded)
        return encoded

    # -- identity -----------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, PathAttributes):
            return NotImplemented
        return self.block == other.block and self.next_hop == other.next_hop

    def __hash__(self) -> int:
        return hash((self.block, self.next_hop))

    def __repr__(self) -> str:
        words = [
            f"{row.name}={row.to_json(value) if row is not AS_PATH else str(value)!r}" for row, value in self.items()
        ]
        words += [f"unknown({raw.code})=0x{raw.value.hex()}" for raw in self.unknown]
        if self.next_hop:
            words.append(f"next_hop={self.next_hop_text}")
        return f"PathAttributes({', '.join(words)})"


_SETTABLE = {name: row for name, row in ROW_NAMED.items() if row.code not in NOT_IN_BLOCK}
_EMPTY_PATH = AsPath()
_PLAIN = (int, str, Origin)


def _checked_tlv(row: Attribute[T], value: T) -> tuple[bytes, bytes]:
    """(TLV, value octets), empty both where the attribute would be empty and must not be."""
    octets = row.encode(value, CANONICAL)
    if row.multiple and not octets:
        return b"", b""
    if row.length is not None and len(octets) != row.length:
        raise ValueError(f"{row.name} has {row.length} octets, not {len(octets)}")
    try:
        (row.check or row.decode)(octets, CANONICAL)
    except Malformed as error:
        raise ValueError(f"{row.name}: {error.reason}") from None
    return encode_tlv(row.flags, row.code, octets), octets


@lru_cache(maxsize=4096, typed=True)
def _plain_tlv(code: int, value: object) -> bytes:
    """Of an origin, a LOCAL_PREF, a MED: thousands of sets share a few of each."""
    row = ROW_OF[code]
    return _checked_tlv(row, row.from_json(value))[0]


@lru_cache(maxsize=4096)
def _pack_next_hop(next_hop: str | bytes | None) -> bytes:
    if not next_hop:
        return b""
    raw = pack_address(next_hop) if isinstance(next_hop, str) else bytes(next_hop)
    if len(raw) not in (4, 16, 32):
        raise ValueError(f"next_hop: an address, or its 4, 16 or 32 octets, not {next_hop!r}")
    return raw


class AttributePool:
    """Bounded memory of one speaker: attribute blocks seen before, and one object for equal sets.

    Bounded by forgetting everything at once at `limit`, and by never remembering large blocks: a block that comes
    again is decoded again, nothing depends on what is remembered.
    """

    # Octets of a block that is worth remembering; beyond it a hostile peer could fill the memory.
    LARGEST = 1024

    def __init__(self, limit: int = 8192) -> None:
        if limit < 1:
            raise ValueError(f"the limit of an attribute pool is at least 1, not {limit}")
        self.limit = limit
        # One for each of (four_octet_as, internal), since these say what a block means and whether it is valid.
        self._decoded: tuple[dict[bytes, PathAttributes], ...] = ({}, {}, {}, {})
        self._multiprotocol: tuple[dict[bytes, PathAttributes], ...] = ({}, {}, {}, {})
        self._interned: dict[PathAttributes, PathAttributes] = {}

    def intern(self, attributes: PathAttributes) -> PathAttributes:
        """The one object that stands for all equal to `attributes`, as long as it is remembered."""
        interned = self._interned
        known = interned.get(attributes)
        if known is not None:
            return known
        if len(attributes.block) <= self.LARGEST:
            if len(interned) >= self.limit:
                interned.clear()
            interned[attributes] = attributes
        return attributes

    def remember(self, table: dict[bytes, PathAttributes], key: bytes, attributes: PathAttributes) -> None:
        """Into one of the two tables below."""
        if len(key) <= self.LARGEST:
            if len(table) >= self.limit:
                table.clear()
            table[key] = attributes

    def decoded(self, context: CodecContext) -> dict[bytes, PathAttributes]:
        """Attribute blocks of the wire, without MP attributes and without any fault, and what they mean."""
        return self._decoded[2 * context.four_octet_as + context.internal]

    def decoded_multiprotocol(self, context: CodecContext) -> dict[bytes, PathAttributes]:
        """The same for blocks after MP_REACH_NLRI; keys are its next hop, length octet first, and the block."""
        return self._multiprotocol[2 * context.four_octet_as + context.internal]

    @property
    def size(self) -> int:
        """How much is remembered, in objects."""
        return len(self._interned) + sum(map(len, self._decoded + self._multiprotocol))
