"""Calico's resources over a real etcd, with both drivers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from calico_route.datastore import (
    Batch,
    DatastoreDeniedError,
    DatastoreStatus,
    DatastoreUnavailableError,
    Event,
    Snapshot,
    Update,
)
from calico_route.documents import new_ip_pool, new_node, read_document
from calico_route.etcd.datastore import EtcdDatastore
from calico_route.etcd.follow import Timing
from calico_route.keys import format_path
from calico_route.model import (
    BlockAffinity,
    HostAddress,
    Invalid,
    IpPool,
    Kind,
    Node,
    ReadyFlag,
    Resource,
    ResourceKey,
    WorkloadEndpoint,
)
from pybgp import Prefix
from tests.calico_route.etcd.conftest import StoreMaker
from tests.calico_route.etcd.server import EtcdServer, free_ports

pytestmark = pytest.mark.daemon

UID = UUID("5f0c2f3e-8a3e-4f57-9c11-0d2a1b7c9e01")
NOW = datetime(2026, 11, 23, tzinfo=UTC)
N1, N2 = ResourceKey(Kind.NODE, "", "n1"), ResourceKey(Kind.NODE, "", "n2")
WORKLOADS = "/calico/resources/v3/projectcalico.org/workloadendpoints/default/"


def put(server: EtcdServer, key: ResourceKey, spec: dict[str, Any]) -> int:
    document = {"kind": key.kind, "apiVersion": "projectcalico.org/v3", "metadata": {"name": key.name}, "spec": spec}
    return server.put(format_path(key), json.dumps(document).encode())


@contextlib.asynccontextmanager
async def following(datastore: EtcdDatastore) -> AsyncIterator[AsyncIterator[Update]]:
    async with contextlib.aclosing(datastore.follow()) as stream:  # type: ignore[type-var]
        yield stream


async def following_next(stream: AsyncIterator[Update]) -> Update:
    async with asyncio.timeout(20):
        return await anext(stream)


async def test_from_a_snapshot_to_events(server: EtcdServer, make_store: StoreMaker) -> None:
    put(server, N1, {"bgp": {"ipv4Address": "10.0.0.1/8"}})
    server.put(b"/calico/v1/Ready", b"true")
    server.put(b"/calico/ipam/v2/host/n1/ipv4/block/192.168.0.64-26", b'{"state":"confirmed"}')
    server.put(b"/calico/ipam/v2/host/n10/ipv4/block/192.168.0.0-26", b'{"state":"confirmed"}')
    server.put(b"/calico/ipam/v2/handle/x", b"{}")
    server.put(b"/calico/resources/v3/projectcalico.org/profiles/p", b"{}")
    server.put(f"{WORKLOADS}mine".encode(), b'{"spec":{"node":"n1","ipNetworks":["192.168.0.65/32"]}}')
    server.put(f"{WORKLOADS}theirs".encode(), b'{"spec":{"node":"n10","ipNetworks":["192.168.0.1/32"]}}')
    server.put(f"{WORKLOADS}far".encode(), b'{"spec":{"node":"else","ipNetworks":["192.168.0.2/32"]}}')
    mine = WorkloadEndpoint(namespace="default", name="mine", node="n1", networks=(Prefix("192.168.0.65/32"),))
    node = Node(name="n1", ipv4=HostAddress("10.0.0.1", 8))

    datastore = EtcdDatastore(make_store(server.url), node="n1")
    told: list[DatastoreStatus] = []
    datastore.on_status = told.append
    async with following(datastore) as stream:
        snapshot = await following_next(stream)
        assert isinstance(snapshot, Snapshot)
        expected: list[Resource] = [
            node,
            mine,
            ReadyFlag(ready=True),
            BlockAffinity(node="n1", cidr=Prefix("192.168.0.64/26")),
        ]
        assert snapshot.resources == {resource.key: resource for resource in expected}
        assert [(status.connected, status.source) for status in told] == [(True, server.url)]
        assert str(told[0]) == f"connected to {server.url}, revision {snapshot.revision}"

        # Another node's workload, a heartbeat's worth of change and a foreign key are no events.
        server.put(f"{WORKLOADS}far".encode(), b'{"spec":{"node":"else"}}')
        put(server, N1, {"bgp": {"ipv4Address": "10.0.0.1/8"}, "wireguard": {}})
        revision = put(server, N2, {"bgp": {"ipv4Address": "10.0.0.2/8"}})
        second = Node(name="n2", ipv4=HostAddress("10.0.0.2", 8))
        assert await following_next(stream) == Batch(revision, (Event(N2, second, revision),))

        # It moves away, and what cannot be read is no deletion.
        revision = server.put(f"{WORKLOADS}mine".encode(), b"no longer JSON")
        broken = await following_next(stream)
        assert isinstance(broken, Batch)
        assert broken.events == ()
        assert [problem.key for problem in broken.problems] == [mine.key]
        revision = server.put(f"{WORKLOADS}mine".encode(), b'{"spec":{"node":"n2"}}')
        assert await following_next(stream) == Batch(revision, (Event(mine.key, None, revision),))

        revision = put(server, N1, {"bgp": {"asNumber": "many"}})
        broken = await following_next(stream)
        assert isinstance(broken, Batch)
        assert broken.events == ()
        assert "spec.bgp.asNumber" in str(broken.problems[0])
        revision = server.delete(format_path(N2))
        assert await following_next(stream) == Batch(revision, (Event(N2, None, revision),))
        server.delete(format_path(N1))
        without = await following_next(stream)  # our own: who knows what else is gone
        assert isinstance(without, Snapshot)
        assert without.resources.keys() == {ReadyFlag(ready=True).key, expected[-1].key}


async def test_what_one_transaction_deletes_is_gone_at_once(server: EtcdServer, make_store: StoreMaker) -> None:
    """Each kind is watched by itself, and etcd tells of one after the other."""
    for turn in range(5):
        put(server, N1, {"bgp": {"ipv4Address": "10.0.0.1/8"}})
        put(server, N2, {"bgp": {"ipv4Address": "10.0.0.2/8"}})
        server.put(b"/calico/ipam/v2/host/n1/ipv4/block/192.168.0.64-26", b'{"state":"confirmed"}')
        server.put(f"{WORKLOADS}mine".encode(), b'{"spec":{"node":"n1","ipNetworks":["192.168.0.65/32"]}}')
        datastore = EtcdDatastore(make_store(server.url), node="n1")
        async with following(datastore) as stream:
            assert len((await following_next(stream)).resources) == 4, turn  # type: ignore[union-attr]
            server.delete_prefix(b"/calico/")
            wiped = await following_next(stream)
            assert isinstance(wiped, Snapshot)
            assert wiped.resources == {}
        await datastore.close()


async def test_a_full_reading_keeps_the_last_good_value(server: EtcdServer, make_store: StoreMaker) -> None:
    put(server, N1, {"bgp": {"ipv4Address": "10.0.0.1/8"}})
    put(server, N2, {"bgp": 7})
    datastore = EtcdDatastore(make_store(server.url), timing=Timing(probe=0.05, resync=0.1))
    async with following(datastore) as stream:
        first = await following_next(stream)
        assert isinstance(first, Snapshot)
        assert isinstance(first.resources[N2], Invalid)
        put(server, N1, {"bgp": {"ipv4Address": "10.0.0.999/8"}})
        while True:
            update = await following_next(stream)
            if isinstance(update, Snapshot) and len(update.problems) == 2:
                break
        assert update.resources[N1] == first.resources[N1]


async def test_registration_is_create_if_absent(server: EtcdServer, make_store: StoreMaker) -> None:
    datastore = EtcdDatastore(make_store(server.url))
    node = new_node("n1", ipv4="192.168.78.21/24", uid=UID, created=NOW)
    assert await datastore.get(N1) is None
    assert await datastore.create(node)
    assert not await datastore.create(new_node("n1", ipv4="192.168.78.99/24", uid=UID, created=NOW))
    stored = await datastore.get(N1)
    assert stored == node
    assert isinstance(stored, Node)
    assert stored.raw == node.raw
    pool = new_ip_pool(uid=UID, created=NOW)
    await datastore.put(pool)
    await datastore.put(pool)
    assert isinstance(await datastore.get(pool.key), IpPool)
    put(server, N2, {"bgp": 7})
    assert isinstance(await datastore.get(N2), Invalid)


async def test_a_change_by_somebody_else_in_between_is_not_overwritten(
    server: EtcdServer, make_store: StoreMaker
) -> None:
    datastore = EtcdDatastore(make_store(server.url))
    await datastore.put(new_node("n1", ipv4="192.168.78.21/24", uid=UID, created=NOW))
    seen: list[int | None] = []

    def edit(found: Resource) -> Resource | None:
        assert isinstance(found, Node)
        seen.append(found.asn)
        document = json.loads(json.dumps(found.raw))
        if len(seen) == 1:  # somebody else is faster
            document["spec"]["bgp"]["asNumber"] = 64600
            server.put(format_path(N1), json.dumps(document).encode())
            del document["spec"]["bgp"]["asNumber"]
        document["spec"]["bgp"]["ipv4Address"] = "192.168.78.22/24"
        return read_document(N1, document).resource

    expected = Node(name="n1", asn=64600, ipv4=HostAddress("192.168.78.22", 24))
    assert await datastore.change(N1, edit) == expected
    assert await datastore.get(N1) == expected
    assert seen == [None, 64600]
    assert await datastore.change(N1, lambda found: None) is None
    assert await datastore.change(N2, edit) is None


async def test_calls_ask_every_endpoint_and_then_say_why(server: EtcdServer, make_store: StoreMaker) -> None:
    dead = f"http://127.0.0.1:{free_ports(1)[0]}"
    datastore = EtcdDatastore(make_store(dead, server.url))
    assert await datastore.get(N1) is None
    alone = EtcdDatastore(make_store(dead))
    with pytest.raises(DatastoreUnavailableError, match=rf"^etcd at {dead}: connection refused$"):
        await alone.get(N1)
    server.enable_users("calico", "secret", readable=b"/calico/v1/")
    limited = EtcdDatastore(make_store(server.url, username="calico", password="secret"))
    with pytest.raises(DatastoreDeniedError, match=r"refuses: permission denied"):
        await limited.create(new_ip_pool(uid=UID, created=NOW))


async def test_closing_ends_the_follower(server: EtcdServer, make_store: StoreMaker) -> None:
    datastore = EtcdDatastore(make_store(server.url), timing=Timing(retry=0.01))
    async with following(datastore) as stream:
        await following_next(stream)
        waiting = asyncio.ensure_future(following_next(stream))
        await asyncio.sleep(0)
        await datastore.close()
        with pytest.raises(StopAsyncIteration):
            await waiting
