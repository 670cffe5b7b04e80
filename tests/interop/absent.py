"""What a daemon does not have, and how one knows: its own refusal or its manual's words, looked up by each run."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pybgp import PeerHandle
from pybgp.messages.capabilities.enhanced_route_refresh import EnhancedRouteRefresh
from pybgp.messages.capabilities.extended_message import ExtendedMessage
from pybgp.messages.capabilities.graceful_restart import GracefulRestart
from pybgp.messages.capabilities.hostname import Hostname
from tests.interop.daemon import OURS, SECOND, THEIRS, Daemon, Neighbor, NotSeen, Originated, Setup, steady, until
from tests.interop.gobgp import GoBgp
from tests.interop.openbgpd import OpenBgpd
from tests.interop.ours import BOTH, Ours, ours

Evidence = Callable[[Daemon], Awaitable[str]]


def refuses(lines: str, words: str, **options: object) -> Evidence:
    """Its configuration check refuses these lines of a neighbour in these words."""

    async def look(daemon: Daemon) -> str:
        answer = await daemon.check(Setup(neighbors=(Neighbor(options=options),), more=lines))
        if words.lower() not in answer.lower():
            raise NotSeen(f"it was to refuse `{lines}` with `{words}`, and says: {answer or 'nothing'}")
        plain = await daemon.check(Setup(neighbors=(Neighbor(options=options),)))
        if plain:
            raise NotSeen(f"it refuses also what is without `{lines}`: {plain}")
        return f"`{lines.strip()}` is refused: `{answer}`"

    return look


def _text(path: Path) -> str:
    if not path.exists():
        raise NotSeen(f"{path} is not installed")
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="replace")


def manual(file: str, words: str) -> Evidence:
    """Its manual says so."""

    async def look(daemon: Daemon) -> str:
        text = " ".join(_text(Path(file)).split())
        if words not in text:
            raise NotSeen(f"{file} does not say `{words}`")
        return f"{file}: `{words}`"

    return look


def refuses_neighbor(address: str, words: str) -> Evidence:
    """Its configuration check refuses a neighbour of this address."""

    async def look(daemon: Daemon) -> str:
        answer = await daemon.check(Setup(neighbors=(Neighbor(address=address),)))
        if words.lower() not in answer.lower():
            raise NotSeen(f"it was to refuse the neighbour {address} with `{words}`, and says: {answer or 'nothing'}")
        return f"a neighbour {address} is refused: `{answer}`"

    return look


def open_lacks(kind: type[Any], what: str, **options: object) -> Evidence:
    """Its OPEN, as it arrives, has no such capability."""

    async def look(daemon: Daemon) -> str:
        await daemon.start(Setup(neighbors=(Neighbor(options=options),)))
        async with ours() as mine:
            mine.peer()
            snapshot = await mine.up()
            if any(isinstance(one, kind) for one in snapshot.capabilities):
                raise NotSeen(f"its OPEN has the {what} capability")
            names = ", ".join(sorted({type(one).__name__ for one in snapshot.capabilities}))
        return f"no {what} capability in its OPEN, which has {names}"

    return look


def no_n_bit(**options: object) -> Evidence:
    """Its OPEN has graceful restart, and no N bit in it."""

    async def look(daemon: Daemon) -> str:
        await daemon.start(Setup(neighbors=(Neighbor(options=options),)))
        async with ours() as mine:
            mine.peer(graceful_notification=True)
            await mine.up()
            told = mine.capability(GracefulRestart)
            if told is None or told.notification:
                raise NotSeen(f"its OPEN was to have graceful restart without the N bit, and has {told}")
        return "the graceful restart capability in its OPEN has no N bit"

    return look


Act = Callable[[Daemon, Ours, PeerHandle], Awaitable[object]]


def answers(act: Act, words: str, why: str, families: tuple[str, ...] = ("ipv4",)) -> Evidence:
    """In a session, after `act`, the daemon itself says these words: in its log or of the neighbour."""

    async def look(daemon: Daemon) -> str:
        routes = (Originated(prefix="198.51.100.0/24"), Originated(prefix="2001:db8:100::/48"))
        await daemon.start(Setup(neighbors=(Neighbor(families=families),), routes=routes[: len(families)]))
        async with ours() as mine:
            handle = mine.peer(families=BOTH[: len(families)], enhanced_route_refresh=False)
            await mine.up()
            said = await act(daemon, mine, handle)

            async def there() -> bool:
                text = f"{said}{daemon.log()}{await daemon.told(OURS)}"
                return " ".join(words.split()) in " ".join(text.replace("\\", "").split())

            await until(f"`{words}` from {daemon.name}", there)
        return f"{why}: `{words}`"

    return look


async def withholds(daemon: Daemon) -> str:
    """It does not tell a neighbour of a path that has this neighbour's AS in it."""
    assert isinstance(daemon, GoBgp)
    await daemon.start(Setup(neighbors=(Neighbor(), Neighbor(address=SECOND))))
    async with ours() as mine, ours(SECOND) as second:
        mine.speaker.announce("203.0.113.0/24")
        mine.peer()
        second.peer(THEIRS)
        await second.up(THEIRS)

        async def selected() -> bool:
            return "*> 203.0.113.0/24" in await daemon.ask("global", "rib")

        await until("the route in its table", selected)
        await asyncio.sleep(2)  # what never goes out cannot be waited for
        said = (await daemon.ask("neighbor", SECOND, "adj-out")).strip()
        if said != "Network not in table":
            raise NotSeen(f"it was to have nothing for the second neighbour of the same AS, and has: {said}")
    return (
        f"the route is in its table, and for another neighbour of the same AS `gobgp neighbor … adj-out` says `{said}`"
    )


