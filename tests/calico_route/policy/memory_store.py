"""A Store in memory, for tests: one endpoint that may be away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from calico_route.documents import read_value
from calico_route.etcd.store import (
    Head,
    KeyEvent,
    KeySnapshot,
    StoredValue,
    UnavailableError,
    Wanted,
    Write,
)
from calico_route.keys import parse_path
from calico_route.model import WorkloadEndpoint
from calico_route.policy import keys
from calico_route.policy.profile import new_profile, with_rules, with_tags
from calico_route.policy.profile_names import stored_name
from calico_route.policy.rules import read_profile_rules

UID = UUID(int=1)
CREATED = datetime(2026, 11, 29, tzinfo=UTC)
WORKLOADS = "/calico/resources/v3/projectcalico.org/workloadendpoints/"


class MemoryStore:
    """`away`: nothing answers; watches break."""

    driver = "memory"
    endpoint = "http://memory"
    endpoints = 1

    def __init__(self) -> None:
        self.values: dict[bytes, StoredValue] = {}
        self.revision = 1
        self.away = False
        self._events: list[KeyEvent] = []
        self._news = asyncio.Condition()

    async def head(self) -> Head:
        self._check()
        return Head(1, 1, self.revision)

    async def snapshot(self, keys: Iterable[bytes], wanted: Wanted | None = None) -> KeySnapshot:
        self._check()
        found = {
            path: stored.value
            for path, stored in self.values.items()
            if any(path.startswith(key) for key in keys) and (wanted is None or wanted(path, stored.value))
        }
        return KeySnapshot(Head(1, 1, self.revision), found, len(found))

    async def watch(self, revisions: Mapping[bytes, int]) -> AsyncGenerator[list[KeyEvent], None]:
        at = min(revisions.values())
        while True:
            async with self._news:
                while not self.away and self.revision <= at:
                    await self._news.wait()
            self._check()
            news = [one for one in self._events if one.revision > at and one.key.startswith(tuple(revisions))]
            at = self.revision
            if news:
                yield news

    async def get(self, key: bytes, revision: int = 0) -> StoredValue | None:
        self._check()
        return self.values.get(key)

    async def put(self, key: bytes, value: bytes) -> None:
        self._check()
        await self.write({key: value})

    async def create(self, key: bytes, value: bytes) -> bool:
        return await self.transact([Write(key, value, 0)])

    async def replace(self, key: bytes, value: bytes, revision: int) -> bool:
        return await self.transact([Write(key, value, revision)])

    async def transact(self, writes: Sequence[Write]) -> bool:
        self._check()
        for write in writes:
            stored = self.values.get(write.key)
            if write.revision is not None and write.revision != (stored.revision if stored else 0):
                return False
        await self.write({write.key: write.value for write in writes})
        return True

    async def reset(self, endpoint: str) -> None:
        return

    async def close(self) -> None:
        return

    # What the tests do.

    async def write(self, values: Mapping[bytes, bytes | None]) -> None:
        """At one revision; None deletes."""
        async with self._news:
            self.revision += 1
            for key, value in values.items():
                if value is None:
                    self.values.pop(key, None)
                else:
                    self.values[key] = StoredValue(value, self.revision)
                self._events.append(KeyEvent(key, value, self.revision))
            self._news.notify_all()

    async def leave(self, away: bool = True) -> None:
        async with self._news:
            self.away = away
            self._news.notify_all()

    def _check(self) -> None:
        if self.away:
            raise UnavailableError("away")


def profile(
    name: str, inbound: list[dict[str, Any]] | None = None, outbound: list[dict[str, Any]] | None = None, *tags: str
) -> dict[bytes, bytes]:
    """A profile as the command line writes it; without rules the default ones."""
    document = new_profile(name, uid=UID, created=CREATED)
    if inbound is not None or outbound is not None:
        rules = {"id": name, "inbound_rules": inbound or [], "outbound_rules": outbound or []}
        document = with_rules(document, read_profile_rules(rules))
    if tags:
        document = with_tags(document, tags)
    return {keys.profile_path(stored_name(name)): json.dumps(document).encode()}


def policy(name: str, spec: dict[str, Any], namespace: str = "") -> dict[bytes, bytes]:
    document = {"kind": "NetworkPolicy", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    if namespace:
        path = keys.NETWORK_POLICIES + f"{namespace}/{name}".encode()
    else:
        path = keys.GLOBAL_NETWORK_POLICIES + name.encode()
    return {path: json.dumps(document).encode()}


def workload(
    name: str,
    addresses: Sequence[str],
    profiles: Sequence[str] = (),
    *,
    node: str = "n1",
    interface: str = "",
    labels: Mapping[str, str] | None = None,
    namespace: str = "default",
) -> dict[bytes, bytes]:
    endpoint = f"{node}-cni-{name}-eth1"
    document = {
        "kind": "WorkloadEndpoint",
        "apiVersion": "projectcalico.org/v3",
        "metadata": {"name": endpoint, "namespace": namespace, "labels": dict(labels or {})},
        "spec": {
            "orchestrator": "cni",
            "node": node,
            "containerID": name,
            "endpoint": "eth1",
            "ipNetworks": [f"{address}/{128 if ':' in address else 32}" for address in addresses],
            "profiles": list(profiles),
            "interfaceName": interface or f"cali{name}",
        },
    }
    return {f"{WORKLOADS}{namespace}/{endpoint}".encode(): json.dumps(document).encode()}


def as_endpoint(written: Mapping[bytes, bytes]) -> WorkloadEndpoint:
    """The WorkloadEndpoint in what `workload` gives."""
    ((path, value),) = written.items()
    key = parse_path(path)
    assert key is not None
    found = read_value(key, value).resource
    assert isinstance(found, WorkloadEndpoint)
    return found
