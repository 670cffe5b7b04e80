"""Long-lived graceful restart (RFC 9494, section 3): routes may stay, least preferred, after the restart time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pybgp.family import Family

_FORWARDING = 0x80
_ENTRY = 7  # AFI, SAFI, flags, 24 bits of seconds
_TIME = 0xFFFFFF


@dataclass(frozen=True, slots=True)
class LongLivedGracefulRestart:
    """families: each with its forwarding state bit (F) and its long-lived stale time, seconds, 0 to 16777215."""

    code: ClassVar[int] = 71
    fatal: ClassVar[bool] = False
    families: tuple[tuple[Family, bool, int], ...] = ()

    @classmethod
    def decode(cls, data: bytes) -> LongLivedGracefulRestart:
        if len(data) % _ENTRY:
            raise ValueError(f"has {_ENTRY} octets for each family, not {len(data)}")
        entries = [data[start : start + _ENTRY] for start in range(0, len(data), _ENTRY)]
        return cls(
            tuple(
                (Family(int.from_bytes(one[:2]), one[2]), bool(one[3] & _FORWARDING), int.from_bytes(one[4:]))
                for one in entries
            )
        )

    def encode(self) -> bytes:
        parts = []
        for family, kept, seconds in self.families:
            if not 0 <= seconds <= _TIME:
                raise ValueError(f"stale time of {family}: {seconds} s, and 0 to {_TIME} fit its 24 bits")
            parts.append(family.afi.to_bytes(2) + bytes((family.safi, _FORWARDING * kept)) + seconds.to_bytes(3))
        return b"".join(parts)

    def stale_time(self, family: Family) -> int:
        """Seconds for one family; 0 where it is not listed. Of several entries the first counts."""
        return next((seconds for listed, _kept, seconds in self.families if listed == family), 0)

    def forwarding_preserved(self, family: Family) -> bool:
        """The F bit of the family; False where the family is not listed."""
        return next((kept for listed, kept, _seconds in self.families if listed == family), False)
