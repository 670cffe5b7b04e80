"""What every socket for clients on the same host does."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pybgp import LocalSocket


class Talkative(LocalSocket):
    """Says more than the kernel takes at once, and is done."""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.transport.get_write_buffer_size():
            writer.write(b"x" * 1000)
        await self.send(writer, b"the end")

    async def refuse(self, writer: asyncio.StreamWriter) -> None:
        await self.send(writer, b"no")


async def test_a_client_hears_the_end_of_an_answer(tmp_path: Path) -> None:
    socket = Talkative(tmp_path / "a.sock")
    await socket.open()
    try:
        reader, writer = await asyncio.open_unix_connection(socket.path)
        async with asyncio.timeout(10):
            assert (await reader.read()).endswith(b"xthe end")
        writer.close()
    finally:
        await socket.close()
