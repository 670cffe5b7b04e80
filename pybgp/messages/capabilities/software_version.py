"""The name and version of the sender's software (draft-ietf-idr-software-version-capability, code 75 at IANA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

MAXIMUM = 64  # octets


@dataclass(frozen=True, slots=True)
class SoftwareVersion:
    """version: UTF-8, at most 64 octets; what is longer is cut at a character when it is sent."""

    code: ClassVar[int] = 75
    fatal: ClassVar[bool] = False
    version: str

    @classmethod
    def decode(cls, data: bytes) -> SoftwareVersion:
        if not data or len(data) != 1 + data[0]:
            raise ValueError("its length does not fit its octets")
        return cls(data[1:].decode("utf-8"))

    def encode(self) -> bytes:
        version = self.version.encode()
        if len(version) > MAXIMUM:
            version = version[:MAXIMUM].decode("utf-8", "ignore").encode()
        return bytes((len(version),)) + version