async def cannot_write(daemon: Daemon) -> str:
    """With hold time 0 its first UPDATE fails, since it may take no time."""
    await daemon.start(Setup(routes=(Originated(prefix="198.51.100.0/24"),)))
    async with ours() as mine:
        mine.peer(hold_time=0)
        await until(f"a failed write in the log of {daemon.name}", lambda: "i/o timeout" in daemon.log())
    (line, *_) = (line for line in daemon.log().splitlines() if "i/o timeout" in line and "write" in line)
    said = re.sub(":[0-9]+->|:[0-9]+: ", " ", steady(line, 1))
    return f"it agrees to hold time 0, and then its first UPDATE fails: `{said}`"


async def shut_down(daemon: Daemon, mine: Ours, handle: PeerHandle) -> None:
    handle.shutdown("maintenance-4711")


async def ask_it(daemon: Daemon, mine: Ours, handle: PeerHandle) -> None:
    handle.refresh()


async def let_it_ask(daemon: Daemon, mine: Ours, handle: PeerHandle) -> None:
    await daemon.refresh(OURS)
    await asyncio.sleep(2)  # what never comes cannot be waited for


async def its_routes(daemon: Daemon, mine: Ours, handle: PeerHandle) -> str:
    await until("its routes", lambda: mine.snapshot().routes_received == 2)
    assert isinstance(daemon, OpenBgpd)
    return await daemon.ask("show", "rib", "out", "neighbor", OURS)


BGPD_CONF = "/usr/share/man/man5/bgpd.conf.5.gz"
EXABGP = "/usr/share/man/man1/exabgp.1.gz"
EXABGP_TEARDOWN = "/usr/lib/python3/dist-packages/exabgp/reactor/api/command/neighbor.py"
KEYWORD = "invalid keyword"
NO_FIB = manual(EXABGP, "does not perform any FIB manipulation on the system it runs on")

