"""`ipam show|release|check`: the addresses of all pools, over calico_route.ipam."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import Annotated, Any

import typer

from calico_route.config import find_node_name
from calico_route.ipam import Ipam
from calico_route.workload.ports import WorkloadError

from .answer import Answer, BadInput, Refused, rows
from .command import command
from .in_use import in_use
from .objects import Kind, Objects, unreadable
from .pool import Network, network_of
from .workload_socket import WHAT_TO_DO


def add_commands(app: typer.Typer) -> None:
    """`ipam show|release|check`."""

    @command(
        app,
        "show",
        examples="calico-route ipam show\ncalico-route ipam show 192.168.0.1\n"
        "calico-route ipam show --addresses --json",
    )
    async def show(
        objects: Objects,
        address: Annotated[str | None, typer.Argument(metavar="[IP]", help="who has this one")] = None,
        addresses: Annotated[bool, typer.Option("--addresses", help="every address that somebody has")] = False,
    ) -> Answer:
        """How many addresses of each pool are in use, or who has one."""
        pools = await objects.all(Kind.POOL)
        networks = [(pool, network) for pool in pools if (network := network_of(pool)) is not None]
        notes = unreadable(pools)
        if address is not None:
            return await _who(objects, address, [network for _, network in networks])
        found = [(pool, network, await in_use(objects, network)) for pool, network in networks]
        if addresses:
            uses = [use for _, _, each in found for use in each]
            body = [(use.address, use.node, use.holder, "" if use.endpoint else "no endpoint") for use in uses]
            head = ("address", "node", "holder", "note")
            return Answer([use.document for use in uses], rows(head, body, none="no address is in use"), notes)
        document = [
            {
                "pool": pool.name,
                "cidr": str(network),
                "addresses": network.num_addresses,
                "in_use": len(uses),
                "free": network.num_addresses - len(uses),
                "without_endpoint": sum(not use.endpoint for use in uses),
            }
            for pool, network, uses in found
        ]
        table = [(one["cidr"], one["pool"], one["in_use"], one["free"], _share(one)) for one in document]
        return Answer(document, rows(("cidr", "pool", "in use", "free", "used"), table, none="no pool"), notes)

    @command(
        app,
        "release",
        examples="calico-route ipam release 192.168.0.7\ncalico-route ipam release --node host2\n"
        "calico-route ipam release --handle calico.6f1c2a",
    )
    async def release(
        objects: Objects,
        address: Annotated[str | None, typer.Argument(metavar="[IP]")] = None,
        node: Annotated[
            str | None, typer.Option(metavar="NAME", help="all that a node has: one that will not come back")
        ] = None,
        handle: Annotated[str | None, typer.Option(metavar="HANDLE", help="all that a handle holds")] = None,
        force: Annotated[bool, typer.Option("--force", help="even though an endpoint has it")] = False,
    ) -> Answer:
        """Give addresses back that nobody uses any more."""
        if sum(one is not None for one in (address, node, handle)) != 1:
            raise BadInput("say what to release: an address, or --node NAME, or --handle HANDLE")
        async with _ipam(objects) as ipam:
            if node is not None:
                await _refuse_living(objects, node, force)
                freed = await ipam.release_node(node)
            else:
                freed = await ipam.release(handle or await _handle_of(objects, str(address), force))
        if not freed:
            raise Refused(f"{address or node or handle} holds no address: see calico-route ipam show --addresses")
        return Answer({"released": list(freed)}, [f"released: {', '.join(freed)}"])


def _share(one: dict[str, Any]) -> str:
    return f"{100 * one['in_use'] / one['addresses']:.1f} %"


async def _who(objects: Objects, text: str, networks: list[Network]) -> Answer:
    address = _address(text)
    network = next((one for one in networks if ip_address(address) in one), None)
    if network is None:
        known = ", ".join(map(str, networks))
        raise Refused(f"{address} is in no pool; there is {known or 'none at all'}")
    use = next((one for one in await in_use(objects, network) if one.address == address), None)
    if use is None:
        return Answer({"address": address, "node": None, "holder": None, "endpoint": False}, [f"{address} is free"])
    note = "" if use.endpoint else "; no endpoint has it: see calico-route ipam check"
    return Answer(use.document, [f"{address} is held by {use.holder} on {use.node or '?'}{note}"])


async def _handle_of(objects: Objects, text: str, force: bool) -> str:
    """The handle that holds an address which no endpoint has."""
    address = _address(text)
    network = ip_network(address)
    endpoints = [use for use in await in_use(objects, network) if use.endpoint]
    if endpoints and not force:
        raise Refused(
            f"{endpoints[0].holder} on {endpoints[0].node} has {address}: remove that (calico-route container "
            "remove), or give --force"
        )
    held = await in_use(objects, network, records_alone=True)
    if not held:
        raise Refused(f"{address} is free: there is nothing to release")
    return held[0].holder


async def _refuse_living(objects: Objects, node: str, force: bool) -> None:
    endpoints = [one for one in await objects.all(Kind.ENDPOINT) if one.spec.get("node") == node]
    if endpoints and not force:
        raise Refused(
            f"node {node} has {len(endpoints)} endpoints in etcd, the first is {endpoints[0].name}: if the node will "
            "not come back give --force"
        )


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
        hint = WHAT_TO_DO.get(error.code)
        raise Refused(f"{error}{f' ({hint})' if hint else ''}") from None
    finally:
        await ipam.close()
