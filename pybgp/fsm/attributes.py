"""What one session remembers between events: the session attributes of RFC 4271 section 8.1.1."""

from __future__ import annotations

from collections.abc import Callable

from pybgp.config import PeerConfig
from pybgp.fsm.backoff import Backoff
from pybgp.fsm.negotiation import Negotiated
from pybgp.fsm.states import State
from pybgp.messages import Notification, Open


class SessionAttributes:
    """The state and all that the rules read and write beside it; no behaviour of its own."""

    def __init__(
        self, config: PeerConfig, my_open: Open, jitter: Callable[[], float], *, incoming: bool = False
    ) -> None:
        self.config = config
        self.my_open = my_open
        self.jitter = jitter
        self.incoming = incoming  # the neighbour made this connection: there is nothing to dial
        # Somebody else listens; a connection that was accepted finds its machine waiting in ACTIVE.
        self.state = State.ACTIVE if incoming else State.IDLE
        self.connect_retry_counter = 0
        self.delay_open_running = False
        self.negotiated: Negotiated | None = None
        self.transport = False  # a connection or an attempt at one is ours to close
        self.now = 0.0
        self.sent: Notification | None = None  # by the rule that runs now
        # Whatever lasted longer than any attempt and any pause was no part of a run of failures.
        quiet = config.connect_retry_max + config.connect_timeout
        self.pauses = Backoff(config.connect_retry_time, config.connect_retry_max, quiet=quiet, jitter=jitter)
        self.holds = Backoff(config.idle_hold_time, config.idle_hold_max, quiet=config.idle_hold_quiet)

    @property
    def passive(self) -> bool:
        """True when this machine never dials."""
        return self.incoming or self.config.passive
