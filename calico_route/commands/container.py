"""`container`: asks the agent on this host to give a container an interface and addresses, or to take them away."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import typer

from .answer import Answer, BadInput, Refused, rows
from .command import command
from .named import NamedGroup
from .profile_names import as_given, as_written
from .runtimes import Container, resolve
from .workload_socket import AgentError, ask, workload_socket

DEFAULT_INTERFACE = "eth1"
AUTOMATIC = ("auto", "auto4", "auto6", "auto46")
SHORTEST_PREFIX = 4
_LONGEST_INTERFACE = 15
DOCKERS = "libnetwork"
"""The orchestrator of workloads that Docker's drivers have made."""
STAYS = ("container", "network", "orchestrator", "namespace", "name", "labels", "mac")
"""What of a workload is as before when its interface is made anew."""

Target = Annotated[
    str,
    typer.Argument(metavar="CONTAINER", help="of docker or podman (name or id), a network namespace, a path, a PID"),
]
Interface = Annotated[str, typer.Option(metavar="NAME", help="inside the container")]
Socket = Annotated[
    Path | None,
    typer.Option("--workload-socket", metavar="PATH", help="default: /run/calico_route/workloads/<node>.sock"),
]
NodeName = Annotated[
    str | None, typer.Option("--node-name", metavar="NAME", help="of which agent, if there are several")
]

Recreate = Annotated[bool, typer.Option("--recreate", help="make the interface anew for it: its connections are lost")]


class ContainerGroup(NamedGroup):
    """`container CONTAINER ip …` and `container CONTAINER endpoint-id show`."""

    after_name = ("ip", "endpoint-id")
    what = "CONTAINER"


