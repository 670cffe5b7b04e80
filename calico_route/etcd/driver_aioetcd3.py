"""The store over gRPC, through aioetcd3.

Of aioetcd3 this takes the channel, TLS, the stubs and the messages. Its own watch is not used: it resumes
from the revision of a reply's header, which is ahead of the events while a watch catches up, so that a cut
connection loses what was in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from .aioetcd3_compat import import_aioetcd3
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
    StoreError,
    UnavailableError,
    Wanted,
    Write,
    classify,
    range_end,
    token_is_stale,
)

# Before grpc is imported: with its fork support a child of os.fork(), as pyroute2 makes for network
# namespaces, can crash. What its C core writes to standard error would be said twice.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import_aioetcd3()

import grpc  # noqa: E402
from aioetcd3._etcdv3 import kv_pb2, rpc_pb2  # noqa: E402
from aioetcd3.client import Client  # noqa: E402

_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),  # else a page or an event of more than 4 MiB is refused
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel may get the dead connection of the old
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 10000),
    ("grpc.keepalive_timeout_ms", 3000),
    ("grpc.http2.ping_timeout_ms", 3000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2000),
)
# With it a member that has lost its leader ends the watch instead of staying silent.
_REQUIRE_LEADER = (("hasleader", "true"),)
_PAGE_TIMEOUT = 30.0
# What stands in gRPC's long accounts of a lost or failed connection, and what it means; the first one counts.
_REASONS = {
    "connection refused": "connection refused",
    "no route to host": "no route to host",
    "network is unreachable": "network is unreachable",
    "certificate verify failed": "its certificate is not valid",
    "certificate_verify_failed": "its certificate is not valid",
    "connection reset": "connection reset",
    "timed out": "no answer in time",
    "timeout": "no answer in time",
    "socket closed": "etcd closed the connection",
    "end of tcp stream": "etcd closed the connection",
    "connection dropped": "etcd closed the connection",
}


class _Client(Client):  # type: ignore[misc]
    _metadata: tuple[tuple[str, str], ...] | None

    async def _authenticate(self) -> None:
        """Log in. The original adds call credentials too, which gRPC refuses on a plaintext channel."""
        async with self._auth_lock:
            if self._metadata is None:
                self._metadata = await self._login()

    async def _login(self) -> tuple[tuple[str, str], ...]:
        try:
            token = await self.authenticate(username=self.username, password=self.password)
        except grpc.RpcError as error:
            if "authentication is not enabled" in _details(error):
                return _REQUIRE_LEADER
            raise
        return (("token", token), *_REQUIRE_LEADER)


class Aioetcd3Store:
    """A Store. Make it inside the event loop that uses it."""

    driver = "aioetcd3"

    def __init__(self, settings: EtcdSettings) -> None:
        self._settings = settings
        self._ring = list(settings.endpoints)
        self._client: _Client | None = None
        self._closed = False

    @property
    def endpoint(self) -> str:
        return str(self._ring[0])

    @property
    def endpoints(self) -> int:
        return len(self._ring)

    def _open(self) -> _Client:
        if self._closed:
            raise ClosedError("the store was closed")
        if self._client is None:
            settings, endpoint = self._settings, self._ring[0]
            tls: dict[str, Any] = {}
            if endpoint.tls:
                # Read anew for every channel: certificates are renewed under running agents.
                ca_file = settings.ca_file or ssl.get_default_verify_paths().cafile
                try:
                    tls = {
                        "ssl": True,
                        "default_ca": ca_file is None,
                        "ca_cert": _read(ca_file),
                        "cert_cert": _read(settings.cert_file),
                        "cert_key": _read(settings.key_file),
                    }
                except OSError as error:
                    raise UnavailableError(f"cannot read {error.filename}: {error.strerror}") from error
            self._client = _Client(
                endpoint.authority,
                grpc_options=_CHANNEL_OPTIONS,
                timeout=settings.request_timeout,
                username=settings.username,
                password=settings.password,
                **tls,
            )
            if settings.username is None:
                self._client._metadata = _REQUIRE_LEADER
        return self._client

    async def reset(self, endpoint: str) -> None:
        if endpoint != self.endpoint:
            return
        self._ring.append(self._ring.pop(0))
        await self._drop()

    async def close(self) -> None:
        self._closed = True
        await self._drop()

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    await client.close()

    async def _call(self, stub: Callable[[_Client], Any], request: Any, seconds: float | None = None) -> Any:
        for last in (False, True):
            client = self._open()
            try:
                seconds = seconds or self._settings.request_timeout
                return await client.grpc_call(stub(client), request, timeout=seconds)
            except grpc.RpcError as error:
                if not last and self._settings.username is not None and token_is_stale(_details(error)):
                    client._metadata = None
                    continue
                raise _error(error) from error
            except StoreError:
                raise
            except Exception as error:  # gRPC raises ValueError on a channel that was closed meanwhile
                raise UnavailableError(_words(error)) from error
        raise AssertionError("unreachable")

    async def head(self) -> Head:
        # An empty transaction is as linearizable as a read, and needs no permission for any key.
        reply = await self._call(lambda client: client._kv_stub.Txn, rpc_pb2.TxnRequest())
        return _head(reply)

    async def snapshot(self, keys: Iterable[bytes], wanted: Wanted | None = None) -> KeySnapshot:
        values: dict[bytes, bytes] = {}
        head: Head | None = None
        seen = 0
        newest: KeyEvent | None = None
        for key in keys:
            start, end, more = key, range_end(key), True
            while more:
                request = rpc_pb2.RangeRequest(
                    key=start, range_end=end, limit=PAGE_SIZE, revision=head.revision if head else 0
                )
                try:
                    reply = await self._call(lambda client: client._kv_stub.Range, request, _PAGE_TIMEOUT)
                except DeniedError as error:
                    raise error.reading(key) from error
                head = head or _head(reply)
                seen += len(reply.kvs)
                for pair in reply.kvs:
                    name, value = pair.key, pair.value
                    if newest is None or pair.mod_revision > newest.revision:
                        newest = KeyEvent(name, value, pair.mod_revision)
                    if wanted is None or wanted(name, value):
                        values[name] = value
                more = reply.more
                if more:
                    start = reply.kvs[-1].key + b"\0"
        return KeySnapshot(head or await self.head(), values, seen, newest)

    async def watch(self, revisions: Mapping[bytes, int]) -> AsyncGenerator[list[KeyEvent], None]:
        client = self._open()
        stream = None
        over = asyncio.Event()
        try:
            await client._authenticate_if_needed()
            requests = [
                rpc_pb2.WatchRequest(
                    create_request=rpc_pb2.WatchCreateRequest(
                        key=key, range_end=range_end(key), start_revision=revision
                    )
                )
                for key, revision in revisions.items()
            ]
            stream = client._watch_stub.Watch(_requests(requests, over), metadata=client._metadata)
            async for reply in stream:
                if reply.compact_revision:
                    raise CompactedError(f"revisions below {reply.compact_revision} were compacted")
                if reply.canceled:
                    if token_is_stale(reply.cancel_reason):
                        client._metadata = None
                        raise UnavailableError("the login has expired")
                    raise classify(None, reply.cancel_reason)
                if reply.events:
                    yield [_event(event) for event in reply.events]
            raise UnavailableError("etcd ended the watch")
        except grpc.RpcError as error:
            if token_is_stale(_details(error)):
                client._metadata = None
            raise _error(error) from error
        except StoreError:
            raise
        except Exception as error:
            raise UnavailableError(_words(error)) from error
        finally:
            over.set()
            if stream is not None:
                await stream.aclose()

    async def get(self, key: bytes, revision: int = 0) -> StoredValue | None:
        request = rpc_pb2.RangeRequest(key=key, revision=revision)
        reply = await self._call(lambda client: client._kv_stub.Range, request)
        return StoredValue(reply.kvs[0].value, reply.kvs[0].mod_revision) if reply.kvs else None

    async def put(self, key: bytes, value: bytes) -> None:
        await self._call(lambda client: client._kv_stub.Put, rpc_pb2.PutRequest(key=key, value=value))

    async def create(self, key: bytes, value: bytes) -> bool:
        return await self.replace(key, value, 0)  # a key that does not exist has revision 0

    async def replace(self, key: bytes, value: bytes, revision: int) -> bool:
        return await self.transact([Write(key, value, revision)])

    async def transact(self, writes: Sequence[Write]) -> bool:
        compared = [
            rpc_pb2.Compare(key=key, target=rpc_pb2.Compare.MOD, result=rpc_pb2.Compare.EQUAL, mod_revision=revision)
            for key, _, revision in writes
            if revision is not None
        ]
        changes = [
            rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=key))
            if value is None
            else rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key, value=value))
            for key, value, _ in writes
        ]
        request = rpc_pb2.TxnRequest(compare=compared, success=changes)
        reply = await self._call(lambda client: client._kv_stub.Txn, request)
        return bool(reply.succeeded)


async def _requests(requests: list[Any], over: asyncio.Event) -> AsyncIterator[Any]:
    """The client's side of a watch. It stays open: for etcd's own gRPC proxy its end is that of the watch."""
    for request in requests:
        yield request
    await over.wait()


def _event(event: Any) -> KeyEvent:
    value = None if event.type == kv_pb2.Event.DELETE else event.kv.value
    return KeyEvent(event.kv.key, value, event.kv.mod_revision)


def _head(reply: Any) -> Head:
    return Head(reply.header.cluster_id, reply.header.raft_term, reply.header.revision)


def _read(path: str | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()


def _details(error: Any) -> str:
    """etcd's words in an error of grpc (a method) or of aioetcd3 (an attribute)."""
    details = getattr(error, "details", None)
    return str((details() if callable(details) else details) or error)


def _error(error: Any) -> StoreError:
    code = getattr(error, "code", None)
    code = code() if callable(code) else code
    text = _details(error)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return UnavailableError("no answer in time")
    if code is grpc.StatusCode.UNAVAILABLE:
        for sign, words in _REASONS.items():
            if sign in text.lower():
                return UnavailableError(words)
        text = text.rsplit("last error: ", 1)[-1]
    return classify(code.value[0] if code is not None else None, text)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
