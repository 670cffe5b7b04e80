"""The command line as one: every word, and how it is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
import typer.core

from calico_route import drain_command, status
from calico_route.words import COMPLETION_VARIABLE, WORDS

EPILOG = """\b
Each command has --help with examples, and --json for programs. Flags alone run the routing agent:
  calico-route --peer-from-etcd http://192.168.78.21:2379
  calico-route --help                  all its flags
Exit codes: 0 done, 1 refused or failed (the text says why, and what to do), 2 wrong words, flags or input"""


FORMER = {
    "restart-docker-with-alternative-unix-socket": "Docker keeps its socket: calico-route node --docker-proxy",
    "restart-docker-without-alternative-unix-socket": "Docker's socket was never moved: there is nothing to undo",
    "shownodes": "calico-route status shows the neighbours, calicoctl get nodes all nodes",
    "master": "there is no master any more: calico-route node runs on every host",
    "group": "groups have become profiles: calico-route profile --help",
    "reset": "calico-route node stop ends a node, calico-route ipam release --node gives back what it had",
    "version": "calico-route --version",
}
"""Words of calicoctl 0.4.9 and before that are no more, and what to do today."""


class _Words(typer.core.TyperGroup):
    """In the order of WORDS."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in FORMER and not ctx.resilient_parsing:
            ctx.fail(f"{args[0]!r} is no more: {FORMER[args[0]]}")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=list(WORDS).index)


def make_app(only: str | None = None) -> typer.Typer:
    """All commands; or only one word with what belongs to it, which starts faster."""
    app = typer.Typer(
        name="calico-route",
        cls=_Words,
        epilog=EPILOG,
        rich_markup_mode=None,  # plain text: it starts faster, and is the same in a pipe
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 110},
    )
    app.callback()(_nothing)
    for word, add in _ADD.items():
        if only in (None, word):
            add(app)
    return app


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit code."""
    words = _being_completed() if COMPLETION_VARIABLE in os.environ else arguments
    only = words[0] if words and words[0] in WORDS else None
    try:
        make_app(only)(args=list(arguments), prog_name="calico-route")
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 1
    return 0


def _being_completed() -> list[str]:
    """What stands before the word that a shell asks about, without the program; shells tell it in different ways."""
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    words = line.split()
    return words[1:] if line[-1:].isspace() else words[1:-1]


def _nothing() -> None:
    """Calico on this host: addresses, containers, profiles, routing."""


def _group(app: typer.Typer, name: str, cls: type[typer.core.TyperGroup] | None = None) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, cls=cls)
    app.add_typer(group, name=name, help=_sentence(name))
    return group


def _below(group: typer.Typer, name: str, what: str) -> typer.Typer:
    below = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.add_typer(below, name=name, help=what)
    return below


def _sentence(word: str) -> str:
    return WORDS[word][0].upper() + WORDS[word][1:] + "."


Socket = Annotated[str | None, typer.Option(metavar="PATH", help="default: /run/calico_route/<node>.sock")]
Name = Annotated[str | None, typer.Option(metavar="NAME", help="of which agent, if there are several")]


def _node(app: typer.Typer) -> None:
    from .node import make_group

    app.add_typer(make_group(), name="node", no_args_is_help=False)


def _status(app: typer.Typer) -> None:
    """It runs without typer (see __main__); here it is for --help and for completion."""

    @app.command("status", help=_sentence("status"))
    def _(
        json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
        routes: Annotated[bool, typer.Option("--routes", help="also every learned route")] = False,
        node_name: Name = None,
        socket: Socket = None,
    ) -> None:
        flags = [*_flag("--json", json), *_flag("--routes", routes)]
        flags += [*_value("--node-name", node_name), *_value("--socket", socket)]
        raise typer.Exit(status.main(flags, os.environ, sys.stdout, sys.stderr))


def _drain(app: typer.Typer) -> None:
    """As `status`."""

    @app.command("drain", help=_sentence("drain"))
    def _(
        wait: Annotated[str | None, typer.Option(metavar="SECONDS", help="before routes are withdrawn")] = None,
        end: Annotated[bool, typer.Option("--end", help="this node stays: announce everything as before")] = False,
        node_name: Name = None,
        socket: Socket = None,
    ) -> None:
        flags = [*_value("--wait", wait), *_flag("--end", end)]
        flags += [*_value("--node-name", node_name), *_value("--socket", socket)]
        raise typer.Exit(drain_command.main(flags, os.environ, sys.stdout, sys.stderr))


def _pool(app: typer.Typer) -> None:
    from .pool import add_commands

    add_commands(_group(app, "pool"))


def _profile(app: typer.Typer) -> None:
    from . import profile, rule

    group = _group(app, "profile", profile.ProfileGroup)
    profile.add_commands(group, _below(group, "tag", "Tags of its members: show, add, remove."))
    rule.add_commands(_below(group, "rule", "Its rules: json, show, add, remove, update."))


def _container(app: typer.Typer) -> None:
    from . import container

    group = _group(app, "container", container.ContainerGroup)
    addresses = _below(group, "ip", "One address more or less: add, remove.")
    container.add_commands(group, addresses, _below(group, "endpoint-id", "Names of its endpoints: show."))


def _endpoint(app: typer.Typer) -> None:
    from . import endpoint

    group = _group(app, "endpoint", endpoint.EndpointGroup)
    endpoint.add_commands(group, _below(group, "profile", "Its profiles: set, append, remove, show."))


def _bgppeer(app: typer.Typer) -> None:
    from .bgp import add_global

    add_global(_group(app, "bgppeer"))


def _mesh(app: typer.Typer) -> None:
    from .bgp import add_mesh

    add_mesh(app)


def _default_as(app: typer.Typer) -> None:
    from .bgp import add_default_as

    add_default_as(app)


def _ipam(app: typer.Typer) -> None:
    from .addresses import add_commands

    add_commands(_group(app, "ipam"))


def _checksystem(app: typer.Typer) -> None:
    from .checksystem import add_command

    add_command(app)


def _diags(app: typer.Typer) -> None:
    from .diags import add_command

    add_command(app)


_ADD: dict[str, Callable[[typer.Typer], None]] = {
    "node": _node,
    "status": _status,
    "drain": _drain,
    "pool": _pool,
    "profile": _profile,
    "container": _container,
    "endpoint": _endpoint,
    "bgppeer": _bgppeer,
    "bgp-node-mesh": _mesh,
    "default-node-as": _default_as,
    "ipam": _ipam,
    "checksystem": _checksystem,
    "diags": _diags,
}
"""What each word brings, imported when it is needed."""


def _flag(flag: str, given: bool) -> list[str]:
    return [flag] if given else []


def _value(flag: str, value: str | None) -> list[str]:
    return [] if value is None else [flag, value]
