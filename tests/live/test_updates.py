"""The table of RFC 7606 against a running speaker, seen by a peer that watches."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from pybgp.errors import MalformedASPath, MalformedAttributeList, ProtocolError
from tests.live.raw import Lab, Raw, four_octets, lab, message, opening, parameter
from tests.live.watching import Watcher
from tests.rfc7606_table import CASES, DISCARD, EBGP, IBGP, NLRI, RESET, WITHDRAW, Case, body, good, put

# Well-formed, and yet not to be used (RFC 4271 6.3 and 9.1.2): what, and from whom.
UNUSABLE = {
    ("NEXT_HOP on the loopback is a host", True),
    ("NEXT_HOP on the loopback is a host", False),
    ("AS_PATH empty", False),  # the first AS is not the peer's
    ("zeros across two AS numbers", False),
}


def update(case: Case, internal: bool) -> bytes:
    context = IBGP if internal else EBGP
    return message(2, body(put(good(context), case.tlv)))


def good_update(internal: bool, nlri: bytes = NLRI) -> bytes:
    return message(2, body("".join(good(IBGP if internal else EBGP).values()), nlri))


@pytest.mark.parametrize("internal", [True, False], ids=["ibgp", "ebgp"])
async def test_attributes_that_cost_no_session(tmp_path: Path, internal: bool) -> None:
    """All of them over one session: route kept, withdrawn, or kept without the attribute."""
    wrong: list[str] = []
    async with lab(tmp_path) as there:
        watcher = await Watcher.of(there)
        peer = await there.raw(internal)
        for case in CASES:
            outcome, _ = case.ibgp if internal else case.ebgp
            if outcome is RESET or case.old:
                continue
            peer.send(good_update(internal))
            await watcher.barrier(peer, good_update(internal, b""))
            if NLRI not in watcher.table:
                wrong.append(f"before {case.what}")
            peer.send(update(case, internal))
            await watcher.barrier(peer, good_update(internal, b""))
            expected = outcome is not WITHDRAW and (case.what, internal) not in UNUSABLE
            found = watcher.table.get(NLRI)
            if (found is not None) is not expected:
                wrong.append(f"{case.section} {case.what}: {'kept' if found else 'gone'}")
            code = bytes.fromhex(case.tlv)[1]
            if found and outcome is DISCARD and "7" in case.section and code not in (1, 2, 3) and code in found:
                wrong.append(f"{case.section} {case.what}: attribute {code} was passed on")
        assert wrong == []


def resets(internal: bool) -> Iterable[tuple[Case, type[ProtocolError]]]:
    for case in CASES:
        outcome, error = case.ibgp if internal else case.ebgp
        if outcome is RESET:
            assert error is not None
            yield case, error


@pytest.mark.parametrize("internal", [True, False], ids=["ibgp", "ebgp"])
async def test_attributes_that_cost_the_session(tmp_path: Path, internal: bool) -> None:
    """Exactly the NOTIFICATION of RFC 4271 6.3, its data too; the routes go, and the watcher keeps its session."""
    wrong: list[str] = []
    async with lab(tmp_path) as there:
        watcher = await Watcher.of(there)
        for case, error in resets(internal):
            peer = await there.raw(internal)
            peer.send(good_update(internal))
            await watcher.until(NLRI)
            peer.send(update(case, internal))
            data = b"" if error in (MalformedAttributeList, MalformedASPath) else bytes.fromhex(case.tlv)
            said = await peer.notification()
            if said != bytes((error.code, error.subcode)) + data:
                wrong.append(f"{case.section} {case.what}: {said.hex()}")
            peer.writer.close()
            other = await there.raw(not internal)
            await watcher.barrier(other, good_update(not internal, b""))
            assert NLRI not in watcher.table, case
            await other.leave()
        assert wrong == []


async def old_speaker(there: Lab) -> Raw:
    """An external peer with AS numbers of 2 octets."""
    peer = await there.connect(there.external)
    peer.send(opening(65001, identifier="0a000002", parameters=b""))
    assert (await peer.next_but_updates())[0] == 1
    peer.send(message(4))
    assert (await peer.next_but_updates())[0] == 4
    return peer


OLD = "400101 00 400304 c0000201 "
OLD_CASES = [
    # RFC 6793 4.2.3: what AS_PATH and AS4_PATH mean together, as an AS_SEQUENCE of 4-octet numbers
    ("AS4_PATH", "400206 0202 fde9 5ba0 c01106 0201 0001000a", [65001, 65546]),
    ("AS4_PATH longer than AS_PATH", "400204 0201 fde9 c0110a 0202 0001000a 0001000b", [65001]),
    ("AS4_PATH malformed", "400206 0202 fde9 5ba0 c01105 0201 000100", [65001, 23456]),
    ("AS4_PATH with wrong flags", "400206 0202 fde9 5ba0 801106 0201 0001000a", None),
    ("AGGREGATOR not AS_TRANS", "400206 0202 fde9 5ba0 c00706 fde9 c0000201 c01106 0201 0001000a", [65001, 65546]),
    (
        "AGGREGATOR not AS_TRANS beside AS4_AGGREGATOR",
        "400206 0202 fde9 5ba0 c00706 fde9 c0000201 c01106 0201 0001000a c01208 0001000a c0000201",
        [65001, 23456],
    ),
]


async def test_peers_with_as_numbers_of_two_octets(tmp_path: Path) -> None:
    """RFC 6793 4.2.3: AS4_PATH is ignored beside an AGGREGATOR that was not made of AS_TRANS."""
    async with lab(tmp_path) as there:
        watcher = await Watcher.of(there)
        peer = await old_speaker(there)
        classic = message(2, body(OLD + "400204 0201 fde9", b""))
        for what, attributes, path in OLD_CASES:
            peer.send(message(2, body(OLD + attributes)))
            await watcher.barrier(peer, classic)
            if path is None:
                assert NLRI not in watcher.table, what
                continue
            expected = [64512, *path]
            octets = bytes((2, len(expected))) + b"".join(asn.to_bytes(4, "big") for asn in expected)
            assert watcher.table[NLRI][2] == (0x40, octets), what


async def test_unknown_attributes_are_passed_on_as_they_came(tmp_path: Path) -> None:
    """RFC 4271 section 5: byte for byte but for the Partial bit, and non-transitive ones not at all."""
    async with lab(tmp_path) as there:
        watcher = await Watcher.of(there)
        peer = await there.raw(False)
        attributes = "".join(good(EBGP).values())
        value = bytes(range(256)) * 2
        unknown = "c0c80401020304" + "d0c90200" + value.hex() + "80ca00" + "e0cb00"
        peer.send(message(2, body(attributes + unknown)))
        await watcher.until(NLRI)
        found = watcher.table[NLRI]
        assert found[0xC8] == (0xE0, b"\1\2\3\4")
        assert found[0xC9] == (0xF0, value)
        assert 0xCA not in found
        assert found[0xCB] == (0xE0, b"")


async def test_parameters_of_an_extended_speaker(tmp_path: Path) -> None:
    """RFC 8654: attributes of 5,000 octets do not fit a session of 4,096; the route goes there, and comes no more."""
    async with lab(tmp_path) as there:
        watcher = await Watcher.of(there)
        peer = await there.connect(there.external)
        peer.send(
            opening(65001, identifier="0a000002", parameters=parameter(b"\x06\0" + four_octets(65001))), message(4)
        )
        for kind in (1, 4):
            assert (await peer.next_but_updates())[0] == kind
        peer.send(good_update(False))
        await watcher.until(NLRI)
        big = "d0c81388" + "aa" * 5000
        peer.send(message(2, body("".join(good(EBGP).values()) + big)))
        await watcher.barrier(peer, good_update(False, b""))
        assert NLRI not in watcher.table
        assert "127." in await there.program.says("fit")
