"""What a driver of etcd offers to the rest, and how its failures are told apart."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

PAGE_SIZE = 1000  # keys a request: a page is decoded in one go, and nobody's timers may wait for it


class StoreError(Exception):
    """Anything that etcd or the way to it refuses. The text is for a person."""


class UnavailableError(StoreError):
    """No answer, no leader, connection lost: try again, elsewhere."""


class DeniedError(StoreError):
    """Bad credentials, or no permission: trying again at once will not help."""

    def reading(self, key: bytes) -> DeniedError:
        """The same, with the name of what could not be read where that is the reason."""
        return DeniedError(f"{self} to read {key.decode()}") if "permission" in str(self) else self


class CompactedError(StoreError):
    """The wanted revision is gone, or history started again: read everything anew."""


class ClosedError(StoreError):
    """The store was closed by its owner."""


class KeyEvent(NamedTuple):
    """One key was written (`value`) or deleted (None) at `revision`."""

    key: bytes
    value: bytes | None
    revision: int


class Head(NamedTuple):
    """Where the history of a cluster stands."""

    cluster_id: int
    raft_term: int
    revision: int


class StoredValue(NamedTuple):
    """A value and the revision that wrote it."""

    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """The watched keys at `head.revision`: all of them, or those that were wanted; `seen` counts all, and `newest` is
    what was written last of all."""

    head: Head
    values: dict[bytes, bytes]
    seen: int = 0
    newest: KeyEvent | None = None


class Write(NamedTuple):
    """One change of a transaction: `value` None deletes. It holds only if the key was last written at `revision`;
    0: if there is no such key, None: whatever is there."""

    key: bytes
    value: bytes | None
    revision: int | None = None


Wanted: TypeAlias = Callable[[bytes, bytes], bool]
"""Whether a value, given with its key, is to be kept."""


class Store(Protocol):
    """One etcd cluster, spoken to through one endpoint at a time.

    Keys to read or watch are given as names: one that ends in a slash stands for all keys below it.
    Every method raises StoreError and nothing else.
    """

    driver: str

    @property
    def endpoint(self) -> str:
        """The endpoint that is used now, as a URL."""
        ...

    @property
    def endpoints(self) -> int:
        """How many there are to choose from."""
        ...

    async def head(self) -> Head:
        """A linearizable read, which proves the endpoint and a quorum behind it."""
        ...

    async def snapshot(self, keys: Iterable[bytes], wanted: Wanted | None = None) -> KeySnapshot:
        """All values at one revision, read in pages. What is not wanted is dropped page by page: a cluster may have
        hundreds of megabytes of workloads, of which a node wants its own."""
        ...

    def watch(self, revisions: Mapping[bytes, int]) -> AsyncGenerator[list[KeyEvent], None]:
        """Changes of each of the given keys from its revision on, in order for each of them.

        Ends by raising only.
        """
        ...

    async def get(self, key: bytes, revision: int = 0) -> StoredValue | None:
        """What a key holds, or held at a revision; CompactedError where that is not kept any more, or not there yet."""
        ...

    async def put(self, key: bytes, value: bytes) -> None: ...

    async def create(self, key: bytes, value: bytes) -> bool:
        """Write a key that must not exist: False, and nothing written, if it does."""
        ...

    async def replace(self, key: bytes, value: bytes, revision: int) -> bool:
        """Write a key that nobody has written since `revision`: False, and nothing written, if somebody has."""
        ...

    async def transact(self, writes: Sequence[Write]) -> bool:
        """Write and delete all of it at one revision, each key once: False, and nothing changed, if one of the keys
        is not as its Write says. etcd takes 128 changes by default."""
        ...

    async def reset(self, endpoint: str) -> None:
        """Drop every connection and turn to the next endpoint, unless `endpoint` is already left behind."""
        ...

    async def close(self) -> None: ...


def range_end(key: bytes) -> bytes:
    """The end of etcd's range for a watched name: empty for a single key, else just after all below it."""
    return key[:-1] + bytes([key[-1] + 1]) if key.endswith(b"/") else b""


def classify(code: int | None, text: str) -> StoreError:
    """The error for a gRPC status code (None: unknown) and etcd's own words."""
    words = text.rpartition("desc = ")[2].removeprefix("etcdserver: ") or "no reason given"
    lower = words.lower()
    if code == 11 or "has been compacted" in lower:
        return CompactedError(words)
    if "user name is empty" in lower:
        return DeniedError("etcd asks for a user and password: set ETCD_USERNAME and ETCD_PASSWORD")
    if "commonname of client" in lower:
        return DeniedError(
            "etcd's JSON gateway takes no client certificate that names a user: use one without a common name "
            "and a user and password, or the driver aioetcd3"
        )
    if "authentication failed" in lower:
        return DeniedError("etcd knows no such user and password")
    if code in (7, 16) or "permission denied" in lower or "invalid auth token" in lower:
        return DeniedError(words)
    if "no leader" in lower:
        return UnavailableError("etcd has no leader")
    return UnavailableError(words)


def token_is_stale(text: str) -> bool:
    """Whether etcd's words ask to log in again: tokens expire, and any change of users voids them."""
    return "invalid auth token" in text or "revision of auth store is old" in text
