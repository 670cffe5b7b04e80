"""Features of restarts: graceful restart in both roles, and long-lived."""

from __future__ import annotations

from pybgp.family import IPV4_UNICAST
from pybgp.messages.capabilities.graceful_restart import GracefulRestart
from pybgp.messages.capabilities.long_lived_graceful_restart import LongLivedGracefulRestart
from tests.interop.cell import Field
from tests.interop.daemon import until
from tests.interop.ours import ours
from tests.interop.sessions import MINE, ROUTE, STATIC, exchange, has


async def helper(ground: Field) -> None:
    """The daemon is killed and comes back: its route never leaves our table."""
    await ground.start(routes=STATIC, graceful_restart=60)
    async with ours() as mine:
        mine.speaker.announce(MINE)
        mine.peer()
        await mine.up()
        await mine.has(ROUTE)
        told = mine.capability(GracefulRestart)
        assert told is not None, "its OPEN has no graceful restart capability"
        assert told.families, "its graceful restart capability names no family, so nothing of it is kept"
        ground.daemon.kill()
        await until("we see it go", lambda: not mine.snapshot().established)
        assert mine.snapshot().restarting
        assert mine.attributes(ROUTE) is not None
        await ground.restart()
        await until("it is back", lambda: mine.snapshot().established_count == 2, 60)
        assert mine.attributes(ROUTE) is not None, "its route was dropped when it came back"
        await until("nothing is stale", lambda: not mine.snapshot().restarting, 60)
        assert mine.attributes(ROUTE) is not None, "its route was dropped with its End-of-RIB"


async def restarting(ground: Field) -> None:
    """We end without a word and come back: the daemon keeps our route, marks it stale, and has it fresh again."""
    await ground.start(routes=STATIC, graceful_restart=60)
    async with ours() as mine:
        await exchange(ground, mine)
        await mine.speaker.aclose(restart=True)

    async def gone() -> bool:
        return not await ground.daemon.established("192.0.2.1")

    await until(f"{ground.name} sees us go", gone)
    assert MINE in await ground.daemon.routes(), "it dropped our route"
    async with ours(restarting=True) as mine:
        mine.speaker.announce(MINE)
        mine.peer()
        await mine.up()
        await mine.has(ROUTE)
        assert MINE in await ground.daemon.routes()

        async def fresh() -> bool:
            return not (await has(ground, MINE)).stale

        await until("our route is fresh", fresh)


async def notification(ground: Field) -> None:
    """Both set the N bit (RFC 8538): a NOTIFICATION of its ends the session, and its route stays until it is back."""
    await ground.start(routes=STATIC, graceful_restart=60, graceful_notification=True)
    async with ours() as mine:
        mine.peer(graceful_notification=True)
        await mine.up()
        await mine.has(ROUTE)
        assert mine.capability(GracefulRestart).notification, "the N bit is not set"
        await ground.daemon.reset("192.0.2.1")
        await until("we keep what is stale", lambda: mine.events("stale"))
        assert mine.attributes(ROUTE) is not None
        await until("it is back", lambda: mine.snapshot().established_count == 2, 60)
        await until("nothing is stale", lambda: not mine.snapshot().restarting, 60)
        assert mine.attributes(ROUTE) is not None


async def bits(ground: Field) -> None:
    """The restart bit is set in the first OPEN after a restart, and not before."""
    await ground.start(routes=STATIC, graceful_restart=60)
    async with ours() as mine:
        mine.peer()
        await mine.up()
        told = mine.capability(GracefulRestart)
        assert told is not None, "its OPEN has no graceful restart capability"
        if told.restarting:
            ground.note("its first OPEN has the restart bit set, though nothing restarted")
        ground.daemon.kill()
        await until("we see it go", lambda: not mine.snapshot().established)
        await ground.restart()
        await until("it is back", lambda: mine.snapshot().established_count == 2, 60)
        assert mine.capability(GracefulRestart).restarting, "the restart bit is not set after its restart"


async def long_lived(ground: Field) -> None:
    """LLGR (RFC 9494): the capability both ways; the daemon gone for longer than the restart time, its route stays."""
    await ground.start(routes=STATIC, graceful_restart=1, long_lived=60)
    async with ours() as mine:
        mine.peer(long_lived_stale_time=60)
        await mine.up()
        await mine.has(ROUTE)
        told = mine.capability(LongLivedGracefulRestart)
        assert told is not None, "its OPEN has no long-lived graceful restart capability"
        ground.daemon.kill()
        await until("we see it go", lambda: not mine.snapshot().established)
        await until("LLGR_STALE", lambda: 0xFFFF0006 in getattr(mine.attributes(ROUTE), "communities", ()))
        await ground.restart()
        await until("it is back", lambda: mine.snapshot().established_count == 2, 60)
        stale = 0xFFFF0006
        await until("fresh again", lambda: stale not in getattr(mine.attributes(ROUTE), "communities", (stale,)))


__all__ = ["IPV4_UNICAST"]
