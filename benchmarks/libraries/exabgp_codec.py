from __future__ import annotations

from typing import Any

from exabgp.bgp.message.direction import Direction
from exabgp.bgp.message.open.capability.negotiated import Negotiated
from exabgp.bgp.message.update import Update
from measure import Routes, run

try:  # 4
    from exabgp.configuration.setup import environment

    environment.setup("")
except ImportError:  # 5
    from exabgp.logger import log

    log.silence()

NEGOTIATED = Negotiated({"capability": {"aigp": False}})
NEGOTIATED.asn4 = True
NEGOTIATED.families = [(1, 1)]


def decode(message: bytes) -> Any:
    return Update.unpack_message(message[19:], Direction.IN, NEGOTIATED)


def routes(update: Any) -> Routes:
    path = update.attributes.get(2)
    segments = () if path is None else getattr(path, "aspath", None) or path.as_seq
    numbers = [int(asn) for segment in segments for asn in _members(segment)]
    return [(str(one.cidr.prefix()), numbers) for one in update.nlris]


def _members(segment: Any) -> Any:
    return segment if hasattr(segment, "__iter__") else (segment,)


run(decode, routes)
