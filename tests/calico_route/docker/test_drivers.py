"""The plugin's socket, called as libnetwork calls it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from calico_route.docker import DockerSide
from calico_route.docker.leases import State
from calico_route.workload.ports import WorkloadError
from tests.calico_route.docker.doubles import MemoryAddresses, MemoryWorkloads

POOL = "calico-route/4/0.0.0.0/0"
NETWORK = {
    "NetworkID": "n1",
    "Options": {"com.docker.network.generic": {}},
    "IPv4Data": [{"Pool": "0.0.0.0/0", "Gateway": "169.254.1.1/32", "AddressSpace": ""}],
    "IPv6Data": [],
}


class Side:
    """The drivers, and Docker's way to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.addresses, self.workloads = MemoryAddresses(), MemoryWorkloads()

    async def start(self) -> None:
        self.side = DockerSide(
            self.workloads,
            self.addresses,
            plugin_directory=self.folder / "plugins",
            proxy=None,
            docker_socket=self.folder / "docker.sock",
            state_dir=self.folder / "state",
            node="node1",
        )
        await self.side.start()

    async def post(self, octets: bytes) -> tuple[int, dict[str, Any]]:
        reader, writer = await asyncio.open_unix_connection(self.folder / "plugins" / "calico-route.sock")
        writer.write(octets)
        status = int((await reader.readline()).split()[1])
        length = 0
        while (line := await reader.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = json.loads(await reader.readexactly(length))
        writer.close()
        return status, body

    async def __call__(self, call: str, **request: Any) -> dict[str, Any]:
        body = json.dumps(request).encode()
        _, answer = await self.post(
            b"POST /%b HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (call.encode(), len(body)) + body
        )
        return answer

    async def endpoint(self, identity: str = "e1", **options: Any) -> dict[str, Any]:
        address = (await self("IpamDriver.RequestAddress", PoolID=POOL, Address="", Options=None))["Address"]
        interface = {"Address": address, "AddressIPv6": "", "MacAddress": ""}
        return await self(
            "NetworkDriver.CreateEndpoint", NetworkID="n1", EndpointID=identity, Interface=interface, Options=options
        )


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[Side]:
    made = Side(tmp_path)
    await made.start()
    yield made
    await made.side.close()
    assert not (tmp_path / "plugins" / "calico-route.sock").exists()


async def test_what_the_plugin_is(side: Side) -> None:
    assert await side("Plugin.Activate") == {"Implements": ["NetworkDriver", "IpamDriver"]}
    assert (await side("NetworkDriver.GetCapabilities"))["Scope"] == "local"
    assert not (await side("IpamDriver.GetCapabilities"))["RequiresMACAddress"]
    spaces = await side("IpamDriver.GetDefaultAddressSpaces")
    assert set(spaces) == {"LocalDefaultAddressSpace", "GlobalDefaultAddressSpace"}
    assert (side.folder / "plugins" / "calico-route.sock").stat().st_mode & 0o777 == 0o600


async def test_the_life_of_a_container(side: Side) -> None:
    pool = await side("IpamDriver.RequestPool", AddressSpace="", Pool="", SubPool="", Options=None, V6=False)
    gateway = {"com.docker.network.gateway": "169.254.1.1/32"}
    assert pool == {"PoolID": POOL, "Pool": "0.0.0.0/0", "Data": gateway}
    assert await side("NetworkDriver.CreateNetwork", **NETWORK) == {}
    answer = await side.endpoint(**{"calico_route.profiles": "web,db"})
    (made,) = side.workloads.made.values()
    assert answer == {"Interface": {"MacAddress": made.mac}}
    assert made.request.addresses == ("192.168.0.1",)
    assert made.request.profiles == ("web", "db")
    joined = await side("NetworkDriver.Join", NetworkID="n1", EndpointID="e1", SandboxKey="/x", Options={})
    assert joined == {
        "InterfaceName": {"SrcName": made.peer_interface, "DstPrefix": "eth"},
        "Gateway": "169.254.1.1",
        "StaticRoutes": [{"Destination": "169.254.1.1/32", "RouteType": 1, "NextHop": ""}],
        "DisableGatewayService": True,
    }
    info = await side("NetworkDriver.EndpointOperInfo", NetworkID="n1", EndpointID="e1")
    assert info["Value"]["calico_route.interface"] == made.host_interface
    for call in ("ProgramExternalConnectivity", "RevokeExternalConnectivity", "Leave", "DiscoverNew", "DiscoverDelete"):
        assert await side(f"NetworkDriver.{call}", NetworkID="n1", EndpointID="e1") == {}
    for _ in range(2):  # both are asked for again where Docker is not sure
        assert await side("NetworkDriver.DeleteEndpoint", NetworkID="n1", EndpointID="e1") == {}
        assert await side("IpamDriver.ReleaseAddress", PoolID=POOL, Address="192.168.0.1") == {}
    assert await side("IpamDriver.ReleaseAddress", PoolID=POOL, Address="169.254.1.1") == {}
    assert await side("IpamDriver.ReleasePool", PoolID=POOL) == {}
    assert await side("NetworkDriver.DeleteNetwork", NetworkID="n1") == {}
    assert (side.workloads.made, side.addresses.taken) == ({}, {})


async def test_another_process_goes_on(side: Side) -> None:
    """Between any two calls the agent may be another one."""
    options = {"com.docker.network.generic": {"calico_route.profiles": "web"}}
    await side("NetworkDriver.CreateNetwork", **{**NETWORK, "Options": options})
    await side.side.close()
    await side.start()
    await side.endpoint()
    (made,) = side.workloads.made.values()
    assert made.request.profiles == ("web",)
    await side.side.close()
    await side.start()
    joined = await side("NetworkDriver.Join", NetworkID="n1", EndpointID="e1", SandboxKey="/x", Options={})
    assert joined["InterfaceName"]["SrcName"] == made.peer_interface
    await side("NetworkDriver.DeleteEndpoint", NetworkID="n1", EndpointID="e1")
    assert side.workloads.made == {}


async def test_ipv6(side: Side) -> None:
    pool = await side("IpamDriver.RequestPool", Pool="fd80::/112", V6=True)
    assert pool["Data"] == {"com.docker.network.gateway": "fe80::ecee:eeff:feee:eeee/128"}
    four = (await side("IpamDriver.RequestAddress", PoolID=POOL, Address=""))["Address"]
    six = (await side("IpamDriver.RequestAddress", PoolID=pool["PoolID"], Address=""))["Address"]
    assert six == "fd80::1/128"
    interface = {"Address": four, "AddressIPv6": six, "MacAddress": "02:00:00:00:00:01"}
    answer = await side("NetworkDriver.CreateEndpoint", NetworkID="n1", EndpointID="e1", Interface=interface)
    assert answer == {"Interface": {}}
    joined = await side("NetworkDriver.Join", NetworkID="n1", EndpointID="e1")
    assert joined["GatewayIPv6"] == "fe80::ecee:eeff:feee:eeee"
    assert len(joined["StaticRoutes"]) == 2


@pytest.mark.parametrize(
    ("call", "request_", "words"),
    [
        ("IpamDriver.RequestPool", {"SubPool": "192.168.1.0/24"}, "--ip-range is not supported"),
        ("IpamDriver.RequestPool", {"Pool": "192.168"}, "is no CIDR"),
        ("IpamDriver.RequestPool", {"Pool": "fd80::/64"}, "is not of IPv4"),
        ("IpamDriver.RequestPool", {"Pool": 7}, "Pool '7' is no text"),
        ("IpamDriver.RequestAddress", {"PoolID": "other"}, "is none of this driver's"),
        ("IpamDriver.RequestAddress", {"PoolID": POOL, "Address": "x"}, "'x' is no IP address"),
        ("IpamDriver.RequestAddress", {"PoolID": POOL, "Address": "fd80::1"}, "is no address for a pool of IPv4"),
        ("IpamDriver.RequestAddress", {"PoolID": POOL, "Address": "10.1.1.1"}, "outside of all pools"),
        (
            "IpamDriver.RequestAddress",
            {"PoolID": "calico-route/4/192.168.0.0/24", "Address": "192.168.1.1"},
            "outside of the network's subnet 192.168.0.0/24",
        ),
        (
            "IpamDriver.RequestAddress",
            {"PoolID": POOL, "Address": "192.168.0.1", "Options": {"RequestAddressType": "com.docker.network.gateway"}},
            "leave --gateway 192.168.0.1 out",
        ),
        ("NetworkDriver.CreateNetwork", {**NETWORK, "NetworkID": "../x"}, "is no ID of Docker's"),
        ("NetworkDriver.CreateNetwork", {**NETWORK, "IPv4Data": [{"Gateway": "10.0.0.1/8"}]}, "add --ipam-driver"),
        (
            "NetworkDriver.CreateNetwork",
            {**NETWORK, "Options": {"com.docker.network.generic": {"calico_route.profile": "a"}}},
            "-o calico_route.profile: no such option",
        ),
        (
            "NetworkDriver.CreateNetwork",
            {**NETWORK, "Options": {"com.docker.network.generic": {"calico_route.profiles": "a b"}}},
            "'a b' is no name of a profile",
        ),
        ("NetworkDriver.CreateEndpoint", {"NetworkID": "n1", "EndpointID": "e1", "Interface": {}}, "no address"),
        (
            "NetworkDriver.CreateEndpoint",
            {"NetworkID": "n1", "EndpointID": "e1", "Interface": {"Address": "192.168.0.1/32"}},
            "was not assigned by this node",
        ),
        ("NetworkDriver.Join", {"NetworkID": "n1", "EndpointID": "e9"}, "no endpoint e9 here"),
        ("NetworkDriver.Nonsense", {}, "has no call /NetworkDriver.Nonsense"),
    ],
)
async def test_what_is_refused_and_why(side: Side, call: str, request_: dict[str, Any], words: str) -> None:
    answer = await side(call, **request_)
    assert words in answer["Err"]
    assert answer["Error"] == answer["Err"]  # the IPAM driver's name for it
    assert side.addresses.taken == {}


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"POST /Plugin.Activate HTTP/1.1\r\nContent-Length: 1\r\n\r\n[", 400),
        (b"POST /Plugin.Activate HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]", 400),
        (b"GET /Plugin.Activate HTTP/1.1\r\n\r\n", 405),
        (b"POST /Plugin.Activate HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", 413),
    ],
)
async def test_what_is_no_call(side: Side, octets: bytes, status: int) -> None:
    assert (await side.post(octets))[0] == status


