"""The connections of one neighbour: ours, that dials (or waits, when passive), and those that it made itself.

Which of them stays when two are in each other's way is decided here (RFC 4271 section 6.8, RFC 4724 section 5);
what is to be done about it is the `Peer`'s.
"""

from __future__ import annotations

from collections import deque

from pybgp.config import PeerConfig
from pybgp.fsm.collision import Side, collision_loser
from pybgp.fsm.states import State
from pybgp.happenings import Offence
from pybgp.session import Session

OFFENCES_KEPT = 8


class Connections:
    """See the module. `dialing` is there for the neighbour's whole life, another one after a change of settings."""

    def __init__(self, dialing: Session) -> None:
        self.dialing = dialing
        self.accepted: list[Session] = []
        self._since: dict[Session, float] = {}  # when each was accepted
        self._addresses: dict[Session, tuple[str, str]] = {}
        self._offences: deque[Offence] = deque(maxlen=OFFENCES_KEPT)  # of sessions that are no more

    @property
    def sessions(self) -> tuple[Session, ...]:
        return (self.dialing, *self.accepted)

    @property
    def state(self) -> State:
        """Of the one that has come farthest."""
        return max(session.state for session in self.sessions)

    @property
    def offences(self) -> tuple[Offence, ...]:
        """The last wrong messages of the neighbour, oldest first, of whatever session."""
        found = [*self._offences, *(one for session in self.sessions for one in session.offences)]
        return tuple(sorted(found, key=lambda one: one.now)[-OFFENCES_KEPT:])

    # accepted ones

    def accept(self, session: Session, now: float) -> None:
        self.accepted.append(session)
        self._since[session] = now

    def busy(self, now: float, patience: float) -> bool:
        """Whether an accepted connection is about to be established, so that no other is let in."""
        return any(one.state is State.OPEN_CONFIRM and not self._hangs(one, now, patience) for one in self.accepted)

    def superseded(self, now: float, patience: float) -> list[Session]:
        """Accepted ones that give way to a newer: who has said nothing, or hangs, is perhaps dead."""
        return [one for one in self.accepted if one.state < State.OPEN_CONFIRM or self._hangs(one, now, patience)]

    def _hangs(self, session: Session, now: float, patience: float) -> bool:
        """Whether it has stood in OpenConfirm for more than `patience` seconds."""
        return session.state is State.OPEN_CONFIRM and now - self._since[session] > patience

    # all of them

    def connected(self, session: Session, local_address: str, link_local: str) -> None:
        self._addresses[session] = (local_address, link_local)

    def local_addresses(self, session: Session) -> tuple[str, str]:
        """Ours, and the link-local one beside it; each may be empty."""
        return self._addresses.get(session, ("", ""))

    def ended(self, session: Session) -> bool:
        """A connection, or an attempt at one, is no more; True when it was an accepted one."""
        self._addresses.pop(session, None)
        self._offences.extend(session.offences)
        session.offences.clear()
        if session not in self.accepted:
            return False
        self.accepted.remove(session)
        self._since.pop(session, None)
        return True

    def rivals(self, session: Session) -> list[Session]:
        """The others that have got as far as an OPEN."""
        return [other for other in self.sessions if other is not session and other.state >= State.OPEN_SENT]

    def loser(self, session: Session, other: Session, config: PeerConfig, identifier: int) -> Session | None:
        """Which of two closes, once `session` has brought the neighbour's OPEN with its BGP Identifier; None: neither
        yet.

        `keep_confirmed`: a connection on which our KEEPALIVE is out stays. RFC 4271 section 6.8 compares identifiers
        there too; but the peer may be ESTABLISHED by then, and the Cease would have it forget our routes: BIRD
        forgets even those that it keeps for a graceful restart. (On `session` the KEEPALIVE is not out yet.) If both
        sides did so, each might close what the other keeps.
        """
        if config.keep_confirmed and other.state is State.OPEN_CONFIRM:
            return session
        mine = session is self.dialing
        side = collision_loser(
            local_id=config.bgp_identifier,
            peer_id=identifier,
            local_as=config.local_as,
            peer_as=config.peer_as,
            outgoing=session.state if mine else other.state,
            incoming=other.state if mine else session.state,
        )
        if side is None:
            return None
        return session if (side is Side.OUTGOING) is mine else other
