"""The watch over containers, with a Docker API that says what the test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from calico_route.docker.client import DockerClient
from calico_route.docker.http import Wire, answer
from calico_route.docker.leases import Leases, State
from calico_route.docker.listening import Listening
from calico_route.docker.network_driver import NetworkDriver
from calico_route.docker.records import Records
from calico_route.docker.watcher import Watcher
from tests.calico_route.docker.doubles import MemoryAddresses, MemoryWorkloads


class Daemon:
    """Docker's API: one network of ours; `containers` are its list; `joined` are the endpoints by container."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.containers: list[dict[str, Any]] = []
        self.joined: dict[str, dict[str, Any]] = {}
        self.auxiliary: dict[str, str] = {}
        self.looks = 0
        self.strange: Any = None
        self._listening = Listening(self._serve)
        self._streams: set[Wire] = set()

    async def start(self) -> None:
        self._listening = Listening(self._serve)
        await self._listening.unix(self.path)

    async def stop(self) -> None:
        await self._listening.close()
        self._streams.clear()

    async def tell(self, kind: str, action: str, identity: str) -> None:
        event = json.dumps({"Type": kind, "Action": action, "Actor": {"ID": identity}}).encode() + b"\n"
        for wire in self._streams:
            await wire.send(b"%x\r\n%b\r\n" % (len(event), event))

    async def _serve(self, wire: Wire) -> None:
        head = await wire.head()
        assert head is not None
        if head.path == "/events":
            await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self._streams.add(wire)
            await wire.ended()
            self._streams.discard(wire)
            return
        await wire.send(self._answer(head.path))

    def _answer(self, path: str) -> bytes:
        network = {"Id": "n1", "Name": "calico", "IPAM": {"Config": [{"AuxiliaryAddresses": self.auxiliary}]}}
        if path == "/networks":
            self.looks += 1
            return listed(self.strange if self.strange is not None else [network])
        if path == "/networks/n1":
            return answer(200, {**network, "Containers": self.joined})
        if path == "/containers/json":
            return listed(self.containers)
        return answer(404, {"message": "no such thing"})

    def container(self, identity: str, state: str, asked: str = "", endpoint: str = "", address: str = "") -> None:
        settings = {"EndpointID": endpoint, "IPAddress": address, "IPAMConfig": {"IPv4Address": asked}}
        self.containers = [one for one in self.containers if one["Id"] != identity]
        self.containers.append(
            {
                "Id": identity,
                "Names": [f"/{identity}-name"],
                "State": state,
                "NetworkSettings": {"Networks": {"calico": settings, "other": None}},
            }
        )


def listed(documents: Any) -> bytes:
    body = json.dumps(documents).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Scene:
    def __init__(self, folder: Path) -> None:
        self.daemon = Daemon(folder / "docker.sock")
        self.addresses, self.workloads = MemoryAddresses(), MemoryWorkloads()
        self.leases = Leases(self.addresses, Records(folder / "leases"), "node1")
        self.driver = NetworkDriver(self.workloads, self.leases, Records(folder / "n"), Records(folder / "e"))
        docker = DockerClient(self.daemon.path)
        self.watcher = Watcher(docker, self.leases, self.driver, settle=0.05, grace=0.05)

    async def endpoint(self, identity: str, address: str | None = None) -> str:
        """Docker asks for an address and an endpoint; returns the address."""
        lease = await self.leases.request(address, 4, ())
        await self.driver.create_endpoint(
            {"NetworkID": "n1", "EndpointID": identity, "Interface": {"Address": f"{lease.address}/32"}}
        )
        return lease.address


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    await made.daemon.start()
    watching = asyncio.create_task(made.watcher.run())
    async with asyncio.timeout(20):
        yield made
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await made.daemon.stop()


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def looks(scene: Scene, count: int) -> None:
    """Let it look so many times more, each time because of an event."""
    for _ in range(count):
        before = scene.daemon.looks
        await scene.daemon.tell("network", "connect", "n1")
        await until(lambda before=before: scene.daemon.looks > before)


async def ready(scene: Scene) -> None:
    await until(lambda: scene.daemon.looks > 0)


async def test_what_docker_does_not_know_goes_and_what_it_knows_stays(scene: Scene) -> None:
    await ready(scene)
    gone, stays = await scene.endpoint("e1"), await scene.endpoint("e2")
    scene.daemon.joined["c2"] = {"EndpointID": "e2", "Name": "two", "IPv4Address": f"{stays}/32"}
    scene.daemon.container("c2", "running", endpoint="e2", address=stays)
    await looks(scene, 1)
    await until(lambda: list(scene.addresses.taken) == [stays] and list(scene.driver.endpoints) == ["e2"])
    await looks(scene, 3)
    assert list(scene.addresses.taken) == [stays]
    assert gone not in scene.addresses.taken
    lease = scene.leases.find(stays)
    assert lease is not None
    assert (lease.container, lease.name) == ("c2", "c2-name")


