"""Peers that come by themselves: ranges of addresses from which anybody may connect, and what they become.

A connection from a range is heard out until its OPEN is whole; the AS in it decides whether it may stay. Then it
becomes a passive peer with the settings of its range, and it goes when its last session has ended and nothing of
it is kept (graceful restart).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pybgp.config import PeerConfig
from pybgp.errors import ConfigurationError, ProtocolError
from pybgp.groups import POLICIES
from pybgp.messages import CodecContext, MessageType, Open, decode_message
from pybgp.messages.framing import Framer
from pybgp.policy import Policy
from pybgp.prefix import NLRI, Prefix
from pybgp.rib.lookup import covering

_PLAIN = CodecContext()


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Addresses of `prefix`, with an AS of `peer_as` (None: any); at most `maximum` peers at the same time.
    `settings` are the fields of `PeerConfig` but for address and AS."""

    prefix: Prefix
    peer_as: frozenset[int] | None
    maximum: int
    settings: Mapping[str, Any]
    import_policy: Policy | None = None
    export_policy: Policy | None = None
    peers: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, prefix: Prefix, peer_as: int | Iterable[int] | None, maximum: int, settings: Mapping[str, Any]) -> Self:
        """With the policies among the settings. Raises ConfigurationError where they can serve no peer."""
        unknown = settings.keys() - PeerConfig.names() - set(POLICIES)
        if unknown:
            raise ConfigurationError(f"{min(unknown)}: there is no such setting of a peer")
        numbers = None if peer_as is None else frozenset((peer_as,) if isinstance(peer_as, int) else peer_as)
        if numbers is not None and not numbers:
            raise ConfigurationError("peer_as: names no AS; None is any")
        if isinstance(maximum, bool) or not isinstance(maximum, int) or maximum < 1:
            raise ConfigurationError(f"maximum: {maximum!r} must be a number of peers from 1 up")
        own = {name: value for name, value in settings.items() if name not in POLICIES}
        made = cls(prefix, numbers, maximum, own, settings.get("import_policy"), settings.get("export_policy"))
        made.config("192.0.2.1" if prefix.family.afi == 1 else "2001:db8::1", min(numbers) if numbers else 1)
        return made

    def config(self, address: str, peer_as: int) -> PeerConfig:
        """The settings of one peer. Raises ConfigurationError where they cannot be for this AS."""
        return PeerConfig(**{**self.settings, "address": address, "peer_as": peer_as, "passive": True})

    def why_not(self, peer_as: int) -> str | None:
        """Why one more peer of this AS may not come from here, in words; None: it may."""
        if self.peer_as is not None and peer_as not in self.peer_as:
            allowed = ", ".join(map(str, sorted(self.peer_as)))
            return f"AS {peer_as} may not come from {self.prefix}: {allowed} may"
        if len(self.peers) >= self.maximum:
            return f"{self.prefix} has its {self.maximum} peers already"
        return None


class Ranges:
    """The ranges of one speaker; of those that hold an address the longest counts."""

    def __init__(self) -> None:
        self._by_nlri: dict[tuple[int, NLRI], Range] = {}

    def __bool__(self) -> bool:
        return bool(self._by_nlri)

    def __iter__(self) -> Iterator[Range]:
        return iter(list(self._by_nlri.values()))

    def add(self, made: Range) -> None:
        """Raises ConfigurationError where the prefix is a range already."""
        key = (made.prefix.family.afi, made.prefix.nlri)
        if key in self._by_nlri:
            raise ConfigurationError(f"listen_for: {made.prefix} is a range already")
        self._by_nlri[key] = made

    def get(self, prefix: Prefix) -> Range:
        """Raises ConfigurationError where it is none."""
        found = self._by_nlri.get((prefix.family.afi, prefix.nlri))
        if found is None:
            raise ConfigurationError(f"{prefix} is no range of this speaker")
        return found

    def replace(self, other: Range) -> None:
        """From now on another one serves its prefix, and has the peers that came."""
        other.peers.update(self.get(other.prefix).peers)
        self._by_nlri[other.prefix.family.afi, other.prefix.nlri] = other

    def remove(self, prefix: Prefix) -> Range:
        """Raises ConfigurationError where it is none."""
        found = self.get(prefix)
        del self._by_nlri[prefix.family.afi, prefix.nlri]
        return found

    def find(self, address: bytes) -> Range | None:
        """The range of an address, 4 or 16 octets."""
        afi = 1 if len(address) == 4 else 2
        for nlri in covering(address) if self._by_nlri else ():
            found = self._by_nlri.get((afi, nlri))
            if found is not None:
                return found
        return None


def peer_as_of(octets: bytes) -> int | None:
    """The AS of the OPEN with which a connection began; None while it is not whole.

    Raises ProtocolError for anything but an OPEN, and for one that cannot be read.
    """
    framer = Framer(_PLAIN.maximum_length)
    for kind, body in framer.feed(octets):
        message = decode_message(kind, body, _PLAIN)
        if kind != MessageType.OPEN or not isinstance(message, Open):
            raise ProtocolError.make(5, 1, b"", "the first message is no OPEN")
        return message.my_as
    if framer.error is not None:
        raise framer.error
    return None
