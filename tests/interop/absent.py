"""What a daemon does not have, and how one knows: its own refusal or its manual's words, looked up again by each run."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.interop.daemon import Daemon, Neighbor, NotSeen, Setup

Evidence = Callable[[Daemon], Awaitable[str]]


def refuses(lines: str, words: str, **options: object) -> Evidence:
    """Its configuration check refuses these lines of a neighbour in these words."""

    async def look(daemon: Daemon) -> str:
        answer = await daemon.check(Setup(neighbors=(Neighbor(options=options),), more=lines))
        if words.lower() not in answer.lower():
            raise NotSeen(f"it was to refuse `{lines}` with `{words}`, and says: {answer or 'nothing'}")
        plain = await daemon.check(Setup(neighbors=(Neighbor(options=options),)))
        if plain:
            raise NotSeen(f"it refuses also what is without `{lines}`: {plain}")
        return f"`{lines.strip()}` is refused: `{answer}`"

    return look


def manual(file: str, words: str) -> Evidence:
    """Its manual says so."""

    async def look(daemon: Daemon) -> str:
        path = Path(file)
        if not path.exists():
            raise NotSeen(f"{file} is not installed")
        data = path.read_bytes()
        text = " ".join((gzip.decompress(data) if file.endswith(".gz") else data).decode(errors="replace").split())
        if words not in text:
            raise NotSeen(f"{file} does not say `{words}`")
        return f"{file}: `{words}`"

    return look


ABSENT: dict[tuple[str, str], Evidence] = {}
