"""The command line as a whole: what runs what, help, completion, exit codes, etcd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from calico_route.__main__ import main
from calico_route.commands.line import make_app
from calico_route.words import COMPLETION_VARIABLE, WORDS
from tests.calico_route.commands.conftest import Line
from tests.calico_route.etcd.server import EtcdServer, free_ports

ROOT = Path(__file__).parent.parent.parent.parent


def run(command: list[str], environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environ, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)


def imported(*words: str) -> set[str]:
    """The modules that a call has imported when it ends."""
    program = "import sys, json\nfrom calico_route.__main__ import main\n"
    program += "main(sys.argv[1:])\nprint(json.dumps(list(sys.modules)))"
    done = run([sys.executable, "-c", program, *words])
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "words", [("--peer-from-etcd", "--as", "x"), ("--version",), ("status", "--nosuch"), ("drain", "-x")]
)
def test_the_agents_way_knows_nothing_of_commands(words: tuple[str, ...]) -> None:
    modules = imported(*words)
    assert "calico_route.words" in modules
    assert not {one for one in modules if one.split(".")[0] == "typer" or one.startswith("calico_route.commands")}


def test_only_what_a_word_needs_is_imported() -> None:
    modules = imported("pool", "--help")
    assert "calico_route.commands.pool" in modules
    assert not {one for one in modules if one.split(".")[0] in ("rich", "grpc", "aioetcd3")}
    assert "calico_route.commands.diags" not in modules


def test_the_overview_names_every_word(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capfd.readouterr().out
    for word, what in WORDS.items():
        assert f"{word} " in text
        assert what in text
    assert "--peer-from-etcd" in text


@pytest.mark.parametrize("word", [word for word in WORDS if word != "node"])
def test_every_word_has_help(word: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([word, "--help"]) == 0 if word not in ("status", "drain") else True
    assert "calico-route" in capfd.readouterr().out or word in ("status", "drain")


def test_all_words_are_in_the_app() -> None:
    import typer

    assert set(typer.main.get_command(make_app()).commands) == set(WORDS)  # type: ignore[attr-defined]


def leaves(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if hasattr(command, "commands"):
        return [leaf for name, one in command.commands.items() for leaf in leaves(one, (*path, name))]
    return [path]


def test_every_command_has_json_and_an_example() -> None:
    import typer

    app = typer.main.get_command(make_app())
    for path in leaves(app):
        command: Any = app
        for word in path:
            command = command.commands[word]
        if path in (("status",), ("drain",), ("node", "stop")):
            continue  # they have a printing of their own
        assert any("--json" in one.opts for one in command.params), path
        assert "calico-route " in command.epilog, path
        assert command.help, path


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (["pol", "show"], "Did you mean 'pool'"),
        (["pool", "show", "--jsn"], "--jsn"),
        (["pool", "show", "extra"], "extra"),
        (["restart-docker-with-alternative-unix-socket"], "calico-route node --docker-proxy"),
        (["profile", "web", "member", "add", "container1"], "endpoint ID profile append NAME"),
    ],
)
def test_words_that_are_none(words: list[str], why: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert why in capfd.readouterr().err


def test_status_and_drain_are_what_they_were(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for word in ("status", "drain"):
        assert main([word, "--socket", str(tmp_path / "none.sock")]) == 1
        assert f"calico-route {word}: no agent is running here" in capfd.readouterr().err


def test_node_runs_the_agent_and_its_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[str]]] = []

    def said(what: str, code: int) -> Any:
        def run(arguments: list[str], environ: object) -> int:
            assert environ is os.environ
            seen.append((what, list(arguments)))
            return code

        return run

    node = types.ModuleType("calico_route.node")
    node.run, node.stop = said("run", 0), said("stop", 1)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "calico_route.node", node)
    assert main(["node"]) == 0
    assert main(["node", "--ip=192.168.78.21", "--as", "64511"]) == 0
    assert main(["node", "--help"]) == 0
    assert main(["node", "stop", "--force"]) == 1
    assert main(["node", "stop", "--node-name", "host2"]) == 1
    assert seen == [
        ("run", []),
        ("run", ["--ip=192.168.78.21", "--as", "64511"]),
        ("run", ["--help"]),
        ("stop", ["--force"]),
        ("stop", ["--node-name", "host2"]),
    ]


def test_node_with_another_word(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["node", "stpo"]) == 2
    assert "Did you mean 'stop'?" in capfd.readouterr().err


# etcd ---------------------------------------------------------------------------------------------


def test_etcd_is_away(line: Line) -> None:
    [port] = free_ports(1)
    said = line(f"pool show --peer-from-etcd http://127.0.0.1:{port}", code=1)
    assert f"etcd at http://127.0.0.1:{port}: connection refused; is it running" in said.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--peer-from-etcd ftp://x", "is no endpoint of etcd"),
        ("--etcd-ca-cert /nowhere", "is not a file that can be read"),
        ("--etcd-username me", "go together"),
        ("--etcd-password-file /nowhere", "No such file"),
        ("--etcd-driver grpc", "is none of"),
    ],
)
def test_settings_of_etcd_that_cannot_be(line: Line, words: str, why: str) -> None:
    assert why in line(f"pool show {words}", code=2).err


def test_a_member_that_is_away_is_passed_over(line: Line) -> None:
    [port] = free_ports(1)
    line(f"pool add 192.168.0.0/16 --etcd http://127.0.0.1:{port},{line.url}")
    assert line.read("ippools/192-168-0-0-16") is not None


@pytest.mark.parametrize("driver", ["http", "aioetcd3"])
def test_both_drivers(line: Line, driver: str) -> None:
    line(f"pool add 192.168.0.0/16 --etcd-driver {driver}")
    assert len(line(f"pool show --json --etcd-driver {driver}").json) == 1
    line(f"pool remove 192.168.0.0/16 --etcd-driver {driver}")
    assert line(f"pool show --json --etcd-driver {driver}").json == []


# what a shell asks ---------------------------------------------------------------------------------


def complete(url: str, words: str) -> list[str]:
    environ = {**os.environ, "ETCD_ENDPOINTS": url, "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    environ[COMPLETION_VARIABLE] = "complete_bash"
    done = run([sys.executable, "-m", "calico_route"], environ)
    assert done.stderr == ""
    return [one.split(",")[-1] for one in done.stdout.split("\n") if one]


def test_completion(line: Line, shared: EtcdServer) -> None:
    for name in ("web", "db", "wiki"):
        line(f"profile add {name}")
    line("pool add 192.168.0.0/16")
    url = shared.url
    assert complete(url, "calico-route pro") == ["profile"]
    assert complete(url, "calico-route bgp") == ["bgppeer", "bgp-node-mesh"]
    assert complete(url, "calico-route profile w") == ["web", "wiki"]
    assert complete(url, "calico-route profile ") == ["add", "remove", "show", "db", "web", "wiki"]
    assert complete(url, "calico-route profile web ") == ["tag", "rule"]
    assert complete(url, "calico-route profile web rule u") == ["update"]
    assert complete(url, "calico-route profile remove d") == ["db"]
    assert complete(url, "calico-route pool remove ") == ["192-168-0-0-16"]
    assert complete(url, "calico-route pool add --ip") == ["--ipip"]
    [port] = free_ports(1)
    assert complete(f"http://127.0.0.1:{port}", "calico-route profile w") == []


def test_a_reader_who_has_seen_enough(line: Line) -> None:
    for number in range(3):
        line(f"pool add 10.{number}.0.0/16")
    program = f"{sys.executable} -m calico_route pool show | head -n 1"
    done = run(["sh", "-c", program], {**os.environ, "ETCD_ENDPOINTS": line.url})
    assert done.stderr == ""
    assert done.stdout.startswith("cidr")
