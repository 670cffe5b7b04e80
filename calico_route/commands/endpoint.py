"""`endpoint show` and `endpoint ID profile set|append|remove|show`: the WorkloadEndpoints of all nodes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from .answer import Answer, BadInput, Refused, meant, rows
from .command import command
from .completion import stored_names
from .named import NamedGroup
from .objects import Document, Kind, Objects, Stored, section, texts, unreadable
from .profile_names import as_stored, as_written

SHORTEST_PREFIX = 4
"""Characters by which an endpoint may be named where that is enough to tell it from all others."""
NAME = "calico-route/name"
"""Annotation of an endpoint: the name of its container (calico_route/workload/endpoint.py)."""
_ID = re.compile(r"[0-9a-f]{64}")
NOTHING_PASSES = "it has no profile now: all traffic from it and to it is dropped"

Host = Annotated[str | None, typer.Option("--host", "--node", metavar="NODE", help="only of this node")]
Orchestrator = Annotated[str | None, typer.Option(metavar="WORD", help="only of cni, libnetwork, k8s …")]
Workload = Annotated[str | None, typer.Option(metavar="ID", help="only of this container or pod (or how it begins)")]
Endpoint = Annotated[str | None, typer.Option(metavar="ID", help="only this one (or how it begins)")]


def known_profiles(begun: str) -> list[str]:
    """For the shell."""
    found = [as_written(name) for name in stored_names(Kind.PROFILE, "")]
    return [name for name in found if name.startswith(begun)]


def known_endpoints(begun: str) -> list[str]:
    """For the shell."""
    return stored_names(Kind.ENDPOINT, begun)


Profiles = Annotated[list[str] | None, typer.Argument(metavar="[PROFILE]...", autocompletion=known_profiles)]


class EndpointGroup(NamedGroup):
    """`endpoint ID profile …`."""

    after_name = ("profile",)
    what = "ID"

    def known(self, begun: str) -> list[str]:
        return known_endpoints(begun)


def add_commands(app: typer.Typer, profile: typer.Typer) -> None:
    """`endpoint show`, and below `profile` what comes after the name of one."""

    @command(
        app,
        "show",
        examples="calico-route endpoint show\ncalico-route endpoint show --host host1 --detailed\n"
        "calico-route endpoint show --workload 6f1c2a --json",
    )
    async def show(
        objects: Objects,
        host: Host = None,
        orchestrator: Orchestrator = None,
        workload: Workload = None,
        endpoint: Endpoint = None,
        detailed: Annotated[bool, typer.Option("--detailed", help="also interfaces, MACs and labels")] = False,
    ) -> Answer:
        """The workloads of all nodes, their addresses and profiles."""
        everything = await objects.all(Kind.ENDPOINT)
        among = _filtered(everything, host, orchestrator, workload, endpoint)
        found = [_shown(one) for one in among]
        columns = ["node", "orchestrator", "workload", "endpoint", "addresses", "profiles"]
        columns += ["interface", "mac", "namespace", "labels"] if detailed else []
        columns.append("id")
        body = [
            [called(one) if column == "workload" else _cell(shown[column]) for column in columns]
            for one, shown in zip(among, found, strict=True)
        ]
        none = "no endpoint" + (" is like that" if everything else "")
        return Answer(found, rows(columns, body, none=none), unreadable(everything))

    @command(profile, "show", examples="calico-route endpoint cali1e2d3c4b5a6 profile show")
    async def profile_show(
        objects: Objects,
        context: typer.Context,
        host: Host = None,
        orchestrator: Orchestrator = None,
        workload: Workload = None,
    ) -> Answer:
        """The profiles of an endpoint, in the order in which they are asked."""
        one = await find(objects, str(context.obj), host, orchestrator, workload)
        named = _profiles(one)
        return Answer({"id": one.name, "profiles": named}, named or ["no profile: all its traffic is dropped"])

    @command(profile, "set", examples="calico-route endpoint cali1e2d3c4b5a6 profile set web monitoring")
    async def profile_set(
        objects: Objects,
        context: typer.Context,
        profiles: Profiles = None,
        host: Host = None,
        orchestrator: Orchestrator = None,
        workload: Workload = None,
    ) -> Answer:
        """Just these profiles, in this order; without any all traffic is dropped."""
        one = await find(objects, str(context.obj), host, orchestrator, workload)
        wanted = await _existing(objects, profiles or [])
        return await _change(objects, one, lambda current: wanted)

    @command(profile, "append", examples="calico-route endpoint cali1e2d3c4b5a6 profile append web")
    async def profile_append(
        objects: Objects,
        context: typer.Context,
        profiles: Profiles = None,
        host: Host = None,
        orchestrator: Orchestrator = None,
        workload: Workload = None,
    ) -> Answer:
        """These profiles too, after those that it has."""
        one = await find(objects, str(context.obj), host, orchestrator, workload)
        wanted = await _existing(objects, _some(profiles))
        return await _change(objects, one, lambda current: list(dict.fromkeys([*current, *wanted])))

    @command(profile, "remove", examples="calico-route endpoint cali1e2d3c4b5a6 profile remove web")
    async def profile_remove(
        objects: Objects,
        context: typer.Context,
        profiles: Profiles = None,
        host: Host = None,
        orchestrator: Orchestrator = None,
        workload: Workload = None,
    ) -> Answer:
        """Without these profiles."""
        one = await find(objects, str(context.obj), host, orchestrator, workload)
        gone = [as_stored(name) for name in _some(profiles)]

        def without(current: list[str]) -> list[str]:
            for name in gone:
                if name not in current:
                    has = ", ".join(map(as_written, current)) or "none"
                    raise Refused(f"{one.name} has no profile {as_written(name)!r}{meant(name, current)}; it has {has}")
            return [name for name in current if name not in gone]

        return await _change(objects, one, without)


async def find(
    objects: Objects, text: str, host: str | None = None, orchestrator: str | None = None, workload: str | None = None
) -> Stored:
    """The endpoint that is meant. Refused where there is none, or more than one."""
    everything = await objects.all(Kind.ENDPOINT)
    among = _filtered(everything, host, orchestrator, workload, None)
    for rule in (_is_exactly, _begins):
        found = [one for one in among if rule(one, text)]
        if len(found) == 1:
            return found[0]
        if found:
            raise Refused(f"{text!r} may be any of {', '.join(one.name for one in found[:10])}: write more of it")
    unread = [one for one in everything if one.problem and one.name == text]
    if unread:
        raise Refused(f"{unread[0]} cannot be read: {unread[0].problem}")
    where = " like that" if host or orchestrator or workload else ""
    raise Refused(f"there is no endpoint {text!r}{where}{meant(text, [one.name for one in among])}; see endpoint show")


def workload_of(one: Stored) -> str:
    """What an endpoint belongs to: its pod, container, or what an orchestrator names it."""
    spec = one.spec
    return str(spec.get("pod") or spec.get("containerID") or spec.get("workload") or "")


def called(one: Stored) -> str:
    """What people call its workload: the name that the container was given, else the id as far as it is needed."""
    workload = workload_of(one)
    return _given(one) or (workload[:12] if _ID.fullmatch(workload) else workload)


def _given(one: Stored) -> str:
    """The name beside the id, where our node has made the endpoint."""
    return str(section(section(one.document, "metadata"), "annotations").get(NAME) or "")


def _is_exactly(one: Stored, text: str) -> bool:
    spec = one.spec
    return text in (one.name, spec.get("interfaceName"), spec.get("containerID"), spec.get("pod"), _given(one) or None)


def _is_named(one: Stored, text: str) -> bool:
    return _is_exactly(one, text) or one.name.startswith(text)


def _begins(one: Stored, text: str) -> bool:
    names = (one.name, str(one.spec.get("containerID") or ""))
    return len(text) >= SHORTEST_PREFIX and any(name.startswith(text) for name in names)


def _filtered(
    everything: Iterable[Stored],
    host: str | None,
    orchestrator: str | None,
    workload: str | None,
    endpoint: str | None,
) -> list[Stored]:
    return [
        one
        for one in everything
        if not one.problem
        and host in (None, one.spec.get("node"))
        and orchestrator in (None, one.spec.get("orchestrator"))
        and (workload is None or workload_of(one).startswith(workload))
        and (endpoint is None or endpoint == one.spec.get("endpoint") or _is_named(one, endpoint))
    ]


def _shown(one: Stored) -> dict[str, Any]:
    spec = one.spec
    return {
        "id": one.name,
        "namespace": one.namespace,
        "node": spec.get("node") or "",
        "orchestrator": spec.get("orchestrator") or "",
        "workload": workload_of(one),
        "name": _given(one),
        "endpoint": spec.get("endpoint") or "",
        "addresses": [text.partition("/")[0] for text in texts(spec, "ipNetworks")],
        "profiles": _profiles(one),
        "interface": spec.get("interfaceName") or "",
        "mac": spec.get("mac") or "",
        "labels": one.labels,
    }


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}={text}" if text else key for key, text in sorted(value.items()))
    return str(value)


def _profiles(one: Stored) -> list[str]:
    return [as_written(name) for name in texts(one.spec, "profiles")]


def _some(profiles: list[str] | None) -> list[str]:
    if not profiles:
        raise BadInput("name one profile or more")
    return profiles


async def _existing(objects: Objects, profiles: Iterable[str]) -> list[str]:
    known = {one.name for one in await objects.all(Kind.PROFILE)}
    wanted = list(dict.fromkeys(as_stored(name) for name in profiles))
    for name in wanted:
        if name not in known:
            hint = meant(as_written(name), map(as_written, known))
            raise Refused(f"there is no profile {as_written(name)!r} (calico-route profile add){hint}")
    return wanted


async def _change(objects: Objects, one: Stored, edit: Callable[[list[str]], list[str]]) -> Answer:
    def write(document: Document) -> Document:
        spec = document.setdefault("spec", {})
        spec["profiles"] = edit(texts(spec, "profiles"))
        return document

    document = await objects.change(one, write)
    named = [as_written(name) for name in texts(document.get("spec"), "profiles")]
    lines = [f"{one.name} has {'profiles ' + ', '.join(named) if named else 'no profile'}"]
    return Answer({"id": one.name, "profiles": named}, lines, [] if named else [NOTHING_PASSES])
