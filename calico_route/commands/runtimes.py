"""From what somebody calls a container to its network namespace, as this host sees it.

A name is looked for, in this order, as a path, a process, a container of docker, a container of podman, a named
network namespace (`ip netns`). `docker:NAME`, `podman:NAME`, `netns:NAME` and `pid:N` ask for one of them alone.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from .answer import Refused

DOCKER_SOCKET = "unix:///var/run/docker.sock"
NAMED = Path("/run/netns")
PATIENCE = 10.0
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Container:
    """`id` is what the agent knows it by: the runtime's whole id, or one made of the namespace's name."""

    id: str
    netns: str
    runtime: str
    name: str

    def __str__(self) -> str:
        return f"{self.runtime} {self.name}"


class _Unknown(Exception):
    """Not there, in words that say where was looked."""


def resolve(text: str, environ: Mapping[str, str]) -> Container:
    """The container that is meant. Refused, with all that was tried."""
    ways: dict[str, Callable[[str, Mapping[str, str]], Container]] = {
        "path": _path,
        "pid": _pid,
        "docker": _docker,
        "podman": _podman,
        "netns": _named,
    }
    way, colon, rest = text.partition(":")
    if colon and way in ways:
        ways, text = {way: ways[way]}, rest
    if not text or not text.isprintable():
        raise Refused(f"{text!r} is no name of a container")
    tried: list[str] = []
    for find in ways.values():
        try:
            found = find(text, environ)
        except _Unknown as why:
            tried.extend(filter(None, [str(why)]))
        else:
            return _checked(found)
    raise Refused(f"there is no container {text!r}: {'; '.join(tried)}")


def _path(text: str, environ: Mapping[str, str]) -> Container:
    if "/" not in text:
        raise _Unknown
    path = Path(text)
    if not path.exists():
        raise _Unknown(f"there is no file {text}")
    process = re.fullmatch(r"/proc/([0-9]+)/ns/net", text)
    name = f"pid-{process[1]}" if process else (path.name if path.parent.name == "netns" else text)
    return Container(_identifier(name), text, "network namespace", text)


def _pid(text: str, environ: Mapping[str, str]) -> Container:
    if not (text.isascii() and text.isdigit()):
        raise _Unknown
    if not Path(f"/proc/{text}").exists():
        raise _Unknown(f"there is no process {text}")
    return Container(f"pid-{text}", f"/proc/{text}/ns/net", "process", text)


def _named(text: str, environ: Mapping[str, str]) -> Container:
    if "/" in text or not (NAMED / text).exists():
        raise _Unknown(f"there is no network namespace {NAMED}/{text}")
    return Container(_identifier(text), str(NAMED / text), "network namespace", text)


def _docker(text: str, environ: Mapping[str, str]) -> Container:
    host = environ.get("DOCKER_HOST", "").strip() or DOCKER_SOCKET
    try:
        status, document = _get(host, f"/containers/{quote(text, safe='')}/json")
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _Unknown(f"docker at {host} does not answer ({getattr(error, 'strerror', None) or error})") from None
    if status != 200:
        raise _Unknown(f"docker at {host}: {document.get('message') or f'status {status}'}")
    return _inspected("docker", document, text)


class _DockerConnection(http.client.HTTPConnection):
    """HTTP over the socket's file."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)


def _get(host: str, path: str) -> tuple[int, dict[str, Any]]:
    parts = urlsplit(host if "://" in host else f"tcp://{host}")
    if parts.scheme == "unix":
        connection: http.client.HTTPConnection = _DockerConnection(parts.path)
    elif parts.scheme in ("tcp", "http") and parts.hostname:
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=PATIENCE)
    else:
        raise ValueError(f"DOCKER_HOST {host!r} is neither unix:// nor tcp://")
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        document = json.loads(reply.read() or b"{}")
    finally:
        connection.close()
    return reply.status, document if isinstance(document, dict) else {}


def _podman(text: str, environ: Mapping[str, str]) -> Container:
    program = shutil.which("podman")
    if program is None:
        raise _Unknown("podman is not installed")
    command = [program, "inspect", "--type", "container", "--format", "json", "--", text]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Unknown(f"podman inspect does not answer ({error})") from None
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _Unknown(f"podman: {words[-1].removeprefix('Error: ') if words else f'status {done.returncode}'}")
    try:
        documents = json.loads(done.stdout)
    except ValueError:
        raise _Unknown("podman inspect prints something else than JSON") from None
    document = documents[0] if isinstance(documents, list) and documents else documents
    return _inspected("podman", document if isinstance(document, dict) else {}, text)


def _inspected(runtime: str, document: Mapping[str, Any], text: str) -> Container:
    state = document.get("State")
    state = state if isinstance(state, dict) else {}
    identifier, pid = document.get("Id"), state.get("Pid")
    name = str(document.get("Name") or text).removeprefix("/")
    if not isinstance(identifier, str):
        raise _Unknown(f"{runtime} says nothing of use about {text}")
    if not state.get("Running") or not isinstance(pid, int) or pid <= 0:
        raise Refused(f"{runtime} container {name} is not running ({state.get('Status')}): {runtime} start {name}")
    return Container(identifier, f"/proc/{pid}/ns/net", runtime, name)


def _checked(found: Container) -> Container:
    """A namespace that is not this host's own: what is done in it would be done to the host."""
    try:
        theirs, ours = os.stat(found.netns), os.stat("/proc/self/ns/net")
    except PermissionError:
        raise Refused(f"{found}: {found.netns} belongs to somebody else: be root") from None
    except OSError as error:
        raise Refused(f"{found}: {found.netns}: {error.strerror or error}") from None
    if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino):
        raise Refused(f"{found} has no network namespace of its own, it uses the host's: start it with --network none")
    return found


def _identifier(text: str) -> str:
    """A name as an identifier of a container; Calico's names of workloads begin and end with no dash."""
    return _UNSAFE.sub("-", text).strip("-.") or "netns"
