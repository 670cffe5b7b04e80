"""Two `python -m pybgp run` and neighbours that see every message: what goes over the wire, and what does not."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import pytest

from pybgp import IPV4_UNICAST, Notification
from pybgp.messages import RouteRefresh
from tests.app.program import LOCAL_AS, PORT, Program, Watcher, announced, running, start, withdrawn
from tests.loopback import LIMIT, address

OTHER_AS = 64513
WATCHED = "passive = true\nhold_time = 90"


def speaker(at: str, *, local_as: int = LOCAL_AS, more: str = "") -> str:
    return f'[speaker]\nlocal_as = {local_as}\nbgp_identifier = "{at}"\nlisten = "{at}"\nport = {PORT}\n{more}\n'


def peer(of: str, *, peer_as: int = LOCAL_AS, more: str = WATCHED) -> str:
    return f'[[peer]]\naddress = "{of}"\npeer_as = {peer_as}\nport = {PORT}\nconnect_retry_time = 0.05\n{more}\n'


def route(*prefixes: str, more: str = "") -> str:
    listed = ", ".join(f'"{prefix}"' for prefix in prefixes)
    return f'[[route]]\nprefixes = [{listed}]\nnext_hop = "192.0.2.1"\n{more}\n'


def other_routes(*, reject: str) -> str:
    """A policy that lets everything pass but one prefix."""
    return f'[policy.most]\ndefault = "accept"\n[[policy.most.rule]]\nprefix = "{reject}"\nthen = "reject"\n'


async def established(program: Program, with_: str) -> None:
    await program.says(f"{with_} up")


async def test_two_of_them_exchange_their_routes(tmp_path: Path) -> None:
    """AS 64512 and AS 64513; a neighbour inside of each sees what came from the other."""
    a, b, inside_a, inside_b = (address() for _ in range(4))
    both = 'import_policy = "accept"\nexport_policy = "accept"\nlocal_address = "{}"\n'
    text_a = (
        speaker(a)
        + peer(b, peer_as=OTHER_AS, more=both.format(a))
        + peer(inside_a)
        + route("10.1.0.0/16", more='communities = ["64512:7"]')
    )
    text_b = (
        speaker(b, local_as=OTHER_AS)
        + peer(a, more=both.format(b))
        + peer(inside_b, peer_as=OTHER_AS)
        + route("10.2.0.0/16", "10.3.0.0/16", more="med = 9")
    )
    async with running(tmp_path / "a.toml", text_a) as one, running(tmp_path / "b.toml", text_b) as two:
        await established(one, b)
        at_b = await two.watch(b, inside_b, local_as=OTHER_AS)
        at_a = await one.watch(a, inside_a)
        learned = await at_b.until("10.1.0.0/16")
        (reach,) = learned.reach
        assert (reach.attributes.as_path.origin_as, reach.attributes.as_path_length) == (LOCAL_AS, 1)
        assert reach.attributes.communities == {LOCAL_AS << 16 | 7}
        learned = await at_a.until("10.2.0.0/16")
        assert sorted(announced(learned)) == ["10.2.0.0/16", "10.3.0.0/16"], "one UPDATE for the same attributes"
        assert learned.reach[0].attributes.med == 9
        assert await two.end() == 0
        gone = await at_a.update()
        assert sorted(withdrawn(gone)) == ["10.2.0.0/16", "10.3.0.0/16"]
        assert isinstance(await at_b.message(), Notification)
        assert await one.end(signal.SIGINT) == 0


async def test_a_reload_touches_only_what_changed(tmp_path: Path) -> None:
    """Two neighbours that get no KEEPALIVE: whatever comes to them was caused by a change."""
    at, first, second = address(), address(), address()
    policy = 'export_policy = "most"\n'
    base = speaker(at) + peer(first) + peer(second, more=WATCHED + "\n" + policy)
    keep, small, big = route("10.1.0.0/16"), route("10.2.0.0/16"), route("10.3.0.0/16", "10.4.0.0/16")
    nothing = other_routes(reject="10.9.0.0/16")
    async with running(tmp_path / "speaker.toml", base + keep + small + nothing) as program:
        one, two = await program.watch(at, first), await program.watch(at, second)
        assert set(await one.table()) == set(await two.table()) == {"10.1.0.0/16", "10.2.0.0/16"}

        program.reload()
        await program.says("nothing changed")
        program.reload("# only words\n" + base.replace(" = ", "=") + small + nothing + keep)
        await program.says("nothing changed")

        program.reload(base + keep + small + big + nothing)  # added: and nothing came in between
        for watcher in (one, two):
            update = await watcher.update()
            assert (sorted(announced(update)), withdrawn(update)) == (["10.3.0.0/16", "10.4.0.0/16"], [])

        program.reload(base + keep + small.replace('"192.0.2.1"', '"192.0.2.2"') + big + nothing)  # changed
        for watcher in (one, two):
            update = await watcher.update()
            assert (announced(update), withdrawn(update)) == (["10.2.0.0/16"], [])
            assert update.reach[0].attributes.next_hop_text == "192.0.2.2"

        program.reload(base + keep + big + nothing)  # gone
        for watcher in (one, two):
            update = await watcher.update()
            assert (announced(update), withdrawn(update)) == ([], ["10.2.0.0/16"])

        program.reload(base + keep + big + other_routes(reject="10.4.0.0/16"))  # a policy: for the one who has it
        await program.says("other policies")
        assert withdrawn(await two.update()) == ["10.4.0.0/16"]
        program.reload(base + keep + big + nothing)
        await program.says("other policies")
        assert announced(await two.update()) == ["10.4.0.0/16"]

        described = base.replace("hold_time = 90", 'hold_time = 60\ndescription = "x"', 1)
        program.reload(described + keep + big + nothing)
        await program.says("description, hold_time")
        await nothing_came(one, two)


async def nothing_came(*watchers: Watcher) -> None:
    """Whoever asks for all routes again gets the beginning of the answer (RFC 7313) as the very next message."""
    for watcher in watchers:
        watcher.send(RouteRefresh(IPV4_UNICAST, 0))
        answer = await watcher.message()
        assert isinstance(answer, RouteRefresh), answer
        assert answer.subtype == 1


async def test_peers_that_come_and_go_touch_no_other(tmp_path: Path) -> None:
    at, first, second, third = (address() for _ in range(4))
    head, routes = speaker(at), route("10.1.0.0/16")
    async with running(tmp_path / "speaker.toml", head + peer(first) + peer(second) + routes) as program:
        one, two = await program.watch(at, first), await program.watch(at, second)
        await one.table()
        await two.table()

        program.reload(head + peer(first) + peer(third) + routes)
        said = await two.message()
        assert isinstance(said, Notification)
        assert (said.code, said.subcode) == (6, 3), "Peer De-configured"
        assert await two.message() is None
        await program.says(f"{third} added")
        three = await program.watch(at, third)
        assert set(await three.table()) == {"10.1.0.0/16"}

        program.reload(head + peer(first) + peer(third, more=WATCHED + "\nroute_refresh = false") + routes)
        said = await three.message()
        assert isinstance(said, Notification)
        assert (said.code, said.subcode) == (6, 6), "Other Configuration Change"
        three = await program.watch(at, third)
        assert set(await three.table()) == {"10.1.0.0/16"}

        program.reload(head + peer(first) + peer(third) + route("10.1.0.0/16", "10.2.0.0/16"))
        assert announced(await one.update()) == ["10.2.0.0/16"], "the first word to the peer that did not change"


async def test_a_broken_file_changes_nothing_and_says_why(tmp_path: Path) -> None:
    at, first = address(), address()
    base = speaker(at) + peer(first) + route("10.1.0.0/16")
    async with running(tmp_path / "speaker.toml", base) as program:
        one = await program.watch(at, first)
        await one.table()
        program.reload(speaker(at) + route("10.1.0.0/33") + "[[peer]]\nadress = 1\n")
        await program.says("line 8: route[0].prefixes: ")
        await program.says("peer[0].address: is missing")
        await program.says("peer[0].adress: no such key; did you mean address?")
        await program.says("nothing was changed")
        program.reload("[[[")
        await program.says("line 1: ")
        await program.says("nothing was changed")
        program.file.unlink()
        program.reload()
        await program.says("No such file")
        await program.says("nothing was changed")
        program.reload(base + route("10.2.0.0/16"))
        assert announced(await one.update()) == ["10.2.0.0/16"], "and it can be mended"


async def test_what_needs_a_new_start_is_said_and_the_rest_done(tmp_path: Path) -> None:
    at, first = address(), address()
    base = peer(first) + route("10.1.0.0/16")
    async with running(tmp_path / "speaker.toml", speaker(at) + base) as program:
        one = await program.watch(at, first)
        await one.table()
        program.reload(speaker(at, more="multipath = 4").replace(str(PORT), "1791") + base + route("10.2.0.0/16"))
        await program.says("port, multipath of [speaker] changed")
        assert announced(await one.update()) == ["10.2.0.0/16"]
        program.reload()
        await program.says("that needs a new start")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_end_is_a_cease(tmp_path: Path, number: signal.Signals) -> None:
    at, first, dead = address(), address(), address()
    async with running(tmp_path / "speaker.toml", speaker(at) + peer(first) + peer(dead, more="")) as program:
        one = await program.watch(at, first)
        await one.table()
        assert await program.end(number) == 0
        said = await one.message()
        assert isinstance(said, Notification)
        assert (said.code, said.subcode) == (6, 2), "Administrative Shutdown"
        assert await one.message() is None


async def test_an_end_while_it_starts(tmp_path: Path) -> None:
    """Whenever the signal comes after the first line of the log, the end is in good order."""
    at = address()
    async with running(tmp_path / "speaker.toml", speaker(at)) as program:
        program.reload()
        assert await program.end() == 0


async def test_a_port_in_use(tmp_path: Path) -> None:
    at = address()
    file = tmp_path / "speaker.toml"
    file.write_text(speaker(at))
    with socket.create_server((at, PORT)):
        program = await start(file)
        assert await program.ended() == 1
    (line,) = program.log
    assert at in line
    assert str(PORT) in line
    assert "in use" in line


async def test_a_free_port_is_taken_and_told(tmp_path: Path) -> None:
    at, first = address(), address()
    text = speaker(at).replace(str(PORT), "0") + peer(first) + route("10.1.0.0/16")
    async with running(tmp_path / "speaker.toml", text) as program:
        port = int(program.log[-1].rpartition(" ")[2])
        one = await program.watch(at, first, port=port)
        assert set(await one.table()) == {"10.1.0.0/16"}


async def test_ebgp_without_policy_is_silent_and_the_log_is_loud(tmp_path: Path) -> None:
    at, first = address(), address()
    text = speaker(at) + peer(first, peer_as=OTHER_AS) + route("10.1.0.0/16")
    async with running(tmp_path / "speaker.toml", text) as program:
        await program.says("RFC 8212")
        one = await program.watch(at, first, local_as=OTHER_AS, internal=False)
        assert await one.table() == {}
        program.reload(text.replace(WATCHED, WATCHED + '\nexport_policy = "accept"'))
        assert announced(await one.update()) == ["10.1.0.0/16"]


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (speaker("127.0.0.1") + peer("192.0.2.1") + route("10.1.0.0/16", "10.2.0.0/16"), 0, "1 peer, 2 routes, no err"),
        (speaker("127.0.0.1", more="multipath = 0\nportt = 1"), 1, "line 7: speaker.portt: no such key; did you mean"),
        (None, 1, "cannot be read: No such file or directory"),
    ],
)
async def test_check(tmp_path: Path, text: str | None, status: int, words: str) -> None:
    file = tmp_path / "speaker.toml"
    if text is not None:
        file.write_text(text)
    program = await start(file, "--check")
    assert await program.ended() == status
    said = program.log if status else program.output
    assert words in said[-1]
    assert not (program.output if status else program.log)
    assert all(line.startswith(str(file)) for line in said)


async def test_a_password_never_shows(tmp_path: Path) -> None:
    at, first = address(), address()
    text = speaker(at) + peer(first, more='password = "hunter2-{}"')
    async with running(tmp_path / "speaker.toml", text.format(1)) as program:
        program.reload(text.format(2))
        await program.says("password")
        program.reload(text.format("3" * 81))
        await program.says("password: must be 1 to 80 octets")
        await program.says("nothing was changed")
        program.reload(text.replace('"hunter2-{}"', "7242424"))
        await program.says("nothing was changed")
        await program.end()
        assert not [line for line in program.log if "hunter2" in line or "7242424" in line]


async def test_many_signals_at_once(tmp_path: Path) -> None:
    at, first = address(), address()
    base = speaker(at) + peer(first)
    async with running(tmp_path / "speaker.toml", base) as program:
        one = await program.watch(at, first)
        await one.table()
        for number in range(20):
            program.reload(base + "".join(route(f"10.{n}.0.0/16") for n in range(number)))
            await asyncio.sleep(0)
        seen: set[str] = set()
        async with asyncio.timeout(LIMIT):
            while len(seen) < 19:
                seen |= set(announced(await one.update()))
        assert seen == {f"10.{n}.0.0/16" for n in range(19)}
