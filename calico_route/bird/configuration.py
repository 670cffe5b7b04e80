"""What confd would have rendered for BIRD 1.6, from the same datastore: for those who compare. Pure.

Calico's own way of announcing, blocks as a whole, whatever this agent is told by its flags. Passwords are not printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from calico_route.compat import Compat
from calico_route.desired import Wishes
from calico_route.identity import Identity
from calico_route.programming import Static
from calico_route.sessions import Local, MeshPeer, Options
from calico_route.telling import NamedRules
from calico_route.view import View
from pybgp import IPV4_UNICAST, IPV6_UNICAST, Family

from .filter_language import (
    aggregation,
    export_functions,
    filter_functions,
    filter_name,
    in_a_line,
    kernel_filter,
    quoted,
)

KERNEL = """\
protocol kernel {
  learn;
  persist;
  scan time 2;
  import all;
  export filter calico_kernel_programming;
  graceful restart;
  merge paths on;
}

protocol device {
  scan time 2;
}
"""

TEMPLATE = """\
template bgp bgp_template {{
  description "Connection to BGP peer";
  local as {asn};
  multihop;
  gateway recursive;
  import all;
  add paths on;
  graceful restart;
  connect delay time 2;
  connect retry time 5;
  error wait time 5,30;
}}
"""


def bird_configuration(view: View, identity: Identity, options: Options, *, version: int) -> str:
    """The configuration of `bird` (4) or `bird6` (6) of a node, as text that `bird -p` takes."""
    family = IPV6_UNICAST if version == 6 else IPV4_UNICAST
    wishes = Wishes()
    wanted = wishes.state(
        view,
        identity,
        replace(options, announce_blocks=True),
        present=lambda _interface, _prefix: False,
        kernel_workloads=frozenset(),
    )
    lines = [f"# BIRD 1.6, IPv{version}, node {in_a_line(identity.name)}"]
    lines += [f"# {in_a_line(problem)}" for problem in wanted.problems]
    if wanted.local is not None:
        lines += _parts(view, wanted.local, list(wanted.peers.values()), wishes, family)
    else:
        lines += ["", f"router id {_NO_ROUTER_ID};", "", "protocol device {", "}"]
    return "\n".join(lines) + "\n"


_NO_ROUTER_ID = "127.0.0.1"


def _parts(view: View, local: Local, peers: list[MeshPeer], wishes: Wishes, family: Family) -> Iterator[str]:
    peers = [peer for peer in peers if peer.family == family]
    known = wishes.compat
    yield ""
    yield f"router id {local.bgp_identifier};"
    yield from _listening(local, family)
    yield ""
    yield from aggregation(wishes.advertised.whole, family)
    yield ""
    yield from export_functions(wishes.rules, family, known)
    yield from _filters(peers, family)
    yield ""
    yield from kernel_filter(wishes.kernel, known, family)
    yield ""
    yield KERNEL
    yield "protocol direct {"
    ignored = "".join(f"-{quoted(name)}, " for name in _ignored(view, local.name, known))
    yield f'  interface {ignored}-"cali*", -"kube-ipvs*", "*";'
    yield "}"
    yield ""
    yield from _statics(wishes, family)
    yield TEMPLATE.format(asn=local.asn)
    for peer in sorted(peers, key=lambda one: one.bird_name):
        yield from _peer(peer, local, family)


def _listening(local: Local, family: Family) -> Iterator[str]:
    address = next((one for one in local.listen if (":" in one) == (family == IPV6_UNICAST)), None)
    any_address = address in (None, "0.0.0.0", "::")
    if local.port != 179 or not any_address:
        yield "listen bgp" + ("" if any_address else f" address {address}") + f" port {local.port};"


def _filters(peers: list[MeshPeer], family: Family) -> Iterator[str]:
    """The functions of all BGPFilters that a session names, each once."""
    for direction in ("import", "export"):
        named: dict[str, NamedRules] = {}
        for peer in peers:
            named.update({one.name: one for one in _rules_of(peer, direction)})
        if named:
            yield ""
            yield from filter_functions(named.values(), direction, family)


def _rules_of(peer: MeshPeer, direction: str) -> tuple[NamedRules, ...]:
    if direction == "import":
        return peer.imports
    return () if peer.export is None else peer.export.filters


def _ignored(view: View, node: str, known: Compat) -> tuple[str, ...]:
    own = view.configuration_of(node).ignored_interfaces if known.listens_per_node else ()
    return own or view.configuration.ignored_interfaces


def _statics(wishes: Wishes, family: Family) -> Iterator[str]:
    found = {**dict.fromkeys(wishes.advertised.services, Static()), **wishes.statics}
    lines = []
    for prefix, static in sorted(found.items()):
        if prefix.family == family:
            way = "blackhole" if static.gateway is None else f"via {static.gateway}"
            lines.append(f"  route {prefix} {way};")
    if lines:
        yield from ("protocol static {", *lines, "}", "")


def _peer(peer: MeshPeer, local: Local, family: Family) -> Iterator[str]:
    yield f"# {in_a_line(peer.name)}"
    yield f"protocol bgp {peer.bird_name} from bgp_template {{"
    if peer.shown_as is not None:
        yield f"  local as {peer.shown_as};"
    port = f" port {peer.port}" if peer.port != 179 else ""
    yield f"  neighbor {peer.address}{port} as {peer.peer_as};"
    if peer.local_address is not None:
        yield f"  source address {peer.local_address};"
    if peer.ttl_security:
        yield f"  ttl security on; multihop {peer.ttl_security};"
    if peer.passive and peer.scope != "Node":  # there, both sides of Calico's dial
        yield "  passive on;"
    if peer.password is not None:
        yield '  password "(not printed)";'
    if peer.restart_time != 120:
        yield f"  graceful restart time {peer.restart_time};"
    if peer.keepalive_time is not None:
        yield f"  keepalive time {round(peer.keepalive_time)};"
    if peer.next_hop_self:
        yield "  next hop self;"
    if peer.next_hop_unchanged:
        yield "  next hop keep;"
    if peer.allow_own_as:
        yield f"  allow local as {peer.allow_own_as};"
    if peer.client:
        yield f"  rr client; rr cluster id {_dotted(peer.cluster_id, local)};"
    yield from _passing(peer, family)
    yield "}"
    yield ""


def _dotted(cluster_id: int | None, local: Local) -> str:
    if cluster_id is None:
        return local.bgp_identifier
    return ".".join(map(str, cluster_id.to_bytes(4, "big")))


def _passing(peer: MeshPeer, family: Family) -> Iterator[str]:
    internal = "true" if peer.internal else "false"
    for direction in ("import", "export"):
        calls = [f"{filter_name(one, direction, family)}({internal});" for one in _rules_of(peer, direction)]
        if direction == "export":
            calls.append(f"calico_export_to_bgp_peers({internal}); reject;")
        elif calls:
            calls.append("accept;")
        if calls:
            yield f"  {direction} filter {{ {' '.join(calls)} }};"
