"""The WorkloadEndpoint of one workload in etcd: written last, taken out first.

An answer of etcd may be lost when the write was not. So whoever is not sure looks, and knows its own endpoint by the
uid.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from calico_route.documents import read_document, read_value
from calico_route.etcd.store import DeniedError, Store, StoreError, UnavailableError, Write
from calico_route.keys import WORKLOADS, format_path, parse_path
from calico_route.model import API_VERSION, Kind, ResourceKey, WorkloadEndpoint

from .journal import Record
from .ports import WorkloadError

log = logging.getLogger(__name__)

PATIENCE = 8.0
"""Seconds that etcd may be away in the middle of an add, or of a removal."""
FIRST_PAUSE = 0.05  # seconds before a second try, doubled each time
LONGEST_PAUSE = 1.0

HANDLE = "calico-route/handle"
"""Annotation: who holds the addresses. An endpoint that has it was made here."""
CONTAINER, INTERFACE, NETWORK, NAME = (f"calico-route/{one}" for one in ("container", "interface", "network", "name"))

_T = TypeVar("_T")


def resource_key(record: Record) -> ResourceKey:
    return ResourceKey(Kind.WORKLOAD_ENDPOINT, record.request.namespace, record.endpoint)


def document(record: Record, node: str) -> dict[str, Any]:
    """As Calico's CNI plug-in writes one, with annotations by which it is known again when the journal is lost."""
    asked = record.request
    annotations = {HANDLE: record.handle, CONTAINER: asked.container, INTERFACE: asked.interface}
    annotations[NETWORK] = asked.network
    if asked.name:
        annotations[NAME] = asked.name
    labels = {**asked.labels, "projectcalico.org/namespace": asked.namespace}
    labels["projectcalico.org/orchestrator"] = asked.orchestrator
    spec: dict[str, Any] = {"orchestrator": asked.orchestrator, "node": node, "containerID": asked.container}
    if asked.orchestrator == "k8s":
        spec["pod"] = asked.name
    elif asked.orchestrator == "libnetwork":
        spec["workload"] = "libnetwork"
    elif asked.orchestrator != "cni":
        spec["workload"] = asked.container
    spec |= {
        "endpoint": asked.container if asked.orchestrator == "libnetwork" else asked.interface,
        "ipNetworks": [f"{one}/{128 if ':' in one else 32}" for one in record.addresses],
        "profiles": list(record.profiles),
        "interfaceName": record.host_interface,
        "mac": record.mac,
    }
    metadata = {
        "name": record.endpoint,
        "namespace": asked.namespace,
        "uid": record.uid,
        "creationTimestamp": record.created,
        "labels": labels,
        "annotations": annotations,
    }
    return {"kind": str(Kind.WORKLOAD_ENDPOINT), "apiVersion": API_VERSION, "metadata": metadata, "spec": spec}


def endpoint_of(record: Record, node: str) -> WorkloadEndpoint:
    """The same as a value."""
    read = read_document(resource_key(record), document(record, node)).resource
    assert isinstance(read, WorkloadEndpoint), record
    return read


class Endpoints:
    """The endpoints of one node. WorkloadError (`unavailable`) where etcd does not answer in time."""

    def __init__(self, store: Store, node: str, *, patience: float = PATIENCE) -> None:
        self._store = store
        self._node = node
        self._patience = patience

    async def put(self, record: Record) -> None:
        """Write it. One that is there under this name, of a former life of the container, gives way."""
        path = format_path(resource_key(record))
        value = json.dumps(document(record, self._node), separators=(",", ":")).encode()

        async def attempt() -> None:
            while not await self._store.create(path, value):
                found = await self._store.get(path)
                if found is None:
                    continue
                if _uid(found.value) == record.uid:
                    return  # this very write, whose answer was lost
                if await self._store.replace(path, value, found.revision):
                    return

        await self.tried(attempt, f"write the endpoint {record.endpoint}")

    async def get(self, record: Record) -> WorkloadEndpoint | None:
        """What the datastore has of it; None also for what cannot be read, which is then written anew."""
        key = resource_key(record)
        found = await self.tried(lambda: self._store.get(format_path(key)), f"read the endpoint {record.endpoint}")
        read = None if found is None else read_value(key, found.value).resource
        return read if isinstance(read, WorkloadEndpoint) else None

    async def delete(self, key: ResourceKey) -> None:
        """Nothing there is no error."""
        path = format_path(key)
        await self.tried(lambda: self._store.transact([Write(path, None)]), f"remove the endpoint {key.name}")

    async def made_here(self) -> dict[ResourceKey, WorkloadEndpoint]:
        """All of this node that have our annotation."""
        node, mark = self._node.encode(), HANDLE.encode()

        async def attempt() -> dict[ResourceKey, WorkloadEndpoint]:
            snapshot = await self._store.snapshot([WORKLOADS], lambda _, value: node in value and mark in value)
            found = {}
            for path, value in snapshot.values.items():
                key = parse_path(path)
                read = None if key is None else read_value(key, value).resource
                if isinstance(read, WorkloadEndpoint) and read.node == self._node and HANDLE in notes_of(read):
                    found[read.key] = read
            return found

        return await self.tried(attempt, "read the endpoints of this node")

    async def tried(self, attempt: Callable[[], Awaitable[_T]], what: str) -> _T:
        """Try again at the next endpoint while there is time."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self._patience, FIRST_PAUSE
        while True:
            used = self._store.endpoint
            try:
                return await attempt()
            except DeniedError as error:
                raise WorkloadError(f"cannot {what}: etcd refuses: {error}", code="unavailable") from error
            except UnavailableError as error:
                if loop.time() + pause > deadline:
                    words = f"cannot {what}: etcd at {used} does not answer: {error}"
                    raise WorkloadError(words, code="unavailable") from error
                log.debug("%s: %s; trying again", what, error)
            except StoreError as error:
                raise WorkloadError(f"cannot {what}: etcd: {error}", code="unavailable") from error
            await self._store.reset(used)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def notes_of(endpoint: WorkloadEndpoint) -> Mapping[str, str]:
    """Of the document that an endpoint was read from; those that are texts."""
    metadata = endpoint.raw.get("metadata")
    found = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    if not isinstance(found, Mapping):
        return {}
    return {str(name): value for name, value in found.items() if isinstance(value, str)}


def _uid(value: bytes) -> str | None:
    try:
        metadata = json.loads(value)["metadata"]
        return str(metadata["uid"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
