"""Flags and environment variables to settings. Everything wrong is told at once, by its name and value."""

from __future__ import annotations

import argparse
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from .flags import NODENAME_FILE, SOCKET_DIRECTORY, STATE_DIRECTORY, UsageError, parser

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_INTERFACE = re.compile(r"[^\s/]{1,15}")
_LABEL = re.compile(
    r"([A-Za-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(=([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?)?"
)

LONGEST_MESH_PASSWORD = 80
"""Octets: what Linux takes as a TCP MD5 key."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an agent is told. Times in seconds; addresses as given (`a.b.c.d` or `a.b.c.d/len`), checked.

    `ip` None: take the Node's or find one out; "none": no IPv4. `ip6` alike, but nothing is found out.
    `origins` says where name, addresses and AS come from.
    """

    node_name: str
    etcd: bool
    endpoints: str | None = None
    file: Path | None = None
    etcd_ca_cert: str | None = None
    etcd_cert: str | None = None
    etcd_key: str | None = None
    etcd_username: str | None = None
    etcd_password_file: Path | None = None
    etcd_driver: str | None = None
    ip: str | None = None
    ip6: str | None = None
    asn: int | None = None
    router_id: str | None = None
    workloads_from: str = "etcd"
    interface_prefix: str = "cali"
    announce_unchecked: bool = False
    hold_time: int = 90
    auto_reflectors: str = ""
    mesh_password_file: Path | None = None
    secrets_dir: Path | None = None
    announce: str = "workloads"
    pod_cidrs: bool = False
    compat: str = "auto"
    ttl_security: int | None = None
    stale_route_time: float = 30.0
    mass_deletion_hold: float = 300.0
    flush_on_exit: bool = False
    contested: str = "yield"
    state_dir: Path = STATE_DIRECTORY
    socket: Path
    metrics: tuple[str, int] | None = None
    metrics_per_peer: bool = False
    bird_socket: Path | None = None
    bird6_socket: Path | None = None
    print_bird_config: int | None = None
    log_level: str = "info"
    log_format: str = "text"
    origins: Mapping[str, str] = field(default_factory=dict)


