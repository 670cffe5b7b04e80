"""BGP Role (RFC 9234, section 4.1): what the sender is in its relationship with the peer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

ROLE_NAMES: tuple[str, ...] = ("provider", "rs", "rs-client", "customer", "peer")
"""Index is the value on the wire; others are unassigned."""


@dataclass(frozen=True, slots=True)
class Role:
    """value: the sender's role, 0 to 255; see `ROLE_NAMES`."""

    code: ClassVar[int] = 9
    fatal: ClassVar[bool] = False
    value: int

    @classmethod
    def named(cls, name: str) -> Role:
        """By one of `ROLE_NAMES`; ValueError for any other."""
        return cls(ROLE_NAMES.index(name))

    @property
    def name(self) -> str:
        """In words, for values without a name too."""
        return ROLE_NAMES[self.value] if self.value < len(ROLE_NAMES) else f"role {self.value}"

    @classmethod
    def decode(cls, data: bytes) -> Role:
        if len(data) != 1:
            raise ValueError(f"has 1 octet, not {len(data)}")
        return cls(data[0])

    def encode(self) -> bytes:
        return self.value.to_bytes(1)
