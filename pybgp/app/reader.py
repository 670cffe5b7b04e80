"""Reading a table of a file key by key, keeping every error instead of stopping at the first."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pybgp.app.toml_lines import Lines, Path, name_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One error of a file: `str()` is "line 7: peer[0].hold_time: ..."."""

    line: int
    key: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.key + ': ' if self.key else ''}{self.text}"


class Problems(Exception):
    """All the errors of a file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))


class Table:
    """One table of the file. What is never asked for is an unknown key; `close` tells them."""

    def __init__(self, values: Any, path: Path, lines: Lines, problems: list[Problem]) -> None:
        self.path, self.lines, self.problems = path, lines, problems
        self._asked: set[str] = set()
        if not isinstance(values, dict):
            self.problem("", f"is a table, not {values!r}")
            values = {}
        self.values: dict[str, Any] = values

    def problem(self, key: str, text: str) -> None:
        path = (*self.path, key) if key else self.path
        self.problems.append(Problem(self.lines.of(path), name_of(path), text))

    def attempt(self, key: str, default: T, make: Callable[..., T], *arguments: object) -> T:
        """What `make(*arguments)` gives; its ValueError or TypeError becomes a problem of the key."""
        try:
            return make(*arguments)
        except (ValueError, TypeError) as error:
            text = str(error)
            self.problem(key, text.removeprefix(f"{key}: "))
            return default

    def take(self, key: str, kind: type[T] | tuple[type[Any], ...], default: Any = None, required: bool = False) -> Any:
        """The value of a key, of this kind; the default and a problem where it is not."""
        self._asked.add(key)
        if key not in self.values:
            if required:
                self.problem(key, "is missing")
            return default
        value = self.values[key]
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds and object not in kinds):
            words = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "a table"}
            self.problem(key, f"must be {' or '.join(words.get(k, k.__name__) for k in kinds)}, not {value!r}")
            return default
        return value

    def texts(self, key: str) -> list[str]:
        """A list of texts, or one text as a list of one."""
        value = self.take(key, (str, list), [])
        listed = [value] if isinstance(value, str) else value
        if not all(isinstance(item, str) for item in listed):
            self.problem(key, f"must be a list of texts, not {listed!r}")
            return []
        return list(listed)

    def tables(self, key: str) -> list[Table]:
        """The tables of `[[key]]`; what is none is told and left out."""
        value = self.take(key, list, [])
        found = [Table(item, (*self.path, key, n), self.lines, self.problems) for n, item in enumerate(value)]
        return [table for table, item in zip(found, value, strict=True) if isinstance(item, dict)]

    def table(self, key: str) -> Table:
        """The table `[key]`, empty where there is none."""
        return Table(self.take(key, dict, {}), (*self.path, key), self.lines, self.problems)

    def rest(self) -> dict[str, Any]:
        """The keys that nobody asked for, asked for by this."""
        left = {key: value for key, value in self.values.items() if key not in self._asked}
        self._asked |= set(left)
        return left

    def close(self, known: Iterable[str] = ()) -> None:
        """A problem for each key that is left, with the one that was perhaps meant."""
        names = sorted(self._asked | set(known))
        for key in self.values.keys() - self._asked:
            near = difflib.get_close_matches(key, names, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"
            self.problem(key, f"no such key{hint}")
