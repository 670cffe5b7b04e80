"""A BGP neighbour of octets, as a process of its own: it sends prepared streams, and notes when what arrived.

    python -m benchmarks.neighbour --local 10.90.0.2 --remote 10.90.0.1 --as 65000

It dials, and takes orders as JSON lines on standard input: `{"send": FILE}` writes a file to the session and answers
when the first octet left; `{"await": N}` answers when exactly N prefixes were there (and how many there are), and
`{"await": 0}` when none was left. Octets are kept as they come, with the time, and decoded when it is quiet: nothing is
taken from the speaker that is measured but its peer's receive buffer. Times are seconds of CLOCK_MONOTONIC.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from pybgp import IPV4_UNICAST, PeerConfig
from pybgp.fsm.negotiation import make_open
from pybgp.messages import CodecContext, Keepalive, MessageType, Notification, decode_message, encode_message
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.framing import Framer
from pybgp.messages.update import decode_update

QUIET = 0.2
PLAIN = CodecContext()


class Neighbour:
    """One session; see the module. `connect` makes the connection where that is not this process's own affair."""

    def __init__(
        self,
        local: str,
        remote: str,
        asn: int,
        patience: float = 60.0,
        connect: Callable[[], socket.socket] | None = None,
    ) -> None:
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._framer = Framer()
        self._context = CodecContext(four_octet_as=True, internal=True, families=frozenset({IPV4_UNICAST}))
        self._pool = AttributePool()
        self.held: set[bytes] = set()
        self.ended = ""
        identifier = int.from_bytes(socket.inet_aton(local), "big")
        config = PeerConfig(
            address=remote,
            peer_as=asn,
            local_as=asn,
            bgp_identifier=identifier,
            graceful_restart=False,
            route_refresh=False,
            enhanced_route_refresh=False,
            extended_message=False,
        )
        self._news = threading.Event()
        self._sending = threading.Lock()  # no KEEPALIVE in the midst of a message
        end = time.monotonic() + patience
        while True:
            try:
                sock = connect() if connect else socket.create_connection((remote, 179), 5, (local, 0))
                self._sock = self._session(sock, encode_message(make_open(config), PLAIN))
                break
            except OSError as error:
                if time.monotonic() > end:
                    raise SystemExit(f"no session with {remote}: {error}") from None
                time.sleep(0.05)
        threading.Thread(target=self._receive, daemon=True).start()
        threading.Thread(target=self._live, daemon=True).start()

    def _session(self, sock: socket.socket, opening: bytes) -> socket.socket:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(opening)
            sock.settimeout(5)
            framer, done = Framer(), set[int]()
            while not {MessageType.OPEN, MessageType.KEEPALIVE} <= done:
                data = sock.recv(65536)
                if not data:
                    raise ConnectionError("closed before the session stood")
                messages = framer.feed(data)
                for kind, body in messages:
                    done.add(kind)
                    if kind == MessageType.NOTIFICATION:
                        raise ConnectionError(f"refused: {decode_message(kind, body, PLAIN)}")
                    if kind == MessageType.OPEN:
                        sock.sendall(encode_message(Keepalive(), PLAIN))
                    if kind == MessageType.UPDATE:
                        self._update(body)
            sock.settimeout(None)
            self._framer = framer
        except BaseException:
            sock.close()
            raise
        return sock

    def _receive(self) -> None:
        while True:
            try:
                data = self._sock.recv(1 << 18)
            except OSError as error:
                data, self.ended = b"", str(error)
            if not data:
                self.ended = self.ended or "closed by the speaker"
                self._news.set()
                return
            self._chunks.append((time.monotonic(), data))
            self._news.set()

    def next_change(self, patience: float = 30.0) -> float:
        """When the octets came that changed what is held here next. Raises TimeoutError, ConnectionError."""
        before, end = len(self.held), time.monotonic() + patience
        while True:
            if not self._news.wait(max(0.0, end - time.monotonic())):
                raise TimeoutError(f"nothing changed within {patience:g} s")
            self._news.clear()
            while self._chunks:
                when = self._chunks[0][0]
                self._decode(-1, None, 1)
                if len(self.held) != before:
                    return when
            if self.ended:
                raise ConnectionError(self.ended)

    def close(self) -> None:
        self.ended = self.ended or "closed"
        self._sock.shutdown(socket.SHUT_RDWR)

    def _live(self) -> None:
        while not self.ended:
            time.sleep(20)
            if not self.ended:
                with self._sending:
                    self._sock.sendall(encode_message(Keepalive(), PLAIN))

    def send(self, data: bytes) -> dict[str, float]:
        with self._sending:
            began = time.monotonic()
            self._sock.sendall(data)
        return {"began": began, "sent": time.monotonic()}

    def wait(self, count: int, patience: float) -> dict[str, float | int | str]:
        """Until there are `count` prefixes here; `at` is when the octets came that made it so."""
        end = time.monotonic() + patience
        at: float | None = None
        while True:
            quiet = not self._chunks or time.monotonic() - self._chunks[-1][0] > QUIET
            if quiet and self._chunks:
                at = self._decode(count, at)
            elif quiet and (len(self.held) == count or self.ended or time.monotonic() > end):
                break
            else:
                time.sleep(0.02)
        return {"at": at if at is not None else -1.0, "held": len(self.held), "ended": self.ended}

    def _decode(self, count: int, at: float | None, chunks: int | None = None) -> float | None:
        """Take in what has come, or so many chunks of it; the time of the last change that led to `count`."""
        for _ in range(chunks or len(self._chunks)):
            when, data = self._chunks.popleft()
            before = len(self.held)
            for kind, body in self._framer.feed(data):
                if kind == MessageType.NOTIFICATION:
                    message = decode_message(kind, body, PLAIN)
                    assert isinstance(message, Notification)
                    self.ended = f"notification {message}"
                if kind == MessageType.UPDATE:
                    self._update(body)
            if len(self.held) == count and before != count:
                at = when
        return at

    def _update(self, body: bytes) -> None:
        update = decode_update(body, self._context, self._pool)
        for unreach in update.unreach:
            self.held.difference_update(unreach.nlri)
        for reach in update.reach:
            self.held.update(reach.nlri)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--local", required=True)
    parser.add_argument("--remote", required=True)
    parser.add_argument("--as", dest="asn", type=int, default=65000)
    options = parser.parse_args()
    neighbour = Neighbour(options.local, options.remote, options.asn)
    print(json.dumps({"established": time.monotonic()}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "send" in order:
            answer: dict[str, float | int | str] = {**neighbour.send(Path(order["send"]).read_bytes())}
        else:
            answer = neighbour.wait(order["await"], order.get("patience", 120.0))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
