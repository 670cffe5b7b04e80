"""The socket: several questions, long ones, and clients that go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from calico_route.bird import BirdSocket
from calico_route.bird import socket as bird_socket
from pybgp import local_socket
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


async def test_half_a_line_is_no_question(tmp_path: Path) -> None:
    async with client(tmp_path / "bird.ctl") as (reader, writer):
        writer.write(b"show sta")
        writer.write_eof()
        assert await reader.read() == b""


@pytest.mark.parametrize("junk", [b"\x00\xff\xfe\n", b'show "\n', b"\x1b]0;x\x07\n", b"show route for \xc3\x28\n"])
async def test_garbage(tmp_path: Path, junk: bytes) -> None:
    async with client(tmp_path / "bird.ctl") as (reader, writer):
        writer.write(junk + b"show status\n")
        assert (await reader.readline()).startswith(b"900")
        assert await reader.readline() == b"1000-BIRD 1.6.8\n"


async def test_restrict_holds_for_its_client_alone(tmp_path: Path) -> None:
    path = tmp_path / "bird.ctl"
    facts = Memory()
    async with client(path, facts) as (reader, writer):
        writer.write(b"restrict\nconfigure\n")
        assert [await reader.readline() for _ in range(2)] == [b"0016 Access restricted\n", b"8007 Access denied\n"]
        other, out = await asyncio.open_unix_connection(path)
        out.write(b"configure\nquit\n")
        assert (await other.read()).endswith(b"0003 Reconfigured\n")
        out.close()
    assert facts.reconfigured == 1


async def test_who_reads_nothing_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_socket, "PATIENCE", 0.2)
    path = tmp_path / "bird.ctl"
    async with client(path) as (reader, writer):
        slow, out = await asyncio.open_unix_connection(path, limit=1024)
        with contextlib.suppress(ConnectionError):
            for _ in range(20_000):
                out.write(b"show protocols all\n")
                await out.drain()
        writer.write(b"show status\n")
        assert await reader.readline() == b"1000-BIRD 1.6.8\n"
        out.transport.abort()
        del slow


async def test_those_who_ask_nothing_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of connections, and a readiness check among them."""
    path = tmp_path / "bird.ctl"
    monkeypatch.setattr(bird_socket, "IDLE", 0.0)
    async with client(path):
        silent = [await asyncio.open_unix_connection(path) for _ in range(300)]
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"show status\nquit\n")
        assert (await reader.read()).decode().startswith("0001 BIRD 1.6.8 ready.\n1000-BIRD")
        for _, one in silent:
            one.close()
        writer.close()


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
