"""The public face: a BGP speaker in an asyncio program.

Calls change the tables now and return; what follows from them goes out once per turn of the event loop.
What one wants to wait for is explicit: `established()`, the subscriptions, `aclose()`.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from pybgp.config import PeerConfig
from pybgp.dynamic import Range
from pybgp.errors import ConfigurationError
from pybgp.explanation import Explanation, explain
from pybgp.family import Family
from pybgp.groups import POLICIES, Groups
from pybgp.listing import Filtering, ListedRoute, listing, what_is_asked
from pybgp.listing import advertised as list_advertised
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.peer import Peer
from pybgp.policy import Policy
from pybgp.prefix import NLRI, Prefix, format_address, pack_address
from pybgp.rib.decision import PLAIN, DecisionRules
from pybgp.rib.route import Route
from pybgp.router import KEEP, Router
from pybgp.shell import Shell
from pybgp.snapshot import PeerSnapshot, snapshot
from pybgp.subscription import Batches, Events, RouteFeed, Routes


class PeerHandle:
    """One neighbour of a speaker. Stays valid when the peer is changed; after its removal calls raise
    ConfigurationError."""

    def __init__(self, speaker: Speaker, address: str) -> None:
        self._speaker = speaker
        self.address = address

    @property
    def config(self) -> PeerConfig:
        return self._peer.config

    @property
    def snapshot(self) -> PeerSnapshot:
        return snapshot(self._peer, self._speaker._shell.now_if_running() or 0.0)

    def shutdown(self, text: str = "") -> None:
        """End the session with Cease/Administrative Shutdown and this text (RFC 9003, cut at 255 octets),
        and stay down until `start()`."""
        self._speaker._router.shut_down(self._peer, text, self._speaker._shell.now())
        self._speaker._shell.soon()

    def start(self) -> None:
        """Come back from `shutdown()`."""
        self._speaker._router.start_peer(self._peer, self._speaker._shell.now())
        self._speaker._shell.soon()

    def reset(self, text: str = "") -> None:
        """End the session with Cease/Administrative Reset and connect again."""
        self._peer.reset(text, self._speaker._shell.now())
        self._speaker._shell.soon()

    def refresh(self, family: Family | None = None) -> None:
        """Ask the peer to send its routes again (RFC 2918), of one family or of all. Raises SessionClosed
        when there is no session, ConfigurationError when the peer cannot do it."""
        self._peer.ask_for_refresh(family, self._speaker._shell.now())
        self._speaker._shell.soon()

    def __repr__(self) -> str:
        return f"<PeerHandle {self.address}>"

    @property
    def _peer(self) -> Peer:
        return self._speaker._peer(self.address)


class Speaker:
    """A BGP speaker: `async with Speaker(local_as=64512, bgp_identifier="192.0.2.1") as speaker: ...`.

    `listen` is an address, several, or None (connect only); `port` 0 takes a free one, see `listening`.
    Policies given here serve the peers that have none of their own. An eBGP peer without any policy
    exchanges no routes (RFC 8212), and the log says so. `multipath` is the most paths selected for a prefix,
    `decision` what may be chosen about how they are. `next_hop_resolver` gives the interior cost of a
    next hop (4, 16 or 32 octets), None when it cannot be reached; call `next_hops_changed` when its answers
    change. `restarting` says that this speaker comes back after a restart and its host went on forwarding
    (RFC 4724): own routes are announced at once, learned ones are told onward when the peers have sent all
    theirs, at the latest after `selection_deferral_time` seconds.

    Raises ConfigurationError here, OSError on entering when it cannot listen.
    """

    def __init__(
        self,
        *,
        local_as: int,
        bgp_identifier: str | int,
        listen: str | Sequence[str] | None = "0.0.0.0",
        port: int = 179,
        import_policy: Policy | None = None,
        export_policy: Policy | None = None,
        multipath: int = 1,
        decision: DecisionRules = PLAIN,
        restarting: bool = False,
        selection_deferral_time: float = 360,
        next_hop_resolver: Callable[[bytes], int | None] | None = None,
    ) -> None:
        self.local_as = local_as
        self.bgp_identifier = _identifier(bgp_identifier)
        self._router = Router(
            local_as=local_as,
            bgp_identifier=self.bgp_identifier,
            import_policy=import_policy,
            export_policy=export_policy,
            multipath=multipath,
            decision=decision,
            restarting=restarting,
            selection_deferral_time=selection_deferral_time,
            next_hop_resolver=next_hop_resolver,
            jitter=random.random,
        )
        addresses = () if listen is None else (listen,) if isinstance(listen, str) else tuple(listen)
        self._groups = Groups()
        self._shell = Shell(self._router, addresses, port)

    # life

    async def __aenter__(self) -> Self:
        await self._shell.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self, *, restart: bool = False) -> None:
        """End all sessions and free everything, within about two seconds. Calling it again does nothing.

        Peers get Cease/Administrative Shutdown and drop our routes. With `restart` the connections just end,
        so that peers with graceful restart keep our routes until we come back.
        """
        await self._shell.close(restart=restart)

    @property
    def listening(self) -> tuple[tuple[str, int], ...]:
        """(address, port) of each listening socket."""
        return self._shell.listening

    # peers

    def add_group(self, name: str, **settings: Any) -> None:
        """Settings, and policies, that several peers share: fields of `PeerConfig`, `import_policy` and
        `export_policy`. Raises ConfigurationError where the group is there already or a setting is unknown."""
        self._groups.add(name, settings)

    def change_group(self, name: str, **settings: Any) -> None:
        """Change settings of a group (`DEFAULT` takes one out), and with it its peers, each as `change_peer` would,
        and its ranges (`listen_for`): what they have of their own stays. Raises ConfigurationError before anything is
        changed."""
        changes = self._groups.changes(name, settings)
        for member, fields in changes:
            if "/" in member:
                fields.pop("peer_as", None)
                self._changed_range(member, fields)
            else:
                self._changed(self._peer(member), fields)
        self._groups.set(name, settings)
        for member, fields in changes:
            if "/" in member:
                self._change_range(member, fields)
            else:
                self._change(self._peer(member), fields)

    def remove_group(self, name: str) -> None:
        """Raises ConfigurationError where peers are of it."""
        self._groups.remove(name)

    def add_peer(
        self,
        address: str,
        *,
        peer_as: int | None = None,
        group: str = "",
        **settings: Any,
    ) -> PeerHandle:
        """Add a neighbour and start its session. `settings` are the fields of `PeerConfig`, `import_policy` and
        `export_policy`; those that it does not have of its own are its group's. A `group` that `add_group` has not
        made is a name alone.

        Raises ConfigurationError: a wrong or unknown setting, or the address is a peer already.
        """
        own = settings if peer_as is None else {"peer_as": peer_as, **settings}
        settings = {**self._groups.settings(group), **own}
        if "peer_as" not in settings:
            raise ConfigurationError(f"peer_as: {address} has none, and neither has its group")
        policies = {name: settings.pop(name, None) for name in POLICIES}
        settings["group"] = group
        settings.setdefault("local_as", self.local_as)
        if settings["local_as"] != self.local_as:
            settings.setdefault("speaker_as", self.local_as)
        settings.setdefault("bgp_identifier", self.bgp_identifier)
        config = _config(address=address, **settings)
        self._router.add_peer(config, **policies, now=self._shell.now_if_running())
        self._groups.join(config.address, group, own)
        self._shell.secure()
        return PeerHandle(self, config.address)

    def _changed(self, peer: Peer, fields: Mapping[str, Any]) -> PeerConfig:
        """The settings of a peer with others among them. Raises ConfigurationError."""
        current = {name: getattr(peer.config, name) for name in PeerConfig.names()}
        return _config(**{**current, **{name: value for name, value in fields.items() if name not in POLICIES}})

    def _change(self, peer: Peer, fields: Mapping[str, Any]) -> None:
        policies = {name: fields.get(name, KEEP) for name in POLICIES}
        config = self._changed(peer, fields)
        self._router.change_peer(peer, config, **policies, now=self._shell.now_if_running())
        self._shell.secure()

    def listen_for(
        self,
        prefix: str | Prefix,
        *,
        peer_as: int | Iterable[int] | None = None,
        maximum: int = 100,
        group: str = "",
        **settings: Any,
    ) -> None:
        """Take peers that connect by themselves from a prefix: the AS of their OPEN must be `peer_as` (one, several,
        None: any), and at most `maximum` are there at the same time. They have these settings (fields of
        `PeerConfig`, `import_policy` and `export_policy`), those of the `group` where there are none here, and are
        gone when their session has ended and none of their routes is kept (graceful restart). A configured peer
        counts before a range, a longer range before a shorter one; `password` is the TCP MD5 key of the whole prefix.
        Raises ConfigurationError.
        """
        own = settings
        settings = {**self._groups.settings(group), **own, "group": group}
        settings.pop("peer_as", None)
        settings.setdefault("local_as", self.local_as)
        if settings["local_as"] != self.local_as:
            settings.setdefault("speaker_as", self.local_as)
        settings.setdefault("bgp_identifier", self.bgp_identifier)
        made = Range.of(_range(prefix), peer_as, maximum, settings)
        self._router.ranges.add(made)
        self._groups.join(str(made.prefix), group, own)
        self._shell.secure()

    def change_range(self, prefix: str | Prefix, **fields: Any) -> None:
        """Change settings or policies of a range, and with it its peers, each as `change_peer` would. Another
        `peer_as` ends the sessions of those that may not come any more; another `maximum` ends none.
        Raises ConfigurationError before anything is changed."""
        self._change_range(prefix, fields)
        self._groups.own(str(_range(prefix)), fields)

    def _changed_range(self, prefix: str | Prefix, fields: Mapping[str, Any]) -> Range:
        """A range with other settings, after a look whether its peers can have them. Raises ConfigurationError."""
        old = self._router.ranges.get(_range(prefix))
        policies = {name: getattr(old, name) for name in POLICIES}
        settings = {**old.settings, **policies, **fields}
        new = Range.of(old.prefix, settings.pop("peer_as", old.peer_as), settings.pop("maximum", old.maximum), settings)
        own = {name: value for name, value in fields.items() if name not in ("peer_as", "maximum")}
        for address in old.peers:
            self._changed(self._router.peers[address], own)
        return new

    def _change_range(self, prefix: str | Prefix, fields: Mapping[str, Any]) -> None:
        new = self._changed_range(prefix, fields)
        own = {name: value for name, value in fields.items() if name not in ("peer_as", "maximum")}
        self._router.ranges.replace(new)
        for peer in [self._router.peers[address] for address in new.peers]:
            peer.dynamic = new
            if new.peer_as is None or peer.config.peer_as in new.peer_as:
                self._change(peer, own)
            else:
                self._router.remove_peer(peer, self._shell.now_if_running())
        self._shell.secure()

    def stop_listening_for(self, prefix: str | Prefix) -> None:
        """Take no more peers from a prefix, and end the sessions of those that came. Raises ConfigurationError."""
        gone = self._router.ranges.remove(_range(prefix))
        self._groups.leave(str(gone.prefix))
        for address in list(gone.peers):
            self._router.remove_peer(self._router.peers[address], self._shell.now_if_running())
        self._shell.secure()

    def change_peer(self, address: str, **fields: Any) -> PeerHandle:
        """Change settings or policies of a peer. Policies and the description change in place, timers serve
        from the next time that they are used; what the OPEN said or the connection needs ends the session
        (of this peer alone), which then comes back. Another TCP MD5 `password` in the place of one leaves the session
        as it is, if the neighbour changes it, too, before the hold time is over. Same errors as `add_peer`."""
        peer = self._peer(address)
        self._change(peer, fields)
        self._groups.own(peer.address, fields)
        return PeerHandle(self, peer.address)

    def remove_peer(self, address: str, *, silent: bool = False) -> None:
        """End the session (Cease/Peer De-configured), withdraw what came from the peer, forget it.

        With `silent` the connection just ends: a peer with graceful restart keeps our routes until its restart time
        is over, or until it lets us go too (RFC 4724 section 4.2).
        """
        peer = self._peer(address)
        self._router.remove_peer(peer, self._shell.now_if_running(), silent=silent)
        self._groups.leave(peer.address)
        self._shell.secure()

    def peer(self, address: str) -> PeerHandle:
        """The handle of a peer. Raises ConfigurationError when there is none."""
        return PeerHandle(self, self._peer(address).address)

    def peers(self) -> Mapping[str, PeerSnapshot]:
        """All peers by address, as they are now."""
        now = self._shell.now_if_running() or 0.0
        return {address: snapshot(peer, now) for address, peer in self._router.peers.items()}

    async def established(self, address: str | None = None, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Wait until the session with this peer (None: with all peers that are not shut down) is established.

        Raises TimeoutError, SessionClosed if the peer is removed or the speaker closed meanwhile,
        ConfigurationError for an address that is no peer.
        """
        wanted = None if address is None else self._peer(address)
        await self._shell.established(wanted, timeout)

    # routes

    def announce(self, prefix: str | Prefix, *, next_hop: str = "self", **attributes: Any) -> None:
        """Originate a route, or change one. `next_hop` is an address, or "self": the local address of each
        session. `attributes` as for `PathAttributes.build`: `med=…`, `communities=…`, …

        Raises ValueError for what is no prefix, no address or no attribute.
        """
        self.announce_many((prefix,), PathAttributes.build(**attributes), next_hop=next_hop)

    def announce_many(
        self,
        prefixes: Iterable[Prefix | str],
        attributes: PathAttributes | None = None,
        *,
        next_hop: str = "self",
    ) -> None:
        """Originate many routes with the same attributes. A next hop inside `attributes` serves where
        `next_hop` is "self". Raises ValueError before anything is announced."""
        if attributes is None:
            attributes = PathAttributes.build()
        if next_hop != "self":
            attributes = attributes.with_next_hop(pack_address(next_hop))
        for family, nlri in _by_family(prefixes).items():
            self._router.announce(family, nlri, attributes)
        self._shell.soon()

    def withdraw(self, prefix: str | Prefix) -> None:
        """No longer originate this prefix; nothing happens if we do not."""
        self.withdraw_many((prefix,))

    def withdraw_many(self, prefixes: Iterable[Prefix | str]) -> None:
        for family, nlri in _by_family(prefixes).items():
            self._router.withdraw(family, nlri)
        self._shell.soon()

    def announced(self) -> Mapping[Prefix, PathAttributes]:
        """What this speaker originates. The next hop of "self" is empty there."""
        return self._router.announced()

    def next_hops_changed(self, next_hops: Iterable[bytes] | None = None) -> None:
        """The resolver answers otherwise than before for these next hops (None: perhaps for any)."""
        self._router.next_hops_changed(None if next_hops is None else frozenset(next_hops))
        self._shell.soon()

    def table(
        self,
        what: str | None = None,
        *,
        family: Family | None = None,
        received: str | None = None,
        advertised: str | None = None,
        rejected: bool = False,
        wanted: Callable[[Route], bool] | None = None,
    ) -> Iterator[list[ListedRoute]]:
        """The routes in the tables, rejected ones too, in slices (some empty): take the next when there is time. The
        table may change in between. `what` is a prefix (it and what is inside of it) or an address (all prefixes that
        hold it); `received` is a peer whose routes alone are wanted, as it sent them; `advertised` one that was sent
        them, as they were sent; `wanted` any test. Raises ValueError, ConfigurationError for an unknown peer."""
        peers = [None if one is None else self._peer(one).address for one in (received, advertised)]
        asked: dict[str, Any] = what_is_asked(what)
        which = Filtering(family=family, received=peers[0], rejected=rejected, wanted=wanted, **asked)
        return listing(self._router, which) if peers[1] is None else list_advertised(self._router, peers[1], which)

    def explain(self, what: str | Prefix, family: Family | None = None) -> Explanation:
        """Why a prefix, or the longest one that holds an address, is reached as it is: every path, best first, with
        who rejected it or where it lost in the decision process, and which peers were told of it, or why not.
        Raises ValueError for what is neither. `family` is for prefixes that are not of a unicast family."""
        return explain(self._router, what, family)

    # subscriptions

    def routes(self, *, snapshot: bool = True) -> Routes:
        """`async for change in speaker.routes()`: what is selected now (unless `snapshot` is False), then every
        change. A slow reader skips middle states, never the last."""
        return Routes(self.batches(snapshot=snapshot))

    def batches(self, *, snapshot: bool = True) -> Batches:
        """The same in batches of prefixes with the same paths, for readers of many routes."""
        batches = Batches(RouteFeed(self._router.tables.selections))
        self._router.subscribe(batches, snapshot=snapshot)
        self._shell.readers.add(batches)
        self._shell.soon()
        return batches

    def events(self) -> Events:
        """What happens to peers from now on."""
        events = Events()
        self._shell.readers.add(events)
        return events

    def _peer(self, address: str) -> Peer:
        peer = self._router.peers.get(address)
        if peer is None:  # perhaps spelled otherwise
            host, percent, zone = address.partition("%")
            with contextlib.suppress(ValueError):
                peer = self._router.peers.get(format_address(pack_address(host)) + percent + zone)
        if peer is None:
            raise ConfigurationError(f"{address} is no peer of this speaker")
        return peer


