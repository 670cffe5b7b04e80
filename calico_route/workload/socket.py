"""The agent's workload socket: JSON lines over a Unix socket, for root alone.

    -> {"id": 1, "request": "add", "container": "3f2a…", "netns": "/run/netns/c1", "interface": "eth1", …}
    <- {"id": 1, "workload": {…}}          or {"id": 1, "error": "…", "code": "full"}

The requests of one connection are answered in their order, those of several side by side. docs/workloads.md has the
list.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pybgp import LocalSocket

from .ports import WorkloadError
from .request import read_request
from .workloads import Workloads

log = logging.getLogger(__name__)

LONGEST_REQUEST = 1 << 20
"""Octets: the list of a node's containers (`keep`) is the longest."""
MOST_CLIENTS = 512
"""A client waits for its turn; this many files the agent can afford. One more is told that it is busy."""
PATIENCE = 30.0
"""Seconds that a client may be silent between two requests, or take to read an answer."""

REQUESTS = ("add", "remove", "check", "list", "keep", "ready")


class WorkloadSocket(LocalSocket):
    """The listening side, at `path`, with mode 0600."""

    most_clients = MOST_CLIENTS
    longest_request = LONGEST_REQUEST

    def __init__(self, path: Path, workloads: Workloads) -> None:
        super().__init__(path, what="agent")
        self._workloads = workloads

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    line = await reader.readline()
            except ValueError:  # longer than the limit
                await _send(writer, {"id": None, **_refusal(f"a request has at most {LONGEST_REQUEST} octets")})
                return
            if not line:
                return
            await _send(writer, await self._reply(line))

    async def refuse(self, writer: asyncio.StreamWriter) -> None:
        await _send(writer, {"id": None, **_refusal("too many clients at once: try again", "busy")})

    async def _reply(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            return {"id": None, **_refusal("not a JSON object on one line")}
        number = request.pop("id", None)
        if isinstance(number, bool) or not isinstance(number, int | str | None):
            return {"id": None, **_refusal("id must be a number or a text")}
        try:
            return {"id": number, **await self._answer(request)}
        except WorkloadError as error:
            return {"id": number, **_refusal(str(error), error.code)}
        except Exception:
            log.exception("a request on the workload socket failed")
            return {"id": number, **_refusal("the agent failed to answer; its log says more", "internal")}

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        what = request.pop("request", None)
        if what == "add":
            return {"workload": (await self._workloads.add(read_request(request))).document()}
        if what == "remove":
            _only(request, "container", "interface")
            interface = _text(request, "interface") if request.get("interface") is not None else None
            removed = await self._workloads.remove(_text(request, "container"), interface)
            return {"removed": [one.document() for one in removed]}
        if what == "check":
            _only(request, "container", "interface")
            found = await self._workloads.check(_text(request, "container"), _text(request, "interface"))
            return {"workload": found.document()}
        if what == "keep":
            _only(request, "containers", "network", "orchestrator")
            network = _text(request, "network")
            orchestrator = _text({"orchestrator": "cni", **request}, "orchestrator")
            pairs = _pairs(request.get("containers"))
            removed = await self._workloads.keep(pairs, network=network, orchestrator=orchestrator)
            return {"removed": [one.document() for one in removed]}
        if what == "list":
            _only(request)
            return {"workloads": [one.document() for one in self._workloads.list()]}
        if what == "ready":
            _only(request)
            return {"ready": self._workloads.ready()}
        raise WorkloadError(f"unknown request {str(what)[:40]!r}: there are {', '.join(REQUESTS)}")


def _refusal(text: str, code: str = "invalid") -> dict[str, Any]:
    return {"error": text, "code": code}


def _only(request: Mapping[str, Any], *known: str) -> None:
    unknown = sorted(request.keys() - set(known))
    if unknown:
        raise WorkloadError(f"unknown: {', '.join(unknown)[:80]}; there are {', '.join(known) or 'no members'}")


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value:
        raise WorkloadError(f"{name} must be a text" if name in request else f"{name} is missing")
    return value


def _pairs(value: object) -> list[tuple[str, str]]:
    pairs = [one for one in value if _is_pair(one)] if isinstance(value, list) else []
    if not isinstance(value, list) or len(pairs) != len(value):
        raise WorkloadError('containers must be a list of pairs, such as [["3f2a…", "eth1"]]')
    return [(one[0], one[1]) for one in pairs]


def _is_pair(one: object) -> bool:
    return isinstance(one, list) and len(one) == 2 and all(isinstance(part, str) and part for part in one)


async def _send(writer: asyncio.StreamWriter, reply: dict[str, Any]) -> None:
    writer.write(json.dumps(reply).encode() + b"\n")
    async with asyncio.timeout(PATIENCE):
        await writer.drain()
