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
    """`whole` are own blocks that are announced in place of what is inside, `held` own blocks of more than one address,
    those on their way out too: what is sent there and has no workload must not leave this node again. `services` are
    announced, `reflected` are networks of services whose routes a reflector passes on, and `served` are all networks
    of services: of these nothing goes into the kernel."""

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
    return Advertised(
        whole=whole,
        held=tuple(one for one in held if not _single(one)),
        services=tuple(_services(configuration, own)),
        reflected=reflected,
        served=(
            *configuration.service_cluster_ips,
            *configuration.service_external_ips,
            *configuration.service_load_balancer_ips,
        ),
        communities=tuple(_communities(view, own, problems)),
    )


def _single(prefix: Prefix) -> bool:
    """Whether it is one address alone: announced where a workload or a service has it."""
    return prefix.length == (128 if prefix.family.afi == 2 else 32)


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
    yield from (one for one in networks if not _single(one))


def _communities(view: View, own: Node, problems: list[str]) -> Iterator[tuple[Prefix, tuple[str, ...]]]:
    """Advertisements of the node take the place of the cluster's, and with them the names of its communities."""
    used = view.configuration_of(own.name)
    if not used.prefix_advertisements:
        used = view.configuration
    for entry in used.prefix_advertisements:
        values = set()
        for text in entry.communities:
            value = text if ":" in text else used.communities.get(text)
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
