"""A server of HTTP for `/metrics`, `/healthz` and `/readyz`: one GET a connection."""

from __future__ import annotations

import asyncio
import logging

from calico_route.agent import Agent

from .readiness import obstacles

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that a client may take to ask, and to read its answer."""
MOST_CLIENTS = 32
_TEXT = "text/plain; charset=utf-8"
_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_WORDS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}

Answer = tuple[int, str, bytes]


class MetricsServer:
    """Listens on an address and port. `per_peer`: with metrics of every session."""

    def __init__(self, agent: Agent, address: str, port: int, *, per_peer: bool = False) -> None:
        self._agent = agent
        self.address, self.port = address, port
        self._per_peer = per_peer
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._silent: dict[asyncio.Task[None], None] = {}  # that have not asked yet, who came first before the others

    async def open(self) -> None:
        """Listen. OSError where that is not possible; with port 0 `port` is then the one that was taken."""
        self._server = await asyncio.start_server(self._serve, self.address, self.port, limit=8192)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            async with asyncio.timeout(PATIENCE):
                head_only = False
                status, kind, body = (503, _TEXT, b"too many clients\n")
                if len(self._clients) <= MOST_CLIENTS or self._make_room():
                    self._silent[task] = None
                    request = await self._request(reader, task)
                    head_only = request.startswith(b"HEAD ")
                    status, kind, body = self._answer(request)
                head = f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                writer.write(head.encode() + b"Connection: close\r\n\r\n" + (b"" if head_only else body))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # the client went, or took too long; or we are leaving
        finally:
            self._clients.discard(task)
            self._silent.pop(task, None)
            writer.transport.abort()

    def _make_room(self) -> bool:
        """A health check finds room beside any number of connections that ask nothing."""
        task = next(iter(self._silent), None)
        if task is None:
            return False
        del self._silent[task]
        return task.cancel()

    async def _request(self, reader: asyncio.StreamReader, task: asyncio.Task[None]) -> bytes:
        """The head of a request; b"" for one that is too long."""
        try:
            request = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            raise ConnectionError from None
        except asyncio.LimitOverrunError:
            return b""
        self._silent.pop(task, None)
        return request

    def _answer(self, request: bytes) -> Answer:
        if not request:
            return 400, _TEXT, b"too long a request\n"
        words = request.split(b"\r\n", 1)[0].split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/"):
            return 400, _TEXT, b"not HTTP\n"
        if words[0] not in (b"GET", b"HEAD"):
            return 405, _TEXT, b"only GET is answered\n"
        path = words[1].partition(b"?")[0]
        return self._page(path.decode("latin-1"))

    def _page(self, path: str) -> Answer:
        if path == "/healthz":
            return 200, _TEXT, b"ok\n"
        if path == "/readyz":
            missing = obstacles(self._agent)
            return (503 if missing else 200), _TEXT, ("\n".join(missing or ["ok"]) + "\n").encode()
        if path == "/metrics":
            return self._metrics()
        return 404, _TEXT, b"there are /metrics, /healthz and /readyz\n"

    def _metrics(self) -> Answer:
        try:
            from .families import exposition  # 30 ms, for which the start need not wait
        except ModuleNotFoundError as error:
            return 503, _TEXT, f"{error.name} is missing: pip install 'pybgp[calico]'\n".encode()
        try:
            return 200, _OPENMETRICS, exposition(self._agent, per_peer=self._per_peer)
        except Exception:
            log.exception("the metrics failed")
            return 503, _TEXT, b"the metrics failed; the agent's log says more\n"
