"""Whether an agent is ready: every session that stands has brought all its routes. No I/O, no clock."""

from __future__ import annotations

from calico_route.agent import Agent


def obstacles(agent: Agent) -> list[str]:
    """What is not as it should be before traffic may rely on this node; empty when it is ready.

    A node that is away does not count, as long as any other is there: one dead machine must not make all others
    unready. Sessions that stand have to have sent their End-of-RIB.
    """
    wanted = agent.wanted
    if wanted is None:
        return ["the datastore has not been read yet"]
    if agent.mesh.speaker is None:
        return list(wanted.problems) or ["BGP has not started"]
    found = []
    complete = agent.mesh.complete()
    snapshots = agent.mesh.snapshots()
    established = [address for address, one in snapshots.items() if one.established]
    for address in sorted(established):
        if address not in complete:
            found.append(f"{_name(agent, address)} has not sent all its routes yet")
    if wanted.peers and not established:
        for address in sorted(wanted.peers):
            one = snapshots.get(address)
            reason = agent.mesh.failed.get(address) or (one.last_error if one is not None else "") or "not tried yet"
            found.append(f"no session with {_name(agent, address)}: {reason}")
    pending = agent.kernel.routes().pending
    if pending:
        found.append(f"{pending} routes are on their way into the kernel")
    return found


def _name(agent: Agent, address: str) -> str:
    peer = agent.mesh.peers.get(address)
    return address if peer is None else f"{peer.name} at {address}"
