"""The socket: several questions, long ones, and clients that go."""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from calico_route.bird import BirdSocket
from tests.calico_route.bird.test_replies import Memory, told


@asynccontextmanager
async def client(
    path: Path, facts: Memory | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    socket = BirdSocket(path, facts or Memory())
    await socket.open()
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        assert await reader.readline() == b"0001 BIRD 1.6.8 ready.\n"
        yield reader, writer
    finally:
        writer.close()
        await socket.close()


async def test_questions_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "bird.ctl"
    async with client(path) as (reader, writer):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        writer.write(b"show status\r\n\n  show protocols  \nquit\nshow status\n")
        text = (await reader.read()).decode()
        assert text == told("show status") + told("show protocols")
    assert not path.exists()


async def test_a_question_without_end(tmp_path: Path) -> None:
    async with client(tmp_path / "bird.ctl") as (reader, writer):
        writer.write(b"show " + b"x" * 100_000)
        assert await reader.read() == b"9001 Line too long\n"


async def test_a_mistake_of_ours_is_told_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Memory):
        def protocols(self) -> list[object]:  # type: ignore[override]
            raise RuntimeError("no")

    caplog.set_level(logging.ERROR)
    async with client(tmp_path / "bird.ctl", Broken()) as (reader, writer):
        writer.write(b"show protocols\nshow status\n")
        assert (await reader.readline()).startswith(b"9000 Failed to answer")
        assert await reader.readline() == b"1000-BIRD 1.6.8\n"
    assert "'show protocols' failed" in caplog.text


async def test_too_many_clients(tmp_path: Path) -> None:
    path = tmp_path / "bird.ctl"
    async with client(path):
        others = [await asyncio.open_unix_connection(path) for _ in range(15)]
        for reader, _ in others:
            assert (await reader.readline()).startswith(b"0001")
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b"9000 Too many clients, try again\n"
        for one in (writer, *(writer for _, writer in others)):
            one.close()
