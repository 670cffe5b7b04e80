"""The last snapshot of the datastore on disk, for a start while the datastore is away.

One file a node, JSON, readable by its owner alone, exchanged atomically. What cannot be read back is as good
as no file, and said.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .datastore import Snapshot
from .documents import read_value, write_value
from .keys import format_path, parse_path
from .model import Invalid, Resource, ResourceKey
from .view import View, fold

log = logging.getLogger(__name__)

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept. `saved` is wall clock time, seconds since 1970; `source` the datastore that it came from."""

    view: View
    source: str
    saved: float


class SnapshotFile:
    """Where the snapshot of one node is kept."""

    def __init__(self, directory: Path, node: str) -> None:
        self.path = directory / f"{node}.snapshot.json"
        self._node = node
        self._documents: dict[ResourceKey, tuple[Resource, str, str]] = {}  # as they were written last

    def load(self) -> Kept | None:
        """What was kept last; None if there is nothing or nothing usable."""
        try:
            document = json.loads(self.path.read_bytes())
            return self._read(document)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            log.warning("the snapshot %s cannot be used: %s", self.path, error)
            return None

    def _read(self, document: Any) -> Kept:
        if document["format"] != _FORMAT or document["node"] != self._node:
            raise ValueError("it is of another version or another node")
        resources: dict[ResourceKey, Resource | Invalid] = {}
        for path, value in document["resources"].items():
            key = parse_path(path)
            reading = None if key is None else read_value(key, value.encode())
            if key is None or reading is None or reading.resource is None:
                raise ValueError(f"{path} in it is not readable")
            resources[key] = reading.resource
        revision, source, saved = document["revision"], document["source"], document["saved"]
        view = fold(View(), Snapshot(int(revision), resources))
        return Kept(view, str(source), float(saved))

    def save(self, view: View, source: str) -> None:
        """Keep a view. OSError when the disk will not take it; the old file then stays."""
        document = {
            "format": _FORMAT,
            "node": self._node,
            "source": source,
            "saved": time.time(),
            "revision": view.revision,
            "resources": self._resources(view),
        }
        data = json.dumps(document, separators=(",", ":")).encode()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A name of its own in the same directory: 0600 from birth, and rename() never crosses a file system.
        handle, temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _resources(self, view: View) -> Mapping[str, str]:
        """Documents by key, as the datastore itself holds them; those of resources that are the same as the last time
        are at hand. What never was readable is not worth keeping."""
        before, found = self._documents, {}
        for table in view.tables.values():
            for key, resource in table.items():
                known = before.get(key)
                if known is not None and known[0] is resource:
                    found[key] = known
                elif not isinstance(resource, Invalid):
                    with contextlib.suppress(ValueError):  # a resource that has no document
                        found[key] = resource, format_path(key).decode(), write_value(resource).decode()
        self._documents = found
        return {path: document for _, path, document in found.values()}
