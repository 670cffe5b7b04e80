"""Objects in a real etcd, where others write at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from calico_route.commands import objects
from calico_route.commands.answer import Refused
from calico_route.commands.objects import Document, Kind, Objects, Stored
from calico_route.etcd.driver_http import HttpStore
from calico_route.etcd.settings import EtcdSettings, parse_endpoint
from calico_route.etcd.store import Write
from tests.calico_route.etcd.server import EtcdServer

POOLS = b"/calico/resources/v3/projectcalico.org/ippools/"


@pytest.fixture
async def etcd(shared: EtcdServer) -> AsyncIterator[Objects]:
    store = HttpStore(EtcdSettings(endpoints=(parse_endpoint(shared.url),)))
    snapshot = await store.snapshot([b"/calico/"])
    if snapshot.values:
        await store.transact([Write(key, None) for key in snapshot.values])
    yield Objects(store)
    await store.close()


def one_more(document: Document) -> Document:
    document["spec"]["count"] = document["spec"].get("count", 0) + 1
    return document


async def test_no_change_is_lost(etcd: Objects) -> None:
    await etcd.create(Kind.POOL, "a", {"kept": [1, {"unknown": "é"}]})
    found = await etcd.need(Kind.POOL, "a")
    await asyncio.gather(*(etcd.change(found, one_more) for _ in range(12)))
    assert (await etcd.need(Kind.POOL, "a")).spec == {"kept": [1, {"unknown": "é"}], "count": 12}


async def test_the_first_of_many_makes_it_and_nobody_is_lost(etcd: Objects) -> None:
    await asyncio.gather(*(etcd.create_or_change(Kind.BGP, "default", one_more) for _ in range(8)))
    assert (await etcd.need(Kind.BGP, "default")).spec == {"count": 8}


async def test_only_one_creates(etcd: Objects) -> None:
    made = await asyncio.gather(*(etcd.create(Kind.POOL, "a", {"by": number}) for number in range(6)))
    [document] = [one for one in made if one is not None]
    assert (await etcd.need(Kind.POOL, "a")).document == document


async def test_what_was_changed_meanwhile_is_not_deleted(etcd: Objects) -> None:
    await etcd.create(Kind.POOL, "a", {})
    [before] = await etcd.all(Kind.POOL)
    await etcd.change(before, one_more)
    with pytest.raises(Refused, match="changed or removed by somebody else"):
        await etcd.delete(before)
    await etcd.store.put(POOLS + b"a", b"{")
    with pytest.raises(Refused, match="changed or removed by somebody else"):
        await etcd.delete(before)
    await etcd.store.transact([Write(POOLS + b"a", None)])
    with pytest.raises(Refused, match="changed or removed by somebody else"):
        await etcd.delete(before)


async def test_who_is_always_overtaken_gives_up(etcd: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "TRIES", 3)
    await etcd.create(Kind.POOL, "a", {})
    found = await etcd.need(Kind.POOL, "a")

    async def never(key: bytes, value: bytes, revision: int) -> bool:
        return False

    monkeypatch.setattr(etcd.store, "replace", never)
    with pytest.raises(Refused, match="3 attempts were overtaken"):
        await etcd.change(found, one_more)


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"spec": []}', b'{"spec": {}, "metadata": 1}', b"\xff"])
async def test_what_cannot_be_read_is_told_and_kept(etcd: Objects, value: bytes) -> None:
    await etcd.store.put(POOLS + b"a", value)
    [found] = await etcd.all(Kind.POOL)
    assert found.problem
    with pytest.raises(Refused, match="cannot be read"):
        await etcd.need(Kind.POOL, "a")
    with pytest.raises(Refused, match="cannot be read"):
        await etcd.create_or_change(Kind.POOL, "a", one_more)
    stored = await etcd.store.get(POOLS + b"a")
    assert stored is not None
    assert stored.value == value


@pytest.mark.parametrize("name", ["", "a/b", "a\nb"])
async def test_names_that_no_key_can_hold(etcd: Objects, name: str) -> None:
    with pytest.raises(Refused, match="cannot be the name"):
        await etcd.create(Kind.POOL, name, {})


def test_odd_members_are_empty() -> None:
    stored = Stored(Kind.ENDPOINT, "a", {"metadata": {"labels": {"x": 1, "y": ""}}, "spec": 5}, 1)
    assert stored.labels == {"y": ""}
    assert stored.spec == {}
    assert objects.texts({"a": ["b", 1, None]}, "a") == ["b"]
    assert objects.texts({"a": "b"}, "a") == []
