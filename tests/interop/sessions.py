"""Features of sessions: who dials, what is agreed on, how they end."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from pathlib import Path
from typing import Any

from pybgp import PeerHandle, accept_all
from pybgp.family import IPV4_UNICAST
from pybgp.messages.capabilities.enhanced_route_refresh import EnhancedRouteRefresh
from pybgp.messages.capabilities.extended_message import ExtendedMessage
from pybgp.messages.capabilities.extended_next_hop import ExtendedNextHop
from pybgp.messages.capabilities.hostname import Hostname
from pybgp.messages.capabilities.software_version import SoftwareVersion
from tests.interop.cell import Field
from tests.interop.daemon import OUR_AS, OURS, OURS6, SECOND, THEIR_AS, THEIRS, THEIRS6, NotSeen, Originated, until
from tests.interop.ours import BOTH, Ours, hops, ours

ROUTE, ROUTE6 = "198.51.100.0/24", "2001:db8:100::/48"
MINE, MINE6 = "203.0.113.0/24", "2001:db8:200::/48"
STATIC = (Originated(prefix=ROUTE),)
BOTH_STATIC = (Originated(prefix=ROUTE), Originated(prefix=ROUTE6))
TEXT = "maintenance-4711"


async def has(ground: Field, prefix: str, address: str = OURS) -> Any:
    """The daemon's first path of a prefix from this neighbour, once it is there."""

    async def there() -> Any:
        return (await ground.daemon.routes(address)).get(prefix)

    return (await until(f"{prefix} at {ground.name}", there))[0]


async def lost(ground: Field, prefix: str, address: str = OURS) -> None:
    async def gone() -> bool:
        return prefix not in await ground.daemon.routes(address)

    await until(f"{prefix} gone from {ground.name}", gone)


async def exchange(
    ground: Field, mine: Ours, *, peer: str = THEIRS, address: str = OURS, **settings: Any
) -> PeerHandle:
    """A session with these settings of ours, and a route in each direction."""
    mine.speaker.announce(MINE)
    handle = mine.peer(peer, **settings)
    await mine.up(peer)
    await mine.has(ROUTE)
    await has(ground, MINE, address)
    return handle


async def never(what: str, condition: Any, seconds: float = 5.0) -> None:
    try:
        await until(what, condition, seconds)
    except NotSeen:
        return
    raise NotSeen(f"{what}, which must not be")


async def external(ground: Field) -> None:
    await ground.start(routes=STATIC, passive=True)
    async with ours() as mine:
        await exchange(ground, mine)
        assert hops(await mine.has(ROUTE)) == (THEIR_AS,)
        assert (await has(ground, MINE)).as_path == (OUR_AS,)
        assert mine.snapshot().incoming is False


async def they_dial(ground: Field) -> None:
    await ground.start(routes=STATIC)
    async with ours() as mine:
        await exchange(ground, mine, passive=True)
        assert mine.snapshot().incoming is True


async def internal(ground: Field) -> None:
    await ground.start(asn=OUR_AS, routes=STATIC)
    async with ours() as mine:
        await exchange(ground, mine, peer_as=OUR_AS)
        assert hops(await mine.has(ROUTE)) == ()
        assert (await mine.has(ROUTE)).local_pref == 100
        assert (await has(ground, MINE)).local_pref in (100, None)


async def withdrawal(ground: Field) -> None:
    await ground.start(routes=STATIC)
    async with ours() as mine:
        await exchange(ground, mine)
        mine.speaker.withdraw(MINE)
        await lost(ground, MINE)
        await ground.daemon.withdraw(ROUTE)
        await mine.lost(ROUTE)


async def four_octet_as(ground: Field) -> None:
    await ground.start(asn=4200000002, routes=STATIC, neighbor_as=4200000001)
    async with ours(asn=4200000001) as mine:
        await exchange(ground, mine, peer_as=4200000002)
        assert hops(await mine.has(ROUTE)) == (4200000002,)
        assert (await has(ground, MINE)).as_path == (4200000001,)


