"""What every routing daemon of the matrix can be asked: be configured, started, looked at, killed.

A feature test speaks this language alone; the file of each daemon translates it into that daemon's own words. An
option that a daemon has no word for raises `Unknown`, which is no evidence yet: see `absent.py`.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from demo.lab import Host, Process

OURS, OURS6 = "192.0.2.1", "2001:db8::1"
SECOND, SECOND6 = "192.0.2.3", "2001:db8::3"
THIRD = "192.0.2.4"
THEIRS, THEIRS6 = "192.0.2.2", "2001:db8::2"
OUR_AS, THEIR_AS = 64512, 65002
PATIENCE = 30.0


class NotSeen(AssertionError):
    """What a feature asks for did not come about."""


class Unknown(Exception):
    """The file of this daemon has no words for an option."""


class Refused(Exception):
    """The daemon refused its configuration; the text is its own."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A route as it stands in somebody's table, in one spelling for all daemons; None: the daemon does not tell."""

    prefix: str
    next_hop: str | None = None
    as_path: tuple[int, ...] | None = None
    origin: str | None = None
    med: int | None = None
    local_pref: int | None = None
    communities: frozenset[str] | None = None
    large_communities: frozenset[str] | None = None
    extended_communities: frozenset[str] | None = None
    originator_id: str | None = None
    cluster_list: tuple[str, ...] | None = None
    stale: bool | None = None
    text: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class Neighbor:
    """One of our speakers as the daemon is told of it."""

    address: str = OURS
    asn: int = OUR_AS
    own: str = THEIRS
    families: tuple[str, ...] = ("ipv4",)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Originated:
    """A route that the daemon has of itself."""

    prefix: str
    med: int | None = None
    communities: tuple[str, ...] = ()
    large_communities: tuple[str, ...] = ()
    local_pref: int | None = None

    @property
    def v6(self) -> bool:
        return ":" in self.prefix


@dataclass(frozen=True, kw_only=True)
class Setup:
    """All that a daemon is started with. `options` are of the daemon as a whole."""

    asn: int = THEIR_AS
    neighbors: tuple[Neighbor, ...] = (Neighbor(),)
    routes: tuple[Originated, ...] = ()
    router_id: str = THEIRS
    options: Mapping[str, Any] = field(default_factory=dict)
    more: str = ""
    """Lines of the daemon's own language, at the end of the (first) neighbour."""


class Daemon(ABC):
    """One daemon in one host of the lab."""

    name: ClassVar[str]
    package: ClassVar[str]
    binary: ClassVar[str]
    places: ClassVar[str] = "/usr/sbin:/usr/bin:/sbin:/bin"

    def __init__(self, host: Host) -> None:
        self.host = host
        self.folder: Path = host.lab.directory / self.name
        self.folder.mkdir(exist_ok=True)
        self.process: Process | None = None
        self.setup = Setup()

    @classmethod
    def missing(cls) -> str | None:
        """Which package to install, or None."""
        found = shutil.which(cls.binary, path=cls.places)
        return None if found else f"{cls.name} is missing: apt-get install {cls.package}"

    @classmethod
    def path(cls, binary: str = "") -> str:
        return shutil.which(binary or cls.binary, path=cls.places) or binary or cls.binary

    @abstractmethod
    def configuration(self, setup: Setup) -> str:
        """The daemon's own language. Raises Unknown."""

    @abstractmethod
    async def start(self, setup: Setup, *, graceful: bool = False) -> None:
        """Run it until it answers. `graceful`: it comes back from a restart. Raises Refused."""

    @abstractmethod
    async def check(self, setup: Setup) -> str:
        """What the daemon says of a configuration without running it; "" when it takes it."""

    @abstractmethod
    async def established(self, address: str) -> bool: ...

    @abstractmethod
    async def routes(self, address: str = OURS) -> dict[str, list[Seen]]:
        """What it has from this neighbour and may use, by prefix, both families."""

    @abstractmethod
    async def told(self, address: str) -> str:
        """All that it says of a neighbour, as text."""

    async def table_of(self, family: str) -> str:
        """What it has from its first neighbour in a family other than the two, in its own words."""
        raise Unknown(f"no command that shows {family}")

    async def refresh(self, address: str) -> None:
        """Send a ROUTE-REFRESH."""
        raise Unknown("no command that sends a ROUTE-REFRESH")

    async def shut_down(self, address: str, text: str) -> None:
        """Cease / Administrative Shutdown, with a text where it can."""
        raise Unknown("no command that shuts a session down")

    async def reset(self, address: str) -> None:
        """Cease / Administrative Reset."""
        raise Unknown("no command that resets a session")

    async def withdraw(self, prefix: str) -> None:
        raise Unknown("no command that withdraws a route")

    def log(self) -> str:
        return "" if self.process is None else self.process.text()

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill(signal.SIGKILL)

    async def execute(self, *words: str, timeout: float = 60.0) -> tuple[int, str]:  # noqa: ASYNC109
        """Run a command beside the daemon; exit status and all that it printed."""
        process = await asyncio.create_subprocess_exec(
            *self.host.command(*words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), timeout)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise NotSeen(f"`{' '.join(words)}` does not end") from None
        return process.returncode or 0, output.decode(errors="replace")

    async def answers(self, what: Callable[[], Awaitable[object]]) -> None:
        """Wait until a just started daemon answers; its own words where it ended instead."""

        async def there() -> object:
            if self.process is not None and not self.process.running:
                raise Refused(last_words(self.process.text()))
            return await what()

        await until(f"{self.name} answers", there)


def last_words(text: str, lines: int = 3) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-lines:])


def steady(text: str, lines: int = 3) -> str:
    """The last lines of what a daemon says, without what changes from run to run: times and process ids."""
    text = re.sub(r"\d{4}[/-]\d\d[/-]\d\d[ T][\d:.]+Z? ?", "", text)
    text = re.sub(r"(?m)^\d\d:\d\d:\d\d \| \d+ +\| \w+ +\| ?", "", text)
    text = text.replace('time="" ', "").replace('time="', "").replace("/x.pid", "")
    return last_words("\n".join(line for line in text.splitlines() if line.strip()), lines)


async def until(what: str, condition: Callable[[], object], timeout: float = PATIENCE) -> Any:  # noqa: ASYNC109
    """Poll until a condition, plain or async, holds; its value. Raises NotSeen with what was waited for."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        if time.monotonic() > end:
            raise NotSeen(f"not seen within {timeout:g} s: {what}")
        await asyncio.sleep(0.05)


def option(words: Mapping[str, str | Callable[[Any], str]], options: Mapping[str, Any], daemon: str) -> list[str]:
    """Each option in the daemon's language: a text with {} for the value, or what a callable makes of it."""
    lines = []
    for name, value in options.items():
        if name not in words:
            raise Unknown(f"{daemon} has no words for {name}")
        if value is None or value is False:
            continue
        how = words[name]
        lines.append(how(value) if callable(how) else how.format(value))
    return lines


def numbers(text: str | Sequence[int]) -> tuple[int, ...]:
    """An AS_PATH from text; sets and confederation segments lose their brackets."""
    if isinstance(text, str):
        return tuple(int(word) for word in text.translate(str.maketrans("(){},", "     ")).split() if word.isdigit())
    return tuple(text)
