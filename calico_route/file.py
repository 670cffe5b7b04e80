"""The same resources from a file, for hosts without etcd: what Calico's `get -o yaml` or `-o json` prints.

One or many documents, and lists of them (`kind: NodeList` and the like), in YAML or JSON. A file that
cannot be understood as a whole changes nothing: what it said before stays in force, and the log names the
file, the document and the field.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .datastore import (
    DatastoreDeniedError,
    DatastoreStatus,
    DatastoreUnavailableError,
    Edit,
    Interpreter,
    Snapshot,
    StatusBoard,
    StatusListener,
    Update,
)
from .documents import Reading, read_document
from .fields import show
from .keys import NAMESPACED, PLURALS
from .model import Invalid, Resource, ResourceKey

log = logging.getLogger(__name__)

_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KINDS = {str(kind): kind for kind in PLURALS}
_GROUP = "projectcalico.org/"


class FileError(ValueError):
    """A file that is not understood: where and why."""


class _Loader(_BaseLoader):  # type: ignore[misc]
    """YAML's safe types without its dates: `creationTimestamp` is a text, as it is in JSON."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own class attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class Place(NamedTuple):
    """A document and where it is, in words."""

    source: str
    document: object


def read_documents(text: str, source: str) -> list[tuple[ResourceKey, Reading]]:
    """All resources in a text. FileError if a document does not even tell what it is.

    Kinds that routing does not need are passed over.
    """
    readings: dict[ResourceKey, tuple[str, Reading]] = {}
    for place in _documents(text, source):
        key = _key(place)
        if key is None:
            continue
        if key in readings:
            raise FileError(f"{place.source}: {key} is there twice, first in {readings[key][0]}")
        resource, problems = read_document(key, place.document)
        located = tuple(dataclasses.replace(problem, source=place.source) for problem in problems)
        readings[key] = (place.source, Reading(resource, located))
    return [(key, reading) for key, (_, reading) in readings.items()]


def _documents(text: str, source: str) -> Iterator[Place]:
    documents = None
    if text.lstrip()[:1] in ("{", "["):
        documents = _json_documents(text, source)
    for place in documents if documents is not None else _yaml_documents(text, source):
        yield from _flatten(place)


def _json_documents(text: str, source: str) -> list[Place] | None:
    """JSON values one after the other; None if this is no JSON (YAML's flow style looks like it)."""
    decoder = json.JSONDecoder()
    documents: list[Place] = []
    position = 0
    while rest := text[position:].lstrip():
        position = len(text) - len(rest)
        line = text.count("\n", 0, position) + 1
        try:
            document, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return None
        documents.append(Place(f"{source} document {len(documents) + 1} (line {line})", document))
    return documents


