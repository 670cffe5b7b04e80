"""A full look at the kernel: all links, all addresses, all routes of one table."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from .netlink import (
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETROUTE,
    AddressEvent,
    Event,
    LinkEvent,
    Parser,
    RouteEvent,
)
from .route import IPV4, IPV6, RouteSpec
from .socket import Dump, KernelError, in_namespace
from .surroundings import Surroundings

ATTEMPTS = 20


@dataclass(slots=True)
class Look:
    """What a full look has shown. `ours`: AFI -> destination -> our routes."""

    links: list[LinkEvent] = field(default_factory=list)
    addresses: list[AddressEvent] = field(default_factory=list)
    foreign: list[RouteEvent] = field(default_factory=list)
    ours: dict[int, dict[bytes, list[RouteSpec]]] = field(default_factory=lambda: {IPV4: {}, IPV6: {}})

    def show(self, surroundings: Surroundings) -> None:
        surroundings.clear()
        for link in self.links:
            surroundings.apply_link(link)
        for address in self.addresses:
            surroundings.apply_address(address)
        for route in self.foreign:
            surroundings.apply_route(route)


class Reader:
    """Takes full looks, in small parts, so that whoever shares the event loop hardly notices."""

    def __init__(self, table: int, protocol: int, netns: str | None) -> None:
        self._table = table
        self._protocol = protocol
        self._netns = netns
        self._parser = Parser()

    async def look(self) -> Look:
        """Raises KernelError where the kernel can't be read."""
        look = Look()
        for event in await self._dump(RTM_GETLINK):
            if isinstance(event, LinkEvent):
                look.links.append(event)
        for event in await self._dump(RTM_GETADDR):
            if isinstance(event, AddressEvent):
                look.addresses.append(event)
        for afi in (IPV4, IPV6):
            ours = look.ours[afi]
            foreign = look.foreign
            for events in await self._parts(RTM_GETROUTE, afi):
                for event in events:
                    assert isinstance(event, RouteEvent)
                    route = event.route
                    if route.table != self._table or route.flags:
                        continue
                    if route.protocol == self._protocol and not route.tos:
                        ours.setdefault(event.nlri, []).append(route.spec)
                    else:
                        foreign.append(event._replace(flags=0))
                await asyncio.sleep(0)
        return look

    async def _dump(self, kind: int) -> list[Event]:
        return [event for part in await self._parts(kind) for event in part]

    async def _parts(self, kind: int, afi: int = 0) -> list[list[Event]]:
        for attempt in range(ATTEMPTS):
            dump = in_namespace(
                self._netns,
                lambda: Dump(kind, self._parser, afi=afi, table=self._table if kind == RTM_GETROUTE else 0),
            )
            parts: list[list[Event]] = []
            try:
                while not dump.done:
                    parts.append(dump.read())
                    await asyncio.sleep(0)
            finally:
                dump.close()
            # An inconsistent dump is repeated; where the table never rests, events put the last one right.
            if not dump.interrupted or attempt == ATTEMPTS - 1:
                return parts
        raise KernelError("unreachable")


__all__ = ["Look", "Reader"]
