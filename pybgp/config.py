"""What may be set for one neighbour: `PeerConfig`, frozen and checked when it is made.

All times are seconds. Nothing here touches a socket or a clock; policies are not settings of the protocol
and are given to the speaker beside a `PeerConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Final

from pybgp.errors import ConfigurationError
from pybgp.family import IPV4_UNICAST, Family
from pybgp.prefix import format_address, pack_address

AS_TRANS: Final = 23456  # RFC 6793: stands for "does not fit into two octets", never a neighbour's own number
MAXIMUM_PASSWORD: Final = 80  # octets; Linux, TCP_MD5SIG_MAXKEYLEN

# name -> (smallest, largest); the field is an int unless it is also in _SECONDS
_NUMBERS: Final[dict[str, tuple[float, float]]] = {
    "peer_as": (1, 0xFFFFFFFF),
    "local_as": (1, 0xFFFFFFFF),
    "bgp_identifier": (1, 0xFFFFFFFF),
    "port": (1, 65535),
    "hold_time": (0, 65535),
    "keepalive_time": (1, 65535),
    "connect_retry_time": (0.01, 86400),
    "connect_retry_max": (0.01, 86400),
    "connect_timeout": (0.01, 86400),
    "idle_hold_time": (0, 86400),
    "idle_hold_max": (0, 86400),
    "idle_hold_quiet": (0, 86400 * 365),
    "delay_open_time": (0, 86400),
    "open_hold_time": (0.01, 86400),
    "send_hold_time": (0, 86400),
    "ttl_security": (1, 254),
    "ttl": (1, 255),
    "restart_time": (0, 4095),  # twelve bits, RFC 4724 section 3
    "cluster_id": (1, 0xFFFFFFFF),
    "allow_own_as": (0, 255),
    "speaker_as": (1, 0xFFFFFFFF),
    "long_lived_stale_time": (1, 0xFFFFFF),  # 24 bits, RFC 9494 section 3
    "add_path_send_limit": (0, 255),
}
_SECONDS: Final = frozenset(
    (
        "keepalive_time",
        "connect_retry_time",
        "connect_retry_max",
        "connect_timeout",
        "idle_hold_time",
        "idle_hold_max",
        "idle_hold_quiet",
        "delay_open_time",
        "open_hold_time",
        "send_hold_time",
    )
)
_SWITCHES: Final = (
    "passive",
    "keep_confirmed",
    "graceful_restart",
    "graceful_notification",
    "forwarding_preserved",
    "keep_stale",
    "four_octet_as",
    "route_refresh",
    "enhanced_route_refresh",
    "extended_message",
    "route_reflector_client",
    "enforce_first_as",
    "route_server_client",
    "next_hop_unchanged",
    "local_as_no_prepend",
    "local_as_replace",
    "as_override",
    "role_strict",
    "graceful_shutdown",
    "honor_graceful_shutdown",
    "blackhole",
    "long_lived_partial",
)
_TEXTS: Final = ("hostname", "password", "software_version", "interface", "description", "group")
_CHOICES: Final = {
    "role": ("provider", "rs", "rs-client", "customer", "peer"),  # RFC 9234 section 4.1
    "remove_private_as": ("leading", "all", "replace"),
}
_FAMILY_LISTS: Final = ("families", "extended_next_hop", "add_path_receive", "add_path_send")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixLimit:
    """How many prefixes of one family a neighbour may have with us (RFC 4271 section 6.7), and what follows.

    `warn_at` is the percentage of `limit` from which on an event says so. At more than `limit`: "warn" says so
    and goes on; "block" keeps what is above out of use until there is room; "shut" ends the session with
    Cease / Maximum Number of Prefixes Reached (RFC 4486) and stays down; "restart" does so and comes back
    after `restart_after` seconds. `count` says what counts: all that was "received", or what was "accepted".
    """

    limit: int
    warn_at: int = 75
    action: str = "shut"
    restart_after: float = 300.0
    count: str = "received"

    def __post_init__(self) -> None:
        for name, low, high in (("limit", 0, 0xFFFFFFFF), ("warn_at", 1, 100), ("restart_after", 1, 86400 * 365)):
            value = getattr(self, name)
            kinds = (int, float) if name == "restart_after" else (int,)
            if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
                raise _bad(name, value, f"must be a number from {low} to {high}")
        for name, choices in (("action", ("shut", "restart", "block", "warn")), ("count", ("received", "accepted"))):
            if getattr(self, name) not in choices:
                raise _bad(name, getattr(self, name), f"must be one of {', '.join(choices)}")


_NO_LIMITS: Final[Mapping[Family, PrefixLimit]] = MappingProxyType({})
_NO_NUMBERS: Final[Mapping[Family, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConfig:
    """The protocol settings of one neighbour.

    `peer_as`, `local_as` and `bgp_identifier` (ours) are 32-bit integers. Addresses are kept in their
    canonical spelling (RFC 5952), so that two configurations of one neighbour compare equal.
    Raises `ConfigurationError` that names the field, its value and what is allowed.
    """

    address: str
    peer_as: int
    local_as: int
    bgp_identifier: int
    local_address: str | None = None
    port: int = 179
    passive: bool = False
    keep_confirmed: bool = False  # of two crossing connections the one with our KEEPALIVE stays; for one side alone
    families: tuple[Family, ...] = (IPV4_UNICAST,)

    hold_time: int = 90  # 0 (no KEEPALIVE at all) or at least 3
    keepalive_time: float | None = None  # None: a third of the negotiated hold time, which is also the most
    connect_retry_time: float = 1.0  # first pause after a connection that failed or ended; doubles, with jitter
    connect_retry_max: float = 60.0
    connect_timeout: float = 10.0  # how long a connection attempt may take
    idle_hold_time: float = 5.0  # DampPeerOscillations, after errors only; doubles; 0 switches it off
    idle_hold_max: float = 60.0
    idle_hold_quiet: float = 300.0  # this long after the last hold, errors are forgotten
    delay_open_time: float = 0.0  # DelayOpen of RFC 4271; 0 switches it off
    open_hold_time: float = 240.0  # "a large value" of RFC 4271 8.2.2: how long to wait for the OPEN
    send_hold_time: float | None = None  # RFC 9687; None: max(480, twice the hold time); 0 switches it off

    password: str | None = field(default=None, repr=False)  # TCP MD5, RFC 2385
    ttl_security: int | None = None  # RFC 5082: distance in hops, 1 when directly connected
    ttl: int | None = None  # of what we send when there is no ttl_security; None: 64

    graceful_restart: bool = True
    graceful_notification: bool = False  # RFC 8538: graceful restart after a NOTIFICATION, too
    restart_time: int = 120
    forwarding_preserved: bool = True
    keep_stale: bool = False  # over a second restart before End-of-RIB, too; RFC 4724 section 4.2 has them deleted
    four_octet_as: bool = True
    route_refresh: bool = True
    enhanced_route_refresh: bool = True
    extended_message: bool = True
    extended_next_hop: tuple[Family, ...] = ()
    add_path_receive: tuple[Family, ...] = ()
    add_path_send: tuple[Family, ...] = ()
    add_path_send_limit: int = 0  # the best so many paths of a prefix; 0: all
    long_lived_stale_time: int | None = None  # RFC 9494; None: no such capability
    long_lived_partial: bool = False  # an internal peer without it is told what is stale for long, too (4.6)
    hostname: str | None = None
    software_version: str | None = None  # capability 75

    role: str | None = None  # ours, RFC 9234
    role_strict: bool = False  # a peer that names no role is refused
    route_reflector_client: bool = False
    route_server_client: bool = False  # RFC 7947: AS_PATH, NEXT_HOP and MULTI_EXIT_DISC go through untouched
    cluster_id: int | None = None
    next_hop_self: bool | None = None  # None: to external peers, and to internal ones for own routes only
    next_hop_unchanged: bool = False

    speaker_as: int | None = None  # the speaker's own AS, where this peer is shown another `local_as`
    local_as_no_prepend: bool = False  # what comes from this peer does not get that `local_as` put in front
    local_as_replace: bool = False  # what it is sent shows that `local_as` alone
    enforce_first_as: bool = True  # an external peer puts its own AS first; a route server does not
    allow_own_as: int = 0
    as_override: bool = False  # its AS in the AS_PATH that it is sent becomes ours
    remove_private_as: str | None = None  # "leading", "all", or "replace" by our AS

    max_prefixes: Mapping[Family, PrefixLimit] = field(default_factory=lambda: _NO_LIMITS, hash=False)
    max_prefixes_out: Mapping[Family, int] = field(default_factory=lambda: _NO_NUMBERS, hash=False)
    graceful_shutdown: bool = False  # RFC 8326: we are about to go, and say so
    honor_graceful_shutdown: bool = True  # what an external peer says so of gets LOCAL_PREF 0
    blackhole: bool = False  # RFC 7999: what carries BLACKHOLE is taken, and stays in this AS

    interface: str | None = None  # bind to this device
    description: str = ""
    group: str = ""  # where the settings came from

    @property
    def internal(self) -> bool:
        """True for iBGP: the neighbour is in our own autonomous system."""
        return self.peer_as == self.local_as

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", _address("address", self.address))
        _check_neighbour(self.address)
        if self.local_address is not None:
            object.__setattr__(self, "local_address", _address("local_address", self.local_address))
            if (":" in self.address) != (":" in self.local_address):
                raise _bad("local_address", self.local_address, f"must be of the same family as {self.address}")
        for name in _FAMILY_LISTS:
            object.__setattr__(self, name, _families(name, getattr(self, name)))
        for name, (low, high) in _NUMBERS.items():
            self._check_number(name, low, high)
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise _bad(name, getattr(self, name), "must be true or false")
        for name in _TEXTS:
            value = getattr(self, name)
            if value is None and name not in ("description", "group"):
                continue
            if not isinstance(value, str):
                raise ConfigurationError(f"{name}: must be a text, not {type(value).__name__}")
            if not value.isascii() and value.encode("utf-8", "replace").decode() != value:
                raise ConfigurationError(f"{name}: holds characters that have no UTF-8 form")
        if self.next_hop_self is not None and not isinstance(self.next_hop_self, bool):
            raise _bad("next_hop_self", self.next_hop_self, "must be true, false or not set")
        for name, choices in _CHOICES.items():
            if getattr(self, name) is not None and getattr(self, name) not in choices:
                raise _bad(name, getattr(self, name), f"must be one of {', '.join(choices)}")
        self._check_limits()
        self._check_together()

    def _check_limits(self) -> None:
        for name in ("max_prefixes", "max_prefixes_out"):
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise _bad(name, given, "must be a mapping from families")
            for family, value in given.items():
                if family not in self.families:
                    raise _bad(name, family, "is not one of the peer's families")
                if name == "max_prefixes":
                    if not isinstance(value, PrefixLimit):
                        raise _bad(name, value, f"must be a PrefixLimit for {family}")
                elif isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0xFFFFFFFF:
                    raise _bad(name, value, f"must be 0 to 4294967295 for {family}")
            object.__setattr__(self, name, MappingProxyType(dict(given)))

    def _check_number(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if value is None and type(self).__dataclass_fields__[name].default is None:
            return
        kinds = (int, float) if name in _SECONDS else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise _bad(name, value, f"must be {'a number of seconds' if name in _SECONDS else 'an integer'}")
        if not low <= value <= high:  # also refuses NaN
            raise _bad(name, value, f"must be {low} to {high}")

    def _check_together(self) -> None:
        if self.hold_time in (1, 2):
            raise _bad("hold_time", self.hold_time, "must be 0 or at least 3 (RFC 4271 section 4.2)")
        if self.keepalive_time is not None and 0 < self.hold_time <= self.keepalive_time:
            raise _bad("keepalive_time", self.keepalive_time, f"must be below hold_time {self.hold_time}")
        for low, high in (("connect_retry_time", "connect_retry_max"), ("idle_hold_time", "idle_hold_max")):
            if getattr(self, low) > getattr(self, high):
                raise _bad(low, getattr(self, low), f"must not be above {high} {getattr(self, high)}")
        for name in ("peer_as", "local_as", "speaker_as"):
            if getattr(self, name) == AS_TRANS:
                raise _bad(name, AS_TRANS, "is AS_TRANS, reserved by RFC 6793")
        if not self.families:
            raise _bad("families", "()", "must name at least one address family")
        for name in ("extended_next_hop", "add_path_receive", "add_path_send"):
            for family in getattr(self, name):
                if family not in self.families:
                    raise _bad(name, family, "is not one of the peer's families")
        if self.password is not None and not 0 < len(self.password.encode()) <= MAXIMUM_PASSWORD:
            # never the value itself: this text ends in logs
            raise ConfigurationError(f"password: must be 1 to {MAXIMUM_PASSWORD} octets long")
        if self.ttl_security is not None and self.ttl is not None:
            raise _bad("ttl", self.ttl, "cannot be set together with ttl_security, which sends with 255")
        if self.local_as > 0xFFFF and not self.four_octet_as:
            raise _bad("four_octet_as", False, f"local_as {self.local_as} needs four octets")
        if self.route_reflector_client and not self.internal:
            raise _bad("route_reflector_client", True, "needs an internal peer (RFC 4456)")
        for name, most in (("hostname", 255), ("software_version", 64), ("interface", 15)):
            value = getattr(self, name)
            if value is not None and not 0 < len(value.encode()) <= most:
                raise _bad(name, value, f"must be 1 to {most} octets long")
        if self.route_server_client and self.internal:
            raise _bad("route_server_client", True, "needs an external peer (RFC 7947)")
        if self.role is not None and self.internal:
            raise _bad("role", self.role, "needs an external peer (RFC 9234)")
        if self.role_strict and self.role is None:
            raise _bad("role_strict", True, "needs a role")
        if self.next_hop_unchanged and self.next_hop_self:
            raise _bad("next_hop_unchanged", True, "contradicts next_hop_self")
        if self.long_lived_stale_time is not None and not self.graceful_restart:
            raise _bad("long_lived_stale_time", self.long_lived_stale_time, "needs graceful_restart (RFC 9494)")
        if self.long_lived_partial and not self.internal:
            raise _bad("long_lived_partial", True, "needs an internal peer (RFC 9494 section 4.6)")

    @classmethod
    def names(cls) -> frozenset[str]:
        """The names of all settings, for who reads them from a file."""
        return frozenset(f.name for f in fields(cls))


def _bad(name: str, value: object, why: str) -> ConfigurationError:
    shown = str(value) if isinstance(value, Family) else repr(value)
    return ConfigurationError(f"{name}: {shown} {why}")


def _address(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _bad(name, value, "must be an address such as '192.0.2.1' or '2001:db8::1'")
    host, percent, zone = value.partition("%")
    try:
        text = format_address(pack_address(host))
    except ValueError as error:
        raise _bad(name, value, "is not an IPv4 or IPv6 address") from error
    if percent and not (zone and ":" in text):
        raise _bad(name, value, "has a zone ('%...') that only a link-local IPv6 address may have")
    return text + percent + zone


def _check_neighbour(text: str) -> None:
    """Only one host can be a neighbour, and a link-local address names one only together with its link."""
    host, percent, _zone = text.partition("%")
    raw = pack_address(host)
    if not any(raw) or raw[0] == 0xFF or (len(raw) == 4 and raw[0] >= 224):
        raise _bad("address", text, "is not the address of one host")
    if len(raw) == 16 and raw[0] == 0xFE and raw[1] & 0xC0 == 0x80 and not percent:
        raise _bad("address", text, "is link-local and needs its interface, as in 'fe80::1%eth0'")


def _families(name: str, value: object) -> tuple[Family, ...]:
    if isinstance(value, Family) or not isinstance(value, (tuple, list)):
        raise _bad(name, value, "must be a list of address families")
    for family in value:
        if not isinstance(family, Family):
            raise _bad(name, family, "is not an address family")
    if len(set(value)) != len(value):
        raise _bad(name, [str(f) for f in value], "names a family twice")
    return tuple(value)
