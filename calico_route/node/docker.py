"""Docker's side asks for workloads in words of its own: here they become those of the workloads."""

from __future__ import annotations

from dataclasses import dataclass

from calico_route.docker import HandedOver
from calico_route.workload import WorkloadError, WorkloadRequest, Workloads


@dataclass(frozen=True, slots=True)
class Connected:
    """What Docker's driver needs to know of a workload whose end it fetches under `peer_interface`."""

    host_interface: str
    peer_interface: str
    mac: str
    gateway6: str | None
    endpoint: str


class DockerWorkloads:
    """The workloads as calico_route/docker/ports.py wants them."""

    def __init__(self, workloads: Workloads) -> None:
        self._workloads = workloads

    async def add(self, request: HandedOver) -> Connected:
        """WorkloadError. The addresses are Docker's to give back."""
        made = await self._workloads.add(
            WorkloadRequest(
                container=request.container,
                netns=None,
                interface=request.interface,
                addresses=request.addresses,
                profiles=request.profiles,
                labels=request.labels,
                network=request.network,
                orchestrator=request.orchestrator,
                namespace=request.namespace,
                name=request.name,
                mac=request.mac,
            )
        )
        if made.peer_interface is None:
            raise WorkloadError(f"container {made.container} has {made.interface} already", code="taken")
        return Connected(made.host_interface, made.peer_interface, made.mac, made.gateway6, made.endpoint)

    async def remove(self, container: str, interface: str | None = None) -> None:
        await self._workloads.remove(container, interface)
