"""What this package needs of the workloads beside it, and the words that all its files share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

DRIVER = "calico-route"
"""The name of both drivers, as in `docker network create -d calico-route`."""
NETWORK = "docker"
"""The network in handles (`docker.<lease>`) and of workloads: CNI's garbage collection keeps off it."""
PROFILES = "calico_route.profiles"
"""The driver option of an endpoint or a network that names profiles, separated by commas."""
NAME = "calico_route.name"
"""The driver option of an endpoint with its container's name, set by the proxy."""
GATEWAY = "169.254.1.1"
GATEWAY_V6 = "fe80::ecee:eeff:feee:eeee"
"""The link-local address of ee:ee:ee:ee:ee:ee."""


@dataclass(frozen=True, kw_only=True)
class HandedOver:
    """A workload whose end of the veth Docker takes: the names are those of WorkloadRequest. The addresses are held
    already, by the IPAM driver, and stay so until it gives them back."""

    container: str
    interface: str
    addresses: tuple[str, ...]
    profiles: tuple[str, ...] = ()
    name: str = ""
    mac: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = NETWORK
    orchestrator: str = "libnetwork"
    namespace: str = "default"
    netns: None = None


class Workload(Protocol):
    """What stands after an add. Both interfaces are in the host's namespace; `peer_interface` is for Docker to take."""

    @property
    def host_interface(self) -> str: ...
    @property
    def peer_interface(self) -> str | None: ...
    @property
    def mac(self) -> str: ...
    @property
    def gateway6(self) -> str | None: ...
    @property
    def endpoint(self) -> str: ...


class Workloads(Protocol):
    """The life of workloads. WorkloadError where one cannot be had; both calls are idempotent."""

    async def add(self, request: HandedOver) -> Workload: ...

    async def remove(self, container: str, interface: str | None = None) -> object: ...
