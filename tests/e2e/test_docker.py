"""Docker's own daemon and command line, with our drivers, and through our proxy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from calico_route.docker import DockerSide
from calico_route.docker.http import Wire, answer, request_framing
from calico_route.docker.listening import Listening
from demo.lab import Lab
from tests.calico_route.docker.doubles import MemoryAddresses
from tests.e2e.dockerd import IMAGE, Dockerd, IpWorkloads, skip_without_docker

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

CREATED = r"[0-9a-f]{64}"


class Site:
    """One host with a Docker daemon, and our side of it, which may be stopped and started again."""

    def __init__(self, lab: Lab) -> None:
        host = lab.host("host1", "192.168.78.21/24")
        folder = lab.directory / "docker"
        folder.mkdir()
        self.docker = Dockerd(host, folder)
        self.addresses, self.workloads = MemoryAddresses(), IpWorkloads(host)
        self._state = folder / "state"
        self.side: DockerSide | None = None

    async def start(self) -> None:
        self.side = DockerSide(
            self.workloads,
            self.addresses,
            plugin_directory=self.docker.plugins,
            proxy=("127.0.0.1", 0),
            docker_socket=self.docker.socket,
            state_dir=self._state,
            node="host1",
        )
        await self.side.start()

    @property
    def port(self) -> int:
        assert self.side is not None
        assert self.side.proxy is not None
        return self.side.proxy.port

    async def stop(self) -> None:
        if self.side is not None:
            await self.side.close()
            self.side = None

    async def __call__(self, *words: str, check: bool = True, stdin: str | None = None) -> str:
        """The command line through the proxy."""
        return await self.docker(*words, port=self.port, check=check, stdin=stdin)


async def until(what: str, condition: Callable[[], object]) -> None:
    """Wait for something that the event loop itself has a part in."""
    try:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"not seen: {what}")


@pytest.fixture
async def site(lab: Lab) -> AsyncIterator[Site]:
    skip_without_docker()
    made = Site(lab)
    await asyncio.to_thread(made.docker.start)
    try:
        await asyncio.to_thread(made.docker.image)
        await made.start()
        yield made
    finally:
        if made.side is None:  # Docker asks for every container's end
            await made.start()
        await asyncio.to_thread(made.docker.stop)
        await made.stop()


async def test_the_articles_command(site: Site) -> None:
    """CALICO_IP and CALICO_PROFILE through the port: addresses in order, the profile, a ping, and all of it gone."""
    await site("run", "-d", "--name", "container1", "-e", "CALICO_IP=auto", "-e", "CALICO_PROFILE=db", IMAGE,
               "sleep", "1000")  # fmt: skip
    await site("run", "-d", "--name", "container2", "-e", "CALICO_IP=192.168.0.77", IMAGE, "sleep", "1000")
    by_name = {made.request.name: made.request for made in site.workloads.made.values()}
    assert by_name["container1"].addresses == ("192.168.0.1",)
    assert by_name["container1"].profiles == ("db",)
    assert by_name["container2"].addresses == ("192.168.0.77",)
    identity = (await site("inspect", "-f", "{{.Id}}", "container1")).strip()
    assert by_name["container1"].container == identity
    pinged = await site("exec", "container1", "ping", "-c", "2", "-W", "2", "192.168.0.77")
    assert "2 packets received" in pinged
    routes = await site("exec", "container1", "ip", "route")
    assert "default via 169.254.1.1 dev eth0" in routes
    seen = await site("inspect", "-f", "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}}", "container1")
    assert seen.split() == ["192.168.0.1", site.workloads.made[identity].mac]

    await site("rm", "-f", "container1", "container2")
    await until("both addresses given back", lambda: site.addresses.taken == {})
    assert site.workloads.made == {}
    assert site.workloads.interfaces() == []


async def test_what_cannot_be_had_is_said_before_the_container_is_made(site: Site) -> None:
    await site("run", "-d", "--name", "first", "-e", "CALICO_IP=192.168.0.5", IMAGE, "sleep", "1000")
    for wanted, words in (
        ("192.168.0.5", "192.168.0.5 is taken by container first on this node"),
        ("10.9.9.9", "10.9.9.9 is outside of all pools"),
        ("192.168.0", "'192.168.0' is no IP address; write auto"),
        ("", "'' is no IP address"),
    ):
        said = await site("run", "-d", "--name", "second", "-e", f"CALICO_IP={wanted}", IMAGE, "true", check=False)
        assert words in said
    assert (await site("ps", "-a", "--format", "{{.Names}}")).split() == ["first"]
    assert list(site.addresses.taken) == ["192.168.0.5"]
    said = await site("run", "-e", "CALICO_IP=auto", "no/such:image", "true", check=False)
    assert "no/such" in said
    await until("its address given back", lambda: list(site.addresses.taken) == ["192.168.0.5"])


async def test_a_restarted_container_keeps_its_address_even_if_another_one_comes(site: Site) -> None:
    await site("run", "-d", "--name", "one", "-e", "CALICO_IP=auto", IMAGE, "sleep", "1000")
    await site("stop", "-t", "0", "one")
    assert site.workloads.interfaces() == []
    await site("run", "-d", "--name", "two", "-e", "CALICO_IP=auto", IMAGE, "sleep", "1000")
    await site("start", "one")
    await site("restart", "-t", "0", "one")
    seen = await site("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "one", "two")
    assert seen.split() == ["192.168.0.1", "192.168.0.2"]


async def test_ipv6(site: Site) -> None:
    await site("run", "-d", "--name", "six", "-e", "CALICO_IP=auto46", IMAGE, "sleep", "1000")
    await site("run", "-d", "--name", "more", "-e", "CALICO_IP=fd80::17", IMAGE, "sleep", "1000")
    assert sorted(site.addresses.taken) == ["192.168.0.1", "192.168.0.2", "fd80::1", "fd80::17"]
    routes = await site("exec", "more", "ip", "-6", "route")
    assert "default via fe80::ecee:eeff:feee:eeee dev eth0" in routes
    seen = json.loads(await site("inspect", "-f", "{{json .NetworkSettings}}", "more"))
    assert (seen["GlobalIPv6Address"], seen["GlobalIPv6PrefixLen"]) == ("fd80::17", 128)


async def test_without_the_proxy(site: Site) -> None:
    """`docker network create`, then `docker run --network`: the drivers alone, by Docker's own socket."""
    docker = site.docker
    await docker("network", "create", "-d", "calico-route", "--ipam-driver", "calico-route",
                 "-o", "calico_route.profiles=web", "--subnet", "192.168.0.0/16", "calico")  # fmt: skip
    await docker("run", "-d", "--name", "plain", "--network", "calico", IMAGE, "sleep", "1000")
    await docker("run", "-d", "--name", "fixed", "--network",
                 "name=calico,driver-opt=calico_route.profiles=db,ip=192.168.3.3", IMAGE, "sleep", "1000")  # fmt: skip
    requests = [made.request for made in site.workloads.made.values()]
    assert {(one.addresses, tuple(one.profiles)) for one in requests} == {
        (("192.168.0.1",), ("web",)),
        (("192.168.3.3",), ("db",)),
    }
    assert "2 packets received" in await docker("exec", "plain", "ping", "-c", "2", "-W", "2", "192.168.3.3")
    taken = await docker("run", "--rm", "--network", "calico", "--ip", "192.168.3.3", IMAGE, "true", check=False)
    assert "calico-route: 192.168.3.3 is taken by container" in taken
    assert "leave --gateway 192.168.0.254 out" in await docker(
        "network", "create", "-d", "calico-route", "--ipam-driver", "calico-route", "--subnet", "192.168.0.0/16",
        "--gateway", "192.168.0.254", "other", check=False,
    )  # fmt: skip
    assert "add --ipam-driver calico-route" in await docker(
        "network", "create", "-d", "calico-route", "--subnet", "10.1.0.0/16", "other", check=False
    )
    await docker("rm", "-f", "plain", "fixed")
    await until("both addresses given back", lambda: site.addresses.taken == {})
    assert site.workloads.made == {}
    await docker("network", "rm", "calico")


