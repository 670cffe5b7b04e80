"""What a node has to announce beside its workloads: blocks of addresses, networks of services, and with which
communities. No I/O, no clock.

Services themselves are objects of Kubernetes: of those only the networks that BGPConfiguration names can be announced.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pybgp import Prefix
from pybgp.policy import add_communities, add_large_communities

from .compat import Compat
from .model import AffinityState, BgpConfiguration, BlockAffinity, Kind, Node
from .view import View

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


@dataclass(frozen=True, slots=True)
class Advertised:
    """`whole` are own blocks that are announced in place of what is inside, `held` all own blocks, those on their way
    out too: what is sent there and has no workload must not leave this node again. `services` are announced,
    `reflected` are networks of services whose routes a reflector passes on, `served` all networks of services."""

    whole: tuple[Prefix, ...] = ()
    held: tuple[Prefix, ...] = ()
    services: tuple[Prefix, ...] = ()
    reflected: tuple[Prefix, ...] = ()
    served: tuple[Prefix, ...] = ()
    communities: tuple[tuple[Prefix, tuple[str, ...]], ...] = ()


def advertised(
    view: View, own: Node, known: Compat, problems: list[str], *, blocks: bool, pod_cidrs: bool
) -> Advertised:
    """What the datastore says of this node. `blocks`: whether own blocks are announced whole; `pod_cidrs`: these are
    the ones that the Node names, and not those of Calico's address management."""
    whole, held = _blocks(view, own, pod_cidrs=pod_cidrs) if blocks else ((), ())
    configuration = view.configuration
    reflected: tuple[Prefix, ...] = ()
    if own.cluster_id is not None:
        reflected = configuration.service_load_balancer_ips
        if known.external_services:
            reflected += configuration.service_external_ips
    served = (
        *configuration.service_cluster_ips,
        *configuration.service_external_ips,
        *configuration.service_load_balancer_ips,
    )
    announced, communities = tuple(_services(configuration, own)), tuple(_communities(view, own, problems))
    return Advertised(whole, held, announced, reflected, served, communities)


def _blocks(view: View, own: Node, *, pod_cidrs: bool) -> tuple[tuple[Prefix, ...], tuple[Prefix, ...]]:
    if pod_cidrs:
        return own.pod_cidrs, own.pod_cidrs
    found = [
        one
        for one in view.table(Kind.BLOCK_AFFINITY).values()
        if isinstance(one, BlockAffinity) and one.node == own.name and not one.deleted
    ]
    held = tuple(sorted(one.cidr for one in found if one.state is not AffinityState.PENDING))
    return tuple(sorted(one.cidr for one in found if one.state is AffinityState.CONFIRMED)), held


def _services(configuration: BgpConfiguration, own: Node) -> Iterator[Prefix]:
    if own.labels.get(EXCLUDED) == "true":
        return
    yield from configuration.service_cluster_ips
    networks = configuration.service_external_ips
    if configuration.service_load_balancer_aggregation != "Disabled":
        networks += configuration.service_load_balancer_ips
    # A single address is announced where a service has it, which Kubernetes alone knows.
    yield from (one for one in networks if one.length < (128 if one.family.afi == 2 else 32))


def _communities(view: View, own: Node, problems: list[str]) -> Iterator[tuple[Prefix, tuple[str, ...]]]:
    """Settings of the node take the place of those of the cluster."""
    node = view.get(Kind.BGP_CONFIGURATION, f"node.{own.name}")
    used = view.configuration
    if isinstance(node, BgpConfiguration) and (node.prefix_advertisements or node.communities):
        used = node
    for entry in used.prefix_advertisements:
        values = set()
        for text in entry.communities:
            value = text if ":" in text else used.communities.get(text, view.configuration.communities.get(text))
            why = "no community has this name" if value is None else _fault(value)
            if why or value is None:
                problems.append(f"BGPConfiguration {used.name}: prefixAdvertisement {entry.cidr}: {text}: {why}")
            else:
                values.add(value)
        if values:
            yield entry.cidr, tuple(sorted(values))


def _fault(value: str) -> str:
    try:
        (add_large_communities if value.count(":") == 2 else add_communities)(value)
    except ValueError as error:
        return str(error)
    return ""
