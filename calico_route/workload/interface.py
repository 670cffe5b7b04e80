"""The way from a container to its host and back: a veth pair, what is set inside of the container, and outside.

    host    cali…  ee:ee:ee:ee:ee:ee     192.168.0.1 dev cali… scope link      192.168.0.1 lladdr <container> PERMANENT
    inside  eth1   192.168.0.1/32        169.254.1.1 dev eth1 scope link       169.254.1.1 lladdr ee:… PERMANENT
                                         default via 169.254.1.1 dev eth1

Every step may be repeated. The functions block: they are for threads, and several may run at once.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from calico_route.kernel.socket import KernelError, in_namespace

from . import rtnetlink
from .names import HOST_MAC
from .ports import WorkloadError
from .request import GATEWAY, GATEWAY6
from .rtnetlink import LinkError, Rtnetlink

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_SYSCTL = Path("/proc/sys/net")
_OWN_NAMESPACE = "/proc/self/ns/net"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """One interface. `netns` None: the container's end stays here, as `peer`, and is not configured."""

    host_interface: str
    interface: str
    peer: str
    mac: str
    addresses: tuple[str, ...]
    netns: str | None
    mtu: int | None = None

    @property
    def handed_over(self) -> bool:
        return self.netns is None


def connect(wiring: Wiring) -> None:
    """Make the pair, and set the container's end up. WorkloadError."""
    with _told(), contextlib.ExitStack() as stack:
        namespace = None if wiring.netns is None else stack.enter_context(_namespace(wiring.netns))
        inside = wiring.peer if wiring.handed_over else wiring.interface
        pair = rtnetlink.new_veth(wiring.host_interface, HOST_MAC, inside, wiring.mac, namespace, wiring.mtu)
        kernel = stack.enter_context(Rtnetlink())
        try:
            kernel.change(pair)
        except LinkError as error:
            if error.errno != errno.EEXIST:
                raise
            if kernel.link(wiring.host_interface) is None and not (wiring.handed_over and kernel.link(inside)):
                raise WorkloadError(f"the container has an interface {inside} already", code="taken") from None
            # Of a try that came to no end: the name is made of this container's, nobody else has it.
            kernel.change(rtnetlink.delete_link(wiring.host_interface))
            if wiring.handed_over:
                kernel.change(rtnetlink.delete_link(inside))
            _make_again(kernel, pair, inside)
        if namespace is not None:
            _inside(f"/proc/self/fd/{namespace}", lambda: _configure(wiring))


def _make_again(kernel: Rtnetlink, pair: rtnetlink.Message, inside: str) -> None:
    try:
        kernel.change(pair)
    except LinkError as error:
        if error.errno == errno.EEXIST:
            raise WorkloadError(f"the container has an interface {inside} already", code="taken") from None
        raise


def _configure(wiring: Wiring) -> None:
    """In the container's namespace."""
    with Rtnetlink() as kernel:
        link = kernel.link(wiring.interface)
        if link is None:
            raise LinkError(errno.ENODEV, f"{wiring.interface} has vanished from the container")
        index = link.ifindex
        if any(":" in address for address in wiring.addresses):
            _set(f"ipv6/conf/{wiring.interface}/disable_ipv6", "0")
        changes = [rtnetlink.link_up(index, wiring.interface)]
        changes += [rtnetlink.new_address(index, address) for address in wiring.addresses]
        for gateway in _gateways(wiring):
            if gateway == GATEWAY:
                changes.append(rtnetlink.host_route(index, gateway))
            changes.append(rtnetlink.new_neighbour(index, gateway, HOST_MAC))
            changes.append(rtnetlink.default_route(index, gateway))
        kernel.change(*changes)


def _gateways(wiring: Wiring) -> list[str]:
    versions = {":" in address for address in wiring.addresses}
    return [gateway for gateway, six in ((GATEWAY, False), (GATEWAY6, True)) if six in versions]


def set_up_outside(wiring: Wiring) -> None:
    """Bring the host's end up, ready to forward. It has no route yet. WorkloadError."""
    with _told(), Rtnetlink() as kernel:
        link = kernel.link(wiring.host_interface)
        if link is None:
            raise LinkError(errno.ENODEV, f"{wiring.host_interface} has vanished")
        name, index = wiring.host_interface, link.ifindex
        versions = {":" in address for address in wiring.addresses}
        if False in versions:
            _forward("ipv4/ip_forward")
            # The container asks for nobody but its gateway, and knows that one. One that has lost its entries still
            # gets an answer; one that sends from another address is not heard, whether there are rules or not.
            _set(f"ipv4/conf/{name}/forwarding", "1")
            _set(f"ipv4/conf/{name}/proxy_arp", "1")
            _set(f"ipv4/neigh/{name}/proxy_delay", "0")
            _set(f"ipv4/conf/{name}/rp_filter", "1")
        if True not in versions:
            # A link-local address would only be one more fe80::/64 for the kernel and all who listen to it.
            if (_SYSCTL / "ipv6/conf" / name).exists():
                _set(f"ipv6/conf/{name}/disable_ipv6", "1")
        else:
            _forward("ipv6/conf/all/forwarding")
            _set(f"ipv6/conf/{name}/disable_ipv6", "0")
            _set(f"ipv6/conf/{name}/forwarding", "1")
            _set(f"ipv6/conf/{name}/accept_ra", "0")
        changes = [rtnetlink.new_neighbour(index, address, wiring.mac) for address in wiring.addresses]
        if wiring.handed_over and False in versions:
            # Inside there will be no permanent neighbour: the gateway has to answer. Of scope host, so that the host
            # never takes it for its own address towards the container.
            changes.append(rtnetlink.new_address(index, GATEWAY, scope=rtnetlink.SCOPE_HOST))
        kernel.change(rtnetlink.link_up(index, name), *changes)


