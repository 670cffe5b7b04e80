"""What runs beside the agent in its process: addresses, policy, workloads and Docker's side, in this order and back.

The agent keeps its sessions whatever happens here. Policy alone has to stand before anything else begins: where it
cannot be had, containers would be without rules.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from calico_route.daemon import CompanionError
from calico_route.docker import DockerSide
from calico_route.etcd.drivers import open_store
from calico_route.etcd.settings import EtcdSettings, SettingsError
from calico_route.etcd.store import Store
from calico_route.ipam import Ipam
from calico_route.policy import NftError, Policy, withdraw
from calico_route.report import Parts
from calico_route.workload import WorkloadError, Workloads, WorkloadSocket

from .docker import DockerWorkloads
from .flags import NodeSettings
from .profiles import StoredProfiles

log = logging.getLogger(__name__)

RESERVE_EVERY = 60.0
RESERVE_AGAIN = 2.0
"""Seconds until the addresses of hosts are looked at again; and after it could not be done."""


@contextlib.asynccontextmanager
async def companions(settings: NodeSettings, etcd: EtcdSettings | None) -> AsyncIterator[Parts]:
    """Entered within milliseconds: what waits for etcd does so in a task. CompanionError."""
    assert etcd is not None, "the flags of a node always name etcd"
    node = settings.agent.node_name
    async with contextlib.AsyncExitStack() as stack:
        try:
            store = open_store(etcd)
        except SettingsError as error:
            raise CompanionError(str(error)) from error
        stack.push_async_callback(store.close)
        addresses = Ipam(store, node=node, order=settings.ipam)
        stack.push_async_callback(addresses.close)
        policy = None
        if settings.policy:
            policy = await _policy(settings, store)
            stack.push_async_callback(policy.close)
        else:
            await _no_rules()
        workloads = Workloads(
            store,
            addresses,
            policy,
            node=node,
            state_dir=settings.agent.state_dir,
            interface_prefix=settings.agent.interface_prefix,
            profiles=StoredProfiles(store, node),
        )
        stack.push_async_callback(workloads.close)
        tasks = [
            asyncio.create_task(_serve(settings, workloads, addresses, stack), name="workloads"),
            asyncio.create_task(_reserve(addresses), name="reserved addresses"),
        ]
        for task in tasks:
            task.add_done_callback(_ended)
            stack.push_async_callback(_cancelled, task)
        parts = {"workloads": workloads.status}
        yield parts if policy is None else {**parts, "policy": policy.status}


async def _policy(settings: NodeSettings, store: Store) -> Policy:
    policy = Policy(
        store,
        node=settings.agent.node_name,
        interface_prefix=settings.agent.interface_prefix,
        to_host=settings.workload_to_host,
    )
    try:
        await policy.start()
    except NftError as error:
        words = "install nftables (libnftables1), or give --policy off, with which every container reaches everything"
        raise CompanionError(f"no policy: {error}; {words}") from error
    return policy


async def _no_rules() -> None:
    """Those of an agent before us would let no new container through."""
    try:
        if await withdraw():
            log.warning("--policy off: the rules of before are gone, and every container reaches everything")
    except NftError as error:
        log.warning("--policy off: rules of before, if there are any, stay in force: %s", error)


async def _serve(
    settings: NodeSettings, workloads: Workloads, addresses: Ipam, stack: contextlib.AsyncExitStack
) -> None:
    """First what the last run left; then whoever wants a container connected."""
    try:
        await workloads.repair()
    except WorkloadError as error:
        log.error("no containers on this node: %s", error)
        return
    socket = WorkloadSocket(settings.workload_socket, workloads)
    try:
        await socket.open()
    except OSError as error:
        log.error("no workloads on %s: %s; give --workload-socket", socket.path, error.strerror or error)
    else:
        stack.push_async_callback(socket.close)
        log.info("workloads on %s", socket.path)
    if settings.docker_plugin is None and settings.docker_proxy is None:
        return
    try:
        docker = DockerSide(
            DockerWorkloads(workloads),
            addresses,
            plugin_directory=settings.docker_plugin,
            proxy=settings.docker_proxy,
            docker_socket=settings.docker_socket,
            state_dir=settings.agent.state_dir / f"{settings.agent.node_name}.docker",
            node=settings.agent.node_name,
        )
        await docker.start()
    except (OSError, ValueError) as error:
        log.error("nothing for Docker on this node: %s", getattr(error, "strerror", None) or error)
        return
    stack.push_async_callback(docker.close)


async def _reserve(addresses: Ipam) -> None:
    """No container gets the address of a host, or one beside it. Nodes come and go."""
    said = ""
    while True:
        pause = RESERVE_EVERY
        try:
            await addresses.reserve_hosts()
            said = ""
        except WorkloadError as error:
            pause = RESERVE_AGAIN
            if str(error) != said:
                said = str(error)
                log.warning("the addresses of hosts are not reserved yet: %s", error)
        await asyncio.sleep(pause)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s: a mistake of ours", task.get_name(), exc_info=task.exception())
