"""What must outlive the process, one small file a record: a power cut leaves the old one or the new one."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9A-Za-z_-]{1,128}")


class Records:
    """JSON objects by name in a directory. A name is made of letters, digits, - and _ (ValueError otherwise)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def load(self) -> dict[str, dict[str, Any]]:
        """All of them. One that cannot be read is told of and left alone. OSError where there can be no directory."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = {}
        for path in sorted(self.directory.glob("*.json")):
            try:
                document = json.loads(path.read_text())
            except (OSError, ValueError) as error:
                log.error("%s is left out, as it cannot be read (%s); remove it if it is of no use", path, error)
                continue
            if isinstance(document, dict):
                found[path.stem] = document
            else:
                log.error("%s is left out, as it is no JSON object; remove it if it is of no use", path)
        return found

    async def put(self, name: str, document: dict[str, Any]) -> None:
        """Returns when it is on the disk. OSError."""
        path = self._path(name)
        await _to_its_end(_write, path, json.dumps(document, separators=(",", ":")))

    async def drop(self, name: str) -> None:
        """OSError; one that is not there is no error."""
        path = self._path(name)
        await _to_its_end(path.unlink, True)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is no name for a record")
        return self.directory / f"{name}.json"


async def _to_its_end(work: Callable[..., None], *arguments: Any) -> None:
    """In a thread, and whoever is cancelled waits: what a thread writes later would undo what is done then."""
    task = asyncio.create_task(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
