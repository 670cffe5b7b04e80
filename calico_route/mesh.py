"""The BGP half of the agent: a speaker that is brought to what is wanted, step by step.

A speaker's AS number, identifier and listening sockets are fixed for its life; when those change, another
speaker takes its place, and the peers keep the routes meanwhile (graceful restart).
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pybgp import (
    Batches,
    BGPError,
    ChangeBatch,
    Events,
    PathAttributes,
    PeerEvent,
    PeerSnapshot,
    Prefix,
    Route,
    Speaker,
    accept_all,
    pack_address,
)

from .desired import Desired
from .diagnosis import Strangers
from .grace import PeerProgress
from .kernel import RouteOptions
from .ports import KernelPort
from .programming import KernelRules, Static
from .reconcile import AddPeer, AnnounceRoutes, BgpState, ChangePeer, Operation, RemovePeer, WithdrawRoutes, reconcile
from .sessions import Local, MeshPeer
from .telling import export_policy, import_policy

log = logging.getLogger(__name__)

SAID_KEPT = 4096  # peers and strangers whose failures are remembered, so that each is logged once
FAILURES_SAID = 4  # different ones of one peer between two sessions; a dead network answers now this, now that
QUIET = frozenset({"added", "removed", "advertising"})
LOUD = frozenset({"warning", "lost"})
GRACEFUL_RESTART = 64  # the code of the capability (RFC 4724 section 3)
WITHOUT_END_OF_RIB = 30.0  # seconds in which a neighbour that never says so has sent all its routes


class Mesh:
    """Runs the speaker. `on_event` is called after each event of a peer; call `apply` when wishes change."""

    def __init__(self, fib: KernelPort, *, on_event: Callable[[], None]) -> None:
        self._fib = fib
        self._on_event = on_event
        self._tasks: list[asyncio.Task[None]] = []
        self._peers: dict[str, MeshPeer] = {}
        self._said: dict[str, set[str]] = {}  # failures logged for each peer since it was up
        self._failed_before: dict[str, str] = {}
        self._reached: BgpState | None = None  # what the speaker does; None where not all steps succeeded
        self._turns = 0  # of the reader of routes
        self._news: Batches | None = None  # what it reads
        self._reader: asyncio.Task[None] | None = None
        self._former: dict[asyncio.Task[None], Batches] = {}  # earlier readers, until all have read everything
        self._rules = KernelRules()
        self._statics: Mapping[Prefix, Static] = {}
        self.speaker: Speaker | None = None
        self.local: Local | None = None
        self.losses = 0  # sessions that stood and ended
        self._gone = [0, 0]  # UPDATEs received from and sent to neighbours that there are no more
        self.strangers = Strangers()
        self.failed: dict[str, str] = {}
        """What the speaker refused, by peer address ("" for the speaker itself), in words."""
        self.learned = {1: 0, 2: 0}
        """Destinations learned from others, by AFI."""

    def outdated(self, wanted: Desired) -> bool:
        """Whether the running speaker must be stopped before `wanted` can be applied."""
        return self.speaker is not None and wanted.local != self.local

    async def apply(self, wanted: Desired, *, restarting: bool) -> bool:
        """Bring the speaker to what is wanted. False when something failed and should be tried again.

        `restarting` serves when a speaker starts: whether routes of an earlier one are in the kernel.
        """
        self._failed_before, self.failed = self.failed, {}
        if wanted.local is None:
            self._program(KernelRules(), {})
            return True
        if self.speaker is None and not await self._start(wanted.local, restarting):
            return False
        assert self.speaker is not None
        self._program(wanted.kernel, wanted.statics)
        actual = self._reached or BgpState(dict(self._peers), frozenset(self.speaker.announced()))
        state = BgpState(wanted.peers, wanted.announcements, wanted.local_prefs)
        self._reached = None
        for operation in reconcile(state, actual):
            self._carry_out(self.speaker, operation)
        if self.failed:
            return False
        self._reached = state
        return True

    async def _start(self, local: Local, restarting: bool) -> bool:
        speaker = Speaker(
            local_as=local.asn,
            bgp_identifier=local.bgp_identifier,
            listen=local.listen,
            port=local.port,
            import_policy=accept_all,
            export_policy=accept_all,
            multipath=64,
            restarting=restarting,
            next_hop_resolver=self._fib.resolve,
        )
        try:
            await speaker.__aenter__()
        except OSError as error:
            self._fail("", str(error.strerror or error), _advice(error))
            return False
        self.speaker, self.local, self._reached = speaker, local, None
        self._tasks = [asyncio.create_task(self._follow_events(speaker.events()), name="peer events")]
        self._read_from(speaker)
        log.info(
            "speaking BGP as %s, AS %d, identifier %s, port %d%s",
            " and ".join(str(address) for address in (local.ipv4, local.ipv6) if address is not None),
            local.asn,
            local.bgp_identifier,
            local.port,
            ", after a restart" if restarting else "",
        )
        return True

    async def stop(self, *, restart: bool, kept: Callable[[str], bool] = lambda _: True) -> None:
        """End the sessions: for a restart without a Cease, so that the peers keep our routes, at those addresses that
        are `kept`; the others will not hear of us again."""
        self._count_gone(self.snapshots().values())
        speaker, self.speaker, self.local = self.speaker, None, None
        if speaker is not None and restart:
            for address in [one for one in self._peers if not kept(one)]:
                log.info("%s at %s: no part of what comes, session ended", self._peers[address].name, address)
                speaker.remove_peer(address)
        self._peers.clear()
        tasks = [*self._tasks, *self._former, *([] if self._reader is None else [self._reader])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        self._former.clear()
        self._news = self._reader = None
        self._rules, self._statics = KernelRules(), {}  # whoever starts again says what of it is still wanted
        if speaker is not None:
            await speaker.aclose(restart=restart)

    def _carry_out(self, speaker: Speaker, operation: Operation) -> None:
        """One step. What the speaker refuses is reported and tried again later; the other steps go on."""
        address = ""
        try:
            match operation:
                case WithdrawRoutes(prefixes):
                    speaker.withdraw_many(prefixes)
                    _log_prefixes("withdrawn", prefixes)
                case AnnounceRoutes(prefixes, local_prefs):
                    known = dict(local_prefs)
                    for afi in {prefix.family.afi for prefix in prefixes}:
                        some = [prefix for prefix in prefixes if prefix.family.afi == afi]
                        speaker.announce_many(some, PathAttributes.build(local_pref=known.get(afi)))
                    _log_prefixes("announced", prefixes)
                case RemovePeer(address):
                    gone = self._peers.pop(address)
                    self._count_gone([speaker.peer(address).snapshot])
                    self._said.pop(address, None)
                    # Without a Cease: the other keeps our routes by graceful restart if it is not as far as we.
                    speaker.remove_peer(address, silent=gone.leaving)
                    why = "others have taken its place" if gone.leaving else "it is gone"
                    log.info("%s at %s: %s, session removed", gone.name, address, why)
                case AddPeer(peer):
                    address = peer.address
                    # Both dial until they have met: who starts last is heard at once, and need not wait for the other,
                    # which found nobody, to try again.
                    settings = {**peer.settings(), "passive": False}
                    speaker.add_peer(address, **self._policies(peer), **settings)
                    self._peers[address] = peer
                    log.info("%s at %s: session added%s", peer.name, address, _manner(peer))
                case ChangePeer(peer, was):
                    address = peer.address
                    changes = {k: v for k, v in peer.settings().items() if was.settings()[k] != v}
                    if (peer.export, peer.internal) != (was.export, was.internal):
                        changes["export_policy"] = self._policies(peer)["export_policy"]
                    if (peer.imports, peer.internal) != (was.imports, was.internal):
                        changes["import_policy"] = self._policies(peer)["import_policy"]
                    speaker.change_peer(address, **changes)
                    self._peers[address] = peer
                    if peer.leaving and not was.leaving:
                        log.info("%s at %s: no longer needed, kept until others have taken over", peer.name, address)
                    else:
                        log.info("%s at %s: changed %s", peer.name, address, ", ".join(changes) or "its name")
        except (BGPError, ValueError) as error:
            self._fail(address, str(error), "this session is left out" if address else "trying again")

    def _policies(self, peer: MeshPeer) -> dict[str, Any]:
        rules, family, internal = peer.export, peer.family, peer.internal
        through = self._interface_of
        export = None if rules is None else export_policy(rules, family, internal=internal, interface_of=through)
        return {
            "export_policy": export or accept_all,
            "import_policy": import_policy(peer.imports, family, internal=internal, interface_of=through),
        }

    def _interface_of(self, route: Route) -> str | None:
        next_hop = b"" if route.peer.local else route.next_hop
        if next_hop and self.local is not None:
            size = 4 if len(next_hop) == 4 else 16
            own = (self.local.ipv4, self.local.ipv6)
            if next_hop[:size] in [pack_address(one.address) for one in own if one is not None]:
                next_hop = route.peer.address  # the neighbour is about to be told our own in place of the learned one
        return self._fib.interface_of(route.family.afi, route.nlri, next_hop)

    def _fail(self, address: str, reason: str, consequence: str) -> None:
        """Remember what the speaker refused; it is tried again and again, and told once."""
        self.failed[address] = reason
        known = self._failed_before.get(address) == reason
        where = f"{address}: " if address else ""
        log.log(logging.DEBUG if known else logging.ERROR, "%s%s; %s", where, reason, consequence)

    async def _follow_events(self, events: Events) -> None:
        async for event in events:
            try:
                self.losses += event.kind == "down"
                if event.kind == "refused" and event.peer not in self._peers:
                    self.strangers.note(event.peer, event.now)
                self._log(event)
                self._settle_who_dials(event)
                self._on_event()
            except Exception:
                log.exception("event %s", event)

    def _settle_who_dials(self, event: PeerEvent) -> None:
        """From the first session on, one of the two dials and the other waits."""
        peer = self._peers.get(event.peer)
        if event.kind == "up" and peer is not None and peer.passive and self.speaker is not None:
            self.speaker.change_peer(event.peer, passive=True)

    def _log(self, event: PeerEvent) -> None:
        peer = self._peers.get(event.peer)
        who = f"{peer.name} at {event.peer}" if peer is not None else event.peer or "speaker"
        text = f"{who}: {event.kind}" + (f" {event.family}" if event.family else "")
        text += f": {event.reason}" if event.reason else ""
        if peer is not None and peer.leaving:
            log.debug("%s (leaving)", text)
        elif event.kind in ("failed", "refused"):
            # A dead node is tried again for ever, and a stranger tries for ever: told once, not once a minute.
            if len(self._said) >= SAID_KEPT:
                self._said.clear()
            said = self._said.setdefault(event.peer, set())
            known = event.reason in said or len(said) >= FAILURES_SAID
            if not known:
                said.add(event.reason)
            log.log(logging.DEBUG if known else logging.WARNING, "%s", text)
        elif event.kind == "error":
            log.error("%s%s", text, f": {event.detail}" if event.detail else "")
        elif event.kind in LOUD or event.kind == "down":
            self._said.pop(event.peer, None)
            log.warning("%s", text)
        else:
            if event.kind == "up":
                self._said.pop(event.peer, None)
            log.log(logging.DEBUG if event.kind in QUIET else logging.INFO, "%s", text)

    async def _follow_routes(self, news: Batches) -> None:
        async for batches in news:
            self._turns += 1
            for batch in batches:
                try:
                    self._install(batch, counted=news is self._news)
                except Exception:
                    log.exception("%s", batch)
            self._let_former_go()

    def _let_former_go(self) -> None:
        """Earlier readers end when the present one has read everything, and they have told what only they hear of."""
        if self._news is not None and self._news.all_read:
            for task in [task for task, news in self._former.items() if news.all_read]:
                del self._former[task]
                task.cancel()

    def _install(self, batch: ChangeBatch, *, counted: bool) -> None:
        afi = batch.family.afi
        old, new = _next_hops(batch.old), _next_hops(batch.new)
        if counted:
            self.learned[afi] += len(batch) * ((new is not None) - (old is not None))
        nlri: Sequence[bytes] = batch.nlri
        if self._statics:
            fixed = {prefix.nlri for prefix in self._statics if prefix.family == batch.family}
            nlri = nlri if fixed.isdisjoint(nlri) else [one for one in nlri if one not in fixed]
        if self._rules.plain or new is None or not batch.new:
            if new != old:
                self._fib.update(afi, nlri, new)
        else:
            for part, options in self._rules.parts(batch.family, nlri, batch.new[0]):
                self._fib.update(afi, part, new if options else None, options or RouteOptions())

    def _program(self, rules: KernelRules, statics: Mapping[Prefix, Static]) -> None:
        """Install what is learned by other rules, and our own routes beside it: blocks of pools that are another's to
        install are left to him as well."""
        gone = self._statics.keys() - statics.keys()
        new = {prefix: static for prefix, static in statics.items() if self._statics.get(prefix) != static}
        again = bool(gone) or rules != self._rules
        self._rules, self._statics = rules, statics
        for prefix in gone:
            self._fib.update(prefix.family.afi, [prefix.nlri], None)
        for prefix, static in new.items():
            self._fib.update(prefix.family.afi, [prefix.nlri], static.next_hops, static.options)
        if again and self.speaker is not None:
            self._read_from(self.speaker)

    def _read_from(self, speaker: Speaker) -> None:
        """Read all learned routes from the beginning. What goes before the new reader has come to it, it never hears
        of: so the earlier one reads on until then. Both tell what is true when they tell it."""
        self._let_former_go()
        if self._reader is not None and self._news is not None:
            self._former[self._reader] = self._news
        self.learned = {1: 0, 2: 0}
        self._news = speaker.batches()
        self._reader = asyncio.create_task(self._follow_routes(self._news), name="learned routes")

    async def caught_up(self) -> None:
        """Return when all that has been learned so far was handed to the kernel's side."""
        seen = -1
        while seen != self._turns:
            seen = self._turns
            for _ in range(3):  # a reader that has anything to read reads it in its next turn
                await asyncio.sleep(0)

    def snapshots(self) -> Mapping[str, PeerSnapshot]:
        """All sessions as they are now."""
        return {} if self.speaker is None else self.speaker.peers()

    def updates(self) -> tuple[int, int]:
        """UPDATE messages received and sent since the start."""
        sessions = self.snapshots().values()
        received, sent = self._gone
        return received + sum(one.updates_received for one in sessions), sent + sum(
            one.updates_sent for one in sessions
        )

    def _count_gone(self, sessions: Iterable[PeerSnapshot]) -> None:
        for one in sessions:
            self._gone[0] += one.updates_received
            self._gone[1] += one.updates_sent

    def progress(self) -> Iterator[PeerProgress]:
        """How far the sessions to all wanted nodes are. Costs nothing until it is read."""
        for one in self.snapshots().values():
            yield PeerProgress(one.established, has_told_all(one), one.uptime if one.established else 0.0)

    def complete(self) -> set[str]:
        """The addresses of those that have sent all their routes."""
        return {address for address, one in self.snapshots().items() if has_told_all(one)}

    @property
    def peers(self) -> Mapping[str, MeshPeer]:
        return self._peers


