"""Makes this node known: its Node and, in an empty cluster, the default pool, as `calicoctl node --ip=` did.

`plan` is pure and says what to write; `carry_out` writes. Creating is create-if-absent, so agents that start
together cannot hurt one another; an existing Node is changed only where a flag says otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from .datastore import Datastore
from .documents import new_ip_pool, new_node, read_document
from .identity import Identity
from .model import DEFAULT_POOL_CIDR, DEFAULT_POOL_NAME, HostAddress, Kind, Node, Resource, ResourceKey
from .view import View


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written: our Node, corrections of it (in words), the default pool."""

    node: bool = False
    corrections: tuple[str, ...] = ()
    pool: bool = False

    def __bool__(self) -> bool:
        return self.node or bool(self.corrections) or self.pool


def plan(view: View, identity: Identity) -> Plan:
    """What the datastore lacks."""
    own = view.get(Kind.NODE, identity.name)
    has_address = identity.effective(4, None) is not None or identity.effective(6, None) is not None
    return Plan(
        node=own is None and has_address,
        corrections=corrections(own, identity) if isinstance(own, Node) else (),
        pool=not view.table(Kind.IP_POOL),
    )


def corrections(own: Node, identity: Identity) -> tuple[str, ...]:
    """Where the Node differs from what we go by, in words: from flags and environment, which win, and from
    the address that was found for a Node without any."""
    found = []
    for what, version, stored in (("IPv4 address", 4, own.ipv4), ("IPv6 address", 6, own.ipv6)):
        ours = identity.effective(version, own)
        if ours is not None and (stored is None or stored.address != ours.address):
            found.append(f"{what} {stored or '(none)'} -> {ours}")
    if identity.asn is not None and own.asn != identity.asn:
        found.append(f"AS {own.asn or '(of the cluster)'} -> {identity.asn}")
    return tuple(found)


def corrected(own: Node, identity: Identity) -> Node:
    """The Node with our addresses and AS; everything else in its document stays."""
    document: dict[str, Any] = json.loads(json.dumps(own.raw))
    spec = _section(document, "spec")
    bgp = _section(spec, "bgp")
    for name, version, stored in (("ipv4Address", 4, own.ipv4), ("ipv6Address", 6, own.ipv6)):
        ours = identity.effective(version, own)
        if ours is None or (stored is not None and stored.address == ours.address):
            continue
        before, bgp[name] = bgp.get(name), str(ours)
        _exchange_address(spec, before, ours)
    if identity.asn is not None:
        bgp["asNumber"] = identity.asn
    resource, problems = read_document(own.key, document)
    if not isinstance(resource, Node):
        raise ValueError("; ".join(map(str, problems)))
    return resource


def _section(parent: dict[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(parent.get(name), dict):
        parent[name] = {}
    section: dict[str, Any] = parent[name]
    return section


def _exchange_address(spec: dict[str, Any], before: object, now: HostAddress) -> None:
    """Calico repeats the addresses in `spec.addresses`."""
    addresses = spec.get("addresses")
    kept = [one for one in addresses if isinstance(one, dict)] if isinstance(addresses, list) else []
    kept = [one for one in kept if not (one.get("type") == "CalicoNodeIP" and one.get("address") == before)]
    spec["addresses"] = [*kept, {"address": str(now), "type": "CalicoNodeIP"}]


async def carry_out(todo: Plan, datastore: Datastore, identity: Identity) -> list[str]:
    """Write it, and say what was done in words for the log. DatastoreError, or ValueError for a Node that
    cannot be corrected."""
    done = []
    now = datetime.now(UTC)
    if todo.node:
        ipv4, ipv6 = identity.effective(4, None), identity.effective(6, None)
        node = new_node(
            identity.name,
            ipv4=None if ipv4 is None else str(ipv4),
            ipv6=None if ipv6 is None else str(ipv6),
            asn=identity.asn,
            uid=uuid4(),
            created=now,
        )
        if await datastore.create(node):
            addresses = " and ".join(str(address) for address in (ipv4, ipv6) if address is not None)
            done.append(f"registered Node {identity.name} with {addresses}")
    elif todo.corrections:
        changes: tuple[str, ...] = ()

        def correct(own: Resource) -> Resource | None:
            nonlocal changes
            changes = corrections(own, identity) if isinstance(own, Node) else ()
            return corrected(own, identity) if isinstance(own, Node) and changes else None

        if await datastore.change(ResourceKey(Kind.NODE, "", identity.name), correct) is not None:
            done.append(f"corrected Node {identity.name}, flags win over it: {', '.join(changes)}")
    if todo.pool and await datastore.create(new_ip_pool(uid=uuid4(), created=now)):
        done.append(f"there was no IP pool: made {DEFAULT_POOL_NAME} {DEFAULT_POOL_CIDR}")
    return done
