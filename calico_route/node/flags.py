"""The flags of `calico-route node`: those of the agent, and those of what runs beside it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from calico_route.config import Settings, settings_of
from calico_route.fields import peer_address
from calico_route.flags import SOCKET_DIRECTORY, UsageError, parser

WORKLOAD_SOCKETS = SOCKET_DIRECTORY / "workloads"
PLUGIN_DIRECTORY = "/run/docker/plugins"
PROXY = "127.0.0.1:2377"
DOCKER_SOCKET = "/run/docker.sock"
LOG_DIRECTORY = Path("/var/log/calico_route")

USAGE = """calico-route node [options]
       calico-route node --detach [options]
       calico-route node stop [--force] [options]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """What a node is told. `policy` False: no rules, every workload reaches everything. `docker_proxy` is address and
    port."""

    agent: Settings
    policy: bool = True
    workload_to_host: str = "drop"
    ipam: str = "sequential"
    workload_socket: Path
    docker_plugin: Path | None = None
    docker_proxy: tuple[str, int] | None = None
    docker_socket: Path = Path(DOCKER_SOCKET)
    detach: bool = False
    log_file: Path

    @property
    def pid_file(self) -> Path:
        return self.agent.socket.with_suffix(".pid")


def node_parser() -> argparse.ArgumentParser:
    made = parser()
    made.prog, made.usage = "calico-route node", USAGE
    add = made.add_argument_group("containers on this node").add_argument
    add(
        "--policy",
        choices=("on", "off"),
        default="on",
        help="enforce profiles with nftables; off: every container reaches everything (default: on)",
    )
    add(
        "--workload-to-host",
        choices=("drop", "accept"),
        default="drop",
        help="what a container sends to this host itself, beyond DHCP, DNS and answers (default: drop)",
    )
    add(
        "--ipam",
        choices=("sequential", "blocks"),
        default="sequential",
        help="the lowest free address of the cluster, or first of this node's own blocks (default: sequential)",
    )
    add("--workload-socket", metavar="PATH", help=f"for CNI and commands (default: {WORKLOAD_SOCKETS}/<node>.sock)")
    add(
        "--docker-plugin",
        metavar="DIR",
        nargs="?",
        const=PLUGIN_DIRECTORY,
        help=f"be a network and an IPAM driver of Docker; without a value in {PLUGIN_DIRECTORY}",
    )
    add(
        "--docker-proxy",
        metavar="ADDRESS:PORT",
        nargs="?",
        const=PROXY,
        help=f"Docker's API with CALICO_IP and CALICO_PROFILE, on the loopback; without a value {PROXY}. Whoever can "
        "connect to it is root",
    )
    add("--docker-socket", metavar="PATH", default=DOCKER_SOCKET, help=f"Docker's own API (default: {DOCKER_SOCKET})")
    add("--detach", action="store_true", help="go on in the background, once it works")
    add("--log-file", metavar="PATH", help=f"with --detach (default: {LOG_DIRECTORY}/<node>.log)")
    return made


def read_node_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> NodeSettings:
    """UsageError, with a line for each mistake. Without a word of it, etcd is on this host."""
    flags = node_parser().parse_args(arguments)
    return node_settings_of(flags, environ)


def node_settings_of(flags: argparse.Namespace, environ: Mapping[str, str]) -> NodeSettings:
    """The same of flags that are parsed already."""
    mistakes = []
    if flags.peer_from_file is not None:
        mistakes.append("--peer-from-file: a node with containers writes to the datastore: give --peer-from-etcd")
        flags.peer_from_file = None
    if flags.peer_from_etcd is None:
        flags.peer_from_etcd = ""
    proxy = None
    if flags.docker_proxy is not None:
        try:
            found = peer_address(flags.docker_proxy)
            proxy = None if found.port is None else (found.address, found.port)
        except ValueError:
            pass  # told below
        if proxy is None:
            mistakes.append(f"--docker-proxy {flags.docker_proxy!r}: write ADDRESS:PORT, as in {PROXY}")
        elif not (proxy[0].startswith("127.") or proxy[0] == "::1"):
            mistakes.append(f"--docker-proxy {flags.docker_proxy!r}: only on the loopback, as in {PROXY}")
    if flags.log_file is not None and not flags.detach:
        mistakes.append("--log-file: only with --detach; in the foreground the log goes to standard error")
    try:
        agent = settings_of(flags, environ)
    except UsageError as error:
        raise UsageError("\n".join([*mistakes, str(error)])) from None
    if mistakes:
        raise UsageError("\n".join(mistakes))
    name = agent.node_name
    return NodeSettings(
        agent=agent,
        policy=flags.policy == "on",
        workload_to_host=flags.workload_to_host,
        ipam=flags.ipam,
        workload_socket=Path(flags.workload_socket or WORKLOAD_SOCKETS / f"{name}.sock"),
        docker_plugin=None if flags.docker_plugin is None else Path(flags.docker_plugin),
        docker_proxy=proxy,
        docker_socket=Path(flags.docker_socket),
        detach=flags.detach,
        log_file=Path(flags.log_file or LOG_DIRECTORY / f"{name}.log"),
    )
