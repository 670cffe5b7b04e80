"""A client of the workload socket: the agent on this host, asked about containers."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calico_route.config import find_node_name
from calico_route.flags import SOCKET_DIRECTORY

from .answer import BadInput, Refused

DIRECTORY = SOCKET_DIRECTORY / "workloads"
PATIENCE = 30.0
"""Seconds for an answer: an add waits for etcd and for the kernel."""

WHAT_TO_DO = {
    "full": "calico-route ipam show tells how many are left, calico-route pool add makes more",
    "outside": "calico-route pool show lists the pools",
    "unknown-profile": "calico-route profile show lists those that there are",
    "unavailable": "see calico-route status",
    "internal": "this should not happen: see the log of the agent, and report it",
}
"""Beyond what the agent's words say, by the codes of its answers."""


class AgentError(Refused):
    """The agent refuses, with the code of its answer; `no-agent` where there is none."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


def workload_socket(given: Path | None, node_name: str | None, environ: Mapping[str, str]) -> Path:
    """Where the agent of this node listens; the only one there is, where no node is named."""
    if given is not None:
        return given
    path = DIRECTORY / f"{find_node_name(node_name, environ)[0]}.sock"
    if node_name is None and not path.exists():
        others = sorted(DIRECTORY.glob("*.sock"))
        if len(others) == 1:
            return others[0]
    return path


def ask(path: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """The whole answer to one request. AgentError."""
    line = json.dumps({"id": 1, **request}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            connection.sendall(line)
            with connection.makefile("rb") as stream:
                reply = json.loads(stream.readline())
    except (FileNotFoundError, ConnectionRefusedError):
        raise AgentError(
            f"nobody listens on {path}: start the agent with containers on this host (calico-route node), or give "
            "--workload-socket",
            "no-agent",
        ) from None
    except PermissionError:
        raise AgentError(f"{path} belongs to somebody else: ask as the user of the agent (root)", "no-agent") from None
    except TimeoutError:
        raise AgentError(f"the agent at {path} has not answered within {PATIENCE:g} s", "no-agent") from None
    except OSError as error:
        if "too long" in str(error):
            raise BadInput(f"--workload-socket {str(path)!r}: such a path has at most 107 characters") from None
        raise AgentError(f"{path}: {error.strerror or error}", "no-agent") from None
    except ValueError:
        raise AgentError(f"the agent at {path} has closed the connection without an answer", "no-agent") from None
    if not isinstance(reply, dict):
        raise AgentError(f"the agent at {path} answers {reply!r}", "internal")
    if "error" in reply:
        code = str(reply.get("code"))
        hint = WHAT_TO_DO.get(code)
        raise AgentError(f"{reply['error']}{f' ({hint})' if hint else ''}", code)
    return reply
