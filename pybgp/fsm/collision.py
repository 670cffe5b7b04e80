"""Which of two crossing connections of one neighbour has to go: RFC 4271 section 6.8 with RFC 6286."""

from __future__ import annotations

from enum import IntEnum

from pybgp.fsm.states import State


class Side(IntEnum):
    """Who made a connection."""

    OUTGOING = 0  # we did
    INCOMING = 1  # the neighbour did


def collision_loser(
    *,
    local_id: int,
    peer_id: int | None,
    local_as: int,
    peer_as: int,
    outgoing: State,
    incoming: State,
) -> Side | None:
    """Say which connection is to be closed with Cease / Connection Collision Resolution; None: neither, yet.

    To be asked whenever one of two connections to the same neighbour has taken an OPEN (it entered
    OPEN_CONFIRM). `peer_id` is the BGP Identifier of that OPEN, None while no OPEN came. The connection made by
    the side with the higher BGP Identifier stays; by the higher AS where both have the same identifier
    (RFC 6286 section 2.3). A connection that is ESTABLISHED always stays: CollisionDetectEstablishedState is off.
    """
    if State.ESTABLISHED in (outgoing, incoming):
        return Side.INCOMING if outgoing is State.ESTABLISHED else Side.OUTGOING
    if peer_id is None or min(outgoing, incoming) < State.OPEN_SENT:
        return None
    if max(outgoing, incoming) < State.OPEN_CONFIRM:
        return None
    return Side.INCOMING if (local_id, local_as) > (peer_id, peer_as) else Side.OUTGOING