async def two_octet_as(ground: Field) -> None:
    """We offer no 4-octet AS numbers: the long one of a route comes back whole from AS4_PATH."""
    await ground.start(routes=STATIC)
    async with ours() as mine:
        mine.speaker.announce(MINE, as_path="4200000009")
        mine.peer(four_octet_as=False)
        await mine.up()
        await mine.has(ROUTE)
        assert (await has(ground, MINE)).as_path == (OUR_AS, 4200000009)


async def over_ipv6(ground: Field) -> None:
    await ground.start(address=OURS6, own=THEIRS6, families=("ipv6",), routes=(Originated(prefix=ROUTE6),))
    async with ours() as mine:
        mine.speaker.announce(MINE6)
        mine.peer(THEIRS6, local_address=OURS6, families=BOTH[1:])
        await mine.up(THEIRS6)
        await mine.has(ROUTE6)
        await has(ground, MINE6, OURS6)


async def ipv6_over_ipv4(ground: Field) -> None:
    await ground.start(families=("ipv4", "ipv6"), routes=BOTH_STATIC)
    async with ours() as mine:
        mine.speaker.announce(MINE6, next_hop=OURS6)
        await exchange(ground, mine, families=BOTH)
        await mine.has(ROUTE6)
        assert (await has(ground, MINE6)).next_hop == OURS6


async def extended_next_hop(ground: Field) -> None:
    """IPv4 routes with IPv6 next hops, RFC 8950."""
    options: dict[str, Any] = {"families": ("ipv4", "ipv6"), "extended_next_hop": True}
    await ground.start(address=OURS6, own=THEIRS6, routes=BOTH_STATIC, **options)
    async with ours() as mine:
        mine.speaker.announce(MINE)
        mine.peer(THEIRS6, local_address=OURS6, families=BOTH, extended_next_hop=(IPV4_UNICAST,))
        await mine.up(THEIRS6)
        assert mine.capability(ExtendedNextHop, THEIRS6) is not None
        assert (await has(ground, MINE, OURS6)).next_hop == OURS6
        received = await mine.has(ROUTE)
        assert received.next_hop_text == THEIRS6


async def link_local(ground: Field) -> None:
    def address(host: Any) -> str:
        for line in host.run("ip", "-6", "-o", "address", "show", "dev", host.interface, "scope", "link").splitlines():
            if "tentative" not in line:
                return str(line.split()[3].partition("/")[0])
        return ""

    mine_at = await until("our link-local address", lambda: address(ground.ours))
    theirs_at = await until("their link-local address", lambda: address(ground.theirs))
    device = ground.theirs.interface
    own = f"{theirs_at}%{device}"
    where = f"{mine_at}%{device}"
    route6 = (Originated(prefix=ROUTE6),)
    await ground.start(address=where, own=own, families=("ipv6",), routes=route6, interface=device)
    async with ours((OURS, "::")) as mine:
        peer = f"{theirs_at}%{ground.ours.interface}"
        mine.speaker.announce(MINE6)
        mine.peer(peer, families=BOTH[1:])
        await mine.up(peer)
        await mine.has(ROUTE6)
        await has(ground, MINE6, where)


async def md5(ground: Field) -> None:
    await ground.start(routes=STATIC, password="s3cret-of-both")
    async with ours() as mine:
        await exchange(ground, mine, password="s3cret-of-both")


async def md5_wrong(ground: Field) -> None:
    await ground.start(routes=STATIC, password="right")
    async with ours() as mine:
        mine.peer(password="wrong")
        await never("a session", lambda: mine.snapshot().established)


async def md5_change(ground: Field) -> None:
    """Our key changes at run time: to the right one."""
    await ground.start(routes=STATIC, password="right")
    async with ours() as mine:
        mine.peer(password="wrong")
        await never("a session", lambda: mine.snapshot().established, 2.0)
        mine.speaker.change_peer(THEIRS, password="right")
        await mine.up()
        await mine.has(ROUTE)