ABSENT: dict[tuple[str, str], Evidence] = {
    ("bird", "software_version"): refuses("software version on;", "syntax error"),
    ("bird", "they_override"): refuses("as override;", "syntax error"),
    ("bird", "labelled"): refuses("mpls4 { import all; export all; };", "syntax error"),
    ("frr", "software_version"): refuses("neighbor 192.0.2.1 capability software-version", "No such command"),
    ("gobgp", "hold_zero"): cannot_write,
    ("bird", "notification"): no_n_bit(graceful_restart=60),
    ("exabgp", "notification"): no_n_bit(graceful_restart=60),
    ("openbgpd", "notification"): no_n_bit(),
    ("gobgp", "software_version"): refuses("config software-version = true", "invalid keys: software-version"),
    ("gobgp", "roles"): refuses('config role = "customer"', "invalid keys: role"),
    ("gobgp", "wrong_roles"): refuses('config role = "provider"', "invalid keys: role"),
    ("gobgp", "enhanced_refresh"): open_lacks(EnhancedRouteRefresh, "enhanced route refresh"),
    ("gobgp", "extended_messages"): open_lacks(ExtendedMessage, "extended message"),
    ("gobgp", "allow_own_as"): withholds,
    ("gobgp", "their_refresh"): answers(
        let_it_ask, "Route Refresh: 0 0", "`gobgp neighbor 192.0.2.1 softresetin` sends none, as its counters say"
    ),
    ("exabgp", "our_shutdown"): answers(
        shut_down, 'can not decode update message of type "3"', "it takes our NOTIFICATION for something else and says"
    ),
    ("exabgp", "software_version"): refuses("software-version true;", KEYWORD),
    ("exabgp", "hostname"): open_lacks(Hostname, "hostname", hostname="theirs"),
    ("exabgp", "link_local"): refuses_neighbor("fe80::1%enp0s8", "invalid IP address"),
    ("exabgp", "their_shutdown"): manual(EXABGP_TEARDOWN, "_, code = line.split(' ', 1) if not code.isdigit():"),
    ("exabgp", "restarting"): NO_FIB,
    ("exabgp", "long_lived"): refuses("long-lived-graceful-restart 60;", KEYWORD),
    ("exabgp", "it_reflects"): refuses("route-reflector-client true;", KEYWORD),
    ("exabgp", "roles"): refuses("role customer;", KEYWORD),
    ("exabgp", "wrong_roles"): refuses("role provider;", KEYWORD),
    ("exabgp", "their_limit"): refuses("max-prefix 3;", KEYWORD),
    ("exabgp", "they_allow_own_as"): refuses("allow-own-as 1;", KEYWORD),
    ("exabgp", "they_override"): refuses("as-override true;", KEYWORD),
    ("openbgpd", "our_refresh"): answers(
        ask_it, "route refresh: AID IPv4 unicast not negotiated", "it refuses, though `bgpctl` shows it as negotiated"
    ),
    ("openbgpd", "enhanced_refresh"): answers(
        ask_it,
        "route refresh: AID IPv4 unicast not negotiated",
        "it refuses, though `bgpctl` shows it as negotiated",
    ),
    ("openbgpd", "ipv6_over_ipv4"): answers(
        its_routes, "2001:db8:100::/48 ::1 100", "its IPv6 routes leave with the next hop ::1", ("ipv4", "ipv6")
    ),
    ("openbgpd", "software_version"): refuses("announce software-version yes", "syntax error"),
    ("openbgpd", "hostname"): refuses("announce hostname yes", "syntax error"),
    ("openbgpd", "extended_next_hop"): refuses("announce extended nexthop yes", "syntax error"),
    ("openbgpd", "extended_messages"): open_lacks(ExtendedMessage, "extended message"),
    ("openbgpd", "helper"): manual(BGPD_CONF, "Currently only the End-of-RIB marker is supported and announced by the"),
    ("openbgpd", "long_lived"): refuses("announce long-lived yes", "syntax error"),
    ("openbgpd", "they_allow_own_as"): refuses("allowas-in 2", "syntax error"),
    ("openbgpd", "labelled"): refuses("announce IPv4 labeled", "syntax error"),
    ("openbgpd", "flowspec"): refuses("announce IPv4 flowspec", "syntax error"),
}
