"""What the article's environment variables ask for when a container is created: from JSON to JSON, pure."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from calico_route.workload.ports import WorkloadError

from .fields import profiles, table, text
from .leases import parse_address
from .ports import NAME, PROFILES

AUTOMATIC = {"auto": (4,), "auto4": (4,), "auto6": (4, 6), "auto46": (4, 6)}
"""CALICO_IP in words, and the IP versions. A network of Docker's always has IPv4."""


@dataclass(frozen=True)
class Wish:
    """What a container's environment asks for: addresses, and one that is chosen of each of the `versions` besides."""

    addresses: tuple[str, ...]
    versions: tuple[int, ...]
    profiles: tuple[str, ...]

    @property
    def with_v6(self) -> bool:
        return 6 in self.versions or any(":" in one for one in self.addresses)


def read_wish(environment: Any) -> Wish | None:
    """The wish in a list of NAME=VALUE; None without a CALICO_IP. WorkloadError (`invalid`)."""
    found = {}
    for entry in environment if isinstance(environment, list) else ():
        if isinstance(entry, str):
            name, equals, value = entry.partition("=")
            if equals:
                found[name] = value.strip()  # the last one is the container's
    if "CALICO_IP" not in found:
        return None
    written = found["CALICO_IP"]
    named = profiles(found.get("CALICO_PROFILE", ""), "CALICO_PROFILE")
    if written.lower() in AUTOMATIC:
        return Wish((), AUTOMATIC[written.lower()], named)
    try:
        addresses = tuple(dict.fromkeys(parse_address(one.strip()) for one in written.split(",")))
    except WorkloadError as error:
        raise WorkloadError(
            f"CALICO_IP={written[:60]}: {error}; write auto, auto46 (IPv6 as well), or an address such as 192.168.0.1"
        ) from error
    versions = [ip_address(address).version for address in addresses]
    if len(set(versions)) != len(versions):
        raise WorkloadError(f"CALICO_IP={written[:60]}: one address of each IP version at most")
    return Wish(addresses, (4,), named)


def network_mode(document: dict[str, Any]) -> str:
    """The network that a container is created on. WorkloadError for JSON of another shape."""
    return text(table(document, "HostConfig"), "NetworkMode")


def on_network(
    document: dict[str, Any], network: str, addresses: Sequence[str], wish: Wish, name: str
) -> dict[str, Any]:
    """The request to create a container, with this network as its only one. Aliases and such that it had there stay."""
    changed = copy.deepcopy(document)
    host = changed["HostConfig"] = table(changed, "HostConfig")
    networking = changed["NetworkingConfig"] = table(changed, "NetworkingConfig")
    before = table(networking, "EndpointsConfig").get(network)
    endpoint = endpoint_settings(addresses, wish, name, before if isinstance(before, dict) else {})
    host["NetworkMode"] = network
    networking["EndpointsConfig"] = {network: endpoint}
    return changed


def endpoint_settings(
    addresses: Sequence[str], wish: Wish, name: str, before: dict[str, Any] | None = None
) -> dict[str, Any]:
    """EndpointSettings of Docker's API."""
    made = dict(before or {})
    ipam = dict(table(made, "IPAMConfig"))
    for address in addresses:
        ipam["IPv6Address" if ":" in address else "IPv4Address"] = address
    made["IPAMConfig"] = ipam
    options = {**table(made, "DriverOpts")}
    if wish.profiles:
        options[PROFILES] = ",".join(wish.profiles)
    if name:
        options[NAME] = name
    made["DriverOpts"] = options
    return made


def fill_settings(document: dict[str, Any], network: str) -> bool:
    """Put the addresses of an endpoint where `docker inspect` had them in the article's days: into NetworkSettings
    itself. Returns whether anything changed."""
    settings = document.get("NetworkSettings")
    networks = settings.get("Networks") if isinstance(settings, dict) else None
    endpoint = networks.get(network) if isinstance(networks, dict) else None
    if not isinstance(settings, dict) or not isinstance(endpoint, dict) or not endpoint.get("EndpointID"):
        return False
    names = ("EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress", "IPPrefixLen")
    found = {name: endpoint[name] for name in (*names, "IPv6Gateway", "MacAddress") if endpoint.get(name)}
    changed = any(settings.get(name) != value for name, value in found.items())
    settings.update(found)
    return changed
