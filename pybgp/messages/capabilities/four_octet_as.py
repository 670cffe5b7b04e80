"""Four-octet AS numbers (RFC 6793, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FourOctetAS:
    """The sender's real AS number; AS numbers in its UPDATEs have four octets."""

    code: ClassVar[int] = 65
    fatal: ClassVar[bool] = True
    asn: int

    @classmethod
    def decode(cls, data: bytes) -> FourOctetAS:
        if len(data) != 4:
            raise ValueError(f"has 4 octets, not {len(data)}")
        return cls(int.from_bytes(data))

    def encode(self) -> bytes:
        return self.asn.to_bytes(4)
