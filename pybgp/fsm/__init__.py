"""The finite state machine of RFC 4271 section 8, without I/O; `table` holds all of it, `machine` runs it."""

from pybgp.fsm.events import Event, EventKind
from pybgp.fsm.machine import Machine
from pybgp.fsm.states import State, Timer

__all__ = ["Event", "EventKind", "Machine", "State", "Timer"]
