"""Agents on loopback addresses around one datastore in memory: real speakers, real TCP, no kernel."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from calico_route.agent import Agent, AgentOptions
from calico_route.cache import SnapshotFile
from calico_route.datastore import MemoryDatastore
from calico_route.discovery import Found
from calico_route.fields import host_address
from calico_route.identity import Identity
from calico_route.model import Resource
from calico_route.sessions import Options
from pybgp import PathAttributes, Prefix, Speaker
from tests.calico_route.memory_kernel import MemoryKernel
from tests.calico_route.resources import configuration, node, pool

TIMEOUT = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, looking again and again."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def turns(number: int = 200) -> None:
    """Let everybody do what they have to do."""
    for _ in range(number):
        await asyncio.sleep(0)


class LoopbackSpeaker(Speaker):
    """127.0.1.2 cannot be a next hop, so the routes of that node are announced with 192.0.2.2."""

    def announce_many(
        self, prefixes: Iterable[Prefix | str], attributes: PathAttributes | None = None, *, next_hop: str = "self"
    ) -> None:
        super().announce_many(prefixes, attributes, next_hop=f"192.0.2.{self.bgp_identifier & 0xFF}")


@dataclass
class Running:
    """An agent that runs, with its kernel."""

    agent: Agent
    kernel: MemoryKernel
    task: asyncio.Task[None]

    async def stop(self) -> None:
        self.agent.stop()
        await self.task

    def established(self, address: str) -> bool:
        peer = self.agent.mesh.snapshots().get(address)
        return peer is not None and peer.established


class Cluster:
    """Nodes a, b, ... at 127.0.1.1, 127.0.1.2, ..., all in the datastore from the start."""

    def __init__(self, names: str = "ab", *resources: Resource, **spec: Any) -> None:
        self.port = free_port()
        self.addresses = {name: f"127.0.1.{number}" for number, name in enumerate(names, 1)}
        self.basics: list[Resource] = [
            configuration(listenPort=self.port, bindMode="NodeIP", **spec),
            pool("p", "10.0.0.0/8"),
        ]
        self.nodes = [node(name, address) for name, address in self.addresses.items()]
        self.datastore = MemoryDatastore([*self.basics, *self.nodes, *resources])
        self.running: list[Running] = []

    def start(
        self,
        name: str,
        *,
        kernel: MemoryKernel | None = None,
        datastore: MemoryDatastore | None = None,
        state: Path | None = None,
        options: Options | None = None,
        find: Callable[[], Found | None] = lambda: None,
        given: bool = False,
        **agent_options: Any,
    ) -> Running:
        """Run the agent of a node. `given`: with its address from a flag."""
        kernel = kernel or MemoryKernel()
        agent = Agent(
            identity=Identity(name=name, ipv4=host_address(self.addresses[name]) if given else None),
            options=options or Options(announce_unchecked=True),
            agent_options=AgentOptions(**agent_options),
            datastore=datastore or self.datastore,
            kernel=kernel,
            snapshots=None if state is None else SnapshotFile(state, name),
            find=find,
        )
        running = Running(agent, kernel, asyncio.create_task(agent.run()))
        self.running.append(running)
        return running

    async def close(self) -> None:
        for running in self.running:
            if not running.task.done():
                await running.stop()


@contextlib.asynccontextmanager
async def cluster(names: str = "ab", *resources: Resource, **spec: Any) -> AsyncIterator[Cluster]:
    made = Cluster(names, *resources, **spec)
    with mock.patch("calico_route.mesh.Speaker", LoopbackSpeaker):
        try:
            yield made
        finally:
            await made.close()
