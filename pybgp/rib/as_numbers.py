"""What a neighbour's settings do to the AS_PATH: another local AS (RFC 7705), private ASes (RFC 6996), override."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pybgp.config import PeerConfig
from pybgp.messages.attributes.as_path import AsPath, Segment


def is_private(asn: int) -> bool:
    """RFC 6996 section 5."""
    return 64512 <= asn <= 65534 or 4200000000 <= asn <= 4294967294


@dataclass(frozen=True, slots=True, kw_only=True)
class AsNumbers:
    """How one external neighbour sees our AS and those behind us.

    `local_as` is what it knows us as, `speaker_as` what we are (the same, mostly). `prepend` puts a `local_as` that
    is not ours in front of what comes from it, `replace` hides our own behind it. `remove_private`: None, "leading",
    "all" or "replace" (by `local_as`). `override` has the neighbour's AS replaced by `local_as`. `transparent`: a
    route server's client, who is told the path as it came (RFC 7947 section 2.2.2).
    """

    local_as: int
    speaker_as: int
    prepend: bool = True
    replace: bool = False
    remove_private: str | None = None
    override: bool = False
    transparent: bool = False

    @classmethod
    def of(cls, config: PeerConfig) -> AsNumbers:
        return cls(
            local_as=config.local_as,
            speaker_as=config.speaker_as or config.local_as,
            prepend=not config.local_as_no_prepend,
            replace=config.local_as_replace,
            remove_private=config.remove_private_as,
            override=config.as_override,
            transparent=config.route_server_client,
        )

    @property
    def plain(self) -> bool:
        """True where nothing is asked but what RFC 4271 has: our AS in front."""
        return (
            self.local_as == self.speaker_as
            and self.remove_private is None
            and not self.override
            and not self.transparent
        )

    def incoming(self, path: AsPath) -> AsPath:
        """What came from the neighbour, as this speaker goes on with it."""
        return path.prepend(self.local_as) if self.local_as != self.speaker_as and self.prepend else path

    def outgoing(self, path: AsPath, peer_as: int, *, own: bool) -> AsPath:
        """What the neighbour is told; `own`: the route begins here, and a client of a route server sees so, too."""
        if self.remove_private is not None:
            path = self._without_private(path, peer_as)
        if self.override:
            path = _mapped(path, lambda asn: self.local_as if asn == peer_as else asn)
        if self.transparent and not own:
            return path
        if self.speaker_as != self.local_as and not self.replace:
            path = path.prepend(self.speaker_as)
        return path.prepend(self.local_as)

    def _without_private(self, path: AsPath, peer_as: int) -> AsPath:
        """The neighbour's own AS stays whatever it is: without it a loop could not be seen."""

        def goes(asn: int) -> bool:
            return is_private(asn) and asn != peer_as

        if self.remove_private == "replace":
            return _mapped(path, lambda asn: self.local_as if goes(asn) else asn)
        if self.remove_private == "all":
            kept = [Segment(kind, tuple(asn for asn in asns if not goes(asn))) for kind, asns in path.segments]
            return AsPath(tuple(segment for segment in kept if segment.asns))
        segments = list(path.segments)
        while segments:
            kind, asns = segments[0]
            public = next((index for index, asn in enumerate(asns) if not goes(asn)), None)
            if public is not None:
                segments[0] = Segment(kind, asns[public:])
                break
            del segments[0]
        return AsPath(tuple(segments))


def _mapped(path: AsPath, change: Callable[[int], int]) -> AsPath:
    return AsPath(tuple(Segment(kind, tuple(map(change, asns))) for kind, asns in path.segments))
