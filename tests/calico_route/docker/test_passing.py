"""The proxy between raw sockets: a client of octets, and a Docker daemon of octets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from calico_route.docker.client import DockerClient
from calico_route.docker.http import PIECE
from calico_route.docker.leases import Leases
from calico_route.docker.network import Networks
from calico_route.docker.proxy import Proxy
from calico_route.docker.records import Records
from tests.calico_route.docker.doubles import MemoryAddresses

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Fake:
    """A proxy, and in place of Docker whatever `serve` does with a connection."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "docker.sock"
        docker = DockerClient(self.socket)
        self.leases = Leases(MemoryAddresses(), Records(folder / "leases"), "node")
        self.proxy = Proxy("127.0.0.1", 0, docker, self.leases, Networks(docker))
        self.serve: Serve | None = None
        self.connections = 0
        self.failed: list[Exception] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self.daemon()
        await self.proxy.open()

    async def daemon(self) -> None:
        self._server = await asyncio.start_unix_server(self._accept, self.socket, limit=1 << 22)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            assert self.serve is not None
            await self.serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the proxy hung up, or the test has ended
        except Exception as error:  # noqa: BLE001 - the fixture raises it
            self.failed.append(error)
        finally:
            writer.transport.abort()

    async def client(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self.proxy.port, limit=1 << 22)

    async def close(self) -> None:
        await self.proxy.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[Fake]:
    made = Fake(tmp_path)
    await made.start()
    async with asyncio.timeout(30):
        yield made
    await made.close()
    assert made.failed == []


async def ask(fake: Fake, octets: bytes) -> bytes:
    """Send and read to the end."""
    reader, writer = await fake.client()
    writer.write(octets)
    writer.write_eof()
    found = await reader.read()
    writer.close()
    return found


