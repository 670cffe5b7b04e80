"""`container`: what the agent is asked, what it says no to, and which container is meant."""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from calico_route.__main__ import main
from calico_route.commands import runtimes
from calico_route.commands.answer import Refused
from calico_route.commands.runtimes import resolve
from tests.calico_route.commands.agent_socket import AgentSocket, agent_at
from tests.calico_route.commands.conftest import Said

Type = Callable[..., Said]
ID = "6f1c2a8b9d0e" * 5


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentSocket]:
    with agent_at(tmp_path / "w.sock") as one:
        yield one


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process in a network namespace of its own, by its PID."""
    if os.geteuid() != 0:
        pytest.skip("needs root: a network namespace is made")
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "echo in; exec cat"], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"in\n"
        yield process.pid
        process.stdin.close()


@pytest.fixture
def typed(
    agent: AgentSocket, stranger: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Type:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{agent.path.parent}/no-docker.sock")
    monkeypatch.setenv("PATH", "/usr/bin/nowhere")

    def run(words: str, code: int = 0) -> Said:
        found = main([*words.split(), "--workload-socket", str(agent.path)])
        out, err = capfd.readouterr()
        assert found == code, (words, found, out, err)
        assert "Traceback" not in err
        return Said(found, out, err)

    return run


def test_add(typed: Type, agent: AgentSocket, stranger: int) -> None:
    said = typed(f"container add {stranger} auto --profile db --profile PROF_A")
    assert said.out == (
        f"process {stranger} has 192.168.0.1 on eth1 (host interface cali1e2d3c4b5a6, profiles db, PROF_A)\n"
    )
    assert agent.asked == [
        {
            "id": 1,
            "request": "add",
            "container": f"pid-{stranger}",
            "netns": f"/proc/{stranger}/ns/net",
            "interface": "eth1",
            "addresses": "auto",
            "profiles": ["db", "PROF_A"],
            "create_profiles": False,
            "labels": {},
            "network": "calico",
            "orchestrator": "cni",
            "namespace": "default",
            "name": str(stranger),
        }
    ]
    explicit = typed(f"container add pid:{stranger} 192.168.0.7/32 FD80::7 --interface eth2 --json").json
    assert (explicit["addresses"], explicit["interface"]) == (["192.168.0.7", "fd80::7"], "eth2")
    shown = typed("container show").out.splitlines()
    assert shown[0].split()[:4] == ["name", "container", "interface", "addresses"]
    assert len(shown) == 3
    assert len(typed("container show --json").json) == 2
    ids = f"host1-cni-pid--{stranger}-eth1\nhost1-cni-pid--{stranger}-eth2\n"
    assert typed(f"container {stranger} endpoint-id show").out == ids
    assert typed(f"container {stranger} endpoint-id show --interface eth2 --json").json == [
        {"interface": "eth2", "endpoint": f"host1-cni-pid--{stranger}-eth2"}
    ]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("192.168.0.0/24", "a container gets single addresses"),
        ("automatic", "is no address"),
        ("auto 192.168.0.7", "is no address"),
        ("", "Missing argument"),
        ("auto --interface lo", "that is the loopback"),
        ("auto --interface a-name-that-is-too-long", "1 to 15 characters"),
        ("auto --profile a/b", "is no name for a profile"),
    ],
)
def test_bad_words_do_not_reach_the_agent(typed: Type, agent: AgentSocket, words: str, why: str) -> None:
    assert why in typed(f"container add {os.getpid()} {words}", code=2).err
    assert agent.asked == []


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("taken", "as the agent says\n"),
        ("full", "calico-route pool add"),
        ("unknown-profile", "calico-route profile show"),
        ("unavailable", "calico-route status"),
        ("invalid", "as the agent says"),
    ],
)
def test_the_agent_says_no(typed: Type, agent: AgentSocket, stranger: int, code: str, hint: str) -> None:
    agent.refuse = [(code, "as the agent says")]
    said = typed(f"container add {stranger} auto", code=1)
    assert "calico-route container add: as the agent says" in said.err
    assert hint in said.err


def test_an_agent_that_does_not_answer(typed: Type, agent: AgentSocket, stranger: int) -> None:
    agent.raw = b"?\n"
    assert "without an answer" in typed("container show", code=1).err
    agent.raw = b"[]\n"
    assert "answers []" in typed("container show", code=1).err
    agent.raw = b'{"id": 1}\n'
    assert "does not say which containers" in typed("container show", code=1).err
    assert "does not say what it has done" in typed(f"container add {stranger} auto", code=1).err
    agent.close()
    said = typed(f"container add {stranger} auto", code=1)
    assert f"nobody listens on {agent.path}" in said.err
    assert "calico-route node" in said.err


def test_a_path_that_is_too_long(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["container", "show", "--workload-socket", "/" + "x" * 120]) == 2
    assert "107 characters" in capfd.readouterr().err


def test_remove_of_one_that_is_gone(typed: Type, agent: AgentSocket, stranger: int) -> None:
    typed(f"container add {stranger} auto")
    typed(f"container add {stranger} auto --interface eth2")
    [one, _] = agent.workloads.values()
    one["container"] = ID  # as docker has it: nothing on this host knows that id any more
    agent.workloads[(ID, "eth1")] = agent.workloads.pop((f"pid-{stranger}", "eth1"))
    assert (
        "has no interface eth7 from us: it has eth1" in typed(f"container remove {ID[:8]} --interface eth7", code=1).err
    )
    said = typed(f"container remove {ID[:8]}")
    assert said.out == f"{ID[:8]} has eth1 (192.168.0.1) no more\n"
    assert list(agent.workloads) == [(f"pid-{stranger}", "eth2")]
    missing = typed(f"container remove {ID[:8]}", code=1)
    assert f"there is no container '{ID[:8]}'" in missing.err
    assert "podman is not installed" in missing.err
    assert "nothing to remove" in typed(f"container remove {ID[:8]} --force").out
    typed(f"container remove {stranger}")
    assert agent.workloads == {}


def test_a_name_that_may_be_two(typed: Type, agent: AgentSocket, stranger: int) -> None:
    for container in ("abcd1", "abcd2"):
        agent.workloads[(container, "eth1")] = {"container": container, "interface": "eth1", "addresses": []}
    assert "may be any of abcd1, abcd2" in typed("container remove abcd", code=1).err
    assert len(agent.workloads) == 2


def test_one_address_more_and_less(typed: Type, agent: AgentSocket, stranger: int) -> None:
    typed(f"container add {stranger} auto --profile db")
    said = typed(f"container {stranger} ip add 192.168.0.9", code=1)
    assert "give --recreate" in said.err
    assert "already" in typed(f"container {stranger} ip add 192.168.0.1").out
    more = typed(f"container {stranger} ip add 192.168.0.9 --recreate --json").json
    assert (more["addresses"], more["profiles"]) == (["192.168.0.1", "192.168.0.9"], ["db"])
    assert "it has 192.168.0.1, 192.168.0.9" in typed(f"container {stranger} ip remove 192.168.0.2", code=1).err
    assert typed(f"container {stranger} ip remove 192.168.0.1 --recreate --json").json["addresses"] == ["192.168.0.9"]
    assert "is the only address" in typed(f"container {stranger} ip remove 192.168.0.9", code=1).err
    agent.refuse = [("taken", "192.168.0.3 is taken"), None]
    assert "192.168.0.3 is taken" in typed(f"container {stranger} ip add 192.168.0.3 --recreate", code=1).err
    [left] = agent.workloads.values()
    assert left["addresses"] == ["192.168.0.9"]


def test_other_addresses_change_nothing_else(typed: Type, agent: AgentSocket, stranger: int) -> None:
    typed(f"container add {stranger} auto --profile db")
    [one] = agent.workloads.values()
    kept = {"network": "db", "orchestrator": "nomad", "labels": {"app": "db"}, "mac": "02:00:00:00:00:01"}
    one |= kept
    typed(f"container {stranger} ip add 192.168.0.9 --recreate")
    assert kept.items() <= agent.asked[-1].items()


def test_the_addresses_of_dockers_networks_are_dockers(typed: Type, agent: AgentSocket, stranger: int) -> None:
    """Made anew by us its interface would be none of Docker's, and its address taken: by Docker."""
    typed(f"container add {stranger} auto --profile db")
    [one] = agent.workloads.values()
    one["orchestrator"] = "libnetwork"
    assert "are Docker's" in typed(f"container {stranger} ip add 192.168.0.9 --recreate", code=1).err
    for word in ("add 192.168.0.9", "remove 192.168.0.1"):
        asked = len(agent.asked)
        typed(f"container {stranger} ip {word} --recreate", code=1)
        assert all(request["request"] == "list" for request in agent.asked[asked:])


