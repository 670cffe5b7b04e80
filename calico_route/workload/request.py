"""What is asked for a container, and what it got."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from .ports import WorkloadError

AUTOMATIC: Mapping[str, tuple[int, ...]] = {"auto": (4,), "auto4": (4,), "auto6": (6,), "auto46": (4, 6)}
"""Words for addresses that are chosen, with their IP versions. `auto` is CALICO_IP's, which was IPv4 alone."""

GATEWAY = "169.254.1.1"
GATEWAY6 = "fe80::ecee:eeff:feee:eeee"
"""The link-local address that the host's end of every interface has because of its MAC address."""

MOST_ADDRESSES = 16

_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,251}[a-zA-Z0-9]|[a-zA-Z0-9]")
_INTERFACE = re.compile(r"[^\s/:-][^\s/:]{0,13}[^\s/:-]|[^\s/:-]")
_WORD = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_NETWORK = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_PROFILE = re.compile(r"[a-zA-Z0-9_.-]{1,253}")
_LABEL = re.compile(r"([A-Za-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadRequest:
    """One interface for one container.

    `netns` is the file of its network namespace. None: the container's end stays in the host's namespace, under
    `Workload.peer_interface`, for a runtime that moves, renames and addresses it by itself (libnetwork). Addresses that
    are given beside None are that runtime's own already: they are neither claimed nor given back.
    `addresses` is a word of AUTOMATIC or a list. `pools`: names or CIDRs that addresses are chosen from. `handle`: who
    holds the addresses in IPAM, if not `<network>.<container>`. `create_profiles`: those that do not exist are made,
    with the rules of a new profile. `mac` and `mtu` (octets): of the container's end. `name`: what people call it.
    """

    container: str
    netns: str | None
    interface: str = "eth1"
    addresses: str | Sequence[str] = "auto"
    pools: Sequence[str] = ()
    profiles: Sequence[str] = ()
    create_profiles: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = "calico"
    orchestrator: str = "cni"
    namespace: str = "default"
    name: str = ""
    handle: str | None = None
    mac: str | None = None
    mtu: int | None = None

    def checked(self) -> WorkloadRequest:
        """The same with addresses and MAC as they are usually written. WorkloadError (`invalid`) for the first thing
        that cannot be meant."""
        for what, text, form, rule in (
            ("container", self.container, _CONTAINER, "letters, digits, _, . and -, not at the ends"),
            ("interface", self.interface, _INTERFACE, "at most 15 characters, no blank, / or :, no - at the ends"),
            ("network", self.network, _NETWORK, "letters, digits, _, . and -"),
            ("orchestrator", self.orchestrator, _WORD, "small letters, digits, . and -"),
            ("namespace", self.namespace, _WORD, "small letters, digits, . and -"),
            *(("profile", one, _PROFILE, "letters, digits, _, . and -") for one in self.profiles),
            *(("label", one, _LABEL, "as Kubernetes has them, such as app or example.org/app") for one in self.labels),
            *(("label value", one, _VALUE, "at most 63 letters, digits, _, . and -") for one in self.labels.values()),
        ):
            if not form.fullmatch(text) or text in (".", ".."):
                raise WorkloadError(f"{what} {text[:80]!r}: {rule}")
        if self.netns is not None and (not self.netns.startswith("/") or "\0" in self.netns):
            raise WorkloadError(f"netns {self.netns!r}: give the path of a network namespace, such as /run/netns/c1")
        if self.mtu is not None and not 576 <= self.mtu <= 65535:
            raise WorkloadError(f"mtu {self.mtu}: from 576 to 65535 octets")
        mac = None if self.mac is None else self.mac.lower().replace("-", ":")
        if mac is not None and (not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00"):
            raise WorkloadError(f"mac {self.mac!r}: write an address of one host, such as 02:00:00:00:00:01")
        profiles = tuple(dict.fromkeys(self.profiles))
        return replace(self, addresses=_addresses(self.addresses), mac=mac, profiles=profiles)

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions of which an address is to be chosen; none where addresses are given."""
        return AUTOMATIC[self.addresses] if isinstance(self.addresses, str) else ()

    @property
    def held(self) -> bool:
        """Whether the addresses are somebody else's to give back."""
        return self.netns is None and not self.versions

    def document(self) -> dict[str, Any]:
        """Plain values, as `read_request` takes them."""
        made: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        for name in ("pools", "profiles"):
            made[name] = list(made[name])
        if not isinstance(self.addresses, str):
            made["addresses"] = list(self.addresses)
        made["labels"] = dict(self.labels)
        return made


def _addresses(given: str | Sequence[str]) -> str | tuple[str, ...]:
    if isinstance(given, str):
        if given.lower() in AUTOMATIC:
            return given.lower()
        given = [given]
    found = []
    for text in given:
        try:
            address = ip_address(str(text).removesuffix("/128" if ":" in str(text) else "/32"))
        except ValueError:
            words = ", ".join(AUTOMATIC)
            raise WorkloadError(f"address {text!r}: write one such as 192.168.0.1, or one of {words}") from None
        if address.is_multicast or address.is_loopback or address.is_unspecified or address.is_link_local:
            raise WorkloadError(f"address {text!r}: no container can have it")
        found.append(str(address))
    if not 1 <= len(set(found)) <= MOST_ADDRESSES:
        raise WorkloadError(f"{len(set(found))} addresses: give one to {MOST_ADDRESSES}, or auto")
    return tuple(dict.fromkeys(found))


_TEXTS = ("interface", "network", "orchestrator", "namespace", "name")


def read_request(members: Mapping[str, Any]) -> WorkloadRequest:
    """A request in plain values, as JSON has them. WorkloadError (`invalid`), also for members that are not known."""
    known: dict[str, Any] = {name: members[name] for name in WorkloadRequest.__slots__ if name in members}
    unknown = sorted(members.keys() - known.keys())
    if unknown:
        raise WorkloadError(f"unknown: {', '.join(unknown)[:80]}; there are {', '.join(WorkloadRequest.__slots__)}")
    for name in ("container", "netns"):
        if name not in known:
            raise WorkloadError(f"{name} is missing")
    for name, value in list(known.items()):
        if value is None and name in ("handle", "mac", "mtu", "netns"):
            continue
        if name in ("pools", "profiles") or (name == "addresses" and not isinstance(value, str)):
            fine = isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
            known[name] = tuple(value) if fine else value
        elif name == "labels":
            fine = isinstance(value, dict) and all(isinstance(one, str) for pair in value.items() for one in pair)
        elif name == "mtu":
            fine = isinstance(value, int) and not isinstance(value, bool)
        elif name == "create_profiles":
            fine = isinstance(value, bool)
        else:
            fine = isinstance(value, str) and len(value) <= 4096
        if not fine:
            raise WorkloadError(f"{name} {str(value)[:80]!r}: {_should_be(name)}")
    return WorkloadRequest(**known).checked()


def _should_be(name: str) -> str:
    if name in ("pools", "profiles", "addresses"):
        return "must be a list of texts"
    return {
        "labels": "must be an object of texts",
        "mtu": "must be a number",
        "create_profiles": "must be true or false",
    }.get(name, "must be a text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One interface of a container as it is. `gateway` and `gateway6` are None where it has no address of that version;
    `endpoint` is the name of its WorkloadEndpoint; `peer_interface` is where a runtime finds the container's end."""

    container: str
    interface: str
    host_interface: str
    mac: str
    addresses: tuple[str, ...]
    endpoint: str
    profiles: tuple[str, ...]
    peer_interface: str | None = None
    netns: str | None = None
    network: str = "calico"
    orchestrator: str = "cni"
    namespace: str = "default"
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def gateway(self) -> str | None:
        return GATEWAY if any(":" not in one for one in self.addresses) else None

    @property
    def gateway6(self) -> str | None:
        return GATEWAY6 if any(":" in one for one in self.addresses) else None

    def document(self) -> dict[str, Any]:
        """Plain values, as the socket tells them."""
        made: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        made["addresses"], made["profiles"] = list(self.addresses), list(self.profiles)
        made["labels"] = dict(self.labels)
        return {**made, "gateway": self.gateway, "gateway6": self.gateway6}


def netns_identity(path: str) -> str | None:
    """What tells a namespace from another one that has its path later: until the next boot. None: there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return f"{found.st_dev}:{found.st_ino}"
