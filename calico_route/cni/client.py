"""One request to the agent on its workload socket."""

from __future__ import annotations

import json
import os
import socket
import struct
import time

from .result import CODES, INTERNAL, TRY_LATER, CniError

DIRECTORY = "/run/calico_route/workloads"
NODENAME_FILE = "/var/lib/calico/nodename"
PATIENCE = 90
"""Seconds that the agent may take for one answer: others may be before us."""
BUSY_FOR, BUSY_PAUSE = 20.0, 0.1
"""Seconds: how long to ask an agent that is busy, and how often."""


class RefusedError(Exception):
    """The agent's answer is an error: its text, and one of its words in `code`."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code

    def told(self) -> CniError:
        return CniError(CODES.get(self.code, INTERNAL), str(self))


def socket_path(given: object, node: object) -> str:
    """Where the agent listens: as the configuration says, by the node's name, or the only one that there is."""
    if isinstance(given, str) and given:
        return given
    name = node if isinstance(node, str) else os.environ.get("NODENAME", "")
    if not name:
        try:
            with open(NODENAME_FILE) as file:
                name = file.read().strip()
        except OSError:
            name = os.uname().nodename.lower()
    path = f"{DIRECTORY}/{name}.sock"
    if not os.path.exists(path):
        try:
            others = [one for one in os.listdir(DIRECTORY) if one.endswith(".sock")]
        except OSError:
            others = []
        if len(others) == 1:
            return f"{DIRECTORY}/{others[0]}"
    return path


def ask(path: str, request: dict[str, object]) -> dict[str, object]:
    """The members of the agent's answer. RefusedError, or CniError where nobody answers."""
    deadline = time.monotonic() + BUSY_FOR
    while True:
        answer = _asked(path, request)
        if "error" not in answer:
            return answer
        code = str(answer.get("code", ""))
        if code != "busy" or time.monotonic() > deadline:
            raise RefusedError(str(answer["error"]), code)
        time.sleep(BUSY_PAUSE)


def _asked(path: str, request: dict[str, object]) -> dict[str, object]:
    limit = struct.pack("@ll", PATIENCE, 0)  # struct timeval
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            # The kernel's own timeouts: with Python's a connect would not wait where a hundred others wait, too.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            connection.connect(path)
            connection.sendall(json.dumps({"id": 1, **request}).encode() + b"\n")
            parts: list[bytes] = []
            while not parts or not parts[-1].endswith(b"\n"):
                part = connection.recv(65536)
                if not part:
                    raise OSError("the agent closed the connection: it ended, or is about to")
                parts.append(part)
        answer = json.loads(b"".join(parts))
    except (FileNotFoundError, ConnectionRefusedError):
        words = f"nobody listens on {path}: start the agent (calico-route node), or name its socket in the network"
        raise CniError(TRY_LATER, "the agent of this node does not run", words) from None
    except PermissionError:
        raise CniError(INTERNAL, f"no access to {path}", "its agent belongs to another user: root, usually") from None
    except BlockingIOError:
        raise CniError(TRY_LATER, f"no answer within {PATIENCE} s", f"the agent at {path} is stuck") from None
    except (OSError, ValueError) as error:
        raise CniError(TRY_LATER, "no answer from the agent of this node", f"{path}: {error}") from None
    if not isinstance(answer, dict):
        raise CniError(INTERNAL, "what answers is no agent", f"{path}: {answer}")
    return answer
