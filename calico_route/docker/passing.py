"""One request and its answer between a client and Docker, octets as they came: streams, uploads and raw connections."""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from .client import DockerError
from .http import Framing, Gone, Head, HttpError, Kind, Wire, answer, answer_framing

T = TypeVar("T")

LOOK = 1.0
"""Seconds between two looks at whether Docker is gone for good, when it has ended one direction only."""


class Ended(Exception):
    """The connection has served its purpose, and no further request comes over it."""


class Exchange:
    """A request whose head is with Docker; `framing` is that of its body. Use it as a context manager.

    The body goes up while the answer comes down, as either may be first. Once the body is through, a client that ends
    its direction ends it towards Docker, too, which knows what that means: a client that leaves `logs -f` behind.
    """

    def __init__(self, client: Wire, docker: Wire, method: str, framing: Framing) -> None:
        self._client, self._docker = client, docker
        self._method, self._framing = method, framing
        self._sent = asyncio.Event()
        self._up: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Exchange:
        self._up = asyncio.create_task(self._upload())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        """Read no more from the client here. What it did wrong is raised: Gone, HttpError, OSError."""
        if self._up is None:
            return
        up, self._up = self._up, None
        up.cancel()
        (result,) = await asyncio.gather(up, return_exceptions=True)
        if isinstance(result, Exception):
            raise result

    async def _upload(self) -> None:
        async for piece in self._client.body(self._framing):
            try:
                await self._docker.send(piece)
            except OSError:  # Docker takes no more of it; its answer says why
                await asyncio.get_running_loop().create_future()
        self._sent.set()
        await self._client.ended()
        if self._client.at_end:
            self._docker.end()

    async def _beside(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something for as long as the client does nothing wrong."""
        assert self._up is not None
        async with running(work) as task:
            await asyncio.wait({task, self._up}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._up.result()
            return await task

    async def head(self) -> tuple[Head, Framing]:
        """The head of the answer; interim ones (100 Continue) are passed on. DockerError where there is none that can
        be understood; Gone, HttpError for what the client does."""
        return await self._beside(self._head())

    async def _head(self) -> tuple[Head, Framing]:
        while True:
            try:
                head = await self._docker.head()
                framing = None if head is None else answer_framing(head, self._method)
            except (OSError, HttpError) as error:
                raise DockerError(f"no answer from Docker that can be understood: {error}", 502) from error
            if head is None or framing is None:
                raise DockerError("Docker closed the connection without an answer", 502)
            if head.status >= 200 or head.status == 101:
                return head, framing
            await self._client.send(head.raw)

    async def pass_on(self, head: Head, framing: Framing) -> None:
        """Pass the answer on. Raw streams (101, and answers that last as long as the connection) go both ways. Ended
        where nothing can follow on this connection."""
        await self._client.send(head.raw)
        if head.status == 101 or framing.kind is Kind.CLOSE:
            await self._beside(self._sent.wait())
            await self._stop()
            await tunnel(self._client, self._docker)
            raise Ended
        await self._beside(self._body(framing))
        await self.settle()

    async def _body(self, framing: Framing) -> None:
        try:
            async for piece in self._docker.body(framing):
                await self._client.send(piece)
        except HttpError as error:  # too late to say so: the client sees a body that breaks off
            raise Gone(f"Docker's answer broke off: {error}") from error

    async def body(self, framing: Framing, most: int) -> bytes:
        """The body of the answer, decoded. DockerError, also above `most` octets."""
        return await self._beside(self._whole(framing, most))

    async def _whole(self, framing: Framing, most: int) -> bytes:
        try:
            return await self._docker.whole(framing, most)
        except (OSError, HttpError) as error:
            raise DockerError(f"Docker's answer broke off: {error}", 502) from error

    async def settle(self) -> None:
        """Docker may have answered without reading all of the body: it reads on, or hangs up (Ended)."""
        if not self._sent.is_set():
            async with running(self._docker.ended()) as hung_up, running(self._beside(self._sent.wait())) as sent:
                await asyncio.wait({sent, hung_up}, return_when=asyncio.FIRST_COMPLETED)
                if not sent.done():
                    raise Ended
                sent.result()


async def tunnel(client: Wire, docker: Wire) -> None:
    """Octets both ways until both have ended. The end of one direction is passed on, and leaves the other as it is; a
    direction that breaks ends both. OSError."""
    async with running(_pump(docker, client)) as down, running(_pump(client, docker)) as up:
        while not (down.done() and up.done()):
            open_ones = {task for task in (down, up) if not task.done()}
            # Docker's output has ended: what the client still sends may be of use, unless nobody is there to take it.
            look = LOOK if down.done() else None
            done, _ = await asyncio.wait(open_ones, timeout=look, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task is up and isinstance(task.exception(), OSError) and not down.done():
                    continue  # it takes no more input, and may still have output
                task.result()
            if down.done() and _hung_up(docker):
                return


async def _pump(source: Wire, target: Wire) -> None:
    while piece := await source.some():
        await target.send(piece)
    target.end()


def _hung_up(wire: Wire) -> bool:
    """Whether the other end of a Unix socket is closed, and not only ended in one direction."""
    poll = select.poll()
    poll.register(wire.socket, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


@contextlib.asynccontextmanager
async def running(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run something beside the block, and end it with it."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def refusal(status: int, text: str, *, close: bool = False) -> bytes:
    """An answer as Docker gives it for an error: its clients show the text."""
    return answer(status, {"message": text}, extra=["Connection: close"] if close else [])
