"""Features of sessions: who dials, what is agreed on, how they end."""

from __future__ import annotations

from pybgp.family import IPV4_UNICAST
from tests.interop.cell import Field
from tests.interop.daemon import OUR_AS, OURS, OURS6, THEIRS, THEIRS6, Originated, until
from tests.interop.ours import BOTH, hops, ours

ROUTE, ROUTE6 = "198.51.100.0/24", "2001:db8:100::/48"
MINE, MINE6 = "203.0.113.0/24", "2001:db8:200::/48"


async def both_ways(ground: Field, *, address: str = OURS, six: bool = False) -> None:
    prefix = MINE6 if six else MINE
    await until(f"{prefix} at {ground.name}", lambda: _has(ground, prefix, address))


async def _has(ground: Field, prefix: str, address: str) -> bool:
    return prefix in await ground.daemon.routes(address)


async def external(ground: Field) -> None:
    """An eBGP session that we dial, routes both ways."""
    await ground.start(routes=(Originated(prefix=ROUTE),), passive=True)
    async with ours() as mine:
        mine.speaker.announce(MINE)
        mine.peer()
        await mine.up()
        assert hops(await mine.has(ROUTE)) == (65002,)
        await both_ways(ground)
        assert mine.snapshot().incoming is False


async def they_dial(ground: Field) -> None:
    """An eBGP session that the daemon dials."""
    await ground.start(routes=(Originated(prefix=ROUTE),))
    async with ours() as mine:
        mine.speaker.announce(MINE)
        mine.peer(passive=True)
        await mine.up()
        await mine.has(ROUTE)
        await both_ways(ground)
        assert mine.snapshot().incoming is True