def _yaml_documents(text: str, source: str) -> Iterator[Place]:
    try:
        loader = _Loader(text)
    except (yaml.YAMLError, ValueError) as error:  # a character that YAML does not allow
        raise FileError(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    number = 0
    try:
        while loader.check_node():
            number += 1
            node = loader.get_node()
            where = f"{source} document {number} (line {node.start_mark.line + 1})"
            yield Place(where, loader.construct_document(node))
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise FileError(f"{source}{line}: not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FileError(f"{source} document {number}: not YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()


def _flatten(place: Place) -> Iterator[Place]:
    """The documents in a list, else the document itself; nothing for an empty one."""
    document = place.document
    if document is None:
        return
    if isinstance(document, Mapping) and str(document.get("kind", "")).endswith("List"):
        document = document.get("items") or []
        if not isinstance(document, list):
            raise FileError(f"{place.source}: items must be a list")
    if not isinstance(document, list):
        yield place
        return
    for number, item in enumerate(document, 1):
        yield Place(f"{place.source} item {number}", item)


def _key(place: Place) -> ResourceKey | None:
    """What a document is about; None for a kind that is not ours."""
    source, document = place
    if not isinstance(document, Mapping):
        raise FileError(f"{source}: {show(document)} is not an object with kind, metadata and spec")
    kind_name, version = document.get("kind"), document.get("apiVersion")
    if not isinstance(kind_name, str):
        raise FileError(f"{source}: kind is missing: write kind: Node, IPPool, ...")
    kind = _KINDS.get(kind_name)
    # Kubernetes has a Node too.
    if kind is None or (version is not None and _GROUP not in str(version)):
        log.debug("%s: %s of %s is not needed here", source, kind_name, version)
        return None
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(name, str) or not name or "/" in name:
        raise FileError(f"{source}: metadata.name {show(name)} is not a name")
    if kind not in NAMESPACED:
        return ResourceKey(kind, "", name)
    assert isinstance(metadata, Mapping)
    namespace = metadata.get("namespace") or "default"
    if not isinstance(namespace, str) or "/" in namespace:
        raise FileError(f"{source}: metadata.namespace {show(namespace)} is not a name")
    return ResourceKey(kind, namespace, name)


class FileDatastore:
    """A Datastore that only reads. The file is looked at every `poll` seconds, and on `reload()` at once.

    A changed file is read when it has not changed for one more `poll`: an editor or a copy may still be
    writing, and half a file is a valid one with half of the nodes.
    """

    def __init__(self, path: str | os.PathLike[str], *, poll: float = 1.0) -> None:
        self._path = Path(path)
        self._poll = poll
        self._board = StatusBoard(source=str(path), driver="file")
        self._interpreter = Interpreter()
        self._text: bytes | None = None
        self._revision = 0
        self._wake = asyncio.Event()
        self._closed = False

    @property
    def status(self) -> DatastoreStatus:
        return self._board.status

    @property
    def on_status(self) -> StatusListener | None:
        return self._board.listener

    @on_status.setter
    def on_status(self, listener: StatusListener | None) -> None:
        self._board.listener = listener

    def reload(self) -> None:
        """Read the file now, as after SIGHUP."""
        self._wake.set()

    async def follow(self) -> AsyncIterator[Update]:
        self._text = None
        read: object = None
        before: object = None
        forced = True
        while not self._closed:
            mark = self._mark()
            if forced or (mark != read and mark == before):
                read = mark
                snapshot = await self._load()
                if snapshot is not None:
                    yield snapshot
            elif mark == read and self._board.status.connected:
                self._board.up(source=str(self._path), revision=self._revision)
            before = mark
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._wake.wait()
            forced = self._wake.is_set()
            self._wake.clear()

    async def create(self, resource: Resource) -> bool:
        raise self._read_only(resource)

    async def put(self, resource: Resource) -> None:
        raise self._read_only(resource)

    async def get(self, key: ResourceKey) -> Resource | Invalid | None:
        if self._text is None:
            try:
                readings = await asyncio.to_thread(self._read)
            except (OSError, ValueError) as error:
                raise DatastoreUnavailableError(self._reason(error)) from error
            for found, reading in readings[1]:
                if found == key:
                    return reading.resource or Invalid(key, reading.problems)
            return None
        return self._interpreter.resources.get(key)

    async def change(self, key: ResourceKey, edit: Edit) -> Resource | None:
        now = await self.get(key)
        edited = None if now is None or isinstance(now, Invalid) else edit(now)
        if edited is not None:
            raise self._read_only(edited)
        return None

    async def close(self) -> None:
        self._closed = True
        self._wake.set()

    def _read_only(self, resource: Resource) -> DatastoreDeniedError:
        return DatastoreDeniedError(f"{self._path} is read only: write {resource.key} into it by hand")

    def _mark(self) -> object:
        """What changes when the file does."""
        try:
            found = self._path.stat()
        except OSError as error:
            return error.strerror
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> tuple[bytes, list[tuple[ResourceKey, Reading]]]:
        text = self._path.read_bytes()
        if text == self._text:
            return text, []
        return text, read_documents(text.decode("utf-8-sig"), str(self._path))

    def _reason(self, error: Exception) -> str:
        if isinstance(error, OSError):
            return f"cannot read {self._path}: {error.strerror}"
        return str(error) if isinstance(error, FileError) else f"{self._path} is not UTF-8: {error}"

    async def _load(self) -> Snapshot | None:
        """The content, or None when it is the same or cannot be used."""
        try:
            # Thousands of documents take seconds to parse, and nobody's timers may wait for that.
            text, readings = await asyncio.to_thread(self._read)
        except (OSError, ValueError) as error:
            reason = self._reason(error)
            log.error("%s; what was read before stays in force", reason)
            self._board.down(source=str(self._path), reason=reason)
            return None
        unchanged = text == self._text
        if not unchanged:
            self._text = text
            self._revision += 1
        self._board.up(source=str(self._path), revision=self._revision)
        return None if unchanged else self._interpreter.replace(self._revision, readings)
