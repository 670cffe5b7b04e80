"""The process around an agent: it is put together from settings, told of signals, and left in time."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import sys
from collections.abc import Mapping
from functools import partial
from typing import NoReturn

from pybgp import ControlSocket, __version__, gc_for_full_tables

from . import log as logs
from .agent import Agent, AgentOptions
from .cache import SnapshotFile
from .config import LONGEST_MESH_PASSWORD, Settings, read_password
from .datastore import Datastore
from .discovery import Found, find_ipv4, with_length
from .etcd.datastore import EtcdDatastore
from .etcd.drivers import open_store
from .etcd.settings import EtcdSettings, SettingsError, check_certificates, read_settings
from .fields import host_address
from .flags import UsageError
from .identity import Identity
from .kernel import Kernel, KernelError
from .model import HostAddress
from .report import answer
from .sessions import Options

log = logging.getLogger(__name__)

LEAVE_WITHIN = 4.5
"""Seconds from the signal to the end of the process, whatever hangs."""

SWITCH = 0.0001
"""Seconds after which the thread that writes routes has its turn. It needs little of the interpreter: at Python's 5 ms
the kernel would wait for the loop, and 100,000 routes would take 1.3 times as long as a bare loop, not 1.0."""


def run(settings: Settings, environ: Mapping[str, str]) -> int:
    """Run an agent until a signal ends it. Returns the exit code; UsageError for settings that cannot work."""
    logs.configure(settings.log_level, settings.log_format)
    etcd = _etcd_settings(settings, environ) if settings.etcd else None
    sys.setswitchinterval(SWITCH)
    with gc_for_full_tables():
        return asyncio.run(_main(settings, etcd))


async def _main(settings: Settings, etcd: EtcdSettings | None) -> int:
    log.info("calico_route %s, node %s (from %s)", __version__, settings.node_name, settings.origins["node name"])
    for what in ("ip", "ip6", "asn"):
        if what in settings.origins:
            log.info("%s %s, from %s", what.replace("asn", "as"), getattr(settings, what), settings.origins[what])
    agent = Agent(
        identity=_identity(settings),
        options=_options(settings),
        agent_options=AgentOptions(
            stale_route_time=settings.stale_route_time,
            mass_deletion_hold=settings.mass_deletion_hold,
            flush_on_exit=settings.flush_on_exit,
            register=settings.etcd,
            interface_prefix=settings.interface_prefix,
        ),
        datastore=_datastore(settings, etcd),
        kernel=Kernel(workload_interfaces=settings.interface_prefix),
        snapshots=SnapshotFile(settings.state_dir, settings.node_name),
        find=partial(_find, [] if etcd is None else [endpoint.host for endpoint in etcd.endpoints]),
    )
    _listen_to_signals(agent, settings)
    control = ControlSocket(settings.socket, partial(answer, agent), what="agent")
    try:
        await control.open()
    except OSError as error:
        log.warning("no status on %s: %s; give --socket", settings.socket, error.strerror or error)
    try:
        await agent.run()
    except KernelError as error:
        log.error("%s", error)
        return 1
    finally:
        await control.close()
    return 0


def _identity(settings: Settings) -> Identity:
    without = {version for version, text in ((4, settings.ip), (6, settings.ip6)) if text == "none"}
    return Identity(
        name=settings.node_name,
        ipv4=_given(settings.ip),
        ipv6=_given(settings.ip6),
        asn=settings.asn,
        router_id=settings.router_id,
        without=frozenset(without),
    )


def _given(text: str | None) -> HostAddress | None:
    if text is None or text == "none":
        return None
    return with_length(host_address(text))


def _find(etcd_hosts: list[str]) -> Found | None:
    return find_ipv4(etcd_hosts)


def _options(settings: Settings) -> Options:
    return Options(
        workloads_from_etcd=settings.workloads_from != "kernel",
        workloads_from_kernel=settings.workloads_from != "etcd",
        announce_unchecked=settings.announce_unchecked,
        hold_time=settings.hold_time,
        auto_reflectors=settings.auto_reflectors,
        password=None
        if settings.mesh_password_file is None
        else read_password(settings.mesh_password_file, LONGEST_MESH_PASSWORD),
        ttl_security=settings.ttl_security,
    )


def _etcd_settings(settings: Settings, environ: Mapping[str, str]) -> EtcdSettings:
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


def _datastore(settings: Settings, etcd: EtcdSettings | None) -> Datastore:
    if etcd is not None:
        try:
            return EtcdDatastore(open_store(etcd), node=settings.node_name)
        except SettingsError as error:
            raise UsageError(str(error)) from None
    try:
        from .file import FileDatastore  # PyYAML is needed for nothing else
    except ModuleNotFoundError as error:
        raise UsageError(f"--peer-from-file: {error.name} is missing: pip install 'pybgp[calico]'") from None

    assert settings.file is not None
    return FileDatastore(settings.file)


def _listen_to_signals(agent: Agent, settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    asked: list[int] = []

    def leave(number: int) -> None:
        name = signal.Signals(number).name
        if asked:
            log.warning("second %s: leaving at once", name)
            _exit(128 + number)
        asked.append(number)
        log.info("%s", name)
        loop.call_later(LEAVE_WITHIN, _too_late)
        agent.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave, number)
    loop.add_signal_handler(signal.SIGHUP, _reload, agent, settings)


def _reload(agent: Agent, settings: Settings) -> None:
    """Read the files again. What cannot be read changes nothing."""
    log.info("SIGHUP: reading the files again")
    try:
        options = _options(settings)
    except (OSError, ValueError) as error:
        log.error("%s: %s; the password stays as it was", settings.mesh_password_file, error)
    else:
        agent.options = dataclasses.replace(agent.options, password=options.password)
    reload = getattr(agent.datastore, "reload", None)
    if reload is not None:
        reload()
    agent.mark()


def _too_late() -> NoReturn:
    log.error("not done after %g s: leaving now", LEAVE_WITHIN)
    _exit(1)


def _exit(code: int) -> NoReturn:
    with contextlib.suppress(Exception):
        logging.shutdown()
    os._exit(code)