async def test_an_endpoint_that_no_container_has_joined_yet_stays(scene: Scene) -> None:
    address = await scene.endpoint("e1")
    scene.daemon.joined["ep-e1"] = {"EndpointID": "e1", "Name": "x", "IPv4Address": f"{address}/32"}
    await ready(scene)
    await looks(scene, 4)
    assert list(scene.addresses.taken) == [address]
    assert scene.leases.all()[0].container == ""


async def test_one_look_is_not_enough_for_what_is_being_started(scene: Scene) -> None:
    """A lease of Docker's without an endpoint so far, in the first look; with one in the next."""
    await ready(scene)
    lease = await scene.leases.request(None, 4, ())
    seen = await scene.watcher.compare()
    assert seen <= 0.1 + 0.05
    assert lease.address in scene.addresses.taken
    scene.daemon.joined["c1"] = {"EndpointID": "e1", "Name": "x", "IPv4Address": f"{lease.address}/32"}
    await looks(scene, 3)
    assert lease.address in scene.addresses.taken


async def test_a_reservation_stays_with_its_container_and_goes_with_it(scene: Scene) -> None:
    await ready(scene)
    leases = await scene.leases.reserve((4,), (), "box")
    await looks(scene, 3)  # its creation is under way
    assert scene.addresses.taken
    scene.daemon.container("c1", "created", asked=leases[0].address)
    await scene.leases.bind(leases, "c1")
    await looks(scene, 3)
    assert scene.addresses.taken
    scene.daemon.containers.clear()
    await scene.daemon.tell("container", "destroy", "c1")
    await until(lambda: not scene.addresses.taken)


async def test_a_reservation_whose_creation_was_cut_short(scene: Scene) -> None:
    """The agent was killed before Docker's answer: with a container it is bound, without one it goes."""
    await ready(scene)
    first = await scene.leases.reserve((4,), (), "made")
    second = await scene.leases.reserve((4,), (), "not made")
    scene.leases._creating.clear()  # as after a restart
    scene.daemon.container("c1", "created", asked=first[0].address)
    await looks(scene, 1)
    await until(lambda: list(scene.addresses.taken) == [first[0].address])
    assert scene.leases.of_container("c1")
    assert second[0].address not in scene.addresses.taken


@pytest.mark.parametrize(("state", "kept"), [("restarting", True), ("running", True), ("exited", False), (None, False)])
async def test_an_address_outlives_a_restart_but_no_end(scene: Scene, state: str | None, kept: bool) -> None:
    await ready(scene)
    await scene.leases.request("192.168.0.9", 4, ())
    await scene.leases.bind(scene.leases.all(), "c1")
    await scene.leases.release("192.168.0.9")
    if state:
        scene.daemon.container("c1", state, asked="192.168.0.9")
    await looks(scene, 1)
    if kept:
        await looks(scene, 3)
        assert scene.leases.all()[0].state is State.KEPT
    else:
        await until(lambda: not scene.addresses.taken)


async def test_auxiliary_addresses_stay(scene: Scene) -> None:
    await ready(scene)
    await scene.leases.request("192.168.0.250", 4, ())
    scene.daemon.auxiliary = {"router": "192.168.0.250"}
    await looks(scene, 4)
    assert list(scene.addresses.taken) == ["192.168.0.250"]


async def test_an_address_that_is_not_known_here_is_claimed(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """The state's directory was lost."""
    await ready(scene)
    scene.daemon.joined["c1"] = {"EndpointID": "e1", "Name": "old", "IPv4Address": "192.168.0.30/32"}
    await looks(scene, 1)
    await until(lambda: "192.168.0.30 of container old was not known here" in caplog.text)
    assert list(scene.addresses.taken) == ["192.168.0.30"]


async def test_the_datastore_is_away_and_comes_back(scene: Scene) -> None:
    await ready(scene)
    await scene.endpoint("e1")
    scene.addresses.broken = True
    await looks(scene, 4)
    assert scene.addresses.taken
    scene.addresses.broken = False
    await looks(scene, 1)
    await until(lambda: not scene.addresses.taken)


async def test_docker_ends_and_comes_back(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    await ready(scene)
    await scene.daemon.stop()
    await until(lambda: "containers are not watched" in caplog.text)
    address = await scene.endpoint("e1")
    await scene.daemon.start()
    await until(lambda: address not in scene.addresses.taken)


async def test_odd_answers_end_nothing(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    await ready(scene)
    address = await scene.endpoint("e1")
    scene.daemon.strange = [{"Id": "n1", "Name": "calico", "IPAM": "odd"}]
    await scene.daemon.tell("network", "connect", "n1")
    await until(lambda: "the watch over containers failed" in caplog.text)
    assert address in scene.addresses.taken
    scene.daemon.strange = None
    await until(lambda: address not in scene.addresses.taken)
