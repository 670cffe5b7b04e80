"""Docker's IPAM driver: libnetwork's remote API (docs/ipam.md of libnetwork), on Calico's IPAM.

A pool is `calico-route/4/CIDR`, all that is known of it in its name, so that nothing has to be kept. Docker's pool
0.0.0.0/0 or none: any of Calico's.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from calico_route.workload.ports import WorkloadError

from .fields import text, texts
from .leases import Leases, parse_address
from .ports import DRIVER, GATEWAY, GATEWAY_V6

ANY = {4: "0.0.0.0/0", 6: "::/0"}
_GATEWAY = "com.docker.network.gateway"
_TYPE = "RequestAddressType"


class IpamDriver:
    """The calls of `IpamDriver.`; each takes Docker's request and returns its answer. WorkloadError."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases

    async def get_capabilities(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"RequiresMACAddress": False, "RequiresRequestReplay": False}

    async def get_default_address_spaces(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"LocalDefaultAddressSpace": f"{DRIVER}-local", "GlobalDefaultAddressSpace": f"{DRIVER}-global"}

    async def request_pool(self, request: dict[str, Any]) -> dict[str, Any]:
        """The gateway comes with the pool: it is the same for all, and no address of Calico's."""
        version = 6 if request.get("V6") else 4
        if text(request, "SubPool"):
            raise WorkloadError(
                "--ip-range is not supported: addresses come from Calico's pools; leave it out, or give the CIDR of a "
                "pool as --subnet"
            )
        pool = _cidr(text(request, "Pool") or ANY[version], version)
        gateway = f"{GATEWAY}/32" if version == 4 else f"{GATEWAY_V6}/128"
        return {"PoolID": f"{DRIVER}/{version}/{pool}", "Pool": pool, "Data": {_GATEWAY: gateway}}

    async def release_pool(self, request: dict[str, Any]) -> dict[str, Any]:
        _pool(text(request, "PoolID"))
        return {}

    async def request_address(self, request: dict[str, Any]) -> dict[str, Any]:
        version, pool = _pool(text(request, "PoolID"))
        asked = text(request, "Address")
        address = parse_address(asked.partition("/")[0]) if asked else None
        bits = 32 if version == 4 else 128
        if texts(request, "Options").get(_TYPE) == _GATEWAY or address in (GATEWAY, GATEWAY_V6):
            own = GATEWAY if version == 4 else GATEWAY_V6
            if address not in (None, own):
                raise WorkloadError(f"the gateway is {own} everywhere: leave --gateway {address} out")
            return {"Address": f"{own}/{bits}", "Data": {}}
        if address is not None:
            if ip_address(address).version != version:
                raise WorkloadError(f"{address} is no address for a pool of IPv{version}")
            if ip_address(address) not in ip_network(pool):
                raise WorkloadError(f"{address} is outside of the network's subnet {pool}", code="outside")
        lease = await self._leases.request(address, version, () if pool == ANY[version] else (pool,))
        return {"Address": f"{lease.address}/{bits}", "Data": {}}

    async def release_address(self, request: dict[str, Any]) -> dict[str, Any]:
        _pool(text(request, "PoolID"))
        await self._leases.release(parse_address(text(request, "Address").partition("/")[0]))
        return {}


def _cidr(written: str, version: int) -> str:
    try:
        network = ip_network(written, strict=False)
    except ValueError as error:
        raise WorkloadError(f"--subnet {written[:60]!r} is no CIDR; give that of a Calico pool") from error
    if network.version != version:
        raise WorkloadError(f"--subnet {written} is not of IPv{version}")
    return str(network)


def _pool(identity: str) -> tuple[int, str]:
    """IP version and CIDR of a pool by its ID."""
    driver, _, rest = identity.partition("/")
    version, _, cidr = rest.partition("/")
    if driver != DRIVER or version not in ("4", "6"):
        raise WorkloadError(f"the pool {identity[:80]!r} is none of this driver's")
    return int(version), _cidr(cidr, int(version))
