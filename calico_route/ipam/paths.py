"""The names of IPAM's records in etcd. They have no resource envelope, and nobody but IPAM reads most of them."""

from __future__ import annotations

from typing import NamedTuple

from calico_route.keys import ROOT

from .cidr import Cidr, parse_key

_IPAM = f"{ROOT}/ipam/v2/"
_RESOURCES = f"{ROOT}/resources/v3/projectcalico.org/"
BLOCKS = f"{_IPAM}assignment/".encode()
HANDLES = f"{_IPAM}handle/".encode()
HOSTS = f"{_IPAM}host/".encode()
CONFIG = f"{_IPAM}config".encode()
POOLS = f"{_RESOURCES}ippools/".encode()
RESERVATIONS = f"{_RESOURCES}ipreservations/".encode()
NODES = f"{_RESOURCES}nodes/".encode()


class AffinityName(NamedTuple):
    """What names an affinity."""

    node: str
    cidr: Cidr


def block_path(cidr: Cidr) -> bytes:
    return f"{_IPAM}assignment/ipv{cidr.version}/block/{cidr.key}".encode()


def handle_path(name: str) -> bytes:
    return HANDLES + name.encode()


def affinity_path(node: str, cidr: Cidr) -> bytes:
    return host_path(node) + f"/ipv{cidr.version}/block/{cidr.key}".encode()


def host_path(node: str) -> bytes:
    """The mark that a node has blocks. ValueError for a name that cannot be part of a path."""
    if not node or "/" in node:
        raise ValueError(f"{node!r} cannot be a node's name in the datastore: it is empty or holds a slash")
    return HOSTS + node.encode()


def reservation_path(name: str) -> bytes:
    return RESERVATIONS + name.encode()


def felix_status_path(node: str) -> bytes:
    """What a stock node's Felix keeps there as long as it lives (outside of OpenStack's regions)."""
    return f"{ROOT}/felix/v2/no-region/host/{node}/status".encode()


def read_block_path(path: bytes) -> Cidr | None:
    """The block of a key below BLOCKS. None: it is none of ours."""
    return _cidr(path[len(BLOCKS) :]) if path.startswith(BLOCKS) else None


def read_affinity_path(path: bytes) -> AffinityName | None:
    """The affinity of a key below HOSTS, None for the mark of the host itself and for what is none of ours."""
    node, slash, rest = path[len(HOSTS) :].partition(b"/") if path.startswith(HOSTS) else (b"", b"", b"")
    cidr = _cidr(rest)
    return AffinityName(node.decode("utf-8", "replace"), cidr) if node and slash and cidr is not None else None


def _cidr(rest: bytes) -> Cidr | None:
    version, _, name = rest.decode("utf-8", "replace").partition("/block/")
    try:
        cidr = parse_key(name)
    except ValueError:
        return None
    return cidr if version == f"ipv{cidr.version}" else None
