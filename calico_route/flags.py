"""The command line: which flags there are, and what `--help` says of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from .words import overview

NODENAME_FILE = Path("/var/lib/calico/nodename")
SOCKET_DIRECTORY = Path("/run/calico_route")
BIRD_DIRECTORY = Path("/var/run/calico")
STATE_DIRECTORY = Path("/var/lib/calico_route")
COMPAT = ("auto", "v3.31", "v3.32", "v3.33")
LEVELS = ("debug", "info", "warning", "error")

DESCRIPTION = """\
Routing between the hosts of a Calico network, in place of BIRD and confd: reads Calico's own resources,
keeps a BGP session to every other node, announces the addresses of the workloads on this host, and puts
what it learns into the kernel's main table (proto bird)."""

EPILOG = """\
environment (flags win):
  ETCD_ENDPOINTS, ETCD_AUTHORITY      etcd, when --peer-from-etcd has no value
  ETCD_CA_CERT_FILE, ETCD_CERT_FILE, ETCD_KEY_FILE, ETCD_USERNAME, ETCD_PASSWORD
  NODENAME, IP, IP6, AS               as Calico's node takes them ("autodetect" or "" : found out)
  CALICO_ROUTER_ID                    BGP Identifier: an address, or the word hash
  USE_POD_CIDR                        true: with --announce blocks the blocks are the podCIDRs of the Node

signals:
  SIGTERM, SIGINT   leave in good order within 5 s: routes stay in the kernel and, by graceful restart,
                    with the other nodes, so that an upgrade is not noticed. A second one ends at once.
  SIGHUP            read the files again: passwords and resources

exit codes: 0 left in good order, 1 could not go on, 2 wrong flags or environment

examples:
  calico-route --peer-from-etcd http://192.168.78.21:2379
  calico-route --peer-from-etcd https://a:2379,https://b:2379 --etcd-ca-cert ca.pem --ip 192.168.78.21
  calico-route --peer-from-file nodes.yaml --node-name host1 --announce-unchecked
  calico-route status
"""


class UsageError(ValueError):
    """Wrong flags or environment: one line for each mistake."""


