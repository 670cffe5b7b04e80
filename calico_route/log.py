"""One line an event on standard error, for people or (JSON) for programs."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO


class TextFormatter(logging.Formatter):
    """`2026-11-23T10:00:00.123Z warning agent: text`; an exception follows on the same line."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_stamp(record)} {record.levelname.lower():7} {_name(record)}: {record.getMessage()}"
        return _one_line(line + _exception(self, record))


class JsonFormatter(logging.Formatter):
    """An object with time, level, logger and message."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        exception = _exception(self, record)
        if exception:
            entry["exception"] = exception.removeprefix(": ")
        return json.dumps(entry)


def _stamp(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z"


def _name(record: logging.LogRecord) -> str:
    return record.name.removeprefix("calico_route.")


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return ": " + formatter.formatException(record.exc_info) if record.exc_info else ""


def _one_line(text: str) -> str:
    """What a peer or a file said must not be able to fake a line of the log."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " | " if c == "\n" else repr(c)[1:-1] for c in text)


class _SaidByTheMesh(logging.Filter):
    """Leaves out the speaker's own lines about peers: the mesh tells the same with the names of the nodes."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name != "pybgp"


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Send the log of calico_route and pybgp to a stream (default: standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    handler.addFilter(_SaidByTheMesh())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("calico_route", "pybgp"):
        logging.getLogger(name).setLevel(level.upper())
