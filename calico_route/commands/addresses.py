"""`ipam show|release|check`: the addresses of all pools, over calico_route.ipam."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Annotated, Any

import typer

from calico_route.config import find_node_name
from calico_route.ipam import Ipam
from calico_route.workload.ports import WorkloadError

from .answer import Answer, BadInput, Refused, rows
from .command import command
from .in_use import in_use
from .objects import Kind, Objects
from .pool import network_of


def add_commands(app: typer.Typer) -> None:
    """`ipam show|release|check`."""

    @command(
        app,
        "show",
        examples="calico-route ipam show\ncalico-route ipam show 192.168.0.1\n"
        "calico-route ipam show --blocks\ncalico-route ipam show --addresses --json",
    )
    async def show(
        objects: Objects,
        address: Annotated[str | None, typer.Argument(metavar="[IP]", help="who has this one")] = None,
        blocks: Annotated[bool, typer.Option("--blocks", help="the blocks, and whose each is")] = False,
        addresses: Annotated[bool, typer.Option("--addresses", help="every address that somebody has")] = False,
    ) -> Answer:
        """How many addresses of each pool are in use; or who has one."""
        if addresses:
            return await _all_addresses(objects)
        async with _ipam(objects) as ipam:
            found = await ipam.show(None if address is None else _address(address))
        if address is not None:
            return Answer(found, _described(found))
        if blocks:
            head: tuple[str, ...] = ("block", "node", "in use", "free", "borrowed by")
            body: list[tuple[object, ...]] = [
                (one["cidr"], one["node"], one["used"], one["free"], _borrowed(one["borrowed"]))
                for one in found["blocks"]
            ]
        else:
            body = [
                (one["cidr"], one["name"], one["used"], one["free"], _share(one), one["blocks"], one["state"])
                for one in found["pools"]
            ]
            head = ("cidr", "pool", "in use", "free", "used", "blocks", "state")
        return Answer(found, rows(head, body, none="there is none"), found["problems"])

    @command(
        app,
        "release",
        examples="calico-route ipam release 192.168.0.7\ncalico-route ipam release --node host2\n"
        "calico-route ipam release --handle calico.6f1c2a",
    )
    async def release(
        objects: Objects,
        address: Annotated[list[str] | None, typer.Argument(metavar="[IP]...")] = None,
        node: Annotated[
            str | None, typer.Option(metavar="NAME", help="all that a node has which will not come back")
        ] = None,
        handle: Annotated[str | None, typer.Option(metavar="HANDLE", help="all that a handle holds")] = None,
        force: Annotated[
            bool, typer.Option("--force", help="even though a workload has it, or the node seems to live")
        ] = False,
    ) -> Answer:
        """Give addresses back that nobody uses any more; with --node also its endpoints and blocks."""
        if sum(bool(one) for one in (address, node, handle)) != 1:
            raise BadInput("say what to release: addresses, or --node NAME, or --handle HANDLE")
        wanted = [_address(text) for text in address or []]
        async with _ipam(objects) as ipam:
            if node is not None:
                gone = await ipam.release_node(node, force=force)
                document = {name: list(what) for name, what in gone._asdict().items()}
                counts = ", ".join(f"{len(what)} {name}" for name, what in document.items())
                return Answer(document, [f"node {node} has given back {counts}"])
            freed = await (ipam.release(handle) if handle else ipam.release_addresses(wanted, force=force))
        missing = sorted(set(wanted) - set(freed))
        if not freed:
            what = f"handle {handle} holds nothing" if handle else f"nobody holds {', '.join(missing)}"
            raise Refused(f"{what}: see calico-route ipam show --addresses")
        notes = [f"nobody holds {', '.join(missing)}"] if missing else []
        return Answer({"released": list(freed)}, [f"released: {', '.join(freed)}"], notes)

    @command(app, "check", examples="calico-route ipam check\ncalico-route ipam check --repair --json")
    async def check(
        objects: Objects,
        repair: Annotated[
            bool, typer.Option("--repair", help="put right what can be without a person (it looks twice, 3 s apart)")
        ] = False,
    ) -> Answer:
        """What does not fit together: leaked addresses, workloads whose address is not theirs, handles, claims.
        Exit code 1 while something is left."""
        async with _ipam(objects) as ipam:
            found = await ipam.check(repair=repair)
        failed = dict(found.failed)
        document = [
            {
                "kind": str(one.kind),
                "words": one.words,
                "repairable": one.repairable,
                "repaired": one in found.repaired,
                "failed": failed.get(one),
            }
            for one in dict.fromkeys([*found.repaired, *found.findings])
        ]
        lines = [_finding(one) for one in document] or ["all records of addresses fit together"]
        left = [one for one in document if not one["repaired"]]
        if not repair and any(one["repairable"] for one in left):
            lines.append("what is marked * is put right by: calico-route ipam check --repair")
        return Answer(document, lines, exit_code=1 if left else 0)


def _finding(one: dict[str, Any]) -> str:
    if one["repaired"]:
        return f"repaired  {one['words']}"
    if one["failed"]:
        return f"failed    {one['words']}: {one['failed']}"
    return f"{'*' if one['repairable'] else ' '}         {one['words']}"


async def _all_addresses(objects: Objects) -> Answer:
    pools = [network for pool in await objects.all(Kind.POOL) if (network := network_of(pool)) is not None]
    uses = [use for network in pools for use in await in_use(objects, network)]
    body = [(use.address, use.node, use.holder, "" if use.endpoint else "no endpoint") for use in uses]
    table = rows(("address", "node", "holder", "note"), body, none="no address is in use")
    return Answer([use.document for use in uses], table)


def _described(found: dict[str, Any]) -> list[str]:
    address = found["address"]
    if not found["pool"]:
        return [f"{address} is in no pool"]
    if found["assigned"]:
        whose = ", ".join(f"{name} {value}" for name, value in sorted(found["attributes"].items()))
        lines = [f"{address} is assigned to handle {found['handle'] or '(none)'}{f' ({whose})' if whose else ''}"]
    elif found["reserved"]:
        lines = [f"{address} is never assigned: {found['reserved']}"]
    else:
        lines = [f"{address} is free"]
    lines += [f"endpoint {one}" for one in found["endpoints"]]
    block = f"block {found['block']} of {found['block_node'] or 'nobody'}" if found["block"] else "no block yet"
    return [*lines, f"pool {found['pool']}, {block}"]


def _borrowed(nodes: dict[str, int]) -> str:
    return ", ".join(f"{node} ({count})" for node, count in nodes.items())


def _share(one: dict[str, Any]) -> str:
    return f"{100 * one['used'] / one['addresses']:.1f} %"


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise BadInput(f"{text!r} is no address: write 192.168.0.7") from None


@asynccontextmanager
async def _ipam(objects: Objects) -> AsyncIterator[Ipam]:
    ipam = Ipam(objects.store, node=find_node_name(None, os.environ)[0])
    try:
        yield ipam
    except WorkloadError as error:
        raise Refused(str(error)) from None
    finally:
        await ipam.close()
