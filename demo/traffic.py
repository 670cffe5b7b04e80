"""Packets from one workload to another at a steady rate, each with its number, and which of them did not arrive."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from dataclasses import dataclass

from demo.lab import Container, LabError

PORT = 9  # discard
_SO_RCVBUFFORCE = 33
_NUMBER = struct.Struct("!Q")
_AT_ONCE = 50  # packets at most, so that no queue of the kernel overflows after a pause
_LAST_ONES = 1.0  # seconds that the last packets have to arrive


@dataclass(frozen=True, slots=True)
class Arrived:
    """`lost` of `sent`; `hole` is the longest time, in seconds, of whose packets none came."""

    sent: int
    lost: int
    hole: float
    refused: str = ""  # why the sender's own kernel did not take one of them

    def __str__(self) -> str:
        return f"{self.lost} of {self.sent} lost" + (f", {1000 * self.hole:.0f} ms in a row" if self.lost else "")


class Flow:
    """UDP from `source` to `target`, `rate` packets a second from `start()` to `stop()`.

    A thread that comes late sends what is due all the same, and the receiver's buffer holds a minute of packets: a busy
    machine loses none.
    """

    def __init__(self, source: Container, target: Container, rate: int = 1000) -> None:
        self.source, self.target, self.rate = source, target, rate
        self._out = source.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._in = target.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._in.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 26)
        self._in.bind((target.address, PORT))
        self._in.setblocking(False)
        self._sent: list[float] = []
        self._came: set[int] = set()
        self._refused = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self, patience: float = 10.0) -> None:
        """Returns when the first packets have come. Raises LabError where none comes."""
        end = time.monotonic() + patience
        while not select.select([self._in], [], [], 0.1)[0]:
            if time.monotonic() > end:
                self.close()
                raise LabError(f"nothing comes from {self.source.address} to {self.target.address}")
            self._send(b"is there a way?")
        self._thread.start()

    def stop(self) -> Arrived:
        self._stopping.set()
        self._thread.join()
        self.close()
        missing = [number for number in range(len(self._sent)) if number not in self._came]
        return Arrived(len(self._sent), len(missing), self._longest(missing), self._refused)

    def close(self) -> None:
        self._out.close()
        self._in.close()

    def _longest(self, missing: list[int]) -> float:
        longest, begin = 0.0, -1
        for position, number in enumerate(missing):
            if position == 0 or number != missing[position - 1] + 1:
                begin = number
            longest = max(longest, self._sent[number] - self._sent[begin] + 1 / self.rate)
        return longest

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stopping.is_set():
            due = int((time.monotonic() - began) * self.rate)
            for _ in range(min(_AT_ONCE, due - len(self._sent))):
                self._send(_NUMBER.pack(len(self._sent)))
                self._sent.append(time.monotonic())
            self._receive(0.5 / self.rate)
        end = time.monotonic() + _LAST_ONES
        while len(self._came) < len(self._sent) and time.monotonic() < end:
            self._receive(0.05)

    def _send(self, data: bytes) -> None:
        try:
            self._out.sendto(data, (self.target.address, PORT))
        except OSError as error:  # it is lost, and that is what is counted
            self._refused = str(error)

    def _receive(self, patience: float) -> None:
        time.sleep(patience)
        while select.select([self._in], [], [], 0)[0]:
            data = self._in.recv(64)
            if len(data) == _NUMBER.size:
                self._came.add(_NUMBER.unpack(data)[0])
