from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calico_route.docker.http import (
    LONGEST_HEAD,
    NO_BODY,
    Framing,
    Gone,
    HttpError,
    Kind,
    Wire,
    answer_framing,
    parse_head,
    request_framing,
)


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Wire, socket.socket]]:
    """A wire, and the other side of it."""
    one, two = socket.socketpair()
    two.settimeout(5)
    wire = Wire(one)
    yield wire, two
    wire.close()
    two.close()


def test_a_head_keeps_its_octets_and_order() -> None:
    raw = b"POST /v1.41/build?t=a%20b HTTP/1.1\r\nHost: docker\r\nX-A: 1\r\nx-a:  2 \r\n\r\n"
    head = parse_head(raw)
    assert head.raw == raw
    assert (head.method, head.path, head.target) == ("POST", "/v1.41/build", "/v1.41/build?t=a%20b")
    assert head.get("x-a") == "1, 2"
    assert head.get("absent") is None


def test_the_absolute_form_has_a_path_too() -> None:
    assert parse_head(b"GET http://localhost:2377/info?a HTTP/1.1\r\n\r\n").path == "/info"


@pytest.mark.parametrize(
    "raw",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: 1\r\n continued\r\n\r\n",
        b"HTTP/1.1 xyz OK\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(raw: bytes) -> None:
    with pytest.raises(HttpError):
        parse_head(raw)


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        (b"", NO_BODY),
        (b"Content-Length: 12\r\n", Framing(Kind.LENGTH, 12)),
        (b"Content-Length: 12\r\nContent-Length: 12\r\n", Framing(Kind.LENGTH, 12)),
        (b"Transfer-Encoding: Chunked\r\n", Framing(Kind.CHUNKED)),
    ],
)
def test_where_a_request_ends(fields: bytes, framing: Framing) -> None:
    assert request_framing(parse_head(b"POST / HTTP/1.1\r\n" + fields + b"\r\n")) == framing


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1x\r\n",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
    ],
)
def test_what_two_readers_could_read_differently_is_refused(fields: bytes) -> None:
    with pytest.raises(HttpError):
        request_framing(parse_head(b"POST / HTTP/1.1\r\n" + fields + b"\r\n"))


@pytest.mark.parametrize(
    ("status", "method", "kind"),
    [
        (b"101 Switching Protocols", "POST", Kind.NONE),
        (b"204 No Content", "POST", Kind.NONE),
        (b"304 Not Modified", "GET", Kind.NONE),
        (b"200 OK", "HEAD", Kind.NONE),
        (b"200 OK", "GET", Kind.CLOSE),
    ],
)
def test_where_an_answer_ends(status: bytes, method: str, kind: Kind) -> None:
    assert answer_framing(parse_head(b"HTTP/1.1 " + status + b"\r\n\r\n"), method).kind is kind


def test_another_body_another_length() -> None:
    head = parse_head(
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nB: c\r\n\r\n"
    )
    assert head.with_body(5) == b"POST /x HTTP/1.1\r\nHost: a\r\nB: c\r\nContent-Length: 5\r\n\r\n"


async def test_heads_one_after_the_other_and_the_end(pair: tuple[Wire, socket.socket]) -> None:
    wire, other = pair
    other.sendall(b"\r\nGET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    other.close()
    first, second = await wire.head(), await wire.head()
    assert first is not None
    assert second is not None
    assert (first.path, second.path) == ("/a", "/b")
    assert await wire.head() is None
    assert wire.at_end


async def test_a_head_that_breaks_off(pair: tuple[Wire, socket.socket]) -> None:
    wire, other = pair
    other.sendall(b"GET / HTT")
    other.close()
    with pytest.raises(Gone):
        await wire.head()


async def test_a_head_without_end(pair: tuple[Wire, socket.socket]) -> None:
    wire, other = pair
    sending = asyncio.create_task(asyncio.to_thread(other.sendall, b"GET / HTTP/1.1\r\nA: " + b"a" * 2 * LONGEST_HEAD))
    with pytest.raises(HttpError) as refused:
        await wire.head()
    assert refused.value.status == 431
    wire.close()
    with pytest.raises(OSError, match=r"."):
        await sending


async def test_what_is_cancelled_loses_nothing(pair: tuple[Wire, socket.socket]) -> None:
    wire, other = pair
    other.sendall(b"GET /whole HT")
    reading = asyncio.create_task(wire.head())
    await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    other.sendall(b"TP/1.1\r\n\r\n")
    head = await wire.head()
    assert head is not None
    assert head.path == "/whole"


CHUNKED = b"3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"


async def test_chunks_as_they_came_and_decoded(pair: tuple[Wire, socket.socket]) -> None:
    wire, other = pair
    other.sendall(2 * CHUNKED + b"rest")
    raw = b"".join([piece async for piece in wire.body(Framing(Kind.CHUNKED))])
    assert raw == CHUNKED
    assert await wire.whole(Framing(Kind.CHUNKED), 13) == b"abc0123456789"
    assert await wire.some() == b"rest"


@pytest.mark.parametrize("body", [b"zz\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"\r\n", b"1" * 16 + b"\r\n", b"1" * 5000])
async def test_chunks_that_are_none(pair: tuple[Wire, socket.socket], body: bytes) -> None:
    wire, other = pair
    other.sendall(body)
    with pytest.raises(HttpError):
        await wire.whole(Framing(Kind.CHUNKED), 100)


@pytest.mark.parametrize("framing", [Framing(Kind.LENGTH, 9), Framing(Kind.CHUNKED)])
async def test_a_body_that_breaks_off(pair: tuple[Wire, socket.socket], framing: Framing) -> None:
    wire, other = pair
    other.sendall(b"9\r\nab")
    other.close()
    with pytest.raises(Gone):
        await wire.whole(framing, 100)


@pytest.mark.parametrize("framing", [Framing(Kind.LENGTH, 101), Framing(Kind.CHUNKED), Framing(Kind.CLOSE)])
async def test_more_than_anybody_needs(pair: tuple[Wire, socket.socket], framing: Framing) -> None:
    wire, other = pair
    other.sendall(b"65\r\n" + b"a" * 101 + b"\r\n0\r\n\r\n")
    with pytest.raises(HttpError) as refused:
        await wire.whole(framing, 100)
    assert refused.value.status == 413


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8), st.integers(1, 50))
def test_any_chunks_in_any_pieces(parts: list[bytes], cut: int) -> None:
    raw = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"

    async def read() -> bytes:
        one, two = socket.socketpair()
        wire = Wire(one)
        two.setblocking(False)
        reading = asyncio.create_task(wire.whole(Framing(Kind.CHUNKED), 10_000))
        for start in range(0, len(raw), cut):
            await asyncio.get_running_loop().sock_sendall(two, raw[start : start + cut])
        found = await reading
        wire.close()
        two.close()
        return found

    assert asyncio.run(read()) == b"".join(parts)
