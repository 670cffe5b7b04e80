"""The host's own addresses: what the host itself has begun never went through `forward`."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address

from calico_route.kernel.netlink import RTM_GETADDR, AddressEvent, Parser
from calico_route.kernel.socket import Dump, in_namespace


def own_addresses(netns: str | None) -> frozenset[str]:
    """Of all interfaces of the network namespace. KernelError where the kernel does not tell. Blocking."""
    found: set[str] = set()
    with contextlib.closing(in_namespace(netns, lambda: Dump(RTM_GETADDR, Parser()))) as dump:
        while not dump.done:
            events = (event for event in dump.read() if isinstance(event, AddressEvent))
            found.update(str(ip_address(event.address.address)) for event in events)
    return frozenset(found)
