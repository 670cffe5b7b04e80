"""Calico's resources in etcd v3, read and written as `calicoctl` does: the envelope, and compare-and-swap.

Documents stay documents here: what a command does not know of an object stays in it.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import uuid4

from calico_route.etcd.store import Store, Write
from calico_route.keys import ROOT
from calico_route.model import API_VERSION

from .answer import Refused, meant

Document: TypeAlias = dict[str, Any]
Edit: TypeAlias = Callable[[Document], Document | None]
"""The changed document, made of a copy that it may change; None: leave it."""

TRIES = 50
"""Attempts at a change that others overtake before it is given up."""


class Kind(StrEnum):
    """The kinds that commands read and write, by the plural in their keys."""

    POOL = "ippools"
    PROFILE = "profiles"
    PEER = "bgppeers"
    BGP = "bgpconfigurations"
    NODE = "nodes"
    ENDPOINT = "workloadendpoints"
    RESERVATION = "ipreservations"
    CLUSTER = "clusterinformations"
    POLICY = "networkpolicies"
    GLOBAL_POLICY = "globalnetworkpolicies"


KINDS: Mapping[Kind, str] = {
    Kind.POOL: "IPPool",
    Kind.PROFILE: "Profile",
    Kind.PEER: "BGPPeer",
    Kind.BGP: "BGPConfiguration",
    Kind.NODE: "Node",
    Kind.ENDPOINT: "WorkloadEndpoint",
    Kind.RESERVATION: "IPReservation",
    Kind.CLUSTER: "ClusterInformation",
    Kind.POLICY: "NetworkPolicy",
    Kind.GLOBAL_POLICY: "GlobalNetworkPolicy",
}
_NAMESPACED = frozenset({Kind.ENDPOINT, Kind.POLICY})


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as it lies in etcd. `revision` is 0 where many were read at once. `problem` says why its document is
    empty."""

    kind: Kind
    name: str
    document: Document
    revision: int
    namespace: str = ""
    problem: str = ""

    @property
    def spec(self) -> Document:
        return section(self.document, "spec")

    @property
    def labels(self) -> dict[str, str]:
        found = section(section(self.document, "metadata"), "labels")
        return {key: value for key, value in found.items() if isinstance(value, str)}

    def __str__(self) -> str:
        return f"{KINDS[self.kind]} {self.namespace + '/' if self.namespace else ''}{self.name}"


