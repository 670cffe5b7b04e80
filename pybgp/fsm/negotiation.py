"""The two OPENs of a session: ours, made from a `PeerConfig`, and what both together agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

from pybgp.config import PeerConfig
from pybgp.errors import (
    BadBGPIdentifier,
    BadPeerAS,
    ConfigurationError,
    RoleMismatch,
    UnacceptableHoldTime,
    UnsupportedCapability,
    UnsupportedVersionNumber,
)
from pybgp.family import IPV4_UNICAST, Afi, Family
from pybgp.messages import CodecContext, Open
from pybgp.messages.capabilities import (
    AddPath,
    Capability,
    EnhancedRouteRefresh,
    ExtendedMessage,
    ExtendedNextHop,
    FourOctetAS,
    GracefulRestart,
    Hostname,
    LongLivedGracefulRestart,
    Multiprotocol,
    Role,
    RouteRefreshCapability,
    SoftwareVersion,
    encode_capabilities,
)
from pybgp.messages.nlri import CODEC_OF

VERSION: Final = 4
RECEIVE, SEND = 1, 2  # RFC 7911 section 4: two bits
LEAST_SEND_HOLD: Final = 480.0  # RFC 9687 section 3: the greater of eight minutes and twice the hold time


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What holds for one session. Times in seconds; `send_hold_time` 0 means no such timer.

    `graceful_restart` is the peer's capability, None where either side has none. `graceful_notification`: both
    set the N bit (RFC 8538). `long_lived` is the peer's capability of RFC 9494, None where either side has none.
    `peer_role` is what the peer says it is (RFC 9234), None where it says nothing. `context` is for the codec.
    """

    peer_as: int
    peer_bgp_identifier: int
    internal: bool
    hold_time: int
    keepalive_time: float
    send_hold_time: float
    families: frozenset[Family]
    context: CodecContext
    my_open: Open
    peer_open: Open
    graceful_restart: GracefulRestart | None
    graceful_notification: bool
    route_refresh: bool
    enhanced_route_refresh: bool
    long_lived: LongLivedGracefulRestart | None = None
    peer_role: str | None = None


def make_open(config: PeerConfig, *, restarting: bool = False) -> Open:
    """Our OPEN for this neighbour, capabilities in the order of their codes.

    `restarting` sets the Restart State bit (RFC 4724 section 3). Raises ConfigurationError for a family that the
    codec does not know.
    """
    for family in config.families:
        if family not in CODEC_OF:
            known = ", ".join(str(known) for known in CODEC_OF)
            raise ConfigurationError(f"families: {family} is not supported; supported are {known}")
    mine: list[Capability] = [Multiprotocol(family) for family in config.families]
    if config.route_refresh:
        mine.append(RouteRefreshCapability())
    if config.extended_next_hop:
        mine.append(ExtendedNextHop(tuple((family, int(Afi.IPV6)) for family in config.extended_next_hop)))
    if config.extended_message:
        mine.append(ExtendedMessage())
    if config.role is not None:
        mine.append(Role.named(config.role))
    if config.graceful_restart:
        mine.append(
            GracefulRestart(
                restarting=restarting,
                notification=config.graceful_notification,
                restart_time=config.restart_time,
                families=tuple((family, config.forwarding_preserved) for family in config.families),
            )
        )
    if config.four_octet_as:
        mine.append(FourOctetAS(config.local_as))
    add_path = tuple((family, mode) for family in config.families if (mode := _add_path_mode(config, family)))
    if add_path:
        mine.append(AddPath(add_path))
    if config.enhanced_route_refresh:
        mine.append(EnhancedRouteRefresh())
    if config.long_lived_stale_time is not None:
        stale_time, kept = config.long_lived_stale_time, config.forwarding_preserved
        mine.append(LongLivedGracefulRestart(tuple((family, kept, stale_time) for family in config.families)))
    if config.hostname is not None:
        mine.append(Hostname(config.hostname, ""))
    if config.software_version is not None:
        mine.append(SoftwareVersion(config.software_version))
    return Open(
        my_as=config.local_as,
        hold_time=config.hold_time,
        bgp_identifier=config.bgp_identifier,
        capabilities=tuple(mine),
    )


def negotiate(mine: Open, theirs: Open, config: PeerConfig) -> Negotiated:
    """Check the peer's OPEN (RFC 4271 section 6.2) and intersect it with ours.

    Raises the OpenMessageError that is to be sent: code, subcode and data are set.
    """
    _check(mine, theirs, config)
    _check_role(theirs, config)
    families = _families(mine) & _families(theirs)
    if not families:
        wanted = _families(mine)
        raise UnsupportedCapability(
            f"no address family in common: we have {_names(wanted)}, the peer {_names(_families(theirs))}",
            encode_capabilities([Multiprotocol(family) for family in sorted(wanted)]),  # RFC 5492 section 5
        )
    hold_time = min(mine.hold_time, theirs.hold_time)
    keepalive_time = hold_time / 3
    if config.keepalive_time is not None:
        keepalive_time = min(keepalive_time, config.keepalive_time)
    my_restart, peer_restart = _one(mine, GracefulRestart), _one(theirs, GracefulRestart)
    my_long, peer_long = _one(mine, LongLivedGracefulRestart), _one(theirs, LongLivedGracefulRestart)
    if my_restart is None or peer_restart is None:  # RFC 9494 section 3.1: not without RFC 4724's
        peer_long = None
    peer_role = _one(theirs, Role)
    internal = theirs.my_as == mine.my_as
    return Negotiated(
        peer_as=theirs.my_as,
        peer_bgp_identifier=theirs.bgp_identifier,
        internal=internal,
        hold_time=hold_time,
        keepalive_time=keepalive_time,
        send_hold_time=_send_hold_time(config, hold_time),
        families=families,
        context=_context(mine, theirs, internal, families),
        my_open=mine,
        peer_open=theirs,
        graceful_restart=peer_restart if my_restart is not None else None,
        graceful_notification=(
            my_restart is not None
            and peer_restart is not None
            and my_restart.notification
            and peer_restart.notification
        ),
        route_refresh=_both(mine, theirs, RouteRefreshCapability),
        enhanced_route_refresh=_both(mine, theirs, EnhancedRouteRefresh),
        long_lived=peer_long if my_long is not None else None,
        peer_role=None if peer_role is None else peer_role.name,
    )


