"""End-of-RIB markers as they come over the wire to a host, with the time."""

from __future__ import annotations

import socket
import threading
import time

from demo.lab import Host, LabError

MARKER = b"\xff" * 16 + b"\x00\x17\x02" + bytes(4)  # RFC 4724 section 2: an UPDATE with nothing in it
_ETH_P_IP = 0x0800
_SOURCE = slice(26, 30)  # of the IPv4 header behind that of Ethernet
_BEAT = 0.1


class EndsOfRib:
    """Of IPv4, from whomever, from now on until `close()`."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._came: list[tuple[float, str]] = []
        self._socket = host.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_IP))
        self._socket.bind((host.interface, _ETH_P_IP))
        self._socket.settimeout(_BEAT)
        self._news = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def wait(self, source: str, since: float, patience: float = 60.0) -> float:
        """Monotonic time at which the first one of an address came after `since`. Raises LabError."""
        found: list[float] = []

        def there() -> bool:
            found.extend(when for when, who in self._came if who == source and when >= since)
            return bool(found)

        with self._news:
            if not self._news.wait_for(there, patience):
                raise LabError(f"no End-of-RIB of {source} came to {self.host.name} within {patience:g} s")
        return found[0]

    def close(self) -> None:
        self._closing = True
        self._thread.join()
        self._socket.close()

    def _follow(self) -> None:
        while not self._closing:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            if MARKER in data:
                with self._news:
                    self._came.append((time.monotonic(), socket.inet_ntoa(data[_SOURCE])))
                    self._news.notify_all()
