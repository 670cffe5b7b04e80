"""A node without a table: on the wire it says what a whole node would, and of what it is told it keeps count and sum.

So thousands of clients of a reflector fit into one process. Every distinct UPDATE is decoded once, whole, with all
checks, and what it means is remembered by its octets: a reflector tells all of its clients the same. A leaf cannot
know whether an announcement replaces one that it has heard: such a one is counted twice, and shows.

A leaf may stand in for a reflector of another cluster, too: then it announces what all of its nodes would, with
ORIGINATOR_ID and CLUSTER_LIST.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.simulation.node import Costs
from benchmarks.simulation.routes import MODULUS, Routes
from benchmarks.simulation.wires import End, Net
from pybgp import IPV4_UNICAST, NLRI, CodecContext, PathAttributes, PeerConfig, encode_message, pack_address
from pybgp.errors import ProtocolError
from pybgp.fsm.negotiation import make_open, negotiate
from pybgp.messages import Keepalive, MessageType, Open, decode_message
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.update import decode_update
from pybgp.messages.update_writer import encode_end_of_rib, encode_reach, encode_unreach

HEADER = 19
KEEPALIVE = encode_message(Keepalive(), CodecContext())
REMEMBERED = 1 << 18  # distinct UPDATEs
RETRY = 1.0  # seconds; doubles up to
RETRY_MOST = 60.0
PATIENCE = 10.0  # seconds for an attempt to connect


class Meaning(NamedTuple):
    """Of one UPDATE: how many routes more or fewer, the sum of their hashes, what is wrong with it."""

    change: int
    total: int
    wrong: str


class Reader:
    """Decodes UPDATEs for all leaves, each distinct one once. `extra` has further routes, and their next hops."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self.extra: dict[NLRI, bytes] = {}
        self.decoded = 0
        self._pool = AttributePool()
        self._known: dict[bytes, Meaning] = {}

    def read(self, body: bytes, context: CodecContext) -> Meaning:
        known = self._known.get(body)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[body] = self._decode(body, context)
        return known

    def _decode(self, body: bytes, context: CodecContext) -> Meaning:
        self.decoded += 1
        routes = self.routes
        update = decode_update(body, context, self._pool)
        count = total = 0
        wrong = "; ".join(fault.reason for fault in update.faults)
        for unreach in update.unreach:
            count -= len(unreach.nlri)
            total -= routes.sum_over(unreach.nlri)
        for reach in update.reach:
            count += len(reach.nlri)
            total += routes.sum_over(reach.nlri)
            next_hop = reach.attributes.next_hop
            for nlri in reach.nlri:
                owner = routes.owner(nlri)
                right = self.extra.get(nlri) or (routes.next_hop(owner) if owner >= 0 else b"")
                if next_hop != right:
                    wrong = wrong or f"{nlri.hex()} by {next_hop.hex()}, not as {owner} announced it"
        return Meaning(count, total % MODULUS, wrong)


@dataclass(eq=False, slots=True)
class Talk:
    """One session. `wanted` is the count of routes that the other side has for this leaf."""

    address: str
    wanted: int
    retry: float = RETRY
    attempt: int = 0
    end: End | None = None
    context: CodecContext | None = None
    hold_time: float = 0.0
    up: bool = False
    heard: float = 0.0
    count: int = 0
    total: int = 0


@dataclass(frozen=True)
class Announcement:
    nlri: list[NLRI]
    attributes: PathAttributes


