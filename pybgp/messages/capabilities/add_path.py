"""Several paths for one destination (RFC 7911, section 4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from pybgp.family import Family

_ENTRY = struct.Struct("!HBB")
RECEIVE, SEND = 1, 2  # two bits: 3 is both


@dataclass(frozen=True, slots=True)
class AddPath:
    """Families with path identifiers, each with 1 (the sender receives), 2 (sends) or 3 (both)."""

    code: ClassVar[int] = 69
    fatal: ClassVar[bool] = False
    families: tuple[tuple[Family, int], ...]

    @classmethod
    def decode(cls, data: bytes) -> AddPath:
        if len(data) % _ENTRY.size:
            raise ValueError(f"has 4 octets for each family, not {len(data)}")
        return cls(tuple((Family(afi, safi), mode) for afi, safi, mode in _ENTRY.iter_unpack(data)))

    def encode(self) -> bytes:
        return b"".join(_ENTRY.pack(family.afi, family.safi, mode) for family, mode in self.families)

    def mode(self, family: Family) -> int:
        """Its two bits; 0 where it is absent or has a value that RFC 7911 says to ignore."""
        return next((mode for listed, mode in self.families if listed == family and 1 <= mode <= 3), 0)
