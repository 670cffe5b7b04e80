"""A speaker as a process of its own between a peer that sends raw octets and one that watches.

Nothing of the codec under test is used for what is sent: octets are put together by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.app.program import PORT, Program, running
from tests.loopback import LIMIT, address

OUR_AS, EXTERNAL_AS, WATCHER_AS = 64512, 65001, 64999
MARKER = b"\xff" * 16
KEEPALIVE = MARKER + b"\0\x13\x04"
CEASE = MARKER + b"\0\x15\x03\x06\x02"


def message(kind: int, body: bytes = b"", *, length: int | None = None, marker: bytes = MARKER) -> bytes:
    """A message; `length` where its header shall lie."""
    return marker + (19 + len(body) if length is None else length).to_bytes(2, "big") + bytes((kind,)) + body


def capability(code: int, value: bytes = b"") -> bytes:
    return bytes((code, len(value))) + value


def parameter(value: bytes, kind: int = 2) -> bytes:
    return bytes((kind, len(value))) + value


FAMILIES = capability(1, b"\0\x01\0\x01") + capability(1, b"\0\x02\0\x01")


def four_octets(asn: int) -> bytes:
    return capability(65, asn.to_bytes(4, "big"))


def opening(
    asn: int,
    *,
    version: int = 4,
    field: int | None = None,
    hold_time: int = 90,
    identifier: str = "0a000001",
    parameters: bytes | None = None,
    size: int | None = None,
) -> bytes:
    """An OPEN; without `parameters` both families, 4-octet AS numbers and route refresh."""
    if parameters is None:
        parameters = parameter(FAMILIES + four_octets(asn) + capability(2))
    two = (asn if asn <= 0xFFFF else 23456) if field is None else field
    fixed = bytes((version,)) + two.to_bytes(2, "big") + hold_time.to_bytes(2, "big") + bytes.fromhex(identifier)
    return message(1, fixed + bytes((len(parameters) if size is None else size,)) + parameters)


@dataclass(slots=True)
class Raw:
    """A TCP connection to the speaker."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, *octets: bytes) -> None:
        self.writer.write(b"".join(octets))

    async def receive(self) -> tuple[int, bytes] | None:
        """The next message as type and body; None at the end of the connection."""
        async with asyncio.timeout(LIMIT):
            try:
                header = await self.reader.readexactly(19)
                return header[18], await self.reader.readexactly(int.from_bytes(header[16:18], "big") - 19)
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return None

    async def establish(self, asn: int, identifier: str) -> None:
        self.send(opening(asn, identifier=identifier))
        assert (await self.next_but_updates())[0] == 1
        self.send(KEEPALIVE)
        assert (await self.next_but_updates())[0] == 4

    async def next_but_updates(self) -> tuple[int, bytes]:
        while True:
            found = await self.receive()
            assert found is not None, "the connection was closed without a word"
            if found[0] != 2:
                return found

    async def notification(self) -> bytes:
        """Code, subcode and data of the NOTIFICATION that ends the connection."""
        while True:
            kind, body = await self.next_but_updates()
            if kind == 3:
                assert await self.receive() is None
                return body

    async def leave(self) -> None:
        """End the session, and wait until the speaker knows."""
        self.send(CEASE)
        while await self.receive() is not None:
            pass
        self.writer.close()


@dataclass(slots=True)
class Lab:
    """The speaker at `at`, which takes an internal and an external peer and one that watches."""

    program: Program
    at: str
    internal: str
    external: str
    watcher: str
    made: list[Raw] = field(default_factory=list)

    async def connect(self, source: str) -> Raw:
        self.made.append(Raw(*await asyncio.open_connection(self.at, PORT, local_addr=(source, 0))))
        return self.made[-1]

    async def raw(self, internal: bool) -> Raw:
        """An established session of the peer that will send what is wrong."""
        peer = await self.connect(self.internal if internal else self.external)
        await peer.establish(OUR_AS if internal else EXTERNAL_AS, "0a000001" if internal else "0a000002")
        return peer


@asynccontextmanager
async def lab(folder: Path, more: str = "") -> AsyncIterator[Lab]:
    at, internal, external, watcher = (address() for _ in range(4))
    lines = ["[speaker]", f"local_as = {OUR_AS}", 'bgp_identifier = "10.0.0.9"', f'listen = "{at}"', f"port = {PORT}"]
    for peer, asn in ((internal, OUR_AS), (external, EXTERNAL_AS), (watcher, WATCHER_AS)):
        lines += ["[[peer]]", f'address = "{peer}"', f"peer_as = {asn}", "passive = true", "idle_hold_time = 0"]
        lines += ['families = ["ipv4-unicast", "ipv6-unicast"]', "graceful_restart = false", more]
        lines += ['import_policy = "accept"', 'export_policy = "accept"']
    async with running(folder / "speaker.toml", "\n".join(lines)) as program:
        there = Lab(program, at, internal, external, watcher)
        try:
            yield there
        finally:
            for raw in there.made:
                raw.writer.transport.abort()
            await asyncio.gather(*(raw.writer.wait_closed() for raw in there.made), return_exceptions=True)
