"""The subcommands that look at a running speaker, or act on it: show, explain, peer, reload; and `policy check`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from pybgp.app import policy_check, show
from pybgp.app.client import Unanswered, ask
from pybgp.app.tables import width
from pybgp.app.where import socket_path

Subcommands = Any  # what add_subparsers gives has no public name


def add_subcommands(commands: Subcommands) -> None:
    """All of them, with their options."""
    shows = commands.add_parser("show", help="what a running speaker knows").add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )
    _command(shows, "speaker", "the speaker as a whole", lambda _: {"request": "speaker"}, _show_speaker)
    _command(shows, "peers", "all peers, one a line", lambda _: {"request": "peers"}, _show_peers)
    peer = _command(
        shows, "peer", "one peer, all of it", lambda a: {"request": "peer", "address": a.address}, _show_peer
    )
    peer.add_argument("address", metavar="ADDRESS")
    _add_routes(_command(shows, "routes", "the routes in the tables", _routes_request, _show_routes))

    explain = _command(commands, "explain", "why a prefix is reached as it is", _explain_request, _show_explanation)
    explain.add_argument("prefix", metavar="PREFIX|ADDRESS")
    explain.add_argument("--family", help="where it is not unicast")

    act = _command(commands, "peer", "act on one peer of a running speaker", _peer_request, _show_done)
    act.add_argument("address", metavar="ADDRESS")
    act.add_argument("action", choices=["disable", "enable", "reset", "refresh"])
    act.add_argument("--reason", metavar="TEXT", help="for disable and reset: the other operator reads it (RFC 9003)")
    act.add_argument("--family", help="for refresh: this family alone")

    _command(
        commands, "reload", "have a running speaker read its file again", lambda _: {"request": "reload"}, _show_done
    )

    policies = commands.add_parser("policy", help="policies of a file").add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )
    policy_check.add_arguments(policies.add_parser("check", help=policy_check.HELP, description=policy_check.HELP))


def _command(
    commands: Subcommands,
    name: str,
    help_: str,
    request: Callable[[argparse.Namespace], dict[str, Any]],
    answer: Callable[[argparse.Namespace, Iterator[dict[str, Any]]], int],
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, help=help_, description=help_)
    made.add_argument("--socket", metavar="PATH", help="the speaker's control socket, as its log says")
    made.add_argument("--json", action="store_true", help="for programs; docs/schema/control.json has the schema")

    def run(arguments: argparse.Namespace) -> int:
        path = socket_path(arguments.socket)
        if path is None:
            print("pybgp: PYBGP_SOCKET is none: name the speaker's socket with --socket PATH", file=sys.stderr)
            return 1
        try:
            return answer(arguments, ask(path, request(arguments)))
        except Unanswered as error:
            print(f"pybgp: {error}", file=sys.stderr)
            return 1

    made.set_defaults(run=run)
    return made


def _add_routes(parser: argparse.ArgumentParser) -> None:
    what = "this prefix and what is inside of it; all prefixes that hold this address"
    parser.add_argument("prefix", nargs="?", metavar="PREFIX|ADDRESS", help=what)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--received", metavar="PEER", help="what this peer sent, as it sent it")
    which.add_argument("--advertised", metavar="PEER", help="what this peer was sent, as it was sent")
    parser.add_argument("--rejected", action="store_true", help="only what may not be used")
    parser.add_argument("--family", help="ipv4-unicast, ipv6-unicast, ...")
    for key, (option, help_) in _FILTERS.items():
        parser.add_argument(option, dest=key, action="append", metavar="VALUE", help=help_)


_FILTERS = {
    "community": ("--community", "with this community: 65000:100, no-export, 65000:*; may be given several times"),
    "large_community": ("--large-community", "with this large community: 65000:1:2, 65000:*:2"),
    "extended_community": ("--extended-community", "with this extended community: rt:65000:100, rt:*"),
    "as_path": ("--as-path", "whose AS_PATH matches this expression: ^65001_"),
    "origin_as": ("--origin-as", "from this AS, or one of a range"),
    "next_hop": ("--next-hop", "with this next hop, or one inside of this prefix"),
}


def _routes_request(arguments: argparse.Namespace) -> dict[str, Any]:
    where = {key: value for key in _FILTERS if (value := getattr(arguments, key))}
    fields = {"what": arguments.prefix, "received": arguments.received, "advertised": arguments.advertised}
    return {
        "request": "routes",
        **{name: value for name, value in fields.items() if value is not None},
        **({"family": arguments.family} if arguments.family else {}),
        **({"rejected": True} if arguments.rejected else {}),
        **({"where": where} if where else {}),
    }


def _explain_request(arguments: argparse.Namespace) -> dict[str, Any]:
    family = {"family": arguments.family} if arguments.family else {}
    return {"request": "explain", "what": arguments.prefix, **family}


def _peer_request(arguments: argparse.Namespace) -> dict[str, Any]:
    request: dict[str, Any] = {"request": arguments.action, "address": arguments.address}
    for name in ("reason", "family"):
        if getattr(arguments, name) is not None:
            request[name] = getattr(arguments, name)
    return request


def _print(arguments: argparse.Namespace, document: dict[str, Any], text: Callable[[], list[str]]) -> None:
    if arguments.json:
        print(json.dumps(document))
    else:
        print("\n".join(text()))


def _show_speaker(arguments: argparse.Namespace, answer: Iterator[dict[str, Any]]) -> int:
    document = next(answer)
    _print(arguments, document, lambda: show.speaker_text(document["speaker"], time.time(), width()))
    return 0


def _show_peers(arguments: argparse.Namespace, answer: Iterator[dict[str, Any]]) -> int:
    peers = [peer for part in answer for peer in part["peers"]]
    _print(arguments, {"peers": peers}, lambda: show.peers_text(peers, width()))
    return 0


def _show_peer(arguments: argparse.Namespace, answer: Iterator[dict[str, Any]]) -> int:
    document = next(answer)
    _print(arguments, document, lambda: show.peer_text(document["peer"], width()))
    return 0


def _show_routes(arguments: argparse.Namespace, answer: Iterator[dict[str, Any]]) -> int:
    """As they come: a full table is never held whole. The JSON is one document all the same."""
    parts = (part["routes"] for part in answer)
    if not arguments.json:
        for line in show.routes_lines(parts, width()):
            print(line)
        return 0
    first = next(parts)  # nothing is printed before there is an answer
    print('{"routes": [', end="")
    separator = ""
    for part in _chained(first, parts):
        for route in part:
            print(f"{separator}\n{json.dumps(route)}", end="")
            separator = ","
    print("\n]}")
    return 0


def _chained(first: list[Any], rest: Iterator[list[Any]]) -> Iterator[list[Any]]:
    yield first
    yield from rest


def _show_explanation(arguments: argparse.Namespace, answer: Iterator[dict[str, Any]]) -> int:
    document = next(answer)
    found = document["explanation"]
    _print(arguments, document, lambda: show.explanation_text(found, width()))
    return 0 if found["prefix"] is not None else 1


def _show_done(arguments: argparse.Namespace, answer: Iterator[dict[str, Any]]) -> int:
    document = next(answer)
    _print(arguments, document, lambda: [*document.get("log", []), document["done"]])
    return 0
