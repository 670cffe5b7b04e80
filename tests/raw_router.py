"""A whole Router with hand-driven neighbours around it: octets in, octets out, no clock but the caller's."""

from __future__ import annotations

from typing import Any

from pybgp.config import PeerConfig
from pybgp.fsm.negotiation import make_open
from pybgp.fsm.states import State
from pybgp.messages import CodecContext, Keepalive, MessageType, encode_message, nlri
from pybgp.messages.framing import Framer
from pybgp.peer import Close, Peer
from pybgp.policy import accept_all
from pybgp.router import Router
from pybgp.session import Session

OWN_AS = 64512
OWN_ADDRESS = "192.0.2.1"
FAMILIES = tuple(codec.family for codec in nlri.FAMILIES)
KEEPALIVE = encode_message(Keepalive(), CodecContext())


class RawPeer:
    """One neighbour, established as soon as it is made; `context` is how it reads what we send."""

    def __init__(self, around: RawRouter, address: str, asn: int, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
        self.around = around
        self.address = address
        common = {"families": FAMILIES, "graceful_restart": False, **theirs}
        identifier = int(address.rpartition(".")[2])
        mine = PeerConfig(
            address=OWN_ADDRESS, peer_as=OWN_AS, local_as=asn, bgp_identifier=0xC0000200 + identifier, **common
        )
        swapped = dict(common)
        swapped["add_path_send"] = common.get("add_path_receive", ())
        swapped["add_path_receive"] = common.get("add_path_send", ())
        config = PeerConfig(
            address=address,
            peer_as=asn,
            local_as=OWN_AS,
            bgp_identifier=0xC0000201,
            passive=True,
            **{"enforce_first_as": False, **swapped, **ours},
        )
        self.mine = mine
        self.config = config
        self.peer: Peer = around.router.add_peer(config, now=around.now)
        self.session: Session
        self.sends: CodecContext
        self.context: CodecContext
        self.framer = Framer(65535)
        self.open = False
        self.stuck = False  # its TCP takes nothing
        self.connect()

    def connect(self, *, restarting: bool = False) -> None:
        """Up to Established; `restarting` sets the bit of RFC 4724."""
        around = self.around
        session = self.peer.accept(around.now)
        assert session is not None
        self.session, self.open, self.stuck = session, True, False
        self.framer = Framer(65535)
        self.peer.connected(session, OWN_ADDRESS, around.now)
        self.receive(encode_message(make_open(self.mine, restarting=restarting), CodecContext()))
        self.receive(KEEPALIVE)
        assert session.state is State.ESTABLISHED, session.last_error
        assert session.negotiated is not None
        agreed = self.sends = session.negotiated.context
        self.context = CodecContext(
            four_octet_as=agreed.four_octet_as,
            extended_message=agreed.extended_message,
            internal=agreed.internal,
            families=agreed.families,
            add_path_receive=agreed.add_path_send,
            add_path_send=agreed.add_path_receive,
            extended_next_hop=agreed.extended_next_hop,
        )

    def close(self) -> None:
        """The connection goes away without a word."""
        self.open = False
        self.peer.closed(self.session, "closed by the peer", self.around.now)

    def receive(self, data: bytes) -> None:
        self.peer.receive(self.session, data, self.around.now)

    def keep_alive(self) -> None:
        """What keeps a hold timer from running out."""
        self.receive(KEEPALIVE)

    def messages(self) -> list[tuple[int, bytes]]:
        """(type, body) of what came since the last call."""
        data = self.session.data_to_send()
        self.session.write_progress(self.around.now, drained=True)
        messages = self.framer.feed(data)
        assert self.framer.error is None, "what was sent is no message"
        return messages

    def updates(self) -> list[bytes]:
        """Bodies of the UPDATEs that came since the last call."""
        return [body for kind, body in self.messages() if kind == MessageType.UPDATE]


class RawRouter:
    """See the module. Whoever fails with a bug of ours makes `settle` fail."""

    def __init__(self, **settings: Any) -> None:
        self.now = 1000.0
        settings.setdefault("import_policy", accept_all)
        settings.setdefault("export_policy", accept_all)
        self.router = Router(local_as=OWN_AS, bgp_identifier=0xC0000201, jitter=lambda: 0.5, **settings)
        self.peers: list[RawPeer] = []
        self.errors: list[str] = []
        self.expect_errors = False
        self.router.start(self.now)

    def add(self, asn: int = OWN_AS, *, ours: dict[str, Any] | None = None, **theirs: Any) -> RawPeer:
        """A neighbour with these settings of its own; `ours` are settings of ours for it."""
        peer = RawPeer(self, f"192.0.2.{len(self.peers) + 2}", asn, theirs, ours or {})
        self.peers.append(peer)
        self.settle()
        peer.messages()
        return peer

    def settle(self) -> None:
        """Until there is nothing left to do."""
        router = self.router
        for _ in range(100_000):
            worked = router.step(self.now)
            for peer in list(router.tables.outgoing):
                assert isinstance(peer, Peer)
                if any(one.peer is peer and one.stuck for one in self.peers):
                    continue
                if peer.produce(1000, self.now):
                    worked = True
                else:
                    router.tables.outgoing.discard(peer)
            effects, router.effects = router.effects, []
            for effect in effects:
                if isinstance(effect, Close):
                    for one in self.peers:
                        one.open = one.open and one.session is not effect.session
                elif getattr(effect, "kind", "") == "error":
                    self.errors.append(f"{effect.reason}\n{effect.detail}")  # type: ignore[union-attr]
            router.touched.clear()
            if not worked:
                assert self.expect_errors or not self.errors, self.errors[0]
                return
        raise AssertionError("the router never comes to rest")
