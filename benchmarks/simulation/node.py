"""A whole node: a `Router`, and what the shell (`pybgp.shell`) does for it, on virtual time.

Work takes virtual time here, too, by `Costs`: a node does one thing after the other, in turns of 10 ms as the shell
does, and what it writes leaves when it has got that far. So a reflector with thousands of clients is as busy as it
would be, on every machine alike, while the CPU time that the simulation really took is measured beside.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks.simulation.routes import Routes
from benchmarks.simulation.wires import End, Net
from pybgp import IPV4_UNICAST, NLRI, PathAttributes, PeerConfig, accept_all, pack_address
from pybgp.events import PeerEvent
from pybgp.fsm.states import State
from pybgp.pacing import PREFIXES, SLICE
from pybgp.peer import Close, Connect, Peer
from pybgp.rib.route import best_of
from pybgp.router import Router
from pybgp.session import Session


@dataclass(frozen=True)
class Costs:
    """Virtual seconds of a node's work. The page shows beside them what the same work took here."""

    connection: float = 400e-6
    message: float = 12e-6  # in or out
    octet: float = 0.05e-6  # a /32 has five


class Node:
    """See the module. `expected` is how many routes its table has once all is told, `done` whether it has them."""

    def __init__(self, net: Net, address: str, asn: int, costs: Costs, *, told: Callable[[Node, float], None]) -> None:
        self.net = net
        self.address = address
        self.alive = True
        self.cpu = 0.0  # seconds, measured
        self.busy = 0.0  # seconds, by the costs
        self.expected = -1
        self.done = False
        self.least = 0  # routes since it was last set
        self.sessions_up = 0
        self.resets: list[str] = []
        self.errors: list[str] = []
        self.router = Router(
            local_as=asn,
            bgp_identifier=int.from_bytes(pack_address(address), "big"),
            jitter=net.random.random,
            import_policy=accept_all,
            export_policy=accept_all,
        )
        self._asn = asn
        self._costs = costs
        self._told = told
        self._ends: dict[Session, End] = {}
        self._given_up: dict[Session, Callable[[], None]] = {}
        self._sent: dict[Session, tuple[int, int]] = {}  # messages and UPDATEs counted so far
        self._inbox: deque[Callable[[], None]] = deque()
        self._timers: dict[Peer | None, float] = {}
        self._scheduled = False
        self._free = 0.0  # when it is done with what it does
        self._used = 0.0  # of the turn at hand
        self._met: set[str] = set()  # peers that it dials only until it has met them
        net.hosts[address] = self

    # what it is told to do

    def add(self, address: str, *, until_met: bool = False, **settings: Any) -> None:
        """A neighbour. With `until_met` the other one will dial, but so does this one until they have met."""
        config = PeerConfig(
            address=address,
            peer_as=self._asn,
            local_as=self._asn,
            bgp_identifier=int.from_bytes(pack_address(self.address), "big"),
            **settings,
        )
        self.router.add_peer(config)
        if until_met:
            self._met.add(address)

    def start(self) -> None:
        self._do(lambda: self.router.start(self._now()))

    def announce(self, nlri: list[NLRI]) -> None:
        attributes = PathAttributes.build(local_pref=100)
        self._do(lambda: self.router.announce(IPV4_UNICAST, nlri, attributes))

    def withdraw(self, nlri: list[NLRI]) -> None:
        self._do(lambda: self.router.withdraw(IPV4_UNICAST, nlri))

    def kill(self, *, quietly: bool) -> None:
        """The process is gone, and its kernel closes the connections; `quietly`: the whole machine is gone."""
        self.alive = False
        for end in self._ends.values():
            if not quietly:
                self.net.close(end, self.net.clock.now)
            end.open = False
        self._ends.clear()
        self._inbox.clear()

    # what it has

    def __len__(self) -> int:
        return len(self.router.tables.loc_rib(IPV4_UNICAST))

    def want(self, expected: int) -> None:
        self.expected = expected
        self._judge()

    def table(self) -> dict[NLRI, bytes]:
        """Selected destinations and their next hops; those of its own have none."""
        rib = self.router.tables.loc_rib(IPV4_UNICAST)
        every = rib.prefixes()
        chosen = map(best_of, rib.selections(every))
        return {nlri: best.attributes.next_hop for nlri, best in zip(every, chosen, strict=True) if best is not None}

    def wrong(self, routes: Routes, present: set[int], extra: Iterable[NLRI] = ()) -> str:
        """What is wrong with its table, when the routes of `present` nodes and some more should be there."""
        more = set(extra)
        found = self.table()
        own = (pack_address(self.address), b"")
        for nlri, next_hop in found.items():
            if nlri not in more:
                owner = routes.owner(nlri)
                right = routes.next_hop(owner)
                if owner not in present or (next_hop != right and not (next_hop in own and right == own[0])):
                    return f"{self.address}: {nlri.hex()} by {next_hop.hex()} is not as {owner} announced it"
        count = len(present) * routes.each + len(more)
        if len(found) != count:
            return f"{self.address}: {len(found)} routes, not {count}"
        if routes.sum_over(found) != (routes.sum_of(present) + routes.sum_over(more)) % (1 << 64):
            return f"{self.address}: the sum over the table is not that of what was announced"
        return "".join(self.errors[:1])

    # what the net says: all of it waits until the node is free

    def knocked(self, end: End) -> bool:
        if end.other is None or end.other.host.address not in self.router.peers:
            return False
        self._do(partial(self._accept, end))
        return True

    def met(self, end: End) -> None:
        self._do(partial(self._connected, end))

    def refused(self, token: tuple[Peer, Session]) -> None:
        peer, session = token
        self._do(lambda: peer.connect_failed(session, "connection refused", self._now()))

    def arrived(self, end: End, data: bytes | None) -> None:
        self._do(partial(self._read, end, data))

    def _accept(self, end: End) -> None:
        self._used += self._costs.connection
        assert end.other is not None
        peer = self.router.peers[end.other.host.address]
        session = peer.accept(self._now())
        if session is None:
            self.net.close(end, self._now())
            return
        end.token = (peer, session)
        self._ends[session] = end
        peer.connected(session, self.address, self._now())

    def _connected(self, end: End) -> None:
        self._used += self._costs.connection
        peer, session = end.token
        self._given_up.pop(session, None)
        self._ends[session] = end
        peer.connected(session, self.address, self._now())

    def _read(self, end: End, data: bytes | None) -> None:
        if end.token is None or not end.open:
            return
        peer, session = end.token
        if self._ends.get(session) is not end:
            return
        if data is None:
            self._forget(session)
            peer.closed(session, "the peer closed the connection", self._now())
            return
        before = session.counters.messages_in
        peer.receive(session, data, self._now())
        messages = session.counters.messages_in - before
        self._used += messages * self._costs.message + len(data) * self._costs.octet

    # a turn

    def _now(self) -> float:
        return self.net.clock.now + self._used

    def _do(self, what: Callable[[], None]) -> None:
        self._inbox.append(what)
        self._soon()

    def _soon(self) -> None:
        if not self._scheduled and self.alive:
            self._scheduled = True
            self.net.clock.at(self._free, self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if not self.alive:
            return
        began = time.process_time()
        inbox, router = self._inbox, self.router
        while inbox and self._used < SLICE:
            inbox.popleft()()
            if router.effects:
                self._carry_out()
        more = bool(inbox)
        while True:
            self._carry_out()
            worked = router.step(self._now())
            worked |= self._produce()
            if not worked:
                break
            if self._used >= SLICE:
                more = True
                break
        self._carry_out()
        self._arm(None, router.next_deadline())
        self._free = self._now()
        self.busy += self._used
        self._used = 0.0
        if more:
            self._soon()
        self._judge()
        self.cpu += time.process_time() - began

    def _judge(self) -> None:
        count = len(self)
        self.least = min(self.least, count)
        done = count == self.expected
        if done is not self.done:
            self.done = done
            self._told(self, max(self._free, self.net.clock.now))

    def _carry_out(self) -> None:
        router = self.router
        while router.effects or router.touched:
            effects, router.effects = router.effects, []
            for effect in effects:
                if isinstance(effect, Connect):
                    token = (effect.peer, effect.session)
                    self._given_up[effect.session] = self.net.connect(self, effect.peer.address, token)
                elif isinstance(effect, Close):
                    self._close(effect.session)
                else:
                    self._report(effect)
            if router.effects:
                continue
            touched, router.touched = router.touched, set()
            # In the order of their addresses: sets have another one in each process, and a seed gives one course.
            for peer in sorted(touched, key=_address) if len(touched) > 1 else touched:
                for session in peer.sessions:
                    self._flush(session)
                self._arm(peer, peer.next_deadline())

    def _produce(self) -> bool:
        produced = False
        outgoing = self.router.tables.outgoing
        for peer in sorted((one for one in outgoing if isinstance(one, Peer)), key=_address):
            if peer.current is not None and peer.produce(PREFIXES, self._now()):
                produced = True
                self._flush(peer.current)
            else:
                outgoing.discard(peer)
        return produced

    def _report(self, event: PeerEvent) -> None:
        if event.kind == "up":
            self.sessions_up += 1
            if event.peer in self._met:
                peer = self.router.peers[event.peer]
                self.router.change_peer(peer, replace(peer.config, passive=True), now=self._now())
        elif event.kind == "down":
            self.sessions_up -= 1
            self.resets.append(f"{event.peer}: {event.reason}")
        elif event.kind in ("error", "offence"):
            self.errors.append(f"{self.address}: {event}")

    # connections and timers

    def _flush(self, session: Session) -> None:
        end = self._ends.get(session)
        if end is None:
            return
        data = session.data_to_send()
        if not data:
            return
        counters = session.counters
        messages, updates = self._sent.get(session, (0, 0))
        self._sent[session] = (counters.messages_out, counters.updates_out)
        said = counters.messages_out - messages
        self.net.traffic.messages += said
        self.net.traffic.updates += counters.updates_out - updates
        self._used += said * self._costs.message + len(data) * self._costs.octet
        self.net.send(end, data, self._now())
        session.write_progress(self._now(), drained=True)

    def _close(self, session: Session) -> None:
        give_up = self._given_up.pop(session, None)
        if give_up is not None:
            give_up()
        self._flush(session)
        end = self._forget(session)
        if end is not None:
            self.net.close(end, self._now())

    def _forget(self, session: Session) -> End | None:
        if session.incoming:
            self._sent.pop(session, None)
        return self._ends.pop(session, None)

    def _arm(self, peer: Peer | None, deadline: float | None) -> None:
        """One timer a peer, moved only when it must be earlier."""
        if deadline is None:
            self._timers.pop(peer, None)
            return
        armed = self._timers.get(peer)
        if armed is None or deadline < armed:
            self._timers[peer] = deadline
            self.net.clock.at(deadline, self._expired, peer, deadline)

    def _expired(self, peer: Peer | None, deadline: float) -> None:
        if self.alive and self._timers.get(peer) == deadline:
            del self._timers[peer]
            self._do(partial(self._timer, peer))

    def _timer(self, peer: Peer | None) -> None:
        if peer is None:
            self.router.handle_timer(self._now())
        else:
            peer.handle_timer(self._now())

    @property
    def established(self) -> int:
        return sum(peer.state is State.ESTABLISHED for peer in self.router.peers.values())


def _address(peer: Peer) -> str:
    return peer.address
