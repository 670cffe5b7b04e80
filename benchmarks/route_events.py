"""What the kernel of a host tells of its routes, with the time at which it told."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping

from demo.lab import Host, LabError

RTMGRP_IPV4_ROUTE = 0x40
NEWROUTE, DELROUTE = 24, 25
_RTA_DST = 1
_SO_RCVBUFFORCE = 33


class RouteEvents:
    """The route notifications of one host, from now on."""

    def __init__(self, host: Host) -> None:
        self.socket = host.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 23)
        self.socket.bind((0, RTMGRP_IPV4_ROUTE))
        self.socket.settimeout(20)

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Kind and destination of each notification in the next datagram."""
        data, offset = self.socket.recv(65536), 0
        while offset + 16 <= len(data):
            length, kind = struct.unpack_from("=IH", data, offset)
            attribute, end = offset + 28, offset + length
            while kind in (NEWROUTE, DELROUTE) and attribute + 4 <= end:
                size, number = struct.unpack_from("=HH", data, attribute)
                if number == _RTA_DST:
                    yield kind, data[attribute + 4 : attribute + size]
                    break
                attribute += max(4, (size + 3) & ~3)
            offset += (length + 3) & ~3

    def wait(self, kind: int, destination: bytes) -> float:
        """Monotonic time at which a message of this kind for this /32 arrived."""
        while True:
            if (kind, destination) in list(self.read()):
                return time.monotonic()

    def close(self) -> None:
        self.socket.close()


def all_gone(watched: Mapping[str, RouteEvents], destinations: set[bytes], patience: float) -> float:
    """Monotonic time at which the last of these hosts has deleted the last of these. Raises LabError."""
    left = {events.socket.fileno(): (name, events, set(destinations)) for name, events in watched.items()}
    end = time.monotonic() + patience
    now = time.monotonic()
    while left:
        ready, _, _ = select.select(list(left), [], [], max(0.0, end - time.monotonic()))
        now = time.monotonic()
        if not ready:
            missing = ", ".join(f"{name}: {len(some)}" for name, _, some in left.values())
            raise LabError(f"after {patience:g} s routes of the lost node are still there ({missing})")
        for number in ready:
            _, events, some = left[number]
            some.difference_update(destination for kind, destination in events.read() if kind == DELROUTE)
            if not some:
                del left[number]
    return now
