"""The shell's half of one session: its TCP connection, made or accepted."""

from __future__ import annotations

import asyncio
from typing import Protocol

from pybgp import tcp_options
from pybgp.peer import Peer
from pybgp.session import Session
from pybgp.transport import Connection, ReadBuffer, Security, connect, words


class LoopSide(Protocol):
    """What a link needs of its speaker."""

    buffer: ReadBuffer

    def now(self) -> float: ...
    def soon(self) -> None: ...


def security_of(peer: Peer) -> Security:
    config = peer.config
    return Security(config.password, config.ttl_security, config.ttl, config.interface)


class Link:
    """Carries bytes between a `Session` and a `Connection`, and their fate."""

    def __init__(self, shell: LoopSide, peer: Peer, session: Session) -> None:
        self.peer = peer
        self.session = session
        self.connection: Connection | None = None
        self.ended = False
        self._shell = shell
        self._task: asyncio.Task[None] | None = None
        self._unsent = 0
        self._password = peer.config.password  # the key of the connection

    # the outgoing way

    def open(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._connect(), name=f"bgp {self.peer.address}")

    async def _connect(self) -> None:
        config = self.peer.config
        self._password = config.password
        try:
            async with asyncio.timeout(config.connect_timeout + 1):  # the session's own timer comes first
                await connect(
                    self,
                    self._shell.buffer,
                    config.address,
                    config.port,
                    local_address=config.local_address,
                    security=security_of(self.peer),
                )
        except Exception as error:  # noqa: BLE001  OSError as a rule; whatever it is, this attempt alone has failed
            if not self.ended and self.connection is None:
                self.ended = True
                self.peer.connect_failed(self.session, words(error), self._shell.now())
                self._shell.soon()
        finally:
            self._task = None

    # the incoming way

    def adopt(self, connection: Connection) -> None:
        """Take over a connection that was accepted."""
        connection.owner = self
        self.connection_made(connection)

    # what the connection says

    def connection_made(self, connection: Connection) -> None:
        if self.ended:
            connection.abort()
            return
        self.connection = connection
        self.rekey()
        self.peer.connected(self.session, connection.local_address, self._shell.now(), connection.link_local)
        self._shell.soon()

    def data_received(self, connection: Connection, data: bytes) -> None:
        self.peer.receive(self.session, data, self._shell.now())
        self._shell.soon()

    def connection_lost(self, connection: Connection, reason: str) -> None:
        self.ended = True
        self.peer.closed(self.session, reason, self._shell.now())
        self._shell.soon()

    def writable(self, connection: Connection) -> None:
        self._shell.soon()

    # what the speaker wants

    def rekey(self) -> None:
        """Where the neighbour's TCP MD5 key has become another one, the open connection goes on with that. What the
        neighbour has not acknowledged is sent again, signed anew. Who cannot have the new key starts anew."""
        password = self.peer.config.password
        if password is None or self._password is None or password == self._password or self.ended:
            return
        if self.connection is None:  # still connecting, with the old one: once it stands
            return
        self._password = password
        try:
            tcp_options.set_md5_key(self.connection.socket, self.peer.address, password)
        except OSError as error:
            self.peer.reset(words(error), self._shell.now())

    @property
    def can_write(self) -> bool:
        return self.connection is not None and self.connection.can_write

    def flush(self) -> None:
        """Write what the session has ready."""
        if self.connection is not None:
            data = self.session.data_to_send()
            if data:
                self.connection.write(data)
                self._unsent += len(data)
            self.note_progress()

    def note_progress(self) -> None:
        """Tell the session how its octets fared (RFC 9687)."""
        if self.connection is not None and self._unsent:
            unsent = self.connection.unsent
            if unsent < self._unsent:
                self.session.write_progress(self._shell.now(), drained=not unsent)
            self._unsent = unsent

    def close(self, *, abruptly: bool = False) -> None:
        """Write what is ready, then close. The session hears no more of this connection."""
        if not self.ended and not abruptly:
            self.flush()
        self.ended = True
        if self._task is not None and self.connection is None:
            self._task.cancel()
        if self.connection is not None:
            if abruptly:
                self.connection.abort()
            else:
                self.connection.close()

    @property
    def waiting(self) -> list[asyncio.Future[None]]:
        """What must come to its end before nothing is left of this link."""
        found: list[asyncio.Future[None]] = []
        if self._task is not None:
            found.append(self._task)
        if self.connection is not None and not self.connection.lost.done():
            found.append(self.connection.lost)
        return found
