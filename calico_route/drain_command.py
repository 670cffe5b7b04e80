"""`calico_route drain`: asks the agent on its socket, and waits until it is safe to stop. Standard library alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from .flags import UsageError, drain_parser
from .status import NO_AGENT, WRONG_FLAGS, NoAgentError, path_of, request

LONGEST = 30.0
"""Seconds beyond the wait until neighbours must have been told."""
LOOK = 0.2
LONGEST_WAIT = 86400.0


def main(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    out: TextIO,
    err: TextIO,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Drain, and say how it goes; returns the exit code."""
    try:
        flags = drain_parser().parse_args(arguments)
        wait = _seconds(flags.wait)
    except UsageError as error:
        print(f"calico-route drain: {error}", file=err)
        return WRONG_FLAGS
    path = path_of(flags.socket, flags.node_name, environ)
    try:
        status = request(path, {"request": "drain", "seconds": None if flags.end else wait})
        if flags.end:
            print(f"ended: {len(status['announced'])} routes were announced before this, all are again", file=out)
            return 0
        sessions = status["sessions"]["established"]
        print(f"{sessions} neighbours are told that {status['node']} is about to go", file=out, flush=True)
        return _wait(lambda: request(path, {"request": "status"}), wait, out, err, sleep)
    except NoAgentError as error:
        print(f"calico-route drain: {error}", file=err)
        return NO_AGENT


def _wait(
    look: Callable[[], dict[str, Any]], wait: float, out: TextIO, err: TextIO, sleep: Callable[[float], None]
) -> int:
    said = False
    for _ in range(int((wait + LONGEST) / LOOK)):
        drain = look()["draining"]
        if drain is None:
            print("calico-route drain: somebody else has ended the drain", file=err)
            return 1
        if drain["withdrawn"] and not said:
            said = True
            print("routes are withdrawn", file=out, flush=True)
        if drain["safe"]:
            print("every neighbour knows: it is safe to stop", file=out, flush=True)
            return 0
        sleep(LOOK)
    print("calico-route drain: a neighbour does not take what it is told; `calico-route status` names it", file=err)
    return 1


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise UsageError(f"--wait {text!r}: write seconds, from 0 to {LONGEST_WAIT:.0f}")
    return seconds
