"""Features of routes: attributes, several paths, who is told what."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from pybgp import PathAttributes
from pybgp.family import IPV4_UNICAST
from tests.interop.cell import Field
from tests.interop.daemon import (
    OUR_AS,
    OURS,
    SECOND,
    THEIR_AS,
    THEIRS,
    THIRD,
    Neighbor,
    Originated,
    Setup,
    until,
)
from tests.interop.ours import Ours, hops, ours
from tests.interop.sessions import MINE, ROUTE, STATIC, has, lost, never

B_AS, C_AS = 65003, 65004
MANY = 10_000


async def attributes(ground: Field) -> None:
    """ORIGIN, MED, communities and large communities, both ways, unchanged."""
    communities, large = ("64512:100", "65002:7"), ("64512:1:2", "4200000000:3:4")
    route = Originated(prefix=ROUTE, med=7, communities=communities, large_communities=large)
    await ground.start(routes=(route,))
    async with ours() as mine:
        mine.speaker.announce(
            MINE, med=42, communities=["64512:100", "64512:200"], large_communities=["64512:1:2", "64512:4294967295:0"]
        )
        mine.peer()
        received = await mine.has(ROUTE)
        assert received.med == 7
        assert {f"{one >> 16}:{one & 0xFFFF}" for one in received.communities} == set(communities)
        assert {":".join(map(str, one)) for one in received.large_communities} == set(large)
        seen = await has(ground, MINE)
        assert seen.med == 42, seen
        assert seen.origin in ("igp", "i", None), seen
        assert seen.communities == {"64512:100", "64512:200"}, seen
        assert seen.large_communities == {"64512:1:2", "64512:4294967295:0"}, seen
        assert seen.next_hop == OURS, seen


async def well_known(ground: Field) -> None:
    """NO_EXPORT and NO_ADVERTISE: we keep what carries them from a third speaker, and the daemon tells nobody."""
    kept = "198.51.101.0/24"
    routes: tuple[Originated, ...] = (Originated(prefix=ROUTE), Originated(prefix=kept, communities=("65535:65281",)))
    if ground.name in ("frr", "openbgpd", "gobgp"):
        routes = (Originated(prefix=ROUTE),)  # to an external peer they withhold it themselves
    async with middle(ground, routes=routes) as (_, third):
        await third.has(ROUTE)
        assert third.attributes(kept) is None
        third.speaker.announce("203.0.114.0/24", communities=["no-advertise"])
        third.speaker.announce(MINE)
        await has(ground, MINE)
        assert "203.0.114.0/24" not in await ground.daemon.routes()


@contextlib.asynccontextmanager
async def middle(
    ground: Field, *, routes: tuple[Originated, ...] = STATIC, to_them: dict[str, Any] | None = None,
    to_third: dict[str, Any] | None = None, **options: Any,
) -> AsyncIterator[tuple[Ours, Ours]]:  # fmt: skip
    """We stand between the daemon and a third speaker (ours too), all in different ASes."""
    await ground.start(routes=routes, **options)
    async with ours() as mine, ours(SECOND, asn=B_AS) as third:
        mine.peer(**(to_them or {}))
        mine.peer(SECOND, peer_as=B_AS, **(to_third or {}))
        third.peer(OURS, peer_as=OUR_AS)
        await mine.up()
        await third.up(OURS)
        yield mine, third


async def transit(ground: Field) -> None:
    """What the daemon sent goes on to a third speaker, and back, with both AS numbers."""
    async with middle(ground) as (_, third):
        assert hops(await third.has(ROUTE)) == (OUR_AS, THEIR_AS)
        third.speaker.announce(MINE, med=5)
        seen = await has(ground, MINE)
        assert seen.as_path == (OUR_AS, B_AS), seen


async def thousands(ground: Field) -> None:
    """10,000 routes of ours, with varied attributes, to the daemon and on to a third speaker: all arrive unchanged."""
    if ground.name == "exabgp":
        await thousands_at_exabgp(ground)
        return
    routes: dict[str, PathAttributes] = {}
    for number in range(MANY):
        prefix = f"10.{number >> 8}.{number & 255}.0/24"
        routes[prefix] = PathAttributes.build(
            med=number % 50, communities=[f"64512:{number % 97}"], large_communities=[f"64512:{number % 13}:1"]
        )
    onward = {"export_all": True}
    neighbors = (Neighbor(options=onward), Neighbor(address=SECOND, asn=B_AS, options=onward))
    await ground.daemon.start(Setup(neighbors=neighbors))
    async with ours() as mine, ours(SECOND, asn=B_AS) as third:
        for prefix, attrs in routes.items():
            mine.speaker.announce_many((prefix,), attrs)
        mine.peer()
        third.peer(THEIRS)
        await mine.up()
        await third.up(THEIRS)
        await until(f"{MANY} routes through {ground.name}", lambda: third.snapshot().routes_received >= MANY, 90)
        for prefix, attrs in routes.items():
            got = third.attributes(prefix)
            assert got is not None, prefix
            assert got.communities == attrs.communities, prefix
            assert got.large_communities == attrs.large_communities, prefix
            assert hops(got) == (THEIR_AS, OUR_AS), prefix
        for prefix in list(routes)[: MANY // 2]:
            mine.speaker.withdraw(prefix)
        await until("half of them gone", lambda: third.snapshot().routes_received == MANY - MANY // 2, 60)


async def thousands_at_exabgp(ground: Field) -> None:
    ground.note("it passes nothing on; what it told its API process was compared")
    await ground.start()
    async with ours() as mine:
        for number in range(MANY):
            attrs: dict[str, Any] = {"med": number % 50, "communities": [f"64512:{number % 97}"]}
            mine.speaker.announce(f"10.{number >> 8}.{number & 255}.0/24", **attrs)
        mine.peer()

        async def all_there() -> bool:
            await asyncio.sleep(1)
            return len(await ground.daemon.routes()) == MANY

        await until(f"{MANY} routes at ExaBGP", all_there, 90)
        seen = await ground.daemon.routes()
        for number in range(MANY):
            (one,) = seen[f"10.{number >> 8}.{number & 255}.0/24"]
            assert one.med == number % 50, one
            assert one.communities == frozenset({f"64512:{number % 97}"}), one


async def thousands_to_us(ground: Field) -> None:
    """10,000 routes of the daemon's own, to us."""
    routes = tuple(
        Originated(prefix=f"10.{n >> 8}.{n & 255}.0/24", med=n % 50, communities=(f"65002:{n % 25}",))
        for n in range(MANY)
    )
    await ground.start(routes=routes)
    async with ours() as mine:
        mine.peer()
        await mine.up()
        await until(f"{MANY} routes of {ground.name}", lambda: mine.snapshot().routes_received == MANY, 90)
        for route in routes:
            got = mine.attributes(route.prefix)
            assert got is not None
            assert got.med == route.med
            assert {f"{one >> 16}:{one & 0xFFFF}" for one in got.communities} == set(route.communities)


