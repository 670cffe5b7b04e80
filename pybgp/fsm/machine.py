"""The finite state machine of one connection: looks a cell up, runs its rule, moves. RFC 4271 section 8."""

from __future__ import annotations

from pybgp.fsm.actions import Action, Start
from pybgp.fsm.attributes import SessionAttributes
from pybgp.fsm.events import Event
from pybgp.fsm.rules import damp, hold_timer, keepalive_timer
from pybgp.fsm.states import State
from pybgp.fsm.table import rules_for


class Machine(SessionAttributes):
    """Pure: events and `now` (seconds of any clock that never goes back) in, actions out. `fire` never raises."""

    def fire(self, event: Event, now: float) -> list[Action]:
        """Apply one event; the actions are in the order in which they are to be carried out."""
        self.now = now
        self.sent = None
        rule = next(rule for rule in rules_for(self.state, event.kind) if rule.when is None or rule.when(self, event))
        actions: list[Action] = []
        for do in rule.do:
            actions.extend(do(self, event))
        self.state = rule.to
        return actions

    def hold_idle(self, event: Event, now: float) -> list[Action]:
        """Count an error of the neighbour's other connection: the idle hold that it deserves, if any."""
        self.now = now
        return list(damp(self, event))

    def update_sent(self) -> tuple[Start, ...]:
        """The KeepaliveTimer restarts when an UPDATE was sent, too (RFC 4271 8.2.2, Established)."""
        return keepalive_timer(self)

    def update_received(self) -> tuple[Start, ...]:
        """What the cell ESTABLISHED x UPDATE_MSG does to timers; `Session` takes many UPDATEs at once."""
        return hold_timer(self)

    def reset(self) -> None:
        """Back to the first state, without any of the cell's work: for a machine that is broken."""
        self.state = State.ACTIVE if self.incoming else State.IDLE
        self.transport = False
        self.delay_open_running = False
