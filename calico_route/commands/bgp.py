"""`bgppeer`, `node bgppeer`, `bgp-node-mesh` and `default-node-as`: BGPPeers and the BGPConfiguration `default`."""

from __future__ import annotations

import os
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Any

import typer

from calico_route.config import find_node_name
from calico_route.model import DEFAULT_AS_NUMBER, PeerAddress

from .answer import Answer, BadInput, Refused, rows
from .command import command
from .names import as_text, asn, neighbour, of_address, resource_name
from .objects import Document, Kind, Objects, Stored, section, unreadable

DEFAULT = "default"
NodeName = Annotated[
    str | None, typer.Option("--node-name", metavar="NAME", help="another node than this one (NODENAME)")
]
V4 = Annotated[bool, typer.Option("--ipv4", help="only IPv4")]
V6 = Annotated[bool, typer.Option("--ipv6", help="only IPv6")]
PeerIp = Annotated[str, typer.Argument(metavar="IP[:PORT]")]
As = Annotated[str, typer.Argument(metavar="as")]
AsNumber = Annotated[str, typer.Argument(metavar="AS")]


class OnOff(StrEnum):
    """Of the mesh."""

    ON = "on"
    OFF = "off"


def add_global(app: typer.Typer) -> None:
    """`bgppeer add|remove|show`."""

    @command(app, "add", examples="calico-route bgppeer add 10.0.20.2 as 64512")
    async def add(objects: Objects, ip: PeerIp, as_word: As, number: AsNumber) -> Answer:
        """A neighbour that every node has a session with."""
        return await _add(objects, None, ip, as_word, number)

    @command(app, "remove", examples="calico-route bgppeer remove 10.0.20.2")
    async def remove(objects: Objects, ip: PeerIp) -> Answer:
        """Every node ends its session with this neighbour."""
        return await _remove(objects, None, ip)

    @command(app, "show", examples="calico-route bgppeer show\ncalico-route bgppeer show --json")
    async def show(objects: Objects, ipv4: V4 = False, ipv6: V6 = False) -> Answer:
        """The neighbours of all nodes, and of groups of them."""
        return await _show(objects, None, ipv4, ipv6)


def add_of_node(app: typer.Typer) -> None:
    """`node bgppeer add|remove|show`."""

    @command(app, "add", examples="calico-route node bgppeer add 10.0.20.2 as 64512")
    async def add(objects: Objects, ip: PeerIp, as_word: As, number: AsNumber, node_name: NodeName = None) -> Answer:
        """A neighbour of this node alone."""
        return await _add(objects, _node(node_name), ip, as_word, number)

    @command(app, "remove", examples="calico-route node bgppeer remove 10.0.20.2")
    async def remove(objects: Objects, ip: PeerIp, node_name: NodeName = None) -> Answer:
        """This node ends its session with this neighbour."""
        return await _remove(objects, _node(node_name), ip)

    @command(app, "show", examples="calico-route node bgppeer show --ipv4")
    async def show(objects: Objects, ipv4: V4 = False, ipv6: V6 = False, node_name: NodeName = None) -> Answer:
        """The neighbours that this node has for itself."""
        return await _show(objects, _node(node_name), ipv4, ipv6)


def add_mesh(app: typer.Typer) -> None:
    """`bgp-node-mesh`."""

    @command(app, "bgp-node-mesh", examples="calico-route bgp-node-mesh\ncalico-route bgp-node-mesh off")
    async def mesh(
        objects: Objects,
        state: Annotated[OnOff | None, typer.Argument(metavar="[on|off]", help="without: say what it is")] = None,
    ) -> Answer:
        """Whether every node has a BGP session to every other one."""
        if state is None:
            on = (await _default(objects)).get("nodeToNodeMeshEnabled") is not False
            return Answer({"mesh": on}, ["on" if on else "off"])

        def edit(document: Document) -> Document:
            spec = document.setdefault("spec", {})
            if state is OnOff.OFF and spec.get("nodeMeshPassword"):
                raise Refused(
                    "the mesh has a password (BGPConfiguration default, nodeMeshPassword), which Calico takes only "
                    "with the mesh on: remove it first"
                )
            spec["nodeToNodeMeshEnabled"] = state is OnOff.ON
            return document

        await objects.create_or_change(Kind.BGP, DEFAULT, edit)
        notes = []
        if state is OnOff.OFF and not await objects.all(Kind.PEER):
            notes.append("there is no BGPPeer: no node has a session now; see calico-route bgppeer add --help")
        return Answer({"mesh": state is OnOff.ON}, [f"the mesh is {state}"], notes)


def add_default_as(app: typer.Typer) -> None:
    """`default-node-as`."""

    @command(app, "default-node-as", examples="calico-route default-node-as\ncalico-route default-node-as 64600")
    async def default_as(
        objects: Objects, number: Annotated[str | None, typer.Argument(metavar="[AS]")] = None
    ) -> Answer:
        """The AS number of nodes that have none of their own. A change ends and begins their sessions."""
        if number is None:
            current = (await _default(objects)).get("asNumber") or DEFAULT_AS_NUMBER
            return Answer({"as": current}, [str(current)])
        wanted = asn(number)

        def edit(document: Document) -> Document:
            document.setdefault("spec", {})["asNumber"] = wanted
            return document

        await objects.create_or_change(Kind.BGP, DEFAULT, edit)
        own = [f"{one.name} ({one_as})" for one in await objects.all(Kind.NODE) if (one_as := _own_as(one))]
        notes = [f"these nodes have an AS of their own and keep it: {', '.join(own)}"] if own else []
        return Answer({"as": wanted}, [f"nodes without an AS of their own are in AS {wanted}"], notes)


