"""Why a prefix is reached as it is: every path to it, what became of each, and who was told of it.

Plain values made at one moment from the tables; nothing here changes anything. What is asked for is a prefix, or an
address, which stands for the longest prefix that holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pybgp.exchange import Exchange
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.context import CodecContext
from pybgp.messages.update_writer import AttributesTooLong, encode_reach
from pybgp.peer import Peer
from pybgp.prefix import IP_PREFIXES, NLRI, Prefix, pack_address
from pybgp.rib.decision import Step, med
from pybgp.rib.filter import ELIGIBILITY, EXPORT_RULES, PolicyAnswer, Reason
from pybgp.rib.loc_rib import LocRib, Verdict
from pybgp.rib.lookup import covering
from pybgp.rib.route import Path
from pybgp.router import Router


@dataclass(frozen=True, slots=True)
class Telling:
    """Whether one peer was told of a path. `told`: it holds it from us, with `attributes`. `pending`: something about
    the prefix has yet to be sent. `reason` is why it is not told, in words, and `check`, `policy` and `rule` who says
    so; all are "" where it is told, or will be as soon as it reads."""

    peer: str
    told: bool
    pending: bool = False
    reason: str = ""
    check: str = ""
    policy: str = ""
    rule: str = ""
    attributes: PathAttributes | None = None


@dataclass(frozen=True, slots=True)
class PathExplanation:
    """One path to the prefix, best first among its like.

    path            with its `source`, `received` (as the peer sent it) and `attributes` (as import policy made them)
    accepted        neither a check nor import policy rejected it; if they did, `rejected` says why, `check` names
                    who ("eligibility", "import policy"), `rule` which check ("as-loop") or rule of `policy`
    import_policy   what the import policy of now says of it; None for own routes and where a check came first
    selected        the best path, or one of the multipath set
    step, reason    where the decision process eliminated it (None: the best path), in words
    lost_to         the path that it lost to; None for the best path and for those that were not accepted
    told            every peer, told or not
    """

    path: Path
    accepted: bool
    rejected: str
    check: str
    policy: str
    rule: str
    import_policy: PolicyAnswer | None
    selected: bool
    step: Step | None
    reason: str
    lost_to: Path | None
    told: tuple[Telling, ...]

    @property
    def peer(self) -> str:
        """The address of the peer that it came from, "local" for an own route."""
        return self.path.source.name

    @property
    def best(self) -> bool:
        return self.step is None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All about one prefix: iterate it for its paths, best first. `asked` is the prefix or address that was asked
    about; `prefix` is None where nothing in the table holds that. `unusable` are the longer prefixes that hold an
    address, too, but none of whose paths may be used."""

    asked: str
    family: Family
    prefix: Prefix | None
    paths: tuple[PathExplanation, ...] = ()
    unusable: tuple[Prefix, ...] = ()

    @property
    def best(self) -> PathExplanation | None:
        """The best path; None where there is none that may be used."""
        return self.paths[0] if self.paths and self.paths[0].accepted else None

    def __iter__(self) -> Iterator[PathExplanation]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> PathExplanation:
        return self.paths[number]


def explain(router: Router, what: str | Prefix, family: Family | None = None) -> Explanation:
    """The explanation of a prefix ("10.0.0.0/8") or address ("10.1.2.3"). `family` where it is not unicast; of one
    that has no IP prefixes `what` is a destination as it is written there. Raises ValueError for what is none of it."""
    of_addresses = family is None or family.safi in IP_PREFIXES
    if isinstance(what, str) and "/" not in what and of_addresses:
        address = pack_address(what)
        unicast = IPV4_UNICAST if len(address) == 4 else IPV6_UNICAST
        if family is not None and family.afi != unicast.afi:
            raise ValueError(f"{what!r} is no address of {family}")
        rib = router.tables.loc_rib(family or unicast)
        nlri, unusable = _longest(rib, address)
        return _explain(router, rib, what, nlri, tuple(Prefix.of(rib.family, one) for one in unusable))
    if isinstance(what, Prefix) and (family is None or family == what.family):
        prefix = what
    else:
        prefix = Prefix(what) if family is None else Prefix.read(family, str(what))
    rib = router.tables.loc_rib(prefix.family)
    return _explain(router, rib, str(what), prefix.nlri if prefix.nlri in rib else None, ())


def _longest(rib: LocRib, address: bytes) -> tuple[NLRI | None, list[NLRI]]:
    """The longest prefix with a usable path, and the longer ones without; of unusable ones alone the longest."""
    unusable: list[NLRI] = []
    for nlri in covering(address):
        if nlri in rib:
            if rib.selected(nlri) is not None:
                return nlri, unusable
            unusable.append(nlri)
    return (unusable[0], unusable[1:]) if unusable else (None, [])


