"""Who has addresses of a network: by the endpoints, and by the IPAM records (tunnels, and what leaked)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from calico_route.etcd.store import Write
from calico_route.keys import ROOT, format_path
from calico_route.model import Kind as WatchedKind
from calico_route.model import ResourceKey

from .objects import Kind, Objects, section, texts

_BLOCKS = f"{ROOT}/ipam/v2/assignment/"


@dataclass(frozen=True, slots=True)
class Use:
    """One address and who has it: a WorkloadEndpoint, or else the handle of the IPAM records."""

    address: str
    node: str
    holder: str
    endpoint: bool

    def __str__(self) -> str:
        return f"{self.holder} on {self.node or '?'} ({self.address})"

    @property
    def document(self) -> dict[str, Any]:
        return {"address": self.address, "node": self.node, "holder": self.holder, "endpoint": self.endpoint}


async def in_use(objects: Objects, network: IPv4Network | IPv6Network, *, records_alone: bool = False) -> list[Use]:
    """Every address of the network that somebody has, in their order. `records_alone`: as the IPAM records say it,
    with the handle also of what an endpoint has."""
    found: dict[str, Use] = {}
    for block in await _blocks(objects, network):
        for address, attributes in _allocated(block):
            if not _inside(address, network):
                continue
            secondary = section(attributes, "secondary")
            handle = str(attributes.get("handle_id") or "an address without a handle")
            found[address] = Use(address, str(secondary.get("node") or ""), handle, endpoint=False)
    for one in [] if records_alone else await objects.all(Kind.ENDPOINT):
        for text in texts(one.spec, "ipNetworks"):
            address = text.partition("/")[0]
            if _inside(address, network):
                found[address] = Use(address, str(one.spec.get("node") or ""), one.name, endpoint=True)
    return sorted(found.values(), key=lambda use: ip_address(use.address))


async def release_empty_blocks(objects: Objects, network: IPv4Network | IPv6Network) -> None:
    """Remove the blocks of a network in which nobody has an address, with the nodes' claims on them."""
    for block in await _blocks(objects, network):
        current = await objects.store.get(block.key)
        if current is None or current.value != block.value or _allocated(block):
            continue  # somebody has just taken an address: it stays theirs
        writes = [Write(block.key, None, current.revision)]
        kind, _, node = str(block.document.get("affinity") or "").partition(":")
        if kind == "host" and node:
            key = format_path(ResourceKey(WatchedKind.BLOCK_AFFINITY, node, str(block.cidr)))
            writes.append(Write(key, None))
        await objects.store.transact(writes)


@dataclass(frozen=True, slots=True)
class _Block:
    key: bytes
    value: bytes
    cidr: IPv4Network | IPv6Network
    document: dict[str, Any]


async def _blocks(objects: Objects, network: IPv4Network | IPv6Network) -> list[_Block]:
    below = f"{_BLOCKS}ipv{network.version}/block/"
    snapshot = await objects.store.snapshot([below.encode()])
    found = []
    for key, value in snapshot.values.items():
        name = key.decode("utf-8", "replace")[len(below) :]
        try:
            cidr = ip_network("/".join(name.rsplit("-", 1)))
            document = json.loads(value)
        except (ValueError, RecursionError):
            continue  # not a block: `ipam check` is what tells of it
        if isinstance(document, dict) and cidr.overlaps(network):
            found.append(_Block(key, value, cidr, document))
    return found


def _allocated(block: _Block) -> list[tuple[str, dict[str, Any]]]:
    attributes = block.document.get("attributes")
    table = attributes if isinstance(attributes, list) else []
    found = []
    allocations = block.document.get("allocations")
    for offset, index in enumerate(allocations if isinstance(allocations, list) else []):
        if isinstance(index, int) and offset < block.cidr.num_addresses:
            whose = table[index] if 0 <= index < len(table) and isinstance(table[index], dict) else {}
            found.append((str(block.cidr[offset]), whose))
    return found


def _inside(address: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(address) in network
    except ValueError:
        return False