def _own_as(node: Stored) -> Any:
    return section(node.spec, "bgp").get("asNumber")


async def _default(objects: Objects) -> Document:
    found = await objects.get(Kind.BGP, DEFAULT)
    if found is not None and found.problem:
        raise Refused(f"{found} cannot be read: {found.problem}")
    return {} if found is None else found.spec


def _node(given: str | None) -> str:
    return find_node_name(given, os.environ)[0]


async def _add(objects: Objects, node: str | None, ip: str, as_word: str, number: str) -> Answer:
    if as_word.lower() != "as":
        raise BadInput(f"after the address comes the word as, not {as_word!r}: bgppeer add {ip} as {number}")
    peer, remote = neighbour(ip), asn(number)
    address = ip_address(peer.address)
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        raise BadInput(f"neighbour {ip!r}: there can be no session with such an address")
    notes = []
    if node is not None and await objects.get(Kind.NODE, node) is None:
        notes.append(f"there is no Node {node} in etcd yet: the session comes with it")
    for other in _of(node, await objects.all(Kind.PEER), peer):
        spec = other.spec
        if spec.get("asNumber") != remote:
            raise Refused(
                f"{other} is this neighbour already, in AS {spec.get('asNumber')}: remove it first to change that"
            )
        return Answer(other.document, [f"{_whose(node)} has the neighbour {as_text(peer)} already ({other})"])
    name = of_address(as_text(peer)) if node is None else f"{_dns(node)}-{of_address(as_text(peer))}"
    name = resource_name(("global-" if node is None else "node-") + name, "the name made of node and address,")
    spec = {"peerIP": as_text(peer), "asNumber": remote}
    document = await objects.create(Kind.PEER, name, spec if node is None else {"node": node, **spec})
    if document is None:
        raise Refused(f"there is a BGPPeer {name} in etcd, which is about something else: look at it with calicoctl")
    return Answer(
        document, [f"{_whose(node)} gets the neighbour {as_text(peer)} in AS {remote} (BGPPeer {name})"], notes
    )


async def _remove(objects: Objects, node: str | None, ip: str) -> Answer:
    peer = neighbour(ip)
    everything = await objects.all(Kind.PEER)
    found = _of(node, everything, peer)
    if not found:
        elsewhere = [one for one in everything if _is(one, peer)]
        hint = f"; {_scope(elsewhere[0])}: {elsewhere[0]}" if elsewhere else ""
        raise Refused(f"{_whose(node)} has no neighbour {ip}{hint}; see bgppeer show")
    for one in found:
        await objects.delete(one)
    names = ", ".join(one.name for one in found)
    return Answer({"removed": [one.name for one in found]}, [f"{_whose(node)} has {as_text(peer)} no more ({names})"])


async def _show(objects: Objects, node: str | None, ipv4: bool, ipv6: bool) -> Answer:
    everything = await objects.all(Kind.PEER)
    found = []
    for one in everything:
        spec = one.spec
        address = str(spec.get("peerIP") or "")
        version = 6 if address.count(":") > 1 else 4
        if one.problem or (ipv4 != ipv6 and address and version != (4 if ipv4 else 6)):
            continue
        if (node is None) == (spec.get("node") in (None, "")) and node in (None, spec.get("node")):
            remote = address or f"nodes {spec.get('peerSelector') or spec.get('localWorkloadSelector') or '?'}"
            found.append({"name": one.name, "peer": remote, "as": spec.get("asNumber"), "of": _scope(one)})
    table = rows(
        ("peer", "AS", "of", "name"),
        [(one["peer"], one["as"], one["of"], one["name"]) for one in found],
        none=f"{_whose(node)} has no neighbour beside the mesh",
    )
    return Answer(found, table, unreadable(everything))


def _of(node: str | None, peers: list[Stored], peer: PeerAddress) -> list[Stored]:
    """The BGPPeers of just this node (None: of all nodes) with this neighbour."""
    return [
        one
        for one in peers
        if _is(one, peer) and not one.spec.get("nodeSelector") and (one.spec.get("node") or None) == node
    ]


def _is(one: Stored, peer: PeerAddress) -> bool:
    try:
        return neighbour(str(one.spec.get("peerIP") or "")) == peer
    except BadInput:
        return False


def _scope(one: Stored) -> str:
    if one.spec.get("node"):
        return f"node {one.spec['node']}"
    return f"nodes {one.spec['nodeSelector']}" if one.spec.get("nodeSelector") else "all nodes"


def _whose(node: str | None) -> str:
    return "every node" if node is None else f"node {node}"


def _dns(node: str) -> str:
    return node.lower().replace("_", "-")
