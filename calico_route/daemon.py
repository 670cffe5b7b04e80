"""The process around an agent: it is put together from settings, told of signals, and left in time."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import NoReturn

from pybgp import ControlSocket, LocalSocket, __version__, gc_for_full_tables

from . import log as logs
from .agent import Agent, AgentOptions
from .cache import SnapshotFile
from .config import LONGEST_MESH_PASSWORD, Settings, read_password
from .datastore import Datastore
from .discovery import Found, find_ipv4, with_length
from .etcd.datastore import EtcdDatastore
from .etcd.drivers import open_store
from .etcd.settings import EtcdSettings, SettingsError
from .etcd_access import etcd_settings
from .fields import host_address
from .flags import UsageError
from .identity import Identity
from .kernel import Kernel, KernelError
from .metrics import MetricsServer
from .model import HostAddress, SecretReference
from .notify import Notifier
from .privileges import KEPT, drop_privileges
from .report import Parts, answer
from .secrets import read_secrets, state_of
from .sessions import Options

log = logging.getLogger(__name__)

LEAVE_WITHIN = 4.5
"""Seconds from the signal to the end of the process, whatever hangs."""

SECRETS_EVERY = 10.0
"""Seconds between two looks at whether the files of secrets have changed."""

SWITCH = 0.0001
"""Seconds after which the thread that writes routes has its turn. It needs little of the interpreter: at Python's 5 ms
the kernel would wait for the loop, and 100,000 routes would take 1.3 times as long as a bare loop, not 1.0."""


class CompanionError(Exception):
    """What was to run beside the agent cannot: what, why, and what to do."""


Companions = Callable[[EtcdSettings | None], AbstractAsyncContextManager[Parts]]
"""What runs in the process beside the agent, which knows nothing of it: entered before the agent runs, left when it has
ended. It gives what status tells of it; CompanionError at its start ends the process."""


def run(
    settings: Settings, environ: Mapping[str, str], *, companions: Companions | None = None, capabilities: int = KEPT
) -> int:
    """Run an agent until a signal ends it. Returns the exit code; UsageError for settings that cannot work.

    `capabilities`: those that the process keeps, a bit for each.
    """
    logs.configure(settings.log_level, settings.log_format)
    etcd = etcd_settings(settings, environ) if settings.etcd else None
    drop_privileges(capabilities)
    sys.setswitchinterval(SWITCH)
    if settings.print_bird_config is not None:
        return asyncio.run(_print_bird_config(settings, etcd, settings.print_bird_config))
    with gc_for_full_tables():
        return asyncio.run(_main(settings, etcd, Notifier(environ), companions))


async def _main(
    settings: Settings, etcd: EtcdSettings | None, notifier: Notifier, companions: Companions | None
) -> int:
    try:
        async with nullcontext({}) if companions is None else companions(etcd) as parts:
            return await _run(settings, etcd, notifier, parts)
    except CompanionError as error:
        log.error("%s", error)
        return 1


async def _run(settings: Settings, etcd: EtcdSettings | None, notifier: Notifier, parts: Parts) -> int:
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
        kernel=Kernel(workload_interfaces=settings.interface_prefix, insist=settings.contested == "insist"),
        snapshots=SnapshotFile(settings.state_dir, settings.node_name),
        find=_finder(etcd),
    )
    metrics = await _metrics(agent, settings)
    _listen_to_signals(agent, settings)
    beside = [
        asyncio.create_task(_watch_secrets(agent, settings), name="secrets"),
        asyncio.create_task(notifier.follow(partial(_works, agent), partial(_in_a_line, agent)), name="systemd"),
    ]
    sockets = [
        await _opened(
            ControlSocket(settings.socket, partial(answer, agent, parts=parts), what="agent"), "status", "--socket"
        ),
        *[await _opened(one, "answers for BIRD's clients", flag) for one, flag in _bird_sockets(agent, settings)],
    ]
    try:
        await agent.run()
    except KernelError as error:
        log.error("%s", error)
        return 1
    finally:
        notifier.tell(STOPPING="1")
        for task in beside:
            task.cancel()
        for one in sockets:
            await one.close()
        if metrics is not None:
            await metrics.close()
    return 0


def _works(agent: Agent) -> bool:
    """Whether it does what it is there for: BGP runs, or the datastore says that this node takes no part in it."""
    return agent.mesh.speaker is not None or (agent.wanted is not None and agent.wanted.local is None)


def _in_a_line(agent: Agent) -> str:
    if agent.wanted is None:
        return f"waiting for the datastore: {agent.datastore.status.reason}"
    wanted, complete = agent.wanted.peers, agent.mesh.complete()
    learned = sum(agent.mesh.learned.values())
    return (
        f"{len(complete & wanted.keys())} of {len(wanted)} sessions converged, "
        f"{learned} routes learned, {len(agent.wanted.announcements)} announced"
    )


async def _metrics(agent: Agent, settings: Settings) -> MetricsServer | None:
    if settings.metrics is None:
        return None
    address, port = settings.metrics
    server = MetricsServer(agent, address, port, per_peer=settings.metrics_per_peer)
    try:
        await server.open()
    except OSError as error:
        log.warning("no metrics on %s port %d: %s; give --metrics", address, port, error.strerror or error)
        return None
    return server


def _bird_sockets(agent: Agent, settings: Settings) -> Iterator[tuple[LocalSocket, str]]:
    wanted = [(path, version) for path, version in _bird_paths(settings) if path is not None]
    if wanted:
        from .bird import AgentFacts, BirdSocket, call_process  # nobody else waits for it at the start

        call_process("bird" if wanted[0][1] == 4 else "bird6")
        for path, version in wanted:
            yield BirdSocket(path, AgentFacts(agent, version)), "--bird-socket" if version == 4 else "--bird6-socket"


def _bird_paths(settings: Settings) -> tuple[tuple[Path | None, int], ...]:
    return (settings.bird_socket, 4), (settings.bird6_socket, 6)


async def _opened(socket: LocalSocket, what: str, flag: str) -> LocalSocket:
    """An agent without it is an agent still."""
    try:
        await socket.open()
    except OSError as error:
        log.warning("no %s on %s: %s; give %s", what, socket.path, error.strerror or error, flag)
    return socket


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


def _finder(etcd: EtcdSettings | None) -> Callable[[], Found | None]:
    return partial(find_ipv4, [] if etcd is None else [endpoint.host for endpoint in etcd.endpoints])


async def _print_bird_config(settings: Settings, etcd: EtcdSettings | None, version: int) -> int:
    from .bird.printing import print_configuration

    store, identity = _datastore(settings, etcd), _identity(settings)
    return await print_configuration(store, identity, _options(settings), _finder(etcd), version, sys.stdout)


def _options(settings: Settings, secrets: Mapping[SecretReference, str] | None = None) -> Options:
    """`secrets` are those that were read before. Raises OSError, ValueError for files that cannot be read; of secrets
    each by itself is only told."""
    secrets = secrets or {}
    if settings.secrets_dir is not None:
        secrets, faults = read_secrets(settings.secrets_dir, secrets)
        for fault in faults:
            log.error("%s", fault)
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
        announce_blocks=settings.announce == "blocks",
        pod_cidrs=settings.pod_cidrs,
        compat=settings.compat,
        secrets=secrets,
    )


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
        options = _options(settings, agent.options.secrets)
    except OSError as error:
        log.error("%s: %s; passwords stay as they were", error.filename, error.strerror)
    except ValueError as error:
        log.error("%s: %s; passwords stay as they were", settings.mesh_password_file, error)
    else:
        agent.options = dataclasses.replace(agent.options, password=options.password, secrets=options.secrets)
    reload = getattr(agent.datastore, "reload", None)
    if reload is not None:
        reload()
    agent.mark()


async def _watch_secrets(agent: Agent, settings: Settings) -> None:
    """Kubernetes changes files that it has mounted, and sends no signal."""
    directory = settings.secrets_dir
    if directory is None:
        return
    known = state_of(directory)
    while True:
        await asyncio.sleep(SECRETS_EVERY)
        state = await asyncio.to_thread(state_of, directory)
        if state != known:
            known = state
            log.info("%s has changed", directory)
            _reload(agent, settings)


def _too_late() -> NoReturn:
    log.error("not done after %g s: leaving now", LEAVE_WITHIN)
    _exit(1)


def _exit(code: int) -> NoReturn:
    with contextlib.suppress(Exception):
        logging.shutdown()
    os._exit(code)
