"""An address block, read and written as Calico does: who has each address, who owns the block.

A Block is a value; what changes it gives a new one. Its document stays beside it, so that fields which a newer Calico
has added are written back as they were.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from calico_route.fields import show
from calico_route.model import Raw

from .cidr import Address, Cidr, parse_cidr

_HOST = "host:"
LARGEST = 1 << 16  # addresses in a block: Calico has 4,096 at most, and all of them stand in one value


class RecordError(ValueError):
    """A record of the datastore that cannot be used. The text says what of it, and why."""


class Attribute(NamedTuple):
    """Who has addresses: the handle, and what was said beside it (`node`, `pod`, `timestamp` …)."""

    handle: str | None
    secondary: Mapping[str, str]
    raw: Raw

    @property
    def node(self) -> str | None:
        return self.secondary.get("node")


@dataclass(frozen=True, slots=True)
class Block:
    """`allocations` has for each address the index into `attributes`, or None where it is free. `unallocated` are the
    free ones, the longest free first. `sequence` grows with each change, `sequences` has it as of each allocation.

    `consistent`: whether the two lists of what is free agree. Calico hands out what stands in `unallocated` without
    looking at `allocations`, so that otherwise an address could be given twice."""

    cidr: Cidr
    affinity: str | None
    allocations: tuple[int | None, ...]
    unallocated: tuple[int, ...]
    attributes: tuple[Attribute, ...] = ()
    sequence: int = 0
    sequences: Mapping[str, int] = field(default_factory=dict)
    deleted: bool = False
    consistent: bool = True
    raw: Raw = field(default_factory=dict, compare=False, repr=False)

    @property
    def host(self) -> str | None:
        """The node whose block it is; None: nobody's, or that of something which is no node."""
        return self.affinity[len(_HOST) :] if self.affinity is not None and self.affinity.startswith(_HOST) else None

    @property
    def empty(self) -> bool:
        return all(index is None for index in self.allocations)

    @property
    def free(self) -> int:
        """The free addresses as bits, the lowest address in the lowest."""
        bits = 0
        for ordinal in self.unallocated:
            bits |= 1 << ordinal
        return bits

    def address(self, ordinal: int) -> Address:
        return Address(self.cidr.version, self.cidr.first + ordinal)

    def ordinal(self, address: Address) -> int:
        return address.number - self.cidr.first

    def owner(self, ordinal: int) -> Attribute | None:
        index = self.allocations[ordinal]
        return None if index is None else self.attributes[index]

    def held(self) -> Iterable[tuple[int, Attribute]]:
        """Each address that somebody has, as its ordinal, and who."""
        for ordinal, index in enumerate(self.allocations):
            if index is not None:
                yield ordinal, self.attributes[index]

    def of_handle(self, handle: str) -> tuple[int, ...]:
        wanted = {index for index, one in enumerate(self.attributes) if one.handle == handle}
        return tuple(ordinal for ordinal, index in enumerate(self.allocations) if index in wanted) if wanted else ()

    def assign(self, ordinals: Sequence[int], handle: str, secondary: Mapping[str, str]) -> Block:
        """With these, which must be free, given to a handle."""
        attributes = self.attributes
        same = (one.handle == handle and one.secondary == secondary for one in attributes)
        index = next((place for place, found in enumerate(same) if found), len(attributes))
        if index == len(attributes):
            said = dict(secondary)
            attributes = (*attributes, Attribute(handle, said, {"handle_id": handle, "secondary": said}))
        allocations, taken, sequence = list(self.allocations), set(ordinals), self.sequence + 1
        sequences = dict(self.sequences)
        for ordinal in ordinals:
            if allocations[ordinal] is not None:
                raise ValueError(f"{self.address(ordinal)} is not free")
            allocations[ordinal] = index
            sequences[str(ordinal)] = sequence
        return replace(
            self,
            allocations=tuple(allocations),
            unallocated=tuple(one for one in self.unallocated if one not in taken),
            attributes=attributes,
            sequence=sequence,
            sequences=sequences,
        )

    def release(self, ordinals: Iterable[int]) -> Block:
        """Without these; attributes that nobody has any more go too."""
        gone = [ordinal for ordinal in ordinals if self.allocations[ordinal] is not None]
        if not gone:
            return self
        allocations = list(self.allocations)
        for ordinal in gone:
            allocations[ordinal] = None
        used = sorted({index for index in allocations if index is not None})
        moved = {index: place for place, index in enumerate(used)}
        return replace(
            self,
            allocations=tuple(None if index is None else moved[index] for index in allocations),
            unallocated=(*self.unallocated, *gone),
            attributes=tuple(self.attributes[index] for index in used),
            sequence=self.sequence + 1,
            sequences={key: value for key, value in self.sequences.items() if key not in set(map(str, gone))},
        )

    def owned_by(self, affinity: str | None) -> Block:
        """The same, as the block of somebody else, or of nobody."""
        return replace(self, affinity=affinity, sequence=self.sequence + 1)

    def mended(self) -> Block:
        """With `unallocated` as `allocations` says: those that are free keep their order, forgotten ones come last."""
        kept = dict.fromkeys(one for one in self.unallocated if self.allocations[one] is None)
        kept.update(dict.fromkeys(one for one, index in enumerate(self.allocations) if index is None))
        return replace(self, unallocated=tuple(kept), sequence=self.sequence + 1, consistent=True)


