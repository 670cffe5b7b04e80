"""The commands: environment and standard input in, a result or an error on standard output, 0 or 1."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from .client import RefusedError, ask, socket_path
from .network import name_of, read_args, request_of, version_of
from .result import (
    BAD_CONFIGURATION,
    BAD_ENVIRONMENT,
    INCOMPATIBLE,
    INTERNAL,
    NEWEST,
    NOT_AVAILABLE,
    UNDECODABLE,
    VERSIONS,
    CniError,
    added,
    addresses_in,
)

ABOUT = f"""calico-route-cni, a plug-in of CNI {", ".join(VERSIONS)}: a container runtime calls it (docs/workloads.md).
Where the runtime looks for plug-ins it is put by: calico-route-cni --install /opt/cni/bin/calico-route-cni"""

Configuration = dict[str, Any]


def main(environ: Mapping[str, str] = os.environ, inp: TextIO | None = None, out: TextIO | None = None) -> int:
    """Returns the exit code: 0, or 1 with an error on standard output."""
    out = out or sys.stdout
    if not environ.get("CNI_COMMAND"):
        return _by_hand(sys.argv[1:])
    version = NEWEST
    try:
        configuration = _read(inp or sys.stdin)
        if isinstance(configuration, dict) and configuration.get("cniVersion") in VERSIONS:
            version = configuration["cniVersion"]
        answer = _run(environ, configuration)
    except RefusedError as error:
        answer, code = error.told().document(version), 1
    except CniError as error:
        answer, code = error.document(version), 1
    except Exception as error:  # noqa: BLE001 - a runtime can read nothing else than an error object
        answer, code = CniError(INTERNAL, f"{type(error).__name__}: {error}").document(version), 1
    else:
        code = 0
    if answer is not None:
        out.write(json.dumps(answer) + "\n")
        out.flush()
    return code


def _by_hand(arguments: list[str]) -> int:
    """Called by a person."""
    if arguments[:1] != ["--install"] or len(arguments) != 2:
        print(ABOUT, file=sys.stderr)
        return 2 if arguments else 0
    from .install import install

    why_not = install(arguments[1])
    if why_not is not None:
        print(f"calico-route-cni: {why_not}", file=sys.stderr)
        return 1
    print(f"{arguments[1]} is there; network configurations name it by its file name")
    return 0


def _read(inp: TextIO) -> object:
    try:
        text = inp.read()
        return json.loads(text) if text.strip() else None
    except (ValueError, RecursionError, OSError) as error:
        words = f"standard input: {error}"
        raise CniError(UNDECODABLE, "the network configuration is no JSON", words) from None


def _run(environ: Mapping[str, str], configuration: object) -> dict[str, object] | None:
    command = environ["CNI_COMMAND"]
    if command == "VERSION":  # nothing else of the environment counts
        asked = configuration.get("cniVersion") if isinstance(configuration, dict) else None
        return {"cniVersion": asked if isinstance(asked, str) else NEWEST, "supportedVersions": list(VERSIONS)}
    commands: dict[str, Callable[[Mapping[str, str], Configuration], dict[str, object] | None]]
    commands = {"ADD": _add, "DEL": _delete, "CHECK": _check, "STATUS": _status, "GC": _collect}
    if command not in commands:
        words = f"there are VERSION, {', '.join(commands)}"
        raise CniError(BAD_ENVIRONMENT, f"unknown CNI_COMMAND {command!r}", words)
    version = version_of(configuration)
    assert isinstance(configuration, dict)
    if command in ("STATUS", "GC") and version != "1.1.0":
        raise CniError(INCOMPATIBLE, f"CNI {version} knows no {command}", "it came with 1.1.0")
    return commands[command](environ, configuration)


def _add(environ: Mapping[str, str], configuration: Configuration) -> dict[str, object]:
    container, interface, netns = _needed(environ, "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS")
    request = request_of(configuration, read_args(environ.get("CNI_ARGS", "")))
    request |= {"request": "add", "container": container, "interface": interface, "netns": netns}
    workload = ask(_socket(configuration), request)["workload"]
    assert isinstance(workload, dict)
    return added(version_of(configuration), workload, netns, configuration.get("prevResult"), configuration.get("dns"))


def _delete(environ: Mapping[str, str], configuration: Configuration) -> None:
    container, interface = _needed(environ, "CNI_CONTAINERID", "CNI_IFNAME")
    ask(_socket(configuration), {"request": "remove", "container": container, "interface": interface})


def _check(environ: Mapping[str, str], configuration: Configuration) -> None:
    container, interface, _ = _needed(environ, "CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS")
    before = configuration.get("prevResult")
    if not isinstance(before, dict):
        raise CniError(BAD_CONFIGURATION, "CHECK needs prevResult, the result of the ADD")
    answer = ask(_socket(configuration), {"request": "check", "container": container, "interface": interface})
    workload = answer["workload"]
    assert isinstance(workload, dict)
    expected, found = addresses_in(before, interface), set(workload["addresses"])
    if not expected <= found:
        words = f"it has {', '.join(sorted(found))}; the runtime was told {', '.join(sorted(expected))}"
        raise RefusedError(f"container {container}: {interface}: {words}", "differs")


def _status(environ: Mapping[str, str], configuration: Configuration) -> None:
    request_of(configuration, {})
    try:
        why = ask(_socket(configuration), {"request": "ready"}).get("ready")
    except (CniError, RefusedError) as error:
        raise CniError(NOT_AVAILABLE, str(error), getattr(error, "details", "")) from None
    if why is not None:
        raise CniError(NOT_AVAILABLE, str(why))


def _collect(environ: Mapping[str, str], configuration: Configuration) -> None:
    attachments = configuration.get("cni.dev/valid-attachments")
    if not isinstance(attachments, list) or not all(
        isinstance(one, dict) and isinstance(one.get("containerID"), str) and isinstance(one.get("ifname"), str)
        for one in attachments
    ):
        # Without it everything would be garbage.
        raise CniError(BAD_CONFIGURATION, "GC needs cni.dev/valid-attachments, a list of containerID and ifname")
    kept = [[one["containerID"], one["ifname"]] for one in attachments]
    ask(_socket(configuration), {"request": "keep", "containers": kept, "network": name_of(configuration)})


def _needed(environ: Mapping[str, str], *names: str) -> list[str]:
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise CniError(BAD_ENVIRONMENT, f"{', '.join(missing)} missing", "the runtime sets it in the environment")
    return [environ[name] for name in names]


def _socket(configuration: Configuration) -> str:
    return socket_path(configuration.get("socket"), configuration.get("nodename"))