def _explain(router: Router, rib: LocRib, asked: str, nlri: NLRI | None, unusable: tuple[Prefix, ...]) -> Explanation:
    if nlri is None:
        return Explanation(asked, rib.family, None)
    verdicts = rib.explain(nlri)
    paths = tuple(_path(router, rib.family, nlri, verdict, verdicts) for verdict in verdicts)
    return Explanation(asked, rib.family, Prefix.of(rib.family, nlri), paths, unusable)


def _path(router: Router, family: Family, nlri: NLRI, verdict: Verdict, verdicts: list[Verdict]) -> PathExplanation:
    path = verdict.path
    rejected = path.rejected
    of_policy = rejected if isinstance(rejected, Reason) else None
    check = "" if rejected is None else (of_policy.check if of_policy is not None else "") or ELIGIBILITY
    answer = None
    peer = _peer_of(router, family, path)
    if peer is not None and check != ELIGIBILITY:
        shown = peer.exchanges[family].adj_rib_in.eligibility.arriving(path.source, family, path.received)
        if not isinstance(shown, str):
            answer = peer.import_filter.explain(family, nlri, shown, path.source)
    return PathExplanation(
        path=path,
        accepted=rejected is None,
        rejected=str(rejected or ""),
        check=check,
        policy=of_policy.policy if of_policy is not None else "",
        rule=of_policy.rule if of_policy is not None else "",
        import_policy=answer,
        selected=verdict.selected,
        step=verdict.step,
        reason=verdict.reason,
        lost_to=_lost_to(verdict, verdicts),
        told=tuple(_telling(router, peer, family, nlri, verdict) for peer in router.peers.values()),
    )


def _peer_of(router: Router, family: Family, path: Path) -> Peer | None:
    peer = router.peers.get(path.source.name)
    exchange = None if peer is None else peer.exchanges.get(family)
    return peer if exchange is not None and exchange.source is path.source else None


def _lost_to(verdict: Verdict, verdicts: list[Verdict]) -> Path | None:
    """The one whose value was better at the step: the best path, but for MED, which counts within one neighbor AS."""
    if verdict.step in (None, Step.INELIGIBLE):
        return None
    if verdict.step is not Step.MED:
        return verdicts[0].path
    neighbor = verdict.path.attributes.neighbor_as
    same = [
        one.path
        for one in verdicts
        if (one.step is None or one.step >= Step.MED) and one.path.attributes.neighbor_as == neighbor
    ]
    return min(same, key=med)


def _telling(router: Router, peer: Peer, family: Family, nlri: NLRI, verdict: Verdict) -> Telling:
    exchange = peer.exchanges.get(family)
    if exchange is None:
        return Telling(peer.address, told=False, check="session", reason=f"{family} is not configured for this peer")
    if peer.current is None:
        why = "the peer is shut down" if not peer.started else f"no session ({peer.state})"
        return Telling(peer.address, told=False, check="session", reason=why)
    if not exchange.established:
        return Telling(peer.address, told=False, check="session", reason=f"{family} was not negotiated")
    assert peer.negotiated is not None
    return _told(router, exchange, peer.negotiated.context, nlri, verdict)


def _told(router: Router, exchange: Exchange, context: CodecContext, nlri: NLRI, verdict: Verdict) -> Telling:
    """Of a peer with a session for this family."""
    out = exchange.adj_rib_out
    assert out is not None
    peer, path = exchange.source.name, verdict.path
    if path.rejected is not None:
        return _not(peer, path.rejected, ELIGIBILITY)
    if verdict.step is not None and not exchange.several_paths:
        return _not(peer, f"not the best path: {verdict.reason}", "decision")
    answer = out.export.judge(path, nlri)
    key = exchange.key_of(nlri, path)
    held, waits = (None, False) if key is None else (out.told(key), out.waits(key))
    if isinstance(answer, str):
        return _not(peer, answer, EXPORT_RULES, pending=waits)
    if verdict.step is not None and not waits and (key is None or (held is not None and held != answer)):
        return _not(peer, f"better paths are told: {verdict.reason}", "decision")
    if key in out.held:
        return _not(
            peer, f"held back: {out.most} prefixes may be told to this peer, and it has them", "max-prefixes-out"
        )
    if held is not None and not waits:
        return Telling(peer, told=True, attributes=held)
    if waits:
        return Telling(peer, told=held is not None, pending=True, attributes=held)
    try:
        encode_reach(
            exchange.family, [nlri], answer, context, [1] if exchange.family in context.add_path_send else None
        )
    except AttributesTooLong:
        longest = context.maximum_length
        return _not(peer, f"its attributes fit into no message of this session ({longest} octets)", "session")
    return Telling(peer, told=False, pending=True)  # the work on the table has not come to it yet


def _not(peer: str, why: str, check: str, *, pending: bool = False) -> Telling:
    if isinstance(why, Reason):
        return Telling(peer, False, pending, str(why), why.check or check, why.policy, why.rule)
    return Telling(peer, False, pending, why, check)