class _Parser(argparse.ArgumentParser):
    """Raises UsageError instead of leaving the process: all mistakes are told in one place."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def parser() -> argparse.ArgumentParser:
    """The flags of the agent."""
    made = _Parser(
        prog="calico-route",
        usage="calico-route (--peer-from-etcd [ENDPOINTS] | --peer-from-file FILE) [options]\n"
        "       calico-route node [--detach] [options] | node stop [--force]\n"
        "       calico-route status [--json] [--routes] [--socket PATH]\n"
        "       calico-route drain [--wait SECONDS] [--end] [--socket PATH]\n"
        "       calico-route COMMAND ...",
        description=f"{DESCRIPTION}\n\ncommands (COMMAND --help says more of each):\n{overview()}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument_group("where the resources are (one of)").add_argument
    add(
        "--peer-from-etcd",
        metavar="ENDPOINTS",
        nargs="?",
        const="",
        help="etcd v3: http://host:2379[,...]; without a value ETCD_ENDPOINTS or http://127.0.0.1:2379",
    )
    add(
        "--peer-from-file",
        metavar="FILE",
        help="YAML or JSON, the very objects that `calicoctl get -o yaml` prints; watched for changes",
    )

    add = made.add_argument_group("etcd").add_argument
    add("--etcd-ca-cert", metavar="FILE", help="certificates that may have signed etcd's")
    add("--etcd-cert", metavar="FILE", help="our certificate")
    add("--etcd-key", metavar="FILE", help="its key")
    add("--etcd-username", metavar="NAME")
    add("--etcd-password-file", metavar="FILE", help="its first line is the password (or: ETCD_PASSWORD)")
    add(
        "--etcd-driver",
        choices=("aioetcd3", "http"),
        help="how to speak to etcd (default: aioetcd3 where it can be imported, else http)",
    )

    add = made.add_argument_group("this node").add_argument
    add("--node-name", metavar="NAME", help=f"default: NODENAME, {NODENAME_FILE}, the host's name")
    add(
        "--ip",
        metavar="ADDRESS[/LEN]",
        help="IPv4 address of the sessions; the Node in etcd is corrected. Default: IP, the Node's, the "
        "address that leads to etcd or to the default route. `none`: no IPv4",
    )
    add("--ip6", metavar="ADDRESS[/LEN]", help="IPv6 address. Default: IP6, the Node's. `none`: no IPv6")
    add(
        "--as",
        dest="asn",
        metavar="NUMBER",
        help="AS number; the Node is corrected. Default: AS, the Node's, the cluster's, 64512",
    )
    add(
        "--router-id",
        metavar="ADDRESS",
        help="BGP Identifier, or `hash` to make one of the node's name. Default: CALICO_ROUTER_ID, the IPv4 address",
    )

    add = made.add_argument_group("what is announced").add_argument
    add(
        "--announce",
        choices=("workloads", "blocks"),
        default="workloads",
        help="every workload's address by itself; or, as Calico does, this node's blocks of addresses as a whole, and "
        "by themselves only addresses outside of them (default: workloads)",
    )
    add(
        "--workloads-from",
        choices=("etcd", "kernel", "both"),
        default="etcd",
        help="WorkloadEndpoints of this node, host routes to workload interfaces, or both (default: etcd)",
    )
    add(
        "--interface-prefix",
        metavar="TEXT",
        default="cali",
        help="how names of workload interfaces begin (default: cali)",
    )
    add(
        "--announce-unchecked",
        action="store_true",
        help="announce endpoints whose interface and local route do not exist, for labs without any",
    )

    add = made.add_argument_group("sessions").add_argument
    add(
        "--hold-time",
        metavar="SECONDS",
        default="90",
        help="a silent node is given up after this; 0 never, else 3 to 65535 (default: 90)",
    )
    add(
        "--auto-reflectors",
        metavar="LABEL",
        default="",
        help="nodes with this label (KEY or KEY=VALUE) reflect routes, and all others of their AS have sessions with "
        "them alone; give it to the agents of all nodes. Without such a node: a full mesh",
    )
    add("--mesh-password-file", metavar="FILE", help="its first line is the TCP MD5 password of all sessions")
    add(
        "--secrets-dir",
        metavar="DIR",
        help="where passwords are that BGPPeers and BGPConfiguration name by secret and key: in DIR/SECRET/KEY, as "
        "Kubernetes mounts them. Looked at again when they change",
    )
    add("--ttl-security", metavar="HOPS", help="accept only packets from this near (RFC 5082); 1: same link")

    add(
        "--compat",
        choices=COMPAT,
        default="auto",
        help="the Calico of the other nodes: from v3.32 on LOCAL_PREF carries the metric of routes, from v3.33 on "
        "routes into IPIP pools are Felix's. auto: as ClusterInformation says (default: auto)",
    )

    add = made.add_argument_group("caution").add_argument
    add(
        "--stale-route-time",
        metavar="SECONDS",
        default="30",
        help="after a start: how long routes of before wait for nodes that cannot be reached (default: 30)",
    )
    add(
        "--mass-deletion-hold",
        metavar="SECONDS",
        default="300",
        help="how long to disbelieve that all pools, most nodes or everything is gone; 0 believes at once "
        "(default: 300)",
    )
    add(
        "--contested",
        choices=("yield", "insist"),
        default="yield",
        help="where another program has made a route with the destination and metric of a learned one: leave it "
        "there and say so, or overwrite it, once a second at most. What is only deleted is put back by both "
        "(default: yield)",
    )
    add(
        "--flush-on-exit",
        action="store_true",
        help="at the end remove the routes from the kernel and withdraw ours from the other nodes",
    )

    add = made.add_argument_group("files and log").add_argument
    add(
        "--state-dir",
        metavar="DIR",
        default=str(STATE_DIRECTORY),
        help=f"for the last snapshot, used when etcd is away at start (default: {STATE_DIRECTORY})",
    )
    add("--socket", metavar="PATH", help=f"for `status` (default: {SOCKET_DIRECTORY}/<node>.sock)")
    for number, version in (("", "IPv4"), ("6", "IPv6")):
        add(
            f"--bird{number}-socket",
            metavar="PATH",
            nargs="?",
            const=f"{BIRD_DIRECTORY}/bird{number}.ctl",
            help=f"answer there as BIRD's control socket does, about {version}: for `calicoctl node status`, readiness "
            f"checks, exporters, `birdc -s`. Without a value {BIRD_DIRECTORY}/bird{number}.ctl",
        )
    add(
        "--metrics",
        metavar="ADDRESS:PORT",
        default="127.0.0.1:9908",
        help="OpenMetrics at /metrics, and /healthz and /readyz; `none`: nothing of it (default: 127.0.0.1:9908)",
    )
    add("--metrics-per-peer", action="store_true", help="metrics also of every session, not of all together alone")
    add("--log-level", choices=LEVELS, default="info")
    add("--log-format", choices=("text", "json"), default="text")
    add(
        "--print-bird-config",
        choices=("4", "6"),
        nargs="?",
        const="4",
        help="print what confd would have rendered for BIRD 1.6 (or for bird6) from the same datastore, and leave",
    )
    add("--version", action="store_true", help="print the version and leave")
    return made


def drain_parser() -> argparse.ArgumentParser:
    """The flags of `calico-route drain`."""
    made = _Parser(
        prog="calico-route drain",
        description="Tell all neighbours that this node is about to go (GRACEFUL_SHUTDOWN, RFC 8326), wait, withdraw "
        "its routes, and say when it is safe to stop. The agent runs on, drained until it ends, or until --end.",
        epilog="exit codes: 0 safe to stop (or the drain has ended), 1 not in time, or no agent answers, 2 wrong flags",
        allow_abbrev=False,
    )
    made.add_argument("--wait", metavar="SECONDS", default="10", help="before routes are withdrawn (default: 10)")
    made.add_argument("--end", action="store_true", help="this node stays: announce everything as before")
    made.add_argument("--node-name", metavar="NAME", help="of which agent, if there are several")
    made.add_argument("--socket", metavar="PATH", help=f"default: {SOCKET_DIRECTORY}/<node>.sock")
    return made


def status_parser() -> argparse.ArgumentParser:
    """The flags of `calico-route status`."""
    made = _Parser(
        prog="calico-route status",
        description="What the agent on this host is doing.",
        epilog="exit codes: 0 printed, 1 no agent answers, 2 wrong flags",
        allow_abbrev=False,
    )
    made.add_argument("--json", action="store_true", help="for programs")
    made.add_argument("--routes", action="store_true", help="also every learned route")
    made.add_argument("--node-name", metavar="NAME", help="of which agent, if there are several")
    made.add_argument("--socket", metavar="PATH", help=f"default: {SOCKET_DIRECTORY}/<node>.sock")
    return made
