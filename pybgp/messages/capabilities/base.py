"""What a capability is to the codec (RFC 5492)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, Self


class Capability(Protocol):
    """One capability of an OPEN: `code` and a value of at most 255 octets."""

    @property
    def code(self) -> int:
        """The capability code that IANA assigned."""
        ...

    def encode(self) -> bytes:
        """The value, without code and length."""
        ...


class KnownCapability(Capability, Protocol):
    """A capability with a class of its own; its code belongs to the class."""

    code: ClassVar[int]
    fatal: ClassVar[bool]  # whether a malformed value resets the session, else it is kept as unknown

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises ValueError, with words, where the value cannot be."""
        ...


@dataclass(frozen=True, slots=True)
class UnknownCapability:
    """A capability without a class here, or with a value that its class cannot read: kept, shown, not used."""

    code: int
    data: bytes = b""

    def encode(self) -> bytes:
        return self.data


def empty(data: bytes) -> None:
    """For capabilities without a value. Raises ValueError."""
    if data:
        raise ValueError(f"has no value, but {len(data)} octets came")