async def add_path_receive(ground: Field) -> None:
    """The daemon sends us two paths of one prefix."""
    if ground.name == "exabgp":
        both = " ".join(f"route {MINE} path-information 0.0.0.{n} next-hop self med {n};" for n in (1, 2))
        neighbor = Neighbor(options={"add_path": "send"})
        await ground.daemon.start(Setup(neighbors=(neighbor,), more=f"static {{ {both} }}"))
        async with ours() as mine:
            mine.peer(add_path_receive=(IPV4_UNICAST,))
            await until("two paths", lambda: {one.path.attributes.med for one in mine.paths(MINE)} == {1, 2})
        return
    more = {"add_path": "send", "export_all": True}
    neighbors = (
        Neighbor(options=more),
        Neighbor(address=SECOND, asn=B_AS, options={"export_all": True}),
        Neighbor(address=THIRD, asn=C_AS, options={"export_all": True}),
    )
    await ground.daemon.start(Setup(neighbors=neighbors))
    async with ours() as mine, ours(SECOND, asn=B_AS) as second, ours(THIRD, asn=C_AS) as third:
        for one in (second, third):
            one.speaker.announce(MINE)
            one.peer(THEIRS)
        mine.peer(add_path_receive=(IPV4_UNICAST,))
        await until("two paths", lambda: len(mine.paths(MINE)) == 2)
        assert {hops(one.path.attributes)[-1] for one in mine.paths(MINE)} == {B_AS, C_AS}
        second.speaker.withdraw(MINE)
        await until("one path", lambda: len(mine.paths(MINE)) == 1)