def _identifier(value: str | int) -> int:
    if isinstance(value, str):
        try:
            packed = pack_address(value)
        except ValueError:
            packed = b""
        if len(packed) != 4:
            raise ConfigurationError(f"bgp_identifier: {value!r} is not written as an IPv4 address")
        value = int.from_bytes(packed, "big")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= 0xFFFFFFFF:
        raise ConfigurationError(f"bgp_identifier: {value!r} must be a 32-bit number, not zero (RFC 6286)")
    return value


def _range(prefix: str | Prefix) -> Prefix:
    try:
        return Prefix(prefix)
    except ValueError as error:
        raise ConfigurationError(f"listen_for: {error}") from None


def _config(**settings: Any) -> PeerConfig:
    unknown = settings.keys() - PeerConfig.names()
    if unknown:
        raise ConfigurationError(f"{min(unknown)}: there is no such setting of a peer")
    return PeerConfig(**settings)


def _by_family(prefixes: Iterable[Prefix | str]) -> dict[Family, list[NLRI]]:
    if isinstance(prefixes, str | Prefix):
        raise TypeError("expected several prefixes, got one")
    found: dict[Family, list[NLRI]] = {}
    for prefix in prefixes:
        if not isinstance(prefix, Prefix):
            prefix = Prefix(prefix)
        found.setdefault(prefix.family, []).append(prefix.nlri)
    return found
