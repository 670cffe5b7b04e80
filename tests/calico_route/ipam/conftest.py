"""Nodes with an `Ipam` each over one store in memory, and real etcd servers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from calico_route.ipam import Ipam
from tests.calico_route.etcd.conftest import etcd_binary, make_store, server, shared  # noqa: F401 - fixtures
from tests.calico_route.ipam.memory_store import Cluster, MemoryStore
from tests.calico_route.ipam.records import pool


class Lab:
    """One cluster; `ipam(node)` is the allocator of a node of it, always the same one."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.stores: dict[str, MemoryStore] = {}
        self.ipams: dict[str, Ipam] = {}

    def put(self, *several: dict[bytes, bytes]) -> None:
        for values in several:
            for key, value in values.items():
                self.cluster.put(key, value)

    @property
    def values(self) -> dict[bytes, bytes]:
        return {key: stored.value for key, stored in self.cluster.values.items()}

    def ipam(self, node: str, **settings: Any) -> Ipam:
        if node not in self.ipams:
            self.stores[node] = MemoryStore(self.cluster)
            self.ipams[node] = Ipam(self.stores[node], node=node, **settings)
        return self.ipams[node]


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    """With the default pool."""
    one = Lab()
    one.put(pool("192.168.0.0/16"))
    try:
        yield one
    finally:
        async with contextlib.AsyncExitStack() as stack:
            for ipam in one.ipams.values():
                stack.push_async_callback(ipam.close)
