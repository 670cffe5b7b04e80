from __future__ import annotations

from typing import Any

from measure import Routes, run
from os_ken.lib.packet import bgp


def decode(message: bytes) -> Any:
    return bgp.BGPMessage.parser(message)[0]


def routes(update: Any) -> Routes:
    path = [asn for one in update.path_attributes if one.type == 2 for segment in one.value for asn in segment]
    return [(one.prefix, path) for one in update.nlri]


def values(update: Any) -> Any:
    return bgp.BGPUpdate(path_attributes=update.path_attributes, nlri=update.nlri)


run(decode, routes, values, lambda update: update.serialize())
