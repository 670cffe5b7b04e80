"""Docker's network driver: libnetwork's remote API (docs/remote.md of libnetwork), a workload for each endpoint.

Docker itself moves the container's end of the veth, names it and gives it address and routes.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from calico_route.workload.ports import WorkloadError

from .fields import profiles, table, text, texts
from .leases import Lease, Leases
from .ports import DRIVER, GATEWAY, GATEWAY_V6, NAME, NETWORK, PROFILES, HandedOver, Workloads
from .records import Records

log = logging.getLogger(__name__)

INTERFACE = "eth0"
"""Part of the workload's name. What the interface is called in the container is Docker's choice: eth and a number."""
_GENERIC = "com.docker.network.generic"
_PORTS = "com.docker.network.portmap"


@dataclass(frozen=True)
class Endpoint:
    """One of libnetwork's endpoints, as it is on the disk: Docker comes back to it after our restart."""

    network: str
    container: str  # of the workload: Docker's container where it is known, else the endpoint
    addresses: tuple[str, ...]
    host_interface: str
    peer_interface: str
    mac: str
    gateway6: str
    workload: str


class NetworkDriver:
    """The calls of `NetworkDriver.`; each takes Docker's request and returns its answer. WorkloadError."""

    def __init__(self, workloads: Workloads, leases: Leases, networks: Records, endpoints: Records) -> None:
        self._workloads = workloads
        self._leases = leases
        self._network_records = networks
        self._endpoint_records = endpoints
        self._networks: dict[str, tuple[str, ...]] = {}  # the profiles of each
        self.endpoints: dict[str, Endpoint] = {}

    def load(self) -> None:
        """Read what is on the disk."""
        for name, document in self._network_records.load().items():
            self._networks[name] = tuple(document.get("profiles", ()))
        for name, document in self._endpoint_records.load().items():
            try:
                self.endpoints[name] = Endpoint(**{**document, "addresses": tuple(document["addresses"])})
            except (TypeError, KeyError):
                log.error("the endpoint %s is left out: it is not one of this version", name)

    async def get_capabilities(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"Scope": "local", "ConnectivityScope": "global"}

    async def create_network(self, request: dict[str, Any]) -> dict[str, Any]:
        network = _identity(request, "NetworkID")
        options = table(request, "Options")
        generic = texts(options, _GENERIC)
        unknown = sorted(key for key in generic if key.startswith("calico_route.") and key != PROFILES)
        if unknown:
            raise WorkloadError(f"-o {unknown[0]}: no such option of a network; there is {PROFILES}")
        for name, gateway in (("IPv4Data", GATEWAY), ("IPv6Data", GATEWAY_V6)):
            for data in request.get(name) or ():
                if not isinstance(data, dict) or text(data, "Gateway").partition("/")[0] != gateway:
                    raise WorkloadError(
                        f"a network of {DRIVER} needs Calico's addresses: add --ipam-driver {DRIVER} to "
                        "`docker network create`"
                    )
        named = profiles(generic.get(PROFILES, ""), f"-o {PROFILES}")
        await self._network_records.put(network, {"profiles": list(named)})
        self._networks[network] = named
        return {}

    async def delete_network(self, request: dict[str, Any]) -> dict[str, Any]:
        network = _identity(request, "NetworkID")
        await self._network_records.drop(network)
        self._networks.pop(network, None)
        return {}

    async def allocate_network(self, _: dict[str, Any]) -> dict[str, Any]:
        """For drivers of swarm scope, which this is not; there is nothing to allocate."""
        return {"Options": {}}

    async def nothing(self, _: dict[str, Any]) -> dict[str, Any]:
        """A call that needs no work: other nodes are known by BGP, published ports by nobody (see create_endpoint), and
        Docker takes the interface back by itself."""
        return {}

    async def create_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        network, identity = _identity(request, "NetworkID"), _identity(request, "EndpointID")
        if identity in self.endpoints:
            raise WorkloadError(f"the endpoint {identity[:12]} exists already", code="taken")
        interface, options = table(request, "Interface"), table(request, "Options")
        given = [text(interface, key).partition("/")[0] for key in ("Address", "AddressIPv6") if text(interface, key)]
        if not given:
            raise WorkloadError(f"no address: make the network with --ipam-driver {DRIVER}")
        leases = [self._lease(address) for address in given]
        named = profiles(text(options, PROFILES), f"driver option {PROFILES}") or self._networks.get(network, ())
        if ports := options.get(_PORTS):
            log.warning(
                "endpoint %s: published ports (%s) are not forwarded; %s is reached by its own address",
                *(identity[:12], _ports(ports), given[0]),
            )
        mac = text(interface, "MacAddress")
        container = next((lease.container for lease in leases if lease.container), identity)
        name = text(options, NAME) or next((lease.name for lease in leases if lease.name), "")
        wanted = HandedOver(
            container=container,
            interface=INTERFACE,
            addresses=tuple(given),
            profiles=named,
            name=name,
            mac=mac or None,
            network=NETWORK,
            orchestrator="libnetwork",
            netns=None,
        )
        with self._leases.in_use(leases):
            workload = await self._workloads.add(wanted)
        endpoint = Endpoint(
            network=network,
            container=container,
            addresses=tuple(given),
            host_interface=workload.host_interface,
            peer_interface=workload.peer_interface or "",
            mac=workload.mac,
            gateway6=(workload.gateway6 or GATEWAY_V6) if len(given) > 1 or ":" in given[0] else "",
            workload=workload.endpoint,
        )
        try:
            await self._endpoint_records.put(identity, asdict(endpoint))
        except OSError:
            await self._workloads.remove(container, INTERFACE)
            raise
        self.endpoints[identity] = endpoint
        # Docker takes no address that it has given itself.
        return {"Interface": {} if mac else {"MacAddress": workload.mac}}

    def _lease(self, address: str) -> Lease:
        lease = self._leases.find(address)
        if lease is None:
            raise WorkloadError(
                f"{address} was not assigned by this node; is the network made with --ipam-driver {DRIVER}?",
                code="outside",
            )
        return lease

    async def delete_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        await self.remove(_identity(request, "EndpointID"))
        return {}

    async def remove(self, identity: str) -> None:
        """Take an endpoint away; one that is not there is no error. WorkloadError."""
        endpoint = self.endpoints.get(identity)
        if endpoint is None:
            return
        await self._workloads.remove(endpoint.container, INTERFACE)
        await self._endpoint_records.drop(identity)
        self.endpoints.pop(identity, None)

    async def endpoint_oper_info(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._endpoint(request)
        value = {
            "calico_route.endpoint": endpoint.workload,
            "calico_route.interface": endpoint.host_interface,
            "com.docker.network.endpoint.macaddress": endpoint.mac,
        }
        return {"Value": value}

    async def join(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._endpoint(request)
        routes = []
        answer: dict[str, Any] = {
            "InterfaceName": {"SrcName": endpoint.peer_interface, "DstPrefix": "eth"},
            "DisableGatewayService": True,  # no second interface on Docker's own bridge
        }
        if any(":" not in one for one in endpoint.addresses):
            answer["Gateway"] = GATEWAY
            routes.append({"Destination": f"{GATEWAY}/32", "RouteType": 1, "NextHop": ""})
        if endpoint.gateway6:
            answer["GatewayIPv6"] = endpoint.gateway6
            routes.append({"Destination": f"{endpoint.gateway6}/128", "RouteType": 1, "NextHop": ""})
        return {**answer, "StaticRoutes": routes}

    def _endpoint(self, request: dict[str, Any]) -> Endpoint:
        identity = _identity(request, "EndpointID")
        endpoint = self.endpoints.get(identity)
        if endpoint is None:
            raise WorkloadError(f"no endpoint {identity[:12]} here; start the container again", code="invalid")
        return endpoint


def _identity(request: dict[str, Any], name: str) -> str:
    found = text(request, name)
    if not found.isalnum() or len(found) > 128:
        raise WorkloadError(f"{name} {found[:80]!r} is no ID of Docker's")
    return found


def _ports(ports: Any) -> str:
    found = [str(port.get("HostPort") or port.get("Port")) for port in ports if isinstance(port, dict)]
    return ", ".join(found[:10]) if isinstance(ports, list) else str(ports)[:60]
