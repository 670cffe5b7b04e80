"""Endpoints, certificates and credentials of etcd, from flags or from Calico's environment variables."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

DEFAULT_ENDPOINTS = "http://127.0.0.1:2379"
DEFAULT_PORT = 2379
DRIVERS = ("aioetcd3", "http")


class SettingsError(ValueError):
    """A setting that cannot be used: which, what it is, and what is expected."""


class Endpoint(NamedTuple):
    """Where one member of the cluster listens."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """`host:port`, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdSettings:
    """`driver` None: aioetcd3 where it can be imported, else http. `request_timeout` in seconds."""

    endpoints: tuple[Endpoint, ...]
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    driver: str | None = None
    request_timeout: float = 3.0


def read_settings(
    environ: Mapping[str, str],
    *,
    endpoints: str | None = None,
    ca_file: str | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
    username: str | None = None,
    password: str | None = None,
    driver: str | None = None,
) -> EtcdSettings:
    """Settings from flags (the arguments), else from the environment, else the local etcd.

    Without a scheme an endpoint is https when certificates are given, else http. SettingsError.
    """

    def setting(flag: str | None, variable: str) -> str | None:
        return flag or environ.get(variable, "").strip() or None

    ca_file = setting(ca_file, "ETCD_CA_CERT_FILE")
    cert_file = setting(cert_file, "ETCD_CERT_FILE")
    key_file = setting(key_file, "ETCD_KEY_FILE")
    username = setting(username, "ETCD_USERNAME")
    password = setting(password, "ETCD_PASSWORD")
    secure = ca_file is not None or cert_file is not None

    for flag, variable in (
        (endpoints, "--peer-from-etcd"),
        (None, "ETCD_ENDPOINTS"),
        (None, "ETCD_AUTHORITY"),
    ):
        text = flag or environ.get(variable, "").strip()
        if text:
            break
    else:
        text, variable = DEFAULT_ENDPOINTS, "default"
    parsed = tuple(parse_endpoint(one.strip(), variable, secure=secure) for one in text.split(",") if one.strip())
    if not parsed:
        raise SettingsError(f"{variable} {text!r} holds no endpoint: write http://host:2379[,...]")
    for variable, path in (
        ("ETCD_CA_CERT_FILE", ca_file),
        ("ETCD_CERT_FILE", cert_file),
        ("ETCD_KEY_FILE", key_file),
    ):
        if path is not None and not os.access(path, os.R_OK):
            raise SettingsError(f"{variable} {path!r} is not a file that can be read")
    if (cert_file is None) != (key_file is None):
        raise SettingsError("ETCD_CERT_FILE and ETCD_KEY_FILE go together: one of them is not set")
    if (username is None) != (password is None):
        raise SettingsError("ETCD_USERNAME and ETCD_PASSWORD go together: one of them is not set")
    if driver is not None and driver not in DRIVERS:
        raise SettingsError(f"--etcd-driver {driver!r} is none of {', '.join(DRIVERS)}")
    return EtcdSettings(
        endpoints=parsed,
        ca_file=ca_file,
        cert_file=cert_file,
        key_file=key_file,
        username=username,
        password=password,
        driver=driver,
    )


def check_certificates(settings: EtcdSettings) -> None:
    """SettingsError for files in which there is no certificate, or no key that fits."""
    try:
        context = ssl.create_default_context()
        if settings.ca_file is not None:
            _blame(settings.ca_file, lambda: context.load_verify_locations(settings.ca_file))
        if settings.cert_file is not None:
            files = f"{settings.cert_file} and {settings.key_file}"
            # An encrypted key would make OpenSSL ask at the terminal.
            _blame(files, lambda: context.load_cert_chain(settings.cert_file or "", settings.key_file, lambda: b""))
    except OSError as error:
        raise SettingsError(f"the certificates cannot be read: {error.strerror or error}") from None


def _blame(files: str, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        raise SettingsError(f"{files} cannot be used: {reason}") from None


def parse_endpoint(text: str, variable: str = "endpoint", *, secure: bool = False) -> Endpoint:
    """`http://host:port`, `https://[::1]:2379`, `host:port` or `host`. SettingsError.

    `variable` names the setting in the error; `secure` chooses https where no scheme is written.
    """

    def refuse(why: str) -> SettingsError:
        shown = re.sub(r"(?<=//)[^/]*@|^[^/]*@", "***@", text)  # what stands before an @ may be a password
        return SettingsError(f"{variable} {shown!r} is no endpoint of etcd ({why}): write http://host:2379")

    if "://" not in text:
        text = f"{'https' if secure else 'http'}://{text}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise refuse(str(error)) from None
    if parts.scheme not in ("http", "https"):
        raise refuse(f"unknown scheme {parts.scheme}")
    if not host or any(character.isspace() or not character.isprintable() for character in host):
        raise refuse("no host")
    if port == 0:
        raise refuse("port 0")
    if parts.username is not None:
        raise refuse("credentials belong into ETCD_USERNAME and ETCD_PASSWORD")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise refuse("more than a host and a port")
    return Endpoint(host, port or DEFAULT_PORT, parts.scheme == "https")