async def add_path_send(ground: Field) -> None:
    """We send the daemon two paths of one prefix."""
    await ground.start(add_path="receive")
    async with ours() as mine, ours(SECOND, asn=B_AS) as second, ours(THIRD, asn=C_AS) as third:
        mine.peer(add_path_send=(IPV4_UNICAST,))
        for asn, one in ((B_AS, second), (C_AS, third)):
            mine.peer(one.address, peer_as=asn)
            one.speaker.announce(MINE)
            one.peer(OURS, peer_as=OUR_AS)

        async def count() -> int:
            return len((await ground.daemon.routes()).get(MINE, []))

        async def two() -> bool:
            return await count() == 2

        async def one_left() -> bool:
            return await count() == 1

        await until(f"two paths at {ground.name}", two)
        third.speaker.withdraw(MINE)
        await until(f"one path at {ground.name}", one_left)


async def we_reflect(ground: Field) -> None:
    """We are the route reflector of the daemon and of a third speaker."""
    await ground.start(asn=OUR_AS, routes=STATIC)
    async with ours() as mine, ours(SECOND) as third:
        mine.peer(peer_as=OUR_AS, route_reflector_client=True, cluster_id=99)
        mine.peer(SECOND, peer_as=OUR_AS, route_reflector_client=True, cluster_id=99)
        third.speaker.announce(MINE)
        third.peer(OURS, peer_as=OUR_AS)
        got = await third.has(ROUTE)
        assert got.cluster_list == (99,)
        assert got.originator_id is not None
        seen = await has(ground, MINE)
        if seen.originator_id is not None:
            assert SECOND in seen.originator_id, seen


async def it_reflects(ground: Field) -> None:
    """The daemon is the route reflector of two speakers of ours."""
    options = {"rr_client": True, "cluster_id": "192.0.2.99", "export_all": True}
    neighbors = (Neighbor(options=options), Neighbor(address=SECOND, options=options))
    await ground.daemon.start(Setup(asn=OUR_AS, neighbors=neighbors))
    async with ours() as mine, ours(SECOND) as third:
        mine.speaker.announce(MINE)
        mine.peer(peer_as=OUR_AS)
        third.peer(THEIRS, peer_as=OUR_AS)
        got = await third.has(MINE)
        assert got.originator_id == int.from_bytes(bytes(map(int, OURS.split("."))), "big"), got
        assert len(got.cluster_list) == 1
        await asyncio.sleep(0)
        assert all(not one.accepted for one in mine.paths(MINE) if one.peer == THEIRS)


async def roles(ground: Field) -> None:
    """We are the provider, it is the customer (RFC 9234); its route comes without OTC, ours gets it."""
    await ground.start(routes=STATIC, role="customer")
    async with ours() as mine:
        mine.speaker.announce(MINE)
        mine.peer(role="provider", role_strict=True)
        await mine.up()
        await mine.has(ROUTE)
        seen = await has(ground, MINE)
        assert "otc" in seen.text.lower() or ground.name != "bird", seen.text


