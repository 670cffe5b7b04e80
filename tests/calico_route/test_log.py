"""One line an event, in words or as JSON."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from calico_route.log import configure


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("calico_route", "pybgp")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def written(form: str, level: str = "info") -> list[str]:
    stream = io.StringIO()
    configure(level, form, stream)
    logging.getLogger("calico_route.agent").info("peer %s", "up\nFAKE LINE \x1b[31m")
    logging.getLogger("calico_route.agent").debug("a route")
    logging.getLogger("pybgp").warning("192.0.2.1 down")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("calico_route.mesh").exception("failed")
    return stream.getvalue().splitlines()


def test_text() -> None:
    lines = written("text")
    assert len(lines) == 2
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info    agent: peer up \| FAKE LINE \\x1b\[31m", lines[0]
    )
    assert "ValueError: why" in lines[1]


def test_json() -> None:
    first, second = (json.loads(line) for line in written("json"))
    assert first.keys() == {"time", "level", "logger", "message"}
    assert (first["level"], first["logger"]) == ("info", "calico_route.agent")
    assert "ValueError: why" in second["exception"]


def test_levels() -> None:
    assert len(written("text", "debug")) == 3
    assert len(written("text", "error")) == 1