def read_settings(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Settings of an agent. UsageError, with a line for each mistake."""
    return settings_of(parser().parse_args(arguments), environ)


def settings_of(flags: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """The same of flags that are parsed already, by a parser that may know more of them."""
    reader = _Reader(flags, environ)
    settings = reader.read()
    if reader.mistakes:
        raise UsageError("\n".join(reader.mistakes))
    return settings


class _Reader:
    """Takes the flags one by one and collects what is wrong with them."""

    def __init__(self, flags: argparse.Namespace, environ: Mapping[str, str]) -> None:
        self.flags, self.environ = flags, environ
        self.mistakes: list[str] = []
        self.origins: dict[str, str] = {}

    def read(self) -> Settings:
        flags = self.flags
        etcd = self._source()
        name = self._node_name()
        return Settings(
            node_name=name,
            etcd=etcd,
            endpoints=flags.peer_from_etcd or None,
            file=Path(flags.peer_from_file) if flags.peer_from_file else None,
            etcd_ca_cert=flags.etcd_ca_cert,
            etcd_cert=flags.etcd_cert,
            etcd_key=flags.etcd_key,
            etcd_username=flags.etcd_username,
            etcd_password_file=self._file("--etcd-password-file", flags.etcd_password_file),
            etcd_driver=flags.etcd_driver,
            ip=self._address("ip", "--ip", flags.ip, "IP", 4),
            ip6=self._address("ip6", "--ip6", flags.ip6, "IP6", 6),
            asn=self._as_number(),
            router_id=self._router_id(),
            workloads_from=flags.workloads_from,
            interface_prefix=self._interface_prefix(),
            announce_unchecked=flags.announce_unchecked,
            hold_time=self._hold_time(),
            auto_reflectors=self._auto_reflectors(),
            mesh_password_file=self._file("--mesh-password-file", flags.mesh_password_file, LONGEST_MESH_PASSWORD),
            secrets_dir=self._directory("--secrets-dir", flags.secrets_dir),
            announce=flags.announce,
            pod_cidrs=self.environ.get("USE_POD_CIDR", "").strip().lower() in ("true", "1", "yes"),
            compat=flags.compat,
            ttl_security=self._optional("--ttl-security", flags.ttl_security, 1, 255),
            stale_route_time=self._seconds("--stale-route-time", flags.stale_route_time),
            mass_deletion_hold=self._seconds("--mass-deletion-hold", flags.mass_deletion_hold),
            flush_on_exit=flags.flush_on_exit,
            contested=flags.contested,
            print_bird_config=int(flags.print_bird_config) if flags.print_bird_config else None,
            state_dir=Path(flags.state_dir),
            socket=socket_path(flags.socket, name),
            metrics=self._metrics(),
            metrics_per_peer=flags.metrics_per_peer,
            bird_socket=Path(flags.bird_socket) if flags.bird_socket else None,
            bird6_socket=Path(flags.bird6_socket) if flags.bird6_socket else None,
            log_level=flags.log_level,
            log_format=flags.log_format,
            origins=self.origins,
        )

    def _source(self) -> bool:
        from_etcd, from_file = self.flags.peer_from_etcd is not None, self.flags.peer_from_file is not None
        in_environment = any(self.environ.get(name, "").strip() for name in ("ETCD_ENDPOINTS", "ETCD_AUTHORITY"))
        if from_etcd and from_file:
            self.mistakes.append("--peer-from-etcd and --peer-from-file exclude each other: give one")
        if from_file and not self.flags.peer_from_file:
            self.mistakes.append("--peer-from-file '': give the path of a file")
        if not (from_etcd or from_file or in_environment):
            self.mistakes.append("give --peer-from-etcd [ENDPOINTS] or --peer-from-file FILE (see --help)")
        return not from_file

    def _node_name(self) -> str:
        name, origin = find_node_name(self.flags.node_name, self.environ)
        self.origins["node name"] = origin
        if not _NAME.fullmatch(name):
            self.mistakes.append(
                f"node name {name!r} (from {origin}): letters, digits, dots and dashes are allowed; give --node-name"
            )
        return name

    def _address(self, what: str, flag: str, given: str | None, variable: str, version: int) -> str | None:
        from .fields import host_address

        text, origin = self._flag_or_variable(flag, given, variable)
        if text is None or text.lower() == "autodetect":
            return None
        self.origins[what] = origin
        if text.lower() == "none":
            return "none"
        try:
            address = host_address(text).address
            if (":" in address) != (version == 6):
                raise ValueError
        except ValueError:
            example = "192.0.2.7 or 192.0.2.7/24" if version == 4 else "2001:db8::7 or 2001:db8::7/64"
            self.mistakes.append(f"{origin} {text!r} is no IPv{version} address: write {example}")
            return None
        found = ip_address(address)
        if found.is_unspecified or found.is_multicast or found.is_loopback or found.is_link_local:
            self.mistakes.append(
                f"{origin} {text!r}: other nodes cannot reach such an address, give one of this host's"
            )
            return None
        return text

    def _as_number(self) -> int | None:
        from .fields import as_number

        text, origin = self._flag_or_variable("--as", self.flags.asn, "AS")
        if text is None:
            return None
        self.origins["asn"] = origin
        return self._checked(lambda: as_number(text), f"{origin} {text!r}")

    def _router_id(self) -> str | None:
        from .fields import host_address

        text, origin = self._flag_or_variable("--router-id", self.flags.router_id, "CALICO_ROUTER_ID")
        if text is None or text == "hash":
            return text
        try:
            address, length = host_address(text)
            if length != 32 or ":" in address or address == "0.0.0.0":
                raise ValueError
        except ValueError:
            self.mistakes.append(f"{origin} {text!r}: write four octets such as 192.0.2.7, or hash")
            return None
        return address

    def _flag_or_variable(self, flag: str, given: str | None, variable: str) -> tuple[str | None, str]:
        if given is not None:
            return given.strip(), flag
        return self.environ.get(variable, "").strip() or None, variable

    def _interface_prefix(self) -> str:
        text = str(self.flags.interface_prefix)
        if not _INTERFACE.fullmatch(text):
            self.mistakes.append(f"--interface-prefix {text!r}: no interface has a name that begins so")
        return text

    def _hold_time(self) -> int:
        seconds = self._optional("--hold-time", self.flags.hold_time, 0, 65535) or 0
        if seconds in (1, 2):
            self.mistakes.append(f"--hold-time {seconds}: must be 0 or at least 3 (RFC 4271)")
        return seconds

    def _auto_reflectors(self) -> str:
        text = str(self.flags.auto_reflectors)
        if text and not _LABEL.fullmatch(text):
            self.mistakes.append(
                f"--auto-reflectors {text!r}: give a node's label, KEY or KEY=VALUE, such as route-reflector=true"
            )
        return text

    def _optional(self, flag: str, text: str | None, low: int, high: int) -> int | None:
        if text is None:
            return None

        def number() -> int:
            value = int(text)
            if not low <= value <= high:
                raise ValueError
            return value

        return self._checked(number, f"{flag} {text!r}", f"must be a number from {low} to {high}")

    def _seconds(self, flag: str, text: str) -> float:
        def number() -> float:
            value = float(text)
            if not 0 <= value <= 86400 * 365:
                raise ValueError
            return value

        return self._checked(number, f"{flag} {text!r}", "must be a number of seconds, 0 or more") or 0.0

    def _file(self, flag: str, text: str | None, longest: int | None = None) -> Path | None:
        if text is None:
            return None
        return self._checked(lambda: (read_password(Path(text), longest), Path(text))[1], f"{flag} {text!r}")

    def _metrics(self) -> tuple[str, int] | None:
        from .fields import peer_address

        text = self.flags.metrics
        if text == "none":
            return None
        found = self._checked(lambda: peer_address(text), f"--metrics {text!r}")
        if found is not None and found.port is None:
            self.mistakes.append(f"--metrics {text!r}: write ADDRESS:PORT, as in 127.0.0.1:9908 or [::1]:9908")
        return None if found is None or found.port is None else (found.address, found.port)

    def _directory(self, flag: str, text: str | None) -> Path | None:
        if text is None:
            return None
        return self._checked(lambda: (list(Path(text).iterdir()), Path(text))[1], f"{flag} {text!r}")

    def _checked(self, make: Callable[[], _T], what: str, why: str = "") -> _T | None:
        try:
            return make()
        except (ValueError, OSError) as error:
            self.mistakes.append(f"{what}: {why or getattr(error, 'strerror', None) or error}")
            return None


def find_node_name(given: str | None, environ: Mapping[str, str]) -> tuple[str, str]:
    """The name of this node and where it was found."""
    if given is not None:
        return given.strip(), "--node-name"
    if name := environ.get("NODENAME", "").strip():
        return name, "NODENAME"
    try:
        if name := NODENAME_FILE.read_text().strip():
            return name, str(NODENAME_FILE)
    except (OSError, UnicodeDecodeError):
        pass  # the usual case: the file is Calico's, and may not be there
    return socket.gethostname().strip().lower(), "the host's name"


def socket_path(given: str | None, node_name: str) -> Path:
    """Where an agent listens for `status`."""
    return Path(given) if given else SOCKET_DIRECTORY / f"{node_name}.sock"


def read_password(path: Path, longest: int | None = None) -> str:
    """The first line of a file, at most `longest` octets. ValueError for any other, OSError if it cannot be read."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError("its first line should be the password, but it is no text (UTF-8)") from None
    if not lines or not lines[0].strip():
        raise ValueError("its first line is empty: that should be the password")
    password = lines[0].strip()
    if longest is not None and len(password.encode()) > longest:
        raise ValueError(f"the password has {len(password.encode())} octets: at most {longest} are possible")
    return password
