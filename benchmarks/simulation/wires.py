"""Links with latency, loss and cuts, and the TCP connections over them, all on the virtual clock.

TCP is modelled by what a BGP speaker sees of it: octets arrive whole and in order, or late. A lost segment is sent
again after 0.2 s, then after twice that, and so on; so is everything that was written while the link was cut, and
who writes into a cut hears nothing of it. Windows and bandwidth have no limit.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.simulation.clock import Clock

RETRANSMIT = 0.2  # seconds, Linux's least
RETRANSMIT_MOST = 120.0


class Host(Protocol):
    """What stands at an address."""

    address: str
    alive: bool

    def knocked(self, end: End) -> bool:
        """Somebody connects; False refuses. May be answered later by closing."""
        ...

    def met(self, end: End) -> None:
        """The connection that this host asked for stands."""
        ...

    def refused(self, token: Any) -> None: ...

    def arrived(self, end: End, data: bytes | None) -> None:
        """Octets, or None: the other side has closed."""
        ...


@dataclass(eq=False, slots=True)
class End:
    """One end of a connection. `token` is what the host keeps with it."""

    host: Host
    link: Link
    token: Any = None
    other: End | None = None
    open: bool = True
    last: float = 0.0  # when the latest octets of this end arrive at the other


@dataclass(eq=False, slots=True)
class Link:
    """Between two addresses. `latency` is one way, in seconds; `loss` the share of segments that are lost."""

    latency: float
    loss: float
    cut: bool = False
    held: list[tuple[float, End, bytes | None]] = field(default_factory=list)


@dataclass
class Traffic:
    """What was carried so far."""

    connections: int = 0
    messages: int = 0
    updates: int = 0
    octets: int = 0

    def since(self, before: Traffic) -> Traffic:
        names = self.__dataclass_fields__
        return Traffic(**{name: getattr(self, name) - getattr(before, name) for name in names})

    def copy(self) -> Traffic:
        return Traffic(**self.__dict__)


class Net:
    """All hosts and what lies between them. `latency` is the range from which each link has its own, by `seed`."""

    def __init__(self, clock: Clock, seed: int, latency: tuple[float, float], loss: float = 0.0) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.hosts: dict[str, Host] = {}
        self.traffic = Traffic()
        self._latency = latency
        self._loss = loss
        self._links: dict[tuple[str, str], Link] = {}

    def link(self, one: str, other: str) -> Link:
        key = (one, other) if one < other else (other, one)
        found = self._links.get(key)
        if found is None:
            found = self._links[key] = Link(self.random.uniform(*self._latency), self._loss)
        return found

    # connections

    def connect(self, host: Host, address: str, token: Any) -> Callable[[], None]:
        """Ask for a connection; what is returned gives the attempt up. Over a cut link nobody answers."""
        link = self.link(host.address, address)
        mine = End(host, link, token)

        def give_up() -> None:
            mine.open = False
            if mine.other is not None:
                self.close(mine, self.clock.now)

        def asked() -> None:
            target = self.hosts.get(address)
            if not mine.open or link.cut or target is None:
                return
            theirs = End(target, link, None, mine)
            mine.other = theirs
            if target.alive and target.knocked(theirs):
                self.traffic.connections += 1
                self.clock.at(self.clock.now + link.latency, answered, True)
            else:
                mine.other = None
                self.clock.at(self.clock.now + link.latency, answered, False)

        def answered(taken: bool) -> None:
            if not mine.open or not host.alive:
                return
            if taken:
                host.met(mine)
            else:
                mine.open = False
                host.refused(token)

        self.clock.at(self.clock.now + link.latency, asked)
        return give_up

    def send(self, end: End, data: bytes | None, when: float) -> None:
        """Write at a time from now on; None closes behind what was written."""
        if not end.open or end.other is None:
            return
        if data is None:
            end.open = False
        else:
            self.traffic.octets += len(data)
        if end.link.cut:
            end.link.held.append((when, end, data))
            return
        arrival = when + end.link.latency
        pause = RETRANSMIT
        while end.link.loss and self.random.random() < end.link.loss:
            arrival += pause
            pause = min(2 * pause, RETRANSMIT_MOST)
        self._deliver(end, data, arrival)

    def close(self, end: End, when: float) -> None:
        self.send(end, None, when)

    def _deliver(self, end: End, data: bytes | None, arrival: float) -> None:
        end.last = max(end.last, arrival)
        self.clock.at(end.last, self._arrive, end.other, data)

    def _arrive(self, end: End, data: bytes | None) -> None:
        if not end.host.alive:
            reborn = self.hosts.get(end.host.address)
            if reborn is not None and reborn.alive and end.other is not None and data is not None:
                end.open, other = False, end.other  # it knows nothing of this connection, and answers with RST
                self.clock.at(self.clock.now + end.link.latency, self._arrive, other, None)
        elif end.open:
            end.host.arrived(end, data)

    # what goes wrong

    def cut(self, one: str, other: str) -> None:
        """From now on nothing gets through, and nobody is told."""
        self.link(one, other).cut = True

    def heal(self, one: str, other: str) -> None:
        """What was written meanwhile arrives when TCP next tries."""
        link = self.link(one, other)
        link.cut = False
        held, link.held = link.held, []
        for when, end, data in held:
            pause = RETRANSMIT
            while when < self.clock.now:
                when += pause
                pause = min(2 * pause, RETRANSMIT_MOST)
            self._deliver(end, data, when + link.latency)
