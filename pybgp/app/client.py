"""Asking a running speaker: one request over its control socket, and the lines of the answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATIENCE = 15.0
"""Seconds for each line of an answer."""
LONGEST_LINE = 64 << 20


class Unanswered(Exception):
    """No answer, or an error for one: the text says what to do."""


def ask(path: Path, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The members of each line of the answer, as they come. Raises Unanswered."""
    line = json.dumps({"id": 1, **request}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE)
        try:
            connection.connect(str(path))
            connection.sendall(line)
            with connection.makefile("rb") as stream:
                more = True
                while more:
                    reply = json.loads(stream.readline(LONGEST_LINE))
                    yield _members(path, reply)
                    more = bool(reply.get("more"))
        except (FileNotFoundError, ConnectionRefusedError):
            raise Unanswered(
                f"no speaker is running at {path}: start one with `pybgp run FILE.toml`, or name its socket with "
                "--socket PATH"
            ) from None
        except PermissionError:
            raise Unanswered(f"{path} belongs to another user: ask as the one whose speaker it is") from None
        except TimeoutError:
            raise Unanswered(f"the speaker at {path} does not answer within {PATIENCE:g} s") from None
        except (OSError, ValueError) as error:
            raise Unanswered(f"no answer at {path}: {error or 'the connection was closed'}") from None


def _members(path: Path, reply: Any) -> dict[str, Any]:
    if not isinstance(reply, dict):
        raise Unanswered(f"{path} is not the socket of a speaker: it answers {str(reply)[:60]!r}")
    if "error" in reply:
        raise Unanswered(str(reply["error"]))
    return {name: value for name, value in reply.items() if name not in ("id", "more")}
