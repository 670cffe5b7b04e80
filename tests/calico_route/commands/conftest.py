"""A command line with a real etcd below it, and what its commands leave there."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from calico_route.__main__ import main
from calico_route.etcd.driver_http import HttpStore
from calico_route.etcd.settings import EtcdSettings, parse_endpoint
from calico_route.etcd.store import Write
from tests.calico_route.etcd.conftest import etcd_binary, shared
from tests.calico_route.etcd.server import EtcdServer

__all__ = ["etcd_binary", "shared"]

RESOURCES = "/calico/resources/v3/projectcalico.org"


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Line:
    """Commands, typed as at a shell, and the datastore beside them."""

    def __init__(self, url: str, capfd: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.url = url
        self._capfd, self._patch = capfd, patch

    def __call__(self, words: str | Sequence[str], *, code: int = 0, given: str | None = None) -> Said:
        if given is not None:
            self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        found = main(words.split() if isinstance(words, str) else list(words))
        out, err = self._capfd.readouterr()
        assert found == code, (words, found, out, err)
        assert "Traceback" not in err
        return Said(found, out, err)

    def read(self, path: str) -> Any:
        """The document at a key below RESOURCES (or at a whole one); None if there is none."""
        stored = asyncio.run(self._with(lambda store: store.get(_key(path))))
        return None if stored is None else json.loads(stored.value)

    def write(self, documents: Mapping[str, Any]) -> None:
        """Documents, or bytes as they are."""
        values = {path: one if isinstance(one, bytes) else json.dumps(one).encode() for path, one in documents.items()}
        writes = [Write(_key(path), value) for path, value in values.items()]
        assert asyncio.run(self._with(lambda store: store.transact(writes)))

    def keys(self, below: str) -> list[str]:
        snapshot = asyncio.run(self._with(lambda store: store.snapshot([_key(below)])))
        return sorted(key.decode() for key in snapshot.values)

    def wipe(self) -> None:
        if writes := [Write(key.encode(), None) for key in self.keys("/calico/")]:
            assert asyncio.run(self._with(lambda store: store.transact(writes)))

    async def _with(self, ask: Callable[[HttpStore], Any]) -> Any:
        store = HttpStore(EtcdSettings(endpoints=(parse_endpoint(self.url),)))
        try:
            return await ask(store)
        finally:
            await store.close()


def _key(path: str) -> bytes:
    return (path if path.startswith("/") else f"{RESOURCES}/{path}").encode()


@pytest.fixture
def line(shared: EtcdServer, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """On an empty datastore, as node host1."""
    for name in ("ETCD_ENDPOINTS", "ETCD_AUTHORITY", "ETCD_USERNAME", "ETCD_PASSWORD", "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ETCD_ENDPOINTS", shared.url)
    monkeypatch.setenv("NODENAME", "host1")
    one = Line(shared.url, capfd, monkeypatch)
    one.wipe()
    yield one
    one.wipe()


def endpoint(
    container: str = "6f1c2a8b9d0e",
    *,
    node: str = "host1",
    addresses: Sequence[str] = ("192.168.0.1/32",),
    profiles: Sequence[str] = (),
    interface: str = "cali1e2d3c4b5a6",
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A WorkloadEndpoint of a container, and its key."""
    name = f"{node}-cni-{container}-eth1"
    document = {
        "kind": "WorkloadEndpoint",
        "apiVersion": "projectcalico.org/v3",
        "metadata": {"name": name, "namespace": "default", "labels": dict(labels or {})},
        "spec": {
            "orchestrator": "cni",
            "node": node,
            "containerID": container,
            "endpoint": "eth1",
            "ipNetworks": list(addresses),
            "profiles": list(profiles),
            "interfaceName": interface,
            "mac": "02:00:00:00:00:01",
        },
    }
    return {f"workloadendpoints/default/{name}": document}


def block(cidr: str, held: Mapping[int, str], node: str = "host1") -> dict[str, Any]:
    """An IPAM block in which some ordinals are held by handles, its handles, and the affinity of its node."""
    name = cidr.replace("/", "-")
    allocations: list[int | None] = [None] * 64
    attributes = []
    for index, (ordinal, handle) in enumerate(held.items()):
        allocations[ordinal] = index
        attributes.append({"handle_id": handle, "secondary": {"node": node}})
    document = {
        "cidr": cidr,
        "affinity": f"host:{node}",
        "allocations": allocations,
        "unallocated": [ordinal for ordinal in range(64) if allocations[ordinal] is None],
        "attributes": attributes,
        "sequenceNumber": 5,
        "deleted": False,
    }
    found: dict[str, Any] = {f"/calico/ipam/v2/assignment/ipv4/block/{name}": document}
    found[f"/calico/ipam/v2/host/{node}/ipv4/block/{name}"] = {"state": "confirmed", "deleted": False}
    for handle in set(held.values()):
        count = sum(one == handle for one in held.values())
        found[f"/calico/ipam/v2/handle/{handle}"] = {"block": {name: count}, "deleted": False}
    return found
