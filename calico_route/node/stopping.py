"""`calico-route node stop`: the agent ends, and its Node in the datastore with it. Refused while workloads exist."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import TextIO

from calico_route.documents import read_value
from calico_route.etcd.drivers import open_store
from calico_route.etcd.settings import SettingsError
from calico_route.etcd.store import Store, StoreError, Write
from calico_route.etcd_access import etcd_settings
from calico_route.flags import UsageError
from calico_route.keys import WORKLOADS, format_path, parse_path
from calico_route.model import Kind, ResourceKey, WorkloadEndpoint
from calico_route.policy import NftError, withdraw
from calico_route.status import NoAgentError, ask

from .flags import NodeSettings, node_parser, node_settings_of

WITHIN = 10.0
"""Seconds until the agent has to have ended: twice what it takes at most."""
SHOWN = 5


def main(arguments: Sequence[str], environ: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    """Returns the exit code: 0 stopped (or nothing ran), 1 refused or not done, 2 wrong flags."""
    made = node_parser()
    made.prog = "calico-route node stop"
    made.add_argument("--force", action="store_true", help="also while workloads exist on this node; they stay")
    try:
        flags = made.parse_args(arguments)
        settings = node_settings_of(flags, environ)
        return asyncio.run(_stop(settings, environ, flags.force, out, err))
    except UsageError as error:
        for line in str(error).splitlines():
            print(f"calico-route node stop: {line}", file=err)
        return 2


async def _stop(settings: NodeSettings, environ: Mapping[str, str], force: bool, out: TextIO, err: TextIO) -> int:
    node = settings.agent.node_name
    store = _store(settings, environ)
    found: list[str] | None
    try:
        try:
            found = await _workloads(store, node)
        except StoreError as error:
            print(f"calico-route node stop: etcd at {store.endpoint}: {error}", file=err)
            if not force:
                print("whether workloads exist cannot be told: try again, or give --force", file=err)
                return 1
            found = None
        if found and not force:
            print("Current host has active endpoints so can't be stopped. Force with --force", file=err)
            more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            print(f"{len(found)} on {node}: {', '.join(found[:SHOWN])}{more}", file=err)
            return 1
        ended = _end(settings, out, err)
        if ended is Ended.NOT:
            return 1
        try:
            if ended is Ended.NOW and found == []:
                found = await _workloads(store, node)  # one may have come at the last moment
                if not found and not await _no_rules(err):
                    return 1
            await store.transact([Write(format_path(ResourceKey(Kind.NODE, "", node)), None)])
        except StoreError as error:
            print(f"calico-route node stop: its Node stays in etcd at {store.endpoint}: {error}", file=err)
            return 1
        print("Node stopped and all configuration removed", file=out)
        if found:
            print(f"{len(found)} workloads stay on {node}; nobody announces them any more", file=out)
        if ended is Ended.NOW and found != []:
            print("the rules of workloads stay in force: nft delete table inet calico_route ends them", file=out)
        return 0
    finally:
        await store.close()


def _store(settings: NodeSettings, environ: Mapping[str, str]) -> Store:
    try:
        return open_store(etcd_settings(settings.agent, environ))
    except SettingsError as error:
        raise UsageError(str(error)) from None


async def _workloads(store: Store, node: str) -> list[str]:
    """The names of the endpoints of a node, whoever made them."""
    needle = node.encode()
    snapshot = await store.snapshot([WORKLOADS], lambda _, value: needle in value)
    found = []
    for path, value in snapshot.values.items():
        key = parse_path(path)
        read = None if key is None else read_value(key, value).resource
        if isinstance(read, WorkloadEndpoint) and read.node == node:
            found.append(read.name)
    return sorted(found)


async def _no_rules(err: TextIO) -> bool:
    """Without workloads there is nothing that they protect, and they would drop what others call `cali…`."""
    try:
        await withdraw()
    except NftError as error:
        print(f"calico-route node stop: the rules stay in force: {error}", file=err)
        return False
    return True


class Ended(Enum):
    """Of the agent. It may never have been on this host: its rules are not here, then, but perhaps another's."""

    NOW = auto()
    BEFORE = auto()
    NOT = auto()


def _end(settings: NodeSettings, out: TextIO, err: TextIO) -> Ended:
    """End the agent and wait for it."""
    try:
        status = ask(settings.agent.socket)
        pid = int(status["pid"])
        if status["node"] != settings.agent.node_name:
            words = (
                f"the agent at {settings.agent.socket} is of node {status['node']}: give --node-name {status['node']}"
            )
            print(f"calico-route node stop: {words}, or another --socket", file=err)
            return Ended.NOT
    except NoAgentError:
        print(f"no agent of {settings.agent.node_name} runs here", file=out)
        return Ended.BEFORE
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return Ended.BEFORE
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        if not select.select([descriptor], [], [], WITHIN)[0]:
            print(f"calico-route node stop: the agent (pid {pid}) has not ended within {WITHIN:g} s", file=err)
            return Ended.NOT
    except PermissionError:
        print(f"calico-route node stop: the agent (pid {pid}) is another user's: be root", file=err)
        return Ended.NOT
    finally:
        os.close(descriptor)
    settings.pid_file.unlink(missing_ok=True)
    return Ended.NOW
