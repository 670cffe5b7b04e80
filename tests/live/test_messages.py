"""Headers, OPENs and messages out of place against a running speaker: the very NOTIFICATION that the RFCs ask for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.live.raw import (
    EXTERNAL_AS,
    FAMILIES,
    KEEPALIVE,
    MARKER,
    OUR_AS,
    Lab,
    Raw,
    capability,
    four_octets,
    lab,
    message,
    opening,
    parameter,
)
from tests.live.watching import Watcher

OPEN_SENT, OPEN_CONFIRM, ESTABLISHED = 0, 1, 2
GOOD_OPEN = opening(EXTERNAL_AS, identifier="0a000002")
REFRESH = message(5, b"\0\x01\0\x01")
UPDATE = message(2, bytes(4))
EVERYWHERE = (OPEN_SENT, OPEN_CONFIRM, ESTABLISHED)


class Case(NamedTuple):
    section: str
    what: str
    states: tuple[int, ...]
    octets: bytes
    said: str  # code, subcode and data as hexadecimal digits; "" for a session that stays
    internal: bool = False


def header(what: str, octets: bytes, said: str, states: tuple[int, ...] = EVERYWHERE, section: str = "6.1") -> Case:
    return Case(f"RFC 4271 {section}", what, states, octets, said)


HEADERS = [
    header("marker of zeros", message(4, marker=bytes(16)), "0101"),
    header("marker with a wrong last octet", message(4, marker=MARKER[:15] + b"\xfe"), "0101"),
    header("marker with a wrong first octet", message(4, marker=b"\x7f" + MARKER[1:]), "0101"),
    header("length 0", message(4, length=0), "0102 0000"),
    header("length 18", message(4, length=18), "0102 0012"),
    header("length 4097 of an OPEN", message(1, bytes(10), length=4097), "0102 1001"),
    header("length 4097 of a KEEPALIVE", message(4, length=4097), "0102 1001"),
    header("length 4097 where not negotiated", message(2, bytes(4), length=4097), "0102 1001", (OPEN_SENT,)),
    header("length 65535", message(4, length=65535), "0102 ffff"),
    header("type 0", message(0), "0103 00"),
    header("type 6", message(6), "0103 06"),
    header("type 255", message(255), "0103 ff"),
    header("type 0 with a body", message(0, bytes(20)), "0103 00"),
    header("KEEPALIVE of 20 octets", message(4, b"\0"), "0102 0014"),
    header("OPEN of 28 octets", message(1, bytes(9)), "0102 001c"),
    header("OPEN of 19 octets", message(1), "0102 0013"),
    header("UPDATE of 22 octets", message(2, bytes(3)), "0102 0016"),
    header("UPDATE of 19 octets", message(2), "0102 0013"),
    header("NOTIFICATION of 20 octets", message(3, b"\x06"), "0102 0014"),
    header("NOTIFICATION of 19 octets", message(3), "0102 0013"),
    # RFC 7313 section 5: an error of its own, with the whole message
    Case(
        "RFC 7313 5",
        "ROUTE-REFRESH of 3 octets",
        (ESTABLISHED,),
        message(5, b"\0\1\0"),
        "0701" + message(5, b"\0\1\0").hex(),
    ),
    Case(
        "RFC 7313 5",
        "BoRR of 5 octets",
        (ESTABLISHED,),
        message(5, b"\0\1\1\1\0"),
        "0701" + message(5, b"\0\1\1\1\0").hex(),
    ),
    Case("RFC 7313 5", "unknown subtype is ignored", (ESTABLISHED,), message(5, b"\0\1\x09\1"), ""),
    Case("RFC 2918 4", "family that was not negotiated is ignored", (ESTABLISHED,), message(5, b"\0\1\0\x85"), ""),
    # RFC 6608 section 4: the type of the message as data
    Case("RFC 6608 4", "KEEPALIVE in OpenSent", (OPEN_SENT,), KEEPALIVE, "0501 04"),
    Case("RFC 6608 4", "UPDATE in OpenSent", (OPEN_SENT,), UPDATE, "0501 02"),
    Case("RFC 6608 4", "ROUTE-REFRESH in OpenSent", (OPEN_SENT,), REFRESH, "0501 05"),
    Case("RFC 6608 4", "UPDATE in OpenConfirm", (OPEN_CONFIRM,), UPDATE, "0502 02"),
    Case("RFC 6608 4", "ROUTE-REFRESH in OpenConfirm", (OPEN_CONFIRM,), REFRESH, "0502 05"),
    Case("RFC 6608 4", "OPEN in OpenConfirm", (OPEN_CONFIRM,), GOOD_OPEN, "0502 01"),
    Case("RFC 6608 4", "OPEN in Established", (ESTABLISHED,), GOOD_OPEN, "0503 01"),
    Case(
        "RFC 4271 6.3", "withdrawn routes over the end", (ESTABLISHED,), message(2, bytes.fromhex("00050000")), "0301"
    ),
    Case("RFC 4271 6.3", "attributes over the end", (ESTABLISHED,), message(2, bytes.fromhex("00000005")), "0301"),
    Case("RFC 7606 5.3", "withdrawn /33", (ESTABLISHED,), message(2, bytes.fromhex("0006210a0000000000 00")), "030a"),
    Case("RFC 7606 5.3", "withdrawn, cut short", (ESTABLISHED,), message(2, bytes.fromhex("0002200a0000")), "030a"),
]


def accepted(what: str, section: str, octets: bytes, *, internal: bool = False) -> Case:
    return Case(section, what, (OPEN_SENT,), octets, "", internal)


def refused(what: str, section: str, octets: bytes, said: str, *, internal: bool = False) -> Case:
    return Case(section, what, (OPEN_SENT,), octets, said, internal)


AS4 = four_octets(EXTERNAL_AS)


def external(parameters: bytes | None = None, **changes: int | str) -> bytes:
    changes.setdefault("identifier", "0a000002")
    return opening(EXTERNAL_AS, parameters=parameters, **changes)  # type: ignore[arg-type]


def extended(parameters: bytes, length: int | None = None) -> bytes:
    """RFC 9072 section 2: 255, 255, and a length of two octets."""
    return b"\xff" + (len(parameters) if length is None else length).to_bytes(2, "big") + parameters


def wide(value: bytes, kind: int = 2) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2, "big") + value


OPENS = [
    refused("version 3", "RFC 4271 6.2", external(version=3), "0201 0004"),
    refused("version 5", "RFC 4271 6.2", external(version=5), "0201 0004"),
    refused("version 0", "RFC 4271 6.2", external(version=0), "0201 0004"),
    refused("another AS", "RFC 4271 6.2", opening(65002), "0202"),
    refused("AS 0 in the field", "RFC 7607 2", external(field=0), "0202"),
    refused("AS 0 in the capability", "RFC 7607 2", external(parameter(FAMILIES + four_octets(0))), "0202"),
    refused("AS 23456 without the capability", "RFC 6793 4.2.1", external(parameter(FAMILIES), field=23456), "0202"),
    refused("another AS in the capability", "RFC 6793 4.1", external(parameter(FAMILIES + four_octets(65002))), "0202"),
    refused("AS4 capability of 2 octets", "RFC 6793 4.1", external(parameter(capability(65, b"\xfd\xe9"))), "0200"),
    accepted("AS_TRANS in the field", "RFC 6793 4.2.1", external(field=23456)),
    accepted("without AS4", "RFC 6793 4", external(parameter(FAMILIES))),
    accepted("no parameter at all", "RFC 4271 4.2", external(b"")),
    refused("identifier 0", "RFC 6286 2.2", external(identifier="00000000"), "0203 00000000"),
    accepted("our identifier from outside", "RFC 6286 2.2", external(identifier="0a000009")),
    accepted("identifier that is multicast", "RFC 6286 2.1", external(identifier="e0000001")),
    refused(
        "our identifier from inside",
        "RFC 6286 2.2",
        opening(OUR_AS, identifier="0a000009"),
        "0203 0a000009",
        internal=True,
    ),
    refused("hold time 1", "RFC 4271 6.2", external(hold_time=1), "0206 0001"),
    refused("hold time 2", "RFC 4271 6.2", external(hold_time=2), "0206 0002"),
    accepted("hold time 0", "RFC 4271 4.2", external(hold_time=0)),
    accepted("hold time 3", "RFC 4271 4.2", external(hold_time=3)),
    accepted("hold time 65535", "RFC 4271 4.2", external(hold_time=65535)),
    refused("parameter 1 (authentication)", "RFC 5492 4", external(parameter(b"\0", 1)), "0204"),
    refused("parameter 254", "RFC 4271 6.2", external(parameter(b"", 254)), "0204"),
    refused("parameters shorter than said", "RFC 4271 6.2", external(parameter(FAMILIES), size=40), "0200"),
    refused("parameters longer than said", "RFC 4271 6.2", external(parameter(FAMILIES), size=2), "0200"),
    refused("octets without a parameter", "RFC 4271 6.2", external(b"\x02"), "0200"),
    refused("parameter over the end", "RFC 4271 6.2", external(b"\x02\x0a\x02\x00"), "0200"),
    refused("capability over its parameter", "RFC 5492 4", external(parameter(b"\x02\x05\x00")), "0200"),
    refused("half a capability", "RFC 5492 4", external(parameter(b"\x02")), "0200"),
    accepted("unknown capability", "RFC 5492 3", external(parameter(FAMILIES + AS4 + capability(200, b"abc")))),
    accepted("capability 0", "RFC 5492 3", external(parameter(FAMILIES + AS4 + capability(0)))),
    accepted("empty parameter", "RFC 5492 4", external(parameter(b"") + parameter(FAMILIES + AS4))),
    accepted(
        "one capability a parameter",
        "RFC 5492 4",
        external(parameter(FAMILIES) + parameter(AS4) + parameter(b"\x02\0")),
    ),
    accepted("the same capability twice", "RFC 5492 4", external(parameter(FAMILIES + FAMILIES + AS4 + AS4))),
    accepted(
        "graceful restart with half a family",
        "RFC 4724 3",
        external(parameter(FAMILIES + AS4 + capability(64, b"\0\x78\0"))),
    ),
    accepted("route refresh with a value", "RFC 2918 2", external(parameter(FAMILIES + AS4 + capability(2, b"x")))),
    refused(
        "no family in common",
        "RFC 5492 5",
        external(parameter(capability(1, b"\0\x19\0\x41") + AS4)),
        "0207 010400010001 010400020001",
    ),
    accepted("extended parameters", "RFC 9072 2", external(extended(wide(FAMILIES + AS4)), size=255)),
    accepted("extended, another length octet", "RFC 9072 2", external(extended(wide(FAMILIES + AS4)), size=7)),
    accepted(
        "extended, more than 255 octets",
        "RFC 9072 2",
        external(extended(wide(FAMILIES + AS4 + capability(200, bytes(250)) + capability(201, bytes(250)))), size=255),
    ),
    refused("extended, length too large", "RFC 9072 2", external(extended(wide(FAMILIES), 400), size=255), "0200"),
    refused("extended, without a length", "RFC 9072 2", external(b"\xff\0", size=255), "0200"),
    refused("extended, parameter over the end", "RFC 9072 2", external(extended(b"\x02\x01\0"), size=255), "0200"),
]


async def in_state(there: Lab, state: int, internal: bool) -> Raw:
    peer = await there.connect(there.internal if internal else there.external)
    assert (await peer.next_but_updates())[0] == 1
    if state >= OPEN_CONFIRM:
        peer.send(GOOD_OPEN)
        assert (await peer.next_but_updates())[0] == 4
    if state == ESTABLISHED:
        peer.send(KEEPALIVE)
    return peer


async def outcome(there: Lab, case: Case, state: int) -> str | None:
    """What is wrong with what the speaker did."""
    peer = await in_state(there, state, case.internal)
    peer.send(case.octets)
    if not case.said:
        if state == OPEN_SENT:
            kind, body = await peer.next_but_updates()
            if kind != 4:
                return f"type {kind} with {body.hex()}"
            peer.send(KEEPALIVE)
        peer.send(REFRESH)
        while (found := await peer.receive()) is not None and found[0] == 4:
            pass
        if found is None or found[0] not in (2, 5):
            return f"not established: {found}"
        await peer.leave()
        return None
    said = await peer.notification()
    return None if said == bytes.fromhex(case.said) else said.hex()


async def go_through(folder: Path, cases: list[Case]) -> None:
    wrong = []
    async with lab(folder) as there:
        watcher = await Watcher.of(there)
        for case in cases:
            for state in case.states:
                found = await outcome(there, case, state)
                if found is not None:
                    wrong.append(f"{case.section}, state {state}, {case.what}: {found}")
        honest = await there.raw(True)
        good = "400101 00 400200 400304 c0000201 400504 00000064"
        block = bytes.fromhex(good)
        await watcher.barrier(honest, message(2, b"\0\0" + len(block).to_bytes(2, "big") + block))
    assert wrong == []


async def test_headers_and_states(tmp_path: Path) -> None:
    await go_through(tmp_path, HEADERS)


async def test_opens(tmp_path: Path) -> None:
    await go_through(tmp_path, OPENS)


async def test_a_notification_is_not_answered(tmp_path: Path) -> None:
    """RFC 4271 6.4, in every state, of codes that nobody knows too."""
    async with lab(tmp_path) as there:
        for state in EVERYWHERE:
            for body in (b"\x06\x02", b"\xff\xff", b"\0\0", b"\x02\x01", b"\x06\x02\xff\xfe"):
                peer = await in_state(there, state, False)
                peer.send(message(3, body))
                while (found := await peer.receive()) is not None:
                    assert found[0] in (1, 2, 4)


async def test_half_open_connections_leave_room_for_an_honest_peer(tmp_path: Path) -> None:
    """From the peer's own address and from elsewhere; some say nothing, some half an OPEN."""
    async with lab(tmp_path) as there:
        for number in range(200):
            elsewhere = there.at.rsplit(".", 1)[0] + f".{number % 20 + 230}"
            half = await there.connect(there.external if number % 2 else elsewhere)
            if number % 4 < 2:
                half.send(GOOD_OPEN[:20])
        watcher = await Watcher.of(there)
        peer = await there.raw(False)
        block = bytes.fromhex("400101 00 400206 0201 0000fde9 400304 c0000201")
        await watcher.barrier(peer, message(2, b"\0\0" + len(block).to_bytes(2, "big") + block))
