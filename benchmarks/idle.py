"""Many idle BGP neighbours in one process, each with an address of its own, that note when KEEPALIVEs come.

    python -m benchmarks.idle --remote 10.91.0.1 --locals 10.91.1.0,10.91.1.1 --hold 9

It answers lines on standard input: `begin` forgets what was noted; `report` gives, as JSON, how many KEEPALIVEs came,
how late the latest of all was, as a part of the keepalive time, and the sessions that have ended. An interval counts as
late by what it exceeds the keepalive time; one that has not ended by the time of the report counts, too.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

from pybgp import PeerConfig
from pybgp.fsm.negotiation import make_open
from pybgp.messages import CodecContext, Keepalive, MessageType, encode_message
from pybgp.messages.framing import Framer

PLAIN = CodecContext()
KEEPALIVE = encode_message(Keepalive(), PLAIN)
ASN = 65000


@dataclass
class Session:
    local: str
    sock: socket.socket
    framer: Framer = field(default_factory=Framer)
    last: float = 0.0
    count: int = 0
    latest: float = 0.0
    ended: str = ""

    def read(self, interval: float) -> None:
        try:
            data = self.sock.recv(65536)
        except OSError as error:
            data, self.ended = b"", str(error)
        now = time.monotonic()
        if not data:
            self.ended = self.ended or "closed"
            return
        for kind, _ in self.framer.feed(data):
            if kind == MessageType.OPEN:
                self.sock.sendall(KEEPALIVE)
            elif kind == MessageType.NOTIFICATION:
                self.ended = "notification"
            elif kind == MessageType.KEEPALIVE:
                self.note(now, interval)
                self.last = now
                self.count += 1

    def note(self, now: float, interval: float) -> None:
        if self.last:
            self.latest = max(self.latest, (now - self.last - interval) / interval)


def connect(local: str, remote: str, hold: int) -> Session:
    config = PeerConfig(
        address=remote,
        peer_as=ASN,
        local_as=ASN,
        bgp_identifier=int.from_bytes(socket.inet_aton(local), "big"),
        hold_time=hold,
        graceful_restart=False,
        route_refresh=False,
    )
    end = time.monotonic() + 30
    while True:
        try:
            sock = socket.create_connection((remote, 179), 5, (local, 0))
            break
        except OSError as error:
            if time.monotonic() > end:
                raise SystemExit(f"no connection from {local} to {remote}: {error}") from None
            time.sleep(0.05)
    sock.sendall(encode_message(make_open(config), PLAIN))
    return Session(local, sock)


def serve(sessions: list[Session], interval: float) -> None:
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    for one in sessions:
        selector.register(one.sock, selectors.EVENT_READ, one)
    send_at = time.monotonic() + interval / 2
    while True:
        for key, _ in selector.select(max(0.0, send_at - time.monotonic())):
            if key.data is not None:
                key.data.read(interval)
                if key.data.ended:
                    selector.unregister(key.data.sock)
                continue
            order = sys.stdin.readline().strip()
            now = time.monotonic()
            if not order:
                return
            for one in sessions:
                if order == "report" and not one.ended:
                    one.note(now, interval)
            told = {
                "keepalives": sum(one.count for one in sessions),
                "latest": max(one.latest for one in sessions),
                "ended": [f"{one.local}: {one.ended}" for one in sessions if one.ended],
            }
            if order == "begin":
                for one in sessions:
                    one.count, one.latest = 0, 0.0
            print(json.dumps(told), flush=True)
        if time.monotonic() >= send_at:
            send_at += interval
            for one in sessions:
                if not one.ended:
                    one.sock.sendall(KEEPALIVE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--remote", required=True)
    parser.add_argument("--locals", required=True)
    parser.add_argument("--hold", type=int, default=90)
    options = parser.parse_args()
    sessions = [connect(local, options.remote, options.hold) for local in options.locals.split(",")]
    serve(sessions, options.hold / 3)


if __name__ == "__main__":
    main()
