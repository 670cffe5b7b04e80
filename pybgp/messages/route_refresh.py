"""ROUTE-REFRESH (RFC 2918) with the subtypes of RFC 7313."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from pybgp.errors import InvalidRouteRefreshLength
from pybgp.family import Family
from pybgp.messages.framing import MessageType, frame

_BODY = struct.Struct("!HBB")


class RefreshSubtype(IntEnum):
    """RFC 7313, section 3.2."""

    REQUEST = 0
    BEGIN = 1  # BoRR
    END = 2  # EoRR


@dataclass(frozen=True, slots=True)
class RouteRefresh:
    """A request for the routes of a family again, or one end of the answer; `orf` keeps what RFC 5291 would add."""

    family: Family
    subtype: int = RefreshSubtype.REQUEST
    orf: bytes = b""


def decode_route_refresh(body: bytes) -> RouteRefresh:
    """Raises InvalidRouteRefreshLength with the whole message as its data (RFC 7313, section 5)."""
    known = RefreshSubtype.BEGIN, RefreshSubtype.END
    if len(body) < _BODY.size or (body[2] in known and len(body) != _BODY.size):
        reason = f"a ROUTE-REFRESH has {_BODY.size} octets after its header, not {len(body)}"
        raise InvalidRouteRefreshLength(reason, frame(MessageType.ROUTE_REFRESH, body)).at(16)
    afi, subtype, safi = _BODY.unpack_from(body)
    return RouteRefresh(Family(afi, safi), subtype, body[_BODY.size :])


def encode_route_refresh(message: RouteRefresh) -> bytes:
    """The body."""
    return _BODY.pack(message.family.afi, message.subtype, message.family.safi) + message.orf