def replies(*answers: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for one in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(one)
        await reader.read()

    return serve


async def test_octets_pass_as_they_come(fake: Fake) -> None:
    seen: list[bytes] = []
    odd = b"HTTP/1.1 299 Odd Words\r\nx-ODD:   1\r\nX-Odd: 2\r\nContent-Length: 3\r\n\r\nabc"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(odd)
        await reader.read()

    fake.serve = serve
    request = b"GET /v1.41/odd%2Fpath?x=%20y HTTP/1.1\r\nhost:  localhost\r\nX-odd: \xe9\r\n\r\n"
    assert await ask(fake, request) == odd
    assert seen == [request]


async def test_requests_one_after_the_other_on_one_connection(fake: Fake) -> None:
    fake.serve = replies(OK, b"HTTP/1.1 204 No Content\r\n\r\n", OK)
    found = await ask(fake, 3 * b"GET /_ping HTTP/1.1\r\nHost: a\r\n\r\n")
    assert found == OK + b"HTTP/1.1 204 No Content\r\n\r\n" + OK
    assert fake.connections == 1


async def test_head_has_no_body(fake: Fake) -> None:
    fake.serve = replies(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", OK)
    assert (await ask(fake, b"HEAD /_ping HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")).endswith(b"99\r\n\r\n" + OK)


async def test_an_upload_in_chunks_waits_for_100_continue(fake: Fake) -> None:
    body = b"5\r\nhello\r\n0\r\nTrailer: t\r\n\r\n"
    seen = asyncio.Future[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        seen.set_result(await reader.readexactly(len(body)))
        writer.write(OK)

    fake.serve = serve
    reader, writer = await fake.client()
    writer.write(b"POST /build HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert await reader.readexactly(len(OK)) == OK
    assert await seen == body
    writer.close()


async def test_an_answer_before_the_upload_has_ended(fake: Fake) -> None:
    """Docker refuses and hangs up; the client is still sending, and has to see why."""
    refused = b"HTTP/1.1 413 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refused)
        await writer.drain()

    fake.serve = serve
    reader, writer = await fake.client()
    writer.write(b"POST /images/load HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n")
    sending = asyncio.create_task(send_for_ever(writer))
    assert await reader.readexactly(len(refused)) == refused
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    writer.close()


async def send_for_ever(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(bytes(PIECE))
            await writer.drain()


async def test_an_upload_and_its_answer_at_the_same_time(fake: Fake) -> None:
    """As a build tells of its steps while the context is still on its way."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            octet = await reader.readexactly(1)
            writer.write(b"1\r\n" + octet + b"\r\n")
        writer.write(b"0\r\n\r\n")
        await reader.read()

    fake.serve = serve
    reader, writer = await fake.client()
    writer.write(b"POST /build HTTP/1.1\r\nContent-Length: 3\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    for octet in (b"a", b"b", b"c"):
        writer.write(octet)
        assert await reader.readexactly(6) == b"1\r\n" + octet + b"\r\n"
    assert await reader.readexactly(5) == b"0\r\n\r\n"
    writer.close()


RAW = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nUpgrade: tcp\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n",
)


@pytest.mark.parametrize("head", RAW, ids=["upgrade", "as in 2015"])
async def test_a_raw_stream_with_half_close(fake: Fake, head: bytes) -> None:
    """The client ends its input; the container's output comes after it, and then the end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"prompt")
        read = await reader.read()
        writer.write(b"<" + read + b">")
        await writer.drain()

    fake.serve = serve
    reader, writer = await fake.client()
    writer.write(b"POST /containers/a/attach?stream=1 HTTP/1.1\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n")
    assert await reader.readexactly(len(head) + 6) == head + b"prompt"
    writer.write(b"GET / HTTP/1.1\r\n\r\n is only input here")
    writer.write_eof()
    assert await reader.read() == b"<GET / HTTP/1.1\r\n\r\n is only input here>"
    writer.close()


async def test_input_that_comes_before_the_upgrade_is_not_lost(fake: Fake) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(RAW[0] + await reader.readexactly(0))
        writer.write(await reader.read())
        await writer.drain()

    fake.serve = serve
    found = await ask(fake, b"POST /exec/a/start HTTP/1.1\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}early")
    # The daemon here does not read the body by its length.
    assert found == RAW[0] + b"{}early"


async def test_docker_ends_its_direction_first(fake: Fake) -> None:
    """What the client still sends arrives; when Docker is gone for good the client is told."""
    seen = asyncio.Future[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(RAW[0])
        writer.write_eof()
        seen.set_result(await reader.readexactly(4))

    fake.serve = serve
    reader, writer = await fake.client()
    writer.write(b"POST /containers/a/attach HTTP/1.1\r\nUpgrade: tcp\r\n\r\n")
    assert await reader.read() == RAW[0]
    writer.write(b"late")
    assert await seen == b"late"
    writer.close()


async def test_a_client_that_leaves_an_endless_answer(fake: Fake) -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await reader.read()  # ends when the proxy has seen the client go
        left.set()

    fake.serve = serve
    reader, writer = await fake.client()
    writer.write(b"GET /events HTTP/1.1\r\n\r\n")
    await reader.readuntil(b"a\r\n")
    writer.close()
    await left.wait()


async def test_a_slow_client_holds_docker_back_and_nobody_else(fake: Fake) -> None:
    written = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/_ping" in head:
            writer.write(OK)
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 400000000\r\n\r\n")
        while True:
            writer.write(bytes(PIECE))
            await writer.drain()
            written += PIECE

    fake.serve = serve
    slow_reader, slow = await fake.client()
    slow.transport.pause_reading()  # type: ignore[attr-defined]
    slow.write(b"GET /images/a/get HTTP/1.1\r\n\r\n")
    before = -1
    while before != written or not written:  # until nothing moves any more
        before = written
        assert await ask(fake, b"GET /_ping HTTP/1.1\r\n\r\n") == OK
        await asyncio.sleep(0.05)
    assert written < 40_000_000
    slow.transport.abort()
    del slow_reader


async def test_a_large_answer_arrives_whole(fake: Fake) -> None:
    body = bytes(range(256)) * 40_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        await reader.read()

    fake.serve = serve
    assert (await ask(fake, b"GET /images/a/get HTTP/1.1\r\n\r\n")).partition(b"\r\n\r\n")[2] == body


async def test_no_docker(fake: Fake) -> None:
    fake.socket.unlink()
    found = await ask(fake, b"GET /info HTTP/1.1\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 503 ")
    assert "no Docker daemon answers on" in json.loads(found.partition(b"\r\n\r\n")[2])["message"]


@pytest.mark.parametrize("reply", [b"", b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
async def test_docker_answers_with_nothing_or_rubbish(fake: Fake, reply: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()

    fake.serve = serve
    assert (await ask(fake, b"GET /info HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 502 ")


async def test_docker_restarts_between_two_requests(fake: Fake) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()  # and it hangs up

    fake.serve = serve
    reader, writer = await fake.client()
    for _ in range(3):
        writer.write(b"GET /_ping HTTP/1.1\r\n\r\n")
        assert await reader.readexactly(len(OK)) == OK
        await asyncio.sleep(0.05)
    assert fake.connections == 3
    writer.close()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"rubbish\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"403"),
        (b"POST /containers/create HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", b"403"),
    ],
)
async def test_what_never_reaches_docker(fake: Fake, request_head: bytes, status: bytes) -> None:
    assert (await ask(fake, request_head)).startswith(b"HTTP/1.1 " + status)
    assert fake.connections == 0


@pytest.mark.parametrize(
    "host", [b"localhost:2377", b"127.0.0.1:2377", b"[::1]:2377", b"docker", b"api.moby.localhost"]
)
async def test_names_that_docker_clients_use(fake: Fake, host: bytes) -> None:
    fake.serve = replies(OK)
    assert await ask(fake, b"GET /_ping HTTP/1.1\r\nHost: " + host + b"\r\n\r\n") == OK


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.78.21", "::"])
async def test_only_the_loopback(fake: Fake, address: str) -> None:
    with pytest.raises(ValueError, match="only addresses of the loopback"):
        Proxy(address, 2377, DockerClient(fake.socket), fake.leases, Networks(DockerClient(fake.socket)))