class Objects:
    """The resources in a store. Methods raise StoreError, and Refused with words for a person."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def all(self, kind: Kind) -> list[Stored]:
        """All of a kind, by name. Those that cannot be read are there, with their problem."""
        below = _path(kind)
        snapshot = await self.store.snapshot([below])
        found = []
        for key, value in snapshot.values.items():
            parts = key[len(below) :].decode("utf-8", "replace").split("/")
            if len(parts) == 1 + (kind in _NAMESPACED) and all(parts):
                # A snapshot has one revision; that of the key is asked for when it is to be written.
                found.append(_stored(kind, parts[-1], value, 0, parts[0] if len(parts) == 2 else ""))
        return sorted(found, key=lambda one: (one.namespace, one.name))

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Stored | None:
        stored = await self.store.get(_key(kind, name, namespace))
        return None if stored is None else _stored(kind, name, stored.value, stored.revision, namespace)

    async def need(self, kind: Kind, name: str, namespace: str = "") -> Stored:
        """Refused where there is none, with the one that may be meant, or where it cannot be read."""
        found = await self.get(kind, name, namespace)
        if found is None:
            others = [one.name for one in await self.all(kind)]
            raise Refused(f"there is no {KINDS[kind]} {name!r} in etcd{meant(name, others)}")
        return _readable(found)

    async def create(self, kind: Kind, name: str, spec: Mapping[str, Any], namespace: str = "") -> Document | None:
        """Write a new object; None, and nothing written, where there is one of this name."""
        document = new_document(kind, name, spec, namespace)
        return document if await self.create_document(kind, document) else None

    async def create_document(self, kind: Kind, document: Document) -> bool:
        """False, and nothing written, where there is one of this name."""
        metadata = document["metadata"]
        key = _key(kind, metadata["name"], metadata.get("namespace", ""))
        return await self.store.create(key, _bytes(document))

    async def change(self, found: Stored, edit: Edit) -> Document:
        """Edit an object until nobody has overtaken us, and return it as it stands then."""
        for attempt in range(TRIES):
            current = await self.need(found.kind, found.name, found.namespace)
            edited = edit(json.loads(json.dumps(current.document)))
            if edited is None or edited == current.document:
                return current.document
            key = _key(found.kind, found.name, found.namespace)
            if await self.store.replace(key, _bytes(edited), current.revision):
                return edited
            await asyncio.sleep(random.uniform(0, 0.01 * (attempt + 1)))
        raise Refused(f"{found}: others change it all the time, {TRIES} attempts were overtaken; try again")

    async def create_or_change(self, kind: Kind, name: str, edit: Edit) -> Document:
        """Edit an object that may not be there yet; then `edit` gets an empty spec."""
        for _ in range(TRIES):
            found = await self.get(kind, name)
            if found is not None:
                return await self.change(_readable(found), edit)
            edited = edit(new_document(kind, name, {}))
            if edited is None:
                return {}
            if await self.store.create(_key(kind, name), _bytes(edited)):
                return edited
        raise Refused(f"{KINDS[kind]} {name} comes and goes: others write it at the same time; try again")

    async def delete(self, found: Stored, also: Iterable[Write] = ()) -> None:
        """Remove an object as it was read, and write what else belongs to that; Refused where somebody was faster."""
        key = _key(found.kind, found.name, found.namespace)
        current = await self.get(found.kind, found.name, found.namespace)
        same = current is not None and not current.problem and current.document == found.document
        if current is None or not same or not await self.store.transact([Write(key, None, current.revision), *also]):
            raise Refused(f"{found} was changed or removed by somebody else just now: look again, and repeat")


def new_document(kind: Kind, name: str, spec: Mapping[str, Any], namespace: str = "") -> Document:
    """An object as Calico's own client makes it."""
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"name": name, "namespace": namespace, "uid": str(uuid4()), "creationTimestamp": created}
    if not namespace:
        del metadata["namespace"]
    return {"kind": KINDS[kind], "apiVersion": API_VERSION, "metadata": metadata, "spec": dict(spec)}


def section(document: object, name: str) -> Document:
    """A member that is an object; empty where it is missing or anything else."""
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def texts(document: object, name: str) -> list[str]:
    """A member that is a list of texts; others in it are left out."""
    found = document.get(name) if isinstance(document, dict) else None
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def unreadable(found: Iterable[Stored]) -> list[str]:
    """A note for each object that cannot be read."""
    return [f"{one} is left out: {one.problem}" for one in found if one.problem]


def _readable(found: Stored) -> Stored:
    if found.problem:
        raise Refused(f"{found} in etcd cannot be read: {found.problem}; repair it (or remove its key) first")
    return found


def _stored(kind: Kind, name: str, value: bytes, revision: int, namespace: str) -> Stored:
    found = Stored(kind, name, {}, revision, namespace)
    try:
        document = json.loads(value)
    except (ValueError, RecursionError) as error:
        return replace(found, problem=f"not JSON: {error}")
    if not isinstance(document, dict):
        return replace(found, problem="not a JSON object")
    if not isinstance(document.get("spec", {}), dict) or not isinstance(document.get("metadata", {}), dict):
        return replace(found, problem="its metadata or its spec is no object")
    return replace(found, document=document)


def _path(kind: Kind) -> bytes:
    return f"{ROOT}/resources/v3/projectcalico.org/{kind}/".encode()


def _key(kind: Kind, name: str, namespace: str = "") -> bytes:
    parts = [namespace, name] if kind in _NAMESPACED else [name]
    for part in parts:
        if not part or "/" in part or not part.isprintable():
            raise Refused(f"{part!r} cannot be the name of a {KINDS[kind]}: it is empty or holds a slash")
    return _path(kind) + "/".join(parts).encode()


def _bytes(document: Document) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
