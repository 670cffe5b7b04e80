"""Established connections follow the rules: those that would not be allowed any more are ended.

The kernel lets through what belongs to a connection that it knows. So after each change that could take something away
the connections of the addresses concerned are judged anew, and those that the rules would not let begin now are taken
out of the kernel's table; their next packet is then judged as any other. Those that are allowed are not touched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from calico_route.kernel.socket import KernelError

from .cluster import Cluster
from .conntrack import Connection, Conntrack
from .judge import judge
from .own_addresses import own_addresses

log = logging.getLogger(__name__)

_REST = 0.25  # seconds between two readings of the table, which take 10 ms where it has a quarter of a million buckets
_RETRY = 1.0
_A_SLICE = 200


class Cutter:
    """One reading of the kernel's table at a time; what is told meanwhile waits for the next."""

    def __init__(self, cluster: Cluster, netns: str | None, problem: Callable[[str, tuple[str, ...]], None]) -> None:
        self.ended = 0
        self._cluster, self._netns, self._problem = cluster, netns, problem
        self._conntrack = Conntrack(netns)
        self._addresses: set[str] = set()
        self._wake = asyncio.Event()

    def tell(self, addresses: Iterable[str]) -> None:
        """The connections of these may be allowed no more. The rules have to be in force already."""
        self._addresses.update(addresses)
        if self._addresses:
            self._wake.set()

    async def run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                addresses, self._addresses = self._addresses, set()
                try:
                    await self._look(addresses)
                except KernelError as error:
                    text = f"{error}; connections that the rules forbid now may go on until that works"
                    self._problem("connections", (text,))
                    await asyncio.sleep(_RETRY)
                    self.tell(addresses)
                else:
                    self._problem("connections", ())
                    await asyncio.sleep(_REST)
        finally:
            self._conntrack.close()

    async def _look(self, addresses: set[str]) -> None:
        connections = await asyncio.to_thread(self._conntrack.of, addresses)
        if not connections:
            return
        ours = await asyncio.to_thread(own_addresses, self._netns)
        forbidden: list[Connection] = []
        for count, connection in enumerate(connections, 1):
            # What the host itself has begun is not filtered.
            if connection.flow.source not in ours and not judge(self._cluster, connection.flow, local=True).allowed:
                forbidden.append(connection)
            if count % _A_SLICE == 0:
                await asyncio.sleep(0)
        if forbidden:
            ended = await asyncio.to_thread(self._conntrack.delete, forbidden)
            self.ended += ended
            log.info("%d established connections ended that the rules do not allow any more", ended)
