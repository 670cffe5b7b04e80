"""Five hundred peers that come by themselves, from one range, into one speaker.

The guests are a few lines each: what is tested is the speaker, and all of them run in its event loop.
"""

from __future__ import annotations

import asyncio
import gc
import struct
import weakref

from pybgp import CodecContext, Notification, PeerConfig, Speaker, State
from pybgp.fsm.negotiation import make_open
from pybgp.messages import Keepalive, MessageType, decode_message, encode_message
from pybgp.messages.framing import Framer, frame
from pybgp.peer import Peer
from tests.loopback import LIMIT, address, nothing_left, speaker, until

MANY = 500
AT_ONCE = 400
FIRST_AS = 4_200_000_000
PLAIN = CodecContext()


class Guest:
    """A router of an AS of its own, with one route. `has` is what it was told, by the octets of the NLRI."""

    def __init__(self, number: int) -> None:
        self.my_as = FIRST_AS + number
        self.identifier = 0x0A000001 + number
        self.route = b"\x18\x0a" + struct.pack(">H", number)
        self.has: set[bytes] = set()
        self.refusal: Notification | None = None
        self._framer = Framer(4096)
        self._answered = asyncio.Event()

    async def come(self, at: str, source: str) -> None:
        """Until the hub has answered: with its OPEN, or with a NOTIFICATION."""
        self._reader, self._writer = await asyncio.open_connection(at, 1790, local_addr=(source, 0))
        config = PeerConfig(
            address=at, peer_as=64512, local_as=self.my_as, bgp_identifier=self.identifier, graceful_restart=False
        )
        self._writer.write(encode_message(make_open(config), PLAIN))
        self._writer.write(encode_message(Keepalive(), PLAIN))
        self._task = asyncio.create_task(self._listen())
        async with asyncio.timeout(LIMIT):
            await self._answered.wait()
        if self.refusal is None:
            self._writer.write(self._update())

    async def go(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()
        await self._task

    def _update(self) -> bytes:
        origin, path = b"\x40\x01\x01\x00", b"\x40\x02\x06\x02\x01" + struct.pack(">I", self.my_as)
        attributes = origin + path + b"\x40\x03\x04\xc0\x00\x02\x01"
        return frame(2, b"\0\0" + struct.pack(">H", len(attributes)) + attributes + self.route)

    async def _listen(self) -> None:
        while data := await self._reader.read(65536):
            for kind, body in self._framer.feed(data):
                if kind == MessageType.UPDATE:
                    self._updated(body)
                    continue
                if kind == MessageType.NOTIFICATION:
                    message = decode_message(kind, body, PLAIN)
                    assert isinstance(message, Notification)
                    self.refusal = message
                self._answered.set()

    def _updated(self, body: bytes) -> None:
        """All prefixes here have four octets."""
        withdrawn = int.from_bytes(body[:2], "big")
        attributes = 2 + withdrawn
        announced = attributes + 2 + int.from_bytes(body[attributes : attributes + 2], "big")
        self.has -= {body[at : at + 4] for at in range(2, attributes, 4)}
        self.has |= {body[at : at + 4] for at in range(announced, len(body), 4)}


async def everybody(guests: list[Guest], at: str) -> None:
    """All of them, some at a time."""
    doorway = asyncio.Semaphore(AT_ONCE)

    async def one(guest: Guest) -> None:
        async with doorway:
            await guest.come(at, address())

    async with asyncio.TaskGroup() as group:
        for guest in guests:
            group.create_task(one(guest))


def what_is_left(hub: Speaker) -> dict[str, int]:
    """Whatever the speaker still keeps of those who came, by where."""
    router, shell = hub._router, hub._shell
    door = shell._door
    return {
        "peers": len(router.peers),
        "policies": len(router._policies),
        "of the range": sum(len(one.peers) for one in router.ranges),
        "sinks": sum(map(len, router.tables._sinks.values())),
        "outgoing": len(router.tables.outgoing),
        "long work": len(router.tables.jobs._queue),
        "touched": len(router.touched),
        "links": len(shell._links),
        "ending": sum(1 for link in shell._ending if link.waiting),
        "timers": len(shell._timers),
        "guests": len(door._guests),
        "early": len(door._early),
        "by address": len(door._by_address),
        "leaving": sum(1 for connection in door.leaving if not connection.lost.done()),
    }


async def test_five_hundred_of_them() -> None:
    at = address()
    async with speaker(at, 1) as hub:
        hub.listen_for("127.0.0.0/8", peer_as=range(FIRST_AS, FIRST_AS + MANY + 1), maximum=MANY)
        hub.announce("10.255.0.0/24")
        own = b"\x18\x0a\xff\x00"
        with nothing_left():
            guests = [Guest(number) for number in range(MANY)]
            await everybody(guests, at)
            routes = {own, *(guest.route for guest in guests)}
            await until(lambda: all(len(guest.has) == MANY for guest in guests))
            assert all(guest.has == routes - {guest.route} for guest in guests)
            seen = hub.peers()
            assert len(seen) == MANY
            assert {peer.state for peer in seen.values()} == {State.ESTABLISHED}
            assert {peer.routes_received for peer in seen.values()} == {1}
            assert {peer.peer_as for peer in seen.values()} == {guest.my_as for guest in guests}
            peers = weakref.WeakSet[Peer](hub._router.peers.values())

            # One more is refused in words that it understands, and harms nobody; where one goes, it gets in.
            late = Guest(MANY)
            await late.come(at, address())
            assert late.refusal is not None
            assert (late.refusal.code, late.refusal.subcode) == (6, 5)  # RFC 4486: Connection Rejected
            await late.go()
            assert len(hub.peers()) == MANY
            await guests.pop().go()
            await until(lambda: len(hub.peers()) == MANY - 1)
            late = Guest(MANY)
            await late.come(at, address())
            assert late.refusal is None
            guests.append(late)
            routes = {own, *(guest.route for guest in guests)}
            await until(lambda: all(guest.has == routes - {guest.route} for guest in guests))

            # All leave at once.
            await asyncio.gather(*(guest.go() for guest in guests))
            await until(lambda: not any(what_is_left(hub).values()))
        assert [str(one.prefix) for part in hub.table() for one in part] == ["10.255.0.0/24"]
        gc.collect()
        assert not [peer.address for peer in peers]
