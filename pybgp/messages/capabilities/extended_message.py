"""Extended messages (RFC 8654, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pybgp.messages.capabilities.base import empty


@dataclass(frozen=True, slots=True)
class ExtendedMessage:
    """The sender can receive messages of up to 65535 octets."""

    code: ClassVar[int] = 6
    fatal: ClassVar[bool] = False

    @classmethod
    def decode(cls, data: bytes) -> ExtendedMessage:
        empty(data)
        return cls()

    def encode(self) -> bytes:
        return b""
