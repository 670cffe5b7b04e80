"""The names of Calico's keys in etcd v3. No other module knows a path, but for `ipam/paths.py` those of addresses.

Resources live at `/calico/resources/v3/projectcalico.org/<plural>/[<namespace>/]<name>`. What is watched
is a list of prefixes, not all of `/calico/`: beside our kinds that holds the address blocks, a handle for
every workload and Felix's heartbeats, which are many and change all the time; and a user who was granted
just these prefixes, as Calico's documentation advises, may not read their parent.
"""

from __future__ import annotations

import re

from pybgp import Prefix

from .model import Kind, ResourceKey

ROOT = "/calico"
_RESOURCES = f"{ROOT}/resources/v3/projectcalico.org/"
_READY = f"{ROOT}/v1/Ready"
_IPAM_HOST = f"{ROOT}/ipam/v2/host/"

PLURALS: dict[Kind, str] = {
    Kind.NODE: "nodes",
    Kind.BGP_CONFIGURATION: "bgpconfigurations",
    Kind.IP_POOL: "ippools",
    Kind.WORKLOAD_ENDPOINT: "workloadendpoints",
    Kind.BGP_PEER: "bgppeers",
    Kind.BGP_FILTER: "bgpfilters",
    Kind.CLUSTER_INFORMATION: "clusterinformations",
}
NAMESPACED = frozenset({Kind.WORKLOAD_ENDPOINT})
_KINDS = {plural: kind for kind, plural in PLURALS.items()}
WORKLOADS = f"{_RESOURCES}{PLURALS[Kind.WORKLOAD_ENDPOINT]}/".encode()
"""What the keys of all workloads begin with."""
_BLOCK = re.compile(r"(?P<node>[^/]+)/ipv[46]/block/(?P<cidr>[^/]+)")


def watched(node: str | None = None) -> tuple[bytes, ...]:
    """What to list and to watch; with the name of a node also its address blocks.

    A name that ends in a slash stands for all keys below it (so that `node1` is not `node10`), any other
    for itself alone.
    """
    watched = [f"{_RESOURCES}{plural}/" for plural in PLURALS.values()]
    watched.append(_READY)
    if node is not None:
        watched.append(f"{_IPAM_HOST}{_segment(node)}/")
    return tuple(prefix.encode() for prefix in watched)


def parse_path(path: bytes | str) -> ResourceKey | None:
    """The resource that a key of etcd names; None for a key that is none of ours."""
    if isinstance(path, bytes):
        try:
            path = path.decode()
        except UnicodeDecodeError:
            return None
    if path == _READY:
        return ResourceKey(Kind.READY_FLAG, "", "Ready")
    if path.startswith(_RESOURCES):
        plural, *segments = path[len(_RESOURCES) :].split("/")
        kind = _KINDS.get(plural)
        if kind is None or not all(segments):
            return None
        if kind in NAMESPACED:
            return ResourceKey(kind, segments[0], segments[1]) if len(segments) == 2 else None
        return ResourceKey(kind, "", segments[0]) if len(segments) == 1 else None
    if path.startswith(_IPAM_HOST):
        found = _BLOCK.fullmatch(path, len(_IPAM_HOST))
        if found is not None:
            try:
                cidr = Prefix("/".join(found["cidr"].rsplit("-", 1)))
            except ValueError:
                return None
            return ResourceKey(Kind.BLOCK_AFFINITY, found["node"], str(cidr))
    return None


def format_path(key: ResourceKey) -> bytes:
    """The key of etcd that holds a resource. ValueError for a name that cannot be part of a path."""
    if key.kind is Kind.READY_FLAG:
        return _READY.encode()
    if key.kind is Kind.BLOCK_AFFINITY:
        version = "ipv6" if ":" in key.name else "ipv4"
        block = _segment(key.name.replace("/", "-"))
        return f"{_IPAM_HOST}{_segment(key.namespace)}/{version}/block/{block}".encode()
    namespace = f"{_segment(key.namespace)}/" if key.kind in NAMESPACED else ""
    return f"{_RESOURCES}{PLURALS[key.kind]}/{namespace}{_segment(key.name)}".encode()


def _segment(text: str) -> str:
    if not text or "/" in text:
        raise ValueError(f"{text!r} cannot be a name in the datastore: it is empty or holds a slash")
    return text


def split_workload_name(name: str) -> tuple[str, str, str, str] | None:
    """Node, orchestrator, workload and endpoint of a WorkloadEndpoint's name, None if it is not so made.

    The parts are joined with one dash and have their own dashes doubled: `rack1--n1-k8s-web--0-eth0`.
    """
    parts = [part.replace("\0", "-") for part in name.replace("--", "\0").split("-")]
    if len(parts) != 4 or not all(parts):
        return None
    return parts[0], parts[1], parts[2], parts[3]


def join_workload_name(node: str, orchestrator: str, workload: str, endpoint: str) -> str:
    """The name that Calico gives to a WorkloadEndpoint. ValueError if a part begins or ends with a dash."""
    parts = (node, orchestrator, workload, endpoint)
    for part in parts:
        if not part or part.startswith("-") or part.endswith("-"):
            raise ValueError(f"{part!r} cannot be part of a workload's name: empty, or a dash at an end")
    return "-".join(part.replace("-", "--") for part in parts)
