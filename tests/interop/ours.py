"""Our side of a cell: a Speaker embedded in the test, in a host of the lab, that remembers what happened."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from pybgp import PathExplanation, PeerEvent, PeerHandle, Speaker, accept_all
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.snapshot import PeerSnapshot
from tests.interop.daemon import OUR_AS, OURS, OURS6, THEIR_AS, THEIRS, numbers, until

BOTH = (IPV4_UNICAST, IPV6_UNICAST)


class Ours:
    """One of our speakers, and its events so far."""

    def __init__(self, speaker: Speaker) -> None:
        self.speaker = speaker
        self.seen: list[PeerEvent] = []

    async def listen(self) -> None:
        async for event in self.speaker.events():
            self.seen.append(event)

    def peer(self, address: str = THEIRS, *, peer_as: int = THEIR_AS, **settings: Any) -> PeerHandle:
        """A neighbour from which and to which everything goes; retries are quick."""
        if ":" not in address:
            settings.setdefault("local_address", self.address)
        defaults = {"connect_retry_time": 0.3, "connect_retry_max": 1.0, "idle_hold_time": 0.5, "idle_hold_max": 1.0}
        policies = {"import_policy": accept_all, "export_policy": accept_all}
        return self.speaker.add_peer(address, peer_as=peer_as, **{**policies, **defaults, **settings})

    address: str = OURS

    def snapshot(self, address: str = THEIRS) -> PeerSnapshot:
        return self.speaker.peers()[address]

    async def up(self, address: str = THEIRS, timeout: float = 75.0) -> PeerSnapshot:  # noqa: ASYNC109
        await until(f"our session with {address}", lambda: self.snapshot(address).established, timeout)
        return self.snapshot(address)

    def capability(self, kind: type[Any], address: str = THEIRS) -> Any:
        """What the daemon's OPEN said of this, or None."""
        return next((one for one in self.snapshot(address).capabilities if isinstance(one, kind)), None)

    def events(self, kind: str) -> list[str]:
        return [str(event) for event in self.seen if event.kind == kind]

    def paths(self, prefix: str) -> list[PathExplanation]:
        """All paths of a prefix, best first, also refused ones."""
        try:
            found = self.speaker.explain(prefix)
        except (KeyError, ValueError):
            return []
        return list(found.paths) if str(found.prefix) == prefix else []

    def attributes(self, prefix: str) -> PathAttributes | None:
        """Of the best path that may be used."""
        return next((one.path.attributes for one in self.paths(prefix) if one.accepted), None)

    async def has(self, prefix: str) -> PathAttributes:
        found: PathAttributes = await until(f"{prefix} at our side", lambda: self.attributes(prefix))
        return found

    async def lost(self, prefix: str) -> None:
        await until(f"{prefix} gone from our side", lambda: self.attributes(prefix) is None)


def hops(attributes: PathAttributes) -> tuple[int, ...]:
    """Every AS number of the AS_PATH, in order."""
    return numbers(str(attributes.as_path))


@contextlib.asynccontextmanager
async def ours(
    address: str | tuple[str, ...] = (OURS, OURS6), *, asn: int = OUR_AS, port: int = 179, **settings: Any
) -> AsyncIterator[Ours]:
    """A running speaker of ours at an address of this host."""
    addresses = (address,) if isinstance(address, str) else address
    identifier = addresses[0] if "." in addresses[0] else OURS
    settings.setdefault("bgp_identifier", identifier)
    async with Speaker(local_as=asn, listen=addresses, port=port, **settings) as speaker:
        made = Ours(speaker)
        made.address = identifier
        listening = asyncio.create_task(made.listen())
        try:
            yield made
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
