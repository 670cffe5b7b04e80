"""The door of a speaker: listening sockets, and what happens to who knocks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from pybgp.dynamic import Range, peer_as_of
from pybgp.errors import ConnectionRejected, ProtocolError
from pybgp.events import PeerEvent
from pybgp.link import security_of
from pybgp.messages import Notification, encode_message
from pybgp.messages.context import CodecContext
from pybgp.peer import Peer
from pybgp.router import Router
from pybgp.session import Session
from pybgp.tcp_options import address_family, packed_key
from pybgp.transport import Connection, Listener, ReadBuffer, words

STRANGERS = 64
"""Connections that are being turned away at the same time; more are closed without a word."""

PATIENCE = 1.0
"""Seconds that a stranger may wait to become a peer. In a mesh both sides learn of each other at about the same
time; who is told first dials, and would be sent away for being early."""

EARLY_OCTETS = 4096
"""What a stranger may send meanwhile: an OPEN, and no more."""

GUESTS = 512
"""Connections from ranges of dynamic peers that have not sent their OPEN yet; one more ends the oldest."""

GUESTS_OF_ONE = 4
"""Of these, from one address."""

OPEN_TIME = 10.0
"""Seconds that such a connection has for its OPEN."""

Welcome = Callable[[Peer, Session, Connection], None]


class Door:
    """Accepts connections from peers, on one listening socket an address for all of them."""

    def __init__(
        self,
        router: Router,
        buffer: ReadBuffer,
        addresses: Sequence[str],
        port: int,
        welcome: Welcome,
        clock: Callable[[], float],
        soon: Callable[[], None],
    ) -> None:
        self.listeners: list[Listener] = []
        self.leaving: set[Connection] = set()
        self._router = router
        self._buffer = buffer
        self._addresses = addresses
        self._port = port
        self._welcome = welcome
        self._clock = clock
        self._soon = soon
        self._by_address: dict[tuple[bytes, int], Peer] = {}
        self._early: dict[Connection, tuple[bytearray, asyncio.TimerHandle]] = {}
        self._guests: dict[Connection, tuple[Range, bytearray, asyncio.TimerHandle]] = {}

    async def open(self) -> None:
        """Raises OSError that names the address and the port."""
        try:
            for address in self._addresses:
                self.listeners.append(Listener(address, self._port))
            self.secure()
            for listener in self.listeners:
                await listener.start(lambda: Connection(self, self._buffer, incoming=True))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
        waiting = [(connection, timer) for connection, (_octets, timer) in self._early.items()]
        waiting += [(connection, timer) for connection, (_range, _octets, timer) in self._guests.items()]
        for connection, timer in waiting:
            timer.cancel()
            self.leaving.add(connection)
            connection.abort()
        self._early.clear()
        self._guests.clear()

    def secure(self) -> None:
        """Bring the keys and TTL rules of the listening sockets in line with the peers."""
        peers = list(self._router.peers.values())
        self._by_address = {}
        for peer in peers:
            with contextlib.suppress(OSError):  # the interface of a link-local address is not there
                self._by_address[packed_key(peer.address)] = peer
        for listener in self.listeners:
            mine = [peer for peer in peers if listener.serves(peer.address)]
            for address in listener.keyed - {peer.address for peer in mine}:
                listener.set_password(address, None)
            ranges = [one for one in self._router.ranges if listener.serves(str(one.prefix).partition("/")[0])]
            listener.set_range_passwords({str(one.prefix): one.settings.get("password") for one in ranges})
            hops = [one.settings.get("ttl_security") for one in ranges]
            for peer in mine:
                listener.set_password(peer.address, peer.config.password)
                hops.append(peer.config.ttl_security)
            # The kernel can check the TTL before we accept only as far as all peers agree to it.
            strict = [hop for hop in hops if hop is not None]
            listener.set_ttl_rules(256 - max(strict) if strict and len(strict) == len(hops) else 0)
        for connection in [known for known in self._early if self._find(known) is not None]:
            self._no_stranger(connection)

    # what connections say

    def connection_made(self, connection: Connection) -> None:
        now = self._clock()
        self._soon()
        peer = self._find(connection)
        if peer is not None:
            self._receive(peer, connection, now)
            return
        found = self._router.ranges.find(connection.remote_octets)
        if found is not None:
            self._hear_out(connection, found)
        elif len(self._early) < STRANGERS:
            timer = asyncio.get_running_loop().call_later(PATIENCE, self._stays_a_stranger, connection)
            self._early[connection] = (bytearray(), timer)
        else:
            self._refuse(connection)

    def _hear_out(self, connection: Connection, found: Range) -> None:
        """It may become a dynamic peer once its OPEN is here. Who sends none is in nobody's way."""
        same = [one for one in self._guests if one.remote_octets == connection.remote_octets]
        if len(same) >= GUESTS_OF_ONE:
            self._forget_guest(same[0])
        elif len(self._guests) >= GUESTS:
            self._forget_guest(next(iter(self._guests)))
        timer = asyncio.get_running_loop().call_later(OPEN_TIME, self._forget_guest, connection)
        self._guests[connection] = (found, bytearray(), timer)

    def _forget_guest(self, connection: Connection) -> None:
        guest = self._guests.pop(connection, None)
        if guest is not None:
            guest[2].cancel()
            connection.abort()

    def _guest_said(self, connection: Connection, data: bytes) -> None:
        found, octets, timer = self._guests[connection]
        octets += data
        now = self._clock()
        try:
            peer_as = peer_as_of(bytes(octets))
            if peer_as is None:
                return
            self._check_protection(found, connection)
            peer = self._router.add_dynamic_peer(found, connection.remote_name, peer_as, now)
        except ProtocolError as error:
            timer.cancel()
            del self._guests[connection]
            self._router.tell(PeerEvent("refused", connection.remote_address, str(error), now=now))
            connection.write(encode_message(Notification.of(error), CodecContext()))
            self._turn_away(connection, speak=False)
            self._soon()
            return
        timer.cancel()
        del self._guests[connection]
        self._by_address[packed_key(peer.address)] = peer
        self._receive(peer, connection, now)
        if connection.owner is not self:
            connection.owner.data_received(connection, bytes(octets))
        self._soon()

    def _check_protection(self, found: Range, connection: Connection) -> None:
        """Raises ConnectionRejected where the keys of the range are not on the listening socket."""
        family = address_family(connection.remote_address)
        for listener in self.listeners:
            if address_family(listener.address) == family:
                why = listener.refuses_range(str(found.prefix), found.settings.get("password"))
                if why is not None:
                    raise ConnectionRejected(why)

    def _stays_a_stranger(self, connection: Connection) -> None:
        if self._early.pop(connection, None) is not None:
            self._refuse(connection)
            self._soon()

    def _no_stranger(self, connection: Connection) -> None:
        """The address has become a peer's. What is to be protected was not, so far: that one must dial again."""
        octets, timer = self._early.pop(connection)
        timer.cancel()
        peer = self._find(connection)
        assert peer is not None
        if peer.config.password is not None or peer.config.ttl_security is not None:
            self._turn_away(connection)
            return
        self._receive(peer, connection, self._clock())
        if octets and connection.owner is not self:
            connection.owner.data_received(connection, bytes(octets))

    def _refuse(self, connection: Connection) -> None:
        who = connection.remote_address
        why = "a connection from an address that is no peer"
        self._router.tell(PeerEvent("refused", who, why, now=self._clock()))
        self._turn_away(connection)

    def _receive(self, peer: Peer, connection: Connection, now: float) -> None:
        why = self._unprotected(peer, connection)
        if why is not None:
            self._router.tell(PeerEvent("refused", peer.address, why, now=now))
            connection.abort()
            return
        session = peer.accept(now)
        if session is None:
            self._turn_away(connection, speak=not peer.started)
            return
        self._welcome(peer, session, connection)

    def data_received(self, connection: Connection, data: bytes) -> None:
        """Strangers are not listened to; one who may yet be a peer is heard out first."""
        if connection in self._guests:
            self._guest_said(connection, data)
            return
        if connection not in self._early:
            return
        octets, timer = self._early[connection]
        octets += data
        if len(octets) > EARLY_OCTETS:
            timer.cancel()
            del self._early[connection]
            self._refuse(connection)
            self._soon()

    def connection_lost(self, connection: Connection, reason: str) -> None:
        self.leaving.discard(connection)
        early = self._early.pop(connection, None)
        if early is not None:
            early[1].cancel()
        guest = self._guests.pop(connection, None)
        if guest is not None:
            guest[2].cancel()

    def writable(self, connection: Connection) -> None:
        """Nothing waits to be written."""

    def _find(self, connection: Connection) -> Peer | None:
        octets, scope = connection.remote_octets, connection.remote_scope
        return self._by_address.get((octets, scope)) or self._by_address.get((octets, 0))

    def _unprotected(self, peer: Peer, connection: Connection) -> str | None:
        config = peer.config
        family = address_family(connection.remote_address)
        for listener in self.listeners if peer.dynamic is None else ():  # that of a dynamic one was checked before
            if address_family(listener.address) == family:
                why = listener.refuses(peer.address, config.password)
                if why is not None:
                    return why
        try:
            security_of(peer).apply(connection.socket, peer.address)
        except OSError as error:
            return f"the connection could not be protected: {words(error)}"
        return None

    def _turn_away(self, connection: Connection, *, speak: bool = True) -> None:
        if len(self.leaving) >= STRANGERS:
            connection.abort()
            return
        if speak:
            cease = Notification.of(ConnectionRejected())
            connection.write(encode_message(cease, CodecContext()))
        self.leaving = {known for known in self.leaving if not known.lost.done()}
        self.leaving.add(connection)
        connection.close(grace=1.0)
