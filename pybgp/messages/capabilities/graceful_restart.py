"""Graceful restart (RFC 4724, section 3) with the N bit of RFC 8538."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from pybgp.family import Family

_RESTARTING, _NOTIFICATION, _TIME = 0x8000, 0x4000, 0x0FFF
_FORWARDING = 0x80
_FAMILY = struct.Struct("!HBB")


@dataclass(frozen=True, slots=True)
class GracefulRestart:
    """The sender can restart without loss.

    restart_time: seconds, 0 to 4095, until the session is back. families: each with its forwarding state bit (F).
    restarting: the sender has just restarted (R). notification: a NOTIFICATION does not end it either (N).
    """

    code: ClassVar[int] = 64
    fatal: ClassVar[bool] = False
    restart_time: int
    families: tuple[tuple[Family, bool], ...] = ()
    restarting: bool = False
    notification: bool = False

    @classmethod
    def decode(cls, data: bytes) -> GracefulRestart:
        if len(data) < 2 or (len(data) - 2) % _FAMILY.size:
            raise ValueError(f"has 2 octets and 4 for each family, not {len(data)}")
        first = int.from_bytes(data[:2])
        families = tuple(
            (Family(afi, safi), bool(flags & _FORWARDING)) for afi, safi, flags in _FAMILY.iter_unpack(data[2:])
        )
        return cls(first & _TIME, families, bool(first & _RESTARTING), bool(first & _NOTIFICATION))

    def encode(self) -> bytes:
        if not 0 <= self.restart_time <= _TIME:
            raise ValueError(f"restart_time: {self.restart_time} s, and 0 to {_TIME} fit its 12 bits")
        first = self.restart_time
        first |= _RESTARTING * self.restarting | _NOTIFICATION * self.notification
        families = [_FAMILY.pack(family.afi, family.safi, _FORWARDING * kept) for family, kept in self.families]
        return first.to_bytes(2) + b"".join(families)

    def forwarding_preserved(self, family: Family) -> bool:
        """The F bit of the family; False where the family is not listed."""
        return (family, True) in self.families
