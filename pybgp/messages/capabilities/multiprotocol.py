"""Multiprotocol extensions (RFC 4760, section 8)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from pybgp.family import Family

_VALUE = struct.Struct("!HBB")


@dataclass(frozen=True, slots=True)
class Multiprotocol:
    """The sender speaks this family."""

    code: ClassVar[int] = 1
    fatal: ClassVar[bool] = True
    family: Family

    @classmethod
    def decode(cls, data: bytes) -> Multiprotocol:
        if len(data) != _VALUE.size:
            raise ValueError(f"has 4 octets, not {len(data)}")
        afi, _reserved, safi = _VALUE.unpack(data)
        return cls(Family(afi, safi))

    def encode(self) -> bytes:
        return _VALUE.pack(self.family.afi, 0, self.family.safi)
