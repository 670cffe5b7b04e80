"""Routers wired in memory, on a clock that only moves when there is nothing left to do."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pybgp.config import PeerConfig
from pybgp.events import PeerEvent
from pybgp.family import Family
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.peer import Close, Connect, Peer
from pybgp.policy import accept_all
from pybgp.prefix import Prefix, pack_address, parse_nlri
from pybgp.rib.route import best_of
from pybgp.router import Router
from pybgp.session import Session


@dataclass(eq=False)
class End:
    """One end of a connection: whose, and the octets and the end of stream that are on their way to it."""

    node: Node
    peer: Peer
    session: Session
    other: End | None = None
    inbox: deque[bytes | None] = field(default_factory=deque)
    open: bool = True


class Node:
    """A router at an address, with what a shell would keep for it."""

    def __init__(self, net: Net, address: str, asn: int, **settings: Any) -> None:
        settings.setdefault("import_policy", accept_all)
        settings.setdefault("export_policy", accept_all)
        self.net = net
        self.address = address
        self.asn = asn
        self.router = Router(
            local_as=asn,
            bgp_identifier=int.from_bytes(pack_address(address)[-4:], "big"),
            jitter=net.random.random,
            **settings,
        )
        self.events: list[PeerEvent] = []
        self.ends: dict[Session, End] = {}
        self.alive = True
        self.writable = True
        self.router.start(net.now)

    def add(self, other: Node | str, asn: int | None = None, **settings: Any) -> Peer:
        address, peer_as = (other, asn) if isinstance(other, str) else (other.address, other.asn)
        policies = {name: settings.pop(name, None) for name in ("import_policy", "export_policy")}
        config = PeerConfig(
            address=address,
            peer_as=peer_as or self.asn,
            local_as=self.asn,
            bgp_identifier=int.from_bytes(pack_address(self.address)[-4:], "big"),
            **settings,
        )
        return self.router.add_peer(config, **policies, now=self.net.now)

    def peer(self, other: Node) -> Peer:
        return self.router.peers[other.address]

    def announce(self, *prefixes: str, next_hop: str = "self", **attributes: Any) -> None:
        made = PathAttributes.build(**attributes)
        if next_hop != "self":
            made = made.with_next_hop(pack_address(next_hop))
        for prefix in prefixes:
            family, nlri = parse_nlri(prefix)
            self.router.announce(family, [nlri], made)

    def withdraw(self, *prefixes: str) -> None:
        for prefix in prefixes:
            family, nlri = parse_nlri(prefix)
            self.router.withdraw(family, [nlri])

    def table(self) -> dict[str, str]:
        """prefix -> name of the source that is selected."""
        found = {}
        for rib in self.router.tables:
            for part in rib.walk():
                for nlri, entry in part:
                    best = best_of(entry)
                    assert best is not None
                    found[str(Prefix.of(rib.family, nlri))] = best.source.name
        return found

    def path(self, prefix: str) -> PathAttributes:
        family, nlri = parse_nlri(prefix)
        best = self.router.tables.loc_rib(family).best(nlri)
        assert best is not None
        return best.attributes

    def told(self, kind: str, other: Node | None = None) -> list[PeerEvent]:
        return [e for e in self.events if e.kind == kind and (other is None or e.peer == other.address)]

    def forget_events(self) -> None:
        self.events.clear()

    # the shell's part

    def turn(self) -> bool:
        """Carry out everything that can be done without time passing."""
        worked = False
        router = self.router
        while router.effects or router.touched:
            worked = True
            effects, router.effects = router.effects, []
            for effect in effects:
                if isinstance(effect, Connect):
                    self.net.connect(self, effect.peer, effect.session)
                elif isinstance(effect, Close):
                    self.net.close(self, effect.session)
                else:
                    self.events.append(effect)
            router.touched.clear()
            for session in list(self.ends):
                self.flush(session)
        worked |= router.step(self.net.now)
        for peer in list(router.tables.outgoing):
            assert isinstance(peer, Peer)
            if self.writable and peer.produce(1000, self.net.now):
                worked = True
            elif self.writable:
                router.tables.outgoing.discard(peer)
        return worked

    def flush(self, session: Session) -> None:
        data = session.data_to_send()
        end = self.ends.get(session)
        if data and end is not None and end.other is not None:
            session.write_progress(self.net.now, drained=True)
            end.other.inbox.append(data)

    def deadline(self) -> float | None:
        deadlines = [d for peer in self.router.peers.values() if (d := peer.next_deadline()) is not None]
        own = self.router.next_deadline()
        return min(deadlines if own is None else [*deadlines, own], default=None)


class Net:
    """All nodes. `cut` holds pairs of addresses between which nothing arrives; `hold(end)` delays."""

    def __init__(self, seed: int = 0) -> None:
        self.now = 1000.0
        self.random = random.Random(seed)
        self.nodes: dict[str, Node] = {}
        self.cut: set[frozenset[str]] = set()
        self.link_local: dict[tuple[str, str], str] = {}  # (who, towards whom) -> the address on that link
        self.shuffle = False
        self._connecting: deque[tuple[Node, Peer, Session]] = deque()
        self._accepting: deque[End] = deque()

    def node(self, address: str, asn: int = 64512, **settings: Any) -> Node:
        node = self.nodes[address] = Node(self, address, asn, **settings)
        return node

    def mesh(self, *nodes: Node, **settings: Any) -> None:
        for one in nodes:
            for other in nodes:
                if one is not other:
                    one.add(other, **settings)

    def connect(self, node: Node, peer: Peer, session: Session) -> None:
        self._connecting.append((node, peer, session))

    def close(self, node: Node, session: Session) -> None:
        node.flush(session)
        self._connecting = deque(item for item in self._connecting if item[2] is not session)
        end = node.ends.pop(session, None)
        if end is not None:
            end.open = False
            if end.other is not None:
                end.other.inbox.append(None)

    def kill(self, node: Node, *, quietly: bool = False) -> None:
        """The process is gone; the kernel closes its connections, unless the whole host went."""
        node.alive = False
        self._connecting = deque(item for item in self._connecting if item[0] is not node)
        for end in node.ends.values():
            if end.other is not None:
                end.other.other = None
                if not quietly:
                    end.other.inbox.append(None)
        node.ends.clear()

    def run(self, seconds: float = 0.0, until: Callable[[], bool] | None = None) -> None:
        """Let everything happen that happens within `seconds` (or `until` holds, which it must)."""
        end = self.now + seconds
        while True:
            self._settle()
            if until is not None and until():
                return
            deadlines = [d for node in self._living() if (d := node.deadline()) is not None]
            nearest = min(deadlines, default=end + 1)
            if nearest > end:
                break
            self.now = max(self.now, nearest)
            for node in self._living():
                for peer in list(node.router.peers.values()):
                    deadline = peer.next_deadline()
                    if deadline is not None and deadline <= self.now:
                        peer.handle_timer(self.now)
                own = node.router.next_deadline()
                if own is not None and own <= self.now:
                    node.router.handle_timer(self.now)
        self.now = end
        assert until is None, "it did not happen in time"

    def _living(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.alive]

    def _settle(self) -> None:
        for _ in range(100_000):
            worked = False
            nodes = self._living()
            if self.shuffle:
                self.random.shuffle(nodes)
            for node in nodes:
                worked |= node.turn()
            steps = [self._connect_one, self._accept_one, self._deliver]
            if self.shuffle:
                self.random.shuffle(steps)
                worked |= any(step() for step in steps)  # one at a time, in any order
            else:
                done = [step() for step in steps]
                worked |= any(done)
            if not worked:
                return
        raise AssertionError("the routers never come to rest")

    def _connect_one(self) -> bool:
        if not self._connecting:
            return False
        if self.shuffle:
            self._connecting.rotate(self.random.randrange(len(self._connecting)))
        node, peer, session = self._connecting.popleft()
        target = self.nodes.get(peer.address)
        if frozenset((node.address, peer.address)) in self.cut:
            return True  # no answer at all: the connect timeout of the session decides
        known = target.router.peers.get(node.address) if target is not None and target.alive else None
        if target is None or known is None:
            peer.connect_failed(session, "connection refused", self.now)
            return True
        mine = node.ends[session] = End(node, peer, session)
        mine.other = End(target, known, session, mine)  # the kernel has it, the process does not know yet
        self._accepting.append(mine.other)
        peer.connected(session, node.address, self.now, self.link_local.get((node.address, peer.address), ""))
        return True

    def _accept_one(self) -> bool:
        if not self._accepting:
            return False
        if self.shuffle:
            self._accepting.rotate(self.random.randrange(len(self._accepting)))
        theirs = self._accepting.popleft()
        node = theirs.node
        if not node.alive:
            return True
        known = node.router.peers.get(theirs.peer.address)
        accepted = known.accept(self.now) if known is not None else None
        if known is None or accepted is None:
            if theirs.other is not None:
                theirs.other.inbox.append(None)
            return True
        theirs.peer, theirs.session = known, accepted
        node.ends[accepted] = theirs
        known.connected(accepted, node.address, self.now, self.link_local.get((node.address, known.address), ""))
        return True

    def _deliver(self) -> bool:
        ends = [end for node in self._living() for end in list(node.ends.values()) if end.inbox]
        if self.shuffle:
            self.random.shuffle(ends)
        delivered = False
        for end in ends:
            other = end.other
            if other is not None and frozenset((end.node.address, other.node.address)) in self.cut:
                continue
            if not end.open or not end.inbox:
                continue
            delivered = True
            data = end.inbox.popleft()
            if data is None:
                end.node.ends.pop(end.session, None)
                end.peer.closed(end.session, "the peer closed the connection", self.now)
            else:
                if self.shuffle and len(data) > 1:
                    at = self.random.randrange(1, len(data))
                    end.inbox.appendleft(data[at:])
                    data = data[:at]
                end.peer.receive(end.session, data, self.now)
            if self.shuffle:
                break
        return delivered


def routes_of(node: Node, family: Family) -> int:
    return len(node.router.tables.loc_rib(family))
