"""All that one neighbour and we tell each other: its families, from session to session.

Graceful restart as a helper (RFC 4724 section 4.2, RFC 8538) lives here: what stays when a session ends, and
until when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from pybgp.config import PeerConfig, PrefixLimit
from pybgp.events import EventKind
from pybgp.exchange import BEGIN_OF_RIB, END_OF_RIB, Exchange
from pybgp.family import Family
from pybgp.fsm.negotiation import Negotiated
from pybgp.graceful_restart import STALE_REFRESH_TIME, FamilyClock, Helper
from pybgp.messages import RouteRefresh, Update
from pybgp.messages.update import Reach
from pybgp.prefix import NLRI, format_nlri, pack_address
from pybgp.prefix_limit import LimitWatch
from pybgp.rib.as_numbers import AsNumbers
from pybgp.rib.eligibility import Eligibility
from pybgp.rib.export import Export
from pybgp.rib.filter import Filter
from pybgp.rib.martians import martians
from pybgp.rib.route import Source
from pybgp.tables import Tables


class Tell(Protocol):
    """How an event is reported."""

    def __call__(
        self, kind: EventKind, now: float, reason: str = "", family: Family | None = None, *, detail: str = ""
    ) -> None: ...


SETTINGS_IN: Final = frozenset(
    ("allow_own_as", "blackhole", "cluster_id", "enforce_first_as", "honor_graceful_shutdown", "local_as_no_prepend")
)
"""A change of these judges again what the peer has sent."""
SETTINGS_OUT: Final = frozenset(
    (
        *("as_override", "cluster_id", "graceful_shutdown", "local_as_replace", "next_hop_self", "next_hop_unchanged"),
        *("long_lived_partial", "max_prefixes_out", "remove_private_as", "route_reflector_client"),
    )
)
"""A change of these tells the peer what is otherwise now."""


class Exchanges(Mapping[Family, Exchange]):
    """An `Exchange` for each configured family. `changed(now)` is called when an End-of-RIB arrived."""

    def __init__(
        self,
        config: PeerConfig,
        owner: object,
        tables: Tables,
        import_: Filter,
        export: Filter,
        eligibility: Eligibility,
        tell: Tell,
        changed: Callable[[float], None],
    ) -> None:
        self.helper = Helper()
        self.long_lived = FamilyClock()  # until when the stale routes of which families may stay, least preferred
        self.refreshing = FamilyClock()  # until when a peer may take to end the refresh that it has begun
        self._stale_times: dict[Family, int] = {}  # of the session that was lost, RFC 9494
        self.config = config
        self.over: tuple[Family, PrefixLimit, str] | None = None  # a limit that ends the session
        self._limits: dict[Family, LimitWatch] = {}
        self._held_back: set[Family] = set()  # of which that was told
        self._export = export
        self._agreed: Negotiated | None = None
        self._own_next_hop = b""
        self._enhanced_refresh = False
        self._tell = tell
        self._changed = changed
        self._by_family: dict[Family, Exchange] = {}
        address = pack_address(config.address.partition("%")[0])
        for family in config.families:
            source = Source(
                name=config.address,
                address=address,
                asn=config.peer_as,
                local_as=config.local_as,
                internal=config.internal,
                route_reflector_client=config.route_reflector_client,
                role=config.role,
                speaker_as=config.speaker_as or config.local_as,
                group=config.group,
            )
            self._by_family[family] = Exchange(family, owner, source, tables, import_, eligibility)
        self._set_limits()

    def __getitem__(self, family: Family) -> Exchange:
        return self._by_family[family]

    def __iter__(self) -> Iterator[Family]:
        return iter(self._by_family)

    def __len__(self) -> int:
        return len(self._by_family)

    @property
    def initial_table_received(self) -> bool:
        """End-of-RIB has come for every family of the session."""
        return all(exchange.end_of_rib_received for exchange in self.values() if exchange.established)

    @property
    def stale(self) -> bool:
        return any(exchange.stale for exchange in self.values())

    # sessions

    def up(
        self, agreed: Negotiated, local_address: bytes, now: float, *, deferring: bool, link_local: bytes = b""
    ) -> None:
        self._agreed = agreed
        self._own_next_hop = local_address + link_local
        restart = agreed.graceful_restart
        kept = {} if restart is None else dict(restart.families)
        self._enhanced_refresh = agreed.enhanced_route_refresh
        for family, exchange in self.items():
            forwarding = kept.get(family)
            if family in self.long_lived:
                forwarding = agreed.long_lived is not None and agreed.long_lived.forwarding_preserved(family)
            if exchange.stale and not (forwarding and family in agreed.families):
                self.long_lived.done(family)
                exchange.sweep()
                self._tell("flushed", now, "the peer did not keep its forwarding state", family)
            if family in agreed.families:
                source = exchange.source
                source.bgp_identifier = agreed.peer_bgp_identifier
                source.local_address = local_address
                exchange.adj_rib_in.forget()
                export = self._make_export(exchange, agreed)
                exchange.up(agreed.context, export, deferring=deferring, paths=self.config.add_path_send_limit)
                self._set_most(exchange)
        if self.stale:
            self.helper.back(now)
        else:
            self.helper.done()

    def down(self, agreed: Negotiated, now: float, *, graceful: bool) -> None:
        """With `graceful` the routes of the families that the peer's capability lists stay for its restart time."""
        self._agreed = None
        again = self.config.keep_stale and self.helper.deadline is not None  # not beyond the long-lived stale time
        restart = agreed.graceful_restart if graceful else None
        # Zero seconds are not waited for: the routes go in the call that hears of the end, without a timer.
        kept = tuple(family for family, _ in restart.families) if restart and restart.restart_time else ()
        long = agreed.long_lived if restart is not None else None
        self._stale_times = {} if long is None else {family: long.stale_time(family) for family in self}
        for family, exchange in self.items():
            self.long_lived.done(family)
            self.refreshing.done(family)
            exchange.down(keep=family in kept or bool(self._stale_times.get(family)), again=again)
            if exchange.stale:
                self._tell("stale", now, "the peer's routes stay while it restarts", family)
        if restart is not None and self.stale:
            self.helper.lost(restart.restart_time, now, again=again)
        else:
            self.helper.done()

    def handle_timer(self, now: float) -> None:
        if self.helper.deadline is not None and now >= self.helper.deadline:
            gone = not any(exchange.established for exchange in self.values())
            why = f"the peer {self.helper.waiting_for}"
            for family, stale_time in self._stale_times.items() if gone else ():
                exchange = self._by_family[family]
                if exchange.stale and stale_time:
                    self.long_lived.begin(family, stale_time, now)
                    exchange.make_long_lived()
                    text = f"{why}: its routes stay for {stale_time} s more, as the last choice (RFC 9494)"
                    self._tell("stale", now, text, family)
            self.helper.done()
            self._sweep(why, now, [family for family in self if family not in self.long_lived])
        for family in self.long_lived.over(now):
            self.long_lived.done(family)
            self._sweep("the long-lived stale time is over (RFC 9494)", now, [family])
        for family in self.refreshing.over(now):
            self._end_refresh(family)
            text = f"the peer began a refresh and did not end it within {STALE_REFRESH_TIME:g} s (RFC 7313)"
            self._tell("flushed", now, text, family)

    @property
    def deadline(self) -> float | None:
        """When `handle_timer` is to be called."""
        times = (self.helper.deadline, self.long_lived.deadline, self.refreshing.deadline)
        return min((one for one in times if one is not None), default=None)

    def give_up(self, why: str, now: float) -> None:
        """Remove what is stale."""
        self.helper.done()
        for family in self:
            self.long_lived.done(family)
        self._sweep(why, now, list(self))

    def _sweep(self, why: str, now: float, families: list[Family]) -> None:
        for family in families:
            exchange = self._by_family[family]
            if exchange.stale:
                exchange.sweep()
                self._tell("flushed", now, why, family)

    def flush(self) -> None:
        for exchange in self.values():
            exchange.flush()

    def release(self) -> None:
        for exchange in self.values():
            exchange.release()

    def change_policies(self, import_: Filter | None, export: Filter | None) -> None:
        """None leaves a policy as it is. Only what comes out otherwise is told to anybody."""
        if export is not None:
            self._export = export
        for exchange in self.values():
            if import_ is not None:
                exchange.change_import(import_)
            if export is not None:
                exchange.change_export(export)

    def change_settings(self, config: PeerConfig, eligibility: Eligibility, now: float) -> None:
        """Go on with other settings, within the session: only what comes out otherwise is told to anybody."""
        changed = {name for name in PeerConfig.names() if getattr(config, name) != getattr(self.config, name)}
        self.config = config
        for exchange in self.values():
            exchange.source.group = config.group
            if "route_reflector_client" in changed:
                exchange.change_client(config.route_reflector_client)
            if changed & SETTINGS_IN:
                exchange.change_eligibility(eligibility)
            if changed & SETTINGS_OUT and self._agreed is not None and exchange.established:
                exchange.replace_export(self._make_export(exchange, self._agreed))
                self._set_most(exchange)
        if "max_prefixes" in changed:
            self._set_limits()
            self.check_limits(now)

    # what the peer says

    def update(self, update: Update, now: float) -> None:
        """Withdrawals first: an announcement of the same prefix in the same UPDATE wins (RFC 4271 4.3)."""
        for unreach in update.unreach:
            if unreach.nlri:
                self._by_family[unreach.family].withdrawn(unreach)
            else:
                family = update.end_of_rib
                if family is not None:
                    self._end_of_rib(family, now)
        for reach in update.reach:
            nowhere = martians(reach.family, reach.nlri)
            if nowhere:
                self._tell("offence", now, _ignored(reach.family, nowhere))
                reach = _without(reach, set(nowhere))
            self._by_family[reach.family].announced(reach)
        if self._limits:
            self.check_limits(now)

    def _set_limits(self) -> None:
        limits = self.config.max_prefixes
        self._limits = {family: self._limits.get(family) or LimitWatch(family) for family in limits}
        for family, exchange in self.items():
            limit = limits.get(family)
            exchange.adj_rib_in.most = limit.limit if limit is not None and limit.action == "block" else None

    def _set_most(self, exchange: Exchange) -> None:
        if exchange.adj_rib_out is not None:
            exchange.adj_rib_out.most = self.config.max_prefixes_out.get(exchange.family)

    def check_limits(self, now: float) -> None:
        """Compare what the peer has here with what it may have. `over` is set where the session is to end."""
        for family, watch in self._limits.items():
            limit, exchange = self.config.max_prefixes[family], self._by_family[family]
            exchange.unblock()
            adj_rib_in = exchange.adj_rib_in
            accepted = limit.count == "accepted" or limit.action == "block"
            count = adj_rib_in.accepted + adj_rib_in.is_full if accepted else len(adj_rib_in)
            crossing = watch.look(limit, count)
            if crossing is not None:
                self._tell("warning", now, crossing.words, family)
                if crossing.ends:
                    self.over = (family, limit, crossing.words)

    def refresh(self, message: RouteRefresh, now: float) -> None:
        exchange = self.get(message.family)
        if exchange is None or not exchange.established:
            return
        if message.subtype == 0:
            exchange.refresh(enhanced=self._enhanced_refresh)
        elif self._enhanced_refresh and message.subtype == BEGIN_OF_RIB:
            exchange.begin_refresh()
            self.refreshing.begin(message.family, STALE_REFRESH_TIME, now)
        elif self._enhanced_refresh and message.subtype == END_OF_RIB:
            self._end_refresh(message.family)

    # what we say

    def produce(self, limit: int, now: float) -> list[bytes]:
        """Messages with up to `limit` waiting prefixes; see `Exchange.produce`."""
        messages: list[bytes] = []
        count = 0
        for family, exchange in self._by_family.items():
            before = exchange.too_long
            made, prefixes = exchange.produce(limit - count)
            if exchange.too_long != before:
                text = f"{exchange.too_long - before} prefixes are not advertised: their attributes fit into no message"
                self._tell("warning", now, text, family)
            if exchange.held_back and family not in self._held_back:
                self._held_back.add(family)
                text = (
                    f"{exchange.held_back} prefixes are held back: {self.config.max_prefixes_out[family]} may be told"
                )
                self._tell("warning", now, text, family)
            elif not exchange.held_back:
                self._held_back.discard(family)
            messages += made
            count += prefixes
            if count >= limit:
                break
        return messages

    # inside

    def _end_refresh(self, family: Family) -> None:
        self.refreshing.done(family)
        self._by_family[family].end_refresh()

    def _end_of_rib(self, family: Family, now: float) -> None:
        exchange = self._by_family[family]
        if not exchange.established:
            return
        self.long_lived.done(family)
        if exchange.end_of_rib():
            self._tell("flushed", now, "what was not announced again after the restart", family)
        self._tell("end-of-rib", now, "", family)
        if not self.stale:
            self.helper.done()
        self._changed(now)

    def _make_export(self, exchange: Exchange, agreed: Negotiated) -> Export:
        return Export(
            exchange.source,
            exchange.family,
            self._export,
            cluster_id=self.config.cluster_id or self.config.bgp_identifier,
            next_hop_self=self.config.next_hop_self,
            own_next_hop=self._own_next_hop,
            extended_next_hop=exchange.family in agreed.context.extended_next_hop,
            next_hop_unchanged=self.config.next_hop_unchanged,
            long_lived=agreed.long_lived is not None,
            long_lived_partial=self.config.long_lived_partial,
            numbers=AsNumbers.of(self.config),
            graceful_shutdown=self.config.graceful_shutdown,
        )


def _ignored(family: Family, nowhere: list[NLRI]) -> str:
    some = ", ".join(format_nlri(family, key) for key in nowhere[:4]) + (", …" if len(nowhere) > 4 else "")
    return f'prefixes that no unicast route may have are ignored: {some} section="RFC 4271 6.3"'


def _without(reach: Reach, nowhere: set[NLRI]) -> Reach:
    kept = [at for at, key in enumerate(reach.nlri) if key not in nowhere]
    path_ids = None if reach.path_ids is None else [reach.path_ids[at] for at in kept]
    return reach._replace(nlri=[reach.nlri[at] for at in kept], path_ids=path_ids)