@dataclass(eq=False)
class Leaf:
    """See the module. It dials all of its neighbours. `told` hears when `done` changes."""

    net: Net
    address: str
    asn: int
    costs: Costs
    reader: Reader
    told: Callable[[Any, float], None]
    announcements: list[Announcement]
    hold_time: int = 90
    alive: bool = True
    done: bool = False
    insists: bool = True  # on a session with each neighbour; otherwise on one
    changed: float = 0.0  # when it had dealt with the latest change
    prefixes: int = 0  # that it was told, withdrawals included
    errors: list[str] = field(default_factory=list)
    talks: dict[str, Talk] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.net.hosts[self.address] = self

    def add(self, address: str) -> None:
        self.talks[address] = Talk(address, -1)

    def want(self, address: str, count: int) -> None:
        self.talks[address].wanted = count
        self._judge()

    def start(self) -> None:
        for talk in self.talks.values():
            self._dial(talk)

    def announce(self, nlri: list[NLRI], attributes: PathAttributes) -> None:
        """One more, to all neighbours that it has a session with, now and later."""
        self.announcements.append(Announcement(nlri, attributes))
        for talk in self.talks.values():
            if talk.up and talk.context is not None:
                self._say(talk, encode_reach(IPV4_UNICAST, nlri, attributes, talk.context), updates=True)

    def withdraw(self, nlri: list[NLRI]) -> None:
        """What was announced as one, before."""
        self.announcements = [one for one in self.announcements if one.nlri != nlri]
        for talk in self.talks.values():
            if talk.up and talk.context is not None:
                self._say(talk, encode_unreach(IPV4_UNICAST, nlri, talk.context), updates=True)

    def kill(self, *, quietly: bool) -> None:
        self.alive = False
        for talk in self.talks.values():
            if talk.end is not None and not quietly:
                self.net.close(talk.end, self.net.clock.now)
            talk.end = None

    def wrong(self, total: int) -> str:
        """What is wrong with what it was told; `total` is the sum of the routes that each neighbour has for it."""
        for talk in self.talks.values():
            if talk.up and (talk.count != talk.wanted or talk.total != total):
                return f"{self.address}: {talk.count} routes from {talk.address}, not {talk.wanted}, or not the right"
        return "".join(self.errors[:1])

    # the net

    def knocked(self, end: End) -> bool:
        return False

    def met(self, end: End) -> None:
        talk: Talk = end.token
        talk.end, talk.context, talk.up = end, None, False
        talk.count = talk.total = 0
        talk.heard = self.net.clock.now
        self._say(talk, [encode_message(self._open(talk), CodecContext())])
        self._judge()

    def refused(self, token: Talk) -> None:
        token.attempt += 1
        self._again(token)

    def arrived(self, end: End, data: bytes | None) -> None:
        talk: Talk = end.token
        if talk.end is not end:
            return
        if data is None:
            self._lost(talk)
            return
        now = self.net.clock.now
        talk.heard = now
        before, at, messages = talk.count, 0, 0
        while at < len(data):
            stop = at + (data[at + 16] << 8 | data[at + 17])
            kind, body = data[at + 18], data[at + HEADER : stop]
            at = stop
            messages += 1
            if kind == MessageType.UPDATE and talk.context is not None:
                meaning = self.reader.read(body, talk.context)
                talk.count += meaning.change
                talk.total = (talk.total + meaning.total) % MODULUS
                self.prefixes += abs(meaning.change)
                if meaning.wrong:
                    self.errors.append(f"{self.address}: {meaning.wrong}")
            else:
                self._message(talk, kind, body)
                if talk.end is not end:
                    return
        work = messages * self.costs.message + len(data) * self.costs.octet
        if talk.count != before:
            self.changed = max(self.changed, now) + work
        self._judge()

    # inside

    def _config(self, talk: Talk) -> PeerConfig:
        return PeerConfig(
            address=talk.address,
            peer_as=self.asn,
            local_as=self.asn,
            bgp_identifier=int.from_bytes(pack_address(self.address), "big"),
            hold_time=self.hold_time,
            graceful_restart=False,
        )

    def _open(self, talk: Talk) -> Open:
        return make_open(self._config(talk))

    def _dial(self, talk: Talk) -> None:
        if self.alive and talk.end is None:
            give_up = self.net.connect(self, talk.address, talk)
            talk.attempt += 1
            self.net.clock.at(self.net.clock.now + PATIENCE, self._patience, talk, talk.attempt, give_up)

    def _patience(self, talk: Talk, attempt: int, give_up: Callable[[], None]) -> None:
        if self.alive and talk.end is None and talk.attempt == attempt:
            give_up()
            self._again(talk)

    def _again(self, talk: Talk) -> None:
        pause = talk.retry * (0.75 + 0.25 * self.net.random.random())
        talk.retry = min(2 * talk.retry, RETRY_MOST)
        self.net.clock.at(self.net.clock.now + pause, self._dial, talk)

    def _lost(self, talk: Talk) -> None:
        if talk.end is not None:
            self.net.close(talk.end, self.net.clock.now)
        talk.end, talk.up, talk.retry = None, False, RETRY
        talk.count = talk.total = 0
        self._again(talk)
        self._judge()

    def _message(self, talk: Talk, kind: int, body: bytes) -> None:
        if kind == MessageType.OPEN:
            theirs = decode_message(kind, body, CodecContext())
            assert isinstance(theirs, Open)
            try:
                agreed = negotiate(self._open(talk), theirs, self._config(talk))
            except ProtocolError as error:
                self.errors.append(f"{self.address}: {error}")
                return
            talk.context = agreed.context
            talk.hold_time = agreed.hold_time
            self._say(talk, [KEEPALIVE])
        elif kind == MessageType.KEEPALIVE and talk.context is not None and not talk.up:
            talk.up, talk.retry = True, RETRY
            for one in self.announcements:
                self._say(talk, encode_reach(IPV4_UNICAST, one.nlri, one.attributes, talk.context), updates=True)
            self._say(talk, [encode_end_of_rib(IPV4_UNICAST, talk.context)], updates=True)
            if talk.hold_time:
                self._tick(talk, talk.end)
        elif kind == MessageType.NOTIFICATION:
            self._lost(talk)

    def _tick(self, talk: Talk, end: End | None) -> None:
        """A KEEPALIVE every third of the hold time, and the hold timer."""
        if not self.alive or talk.end is not end or end is None:
            return
        now = self.net.clock.now
        if now - talk.heard >= talk.hold_time:
            self._lost(talk)
            return
        self._say(talk, [KEEPALIVE])
        pause = talk.hold_time / 3 * (0.75 + 0.25 * self.net.random.random())
        self.net.clock.at(min(now + pause, talk.heard + talk.hold_time), self._tick, talk, end)

    def _say(self, talk: Talk, messages: Iterable[bytes], *, updates: bool = False) -> None:
        messages = list(messages)
        if talk.end is None:
            return
        self.net.traffic.messages += len(messages)
        self.net.traffic.updates += len(messages) * updates
        self.net.send(talk.end, b"".join(messages), self.net.clock.now)

    def _judge(self) -> None:
        """Every session must have brought everything; without any it is not done."""
        up = [talk for talk in self.talks.values() if talk.up]
        enough = len(up) == len(self.talks) if self.insists else bool(up)
        done = enough and all(talk.count == talk.wanted for talk in up)
        if done is not self.done:
            self.done = done
            self.told(self, max(self.net.clock.now, self.changed))