def _check(mine: Open, theirs: Open, config: PeerConfig) -> None:
    if theirs.version != VERSION:
        raise UnsupportedVersionNumber(
            f"the peer speaks BGP version {theirs.version}, we speak {VERSION}", VERSION.to_bytes(2)
        )
    if theirs.my_as != config.peer_as:
        raise BadPeerAS(f"the peer says it is AS {theirs.my_as}, configured is AS {config.peer_as}").at(20)
    if theirs.bgp_identifier == 0:
        raise BadBGPIdentifier("the peer's BGP Identifier is 0.0.0.0", bytes(4))
    if config.internal and theirs.bgp_identifier == mine.bgp_identifier:  # RFC 6286 section 2.2
        raise BadBGPIdentifier("the internal peer has our own BGP Identifier", theirs.bgp_identifier.to_bytes(4))
    if theirs.hold_time in (1, 2):
        raise UnacceptableHoldTime(
            f"the peer offers a hold time of {theirs.hold_time} s; 0, or at least 3", theirs.hold_time.to_bytes(2)
        )


_OPPOSITE: Final = {
    "provider": "customer",
    "customer": "provider",
    "rs": "rs-client",
    "rs-client": "rs",
    "peer": "peer",
}


def _check_role(theirs: Open, config: PeerConfig) -> None:
    """RFC 9234 section 4.2. An internal peer's role, or one where we have none, is of no account."""
    said = {capability.name for capability in _all(theirs, Role)}
    if config.role is None or config.internal:
        return
    if not said and config.role_strict:
        raise RoleMismatch(f"we are {config.role} and ask for the peer's role, it names none")
    if len(said) > 1:
        raise RoleMismatch(f"the peer names several roles: {', '.join(sorted(said))}")
    if said and said != {_OPPOSITE[config.role]}:
        (role,) = said
        raise RoleMismatch(f"we are {config.role} to the peer, so it should be {_OPPOSITE[config.role]}, not {role}")


def _context(mine: Open, theirs: Open, internal: bool, families: frozenset[Family]) -> CodecContext:
    my_paths, peer_paths = _one(mine, AddPath) or AddPath(()), _one(theirs, AddPath) or AddPath(())
    return CodecContext(
        four_octet_as=_both(mine, theirs, FourOctetAS),
        extended_message=_both(mine, theirs, ExtendedMessage),
        internal=internal,
        families=families,
        add_path_receive=frozenset(f for f in families if my_paths.mode(f) & RECEIVE and peer_paths.mode(f) & SEND),
        add_path_send=frozenset(f for f in families if my_paths.mode(f) & SEND and peer_paths.mode(f) & RECEIVE),
        extended_next_hop=_ipv6_next_hops(mine) & _ipv6_next_hops(theirs) & families,
    )


def _add_path_mode(config: PeerConfig, family: Family) -> int:
    receive = RECEIVE if family in config.add_path_receive else 0
    return receive | (SEND if family in config.add_path_send else 0)


def _send_hold_time(config: PeerConfig, hold_time: int) -> float:
    if config.send_hold_time is not None:
        return config.send_hold_time
    return max(LEAST_SEND_HOLD, 2.0 * hold_time)


C = TypeVar("C")


def _all(message: Open, kind: type[C]) -> list[C]:
    return [capability for capability in message.capabilities if isinstance(capability, kind)]


def _one(message: Open, kind: type[C]) -> C | None:
    """A capability that is given twice counts as given last (RFC 4724 section 3; RFC 5492 leaves it open)."""
    found = _all(message, kind)
    return found[-1] if found else None


def _both(mine: Open, theirs: Open, kind: type[object]) -> bool:
    return bool(_all(mine, kind)) and bool(_all(theirs, kind))


def _families(message: Open) -> frozenset[Family]:
    """RFC 4760 section 8; who names no family at all speaks IPv4 unicast, as RFC 4271 does."""
    named = frozenset(capability.family for capability in _all(message, Multiprotocol))
    return named or frozenset((IPV4_UNICAST,))


def _ipv6_next_hops(message: Open) -> frozenset[Family]:
    capability = _one(message, ExtendedNextHop)
    return frozenset(family for family, afi in (capability.families if capability else ()) if afi == Afi.IPV6)


def _names(families: frozenset[Family]) -> str:
    return ", ".join(str(family) for family in sorted(families))