# which container is meant -----------------------------------------------------------------------


class Docker(http.server.BaseHTTPRequestHandler):
    """GET /containers/NAME/json, as dockerd answers it."""

    containers: dict[str, dict[str, Any]] = {}  # noqa: RUF012  # filled by the test

    def do_GET(self) -> None:  # the library's name
        found = self.containers.get(self.path.removeprefix("/containers/").removesuffix("/json"))
        body = json.dumps(found or {"message": f"No such container: {self.path}"}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class UnixHttpServer(socketserver.ThreadingUnixStreamServer):
    def get_request(self) -> Any:
        connection, _ = super().get_request()
        return connection, ("client", 0)


@pytest.fixture
def docker(tmp_path: Path, stranger: int) -> Iterator[dict[str, str]]:
    """The environment of a client of a dockerd with three containers."""
    Docker.containers = {
        "web": {"Id": ID, "Name": "/web", "State": {"Running": True, "Pid": stranger, "Status": "running"}},
        "dead": {"Id": "d" * 60, "Name": "/dead", "State": {"Running": False, "Pid": 0, "Status": "exited"}},
        "host": {"Id": "e" * 60, "Name": "/host", "State": {"Running": True, "Pid": os.getpid()}},
    }
    with UnixHttpServer(str(tmp_path / "docker.sock"), Docker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock", "PATH": "/nowhere"}
        server.shutdown()
        thread.join()


def test_a_container_of_docker(docker: dict[str, str], stranger: int) -> None:
    found = resolve("web", docker)
    assert (found.id, found.netns, str(found)) == (ID, f"/proc/{stranger}/ns/net", "docker web")
    assert resolve("docker:web", docker) == found
    with pytest.raises(Refused, match=r"docker container dead is not running \(exited\): docker start dead"):
        resolve("dead", docker)
    with pytest.raises(Refused, match="has no network namespace of its own, it uses the host's"):
        resolve("host", docker)
    with pytest.raises(Refused, match="No such container"):
        resolve("docker:nobody", docker)


def podman(directory: Path, script: str) -> dict[str, str]:
    program = directory / "podman"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"DOCKER_HOST": f"unix://{directory}/none", "PATH": str(directory)}


def test_a_container_of_podman(tmp_path: Path, stranger: int, monkeypatch: pytest.MonkeyPatch) -> None:
    document = [{"Id": ID, "Name": "web", "State": {"Running": True, "Pid": stranger}}]
    environ = podman(
        tmp_path, f"[ \"$*\" = 'inspect --type container --format json -- web' ] && echo '{json.dumps(document)}'"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    assert resolve("web", environ).id == ID
    podman(tmp_path, "echo 'Error: no such container web' >&2; exit 125")
    with pytest.raises(Refused, match="podman: no such container web"):
        resolve("podman:web", environ)
    podman(tmp_path, "echo '<html>'")
    with pytest.raises(Refused, match="something else than JSON"):
        resolve("podman:web", environ)


def test_namespaces_paths_and_processes(tmp_path: Path, stranger: int, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"DOCKER_HOST": f"unix://{tmp_path}/none"}
    monkeypatch.setenv("PATH", "/nowhere")
    assert resolve(str(stranger), environ).id == f"pid-{stranger}"
    assert resolve(f"/proc/{stranger}/ns/net", environ).id == f"pid-{stranger}"
    monkeypatch.setattr(runtimes, "NAMED", tmp_path)
    (tmp_path / "blue").symlink_to(f"/proc/{stranger}/ns/net")
    named = resolve("netns:blue", environ)
    assert (named.id, named.netns) == ("blue", str(tmp_path / "blue"))
    for text, why in (
        ("/proc/self/ns/net", "uses the host's"),
        ("/nowhere/x", "there is no file /nowhere/x"),
        ("999999999", "there is no process 999999999"),
        ("netns:red", f"there is no network namespace {tmp_path}/red"),
        ("", "is no name of a container"),
        ("a\nb", "is no name of a container"),
    ):
        with pytest.raises(Refused, match=why):
            resolve(text, environ)
