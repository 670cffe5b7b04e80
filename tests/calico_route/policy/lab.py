"""A host with workloads in network namespaces, and probes of real packets between them."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from demo.lab import GATEWAY, GATEWAY_V6, HOST_MAC, Host, Lab, Namespace

PATIENCE = 0.3  # seconds without an answer that mean: dropped. On one machine an answer takes microseconds


class Workload(Namespace):
    """A namespace behind cali<name> with IPv4 and IPv6 addresses; it answers on every port that it serves."""

    addresses: tuple[str, ...]
    interface: str

    def __init__(self, lab: Lab, name: str, path_name: str) -> None:
        super().__init__(lab, name, path_name)
        self.sockets: list[socket.socket] = []

    def address(self, version: int = 4) -> str:
        return next(one for one in self.addresses if ip_address(one).version == version)

    def serve_tcp(self, *ports: int) -> None:
        for port in ports:
            handle = self.socket(socket.AF_INET6, socket.SOCK_STREAM)
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            handle.bind(("::", port))
            handle.listen(4096)
            self.sockets.append(handle)

    def serve_udp(self, *ports: int) -> None:
        """Each datagram comes back to its sender."""
        for port in ports:
            handle = self.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            handle.bind(("::", port))
            self.sockets.append(handle)
            threading.Thread(target=_echo, args=(handle,), daemon=True).start()

    def close(self) -> None:
        for handle in self.sockets:
            with contextlib.suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)
            handle.close()


def _echo(handle: socket.socket) -> None:
    while True:
        try:
            data, sender = handle.recvfrom(100)
        except OSError:
            return
        if sender is None:  # shut down
            return
        with contextlib.suppress(OSError):
            handle.sendto(data, sender)


def add_workload(lab: Lab, host: Host, name: str, addresses: Sequence[str]) -> Workload:
    one = Workload(lab, name, f"{lab.tag}-{name}")
    one.addresses, one.interface = tuple(addresses), f"cali{name}"
    lab.add(one)
    host.run("ip", "link", "add", one.interface, "type", "veth", "peer", "name", "eth1", "netns", one.netns)
    host.run("ip", "link", "set", one.interface, "address", HOST_MAC, "up")
    one.run("ip", "link", "set", "eth1", "up")
    one.run("ip", "route", "add", GATEWAY, "dev", "eth1", "scope", "link")
    for gateway, family in ((GATEWAY, "-4"), (GATEWAY_V6, "-6")):
        one.run("ip", family, "neigh", "replace", gateway, "lladdr", HOST_MAC, "dev", "eth1", "nud", "permanent")
        for address in addresses:
            v6 = ":" in address
            if v6 == (family == "-6"):
                bits, extra = (128, ["nodad"]) if v6 else (32, [])
                one.run("ip", "address", "add", f"{address}/{bits}", "dev", "eth1", *extra)
                host.run("ip", family, "route", "add", f"{address}/{bits}", "dev", one.interface)
        if any((":" in address) == (family == "-6") for address in addresses):
            one.run("ip", family, "route", "add", "default", "via", gateway, "dev", "eth1")
    mac = one.run("cat", "/sys/class/net/eth1/address").strip()
    for address in addresses:
        host.run("ip", "neigh", "replace", address, "lladdr", mac, "dev", one.interface, "nud", "permanent")
    return one


def connects(source: Workload | Namespace, destination: str, port: int, *, source_port: int = 0) -> bool:
    """Whether a TCP connection comes up."""
    with contextlib.closing(_connected(source, destination, port, socket.SOCK_STREAM, source_port)) as handle:
        return _works(handle)


def _works(handle: socket.socket) -> bool:
    try:
        handle.getpeername()
    except OSError:
        return False
    return True


def _connected(
    source: Namespace, destination: str, port: int, kind: socket.SocketKind, source_port: int = 0
) -> socket.socket:
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    handle = source.socket(family, kind)
    handle.settimeout(PATIENCE)
    if source_port:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handle.bind(("", source_port))
    with contextlib.suppress(OSError):
        handle.connect((destination, port))
    return handle


def open_connection(source: Namespace, destination: str, port: int) -> socket.socket:
    """An established TCP connection, to be closed by the caller."""
    handle = _connected(source, destination, port, socket.SOCK_STREAM)
    assert _works(handle), f"no connection to {destination} port {port}"
    return handle


def answers_udp(source: Namespace, destination: str, port: int, *, source_port: int = 0) -> bool:
    """Whether a datagram comes back."""
    with contextlib.closing(_connected(source, destination, port, socket.SOCK_DGRAM, source_port)) as handle:
        try:
            handle.send(b"?")
            return handle.recv(10) == b"?"
        except OSError:
            return False


def answers_ping(source: Namespace, destination: str, identifier: int) -> bool:
    """Whether an ICMP echo request is answered."""
    v6 = ":" in destination
    family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if v6 else (socket.AF_INET, socket.IPPROTO_ICMP)
    request, reply = (128, 129) if v6 else (8, 0)
    header = struct.pack("!BBHHH", request, 0, 0, identifier, 1)
    checksum = 0 if v6 else _checksum(header)
    packet = struct.pack("!BBHHH", request, 0, checksum, identifier, 1)
    with source.socket(family, socket.SOCK_RAW, protocol) as handle:
        handle.settimeout(PATIENCE)
        handle.sendto(packet, (destination, 0))
        try:
            while True:
                data, _ = handle.recvfrom(200)
                answer = data if v6 else data[(data[0] & 15) * 4 :]
                if answer[0] == reply and answer[4:6] == struct.pack("!H", identifier):
                    return True
        except OSError:
            return False


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


@contextlib.contextmanager
def hosted(tag: str) -> Iterator[tuple[Lab, Host]]:
    """A lab with one host."""
    with Lab(tag) as lab:
        yield lab, lab.host("n1", "192.168.78.21/24", "2001:db8:0:78::21/64")
