"""Where a key of a TOML file stands: tomllib gives values, people want lines."""

from __future__ import annotations

import re
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]  # ("peer", 0, "hold_time")

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_TOKEN = re.compile(  # texts and comments, which hide brackets; the opening of a text that goes on; brackets
    r"""\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}.*?'{3}|(?P<opening>\"{3}|'{3})"""
    r"""|\"(?:[^"\\]|\\.)*\"|'[^']*'|#.*|(?P<down>[\[{])|(?P<up>[\]}])"""
)


class Lines:
    """The line of every table and key of a text which tomllib has accepted."""

    def __init__(self, text: str) -> None:
        self._at: dict[Path, int] = {}
        counts: dict[Path, int] = {}
        table: Path = ()
        closing: str | None = None  # of a text that goes on
        depth = 0  # of a list or an inline table that goes on
        for number, line in enumerate(text.split("\n"), 1):
            if closing is not None:
                _text, closed, line = line.partition(closing)
                if not closed:
                    continue
                closing = None
            elif depth == 0:
                header, key = _HEADER.match(line), _KEY.match(line)
                if header is not None:
                    table = self._table(_parts(header[2]), header[1] == "[[", counts)
                    self._at.setdefault(table, number)
                    continue
                if key is not None:
                    path = table
                    for part in _parts(key[1]):
                        path = (*path, part)
                        self._at.setdefault(path, number)
            for token in _TOKEN.finditer(line):
                if token["opening"]:
                    closing = token["opening"]
                    break
                depth += bool(token["down"]) - bool(token["up"])

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
