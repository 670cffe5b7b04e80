"""Where a key of a TOML file stands: tomllib gives values, people want lines."""

from __future__ import annotations

import re
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]  # ("peer", 0, "hold_time")

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_QUOTES = ('"""', "'''")


class Lines:
    """The line of every table and key of a text which tomllib has accepted."""

    def __init__(self, text: str) -> None:
        self._at: dict[Path, int] = {}
        counts: dict[Path, int] = {}
        table: Path = ()
        closing: str | None = None
        for number, line in enumerate(text.splitlines(), 1):
            if closing is not None:  # inside of a text over several lines
                if closing in line:
                    closing = None
                continue
            header, key = _HEADER.match(line), _KEY.match(line)
            if header is not None:
                table = self._table(_parts(header[2]), header[1] == "[[", counts)
                self._at.setdefault(table, number)
            elif key is not None:
                path = table
                for part in _parts(key[1]):
                    path = (*path, part)
                    self._at.setdefault(path, number)
            closing = next((quotes for quotes in _QUOTES if line.count(quotes) == 1), None)

    @staticmethod
    def _table(parts: list[str], is_array: bool, counts: dict[Path, int]) -> Path:
        path: Path = ()
        for position, part in enumerate(parts):
            path = (*path, part)
            if position == len(parts) - 1 and is_array:
                counts[path] = counts.get(path, -1) + 1
            if path in counts:
                path = (*path, counts[path])
        return path

    def of(self, path: Path) -> int:
        """The line of the key, or of the nearest thing around it that has one; 1 for the whole file."""
        while path and path not in self._at:
            path = path[:-1]
        return self._at.get(path, 1)


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


def name_of(path: Path) -> str:
    """`peer[0].hold_time`, as people write it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
