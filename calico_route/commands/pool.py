"""`pool add|remove|show`: Calico's IPPools."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, TypeAlias

import typer

from .answer import Answer, BadInput, Refused, rows
from .command import command
from .completion import stored_names
from .in_use import Use, in_use, release_empty_blocks
from .names import cidr as read_cidr
from .names import of_address, resource_name
from .objects import Kind, Objects, Stored, unreadable

Network: TypeAlias = IPv4Network | IPv6Network
BLOCK_SIZES = {4: (20, 32, 26), 6: (116, 128, 122)}
"""Shortest, longest and default prefix of a block, by IP version (Calico's limits)."""
USED_SHOWN = 5

IPIP_REASON = (
    "routes into it go through tunl0, as with Calico up to v3.32 (calico_route --compat); without the kernel's "
    "module ipip they cannot be programmed, and checksystem says so"
)
NAT_REASON = (
    "natOutgoing is for nodes that run Felix: calico_route itself translates no addresses. On a host without Felix: "
    "nft add table ip nat; nft add chain ip nat post '{ type nat hook postrouting priority srcnat; }'; "
    "nft add rule ip nat post ip saddr {cidr} ip daddr != {cidr} masquerade"
)


def known_pools(begun: str) -> list[str]:
    """For the shell."""
    return stored_names(Kind.POOL, begun)


def add_commands(app: typer.Typer) -> None:
    """`pool add|remove|show`."""

    @command(
        app,
        "add",
        examples="calico-route pool add 192.168.0.0/16\n"
        "calico-route pool add fd80:24e2:f998:72d6::/64 --name ipv6-pool\n"
        "calico-route pool add 10.20.0.0/16 --ipip --nat-outgoing",
    )
    async def add(
        objects: Objects,
        cidr: Annotated[str, typer.Argument(metavar="CIDR")],
        ipip: Annotated[bool, typer.Option("--ipip", help="between nodes packets travel inside IPIP")] = False,
        nat_outgoing: Annotated[
            bool, typer.Option("--nat-outgoing", help="nodes that run Felix translate what leaves all pools")
        ] = False,
        name: Annotated[str | None, typer.Option(help="default: made of the CIDR, as 192-168-0-0-16")] = None,
        block_size: Annotated[
            int | None, typer.Option(metavar="LENGTH", help="prefix length of blocks. Default: 26, IPv6: 122")
        ] = None,
    ) -> Answer:
        """Make a pool: addresses that workloads may get, and whose routes are announced."""
        network = _network(cidr)
        size = _block_size(network, block_size)
        if ipip and network.version == 6:
            raise BadInput(f"--ipip with {network}: IPIP carries IPv4 alone; leave it out")
        name = resource_name(name or of_address(str(network)), "--name")
        pools = await objects.all(Kind.POOL)
        for other in pools:
            theirs = network_of(other)
            if theirs == network:
                return _already(other, network, ipip=ipip, nat_outgoing=nat_outgoing)
            if theirs is not None and theirs.overlaps(network):
                raise Refused(f"{network} overlaps {other} {theirs}: an address is in one pool only")
        spec: dict[str, Any] = {
            "cidr": str(network),
            "vxlanMode": "Never",
            "ipipMode": "Always" if ipip else "Never",
            **({"natOutgoing": True} if nat_outgoing else {}),
            "blockSize": size,
            "nodeSelector": "all()",
            "allowedUses": ["Workload", "Tunnel"],
            "assignmentMode": "Automatic",
        }
        document = await objects.create(Kind.POOL, name, spec)
        if document is None:
            raise Refused(f"there is a pool of the name {name} already: give another with --name")
        notes = [f"--ipip: {IPIP_REASON}"] if ipip else []
        if nat_outgoing:
            notes.append(f"--nat-outgoing: {NAT_REASON.replace('{cidr}', str(network))}")
        return Answer(document, [f"pool {name} {network} is there"], notes)

    @command(
        app, "remove", examples="calico-route pool remove 192.168.0.0/16\ncalico-route pool remove ipv6-pool --force"
    )
    async def remove(
        objects: Objects,
        pool: Annotated[str, typer.Argument(metavar="CIDR|NAME", autocompletion=known_pools)],
        force: Annotated[
            bool, typer.Option("--force", help="even though workloads have addresses of it: their routes go")
        ] = False,
        ipip: Annotated[bool, typer.Option("--ipip", hidden=True)] = False,  # v0.4.9 took them here, too
        nat_outgoing: Annotated[bool, typer.Option("--nat-outgoing", hidden=True)] = False,
    ) -> Answer:
        """Remove a pool: no new addresses, no routes into it; refused while workloads have any of it."""
        found = await _find(objects, pool)
        network = network_of(found)
        uses = await in_use(objects, network) if network is not None else []
        if uses and not force:
            raise Refused(
                f"{found} is in use by {_whom(uses)}: their routes would go, and they would keep addresses of no pool; "
                "remove them first, or give --force"
            )
        await objects.delete(found)
        if network is not None and not uses:
            await release_empty_blocks(objects, network)
        notes = [f"still in use by {_whom(uses)}"] if uses else []
        return Answer({"removed": found.name, "in_use": [use.document for use in uses]}, [f"{found} is gone"], notes)

    @command(app, "show", examples="calico-route pool show\ncalico-route pool show --ipv4 --json")
    async def show(
        objects: Objects,
        ipv4: Annotated[bool, typer.Option("--ipv4", help="only IPv4")] = False,
        ipv6: Annotated[bool, typer.Option("--ipv6", help="only IPv6")] = False,
    ) -> Answer:
        """All pools."""
        pools = await objects.all(Kind.POOL)
        found, notes = [], unreadable(pools)
        for pool in pools:
            network = network_of(pool)
            if network is None:
                notes += [] if pool.problem else [f"{pool} is left out: its cidr {pool.spec.get('cidr')!r} is none"]
                continue
            if ipv4 == ipv6 or network.version == (4 if ipv4 else 6):
                found.append(_shown(pool, network))
        table = rows(
            ("cidr", "name", "block", "IPIP", "VXLAN", "options"),
            [
                (one["cidr"], one["name"], f"/{one['blockSize']}", one["ipipMode"], one["vxlanMode"], _options(one))
                for one in found
            ],
            none="no pool: calico-route pool add 192.168.0.0/16 makes one (an agent does at its start)",
        )
        return Answer(found, table, notes)


def network_of(pool: Stored) -> Network | None:
    """The addresses of an IPPool, None if it has no readable CIDR."""
    try:
        return ip_network(str(pool.spec.get("cidr")), strict=False)
    except ValueError:
        return None


def _network(text: str) -> Network:
    network = read_cidr(text)
    if network.is_multicast or network.is_loopback or network.is_link_local or int(network.network_address) == 0:
        raise BadInput(f"pool {text!r}: workloads cannot have such addresses; take a private network")
    return network


def _block_size(network: Network, given: int | None) -> int:
    shortest, longest, default = BLOCK_SIZES[network.version]
    size = default if given is None else given
    if not shortest <= size <= longest:
        raise BadInput(f"--block-size {size}: for IPv{network.version} it is from {shortest} to {longest}")
    if network.prefixlen > size:
        hint = "give --block-size" if network.prefixlen <= longest and given is None else "a block must fit into it"
        raise BadInput(f"pool {network} is smaller than one block (/{size}): {hint}")
    return size


def _already(pool: Stored, network: Network, *, ipip: bool, nat_outgoing: bool) -> Answer:
    """Adding what is there is no error; it is one to add it otherwise than it is."""
    shown = _shown(pool, network)
    if (shown["ipipMode"] != "Never") != ipip or shown["natOutgoing"] != nat_outgoing:
        raise Refused(
            f"{network} is a pool already ({pool.name}), with IPIP {shown['ipipMode']} and "
            f"nat-outgoing {'on' if shown['natOutgoing'] else 'off'}: remove it first, or change it with calicoctl"
        )
    return Answer(pool.document, [f"pool {pool.name} {network} is there already, and stays as it is"])


async def _find(objects: Objects, text: str) -> Stored:
    """By its name, or by its CIDR in any spelling."""
    pools = await objects.all(Kind.POOL)
    for pool in pools:
        if pool.name == text:
            return pool
    if "/" in text:
        network = read_cidr(text)
        for pool in pools:
            if network_of(pool) == network:
                return pool
    known = ", ".join(f"{pool.spec.get('cidr')} ({pool.name})" for pool in pools)
    raise Refused(f"there is no pool {text!r}; there is {known or 'none at all'}")


def _whom(uses: Iterable[Use]) -> str:
    shown = [str(use) for use in uses]
    more = f" and {len(shown) - USED_SHOWN} more" if len(shown) > USED_SHOWN else ""
    return ", ".join(shown[:USED_SHOWN]) + more


def _shown(pool: Stored, network: Network) -> dict[str, Any]:
    spec = pool.spec
    return {
        "name": pool.name,
        "cidr": str(network),
        "blockSize": spec.get("blockSize") or BLOCK_SIZES[network.version][2],
        "ipipMode": spec.get("ipipMode") or "Never",
        "vxlanMode": spec.get("vxlanMode") or "Never",
        "natOutgoing": bool(spec.get("natOutgoing")),
        "disabled": bool(spec.get("disabled")),
        "disableBGPExport": bool(spec.get("disableBGPExport")),
        "nodeSelector": spec.get("nodeSelector") or "all()",
    }


def _options(pool: dict[str, Any]) -> str:
    words = {"natOutgoing": "nat-outgoing", "disabled": "disabled", "disableBGPExport": "not announced"}
    shown = [word for name, word in words.items() if pool[name]]
    if pool["nodeSelector"] != "all()":
        shown.append(f"nodes {pool['nodeSelector']}")
    return ", ".join(shown)