async def gtsm(ground: Field) -> None:
    await ground.start(routes=STATIC, ttl_security=1)
    async with ours() as mine:
        await exchange(ground, mine, ttl_security=1)


async def gtsm_far(ground: Field) -> None:
    """The daemon sends with a small TTL: nothing of it arrives."""
    await ground.start(routes=STATIC)
    async with ours() as mine:
        mine.peer(ttl_security=1)
        await never("a session", lambda: mine.snapshot().established)


async def hold_time(ground: Field) -> None:
    """The smaller one holds, whoever offers it, and KEEPALIVEs keep such a session up."""
    await ground.start(routes=STATIC, hold_time=9)
    async with ours() as mine:
        handle = await exchange(ground, mine)
        assert mine.snapshot().hold_time == 9
        mine.speaker.change_peer(THEIRS, hold_time=6)
        handle.reset()
        await until("a new session", lambda: mine.snapshot().established and handle.snapshot.hold_time == 6)
        before = mine.snapshot()
        await until(
            "three KEEPALIVEs", lambda: mine.snapshot().messages_received >= before.messages_received + 4, timeout=15
        )
        assert mine.snapshot().established_count == before.established_count


async def hold_zero(ground: Field) -> None:
    """We offer 0: neither side sends a KEEPALIVE after the first, and the session stays."""
    await ground.start(routes=STATIC, hold_time=9)
    async with ours() as mine:
        await exchange(ground, mine, hold_time=0)
        assert mine.snapshot().hold_time == 0
        before = mine.snapshot()
        await asyncio.sleep(4.0)
        after = mine.snapshot()
        assert after.established_count == before.established_count
        assert after.messages_received == before.messages_received, "it goes on sending"
        assert after.messages_sent == before.messages_sent, "we go on sending"
        mine.speaker.announce("203.0.114.0/24")
        await has(ground, "203.0.114.0/24")


