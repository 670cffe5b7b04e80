"""What is not given out: IPReservations, hosts' own addresses and subnets, the first address of a pool. Pure."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

from calico_route.fields import host_address, show
from calico_route.model import API_VERSION, Node

from .block import RecordError, read_object
from .cidr import BITS, Address, Cidr, parse_address, parse_cidr
from .pools import Pool

KIND = "IPReservation"
HOSTS_RESERVATION = "calico-route-hosts"
"""The name of the IPReservation that keeps stock nodes off the hosts' own addresses."""


class Reservation(NamedTuple):
    """A network that is kept free, and by what. `fixed`: even somebody who asks for one of its addresses by name does
    not get it. An IPReservation is not so: Calico keeps it from automatic assignment alone."""

    cidr: Cidr
    by: str
    fixed: bool = False


class Reserved:
    """All that is reserved, to be asked by address."""

    def __init__(self, reservations: Iterable[Reservation] = ()) -> None:
        self._all = sorted(reservations)
        self._firsts: dict[int, list[int]] = {4: [], 6: []}
        self._lasts: dict[int, list[int]] = {4: [], 6: []}
        for cidr, _, _ in self._all:
            firsts, lasts = self._firsts[cidr.version], self._lasts[cidr.version]
            if lasts and cidr.first <= lasts[-1] + 1:
                lasts[-1] = max(lasts[-1], cidr.last)
            else:
                firsts.append(cidr.first)
                lasts.append(cidr.last)

    def next_free(self, address: Address) -> Address:
        """The lowest that is not reserved, from this one on; it may be beyond any pool."""
        place = bisect_right(self._firsts[address.version], address.number) - 1
        if place >= 0 and self._lasts[address.version][place] >= address.number:
            return Address(address.version, self._lasts[address.version][place] + 1)
        return address

    def bits(self, cidr: Cidr) -> int:
        """The reserved addresses of a block as bits, the lowest address in the lowest."""
        firsts, lasts = self._firsts[cidr.version], self._lasts[cidr.version]
        place = max(bisect_right(firsts, cidr.first) - 1, 0)
        bits = 0
        while place < len(firsts) and firsts[place] <= cidr.last:
            low, high = max(firsts[place], cidr.first), min(lasts[place], cidr.last)
            if low <= high:
                bits |= ((1 << (high - low + 1)) - 1) << (low - cidr.first)
            place += 1
        return bits

    def why(self, address: Address, *, fixed: bool = False) -> str | None:
        """What reserves an address, in words; with `fixed` only what nobody may override."""
        for cidr, by, firm in self._all:
            if cidr.covers(address) and (firm or not fixed):
                return by
        return None


def read_reservation(name: str, value: bytes) -> tuple[list[Reservation], list[str]]:
    """What an IPReservation keeps free, and what of it cannot be used, in words. RecordError where nothing can."""
    spec = read_object(value).get("spec")
    texts = spec.get("reservedCIDRs") if isinstance(spec, Mapping) else None
    if not isinstance(texts, list):
        raise RecordError("spec.reservedCIDRs: must be a list of networks")
    found, problems = [], []
    for index, text in enumerate(texts):
        try:
            found.append(Reservation(parse_cidr(text), f"{KIND} {name}"))
        except ValueError as error:
            problems.append(f"spec.reservedCIDRs[{index}] {show(text)}: {error}")
    return found, problems


def write_reservation(networks: Sequence[Cidr], before: bytes | None, now: datetime) -> bytes:
    """The document of HOSTS_RESERVATION; what else stood in it stays."""
    document: dict[str, Any]
    if before is None:
        stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        document = {
            "kind": KIND,
            "apiVersion": API_VERSION,
            "metadata": {"name": HOSTS_RESERVATION, "uid": str(uuid4()), "creationTimestamp": stamp},
        }
    else:
        document = read_object(before)
    spec = document.get("spec")
    document["spec"] = {**(spec if isinstance(spec, dict) else {}), "reservedCIDRs": [str(cidr) for cidr in networks]}
    return json.dumps(document, separators=(",", ":")).encode()


def of_hosts(nodes: Iterable[Node], pools: Sequence[Pool]) -> list[Reservation]:
    """What hosts have inside the pools: a subnet that lies inside one (there ARP would be asked), else
    the address alone: a subnet that holds the whole pool would leave nothing of it."""
    found = []
    for node in nodes:
        for address, subnet in _addresses(node):
            for pool in pools:
                if pool.cidr.covers(subnet) and subnet != pool.cidr:
                    words = f"node {node.name}"
                    if subnet.length < BITS[subnet.version]:
                        words = f"the subnet {subnet} of {words}"
                    found.append(Reservation(subnet, words, fixed=True))
                elif pool.cidr.covers(address):
                    alone = Cidr(address.version, address.number, BITS[address.version])
                    found.append(Reservation(alone, f"node {node.name}", fixed=True))
    return found


def first_addresses(pools: Iterable[Pool]) -> list[Reservation]:
    """The address that names the network (IPv6: the anycast address of its routers, RFC 4291 section 2.6.1) is not
    given out by itself, but for pools so small that they are for single links or hosts (RFC 3021, RFC 6164)."""
    return [
        Reservation(
            Cidr(pool.cidr.version, pool.cidr.first, BITS[pool.cidr.version]), f"pool {pool}: its first address"
        )
        for pool in pools
        if pool.cidr.length < BITS[pool.cidr.version] - 1
    ]


def merged(reservations: Iterable[Reservation]) -> tuple[Cidr, ...]:
    """The networks in order, without those that lie inside another."""
    found: list[Cidr] = []
    for cidr in sorted({one.cidr for one in reservations}):
        if not found or not found[-1].covers(cidr):
            found.append(cidr)
    return tuple(found)


def _addresses(node: Node) -> Iterable[tuple[Address, Cidr]]:
    """What a Node says of itself: the addresses of BGP with their subnets, and those of `spec.addresses` and
    `spec.interfaces`. What is odd there is Calico's to complain about."""
    texts: list[object] = [str(one) for one in (node.ipv4, node.ipv6) if one is not None]
    spec = node.raw.get("spec")
    if isinstance(spec, Mapping):
        for one in _objects(spec.get("addresses")):
            texts.append(one.get("address"))
        for one in _objects(spec.get("interfaces")):
            several = one.get("addresses")
            texts += several if isinstance(several, list) else []
    seen = set()
    for text in texts:
        try:
            host = host_address(text)
            address = parse_address(host.address)
        except ValueError:
            continue
        if (address, host.prefix_length) not in seen:
            seen.add((address, host.prefix_length))
            yield address, Cidr(address.version, 0, 0).around(address.number, host.prefix_length)


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
