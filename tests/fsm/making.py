"""Machines in any state, and events with what they carry, for the tests of this folder."""

from __future__ import annotations

import dataclasses
from typing import Any

from pybgp.config import PeerConfig
from pybgp.errors import BadMessageLength, BadPeerAS, InvalidRouteRefreshLength, MalformedAttributeList
from pybgp.family import IPV4_UNICAST
from pybgp.fsm.actions import Action, Start, Stop
from pybgp.fsm.events import Event, EventKind
from pybgp.fsm.machine import Machine
from pybgp.fsm.negotiation import make_open, negotiate
from pybgp.fsm.states import State, Timer
from pybgp.messages import CodecContext, Notification, RouteRefresh
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.update import decode_update


def settings(**changes: Any) -> PeerConfig:
    return PeerConfig(
        **{
            "address": "192.0.2.2",
            "peer_as": 64512,
            "local_as": 64512,
            "bgp_identifier": 0x0A000001,
            **changes,
        }
    )


def mirrored(config: PeerConfig, **changes: Any) -> PeerConfig:
    """The other side's settings for us."""
    return dataclasses.replace(
        config,
        **{
            "address": "192.0.2.1",
            "peer_as": config.local_as,
            "local_as": config.peer_as,
            "bgp_identifier": 0x0A000002,
            **changes,
        },
    )


class Bench:
    """A machine with a clock of its own that keeps account of the timers."""

    def __init__(self, config: PeerConfig, *, incoming: bool = False) -> None:
        self.config = config
        self.machine = Machine(config, make_open(config), lambda: 1.0, incoming=incoming)
        self.now = 1000.0
        self.running: dict[Timer, float] = {}

    def fire(self, kind: EventKind, **carried: Any) -> list[Action]:
        actions = self.machine.fire(self.event(kind, **carried), self.now)
        self.account(actions)
        return actions

    def account(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Start):
                self.running[action.timer] = action.seconds
            elif isinstance(action, Stop):
                self.running.pop(action.timer, None)

    def event(self, kind: EventKind, **carried: Any) -> Event:
        """The event with something typical to carry."""
        if not carried:
            if kind in (EventKind.BGP_OPEN, EventKind.BGP_OPEN_DELAY_OPEN):
                theirs = make_open(mirrored(self.config))
                carried["negotiated"] = negotiate(make_open(self.config), theirs, self.config)
            elif kind is EventKind.BGP_HEADER_ERR:
                carried["error"] = BadMessageLength("length 5", b"\0\5")
            elif kind is EventKind.BGP_OPEN_MSG_ERR:
                carried["error"] = BadPeerAS("AS 1")
            elif kind is EventKind.UPDATE_MSG_ERR:
                carried["error"] = MalformedAttributeList("bad", b"x")
            elif kind is EventKind.ROUTE_REFRESH_MSG_ERR:
                carried["error"] = InvalidRouteRefreshLength("short", b"y")
            elif kind is EventKind.NOTIF_MSG_VER_ERR:
                carried["notification"] = Notification(2, 1, b"\0\3")
            elif kind is EventKind.NOTIF_MSG:
                carried["notification"] = Notification(3, 1)
            elif kind is EventKind.UPDATE_MSG:
                carried["update"] = decode_update(bytes(4), CodecContext(), AttributePool())
            elif kind is EventKind.ROUTE_REFRESH_MSG:
                carried["refresh"] = RouteRefresh(IPV4_UNICAST)
        return Event(kind, **carried)


E = EventKind
ROADS: dict[State, tuple[EventKind, ...]] = {
    State.IDLE: (),
    State.CONNECT: (E.AUTOMATIC_START,),
    State.ACTIVE: (E.AUTOMATIC_START_PASSIVE,),
    State.OPEN_SENT: (E.AUTOMATIC_START, E.TCP_CR_ACKED),
    State.OPEN_CONFIRM: (E.AUTOMATIC_START, E.TCP_CR_ACKED, E.BGP_OPEN),
    State.ESTABLISHED: (E.AUTOMATIC_START, E.TCP_CR_ACKED, E.BGP_OPEN, E.KEEPALIVE_MSG),
}


def bench_in(state: State, config: PeerConfig | None = None) -> Bench:
    """A machine that came into this state as machines do."""
    bench = Bench(config or settings())
    for kind in ROADS[state]:
        bench.fire(kind)
    assert bench.machine.state is state
    return bench
