from __future__ import annotations

from typing import Any

from measure import Routes, run
from yabgp.message.update import Update


def decode(message: bytes) -> Any:
    return Update.parse(None, message[19:], True)


def routes(update: Any) -> Routes:
    if update["sub_error"]:
        raise ValueError(update)
    path = [asn for _, segment in update["attr"].get(2, ()) for asn in segment]
    return [(prefix, path) for prefix in update["nlri"]]


def values(update: Any) -> Any:
    return {"attr": update["attr"], "nlri": update["nlri"], "withdraw": []}


run(decode, routes, values, lambda update: Update.construct(update, True))
