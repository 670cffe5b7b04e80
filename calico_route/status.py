"""`calico_route status`: asks the agent on its socket and prints the answer. The standard library alone, so
that it starts fast and works in any namespace that sees the socket's file.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from .config import find_node_name, socket_path
from .flags import SOCKET_DIRECTORY, UsageError, status_parser

PATIENCE = 5.0  # seconds
WIDTH = 110  # of sentences, in characters
NO_AGENT, WRONG_FLAGS = 1, 2
PARTS = ("workloads", "policy")
"""What `calico-route node` runs beside the agent."""


class NoAgentError(Exception):
    """Nobody answers, in words for a person."""


def main(arguments: Sequence[str], environ: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    """Print the status; returns the exit code."""
    try:
        flags = status_parser().parse_args(arguments)
    except UsageError as error:
        print(f"calico-route status: {error}", file=err)
        return WRONG_FLAGS
    try:
        status = ask(path_of(flags.socket, flags.node_name, environ), routes=flags.routes)
    except NoAgentError as error:
        print(f"calico-route status: {error}", file=err)
        return NO_AGENT
    try:
        out.write(json.dumps(status, indent=2) + "\n" if flags.json else text(status, time.time()))
        out.flush()
    except BrokenPipeError:
        sys.stderr.close()  # `| head` has seen enough: leave without a word
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    return 0


def path_of(given: str | None, node_name: str | None, environ: Mapping[str, str]) -> Path:
    path = socket_path(given, find_node_name(node_name, environ)[0])
    if given is None and node_name is None and not path.exists():
        others = sorted(SOCKET_DIRECTORY.glob("*.sock"))
        if len(others) == 1:
            return others[0]
    return path


def ask(path: Path, *, routes: bool = False) -> dict[str, Any]:
    """The status document of the agent that listens at `path`. NoAgentError."""
    return request(path, {"request": "status", "routes": routes})


def request(path: Path, members: Mapping[str, Any]) -> dict[str, Any]:
    """The status document that the agent at `path` answers a request with. NoAgentError."""
    request = json.dumps({"id": 1, **members}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            connection.sendall(request)
            with connection.makefile("rb") as stream:
                reply = json.loads(stream.readline())
    except (FileNotFoundError, ConnectionRefusedError):
        raise NoAgentError(f"no agent is running here: nobody listens on {path} (or give --socket)") from None
    except PermissionError:
        raise NoAgentError(f"{path} belongs to somebody else: ask as the user of the agent (root)") from None
    except TimeoutError:
        raise NoAgentError(f"the agent at {path} does not answer within {PATIENCE:g} s") from None
    except (OSError, ValueError) as error:
        raise NoAgentError(f"no answer on {path}: {error or 'the connection was closed'}") from None
    status = reply.get("status") if isinstance(reply, dict) else None
    if not isinstance(status, dict):
        raise NoAgentError(f"the agent at {path} answers: {reply.get('error') if isinstance(reply, dict) else reply}")
    return status


def text(status: Mapping[str, Any], now: float) -> str:
    """The document for people. `now` in seconds since 1970."""
    numbers = f"AS {_or_dash(status['as'])}, identifier {_or_dash(status['bgp_identifier'])}"
    lines = [
        _verdict(status),
        f"node       {status['node']}, {_addresses(status)}, {numbers}",
        f"agent      {status['version']}, pid {status['pid']}, running for {duration(now - status['since'])}",
        f"datastore  {_datastore(status['datastore'], now)}",
    ]
    sessions = status["sessions"]
    lines.append(
        f"sessions   {sessions['established']} of {sessions['wanted']} established, "
        f"{sessions['complete']} have sent all their routes"
    )
    if status.get("draining"):
        lines.append(f"DRAINING   {_draining(status['draining'], now)}")
    kernel, learned = status["kernel"], status["learned"]
    lines.append(f"routes     {len(status['announced'])} announced, {_both(learned)} learned, {_kernel(kernel)}")
    lines += [f"{name:10} {_part(status[name])}" for name in PARTS if name in status]
    if status["peers"]:
        lines += ["", *table(_peer_rows(status["peers"], now))]
    held = [
        f"{one['what']} gone from the datastore ({', '.join(one['missing'][:5])}): "
        f"believed in {duration(one['until'] - now)}"
        for one in status["held_back"]
    ]
    lines += _section("Held back", held)
    lines += _section("Not established", [line for peer in status["peers"] for line in _why_not(peer)])
    lines += _section("Problems", _folded(status["problems"]))
    lines += _section("Not as it should be in the kernel", _folded(kernel["problems"]))
    lines += _section("Announced", _columns(status["announced"]))
    withheld = table([(one["prefix"], one["reason"]) for one in status["not_announced"]])
    lines += _section("Not announced", withheld)
    if "routes" in status:
        lines += _section("In the kernel", [one["route"] or one["prefix"] for one in status["routes"]])
    return "\n".join(lines) + "\n"


def _part(told: Mapping[str, Any]) -> str:
    """What runs beside the agent: its numbers and short words, in a line."""
    found = []
    for name, value in told.items():
        word = name.replace("_", " ")
        if isinstance(value, bool):
            found.append(word if value else f"not {word}")
        elif isinstance(value, int | float):
            found.append(f"{value} {word}")
        elif isinstance(value, str):
            found.append(f"{word} {value}")
    return ", ".join(found)


def _verdict(status: Mapping[str, Any]) -> str:
    """All in one line: whether a person has to do anything."""
    sessions = [peer for peer in status["peers"] if not peer.get("leaving")]
    missing = sum(peer["state"] != "Established" for peer in sessions)
    wrong = []
    if not status["datastore"]["connected"]:
        wrong.append("the datastore does not answer")
    if status["held_back"]:
        wrong.append("a mass deletion is held back")
    if missing:
        wrong.append(
            f"{missing} of {_count(len(sessions), 'session')} {'is' if missing == 1 else 'are'} not established"
        )
    if problems := len(status["problems"]):
        wrong.append(_count(problems, "problem"))
    if routes := len(status["kernel"]["problems"]):
        wrong.append(f"{_count(routes, 'route')} not as {'it' if routes == 1 else 'they'} should be in the kernel")
    if wrong:
        return f"ATTENTION  {', '.join(wrong)}: see below"
    if waiting := sum(not peer["end_of_rib"] for peer in sessions):
        return f"STARTING   {waiting} of {_count(len(sessions), 'session')} still to bring all their routes"
    if not sessions:
        return "OK         no session is asked for"
    return f"OK         {_count(len(sessions), 'session')} established, all their routes heard"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _why_not(peer: Mapping[str, Any]) -> list[str]:
    """Who, why, and what to look at."""
    if peer["state"] == "Established" or peer.get("leaving"):
        return []
    why = peer.get("why_not") or peer["last_error"]
    return _folded([f"{peer['node'] or peer.get('origin', '')} at {peer['address']}: {why}"])


def _folded(texts: Iterable[str]) -> list[str]:
    """In lines that a terminal does not break."""
    found = []
    for text in texts:
        found += textwrap.wrap(printable(text), WIDTH, subsequent_indent="    ") or [""]
    return found


def duration(seconds: float) -> str:
    """`4.2 s`, `12 min`, `3 h 5 min`, `2 d 4 h`."""
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def _addresses(status: Mapping[str, Any]) -> str:
    return " and ".join(one for one in (status["ipv4"], status["ipv6"]) if one) or "no address"


def _draining(drain: Mapping[str, Any], now: float) -> str:
    if drain["safe"]:
        return "nothing is announced any more, and every neighbour knows: it is safe to stop"
    if drain["withdrawn"]:
        return "routes are withdrawn; not every neighbour has been told yet"
    left = duration(drain["withdraw_at"] - now)
    return f"neighbours are told that this node is about to go; routes are withdrawn in {left}"


def _or_dash(value: object) -> object:
    return "-" if value is None else value


def _both(counts: Mapping[str, int]) -> str:
    return f"{counts['ipv4']} + {counts['ipv6']} (IPv6)" if counts["ipv6"] else str(counts["ipv4"])


def _kernel(kernel: Mapping[str, Any]) -> str:
    parts = [f"{_both(kernel)} in the kernel"]
    if kernel["pending"]:
        parts.append(f"{kernel['pending']} on their way")
    if kernel["stale"]:
        parts.append(f"{kernel['stale']} of before the start, not yet confirmed")
    return ", ".join(parts)


def _datastore(datastore: Mapping[str, Any], now: float) -> str:
    since = duration(now - datastore["since"])
    if datastore["connected"]:
        return f"{datastore['source']} ({datastore['driver']}), for {since}, revision {datastore['revision']}"
    words = f"AWAY for {since}: {datastore['source']}: {datastore['reason']}"
    return words + ("; working from the snapshot on disk" if datastore["from_disk"] else "")


def _peer_rows(peers: Iterable[Mapping[str, Any]], now: float) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("node", "address", "AS", "state", "for", "in", "out", "last error")]
    for peer in peers:
        since = "-" if peer["since"] is None else duration(now - peer["since"])
        state = (
            peer["state"] + (" (routes kept)" if peer["stale"] else "") + (" (leaving)" if peer.get("leaving") else "")
        )
        counts = (str(peer["routes_in"]), str(peer["routes_out"]))
        # Why one is not established has more room below.
        error = peer["last_error"] if peer["state"] == "Established" else ""
        name = peer["node"] or peer.get("origin", "")
        rows.append((name, peer["address"], str(peer["as"]), state, since, *counts, error))
    return rows


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows in columns, the first of them the heads."""
    if not rows:
        return []
    rows = [tuple(printable(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _columns(words: Sequence[str], width: int = 100) -> list[str]:
    """Many short words side by side."""
    if not words:
        return []
    cell = max(map(len, words)) + 2
    number = max(1, width // cell)
    return [
        "".join(word.ljust(cell) for word in words[start : start + number]).rstrip()
        for start in range(0, len(words), number)
    ]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {printable(line)}" for line in lines)] if lines else []


def printable(line: str) -> str:
    """Names in the datastore and texts of peers are not ours: they must not move the cursor."""
    return "".join(character if character.isprintable() else "?" for character in line)
