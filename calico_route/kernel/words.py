"""Routes as `ip route` shows them."""

from __future__ import annotations

from .route import NextHop, RouteSpec, RouteType, address_text, prefix_text, protocol_name, type_name
from .surroundings import Surroundings


def route_text(here: Surroundings, afi: int, nlri: bytes, spec: RouteSpec, protocol: int) -> str:
    """`192.168.0.2 via 192.168.78.22 dev enp0s8 proto bird`, on one line also where there are several ways."""
    destination = prefix_text(afi, nlri)
    if nlri[0] == 0:
        destination = "default"
    elif nlri[0] == 8 * (len(nlri) - 1):
        destination = destination.partition("/")[0]
    kind = type_name(spec.type)
    words = [destination] if spec.type == RouteType.UNICAST else [kind, destination]
    if len(spec.nexthops) == 1:
        words.append(_way(here, spec.nexthops[0]))
    words.append(f"proto {protocol_name(protocol)}")
    if spec.metric:
        words.append(f"metric {spec.metric}")
    if len(spec.nexthops) == 1 and spec.nexthops[0].onlink:
        words.append("onlink")
    if len(spec.nexthops) > 1:
        for hop in spec.nexthops:
            words.append(f"nexthop {_way(here, hop)} weight {hop.weight}" + (" onlink" if hop.onlink else ""))
    return " ".join(words)


def _way(here: Surroundings, hop: NextHop) -> str:
    via = f"via {address_text(hop.gateway)} " if hop.gateway else ""
    return f"{via}dev {here.name(hop.ifindex)}"


def process_name(port: int) -> str:
    """Who is behind a netlink port: by default it is the number of the process."""
    try:
        with open(f"/proc/{port}/comm", encoding="utf-8", errors="replace") as file:
            return f"process {port} ({file.read().strip()})"
    except OSError:
        return f"process {port} (which has ended)" if port < 1 << 22 else "another process"
