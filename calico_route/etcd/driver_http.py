"""The store over etcd's JSON gateway, with the standard library alone.

It runs where grpc or aioetcd3 cannot be imported. etcd itself works several times harder for it than for
gRPC, and a server with users switched on refuses client certificates with a name here: give a user and a
password then.

In the gateway's JSON 64-bit numbers are strings, keys and values base64, and zero values left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any

from .http_connection import Connection, Reply, parse_object
from .settings import EtcdSettings
from .store import (
    PAGE_SIZE,
    ClosedError,
    CompactedError,
    DeniedError,
    Head,
    KeyEvent,
    KeySnapshot,
    StoredValue,
    UnavailableError,
    Wanted,
    Write,
    classify,
    range_end,
    token_is_stale,
)

_PAGE_TIMEOUT = 30.0
_QUEUED_BATCHES = 16
_RANGE = "/v3/kv/range"
_TXN = "/v3/kv/txn"


class HttpStore:
    """A Store."""

    driver = "http"

    def __init__(self, settings: EtcdSettings) -> None:
        self._settings = settings
        self._ring = list(settings.endpoints)
        self._token: str | None = None
        self._context: ssl.SSLContext | None = None
        self._idle: Connection | None = None
        self._open: set[Connection] = set()
        self._closed = False

    @property
    def endpoint(self) -> str:
        return str(self._ring[0])

    @property
    def endpoints(self) -> int:
        return len(self._ring)

    async def _connect(self) -> Connection:
        if self._closed:
            raise ClosedError("the store was closed")
        endpoint = self._ring[0]
        if endpoint.tls and self._context is None:
            self._context = _tls_context(self._settings)
        context = self._context if endpoint.tls else None
        connection = await Connection.open(endpoint, context, self._settings.request_timeout)
        self._open.add(connection)
        return connection

    def _drop(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.close()

    async def reset(self, endpoint: str) -> None:
        if endpoint != self.endpoint:
            return
        self._ring.append(self._ring.pop(0))
        self._context = None  # certificates are renewed under running agents: read them anew
        await self._drop_all()

    async def close(self) -> None:
        self._closed = True
        await self._drop_all()

    async def _drop_all(self) -> None:
        connections, self._open, self._idle = list(self._open), set(), None
        for connection in connections:
            connection.close()  # a running watch sees the end of its stream
        if connections:
            await asyncio.wait([asyncio.ensure_future(one.wait_closed()) for one in connections], timeout=2)

    async def _call(self, path: str, request: dict[str, Any], seconds: float | None = None) -> dict[str, Any]:
        for last in (False, True):
            await self._log_in()
            document = await self._post(path, request, seconds or self._settings.request_timeout)
            text = _error_text(document)
            if text is None:
                return document
            if not last and self._settings.username is not None and token_is_stale(text):
                self._token = None
                continue
            raise classify(document.get("code"), text)
        raise AssertionError("unreachable")

    async def _log_in(self) -> None:
        if self._settings.username is None or self._token is not None:
            return
        request = {"name": self._settings.username, "password": self._settings.password}
        document = await self._post("/v3/auth/authenticate", request, self._settings.request_timeout)
        text = _error_text(document)
        if text is None:
            self._token = str(document.get("token", ""))
        elif "authentication is not enabled" in text:
            self._token = ""
        else:
            raise classify(document.get("code"), text)

    async def _post(self, path: str, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """One request and its answer; an error of the gateway is an answer too."""
        body = json.dumps(request).encode()
        while True:
            connection = self._idle if self._idle is not None and self._idle.usable else await self._connect()
            self._idle = None
            stale = connection.used
            done = False
            try:
                async with asyncio.timeout(seconds):
                    reply = await connection.send(path, body, self._token)
                    raw = await connection.body(reply)
                done = connection in self._open and reply.headers.get("connection", "").lower() != "close"
            except TimeoutError as error:
                raise UnavailableError("no answer in time") from error
            except UnavailableError:
                # A connection that was kept may have died unseen; a read can be asked again on a new one.
                if stale and path == _RANGE and not self._closed:
                    continue
                raise
            finally:
                if done and self._idle is None:
                    self._idle = connection
                else:
                    self._drop(connection)
            return _document(reply, raw)

    async def head(self) -> Head:
        # An empty transaction is as linearizable as a read, and needs no permission for any key.
        return _head(await self._call(_TXN, {}))

    async def snapshot(self, keys: Iterable[bytes], wanted: Wanted | None = None) -> KeySnapshot:
        values: dict[bytes, bytes] = {}
        head: Head | None = None
        seen = 0
        newest: KeyEvent | None = None
        for key in keys:
            start, end, more = key, range_end(key), True
            while more:
                request = {"key": _text(start), "range_end": _text(end), "limit": str(PAGE_SIZE)}
                if head is not None:
                    request["revision"] = str(head.revision)
                try:
                    reply = await self._call(_RANGE, request, _PAGE_TIMEOUT)
                except DeniedError as error:
                    raise error.reading(key) from error
                head = head or _head(reply)
                pairs = _pairs(reply)
                seen += len(pairs)
                for name, stored in pairs:
                    if newest is None or stored.revision > newest.revision:
                        newest = KeyEvent(name, stored.value, stored.revision)
                    if wanted is None or wanted(name, stored.value):
                        values[name] = stored.value
                more = bool(reply.get("more") and pairs)
                if more:
                    start = pairs[-1][0] + b"\0"
        return KeySnapshot(head or await self.head(), values, seen, newest)

    async def watch(self, revisions: Mapping[bytes, int]) -> AsyncGenerator[list[KeyEvent], None]:
        await self._log_in()
        news: asyncio.Queue[list[KeyEvent] | Exception] = asyncio.Queue(_QUEUED_BATCHES)
        # A connection for each name: the gateway stops reading a request when it begins to answer, so that
        # of several watches asked for in one stream the last ones may never be made.
        tasks = [asyncio.ensure_future(self._forward(key, start, news)) for key, start in revisions.items()]
        try:
            while True:
                batch = await news.get()
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _forward(self, key: bytes, start: int, news: asyncio.Queue[list[KeyEvent] | Exception]) -> None:
        try:
            async with contextlib.aclosing(self._watch_one(key, start)) as batches:
                async for batch in batches:
                    await news.put(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, the reader must hear of it
            await news.put(error)

    async def _watch_one(self, key: bytes, start: int) -> AsyncGenerator[list[KeyEvent], None]:
        connection = await self._connect()
        try:
            request = {"key": _text(key), "range_end": _text(range_end(key)), "start_revision": str(start)}
            body = json.dumps({"create_request": request}).encode()
            async with asyncio.timeout(self._settings.request_timeout):
                reply = await connection.send("/v3/watch", body, self._token)
            if reply.status != 200:
                document = _document(reply, await connection.body(reply))
                raise self._watch_error(document.get("code"), _error_text(document) or f"HTTP {reply.status}")
            async for document in connection.documents():
                text = _error_text(document)
                if text is not None:
                    raise self._watch_error(None, text)
                result = document.get("result", {})
                if "compact_revision" in result:
                    raise CompactedError(f"revisions below {result['compact_revision']} were compacted")
                if result.get("canceled"):
                    raise self._watch_error(None, result.get("cancel_reason", ""))
                if result.get("events"):
                    yield [_event(event) for event in result["events"]]
            raise UnavailableError("etcd ended the watch")
        except TimeoutError as error:
            raise UnavailableError("no answer in time") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnavailableError(f"the watch sent what is not etcd's JSON: {error!r}") from error
        finally:
            self._drop(connection)

    def _watch_error(self, code: int | None, text: str) -> Exception:
        if token_is_stale(text):
            self._token = None
            return UnavailableError("the login has expired")
        return classify(code, text)

    async def get(self, key: bytes, revision: int = 0) -> StoredValue | None:
        pairs = _pairs(await self._call(_RANGE, {"key": _text(key), "revision": str(revision)}))
        return pairs[0][1] if pairs else None

    async def put(self, key: bytes, value: bytes) -> None:
        await self._call("/v3/kv/put", {"key": _text(key), "value": _text(value)})

    async def create(self, key: bytes, value: bytes) -> bool:
        return await self.replace(key, value, 0)  # a key that does not exist has revision 0

    async def replace(self, key: bytes, value: bytes, revision: int) -> bool:
        return await self.transact([Write(key, value, revision)])

    async def transact(self, writes: Sequence[Write]) -> bool:
        compared = [
            {"key": _text(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}
            for key, _, revision in writes
            if revision is not None
        ]
        changes = [
            {"request_delete_range": {"key": _text(key)}}
            if value is None
            else {"request_put": {"key": _text(key), "value": _text(value)}}
            for key, value, _ in writes
        ]
        reply = await self._call(_TXN, {"compare": compared, "success": changes})
        return bool(reply.get("succeeded"))


def _tls_context(settings: EtcdSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise UnavailableError(f"the certificates cannot be used: {error}") from error
    return context


def _document(reply: Reply, raw: bytes) -> dict[str, Any]:
    """The JSON of an answer. Some refusals are plain text: they become an error in JSON's shape."""
    if reply.status != 200 and not raw.lstrip().startswith(b"{"):
        return {"error": raw[:200].decode("utf-8", "replace").strip() or f"HTTP status {reply.status}"}
    return parse_object(raw)


def _error_text(document: dict[str, Any]) -> str | None:
    """The words of an error, which the gateway spells in several ways; None if it is none."""
    error = document.get("error")
    if error is None:
        return None
    if isinstance(error, dict):
        error = error.get("message")
    return str(error or document.get("message") or "no reason given")


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()


def _bytes(pair: dict[str, Any], name: str) -> bytes:
    return b64decode(pair.get(name, ""))


def _pairs(reply: dict[str, Any]) -> list[tuple[bytes, StoredValue]]:
    try:
        return [
            (_bytes(pair, "key"), StoredValue(_bytes(pair, "value"), int(pair["mod_revision"])))
            for pair in reply.get("kvs", ())
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UnavailableError("the answer is not etcd's JSON") from error


def _event(event: dict[str, Any]) -> KeyEvent:
    pair = event["kv"]
    value = None if event.get("type") == "DELETE" else _bytes(pair, "value")
    return KeyEvent(_bytes(pair, "key"), value, int(pair["mod_revision"]))


def _head(document: dict[str, Any]) -> Head:
    try:
        header = document["header"]
        return Head(int(header["cluster_id"]), int(header["raft_term"]), int(header["revision"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UnavailableError("the answer is not etcd's JSON") from error
