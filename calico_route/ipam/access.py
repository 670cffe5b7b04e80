"""The store as IPAM needs it: every endpoint is asked before giving up, and errors are those of workloads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from calico_route.etcd.store import ClosedError, DeniedError, KeySnapshot, Store, StoredValue, StoreError, Wanted, Write
from calico_route.workload.ports import WorkloadError

_T = TypeVar("_T")
_AT_ONCE = 16  # reads in flight: the JSON gateway takes a connection for each


class UnreachableError(WorkloadError):
    """The datastore does not answer, or refuses: nobody's request can be served now."""

    code = "unavailable"


class Access:
    """Raises UnreachableError and nothing else."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def get(self, key: bytes) -> StoredValue | None:
        return await self._call(lambda: self.store.get(key))

    async def get_all(self, keys: Iterable[bytes]) -> dict[bytes, StoredValue | None]:
        """What each of them holds now: each for itself, not all at one revision."""
        wanted = list(dict.fromkeys(keys))
        found: dict[bytes, StoredValue | None] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            found.update(zip(some, await asyncio.gather(*map(self.get, some)), strict=True))
        return found

    async def snapshot(self, keys: Sequence[bytes], wanted: Wanted | None = None) -> KeySnapshot:
        return await self._call(lambda: self.store.snapshot(keys, wanted))

    async def transact(self, writes: Sequence[Write]) -> bool | None:
        """None: no answer came, so it may or may not have happened, or may still."""
        endpoint = self.store.endpoint
        try:
            return await self.store.transact(writes)
        except (DeniedError, ClosedError) as error:
            raise UnreachableError(f"etcd at {endpoint} refuses: {error}") from error
        except StoreError:
            await self.store.reset(endpoint)
            return None

    async def fence(self, writes: Sequence[Write]) -> None:
        """See to it that a transaction without an answer, if it has not happened, never will: one of the keys that it
        compares is written anew as it is."""
        for key, _, revision in writes:
            if not revision:
                continue
            while (stored := await self.get(key)) is not None and stored.revision == revision:
                if await self.transact([Write(key, stored.value, revision)]) is None:
                    await asyncio.sleep(0)  # asked again: only a read can tell
            return

    async def _call(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        for left in reversed(range(self.store.endpoints)):
            endpoint = self.store.endpoint
            try:
                return await attempt()
            except (DeniedError, ClosedError) as error:
                raise UnreachableError(f"etcd at {endpoint} refuses: {error}") from error
            except StoreError as error:
                await self.store.reset(endpoint)
                if left == 0:
                    raise UnreachableError(f"etcd at {endpoint} does not answer: {error}; try again") from error
        raise AssertionError("unreachable")
