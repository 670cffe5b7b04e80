"""`node stop`, and `node` itself for those who come by way of typer: the agent is run by calico_route.node."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from calico_route.words import WORDS

from . import bgp

NODE_EPILOG = """\b
Flags alone run the agent with addresses, containers and profiles, in the foreground or with --detach:
  calico-route node --ip 192.168.78.21 --as 64512
  calico-route node --detach
  calico-route node --help             all its flags
  calico-route node stop"""


def stop(arguments: list[str]) -> int:
    """End the agent of this host. Returns the exit code."""
    from calico_route.node import stop as stop_node

    return stop_node(arguments, os.environ)


def make_group() -> typer.Typer:
    """`node stop` and `node bgppeer`; what begins with a flag never comes here (see __main__)."""
    help_text = WORDS["node"][0].upper() + WORDS["node"][1:] + "."
    group = typer.Typer(rich_markup_mode=None, help=help_text, epilog=NODE_EPILOG)

    @group.callback()
    def _node(context: typer.Context) -> None:
        """What begins with a flag, and `node` alone, is not for this group: see __main__."""

    # Its flags are those of calico_route.node: they go there as they are, --help too.
    @group.command(
        "stop",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    )
    def _stop(
        context: typer.Context,
        force: Annotated[bool, typer.Option("--force", help="even though workloads exist on this host")] = False,
    ) -> None:
        """End the agent of this host, and take its Node out of etcd. Refused while workloads exist, unless --force."""
        raise typer.Exit(stop([*(["--force"] if force else []), *context.args]))

    peers = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.add_typer(peers, name="bgppeer", help="BGP neighbours of this node alone.")
    bgp.add_of_node(peers)
    return group
