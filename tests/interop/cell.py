"""One cell of the matrix: a feature, a daemon, two hosts of their own, and what came out."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import threading
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from demo.lab import CLONE_NEWNET, Host, Lab, LabError
from tests.interop.absent import ABSENT, Evidence
from tests.interop.bird import Bird
from tests.interop.daemon import (
    OURS,
    OURS6,
    SECOND,
    SECOND6,
    THEIRS,
    THEIRS6,
    THIRD,
    Daemon,
    Neighbor,
    NotSeen,
    Originated,
    Refused,
    Setup,
    Unknown,
    last_words,
)
from tests.interop.exabgp import ExaBgp
from tests.interop.frr import Frr
from tests.interop.gobgp import GoBgp
from tests.interop.openbgpd import OpenBgpd

DAEMONS: dict[str, type[Daemon]] = {one.name: one for one in (Bird, Frr, GoBgp, ExaBgp, OpenBgpd)}
LIMIT = 150.0
_count = itertools.count(1)


@dataclass(frozen=True)
class Outcome:
    state: Literal["works", "fails", "not there"]
    reason: str = ""
    log: str = ""


@dataclass
class Field:
    """What a feature test gets: both hosts, and the daemon, not yet started."""

    ours: Host
    theirs: Host
    daemon: Daemon
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.daemon.name

    async def start(self, *, graceful: bool = False, **parts: object) -> None:
        """Start the daemon. `parts` are those of a Setup; what is none belongs to its one neighbour."""
        own = {key: parts.pop(key) for key in list(parts) if key in Setup.__dataclass_fields__}
        if "neighbor_as" in parts:
            own["neighbors"] = (Neighbor(asn=parts.pop("neighbor_as")),)  # type: ignore[arg-type]
        elif parts:
            kept = {key: parts.pop(key) for key in list(parts) if key in Neighbor.__dataclass_fields__}
            own["neighbors"] = (Neighbor(**{**kept, "options": {**parts}}),)  # type: ignore[arg-type]
        await self.daemon.start(Setup(**own), graceful=graceful)  # type: ignore[arg-type]

    async def restart(self) -> None:
        await self.daemon.start(self.daemon.setup, graceful=True)

    def note(self, text: str) -> None:
        """A sentence for the page: the feature works, but the reader should know this."""
        self.notes.append(text)


Feature = Callable[[Field], Awaitable[None]]


def run(daemon: str, name: str, feature: Feature) -> Outcome:
    """Run a cell in namespaces of its own, to its end."""
    kind = DAEMONS[daemon]
    with Lab(f"io{next(_count)}x") as lab:
        try:
            ours = lab.host("ours", f"{OURS}/24", f"{OURS6}/64")
            for address in (f"{SECOND}/24", f"{THIRD}/24", f"{SECOND6}/64"):
                ours.run("ip", "address", "add", address, "dev", ours.interface, *(["nodad"] if ":" in address else []))
            theirs = lab.host("theirs", f"{THEIRS}/24", f"{THEIRS6}/64")
        except LabError as error:
            return Outcome("fails", str(error))
        ground = Field(ours, theirs, kind(theirs))
        absent = ABSENT.get((daemon, name))
        outcomes: list[Outcome] = []

        def work() -> None:
            enter(ours)
            outcomes.append(asyncio.run(_judge(ground, feature, absent)))

        thread = threading.Thread(target=work, name=f"{daemon}-{name}")
        thread.start()
        thread.join()
        outcome = outcomes[0] if outcomes else Outcome("fails", "the test itself ended without an outcome")
        if outcome.state == "fails":
            text = ground.daemon.log()
            return Outcome("fails", outcome.reason, f"{outcome.log}\n--- {daemon}\n{text[-3000:]}")
        return outcome


def enter(host: Host) -> None:
    """Put this thread, and all that it starts, into the host's network namespace."""
    handle = os.open(f"/run/netns/{host.netns}", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns", host.netns)
    finally:
        os.close(handle)


async def _judge(ground: Field, feature: Feature, absent: Evidence | None) -> Outcome:
    try:
        if absent is not None:
            return Outcome("not there", await asyncio.wait_for(absent(ground.daemon), LIMIT))
        await asyncio.wait_for(feature(ground), LIMIT)
    except Unknown as error:
        return Outcome("fails", f"{error}, and no evidence says that it is not there")
    except Refused as error:
        return Outcome("fails", f"refused: {error}")
    except NotSeen as error:
        return Outcome("fails", str(error), traceback.format_exc(limit=-6))
    except AssertionError as error:
        return Outcome("fails", _assertion(error), traceback.format_exc(limit=-6))
    except TimeoutError:
        return Outcome("fails", f"took more than {LIMIT:g} s", traceback.format_exc(limit=-8))
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is this cell's outcome alone
        return Outcome("fails", f"{type(error).__name__}: {error}", traceback.format_exc(limit=-8))
    return Outcome("works", " ".join(ground.notes))


def _assertion(error: AssertionError) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return last_words(f"{error}" if str(error) else f"{frame.line}", 2)


__all__ = ["DAEMONS", "Field", "Originated", "Outcome", "run"]
