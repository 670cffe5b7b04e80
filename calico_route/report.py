"""What `calico_route status` shows, as one document of plain values: lists of objects, never data as keys.

Times are seconds since 1970, durations seconds; docs/calico_route.md describes every field.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pybgp import IPV4_UNICAST, IPV6_UNICAST, PeerSnapshot, Prefix, State, __version__, format_address

from .agent import Agent
from .diagnosis import md5_counters, same_identifier, why_not
from .sessions import Local, MeshPeer

PROBLEMS_SHOWN = 100


Parts = Mapping[str, Callable[[], dict[str, Any]]]
"""What runs beside an agent in its process tells of itself, by name; `problems` in it are a list of texts."""


def report(agent: Agent, *, routes: bool = False, parts: Parts | None = None) -> dict[str, Any]:
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
        "draining": _draining(agent),
        "problems": _problems(agent),
    }
    if routes:
        document["routes"] = _routes(agent)
    for name, part in (parts or {}).items():
        document[name] = told = part()
        document["problems"] += [str(one) for one in told.get("problems", ())][:PROBLEMS_SHOWN]
    return document


def answer(agent: Agent, request: dict[str, Any], parts: Parts | None = None) -> dict[str, Any]:
    """The answer to a request on the control socket. ValueError for one that is not known."""
    what = request.get("request")
    if what == "drain":
        agent.drain(_seconds(request.get("seconds")))
    elif what != "status":
        raise ValueError(f"unknown request {str(what)[:40]!r}: there are status and drain")
    return {"status": report(agent, routes=request.get("routes") is True, parts=parts)}


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400:
        raise ValueError("seconds is a number from 0 to 86400, or null to end the drain")
    return float(value)


def _draining(agent: Agent) -> dict[str, Any] | None:
    """`withdrawn`: nothing of ours is announced any more; `safe`: and every neighbour has been told so."""
    drain, wanted = agent.draining, agent.wanted
    if drain is None:
        return None
    over = asyncio.get_running_loop().time() >= drain.withdraw_at
    withdrawn = over and wanted is not None and not wanted.announcements
    speaker = agent.mesh.speaker
    waiting = () if speaker is None else (f for one in speaker.peers().values() for f in one.families.values())
    told = speaker is None or not (speaker.announced() or any(family.pending for family in waiting))
    return {
        "since": round(drain.began + clock_offset(), 1),
        "withdraw_at": round(drain.withdraw_at + clock_offset(), 1),
        "withdrawn": withdrawn,
        "safe": withdrawn and told,
    }


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
        "in_force": 0 if believed is None or believed.view is None else believed.view.revision,
        "from_disk": believed is not None and believed.from_disk,
    }


def _peers(agent: Agent) -> list[dict[str, Any]]:
    asked = {} if agent.wanted is None else agent.wanted.peers
    wanted = {**agent.mesh.peers, **asked}
    snapshots = agent.mesh.snapshots()
    found = []
    dropped = md5_counters().since(agent.md5_before)
    for address in sorted(wanted.keys() | snapshots.keys(), key=_by_node(wanted)):
        refused = agent.mesh.failed.get(address, "")
        actual = agent.mesh.peers.get(address)
        leaving = actual is not None and actual.leaving and address not in asked
        now, peer = snapshots.get(address), wanted.get(address)
        words = "" if now is None else why_not(now, protected=_protected(peer), dropped=dropped)
        found.append({**_peer(address, peer, now, refused), "why_not": refused or words, "leaving": leaving})
    return found


def _protected(peer: MeshPeer | None) -> bool:
    return peer is not None and peer.password is not None


def _by_node(wanted: Any) -> Any:
    def key(address: str) -> tuple[str, str]:
        peer = wanted.get(address)
        return ("" if peer is None else peer.node, address)

    return key


def _peer(address: str, peer: MeshPeer | None, now: PeerSnapshot | None, refused: str) -> dict[str, Any]:
    common = {
        "node": peer.node if peer is not None else now.description if now is not None else "",
        "origin": "" if peer is None else f"BGPPeer {peer.origin}" if peer.origin else "mesh",
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
        "since": round(now.since + clock_offset(), 1),
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
def clock_offset() -> float:
    """From the event loop's clock to wall clock time; taken once, so that `since` stays the same."""
    return time.time() - asyncio.get_running_loop().time()


def _held_back(agent: Agent) -> list[dict[str, Any]]:
    if agent.believed is None:
        return []
    return [
        {
            "what": hold.what,
            "missing": sorted(str(key) for key in hold.missing)[:PROBLEMS_SHOWN],
            "until": round(hold.until + clock_offset(), 1),
        }
        for hold in agent.believed.holds
    ]


def _problems(agent: Agent) -> list[str]:
    found = []
    if agent.believed is not None and agent.believed.not_ready:
        found.append(f"the datastore is not ready: {agent.believed.not_ready}. Nothing changes until it is")
    if agent.ourselves.problem:
        found.append(agent.ourselves.problem)
    if agent.ourselves.foreign:
        found.append(f"{agent.ourselves.foreign} is no address of this host")
    found += [text for address, text in agent.mesh.failed.items() if not address]
    if agent.wanted is not None:
        found += agent.wanted.problems
    snapshots = agent.mesh.snapshots()
    found += agent.mesh.strangers.told(snapshots, asyncio.get_running_loop().time())
    own = agent.mesh.local
    found += same_identifier(snapshots.values(), "" if own is None else own.bgp_identifier)
    found += [str(problem) for problems in agent.problems.values() for problem in problems]
    return list(dict.fromkeys(found))[:PROBLEMS_SHOWN]


def _routes(agent: Agent) -> list[dict[str, Any]]:
    found = []
    for afi, family in ((1, IPV4_UNICAST), (2, IPV6_UNICAST)):
        for nlri in agent.kernel.routes().installed.get(afi, ()):
            prefix = Prefix.of(family, nlri)
            found.append((prefix, agent.kernel.describe(afi, nlri)))
    return [{"prefix": str(prefix), "route": text} for prefix, text in sorted(found, key=lambda pair: pair[0])]
