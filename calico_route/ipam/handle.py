"""Handles: in which blocks somebody has how many addresses. And affinities: how far a node's claim on a block is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from calico_route.fields import show
from calico_route.model import AffinityState, Raw

from .block import RecordError, read_object
from .cidr import Cidr, parse_cidr, parse_key


def handle_name(text: str) -> str:
    """As it is stored: Calico writes handles in lower case. ValueError where it cannot be part of a key."""
    if not text or "/" in text:
        raise ValueError(f"{text!r} cannot be a handle: it is empty or holds a slash")
    return text.lower()


@dataclass(frozen=True, slots=True)
class Handle:
    """`blocks` has the number of addresses in each."""

    name: str
    blocks: Mapping[Cidr, int] = field(default_factory=dict)
    deleted: bool = False
    raw: Raw = field(default_factory=dict, compare=False, repr=False)

    def changed(self, cidr: Cidr, count: int) -> Handle:
        """With so many more (or less) addresses in a block."""
        return self.holding(cidr, self.blocks.get(cidr, 0) + count)

    def holding(self, cidr: Cidr, count: int) -> Handle:
        blocks = {key: value for key, value in self.blocks.items() if key != cidr}
        if count > 0:
            blocks[cidr] = count
        return replace(self, blocks=blocks)


def read_handle(name: str, value: bytes) -> Handle:
    """RecordError says what cannot be used."""
    document = read_object(value)
    counts = document.get("block")
    if counts is None:
        counts = {}
    if not isinstance(counts, Mapping):
        raise RecordError("block: must be an object of counts")
    blocks: dict[Cidr, int] = {}
    for text, count in counts.items():
        try:  # Calico writes 192.168.0.0/26; the form of the keys, 192.168.0.0-26, is understood too
            cidr = parse_cidr(text) if "/" in text else parse_key(text)
        except ValueError as error:
            raise RecordError(f"block {show(text)}: {error}") from None
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise RecordError(f"block {text}: {show(count)} must be a number of addresses")
        blocks[cidr] = blocks.get(cidr, 0) + count
    return Handle(name, blocks, deleted=document.get("deleted") is True, raw=document)


def write_handle(handle: Handle) -> bytes:
    document = {**handle.raw, "block": {str(cidr): count for cidr, count in handle.blocks.items()}}
    document["deleted"] = handle.deleted
    return json.dumps(document, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Affinity:
    """A claim of a node on a block. Absent states are confirmed ones: old versions wrote them so."""

    state: AffinityState
    raw: Raw = field(default_factory=dict, compare=False, repr=False)


def read_affinity(value: bytes) -> Affinity:
    """RecordError says what cannot be used."""
    if value.strip() in (b"", b'""', b"null"):
        return Affinity(AffinityState.CONFIRMED)
    document = read_object(value)
    state = document.get("state") or AffinityState.CONFIRMED
    try:
        return Affinity(AffinityState(state), document)
    except ValueError:
        raise RecordError(f"state {show(state)}: must be one of {', '.join(AffinityState)}") from None


def write_affinity(state: AffinityState, raw: Raw) -> bytes:
    return json.dumps({**raw, "state": str(state), "deleted": False}, separators=(",", ":")).encode()
