"""What `calico_route status` shows, as one document of plain values: lists of objects, never data as keys.

Times are seconds since 1970, durations seconds; docs/calico_route.md describes every field.
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import cache
from typing import Any

from pybgp import IPV4_UNICAST, IPV6_UNICAST, PeerSnapshot, Prefix, State, __version__, format_address

from .agent import Agent
from .sessions import Local, MeshPeer

PROBLEMS_SHOWN = 100


def report(agent: Agent, *, routes: bool = False) -> dict[str, Any]:
    """The state of an agent now. `routes`: with every route that is in the kernel."""
    wanted = agent.wanted
    local = agent.mesh.local or (wanted.local if wanted is not None else None)
    kernel = agent.kernel.routes()
    peers = _peers(agent)
    document: dict[str, Any] = {
        "version": __version__,
        "pid": os.getpid(),
        "since": round(agent.started, 3),
        "node": agent.ourselves.identity.name,
        **_local(local),
        "datastore": _datastore(agent),
        "sessions": {
            "wanted": sum(not peer["leaving"] for peer in peers),
            "established": sum(peer["state"] == str(State.ESTABLISHED) for peer in peers),
            "complete": sum(peer["end_of_rib"] for peer in peers),
        },
        "peers": peers,
        "announced": [str(prefix) for prefix in sorted(wanted.announcements)] if wanted is not None else [],
        "not_announced": [
            {"prefix": str(prefix), "reason": reason}
            for prefix, reason in (sorted(wanted.withheld.items()) if wanted is not None else ())
        ],
        "learned": {"ipv4": agent.mesh.learned[1], "ipv6": agent.mesh.learned[2]},
        "kernel": {
            "ipv4": len(kernel.installed.get(1, ())),
            "ipv6": len(kernel.installed.get(2, ())),
            "pending": kernel.pending,
            "stale": kernel.unconfirmed,
            "problems": [str(problem) for problem in kernel.problems[:PROBLEMS_SHOWN]],
        },
        "held_back": _held_back(agent),
        "problems": _problems(agent),
    }
    if routes:
        document["routes"] = _routes(agent)
    return document


def answer(agent: Agent, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request on the control socket. ValueError for one that is not known."""
    what = request.get("request")
    if what != "status":
        raise ValueError(f"unknown request {str(what)[:40]!r}: only status is answered")
    return {"status": report(agent, routes=request.get("routes") is True)}


def _local(local: Local | None) -> dict[str, Any]:
    if local is None:
        return {"ipv4": None, "ipv6": None, "as": None, "bgp_identifier": None, "port": None}
    return {
        "ipv4": None if local.ipv4 is None else local.ipv4.address,
        "ipv6": None if local.ipv6 is None else local.ipv6.address,
        "as": local.asn,
        "bgp_identifier": local.bgp_identifier,
        "port": local.port,
    }


def _datastore(agent: Agent) -> dict[str, Any]:
    status = agent.datastore.status
    believed = agent.believed
    return {
        "connected": status.connected,
        "since": round(status.since, 3),
        "reason": status.reason,
        "source": status.source,
        "driver": status.driver,
        "revision": status.revision,
        "from_disk": believed is not None and believed.from_disk,
    }


def _peers(agent: Agent) -> list[dict[str, Any]]:
    asked = {} if agent.wanted is None else agent.wanted.peers
    wanted = {**agent.mesh.peers, **asked}
    snapshots = agent.mesh.snapshots()
    found = []
    for address in sorted(wanted.keys() | snapshots.keys(), key=_by_node(wanted)):
        refused = agent.mesh.failed.get(address, "")
        actual = agent.mesh.peers.get(address)
        leaving = actual is not None and actual.leaving and address not in asked
        found.append({**_peer(address, wanted.get(address), snapshots.get(address), refused), "leaving": leaving})
    return found


def _by_node(wanted: Any) -> Any:
    def key(address: str) -> tuple[str, str]:
        peer = wanted.get(address)
        return ("" if peer is None else peer.node, address)

    return key


def _peer(address: str, peer: MeshPeer | None, now: PeerSnapshot | None, refused: str) -> dict[str, Any]:
    common = {
        "node": peer.node if peer is not None else now.description if now is not None else "",
        "address": address,
        "as": peer.peer_as if peer is not None else now.peer_as if now is not None else None,
    }
    if now is None:
        return {
            **common,
            "state": str(State.IDLE),
            "since": None,
            "seconds": None,
            "routes_in": 0,
            "routes_out": 0,
            "end_of_rib": False,
            "stale": False,
            "last_error": refused or "not begun",
        }
    return {
        **common,
        "state": str(now.state),
        "since": round(now.since + _clock_offset(), 1),
        "seconds": round(now.uptime, 1),
        "routes_in": now.routes_received,
        "routes_out": now.routes_advertised,
        "end_of_rib": now.established and now.end_of_rib >= now.families.keys(),
        "stale": now.restarting,
        "last_error": refused or now.last_error,
        "dials": bool(peer is not None and not peer.passive),
        "local_address": now.local_address,
        "bgp_identifier": None if now.bgp_identifier is None else format_address(now.bgp_identifier.to_bytes(4, "big")),
        "hold_time": now.hold_time,
        "established_count": now.established_count,
        "messages_in": now.messages_received,
        "messages_out": now.messages_sent,
    }


@cache
def _clock_offset() -> float:
    """From the event loop's clock to wall clock time; taken once, so that `since` stays the same."""
    return time.time() - asyncio.get_running_loop().time()


def _held_back(agent: Agent) -> list[dict[str, Any]]:
    if agent.believed is None:
        return []
    return [
        {
            "what": hold.what,
            "missing": sorted(str(key) for key in hold.missing)[:PROBLEMS_SHOWN],
            "until": round(hold.until + _clock_offset(), 1),
        }
        for hold in agent.believed.holds
    ]


def _problems(agent: Agent) -> list[str]:
    found = []
    if agent.ourselves.problem:
        found.append(agent.ourselves.problem)
    if agent.ourselves.foreign:
        found.append(f"{agent.ourselves.foreign} is no address of this host")
    found += [text for address, text in agent.mesh.failed.items() if not address]
    if agent.wanted is not None:
        found += agent.wanted.problems
    found += [str(problem) for problems in agent.problems.values() for problem in problems]
    return list(dict.fromkeys(found))[:PROBLEMS_SHOWN]


def _routes(agent: Agent) -> list[dict[str, Any]]:
    found = []
    for afi, family in ((1, IPV4_UNICAST), (2, IPV6_UNICAST)):
        for nlri in agent.kernel.routes().installed.get(afi, ()):
            prefix = Prefix.of(family, nlri)
            found.append((prefix, agent.kernel.describe(afi, nlri)))
    return [{"prefix": str(prefix), "route": text} for prefix, text in sorted(found, key=lambda pair: pair[0])]
