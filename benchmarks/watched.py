"""A speaker of the library in a process of its own, whose event loop is watched.

    python -m benchmarks.watched --own 10.90.0.1 --source 10.90.0.2 --client 10.90.0.3 --idle 10.90.1.1 --hold 9

All neighbours dial; the client is one of route reflection; `hold` is the hold time of the idle ones. Orders are lines
of JSON on standard input: `{"count": true}` is answered with how many sessions are established, `{"watch": true}` when
the watch has begun, and `{"stalls": true}` with the longest times for which the loop did not come round since, each
with what it was at.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
import time
import traceback
from types import FrameType

from pybgp import Speaker, State, gc_for_full_tables

BEAT = 0.005
SUSPICIOUS = 0.02  # seconds without a beat after which the watch looks at what the loop is at
KEPT = 10
ASN = 65000


class Watch:
    """A beat in the loop, and a thread that looks where the loop is when the beat does not come."""

    def __init__(self) -> None:
        self.stalls: list[tuple[float, str]] = []
        self._last = 0.0
        self._seen: dict[str, int] = {}
        self._main = threading.get_ident()
        self._running = False

    def begin(self) -> None:
        self.stalls.clear()
        self._last = time.monotonic()
        if not self._running:
            self._running = True
            threading.Thread(target=self._look, daemon=True).start()
            self._beat()

    def _beat(self) -> None:
        now = time.monotonic()
        late = now - self._last - BEAT
        if late > SUSPICIOUS / 2:
            cause = max(self._seen, key=self._seen.__getitem__, default="") if self._seen else "not seen"
            self.stalls.append((late, cause))
        self._seen.clear()
        self._last = now
        asyncio.get_running_loop().call_later(BEAT, self._beat)

    def _look(self) -> None:
        while True:
            time.sleep(BEAT)
            if time.monotonic() - self._last > SUSPICIOUS:
                place = _where(sys._current_frames().get(self._main))
                self._seen[place] = self._seen.get(place, 0) + 1


def _where(frame: FrameType | None) -> str:
    """The innermost functions, for people."""
    if frame is None:
        return ""
    stack = traceback.extract_stack(frame)[-4:]
    return " < ".join(f"{one.name} ({one.filename.rpartition('/')[2]}:{one.lineno})" for one in reversed(stack))


async def serve(own: str, source: str, client: str, idle: list[str], hold: int) -> None:
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Speaker(local_as=ASN, bgp_identifier=own, listen=[own], port=179) as speaker:
        speaker.add_peer(source, peer_as=ASN, passive=True)
        speaker.add_peer(client, peer_as=ASN, passive=True, route_reflector_client=True)
        for address in idle:
            speaker.add_peer(address, peer_as=ASN, passive=True, hold_time=hold)
        watch = Watch()
        while line := await reader.readline():
            order = json.loads(line)
            if "watch" in order:
                watch.begin()
                answer: object = True
            elif "stalls" in order:
                answer = sorted(watch.stalls, reverse=True)[:KEPT]
            else:
                answer = sum(one.state is State.ESTABLISHED for one in speaker.peers().values())
            print(json.dumps(answer), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--own", "--source", "--client", "--idle"):
        parser.add_argument(name, required=True)
    parser.add_argument("--hold", type=int, default=90)
    options = parser.parse_args()
    with gc_for_full_tables():
        asyncio.run(serve(options.own, options.source, options.client, options.idle.split(","), options.hold))


if __name__ == "__main__":
    main()
