"""What things are called that belong to one workload: all follow from the container and its interface."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container

from calico_route.keys import format_path, join_workload_name
from calico_route.model import Kind, ResourceKey

from .ports import WorkloadError
from .request import WorkloadRequest

HOST_MAC = "ee:ee:ee:ee:ee:ee"
"""Of the host's end of each interface, as Calico has it: a container that moves keeps its neighbour entry."""

LONGEST_NAME = 15  # of an interface, IFNAMSIZ less the zero
LEAST_DIGITS = 8
PEER_PREFIX = "tmp"

_RUNTIMES_OWN = re.compile(r"[0-9a-f-]{32,}")  # an id that a runtime has drawn: 64 digits, or a UUID


def _digest(container: str, interface: str) -> bytes:
    return hashlib.sha1(f"{container}/{interface}".encode(), usedforsecurity=False).digest()


def host_interface(prefix: str, container: str, interface: str) -> str:
    """The prefix and eleven digits; fewer where the prefix is longer than `cali`. WorkloadError if too few are left."""
    if len(prefix) + LEAST_DIGITS > LONGEST_NAME:
        raise WorkloadError(f"interface prefix {prefix!r}: at most {LONGEST_NAME - LEAST_DIGITS} characters")
    return (prefix + _digest(container, interface).hex()[:11])[:LONGEST_NAME]


def peer_interface(container: str, interface: str) -> str:
    """Of the container's end where a runtime is to fetch it."""
    return PEER_PREFIX + _digest(container, interface).hex()[:11]


def workload_mac(container: str, interface: str) -> str:
    """The same one each time, locally administered (IEEE 802: second bit of the first octet)."""
    first, *rest = _digest(container, interface)[:6]
    return ":".join(f"{octet:02x}" for octet in ((first & 0xFC) | 0x02, *rest))


def handle_of(request: WorkloadRequest, uid: str, others: Container[str]) -> str:
    """Who holds the addresses: `<network>.<container>`, as Calico's CNI plug-in writes it, where that is one of a kind
    in the whole cluster. A name that a person chose may be on another node, too, and in IPAM, which knows no capitals,
    two workloads with one handle would have one address: such a handle ends with a part of the endpoint's `uid`, and
    so does one that is among `others`, the handles of this node (in small letters)."""
    if request.handle is not None:
        handle, unique = request.handle, True
    else:
        handle = f"{request.network}.{request.container}"
        unique = _RUNTIMES_OWN.fullmatch(request.container) is not None
    return handle if unique and handle.lower() not in others else f"{handle}.{uid[:13]}"


def endpoint_key(node: str, request: WorkloadRequest) -> ResourceKey:
    """The WorkloadEndpoint (Calico's names: the third part depends on the orchestrator). WorkloadError for a part that
    cannot be in a name."""
    workload, endpoint = request.container, request.interface
    if request.orchestrator == "libnetwork":
        workload, endpoint = "libnetwork", request.container  # an endpoint's id is the only thing that libnetwork has
    elif request.orchestrator == "k8s":
        workload = request.name
    key = None
    try:
        name = join_workload_name(node, request.orchestrator, workload, endpoint)
        key = ResourceKey(Kind.WORKLOAD_ENDPOINT, request.namespace, name)
        format_path(key)
    except ValueError as error:
        raise WorkloadError(str(error)) from None
    return key
