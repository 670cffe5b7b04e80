"""The peer that watches: which routes it has been told of, octet by octet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from tests.live.raw import WATCHER_AS, Lab, Raw


def prefixes(field: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(field):
        stop = position + 1 + (field[position] + 7) // 8
        yield field[position:stop]
        position = stop


def attributes(block: bytes) -> dict[int, tuple[int, bytes]]:
    """Type code to flags and value; fails for a block that is not well-formed."""
    found: dict[int, tuple[int, bytes]] = {}
    position = 0
    while position < len(block):
        flags, code = block[position], block[position + 1]
        wide = flags >> 4 & 1
        start = position + 3 + wide
        position = start + int.from_bytes(block[position + 2 : start], "big")
        assert position <= len(block)
        assert code not in found
        found[code] = flags, block[start:position]
    return found


class Watcher:
    """`table` has IPv4 prefixes as on the wire, each with the attributes that came with it."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.table: dict[bytes, dict[int, tuple[int, bytes]]] = {}
        self._markers = 0

    @classmethod
    async def of(cls, lab: Lab) -> Watcher:
        raw = await lab.connect(lab.watcher)
        await raw.establish(WATCHER_AS, "0a000003")
        return cls(raw)

    async def until(self, prefix: bytes) -> None:
        """Read until this prefix is announced; nothing but UPDATEs and KEEPALIVEs may come."""
        async with asyncio.timeout(20):
            while prefix not in self.table:
                found = await self.raw.receive()
                assert found is not None, "the session of the watcher ended"
                kind, body = found
                assert kind in (2, 4), f"the watcher got a message of type {kind}: {body.hex()}"
                if kind == 2:
                    self._update(body)

    def _update(self, body: bytes) -> None:
        start = 2 + int.from_bytes(body[:2], "big")
        for prefix in prefixes(body[2:start]):
            self.table.pop(prefix, None)
        stop = start + 2 + int.from_bytes(body[start : start + 2], "big")
        found = attributes(body[start + 2 : stop])
        for prefix in prefixes(body[stop:]):
            self.table[prefix] = found

    async def barrier(self, sender: Raw, announce: bytes) -> None:
        """Until all that `sender` has said before has come here: two routes of its own, one after the other, since
        what waits together may come in any order. `announce` is an UPDATE without its NLRI."""
        for _ in range(2):
            self._markers += 1
            prefix = b"\x18\xc6" + (0x1000 + self._markers).to_bytes(2, "big")
            length = len(announce) + 4
            sender.send(announce[:16] + length.to_bytes(2, "big") + announce[18:] + prefix)
            await self.until(prefix)