def has_told_all(one: PeerSnapshot) -> bool:
    """Whether a neighbour has sent its End-of-RIB for all families; one without graceful restart need not send any
    (RFC 4724 section 2), and counts after some time."""
    if not one.established:
        return False
    restarts = any(capability.code == GRACEFUL_RESTART for capability in one.capabilities)
    return one.end_of_rib >= one.families.keys() or (not restarts and one.uptime >= WITHOUT_END_OF_RIB)


def _advice(error: OSError) -> str:
    """What a person may do about a port on which we cannot listen."""
    advice = {
        errno.EADDRINUSE: "is BIRD, or another calico_route, still running on this host? ",
        errno.EACCES: "that needs root, or CAP_NET_BIND_SERVICE. ",
        errno.EADDRNOTAVAIL: "this host does not have the address (yet). ",
    }
    return f"{advice.get(error.errno or 0, '')}Trying again"


def _next_hops(views: Any) -> tuple[bytes, ...] | None:
    """The next hops of learned paths; None for no path, and for routes of our own."""
    if not views or any(view.peer.local for view in views):
        return None
    return tuple(dict.fromkeys(view.next_hop for view in views))


def _manner(peer: MeshPeer) -> str:
    parts = [] if peer.internal else [f"AS {peer.peer_as}"]
    parts += ["a client of ours"] if peer.client else []
    parts += ["it dials"] if peer.passive else ["we dial"]
    return f" ({', '.join(parts)})"


def _log_prefixes(what: str, prefixes: Iterable[Prefix]) -> None:
    if log.isEnabledFor(logging.DEBUG):
        for prefix in prefixes:
            log.debug("%s %s", what, prefix)