async def test_a_workload_that_cannot_be_had(side: Side) -> None:
    side.workloads.refuse = WorkloadError("profile web does not exist", code="unknown-profile")
    assert (await side.endpoint())["Err"] == "calico-route: profile web does not exist"
    side.workloads.refuse = None
    assert "Err" in await side("NetworkDriver.Join", NetworkID="n1", EndpointID="e1")


async def test_published_ports_are_told_of(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    await side.endpoint(**{"com.docker.network.portmap": [{"Proto": 6, "Port": 80, "HostPort": 8080}]})
    assert "published ports (8080) are not forwarded" in caplog.text


async def test_an_address_of_a_stopped_container_is_found_again(side: Side) -> None:
    asked = {"PoolID": POOL, "Address": "192.168.0.9"}
    assert (await side("IpamDriver.RequestAddress", **asked))["Address"] == "192.168.0.9/32"
    assert "is taken by another container" in (await side("IpamDriver.RequestAddress", **asked))["Err"]
    await side("IpamDriver.ReleaseAddress", **asked)
    assert side.side.leases.all()[0].state is State.KEPT
    assert (await side("IpamDriver.RequestAddress", **asked))["Address"] == "192.168.0.9/32"


async def test_a_second_process_keeps_off(side: Side) -> None:
    second = Side(side.folder)
    with pytest.raises(OSError, match="another process answers on"):
        await second.start()
    assert await side("Plugin.Activate")


async def test_the_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    import socket

    (tmp_path / "plugins").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "plugins" / "calico-route.sock"))
    made = Side(tmp_path)
    await made.start()
    assert await made("Plugin.Activate")
    await made.side.close()
