"""The control socket: requests and answers as lines, and what clients cannot do to the process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pybgp import ControlSocket, control, local_socket


@contextlib.asynccontextmanager
async def listening(path: Path, reply: control.Answer = lambda request: {"status": {}}) -> AsyncIterator[ControlSocket]:
    made = ControlSocket(path, reply)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def exchange(path: Path, *lines: bytes) -> list[dict[str, Any]]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"".join(lines))
    writer.write_eof()
    answers = [json.loads(line) for line in (await reader.read()).splitlines()]
    writer.close()
    return answers


async def test_only_the_owner_and_no_traces(tmp_path: Path) -> None:
    path = tmp_path / "run" / "a.sock"
    async with listening(path):
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


async def test_a_socket_left_over_from_a_crash_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    assert path.exists()
    async with listening(path):
        with pytest.raises(OSError, match="another process answers"):
            await ControlSocket(path, lambda request: {}).open()
        assert await exchange(path, b'{"id": 7}\n') == [{"id": 7, "status": {}}]


async def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(OSError, match="no socket"):
        await ControlSocket(path, lambda request: {}).open()
    assert path.read_text() == "data"


async def test_an_endless_line(tmp_path: Path) -> None:
    async with listening(tmp_path / "s") as made:
        replies = await exchange(made.path, b"x" * 20_000)
        assert "at most 4096 octets" in replies[0]["error"]
        assert await exchange(made.path, b"{}\n") == [{"id": None, "status": {}}]


async def test_clients_that_say_nothing_are_bounded_and_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (control, local_socket):
        monkeypatch.setattr(module, "PATIENCE", 0.2)
    async with listening(tmp_path / "s") as made, contextlib.AsyncExitStack() as stack:
        silent = []
        for _ in range(local_socket.MOST_CLIENTS):
            reader, writer = await asyncio.open_unix_connection(str(made.path))
            stack.callback(writer.close)
            silent.append(reader)
        assert "too many clients" in (await exchange(made.path, b""))[0]["error"]
        for reader in silent:
            assert await reader.read() == b""
        assert await exchange(made.path, b"{}\n") == [{"id": None, "status": {}}]


async def test_a_client_that_does_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (control, local_socket):
        monkeypatch.setattr(module, "PATIENCE", 0.2)
    async with listening(tmp_path / "s", lambda request: {"status": "x" * 4_000_000}) as made:
        reader, writer = await asyncio.open_unix_connection(str(made.path), limit=16)
        writer.write(b"{}\n" * 3)
        assert len(await exchange(made.path, b"{}\n")) == 1, "others are served meanwhile"
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()


async def test_a_mistake_of_ours_is_an_answer(tmp_path: Path) -> None:
    def broken(request: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("a bug")

    async with listening(tmp_path / "s", broken) as made:
        assert "failed to answer" in (await exchange(made.path, b'{"id": 1}\n'))[0]["error"]


async def test_closing_does_not_wait_for_clients(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with listening(tmp_path / "s") as made:
            reader, writer = await asyncio.open_unix_connection(str(made.path))
            stack.callback(writer.close)
            writer.write(b"{}\n")
            assert await reader.readline()
        assert await reader.read() == b""


async def test_ids_and_what_is_no_request(tmp_path: Path) -> None:
    async with listening(tmp_path / "s") as made:
        replies = await exchange(
            made.path,
            b'{"id": 1}\n{"id": "two"}\nnonsense\n[]\n{}\n',
            b'{"id": [1]}\n{"id": true}\n' + b"[" * 4000 + b"\n",
        )
    assert [reply["id"] for reply in replies] == [1, "two", None, None, None, None, None, None]
    assert ["error" in reply for reply in replies] == [False, False, True, True, False, True, True, True]


def counting(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number in range(request["count"]):
        yield {"number": number}
    if request.get("fails"):
        raise ValueError("that was it")


async def test_a_long_answer_comes_in_parts(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", counting) as made:
        replies = await exchange(made.path, b'{"id": 1, "count": 3}\n{"id": 2, "count": 0}\n{"id": 3, "count": 1}\n')
        assert replies == [
            {"id": 1, "number": 0, "more": True},
            {"id": 1, "number": 1, "more": True},
            {"id": 1, "number": 2},
            {"id": 2},
            {"id": 3, "number": 0},
        ]
        replies = await exchange(made.path, b'{"id": 4, "count": 2, "fails": true}\n')
        assert replies == [{"id": 4, "number": 0, "more": True}, {"id": 4, "error": "that was it"}]


async def test_an_answer_is_made_as_it_is_read(tmp_path: Path) -> None:
    made_so_far = 0

    def endless(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        nonlocal made_so_far
        while True:
            made_so_far += 1
            yield {"text": "x" * 10_000}

    async with listening(tmp_path / "s", endless) as made:
        reader, writer = await asyncio.open_unix_connection(str(made.path), limit=1 << 14)
        writer.write(b"{}\n")
        await reader.readline()
        before = -1
        while before != made_so_far:  # until it waits for the reader
            before = made_so_far
            await asyncio.sleep(0.05)
        assert made_so_far < 1000
        assert await exchange(made.path, b"nonsense\n") == [{"id": None, "error": "not a JSON object on one line"}]
        writer.close()


async def test_the_socket_of_another_process_stays(tmp_path: Path) -> None:
    """Somebody has removed ours, and another one has taken its place."""
    async with listening(tmp_path / "s") as made:
        made.path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(made.path))
            await made.close()
            assert made.path.exists()
