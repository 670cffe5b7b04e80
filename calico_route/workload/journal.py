"""What was begun and what stands, on disk: a file for each workload, written before the first step.

A process that is killed at any point finds there what it had begun, and all names of what there may be of it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from .interface import Wiring
from .ports import WorkloadError
from .request import Workload, WorkloadRequest, read_request

log = logging.getLogger(__name__)

_FORMAT = 1
_BOOT = Path("/proc/sys/kernel/random/boot_id")

Key = tuple[str, str]
"""Container and interface."""


def boot_id() -> str:
    """Another one after each boot; "" where the kernel does not tell."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


class Stage(StrEnum):
    """`adding`: begun, and nobody was told that it is done; `removing`: something of it may be left."""

    ADDING = "adding"
    READY = "ready"
    REMOVING = "removing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One workload. `namespace_identity` tells the container's network namespace from others until the next boot, ""
    where it is not known; `uid` is that of its WorkloadEndpoint, by which a write is recognised whose answer was lost.
    """

    request: WorkloadRequest
    stage: Stage
    host_interface: str
    peer: str
    mac: str
    handle: str
    endpoint: str
    uid: str
    created: str
    addresses: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    namespace_identity: str = ""
    boot: str = field(default_factory=boot_id)

    @property
    def key(self) -> Key:
        return self.request.container, self.request.interface

    @property
    def wiring(self) -> Wiring:
        return Wiring(
            host_interface=self.host_interface,
            interface=self.request.interface,
            peer=self.peer,
            mac=self.mac,
            addresses=self.addresses,
            netns=self.request.netns,
            mtu=self.request.mtu,
        )

    @property
    def workload(self) -> Workload:
        asked = self.request
        return Workload(
            container=asked.container,
            interface=asked.interface,
            host_interface=self.host_interface,
            mac=self.mac,
            addresses=self.addresses,
            endpoint=self.endpoint,
            profiles=self.profiles,
            peer_interface=self.peer if asked.netns is None else None,
            netns=asked.netns,
            network=asked.network,
            orchestrator=asked.orchestrator,
            namespace=asked.namespace,
            name=asked.name,
            labels=asked.labels,
        )

    def document(self) -> dict[str, Any]:
        texts = {name: getattr(self, name) for name in _TEXTS}
        lists = {name: list(getattr(self, name)) for name in _LISTS}
        return {"format": _FORMAT, "stage": str(self.stage), **texts, **lists, "request": self.request.document()}


_TEXTS = ("host_interface", "peer", "mac", "handle", "endpoint", "uid", "created", "namespace_identity", "boot")
_LISTS = ("addresses", "profiles")


def read_record(document: Any) -> Record:
    """ValueError, KeyError or TypeError for what is no record."""
    if document["format"] != _FORMAT:
        raise ValueError("it is of another version")
    texts: dict[str, Any] = {name: document[name] for name in _TEXTS}
    lists: dict[str, Any] = {name: tuple(document[name]) for name in _LISTS}
    if not all(isinstance(one, str) for one in (*texts.values(), *lists["addresses"], *lists["profiles"])):
        raise ValueError("something in it is no text")
    try:
        request = read_request(document["request"])
    except WorkloadError as error:
        raise ValueError(str(error)) from None
    return Record(request=request, stage=Stage(document["stage"]), **texts, **lists)


class Journal:
    """The records of one node in a directory, and in memory. Its writing blocks."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.records: dict[Key, Record] = {}
        self.on: dict[str, Key] = {}
        """By the interface on the host."""
        self.holders: dict[str, set[Key]] = {}
        """By the handle of their addresses, in small letters as IPAM has it."""
        self._lock = threading.Lock()  # several are written at once

    def load(self) -> None:
        """Read all. What cannot be read is set aside, and said: its endpoint in the datastore tells of it, too."""
        for key in list(self.records):
            self._forget(key)
        for path, record in self._read_all():
            if isinstance(record, Record):
                self._remember(record)
                continue
            aside = path.with_suffix(".unreadable")
            log.error("%s is no record of a workload (%s): set aside as %s", path, record, aside.name)
            with contextlib.suppress(OSError):
                path.replace(aside)

    def _read_all(self) -> Iterator[tuple[Path, Record | str]]:
        for path in sorted(self.directory.glob("*.json")):
            try:
                yield path, read_record(json.loads(path.read_bytes()))
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                yield path, f"{type(error).__name__}: {error}"

    def write(self, record: Record, *, durable: bool) -> None:
        """Keep a record in place of the former one. `durable`: it is there after a loss of power, too. OSError."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(record)
        handle, temporary = tempfile.mkstemp(prefix=".", dir=self.directory)
        try:
            with open(handle, "wb") as file:
                file.write(json.dumps(record.document(), separators=(",", ":")).encode())
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        if durable:
            self._sync_directory()
        self._remember(record)

    def move(self, record: Record, stage: Stage, *, durable: bool = False) -> Record:
        """The record in another stage, kept. OSError."""
        moved = replace(record, stage=stage)
        self.write(moved, durable=durable)
        return moved

    def remove(self, record: Record) -> None:
        """Nothing is left of it. OSError."""
        self._path(record).unlink(missing_ok=True)
        self._forget(record.key)

    def _remember(self, record: Record) -> None:
        with self._lock:
            self._take_out(self.records.get(record.key))
            self.records[record.key] = record  # whoever looks meanwhile finds the former one
            self.on[record.host_interface] = record.key
            self.holders.setdefault(record.handle.lower(), set()).add(record.key)

    def _forget(self, key: Key) -> None:
        with self._lock:
            self._take_out(self.records.pop(key, None))

    def _take_out(self, known: Record | None) -> None:
        if known is None:
            return
        self.on.pop(known.host_interface, None)
        holder = known.handle.lower()
        self.holders[holder].discard(known.key)
        if not self.holders[holder]:
            del self.holders[holder]

    def _path(self, record: Record) -> Path:
        return self.directory / f"{record.host_interface}.json"

    def _sync_directory(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