async def wrong_roles(ground: Field) -> None:
    """Both say that they are the provider: no session, Role Mismatch (2/11)."""
    await ground.start(routes=STATIC, role="provider")
    async with ours() as mine:
        mine.peer(role="provider")
        await until("Role Mismatch", lambda: "2/11" in mine.snapshot().last_error)
        assert mine.snapshot().established_count == 0


async def graceful_shutdown(ground: Field) -> None:
    """We are about to go: what we send carries GRACEFUL_SHUTDOWN; what comes with it gets LOCAL_PREF 0 (RFC 8326)."""
    await ground.start(routes=(Originated(prefix=ROUTE, communities=("65535:0",)),))
    async with ours() as mine:
        mine.speaker.announce(MINE)
        mine.peer()
        assert (await mine.has(ROUTE)).local_pref == 0
        await has(ground, MINE)
        mine.speaker.change_peer(THEIRS, graceful_shutdown=True)

        async def marked() -> bool:
            return "65535:0" in ((await has(ground, MINE)).communities or ())

        await until("GRACEFUL_SHUTDOWN on our route", marked)


async def blackhole(ground: Field) -> None:
    """BLACKHOLE (RFC 7999): taken from the daemon with it, and not told to another AS."""
    routes = (Originated(prefix="198.51.100.9/32", communities=("65535:666",)), *STATIC)
    async with middle(ground, routes=routes, to_them={"blackhole": True}) as (mine, third):
        await mine.has("198.51.100.9/32")
        await third.has(ROUTE)
        assert third.attributes("198.51.100.9/32") is None


FIVE = tuple(Originated(prefix=f"198.51.{100 + number}.0/24") for number in range(5))


async def our_limit(ground: Field) -> None:
    """Five routes where we take three: Cease / Maximum Number of Prefixes Reached."""
    from pybgp.config import PrefixLimit

    await ground.start(routes=FIVE)
    async with ours() as mine:
        mine.peer(max_prefixes={IPV4_UNICAST: PrefixLimit(limit=3, action="shut")})
        await until("the limit", lambda: any("6/1" in text for text in mine.events("down")))
        await never("a session", lambda: mine.snapshot().established, 3.0)


async def their_limit(ground: Field) -> None:
    """Five routes of ours where the daemon takes three."""
    await ground.start(max_prefix=3)
    async with ours() as mine:
        for route in FIVE:
            mine.speaker.announce(route.prefix)
        mine.peer()
        await until("its Cease", lambda: any("6/1" in text for text in mine.events("down")))


async def allow_own_as(ground: Field) -> None:
    """A route with our AS in it, through the daemon to a second speaker of our AS that allows it."""
    if ground.name == "exabgp":
        route = f"static {{ route {ROUTE} next-hop self as-path [ {THEIR_AS} {OUR_AS} ]; }}"
        await ground.daemon.start(Setup(more=route))
        async with ours() as mine:
            mine.peer(allow_own_as=1)
            assert OUR_AS in hops(await mine.has(ROUTE))
        return
    neighbors = tuple(Neighbor(address=one, options={"export_all": True}) for one in (OURS, SECOND))
    await ground.daemon.start(Setup(neighbors=neighbors))
    async with ours() as mine, ours(SECOND) as second:
        mine.speaker.announce(MINE)
        mine.peer()
        second.peer(THEIRS, allow_own_as=1)
        await until("its session", lambda: second.snapshot().established)
        assert hops(await second.has(MINE)) == (THEIR_AS, OUR_AS)


async def they_allow_own_as(ground: Field) -> None:
    await ground.start(allow_own_as=1)
    async with ours() as mine:
        mine.speaker.announce(MINE, as_path=str(THEIR_AS))
        mine.peer()
        assert (await has(ground, MINE)).as_path == (OUR_AS, THEIR_AS)