def add_routes(wiring: Wiring) -> None:
    """Lead the host to the container: from here on it is reached. WorkloadError."""
    with _told(), Rtnetlink() as kernel:
        link = kernel.link(wiring.host_interface)
        if link is None:
            raise LinkError(errno.ENODEV, f"{wiring.host_interface} has vanished")
        kernel.change(*(rtnetlink.host_route(link.ifindex, address) for address in wiring.addresses))


def remove_routes(wiring: Wiring) -> None:
    """Nothing there is no error. WorkloadError."""
    with _told(), Rtnetlink() as kernel:
        link = kernel.link(wiring.host_interface)
        if link is not None:
            kernel.change(*(rtnetlink.delete_host_route(link.ifindex, address) for address in wiring.addresses))


def disconnect(wiring: Wiring) -> None:
    """Remove the pair, whichever of its ends is where. Nothing there is no error. WorkloadError."""
    with _told(), Rtnetlink() as kernel:
        kernel.change(rtnetlink.delete_link(wiring.host_interface))


def exists(name: str) -> bool:
    """Whether the host has an interface of that name. WorkloadError."""
    with _told(), Rtnetlink() as kernel:
        return kernel.link(name) is not None


def fault(wiring: Wiring) -> str | None:
    """The first thing that is not as it should be, in words; None if all is. WorkloadError where nobody can tell."""
    with _told(), Rtnetlink() as kernel:
        name = wiring.host_interface
        link = kernel.link(name)
        if link is None:
            return f"the interface {name} is gone"
        if not link.up:
            return f"the interface {name} is down"
        for address in wiring.addresses:
            route = kernel.route_to(address)
            whole = route is not None and route.nlri[0] == (128 if ":" in address else 32)
            if route is None or not whole or [hop.ifindex for hop in route.route.spec.nexthops] != [link.ifindex]:
                return f"no route leads to {address} through {name}"
        if wiring.netns is None:
            return None
        try:
            with _namespace(wiring.netns) as namespace:
                return _inside(f"/proc/self/fd/{namespace}", lambda: _fault_inside(wiring))
        except WorkloadError as error:
            return str(error)


def _fault_inside(wiring: Wiring) -> str | None:
    with Rtnetlink() as kernel:
        link = kernel.link(wiring.interface)
        if link is None:
            return f"the container has no interface {wiring.interface}"
        if not link.up:
            return f"{wiring.interface} in the container is down"
        missing = set(wiring.addresses) - kernel.addresses(link.ifindex)
        if missing:
            return f"{wiring.interface} in the container lacks {', '.join(sorted(missing))}"
        for gateway in _gateways(wiring):
            packed = socket.inet_pton(socket.AF_INET6 if ":" in gateway else socket.AF_INET, gateway)
            route = kernel.route_to("2001:db8::1" if ":" in gateway else "192.0.2.1")
            hops = () if route is None else route.route.spec.nexthops
            if [(hop.gateway, hop.ifindex) for hop in hops] != [(packed, link.ifindex)]:
                return f"the container's default route does not lead through {gateway} on {wiring.interface}"
    return None


def _forward(key: str) -> None:
    """The host as a whole forwards packets: Docker and Calico's Felix switch that on, too."""
    if (_SYSCTL / key).read_text().strip() != "1":
        _set(key, "1")
        log.info("net.%s is 1 from now on: without it no packet gets from or to a container", key.replace("/", "."))


def _set(key: str, value: str) -> None:
    try:
        path = _SYSCTL / key
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        raise LinkError(error.errno, f"cannot set net.{key.replace('/', '.')} to {value}: {error.strerror}") from error


@contextlib.contextmanager
def _namespace(path: str) -> Iterator[int]:
    """A descriptor of a container's network namespace, which stays the same while another one gets its path."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            words = f"cannot open {path}: {error.strerror}; the agent needs CAP_SYS_PTRACE (and root) for that"
            raise WorkloadError(words, code="internal") from None
        words = f"no network namespace {path}: {error.strerror}; is the container still running?"
        raise WorkloadError(words, code="no-netns") from None
    try:
        found, own = os.fstat(descriptor), os.stat(_OWN_NAMESPACE)
        if found.st_dev != own.st_dev:
            raise WorkloadError(f"{path} is no network namespace", code="no-netns")
        if found.st_ino == own.st_ino:
            raise WorkloadError(f"{path} is the host's own network namespace: the container has none of its own")
        yield descriptor
    finally:
        os.close(descriptor)


def _inside(path: str, work: Callable[[], _T]) -> _T:
    try:
        return in_namespace(path, work)
    except KernelError as error:
        cause = error.__cause__
        if isinstance(cause, LinkError):  # of the work, not of the way in
            raise cause from None
        number = cause.errno if isinstance(cause, OSError) else None
        if number == errno.EINVAL:
            raise WorkloadError("that is no network namespace", code="no-netns") from None
        hint = "; the agent needs CAP_SYS_ADMIN for that: start it with `calico-route node`"
        raise WorkloadError(f"{error}{hint if number == errno.EPERM else ''}", code="internal") from None


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What the kernel refuses, as what the caller is told."""
    try:
        yield
    except LinkError as error:
        raise WorkloadError(error.strerror or str(error), code="internal") from None
    except OSError as error:
        raise WorkloadError(f"the kernel does not answer: {error.strerror or error}", code="internal") from None
