"""Route refresh (RFC 2918, section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pybgp.messages.capabilities.base import empty


@dataclass(frozen=True, slots=True)
class RouteRefreshCapability:
    """The sender answers ROUTE-REFRESH."""

    code: ClassVar[int] = 2
    fatal: ClassVar[bool] = False

    @classmethod
    def decode(cls, data: bytes) -> RouteRefreshCapability:
        empty(data)
        return cls()

    def encode(self) -> bytes:
        return b""
