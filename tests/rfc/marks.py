"""The marks on the tests, as pytest collects them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """One `@pytest.mark.rfc`. `test` is the node id without parameters, `code` is "module:qualified name"."""

    rfc: str
    section: str
    test: str
    code: str
    shows: str


class MarkError(Exception):
    """A mark that is not as it should be; the text names the test."""


def read_mark(test: str, mark: pytest.Mark) -> Mark:
    """Raises MarkError."""
    if len(mark.args) != 4 or mark.kwargs or not all(isinstance(value, str) and value for value in mark.args):
        raise MarkError(f'{test}: write rfc("4271", "6.2", "module:name", "what it shows"), not {mark.args!r}')
    rfc, section, code, shows = mark.args
    module, colon, name = code.partition(":")
    if not colon or not module.startswith("pybgp") or not name:
        raise MarkError(f'{test}: the code is named as "pybgp.module:name", not {code!r}')
    return Mark(rfc, section, test, code, shows)


class _Collector:
    def __init__(self) -> None:
        self.marks: set[Mark] = set()
        self.failed = False

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("rfc"):
                self.marks.add(read_mark(item.nodeid.partition("[")[0], mark))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.failed |= report.failed


def collect(paths: Sequence[str] = ("tests",)) -> list[Mark]:
    """All marks under the paths, in order. Raises MarkError for one that is wrong, or tests that do not load."""
    collector = _Collector()
    quiet = ["--collect-only", "-q", "-q", "--no-header", "--no-summary", "-p", "no:cacheprovider", "-o", "addopts="]
    pytest.main([*quiet, *paths], plugins=[collector])
    if collector.failed:
        raise MarkError("some tests cannot be loaded: run pytest --collect-only")
    return sorted(collector.marks)