def add_commands(app: typer.Typer, ip: typer.Typer, endpoint_id: typer.Typer) -> None:
    """`container add|remove|show`, and what comes after the name of one."""

    @command(
        app,
        "add",
        examples="calico-route container add container1 auto --profile db\n"
        "calico-route container add container1 192.168.0.7 --interface eth1\n"
        "calico-route container add netns:blue auto46\n"
        "calico-route container add /proc/4711/ns/net fd80:24e2:f998:72d6::7",
    )
    def add(
        container: Target,
        address: Annotated[
            list[str], typer.Argument(metavar="IP...|auto", help="addresses, or auto, auto4, auto6, auto46")
        ],
        interface: Interface = DEFAULT_INTERFACE,
        profile: Annotated[
            list[str] | None, typer.Option(metavar="PROFILE", help="may be given several times, in order")
        ] = None,
        workload_socket_: Socket = None,
        node_name: NodeName = None,
    ) -> Answer:
        """Give a running container an interface with addresses of the cluster."""
        wanted = _addresses(address)
        profiles = [as_given(one) for one in profile or []]
        _check_interface(interface)
        found = resolve(container, os.environ)
        path = workload_socket(workload_socket_, node_name, os.environ)
        request = _request(found, interface, wanted, profiles)
        workload = _workload(ask(path, request))
        outside = f"host interface {workload.get('host_interface')}, profiles {_named(workload) or 'none'}"
        return Answer(workload, [f"{found} has {_joined(workload)} on {interface} ({outside})"])

    @command(
        app,
        "remove",
        examples="calico-route container remove container1\ncalico-route container remove 6f1c2a8b9d0e --force",
    )
    def remove(
        container: Target,
        interface: Annotated[
            str | None, typer.Option(metavar="NAME", help="only this one. Default: all of them")
        ] = None,
        force: Annotated[bool, typer.Option("--force", help="no error where the agent knows nothing of it")] = False,
        workload_socket_: Socket = None,
        node_name: NodeName = None,
    ) -> Answer:
        """Take a container's interfaces, routes, addresses and endpoints away; it need not run any more."""
        path = workload_socket(workload_socket_, node_name, os.environ)
        try:
            known = _known(path, container, interface)
        except Refused as error:
            if not force or isinstance(error, AgentError):
                raise
            return Answer({"removed": []}, [f"nothing to remove: {error}"])
        for one in known:
            ask(path, {"request": "remove", "container": one["container"], "interface": one["interface"]})
        lines = [f"{container} has {one['interface']} ({_joined(one)}) no more" for one in known]
        return Answer({"removed": known}, lines)

    @command(app, "show", examples="calico-route container show\ncalico-route container show --json")
    def show(workload_socket_: Socket = None, node_name: NodeName = None) -> Answer:
        """The containers of this host that have addresses of the cluster."""
        found = _list(workload_socket(workload_socket_, node_name, os.environ))
        body = [
            (
                one.get("name"),
                str(one["container"])[:12],
                one["interface"],
                _joined(one),
                one.get("host_interface"),
                _named(one),
                one.get("endpoint"),
            )
            for one in found
        ]
        head = ("name", "container", "interface", "addresses", "host interface", "profiles", "endpoint")
        return Answer(found, rows(head, body, none="no container on this host has an address of the cluster"))

    @command(ip, "add", examples="calico-route container container1 ip add 192.168.0.9")
    def ip_add(
        context: typer.Context,
        address: Annotated[str, typer.Argument(metavar="IP")],
        interface: Interface = DEFAULT_INTERFACE,
        recreate: Recreate = False,
        workload_socket_: Socket = None,
        node_name: NodeName = None,
    ) -> Answer:
        """One more address on an interface that the container has from us."""
        [wanted] = _explicit([address])
        path = workload_socket(workload_socket_, node_name, os.environ)
        [one] = _known(path, str(context.obj), interface)
        if wanted in one["addresses"]:
            return Answer(one, [f"{context.obj} has {wanted} on {interface} already"])
        return _readdress(path, context, one, [*one["addresses"], wanted], recreate)

    @command(ip, "remove", examples="calico-route container container1 ip remove 192.168.0.9")
    def ip_remove(
        context: typer.Context,
        address: Annotated[str, typer.Argument(metavar="IP")],
        interface: Interface = DEFAULT_INTERFACE,
        recreate: Recreate = False,
        workload_socket_: Socket = None,
        node_name: NodeName = None,
    ) -> Answer:
        """One address less; the last one goes with the whole interface (container remove)."""
        [gone] = _explicit([address])
        path = workload_socket(workload_socket_, node_name, os.environ)
        [one] = _known(path, str(context.obj), interface)
        if gone not in one["addresses"]:
            raise Refused(f"{context.obj} has no {gone} on {interface}: it has {_joined(one)}")
        rest = [each for each in one["addresses"] if each != gone]
        if not rest:
            raise Refused(f"{gone} is the only address on {interface}: calico-route container remove {context.obj}")
        return _readdress(path, context, one, rest, recreate)

    @command(endpoint_id, "show", examples="calico-route container container1 endpoint-id show")
    def endpoint_id_show(
        context: typer.Context,
        interface: Annotated[str | None, typer.Option(metavar="NAME", help="only of this one")] = None,
        workload_socket_: Socket = None,
        node_name: NodeName = None,
    ) -> Answer:
        """The names of a container's endpoints: what `calico-route endpoint` and calicoctl call them."""
        known = _known(workload_socket(workload_socket_, node_name, os.environ), str(context.obj), interface)
        found = [{"interface": one["interface"], "endpoint": one["endpoint"]} for one in known]
        return Answer(found, [str(one["endpoint"]) for one in found])


def _request(found: Container, interface: str, addresses: str | list[str], profiles: list[str]) -> dict[str, Any]:
    return {
        "request": "add",
        "container": found.id,
        "netns": found.netns,
        "interface": interface,
        "addresses": addresses,
        "profiles": profiles,
        "create_profiles": False,  # a slip in the name of one is to be told
        "labels": {},
        "network": "calico",
        "orchestrator": "cni",
        "namespace": "default",
        "name": found.name,
    }


