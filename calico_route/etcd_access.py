"""How etcd is reached by an agent's settings. Apart from config.py, which `status` imports too: this brings in TLS."""

from __future__ import annotations

from collections.abc import Mapping

from .config import Settings, read_password
from .etcd.settings import EtcdSettings, SettingsError, check_certificates, read_settings
from .flags import UsageError


def etcd_settings(settings: Settings, environ: Mapping[str, str]) -> EtcdSettings:
    """How etcd is reached, its certificates looked at. UsageError."""
    password_file = settings.etcd_password_file
    try:
        made = read_settings(
            environ,
            endpoints=settings.endpoints,
            ca_file=settings.etcd_ca_cert,
            cert_file=settings.etcd_cert,
            key_file=settings.etcd_key,
            username=settings.etcd_username,
            password=None if password_file is None else read_password(password_file),
            driver=settings.etcd_driver,
        )
        check_certificates(made)
    except SettingsError as error:
        raise UsageError(str(error)) from None
    return made
