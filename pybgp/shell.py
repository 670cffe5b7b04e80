"""The event loop's side of a router: one turn of work at a time.

Everything that happens ends in `soon()`: at most one turn is scheduled. A turn carries out what the router
asks for, lets peers produce UPDATEs while their transports take them, does long work, and stops after 10 ms so
that sockets and timers of all peers have their turn. Peers are always read from, however long the work is that
waits: what holds a flood back is that a read is carried out before the next one, and a KEEPALIVE that stayed unread
would end a session that is well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from weakref import WeakSet

from pybgp.errors import SessionClosed
from pybgp.events import PeerEvent
from pybgp.fsm.states import State
from pybgp.journal import Journal
from pybgp.link import Link
from pybgp.listening import Door
from pybgp.pacing import PREFIXES, Slice
from pybgp.peer import Close, Connect, Peer
from pybgp.router import Router
from pybgp.session import Session
from pybgp.subscription import Batches, Events
from pybgp.transport import CLOSE_GRACE, Connection, ReadBuffer


class Shell:
    """Runs a `Router` on asyncio. `addresses` and `port` are where it listens."""

    def __init__(self, router: Router, addresses: Sequence[str], port: int) -> None:
        self.router = router
        self.buffer = ReadBuffer()
        self.readers: WeakSet[Batches | Events] = WeakSet()
        self._door = Door(router, self.buffer, addresses, port, self._welcome, self.now, self.soon)
        self._journal = Journal()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._scheduled = False
        self._secure = False
        self._links: dict[Session, Link] = {}
        self._ending: set[Link] = set()
        self._timers: dict[Peer | None, asyncio.TimerHandle] = {}
        self._waiters: list[tuple[Peer | None, asyncio.Future[None]]] = []

    # life

    async def start(self) -> None:
        if self._loop is not None:
            raise RuntimeError("a speaker runs once; make a new one")
        self._loop = asyncio.get_running_loop()
        await self._door.open()
        self.router.start(self.now())
        self.soon()

    async def close(self, *, restart: bool) -> None:
        if self._loop is None or self._closed:
            self._closed = True
            return
        self._closed = True
        self._door.close()
        self.router.stop(self.now(), silent=restart)
        self._carry_out()
        for link in list(self._links.values()):
            link.close()
            self._see_out(link)
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for reader in list(self.readers):
            reader.close()
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(SessionClosed("the speaker was closed"))
        self._waiters.clear()
        waiting = [future for link in self._ending for future in link.waiting]
        waiting += [connection.lost for connection in self._door.leaving if not connection.lost.done()]
        if waiting:
            await asyncio.wait(waiting, timeout=CLOSE_GRACE + 1)
        for link in list(self._ending):
            link.close(abruptly=True)
        await asyncio.sleep(0)  # aborted transports close in the next turn of the loop

    @property
    def listening(self) -> tuple[tuple[str, int], ...]:
        return tuple((listener.address, listener.port) for listener in self._door.listeners)

    # time

    def now(self) -> float:
        if self._loop is None:
            raise RuntimeError("the speaker is not running: enter it with `async with` first")
        return self._loop.time()

    def now_if_running(self) -> float | None:
        return None if self._loop is None or self._closed else self._loop.time()

    def soon(self) -> None:
        """Something happened: have a turn, once."""
        if not self._scheduled and self._loop is not None and not self._closed:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def secure(self) -> None:
        """Peers were added, changed or removed."""
        self._secure = True
        self.soon()

    # a turn

    def _turn(self) -> None:
        self._scheduled = False
        if self._closed:
            return
        self.buffer.turn()
        if self._secure:
            self._secure = False
            self._door.secure()
            for link in list(self._links.values()):
                link.rekey()
        router = self.router
        share = Slice(self.now)
        while True:
            self._carry_out()
            worked = router.step(self.now())
            worked |= self._produce()
            if not worked:
                break
            if not share.lasts():
                self.soon()
                break
        self._carry_out()
        self._arm(None, router.next_deadline())

    def _carry_out(self) -> None:
        """What the router asks for, in its order; then octets and deadlines of the peers concerned."""
        router = self.router
        while router.effects or router.touched:
            effects, router.effects = router.effects, []
            for effect in effects:
                if isinstance(effect, Connect):
                    link = self._links[effect.session] = Link(self, effect.peer, effect.session)
                    if not self._closed:
                        link.open()
                elif isinstance(effect, Close):
                    ended = self._links.pop(effect.session, None)
                    if ended is not None:
                        ended.close()
                        self._see_out(ended)
                else:
                    self._report(effect)
            if router.effects:
                continue
            touched, router.touched = router.touched, set()
            for peer in touched:
                for session in peer.sessions:
                    known = self._links.get(session)
                    if known is not None:
                        known.flush()
                self._arm(peer, peer.next_deadline())
                if peer.dynamic is not None and router.see_off(peer, self.now()):
                    self._arm(peer, None)
                    self._secure = True
                    self.soon()

    def _produce(self) -> bool:
        """A batch from each peer that has something to say and a transport that takes it."""
        produced = False
        outgoing = self.router.tables.outgoing
        now = self.now()
        for peer in list(outgoing):
            if not isinstance(peer, Peer) or peer.current is None:
                outgoing.discard(peer)
                continue
            link = self._links.get(peer.current)
            if link is None or not link.can_write:
                continue
            if peer.produce(PREFIXES, now):
                produced = True
                link.flush()
            else:
                outgoing.discard(peer)
        return produced

    # timers: one a peer, moved only when it must be earlier

    def _arm(self, peer: Peer | None, deadline: float | None) -> None:
        timer = self._timers.get(peer)
        if deadline is None or self._closed or self._loop is None:
            if timer is not None:
                timer.cancel()
                del self._timers[peer]
            return
        if timer is not None:
            if timer.when() <= deadline:
                return
            timer.cancel()
        self._timers[peer] = self._loop.call_at(deadline, self._expired, peer)

    def _expired(self, peer: Peer | None) -> None:
        self._timers.pop(peer, None)
        if peer is None:
            self.router.handle_timer(self.now())
        else:
            for session in peer.sessions:
                link = self._links.get(session)
                if link is not None:
                    link.note_progress()
            peer.handle_timer(self.now())
        self.soon()

    # connections

    def _welcome(self, peer: Peer, session: Session, connection: Connection) -> None:
        link = self._links[session] = Link(self, peer, session)
        link.adopt(connection)

    def _see_out(self, link: Link) -> None:
        """Know of a link that was closed until nothing is left of it."""
        for future in link.waiting:
            self._ending.add(link)
            future.add_done_callback(lambda _: None if link.waiting else self._ending.discard(link))

    # those who wait and listen

    def _report(self, event: PeerEvent) -> None:
        self._journal.write(event)
        for reader in list(self.readers):
            if isinstance(reader, Events):
                reader.put(event)
        if event.kind in ("up", "removed"):
            self._wake()

    async def established(self, peer: Peer | None, timeout: float | None) -> None:  # noqa: ASYNC109
        if self._closed or self._loop is None:
            raise SessionClosed("the speaker is not running")
        if self._satisfied(peer):
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        entry = (peer, waiter)
        self._waiters.append(entry)
        try:
            async with asyncio.timeout(timeout):
                await waiter
        finally:
            with contextlib.suppress(ValueError):
                self._waiters.remove(entry)

    def _satisfied(self, peer: Peer | None) -> bool:
        if peer is not None:
            return peer.state is State.ESTABLISHED
        return all(known.state is State.ESTABLISHED for known in self.router.peers.values() if known.started)

    def _wake(self) -> None:
        present = set(self.router.peers.values())
        for peer, waiter in self._waiters:
            if waiter.done():
                continue
            if peer is not None and peer not in present:
                waiter.set_exception(SessionClosed(f"{peer.address} was removed"))
            elif self._satisfied(peer):
                waiter.set_result(None)
