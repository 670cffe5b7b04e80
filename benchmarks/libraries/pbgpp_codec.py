from __future__ import annotations

from typing import Any

from measure import Routes, run
from pbgpp.BGP.Update.Message import BGPUpdateMessage  # type: ignore[import-not-found]


def decode(message: bytes) -> Any:
    return BGPUpdateMessage(message[19:], len(message), None)


def routes(update: Any) -> Routes:
    path = [
        asn
        for one in update.path_attributes
        if one.type == 2
        for segment in one.path_segments
        for asn in segment.segments
    ]
    return [(str(one), path) for one in update.nlri]


run(decode, routes)