async def our_local_as(ground: Field) -> None:
    """We show it AS 64999 and go on as 64512."""
    await ground.start(asn=THEIR_AS, neighbors=(Neighbor(asn=64999),), routes=STATIC)
    async with ours() as mine:
        mine.speaker.announce(MINE)
        mine.peer(local_as=64999)
        assert hops(await mine.has(ROUTE))[-1] == THEIR_AS
        assert (await has(ground, MINE)).as_path == (64999, OUR_AS)


async def their_local_as(ground: Field) -> None:
    await ground.start(routes=STATIC, local_as=65099)
    async with ours() as mine:
        mine.speaker.announce(MINE)
        mine.peer(peer_as=65099)
        assert hops(await mine.has(ROUTE))[0] == 65099
        await has(ground, MINE)


async def remove_private_as(ground: Field) -> None:
    await ground.start(neighbors=(Neighbor(asn=1000),))
    async with ours(asn=1000) as mine:
        mine.speaker.announce(MINE, as_path="64600 64601")
        mine.peer(remove_private_as="all")
        assert (await has(ground, MINE)).as_path == (1000,)


async def as_override(ground: Field) -> None:
    """A route that has the daemon's AS in it, to the daemon: it gets our AS in its place."""
    await ground.start()
    async with ours() as mine:
        mine.speaker.announce(MINE, as_path=f"{THEIR_AS}")
        mine.peer(as_override=True)
        assert (await has(ground, MINE)).as_path == (OUR_AS, OUR_AS)


async def they_override(ground: Field) -> None:
    """The daemon puts its AS in place of that of the neighbour that it tells."""
    neighbors = tuple(
        Neighbor(address=one, options={"export_all": True, "as_override": True}) for one in (OURS, SECOND)
    )
    await ground.daemon.start(Setup(neighbors=neighbors))
    async with ours() as mine, ours(SECOND) as second:
        mine.speaker.announce(MINE)
        mine.peer()
        second.peer(THEIRS)
        assert hops(await second.has(MINE)) == (THEIR_AS, THEIR_AS)


async def next_hop_unchanged(ground: Field) -> None:
    async with middle(ground, to_them={"next_hop_unchanged": True}) as (mine, third):
        third.speaker.announce(MINE)
        assert (await has(ground, MINE)).next_hop == SECOND
        mine.speaker.change_peer(THEIRS, next_hop_unchanged=False, next_hop_self=True)

        async def ourselves() -> bool:
            return bool((await has(ground, MINE)).next_hop == OURS)

        await until("our own next hop", ourselves)


async def multipath(ground: Field) -> None:
    """Two equal paths, of the daemon and of a third speaker: both selected."""
    await ground.start(asn=B_AS, routes=STATIC)
    async with ours(multipath=2) as mine, ours(SECOND, asn=B_AS) as second:
        second.speaker.announce(ROUTE)
        second.peer(OURS, peer_as=OUR_AS)
        mine.peer(peer_as=B_AS)
        mine.peer(SECOND, peer_as=B_AS)
        await until("two selected paths", lambda: sum(one.selected for one in mine.paths(ROUTE)) == 2)


async def med(ground: Field) -> None:
    """The lower MED of two paths of one AS wins."""
    await ground.start(asn=B_AS, routes=(Originated(prefix=ROUTE, med=20),))
    async with ours() as mine, ours(SECOND, asn=B_AS) as second:
        second.speaker.announce(ROUTE, med=10)
        second.peer(OURS, peer_as=OUR_AS)
        mine.peer(peer_as=B_AS)
        mine.peer(SECOND, peer_as=B_AS)
        await until("two paths", lambda: len(mine.paths(ROUTE)) == 2)
        assert mine.paths(ROUTE)[0].peer == SECOND
        second.speaker.announce(ROUTE, med=30)
        await until("the daemon's path", lambda: mine.paths(ROUTE)[0].peer == THEIRS)


__all__ = ["lost"]