def _readdress(
    path: Path, context: typer.Context, one: Mapping[str, Any], addresses: list[str], recreate: bool
) -> Answer:
    """The same workload with other addresses. The agent does not change those of an interface that stands."""
    name, before = str(context.obj), list(one["addresses"])
    if one.get("orchestrator") == DOCKERS:
        raise Refused(
            f"the addresses of {name} are Docker's, whose driver asked for them: choose one with CALICO_IP, or with "
            "docker network connect --ip"
        )
    if not recreate:
        raise Refused(
            f"{name} has {_joined(one)} on {one['interface']}, and the addresses of an interface that stands are not "
            f"changed: give --recreate, and it is made anew with {', '.join(addresses)} (connections are lost)"
        )
    found = resolve(name, os.environ)
    profiles = [as_written(profile) for profile in one.get("profiles") or []]
    request = _request(found, str(one["interface"]), addresses, profiles)
    request |= {member: one[member] for member in STAYS if one.get(member)}
    ask(path, {"request": "remove", "container": one["container"], "interface": one["interface"]})
    try:
        workload = _workload(ask(path, request))
    except AgentError:
        ask(path, {**request, "addresses": before})  # as it was; what was wrong with the new ones is told
        raise
    return Answer(workload, [f"{name} has {_joined(workload)} on {one['interface']}"])


def _known(path: Path, text: str, interface: str | None) -> list[dict[str, Any]]:
    """What the agent has for a container: by its id, how that begins, or its name; or by what the host makes of it."""
    everything = _list(path)
    bare = text.split(":", 1)[-1]
    found = [one for one in everything if bare in (one["container"], one.get("name"))]
    if not found and len(bare) >= SHORTEST_PREFIX:
        found = [one for one in everything if str(one["container"]).startswith(bare)]
    if len({one["container"] for one in found}) > 1:
        raise Refused(f"{text!r} may be any of {', '.join(sorted({one['container'] for one in found}))}: write more")
    if not found:
        identifier = resolve(text, os.environ).id
        found = [one for one in everything if one["container"] == identifier]
    if not found:
        raise Refused(f"{text!r} has no address of the cluster; see calico-route container show")
    if interface is not None:
        has = ", ".join(str(one["interface"]) for one in found)
        found = [one for one in found if one["interface"] == interface]
        if not found:
            raise Refused(f"{text!r} has no interface {interface} from us: it has {has}; give --interface")
    return found


def _list(path: Path) -> list[dict[str, Any]]:
    found = ask(path, {"request": "list"}).get("workloads")
    if not isinstance(found, list):
        raise Refused(f"the agent at {path} does not say which containers it has")
    return [one for one in found if isinstance(one, dict) and "container" in one and "interface" in one]


def _workload(reply: Mapping[str, Any]) -> dict[str, Any]:
    found = reply.get("workload")
    if not isinstance(found, dict):
        raise Refused("the agent does not say what it has done; see calico-route container show")
    return found


def _named(one: Mapping[str, Any]) -> str:
    return ", ".join(as_written(str(name)) for name in one.get("profiles") or [])


def _joined(one: Mapping[str, Any]) -> str:
    return ", ".join(map(str, one.get("addresses") or []))


def _addresses(texts: list[str]) -> str | list[str]:
    if len(texts) == 1 and texts[0].lower() in AUTOMATIC:
        return texts[0].lower()
    return _explicit(texts)


def _explicit(texts: list[str]) -> list[str]:
    found = []
    for text in texts:
        host, slash, length = text.partition("/")
        try:
            address = ip_address(host)
        except ValueError:
            raise BadInput(f"{text!r} is no address: write 192.168.0.7, or one of {', '.join(AUTOMATIC)}") from None
        if slash and length != str(address.max_prefixlen):
            raise BadInput(f"{text!r} is a network: a container gets single addresses, write {host}")
        found.append(str(address))
    return list(dict.fromkeys(found))


def _check_interface(name: str) -> None:
    if (
        not name
        or len(name) > _LONGEST_INTERFACE
        or "/" in name
        or any(one.isspace() for one in name)
        or name in (".", "..")
    ):
        raise BadInput(f"--interface {name!r}: an interface's name has 1 to 15 characters, no space and no slash")
    if name == "lo":
        raise BadInput("--interface lo: that is the loopback; take eth0, eth1 …")
