"""A whole BGP speaker without any I/O: peers, tables, own routes, and what must be done next.

The shell (`pybgp.shell`) calls in with octets, `now` and wishes. Afterwards it carries out `effects` in their
order, looks after the peers in `touched` (octets to write, deadlines), lets peers in `tables.outgoing`
produce UPDATEs while their transports take them, and calls `step` while there is long work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pybgp.config import PeerConfig
from pybgp.dynamic import Range, Ranges
from pybgp.errors import (
    AdministrativeShutdown,
    BadPeerAS,
    ConfigurationError,
    ConnectionRejected,
    PeerDeconfigured,
)
from pybgp.events import PeerEvent
from pybgp.exchanges import SETTINGS_IN, SETTINGS_OUT
from pybgp.family import Family
from pybgp.fsm.negotiation import make_open
from pybgp.graceful_restart import Deferral
from pybgp.messages import Notification
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.peer import Effect, Peer
from pybgp.policy import Policy, missing_policy, prepare
from pybgp.prefix import NLRI, Prefix, pack_address
from pybgp.rib.adj_rib_in import AdjRibIn, next_hops_changed
from pybgp.rib.as_numbers import AsNumbers
from pybgp.rib.decision import PLAIN, DecisionRules
from pybgp.rib.eligibility import Eligibility, Resolver
from pybgp.rib.filter import Filter
from pybgp.rib.route import Source
from pybgp.tables import Reader, Tables


class Keep:
    """The type of `KEEP`: leave a policy as it is (None is a policy: the default one)."""


KEEP: Final = Keep()

# What may change without ending an established session; all of it serves from the next use on.
LIVE: Final = frozenset(
    (
        "connect_retry_max",
        "connect_retry_time",
        "connect_timeout",
        "delay_open_time",
        "description",
        "group",
        "hold_time",
        "idle_hold_max",
        "idle_hold_quiet",
        "idle_hold_time",
        "keepalive_time",
        "max_prefixes",
        "open_hold_time",
        "passive",
        "port",
        "restart_time",
        "send_hold_time",
        *SETTINGS_IN,
        *SETTINGS_OUT,
    )
)
REKEYED: Final = frozenset(("password",))
"""May change so where there is a key before and after: the shell sets it on the open connection."""


class Router:
    """See the module. `jitter` gives numbers from 0 to 1. Times are seconds on the shell's clock."""

    def __init__(
        self,
        *,
        local_as: int,
        bgp_identifier: int,
        jitter: Callable[[], float],
        import_policy: Policy | None = None,
        export_policy: Policy | None = None,
        multipath: int = 1,
        decision: DecisionRules = PLAIN,
        restarting: bool = False,
        selection_deferral_time: float = 360.0,
        next_hop_resolver: Resolver | None = None,
    ) -> None:
        self.jitter = jitter
        self.effects: list[Effect] = []
        self.touched: set[Peer] = set()
        self.peers: dict[str, Peer] = {}
        self.ranges = Ranges()
        self.pool = AttributePool()
        self.tables = Tables(multipath=multipath, failed=self._failed, rules=decision)
        self.deferral = Deferral(selection_deferral_time, active=restarting)
        self._import_policy = import_policy
        self._export_policy = export_policy
        self._policies: dict[Peer, tuple[Policy | None, Policy | None]] = {}
        self._resolve = next_hop_resolver
        self._addresses: frozenset[bytes] = frozenset()
        self._local_as = local_as
        self._bgp_identifier = bgp_identifier
        self._own: dict[Family, AdjRibIn] = {}
        self._now = 0.0

    # peers

    def add_peer(
        self,
        config: PeerConfig,
        import_policy: Policy | None = None,
        export_policy: Policy | None = None,
        now: float | None = None,
    ) -> Peer:
        """Raises ConfigurationError when the address is a peer already. Starts the peer when `now` is given."""
        if config.address in self.peers:
            raise ConfigurationError(f"address: {config.address} is a peer already")
        peer = Peer(config, self, *self._filters(config, import_policy, export_policy))
        self.peers[config.address] = peer
        self._policies[peer] = (import_policy, export_policy)
        self.tell(PeerEvent("added", peer.address, config.description, now=now or 0.0))
        self._warn_of_missing_policy(peer, now)
        if now is not None:
            peer.start(now)
        return peer

    def change_peer(
        self,
        peer: Peer,
        config: PeerConfig,
        *,
        import_policy: Policy | Keep | None = KEEP,
        export_policy: Policy | Keep | None = KEEP,
        now: float | None = None,
    ) -> None:
        """Make the smallest change; only what the OPEN said or the connection needs ends the session.

        Raises ConfigurationError before anything is changed.
        """
        make_open(config)  # refuses what cannot be before anything is changed
        old_import, old_export = self._policies[peer]
        new_import = old_import if isinstance(import_policy, Keep) else import_policy
        new_export = old_export if isinstance(export_policy, Keep) else export_policy
        other_kind = config.internal != peer.config.internal
        import_, export = self._filters(config, new_import, new_export)
        self._policies[peer] = (new_import, new_export)
        peer.change_policies(
            import_ if other_kind or new_import is not old_import else None,
            export if other_kind or new_export is not old_export else None,
        )
        changed = {name for name in PeerConfig.names() if getattr(config, name) != getattr(peer.config, name)}
        if changed:
            keyed = peer.config.password is not None and config.password is not None
            peer.reconfigure(config, now, reset=not changed <= (LIVE | REKEYED if keyed else LIVE))
            self.tell(PeerEvent("changed", peer.address, ", ".join(sorted(changed)), now=now or 0.0))
        self._warn_of_missing_policy(peer, now)
        self.touched.add(peer)

    def remove_peer(self, peer: Peer, now: float | None = None, *, silent: bool = False) -> None:
        del self.peers[peer.address]
        del self._policies[peer]
        if peer.dynamic is not None:
            peer.dynamic.peers.discard(peer.address)
        if now is not None:
            peer.stop(now, PeerDeconfigured(), silent=silent)
            peer.forget()
        self.tell(PeerEvent("removed", peer.address, now=now or 0.0))
        self._check_deferral(now or self._now)

    def add_dynamic_peer(self, found: Range, address: str, peer_as: int, now: float) -> Peer:
        """A peer that came by itself, from one of `ranges`. Raises BadPeerAS and ConnectionRejected."""
        why = found.why_not(peer_as)
        if why is not None:
            raise (ConnectionRejected(why) if len(found.peers) >= found.maximum else BadPeerAS(why))
        try:
            config = found.config(address, peer_as)
            peer = self.add_peer(config, found.import_policy, found.export_policy, now)
        except ConfigurationError as error:
            raise ConnectionRejected(f"AS {peer_as} from {found.prefix}: {error}") from None
        peer.dynamic = found
        found.peers.add(peer.address)
        return peer

    def see_off(self, peer: Peer, now: float) -> bool:
        """Remove a peer that came by itself, once nothing is left of it."""
        if not peer.departed or self.peers.get(peer.address) is not peer:
            return False
        self.remove_peer(peer, now)
        return True

    def start(self, now: float) -> None:
        """Start all peers."""
        self._now = now
        self.deferral.start(now)
        for peer in self.peers.values():
            peer.start(now)

    def start_peer(self, peer: Peer, now: float) -> None:
        if not peer.started:
            peer.start(now)

    def shut_down(self, peer: Peer, text: str, now: float) -> None:
        """Cease / Administrative Shutdown with a text (RFC 9003); down until `start_peer`."""
        cease = AdministrativeShutdown(text, Notification.shutdown(AdministrativeShutdown(), text).data)
        peer.stop(now, cease)

    def stop(self, now: float, *, silent: bool) -> None:
        """The end: every session, with a NOTIFICATION or (`silent`) without."""
        for peer in list(self.peers.values()):
            peer.stop(now, AdministrativeShutdown(), silent=silent)

    # own routes

    def announce(self, family: Family, nlri: list[NLRI], attributes: PathAttributes) -> None:
        """An empty next hop is the local address of each session."""
        self.tables.distribute(self._own_routes(family).announce(nlri, attributes))

    def withdraw(self, family: Family, nlri: list[NLRI]) -> None:
        self.tables.distribute(self._own_routes(family).withdraw(nlri))

    def announced(self) -> Mapping[Prefix, PathAttributes]:
        return {
            Prefix.of(family, nlri): path.received
            for family, own in self._own.items()
            for part in own.routes()
            for nlri, path in part
        }

    # the rest of what the shell asks

    def subscribe(self, reader: Reader, *, snapshot: bool = True) -> None:
        self.tables.subscribe(reader, snapshot=snapshot)

    def next_hops_changed(self, next_hops: frozenset[bytes] | None) -> None:
        """Judge again all paths with these next hops (None: all)."""
        for rib in self.tables:
            exchanges = [ex for peer in self.peers.values() if (ex := peer.exchanges.get(rib.family))]
            adj_ribs_in = {exchange.source: exchange.adj_rib_in for exchange in exchanges}
            self.tables.later(self, next_hops_changed(rib, adj_ribs_in, next_hops))

    def step(self, now: float) -> bool:
        """One slice of long work; False when there is none."""
        self._now = now
        return self.tables.jobs.step()

    def next_deadline(self) -> float | None:
        """Of the speaker itself; the peers have their own."""
        return self.deferral.next_deadline(self._now)

    def handle_timer(self, now: float) -> None:
        self._now = now
        self._check_deferral(now)

    def tell(self, event: PeerEvent) -> None:
        self.effects.append(event)

    # what peers ask

    @property
    def restarting(self) -> bool:
        """Learned routes are held back, and OPENs carry the Restart State bit."""
        return self.deferral.active

    def eligibility(self, config: PeerConfig) -> Eligibility:
        return Eligibility(
            bgp_identifier=config.bgp_identifier,
            cluster_id=config.cluster_id or 0,
            addresses=self._addresses,
            allow_own_as=config.allow_own_as,
            enforce_first_as=config.enforce_first_as,
            resolve=self._resolve,
            numbers=AsNumbers.of(config),
            honor_graceful_shutdown=config.honor_graceful_shutdown,
            blackhole=config.blackhole,
        )

    def session_changed(self, peer: Peer, now: float) -> None:
        """A session came up or went down, a first attempt failed, or End-of-RIB arrived."""
        if peer.current is not None and peer.local_address:
            self._know_address(pack_address(peer.local_address))
        self._check_deferral(now)

    # inside

    def _own_routes(self, family: Family) -> AdjRibIn:
        own = self._own.get(family)
        if own is None:
            source = Source.own(self._local_as, self._bgp_identifier)
            accept = prepare(None, "import", external=False)
            eligibility = Eligibility(bgp_identifier=self._bgp_identifier)
            own = self._own[family] = AdjRibIn(source, self.tables.loc_rib(family), accept, eligibility)
        return own

    def _filters(
        self, config: PeerConfig, import_policy: Policy | None, export_policy: Policy | None
    ) -> tuple[Filter, Filter]:
        external = not config.internal
        return (
            prepare(import_policy or self._import_policy, "import", external=external),
            prepare(export_policy or self._export_policy, "export", external=external),
        )

    def _warn_of_missing_policy(self, peer: Peer, now: float | None) -> None:
        for filter_ in (peer.import_filter, peer.export_filter):
            text = missing_policy(filter_)
            if text is not None:
                self.tell(PeerEvent("warning", peer.address, text, now=now or 0.0))

    def _know_address(self, address: bytes) -> None:
        """A path whose next hop is any address of ours is not usable (RFC 4271 section 5.1.3)."""
        if address in self._addresses:
            return
        self._addresses |= {address}
        for peer in self.peers.values():
            for exchange in peer.exchanges.values():
                exchange.adj_rib_in.eligibility = self.eligibility(peer.config)
        self.next_hops_changed(frozenset((address,)))

    def _check_deferral(self, now: float) -> None:
        if self.deferral.over(self.peers.values(), now):
            self.deferral.active = False
            for peer in self.peers.values():
                peer.restart_done()
            self.tell(PeerEvent("advertising", "", "restart is over, learned routes are told onward", now=now))

    def _failed(self, owner: object, error: Exception) -> None:
        if isinstance(owner, Peer):
            owner.fail(error, self._now)
        else:
            text = f"{type(error).__name__}: {error}"
            self.tell(PeerEvent("error", "", text, now=self._now))