async def hold_expiry(ground: Field) -> None:
    """The daemon falls silent: our hold timer ends the session."""
    await ground.start(routes=STATIC)
    async with ours() as mine:
        await exchange(ground, mine, hold_time=3)
        process = ground.daemon.process
        assert process is not None
        pids = [process.pid, *children(process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            await until("our hold timer", lambda: any("old" in text for text in mine.events("down")), timeout=10)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children(child)]
    return found


def again(mine: Ours, count: int) -> bool:
    return mine.snapshot().established and mine.snapshot().established_count >= count


async def collision(ground: Field) -> None:
    """Both dial at once: one session, and it stays."""
    await ground.start(routes=STATIC)
    async with ours() as mine:
        handle = await exchange(ground, mine)
        # after each Cease OpenBGPD rests for longer, 30 seconds and more
        for number in range(1 if ground.name == "openbgpd" else 4):
            handle.reset()
            await until("the session is back", functools.partial(again, mine, number + 2), 90)
            await has(ground, MINE)
        count = mine.snapshot().established_count
        await asyncio.sleep(1)
        assert mine.snapshot().established
        assert mine.snapshot().established_count == count


async def our_shutdown(ground: Field) -> None:
    await ground.start(routes=STATIC)
    async with ours() as mine:
        handle = await exchange(ground, mine)
        handle.shutdown(TEXT)

        async def known() -> bool:
            return TEXT in ground.daemon.log() + await ground.daemon.told(OURS)

        await until(f"our text at {ground.name}", known)


async def their_shutdown(ground: Field) -> None:
    await ground.start(routes=STATIC)
    async with ours() as mine:
        await exchange(ground, mine)
        await ground.daemon.shut_down(OURS, TEXT)
        await until("their text", lambda: any(TEXT in text for text in mine.events("down")))


async def our_reset(ground: Field) -> None:
    await ground.start(routes=STATIC)
    async with ours() as mine:
        handle = await exchange(ground, mine)
        handle.reset()
        await until("a second session", lambda: mine.snapshot().established_count == 2)
        await has(ground, MINE)


async def their_reset(ground: Field) -> None:
    await ground.start(routes=STATIC)
    async with ours() as mine:
        await exchange(ground, mine)
        await ground.daemon.reset(OURS)
        await until("a Cease", lambda: any("(6/" in text for text in mine.events("down")))
        await until("a second session", lambda: mine.snapshot().established_count == 2, 90)
        await has(ground, MINE)


async def hostname(ground: Field) -> None:
    await ground.start(routes=STATIC, hostname=True)
    async with ours() as mine:
        await exchange(ground, mine, hostname="pybgp-of-the-lab")
        told = mine.capability(Hostname)
        assert told is not None, "its OPEN has no hostname capability"
        assert told.hostname


async def software_version(ground: Field) -> None:
    await ground.start(routes=STATIC, software_version=True)
    async with ours() as mine:
        await exchange(ground, mine, software_version="pybgp/0.1")
        assert mine.capability(SoftwareVersion) is not None, "its OPEN has no software version capability"


async def extended_messages(ground: Field) -> None:
    """A route with more attributes than fit into 4096 octets."""
    await ground.start(routes=STATIC, extended_messages=True)
    async with ours() as mine:
        mine.speaker.announce(MINE, large_communities=[f"64512:1:{number}" for number in range(500)])
        mine.peer()
        await mine.up()
        assert mine.capability(ExtendedMessage) is not None, "its OPEN has no extended message capability"
        assert len((await has(ground, MINE)).large_communities) == 500


async def enhanced_refresh(ground: Field) -> None:
    await ground.start(routes=STATIC, **({"enhanced_refresh": True} if ground.name == "openbgpd" else {}))
    async with ours() as mine:
        handle = await exchange(ground, mine)
        assert mine.capability(EnhancedRouteRefresh) is not None, "its OPEN has no enhanced route refresh capability"
        before = mine.snapshot().updates_received
        handle.refresh(IPV4_UNICAST)
        await until("the routes again", lambda: mine.snapshot().updates_received > before)
        await mine.has(ROUTE)
        await ground.daemon.refresh(OURS)
        await has(ground, MINE)


async def our_refresh(ground: Field) -> None:
    await ground.start(routes=STATIC)
    async with ours() as mine:
        handle = await exchange(ground, mine, enhanced_route_refresh=False)
        before = mine.snapshot().updates_received
        handle.refresh(IPV4_UNICAST)
        await until("the routes again", lambda: mine.snapshot().updates_received > before)


async def their_refresh(ground: Field) -> None:
    await ground.start(routes=STATIC)
    async with ours() as mine:
        await exchange(ground, mine, enhanced_route_refresh=False)
        before = mine.snapshot().updates_sent
        await ground.daemon.refresh(OURS)
        await until("our routes sent again", lambda: mine.snapshot().updates_sent > before)


async def source_address(ground: Field) -> None:
    """We dial from another of our addresses than the kernel would take."""
    await ground.start(address=SECOND, routes=STATIC, passive=True)
    async with ours() as mine:
        await exchange(ground, mine, address=SECOND, local_address=SECOND)
        assert mine.snapshot().local_address == SECOND


async def their_range(ground: Field) -> None:
    """We dial a daemon that takes neighbours from a prefix."""
    await ground.start(routes=STATIC, dynamic="192.0.2.0/24")
    async with ours() as mine:
        mine.speaker.announce(MINE)
        mine.peer()
        await mine.up()
        await mine.has(ROUTE)


async def our_range(ground: Field) -> None:
    """The daemon dials us, and we take neighbours from a prefix."""
    await ground.start(routes=STATIC)
    async with ours() as mine:
        mine.speaker.announce(MINE)
        mine.speaker.listen_for(  # type: ignore[attr-defined,unused-ignore]
            "192.0.2.0/24", peer_as=THEIR_AS, import_policy=accept_all, export_policy=accept_all
        )
        await until("a peer of the range", lambda: any(one.established for one in mine.speaker.peers().values()))
        await mine.has(ROUTE)
        await has(ground, MINE)
