"""A node in the background. Whoever started it hears at the end that it works, or why not."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from calico_route.status import NoAgentError, ask

from .flags import NodeSettings

WITHIN = 30.0
"""Seconds until it has to answer."""
LOOK = 0.05
LISTENING_WITHIN = 1.0
LAST_LINES = 15


def detach(settings: NodeSettings, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Start it with these arguments, in which `--detach` and the log's file are left out; returns the exit code."""
    name = settings.agent.node_name
    running = _status(settings.agent.socket)
    if running is not None:
        print(
            f"calico-route node: an agent of {running['node']} runs already (pid {running['pid']}): "
            "calico-route node stop, or give another --node-name and --socket",
            file=sys.stderr,
        )
        return 1
    try:
        settings.log_file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        log = settings.log_file.open("ab")
    except OSError as error:
        print(f"calico-route node: {settings.log_file}: {error.strerror}; give --log-file", file=sys.stderr)
        return 1
    begin = log.tell()
    with log:
        process = subprocess.Popen(
            [sys.executable, "-m", "calico_route", "node", *without(arguments, "--log-file")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(environ),
            start_new_session=True,
        )
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        status = _status(settings.agent.socket)
        knows = status is not None and status["as"] is not None  # who it is, which etcd tells
        if status is not None and knows and status["pid"] == process.pid and _listens(settings.workload_socket):
            _note_pid(settings.pid_file, process.pid)
            _tell(settings, status)
            return 0
        if process.poll() is not None:
            print(f"calico-route node: it ended at once, exit code {process.returncode}:", file=sys.stderr)
            print(_end_of(settings.log_file, begin), file=sys.stderr)
            return 1
        time.sleep(LOOK)
    print(
        f"calico-route node: {name} (pid {process.pid}) does not answer within {WITHIN:g} s; it goes on. "
        f"{settings.log_file} ends so:",
        file=sys.stderr,
    )
    print(_end_of(settings.log_file, begin), file=sys.stderr)
    return 1


def without(arguments: Sequence[str], flag: str) -> list[str]:
    """The arguments without a flag and its value."""
    kept = []
    skip = False
    for one in arguments:
        if skip:
            skip = False
        elif one == flag:
            skip = True
        elif not one.startswith(f"{flag}="):
            kept.append(one)
    return kept


def _status(path: Path) -> dict[str, Any] | None:
    try:
        return ask(path)
    except NoAgentError:
        return None


def _listens(path: Path) -> bool:
    """The file alone may be left of an agent that was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(LISTENING_WITHIN)
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


def _note_pid(path: Path, pid: int) -> None:
    try:
        path.write_text(f"{pid}\n")
    except OSError as error:
        print(f"calico-route node: {path}: {error.strerror}; the process is {pid}", file=sys.stderr)


def _tell(settings: NodeSettings, status: Mapping[str, Any]) -> None:
    address = status["ipv4"] or status["ipv6"] or "no address yet"
    print(f"node {status['node']} runs: pid {status['pid']}, {address}, AS {status['as'] or 'not known yet'}")
    print(f"log       {settings.log_file}")
    print(f"workloads {settings.workload_socket}")
    print(f"policy    {'on' if settings.policy else 'off: every container reaches everything'}")
    if settings.docker_proxy is not None:
        host, port = settings.docker_proxy
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        print(f"Docker Remote API is on {shown}. Run")
        print(f"export DOCKER_HOST={shown}")
    print("calico-route status shows more, calico-route node stop ends it")


def _end_of(path: Path, begin: int) -> str:
    with path.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-LAST_LINES:])
