"""IPv4 destinations with IPv6 next hops (RFC 8950, section 4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from pybgp.family import Family

_ENTRY = struct.Struct("!HHH")


@dataclass(frozen=True, slots=True)
class ExtendedNextHop:
    """Families, each with the AFI that its next hops may have as well."""

    code: ClassVar[int] = 5
    fatal: ClassVar[bool] = False
    families: tuple[tuple[Family, int], ...]

    @classmethod
    def decode(cls, data: bytes) -> ExtendedNextHop:
        if len(data) % _ENTRY.size:
            raise ValueError(f"has 6 octets for each family, not {len(data)}")
        if any(data[2 :: _ENTRY.size]):  # two octets for what has one everywhere else
            raise ValueError("has a SAFI over 255")
        return cls(tuple((Family(afi, safi), next_hop) for afi, safi, next_hop in _ENTRY.iter_unpack(data)))

    def encode(self) -> bytes:
        return b"".join(_ENTRY.pack(family.afi, family.safi, next_hop) for family, next_hop in self.families)
