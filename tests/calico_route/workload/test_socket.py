"""The workload socket: requests and errors as JSON lines, and many clients at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
from collections.abc import AsyncIterator
from typing import Any

import pytest

from calico_route.workload import Workloads, WorkloadSocket
from calico_route.workload.socket import LONGEST_REQUEST
from tests.calico_route.workload.conftest import Host


@contextlib.asynccontextmanager
async def listening(host: Host) -> AsyncIterator[tuple[WorkloadSocket, Workloads]]:
    async with host.running() as workloads:
        socket = WorkloadSocket(host.state / "w.sock", workloads)
        await socket.open()
        try:
            yield socket, workloads
        finally:
            await socket.close()


async def ask(socket: WorkloadSocket, *requests: Any) -> list[dict[str, Any]]:
    """Over one connection; texts go as they are."""
    reader, writer = await asyncio.open_unix_connection(socket.path, limit=1 << 21)
    for request in requests:
        text = request if isinstance(request, bytes) else json.dumps(request).encode() + b"\n"
        writer.write(text)
    writer.write_eof()
    answers = [json.loads(line) async for line in reader]
    writer.close()
    await writer.wait_closed()
    return answers


async def test_a_life(host: Host) -> None:
    add = {"request": "add", "container": "c1", "netns": str(host.netns), "profiles": ["db"]}
    async with listening(host) as (socket, _):
        assert stat.S_IMODE(socket.path.stat().st_mode) == 0o600
        added, again, listed, checked, ready = await ask(
            socket,
            {"id": 1, **add},
            {"id": "two", **add},
            {"request": "list"},
            {"request": "check", "container": "c1", "interface": "eth1"},
            {"request": "ready"},
        )
        assert added["id"] == 1
        assert again == {**added, "id": "two"}
        assert added["workload"].keys() >= {
            *("container", "interface", "host_interface", "mac", "addresses", "gateway", "gateway6", "endpoint"),
            *("profiles", "peer_interface"),
        }
        assert listed["workloads"] == [added["workload"]]
        assert checked == {"id": None, "workload": added["workload"]}
        assert ready == {"id": None, "ready": None}
        kept, collected, removed = await ask(
            socket,
            {"request": "keep", "containers": [["c1", "eth1"]], "network": "calico"},
            {"request": "keep", "containers": [], "network": "calico"},
            {"request": "remove", "container": "c1", "interface": "eth1"},
        )
        assert kept["removed"] == removed["removed"] == []
        assert collected["removed"] == [added["workload"]]
    assert host.left() == {}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (b"{\n", "not a JSON object"),
        (b"[]\n", "not a JSON object"),
        (b"[" * 10000 + b"\n", "not a JSON object"),
        ({"id": [], "request": "list"}, "id must be"),
        ({"request": "fly"}, "there are add, remove, check, list, keep, ready"),
        ({"request": ["add"]}, "there are add"),
        ({"request": "add"}, "container is missing"),
        ({"request": "remove"}, "container is missing"),
        ({"request": "remove", "container": 7}, "container must be a text"),
        ({"request": "remove", "container": "c1", "force": True}, "unknown: force"),
        ({"request": "list", "all": True}, "unknown: all"),
        ({"request": "check", "container": "c1"}, "interface is missing"),
        ({"request": "keep", "network": "calico"}, "containers must be a list of pairs"),
        ({"request": "keep", "network": "calico", "containers": [["c1"]]}, "list of pairs"),
        ({"request": "keep", "containers": []}, "network is missing"),
    ],
)
async def test_what_is_no_request(host: Host, request_: Any, words: str) -> None:
    async with listening(host) as (socket, _):
        answer, after = await ask(socket, request_, {"request": "ready"})
        assert words in answer["error"]
        assert answer["code"] == "invalid"
        assert after["ready"] is None, "the connection goes on"


async def test_a_request_without_an_end(host: Host) -> None:
    async with listening(host) as (socket, _):
        (answer,) = await ask(socket, b"x" * (LONGEST_REQUEST + 10))
        assert str(LONGEST_REQUEST) in answer["error"]
        many = [[f"{number:064x}", "eth1"] for number in range(5000)]
        (answer,) = await ask(socket, {"request": "keep", "containers": many, "network": "calico"})
        assert answer["removed"] == []


async def test_a_mistake_of_ours_is_told_as_one(host: Host) -> None:
    host.rules.trouble = ZeroDivisionError("secret")
    async with listening(host) as (socket, _):
        (answer,) = await ask(socket, {"request": "add", "container": "c1", "netns": str(host.netns)})
        assert answer["code"] == "internal"
        assert "secret" not in answer["error"]


async def test_dozens_of_clients_wait_for_their_turn(host: Host) -> None:
    async with listening(host) as (socket, workloads):

        async def add(number: int) -> dict[str, Any]:
            request = {"request": "add", "container": f"c{number}", "netns": str(host.netns)}
            return (await ask(socket, request))[0]

        answers = await asyncio.gather(*map(add, range(90)))
        assert len({answer["workload"]["addresses"][0] for answer in answers}) == 90
        assert len(workloads.list()) == 90


async def test_more_than_there_is_room_for_are_told_so(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WorkloadSocket, "most_clients", 2)
    async with listening(host) as (socket, _):
        held = [await asyncio.open_unix_connection(socket.path) for _ in range(2)]
        for reader, writer in held:
            writer.write(b'{"request": "ready"}\n')
            await reader.readline()
        reader, writer = await asyncio.open_unix_connection(socket.path)
        assert json.loads(await reader.readline())["code"] == "busy"
        for _, one in (*held, (reader, writer)):
            one.close()


async def test_a_client_that_goes_changes_nothing(host: Host) -> None:
    async with listening(host) as (socket, workloads):
        _, writer = await asyncio.open_unix_connection(socket.path)
        request = {"request": "add", "container": "c1", "netns": str(host.netns)}
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        writer.close()
        (answer,) = await ask(socket, {**request})
        assert answer["workload"]["addresses"] == ["192.168.0.1"]
        assert len(workloads.list()) == 1
