"""Enhanced route refresh (RFC 7313, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pybgp.messages.capabilities.base import empty


@dataclass(frozen=True, slots=True)
class EnhancedRouteRefresh:
    """The sender marks begin and end of its answer to ROUTE-REFRESH."""

    code: ClassVar[int] = 70
    fatal: ClassVar[bool] = False

    @classmethod
    def decode(cls, data: bytes) -> EnhancedRouteRefresh:
        empty(data)
        return cls()

    def encode(self) -> bytes:
        return b""
