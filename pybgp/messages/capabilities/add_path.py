"""Several paths for one destination (RFC 7911, section 4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from pybgp.family import Family

_ENTRY = struct.Struct("!HBB")
MODES = (1, 2, 3)


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
        families = tuple((Family(afi, safi), mode) for afi, safi, mode in _ENTRY.iter_unpack(data))
        for family, mode in families:
            if mode not in MODES:  # "treated as not understood and ignored": the capability, not the family
                raise ValueError(f"has Send/Receive {mode} for {family}; 1, 2 and 3 have a meaning")
        return cls(families)

    def encode(self) -> bytes:
        for family, mode in self.families:
            if mode not in MODES:
                raise ValueError(f"AddPath: {mode} for {family} does not fit; 1, 2 and 3 do")
        return b"".join(_ENTRY.pack(family.afi, family.safi, mode) for family, mode in self.families)

    def mode(self, family: Family) -> int:
        """Its two bits; 0 where it is absent."""
        return next((mode for listed, mode in self.families if listed == family), 0)