def host_affinity(node: str) -> str:
    return _HOST + node


def new_block(cidr: Cidr, node: str, now: datetime) -> Block:
    """All of it free. Its sequence begins with the time in microseconds, so that one which is deleted and made again
    does not go through the same numbers."""
    claimed = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Block(
        cidr,
        host_affinity(node),
        (None,) * cidr.size,
        tuple(range(cidr.size)),
        sequence=int(now.timestamp() * 1_000_000),
        raw={"cidr": str(cidr), "affinity": host_affinity(node), "affinity_claim_time": claimed},
    )


def write_block(block: Block) -> bytes:
    document: dict[str, Any] = {"cidr": str(block.cidr), **block.raw}
    document["affinity"] = block.affinity
    if block.affinity is None:
        document.pop("affinity_claim_time", None)
    document.pop("hostAffinity", None)  # the old name of the same, which stood in `affinity`'s place
    document["allocations"] = block.allocations
    document["unallocated"] = block.unallocated
    document["attributes"] = [one.raw for one in block.attributes]
    document["sequenceNumber"] = block.sequence
    document["sequenceNumberForAllocation"] = block.sequences
    document["deleted"] = block.deleted
    return json.dumps(document, separators=(",", ":")).encode()


def read_block(cidr: Cidr, value: bytes) -> Block:
    """The block that the key of `cidr` holds. RecordError says what cannot be used."""
    document = read_object(value)
    if document.get("cidr") is not None and _cidr(document["cidr"]) != cidr:
        raise RecordError(f"cidr {show(document['cidr'])}: the key says {cidr}")
    if cidr.size > LARGEST:
        raise RecordError(f"{cidr} has more than {LARGEST} addresses: no block of Calico's")
    attributes = tuple(_attribute(index, one) for index, one in enumerate(_items(document, "attributes")))
    allocations = _items(document, "allocations")
    if len(allocations) != cidr.size:
        raise RecordError(f"allocations: {len(allocations)} entries, {cidr} has {cidr.size} addresses")
    free = set()
    for ordinal, index in enumerate(allocations):
        if index is None:
            free.add(ordinal)
        elif not _is_index(index, len(attributes)):
            raise RecordError(f"allocations: {show(index)} is no index of the {len(attributes)} attributes")
    unallocated = _items(document, "unallocated")
    for ordinal in unallocated:
        if not _is_index(ordinal, cidr.size):
            raise RecordError(f"unallocated: {show(ordinal)} is no address of the block's {cidr.size}")
    affinity = document.get("affinity")
    old = document.get("hostAffinity")
    if affinity is None and isinstance(old, str) and old:
        affinity = host_affinity(old)
    if affinity is not None and not isinstance(affinity, str):
        raise RecordError(f"affinity {show(affinity)}: must be a text such as host:node1")
    sequences = document.get("sequenceNumberForAllocation") or {}
    if not isinstance(sequences, Mapping) or not all(_is_number(number) for number in sequences.values()):
        raise RecordError("sequenceNumberForAllocation: must be an object of numbers")
    sequence = document.get("sequenceNumber") or 0
    if not _is_number(sequence):
        raise RecordError(f"sequenceNumber {show(sequence)}: must be a number")
    return Block(
        cidr,
        affinity or None,
        tuple(allocations),
        tuple(unallocated),
        attributes,
        sequence,
        dict(sequences),
        deleted=document.get("deleted") is True,
        consistent=len(unallocated) == len(free) and set(unallocated) == free,
        raw=document,
    )


def read_object(value: bytes) -> dict[str, Any]:
    """The JSON object that a record is. RecordError."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON ({error}): {show(value[:60].decode('utf-8', 'replace'))}") from None
    if not isinstance(document, dict):
        raise RecordError(f"{show(document)}: must be an object")
    return document


def _cidr(text: object) -> Cidr:
    try:
        return parse_cidr(text)
    except ValueError as error:
        raise RecordError(f"cidr {show(text)}: {error}") from None


def _items(document: Raw, name: str) -> list[Any]:
    found = document.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise RecordError(f"{name}: must be a list")
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_index(value: object, size: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < size


def _attribute(index: int, value: object) -> Attribute:
    if not isinstance(value, dict):
        raise RecordError(f"attributes[{index}]: must be an object")
    handle, secondary = value.get("handle_id"), value.get("secondary") or {}
    if handle is not None and not isinstance(handle, str):
        raise RecordError(f"attributes[{index}].handle_id {show(handle)}: must be a text")
    if not isinstance(secondary, dict) or not all(isinstance(one, str) for one in secondary.values()):
        raise RecordError(f"attributes[{index}].secondary: must be an object of texts")
    return Attribute(handle or None, secondary, value)
