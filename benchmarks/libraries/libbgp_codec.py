from __future__ import annotations

from typing import Any

from libbgp.bgp.message import Message
from libbgp.bgp.update import Update
from measure import Routes, run

CAPABILITY = {"asn4": True, "addpath": False, "add_path": False}


def decode(message: bytes) -> Any:
    return Message.unpack(message, 0, CAPABILITY).value


def routes(update: Any) -> Routes:
    path = [asn for _, segment in update["attr"].get(2, ()) for asn in segment]
    return [(prefix, path) for prefix in update["nlri"]]


run(decode, routes, lambda update: update, lambda update: Update.pack(update, CAPABILITY))