async def test_the_command_line_through_the_port(site: Site, tmp_path: Path) -> None:
    """What passes untouched: standard input and output, raw streams, archives, builds, long answers."""
    assert (
        await site("run", "--rm", "-i", IMAGE, "sh", "-c", "wc -c; echo done", stdin="x" * 300_000) == "300000\ndone\n"
    )
    await site("run", "-d", "--name", "box", IMAGE, "sh", "-c", "mkfifo /tmp/go; echo begun; cat /tmp/go")
    assert "begun" in await site("logs", "box")
    assert await site("exec", "-i", "box", "sh", "-c", "cat > /tmp/in; wc -c < /tmp/in", stdin="abc") == "3\n"
    large = tmp_path / "large"
    large.write_bytes(os.urandom(3_000_000))
    await site("cp", str(large), "box:/tmp/large")
    await site("cp", "box:/tmp/large", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == large.read_bytes()
    assert "busybox" in await site("ps", "-a")

    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY large /large\nRUN wc -c /large\n")
    built = await asyncio.to_thread(
        subprocess.run, ["docker", "build", "--network", "none", "-t", "built", str(tmp_path)],
        env={**site.docker.environment(site.port), "DOCKER_BUILDKIT": "0"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    assert "3000000 /large" in built.stdout

    saved = tmp_path / "saved.tar"
    await site("save", "-o", str(saved), IMAGE)
    assert saved.stat().st_size > 1_000_000
    assert "Loaded image" in await site("load", "-i", str(saved))


async def test_streams_that_last(site: Site) -> None:
    """`events` and `logs -f` tell as it happens, and end with Docker as soon as their client is gone; `wait` waits."""
    environment = site.docker.environment(site.port)

    async def begin(*words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            "docker", *words, env=environment, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
        )

    async def line(process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            return (await process.stdout.readline()).decode()

    await site("create", "-i", "--name", "talks", IMAGE, "sh", "-c", "echo one; cat; exit 3")
    events = await begin("events", "--filter", "container=talks", "--format", "{{.Action}}")
    attached = await asyncio.create_subprocess_exec(
        "docker", "start", "-ai", "talks", env=environment,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert await line(attached) == "one\n"
    logs, waiting = await begin("logs", "-f", "talks"), await begin("wait", "talks")
    assert await line(logs) == "one\n"
    assert attached.stdin is not None
    attached.stdin.write(b"two\n")
    await attached.stdin.drain()
    assert await line(attached) == "two\n"
    assert await line(logs) == "two\n"
    attached.stdin.close()  # half of the connection ends, and with it the container
    assert await line(attached) == ""
    assert await attached.wait() == 3
    assert await line(logs) == ""
    assert await line(waiting) == "3\n"
    seen = [await line(events)]
    while seen[-1] != "die\n":
        seen.append(await line(events))
    assert "start\n" in seen
    for process in (events, logs, waiting):
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_a_terminal(site: Site) -> None:
    """`run -it` on a terminal, as a person has it."""
    outer, inner = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        "docker", "run", "--rm", "-it", "-e", "CALICO_IP=auto", IMAGE, "sh",
        env=site.docker.environment(site.port), stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
    )  # fmt: skip
    os.close(inner)
    os.write(outer, b"ip -o -4 address show dev eth0; echo end-$((40+2)); exit\n")
    shown = b""

    def read() -> bytes:
        try:
            return os.read(outer, 4096)
        except OSError:  # the other side of the terminal is closed
            return b""

    async with asyncio.timeout(40):
        while b"end-42" not in shown and (piece := await asyncio.to_thread(read)):
            shown += piece
        assert await process.wait() == 0, shown
    os.close(outer)
    assert b"192.168.0.1/32" in shown
    await until("its address given back", lambda: site.addresses.taken == {})


async def refuse_all(wire: Wire) -> None:
    """What Docker finds in place of its drivers."""
    while (head := await wire.head()) is not None:
        await wire.whole(request_framing(head), 1 << 20)
        if head.path == "/Plugin.Activate":
            await wire.send(answer(200, {"Implements": ["NetworkDriver", "IpamDriver"]}))
        else:
            await wire.send(answer(200, {"Err": "not now", "Error": "not now"}))


async def test_containers_that_end_while_nobody_watches(site: Site) -> None:
    """The drivers fail while one container is removed by force and another one's process dies: what they had is given
    back afterwards. A third one is as it was."""
    for name in ("removed", "dead", "stays"):
        await site("run", "-d", "--name", name, "-e", "CALICO_IP=auto", IMAGE, "sleep", "1000")
    await site.stop()
    failing = Listening(refuse_all)  # with nobody there at all Docker tries for minutes
    await failing.unix(site.docker.plugins / "calico-route.sock")
    await site.docker("kill", "dead")
    await site.docker("rm", "-f", "removed")
    await failing.close()
    assert len(site.workloads.interfaces()) == 3
    await site.start()
    await until("two are gone", lambda: list(site.addresses.taken) == ["192.168.0.3"])
    assert [made.request.name for made in site.workloads.made.values()] == ["stays"]
    assert len(site.workloads.interfaces()) == 1
    assert "192.168.0.3" in await site("exec", "stays", "ip", "address")


async def test_the_agent_restarts_between_two_calls_of_docker(site: Site) -> None:
    """Whatever was told to one process, the next one knows: a container that ran before ends cleanly after."""
    await site("run", "-d", "--name", "one", "-e", "CALICO_IP=auto", IMAGE, "sleep", "1000")
    await site("create", "--name", "two", "-e", "CALICO_IP=auto", IMAGE, "sleep", "1000")
    await site.stop()
    await site.start()
    await site("start", "two")
    assert "192.168.0.2/32" in await site("exec", "two", "ip", "address")
    await site("rm", "-f", "one", "two")
    await until("both addresses given back", lambda: site.addresses.taken == {})
    assert site.workloads.made == {}


async def test_the_daemon_restarts(site: Site) -> None:
    await site("run", "-d", "--name", "one", "--restart", "always", "--stop-timeout", "1", "-e", "CALICO_IP=auto",
               IMAGE, "sleep", "1000")  # fmt: skip
    process = site.docker.process
    assert process is not None
    await asyncio.to_thread(process.kill, 15, 40.0)
    assert "no Docker daemon answers on" in await site("ps", check=False)
    await asyncio.to_thread(site.docker.start)
    await until("it runs again", lambda: len(site.workloads.made) == 1)
    assert (await site("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "one")).split() == ["192.168.0.1"]


async def test_many_at_once(site: Site) -> None:
    names = [f"many{number}" for number in range(8)]
    await asyncio.gather(
        *(site("run", "-d", "--name", name, "-e", "CALICO_IP=auto", IMAGE, "sleep", "1000") for name in names)
    )
    assert sorted(site.addresses.taken) == [f"192.168.0.{number}" for number in range(1, 9)]
    await site("rm", "-f", *names)
    await until("all given back", lambda: site.addresses.taken == {})


async def test_a_container_that_was_created_past_the_proxy(site: Site) -> None:
    """Its start through the port finds CALICO_IP, and connects it; one that cannot be connected is refused."""
    await site.docker("create", "--name", "direct", "-e", "CALICO_IP=auto", "--network", "none", IMAGE, "sleep", "99")
    said = await site("start", "direct", check=False)
    assert "direct has CALICO_IP, was not created through this port" in said
    await until("the address is given back", lambda: site.addresses.taken == {})
    await site.docker("network", "create", "-d", "calico-route", "--ipam-driver", "calico-route",
                      "--subnet", "0.0.0.0/0", "own")  # fmt: skip
    await site.docker("create", "--name", "other", "-e", "CALICO_IP=auto", "--network", "own", IMAGE, "sleep", "99")
    await site("start", "other")
    await site("run", "-d", "--name", "third", "-e", "CALICO_IP=auto", "--network", "own", IMAGE, "sleep", "99")
    seen = await site("inspect", "-f", "{{.NetworkSettings.Networks.own.IPAddress}}", "other", "third")
    assert seen.split() == ["192.168.0.1", "192.168.0.2"]


async def test_a_network_that_takes_no_addresses(site: Site) -> None:
    """Made without a subnet, as the drivers alone need none: CALICO_IP has one beside it."""
    await site.docker("network", "create", "-d", "calico-route", "--ipam-driver", "calico-route", "calico")
    await site("run", "-d", "--name", "one", "--network", "calico", IMAGE, "sleep", "99")
    await site("run", "-d", "--name", "two", "-e", "CALICO_IP=192.168.0.7", IMAGE, "sleep", "99")
    seen = await site("inspect", "-f", "{{.HostConfig.NetworkMode}} {{.NetworkSettings.IPAddress}}", "one", "two")
    assert seen.split() == ["calico", "192.168.0.1", "calico-ip", "192.168.0.7"]
    assert "2 packets received" in await site("exec", "two", "ping", "-c", "2", "-W", "2", "192.168.0.1")


async def test_the_names_of_the_network_are_others(site: Site) -> None:
    for name in ("calico", "calico-ip"):
        await site.docker("network", "create", "-d", "calico-route", "--ipam-driver", "calico-route", name)
    said = await site("run", "-e", "CALICO_IP=auto", IMAGE, "true", check=False)
    assert "Docker's networks calico and calico-ip are of another driver, or were made without --subnet" in said
    assert site.addresses.taken == {}
