"""`diags`: what is needed to find a fault, in one file that stays on this host."""

from __future__ import annotations

import io
import itertools
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from calico_route.etcd.store import StoreError
from calico_route.keys import ROOT
from calico_route.status import NoAgentError, path_of
from calico_route.status import ask as ask_status

from .answer import Answer, BadInput, Refused
from .checks import local
from .command import command
from .objects import Objects
from .workload_socket import ask as ask_workloads
from .workload_socket import workload_socket

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "ip-address": ("ip", "-details", "address"),
    "ip-link": ("ip", "-statistics", "-details", "link"),
    "ip-route": ("ip", "-details", "route", "show", "table", "all"),
    "ip6-route": ("ip", "-6", "-details", "route", "show", "table", "all"),
    "ip-rule": ("ip", "rule"),
    "ip-neighbour": ("ip", "neighbour"),
    "ip-netns": ("ip", "netns"),
    "sockets": ("ss", "--all", "--numeric", "--processes", "--tcp", "--udp"),
    "nftables": ("nft", "--numeric", "list", "ruleset"),
    "iptables": ("iptables-save",),
    "conntrack": ("conntrack", "-S"),
    "journal": ("journalctl", "--no-pager", "--lines=5000", "--unit=calico-route*"),
}
LOGS = ("/var/log/calico_route", "/var/log/calico")
LONGEST_LOG = 8 << 20
"""Octets from the end of each file."""
PATIENCE = 20.0
LEFT_OUT = "(left out)"
_SECRET = re.compile(r"passw|secret|token|private.?key|credential|api.?key", re.IGNORECASE)
_URL = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def add_command(app: typer.Typer) -> None:
    """`diags`."""

    @command(app, "diags", examples="calico-route diags\ncalico-route diags --directory /root --log /var/log/agent.log")
    async def diags(
        objects: Objects,
        directory: Annotated[Path, typer.Option(metavar="DIR", help="where the file is put")] = Path("."),
        log: Annotated[
            list[Path] | None, typer.Option(metavar="FILE", help="the agent's log, where it has one")
        ] = None,
        node_name: Annotated[str | None, typer.Option("--node-name", metavar="NAME")] = None,
        upload: Annotated[bool, typer.Option("--upload", hidden=True)] = False,
    ) -> Answer:
        """Gather what is needed to find a fault into one file. Nothing leaves this host: look into it, and attach it to
        your report yourself. Passwords and keys in etcd are left out."""
        if upload:
            raise BadInput(
                "--upload: v0.4.9 sent the file to a public place. Nothing is uploaded: give the file, when you have "
                "looked into it, to whom you trust"
            )
        if not directory.is_dir():
            raise BadInput(f"--directory {str(directory)!r} is no directory")
        for path in log or []:
            if not os.access(path, os.R_OK):
                raise BadInput(f"--log {str(path)!r} cannot be read")
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"calico-route-diags-{re.sub(r'[^A-Za-z0-9.-]', '-', socket.gethostname())}-{stamp}"
        parts = dict(_host(node_name, log or []))
        parts["etcd.json"] = await _dump(objects)
        target = directory / f"{name}.tar.gz"
        try:
            for number in itertools.count(2):
                try:
                    _pack(target, name, parts)
                    break
                except FileExistsError:  # another of this second
                    target = directory / f"{name}-{number}.tar.gz"
        except OSError as error:
            raise Refused(f"{target} cannot be written: {error.strerror or error}; give --directory") from None
        document = {"file": str(target), "parts": sorted(parts)}
        lines = [f"{target}: {len(parts)} parts, {target.stat().st_size} octets", "nothing was uploaded"]
        return Answer(document, lines)


def _host(node_name: str | None, logs: list[Path]) -> Iterator[tuple[str, bytes]]:
    now = datetime.now(UTC).astimezone()
    yield "date.txt", f"{now.isoformat()}\n{now.astimezone(UTC).isoformat()}\n".encode()
    yield (
        "host.txt",
        f"{socket.gethostname()}\n{' '.join(platform.uname())}\nPython {platform.python_version()}\n".encode(),
    )
    for name, words in COMMANDS.items():
        yield f"{name}.txt", _run(words)
    yield "status.json", _status(node_name)
    yield "workloads.json", _workloads(node_name)
    checks = [f"{one.verdict}\t{one.name}\t{one.finding}\t{one.what}\n" for one in local(os.environ)]
    yield "checksystem.txt", "".join(checks).encode()
    sysctls = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/all/rp_filter")
    yield "sysctl.txt", "".join(f"{one} {_text(Path('/proc/sys') / one)}\n" for one in sysctls).encode()
    files = [one for below in LOGS for one in sorted(Path(below).rglob("*")) if one.is_file()]
    for number, path in enumerate(dict.fromkeys([*logs, *files])):
        yield f"logs/{number:02}-{path.name}", _tail(path)


def _run(words: tuple[str, ...]) -> bytes:
    head = f"$ {' '.join(words)}\n".encode()
    program = shutil.which(words[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        return head + f"{words[0]} is not installed\n".encode()
    try:
        done = subprocess.run(
            [program, *words[1:]], capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return head + f"{error}\n".encode()
    return head + done.stdout + done.stderr


def _status(node_name: str | None) -> bytes:
    try:
        return _json(ask_status(path_of(None, node_name, os.environ), routes=True))
    except NoAgentError as error:
        return _json({"error": str(error)})


def _workloads(node_name: str | None) -> bytes:
    try:
        return _json(ask_workloads(workload_socket(None, node_name, os.environ), {"request": "list"}))
    except Refused as error:
        return _json({"error": str(error)})


async def _dump(objects: Objects) -> bytes:
    """All keys below /calico/; the reason where they cannot be read: the rest is worth having all the same."""
    try:
        snapshot = await objects.store.snapshot([f"{ROOT}/".encode()])
    except StoreError as error:
        return _json({"error": f"etcd at {objects.store.endpoint}: {error}"})
    return _json({key.decode("utf-8", "replace"): _value(key, value) for key, value in snapshot.values.items()})


def _value(key: bytes, value: bytes) -> Any:
    if _SECRET.search(key.decode("utf-8", "replace")):
        return LEFT_OUT
    try:
        return without_secrets(json.loads(value))
    except (ValueError, RecursionError):
        return f"(no JSON: {len(value)} octets, left out)" if value else ""


def without_secrets(document: Any) -> Any:
    """A document with whatever may be a password or a key replaced. A reference to a secret (its name) stays."""
    if isinstance(document, dict):
        return {
            name: LEFT_OUT if _SECRET.search(name) and isinstance(value, str | list) else without_secrets(value)
            for name, value in document.items()
        }
    if isinstance(document, list):
        return [without_secrets(one) for one in document]
    return _URL.sub("***", document) if isinstance(document, str) else document


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LONGEST_LOG))
            return file.read()
    except OSError as error:
        return f"{error}\n".encode()


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        return str(error)


def _json(document: Any) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _pack(target: Path, name: str, parts: Mapping[str, bytes]) -> None:
    """Readable by its owner alone: it tells much about a network."""
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for part, content in parts.items():
            member = tarfile.TarInfo(f"{name}/{part}")
            member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
            archive.addfile(member, io.BytesIO(content))
