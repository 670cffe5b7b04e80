"""Where profiles and policies live in etcd. Tiers and staged policies are not read."""

from __future__ import annotations

from calico_route.keys import WORKLOADS

_RESOURCES = WORKLOADS.removesuffix(b"workloadendpoints/")
PROFILES = _RESOURCES + b"profiles/"
NETWORK_POLICIES = _RESOURCES + b"networkpolicies/"
GLOBAL_NETWORK_POLICIES = _RESOURCES + b"globalnetworkpolicies/"
NETWORK_SETS = _RESOURCES + b"networksets/"
GLOBAL_NETWORK_SETS = _RESOURCES + b"globalnetworksets/"
FOLLOWED = (PROFILES, NETWORK_POLICIES, GLOBAL_NETWORK_POLICIES, NETWORK_SETS, GLOBAL_NETWORK_SETS, WORKLOADS)


def profile_path(name: str) -> bytes:
    """The key of a profile by its name in the datastore. ValueError for a name that no path can hold."""
    if not name or "/" in name:
        raise ValueError(f"{name!r} cannot be the name of a profile: it is empty or holds a slash")
    return PROFILES + name.encode()


def names_in(path: bytes) -> tuple[str, ...]:
    """The parts of a followed key behind its kind: (name,) or (namespace, name). ValueError for odd ones."""
    parts = tuple(path.removeprefix(_RESOURCES).decode().split("/")[1:])
    if not parts or not all(parts):
        raise ValueError(f"{path!r}: not the key of a resource")
    return parts
