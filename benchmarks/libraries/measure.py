"""What each of the programs beside this file shares: the standard library alone, since each runs in an environment of
its own. A program gives `run` its own way to decode one message, to name the routes in what came out, and to encode.

The clock runs around decoding alone, whole messages with their headers, best of so many rounds; the routes are named
afterwards, once, as "prefix AS AS …" lines whose digest shows whether the library has understood them.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Routes = Iterable[tuple[str, Iterable[int]]]


def messages(file: str) -> list[bytes]:
    data, found, at = Path(file).read_bytes(), [], 0
    while at < len(data):
        length = int.from_bytes(data[at + 16 : at + 18], "big")
        found.append(data[at : at + length])
        at += length
    return found


def best(rounds: int, work: Callable[[], object], before: Callable[[], object]) -> float:
    fastest = float("inf")
    for _ in range(rounds):
        before()
        gc.collect()
        began = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - began)
    return fastest


def run(
    decode: Callable[[bytes], Any],
    routes: Callable[[Any], Routes],
    values: Callable[[Any], Any] | None = None,
    encode: Callable[[Any], Any] | None = None,
    before: Callable[[], object] = lambda: None,
) -> None:
    """`values` makes of a decoded message what `encode` takes, off the clock; `before` is called before each round."""
    feed, rounds = messages(sys.argv[1]), int(sys.argv[2])

    def decode_all() -> None:
        for message in feed:
            decode(message)

    seconds = best(rounds, decode_all, before)
    lines, answer = [], {"decode": seconds}
    for message in feed:
        for prefix, path in routes(decode(message)):
            lines.append(f"{prefix} {' '.join(map(str, path))}")
    if values is not None and encode is not None:
        some = [values(decode(message)) for message in feed]

        def encode_all() -> None:
            for one in some:
                encode(one)

        answer["encode"] = best(rounds, encode_all, before)
    digest = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]
    print(json.dumps({**answer, "prefixes": len(lines), "digest": digest}))
