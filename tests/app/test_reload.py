"""`python -m pybgp run`: real speakers from files on loopback, changed while they run."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pybgp import IPV4_UNICAST, Prefix, Speaker, State
from pybgp.app import run
from pybgp.app.cli import main
from pybgp.app.reloading import apply, reload
from pybgp.app.speaker_file import EVERYWHERE, SpeakerFile, difference, parse
from tests.loopback import LIMIT, address, until

PORT = 1790


def text(at: str, other: str, *more: str) -> str:
    return "".join(
        f"{line}\n"
        for line in [
            "[speaker]",
            "local_as = 64512",
            'bgp_identifier = "192.0.2.1"',
            f'listen = ["{at}"]',
            f"port = {PORT}",
            "[[peer]]",
            f'address = "{other}"',
            "peer_as = 64512",
            f'local_address = "{at}"',
            f"port = {PORT}",
            "connect_retry_time = 0.05",
            *more,
        ]
    )


ROUTE = '[[route]]\nprefix = "10.1.0.0/16"\n'
MORE = '[[route]]\nprefixes = ["10.2.0.0/16", "10.3.0.0/16"]\nmed = 5\n'


@asynccontextmanager
async def neighbour(at: str, other: str) -> AsyncIterator[Speaker]:
    """The other speaker, made without a file."""
    async with Speaker(local_as=64512, bgp_identifier="192.0.2.2", listen=at, port=PORT) as speaker:
        speaker.add_peer(other, peer_as=64512, local_address=at, port=PORT, connect_retry_time=0.05)
        yield speaker


@asynccontextmanager
async def process(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`pybgp run` on a file, ended in any case."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pybgp", "run", str(path), "--socket", "none"), stderr=asyncio.subprocess.PIPE
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def said(running: asyncio.subprocess.Process, words: str) -> list[str]:
    """What it logs up to a line with these words."""
    assert running.stderr is not None
    lines: list[str] = []
    async with asyncio.timeout(LIMIT):
        while not (lines and words in lines[-1]):
            line = await running.stderr.readline()
            assert line, f"it ended, and before that said: {lines}"
            lines.append(line.decode())
    return lines


def learned(speaker: Speaker) -> set[str]:
    prefixes = ("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16")
    return {prefix for prefix in prefixes if speaker.explain(Prefix(prefix))}


async def test_a_file_becomes_a_session_and_routes_and_changes_without_ending_it(tmp_path: Path) -> None:
    a, b = address(), address()
    path = tmp_path / "speaker.toml"
    path.write_text(text(a, b, ROUTE, MORE))
    async with neighbour(b, a) as speaker, process(path) as running:
        await speaker.established(timeout=LIMIT)
        await until(lambda: learned(speaker) == {"10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"})
        await until(lambda: IPV4_UNICAST in speaker.peers()[a].end_of_rib)  # the last of the initial messages
        session, messages = speaker.peers()[a], speaker.peers()[a].messages_received

        path.write_text("# another comment\n" + path.read_text())
        running.send_signal(signal.SIGHUP)
        await said(running, "nothing changed")
        assert speaker.peers()[a].messages_received == messages, "the same file again says nothing on the wire"

        path.write_text(text(a, b, 'description = "new"', ROUTE.replace("10.1", "10.4"), MORE))
        running.send_signal(signal.SIGHUP)
        await until(lambda: learned(speaker) == {"10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16"})
        assert speaker.peers()[a].messages_received == messages + 2, "one withdrawn, one announced, and no more"

        path.write_text("[speaker\n")
        running.send_signal(signal.SIGHUP)
        await said(running, "nothing was changed")
        assert speaker.peers()[a].since == session.since, "all of this in one session"

        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT):
            assert await running.wait() == 0
        await until(lambda: speaker.peers()[a].state is not State.ESTABLISHED)
        assert "Administrative Shutdown" in speaker.peers()[a].last_error


async def test_a_range_of_dynamic_peers_opens_and_closes() -> None:
    a, b = address(), address()
    one = parse(text(a, address()))
    two = parse(text(a, next(iter(one.peers))) + f'[[listen_for]]\nprefix = "{b}/32"\npeer_as = [64512]\n')
    nothing = SpeakerFile(one.fixed, {}, {}, {})
    async with neighbour(b, a) as at_b, Speaker(**one.fixed) as speaker:
        assert apply(speaker, difference(nothing, one), one) == {}
        assert apply(speaker, difference(one, two), two) == {}
        await at_b.established(timeout=LIMIT)
        assert speaker.peers()[b].dynamic == f"{b}/32"
        assert apply(speaker, difference(two, one), one) == {}
        await until(lambda: b not in speaker.peers())
        await until(lambda: at_b.peers()[a].state is not State.ESTABLISHED)


async def test_peers_come_change_and_go_without_touching_others(tmp_path: Path) -> None:
    a, b, c = address(), address(), address()
    one = parse(text(a, b, ROUTE))
    two = parse(text(a, b, ROUTE) + text(a, c, "graceful_restart = true").partition(f"port = {PORT}\n")[2])
    three = parse(text(a, c, "graceful_restart = false"))
    nothing = SpeakerFile(one.fixed, {}, {}, {})
    async with neighbour(b, a) as at_b, neighbour(c, a) as at_c, Speaker(**one.fixed) as speaker:
        assert apply(speaker, difference(nothing, one), one) == {}
        await at_b.established(timeout=LIMIT)
        since = at_b.peers()[a].since
        assert apply(speaker, difference(one, two), two) == {}
        await at_c.established(timeout=LIMIT)
        await until(lambda: learned(at_c) == {"10.1.0.0/16"})
        assert at_b.peers()[a].since == since
        before = at_c.peers()[a].since
        assert apply(speaker, difference(two, three), three) == {}
        await until(lambda: at_c.peers()[a].since != before and at_c.peers()[a].state is State.ESTABLISHED)
        await until(lambda: "Peer Deconfigured" in at_b.peers()[a].last_error)
        assert set(speaker.peers()) == {c}
        await until(lambda: learned(at_c) == set())


async def test_a_refused_peer_is_told_and_hinders_no_other() -> None:
    """The speaker has a peer that the file knows nothing of."""
    a, b, c = address(), address(), address()
    file = parse(text(a, b) + text(a, c).partition(f"port = {PORT}\n")[2])
    async with Speaker(**file.fixed) as speaker:
        speaker.add_peer(b, peer_as=64512, passive=True)
        refused = apply(speaker, difference(SpeakerFile(file.fixed, {}, {}, {}), file), file)
        assert list(refused) == [b]
        assert "is a peer already" in str(refused[b])
        assert set(speaker.peers()) == {b, c}


async def test_a_refused_peer_is_tried_again_by_the_next_reload(tmp_path: Path) -> None:
    a, b = address(), address()
    path = tmp_path / "speaker.toml"
    path.write_text(text(a, b))
    empty = parse(text(a, b).partition("[[peer]]")[0])
    async with Speaker(**empty.fixed) as speaker:
        speaker.add_peer(b, peer_as=64512, passive=True)
        after = reload(speaker, path, empty)
        assert after.peers == {}
        speaker.remove_peer(b)
        after = reload(speaker, path, after)
        assert set(after.peers) == set(speaker.peers()) == {b}
        speaker.remove_peer(b)
        path.write_text(text(a, b, "hold_time = 30"))
        assert reload(speaker, path, after).peers == after.peers, "a change that was refused is still to be made"


def test_check_says_all_and_nothing_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "speaker.toml"
    path.write_text(text("127.0.0.1", "127.0.0.2", "hold_time = 2", "holdtime = 3"))
    assert main(["run", "--check", str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{path}: line 1") for line in lines)
    assert main(["run", str(path)]) == 1, "without --check such a file does not run either"
    path.write_text(text("127.0.0.1", "127.0.0.2", ROUTE))
    assert main(["run", "--check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: 1 peer, 1 route, no errors\n"
    assert main(["run", str(tmp_path / "none")]) == 1
    assert "cannot be read: No such file" in capsys.readouterr().err


def test_an_address_that_is_not_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "speaker.toml"
    path.write_text(text("192.0.2.123", "127.0.0.2"))
    assert main(["run", str(path)]) == 1
    assert "192.0.2.123" in capsys.readouterr().err


def no_ipv6(*_arguments: object) -> socket.socket:
    raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")


@pytest.mark.parametrize(
    ("addresses", "left"),
    [(EVERYWHERE, ("0.0.0.0",)), (("::", "0.0.0.0"), ("::", "0.0.0.0")), (("::",), ("::",)), ((), ())],
)
def test_only_ipv6_that_was_asked_for_is_missed(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...], left: tuple[str, ...]
) -> None:
    assert run._listen(addresses) == addresses
    monkeypatch.setattr(socket, "socket", no_ipv6)
    assert run._listen(addresses) == left
