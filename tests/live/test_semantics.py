"""UPDATEs that are odd as a whole, against a running speaker: what becomes of 203.0.113.0/24 and of the session."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.live.raw import lab, message
from tests.live.watching import Watcher
from tests.rfc7606_table import EBGP, IBGP, NLRI, body, good

KEPT, GONE = "kept", "gone"
MP_REACH = "800e1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8"
NEXT_HOP_AT = "400304"


class Case(NamedTuple):
    section: str
    what: str
    attributes: str  # "+" in front: behind the good ones
    ebgp: str  # kept, gone, or code, subcode and data of the NOTIFICATION
    ibgp: str
    nlri: str = "18cb0071"
    withdrawn: str = ""


def both(section: str, what: str, attributes: str, outcome: str, nlri: str = "18cb0071", withdrawn: str = "") -> Case:
    return Case(section, what, attributes, outcome, outcome, nlri, withdrawn)


PATH, ORIGIN, HOP = "400206 0201 0000fde9", "400101 00", "400304 c0000201"
PREF = "400504 00000064"
CASES = [
    # RFC 7606 3 h and RFC 4271 6.3: the strongest of several
    both("RFC 7606 3 h", "discard and withdraw", "+400600 c00805 0000000001", GONE),
    both("RFC 7606 3 h", "withdraw and reset", "+c00805 0000000001 406300", "0302 406300"),
    both("RFC 7606 3 h", "reset before withdraw", "+406300 c00805 0000000001", "0302 406300"),
    both("RFC 7606 3 j", "withdraw, and NLRI that cannot be read", "+c00805 0000000001", "030a", nlri="21cb00710000"),
    both("RFC 7606 5.2", "withdraw without NLRI", "400101 07", "0306 40010107", nlri=""),
    both("RFC 7606 4", "attribute over the end", "+c008ff 00", GONE),
    both("RFC 7606 4", "two octets left", "+c008", GONE),
    both("RFC 7606 4", "extended length cut short", "+d00800", GONE),
    both("RFC 7606 3 d", "no attribute at all", "", GONE),
    both("RFC 7606 3 d", "no NEXT_HOP", ORIGIN + PATH + PREF, GONE),
    both("RFC 7606 3 d", "no AS_PATH", ORIGIN + HOP + PREF, GONE),
    both("RFC 7606 3 d", "no ORIGIN", PATH + HOP + PREF, GONE),
    Case("RFC 7606 3 d", "no LOCAL_PREF", ORIGIN + PATH + HOP, KEPT, GONE),
    both("RFC 7606 3 d", "NEXT_HOP of the wrong length", ORIGIN + PATH + "400305 c000020100" + PREF, GONE),
    # RFC 4271 4.3: the announcement of the same UPDATE wins
    both("RFC 4271 4.3", "the same prefix withdrawn and announced", "+", KEPT, withdrawn="18cb0071"),
    both("RFC 4271 3.1", "attributes without NLRI change nothing", "+", KEPT, nlri=""),
    both("RFC 4271 4.3", "End-of-RIB changes nothing", "", KEPT, nlri=""),
    both("RFC 4271 4.3", "the same prefix twice", "+", KEPT, nlri="18cb007118cb0071"),
    both("RFC 4271 4.3", "bits behind the prefix do not matter", "+", KEPT, nlri="18cb007119cb0072ff"),
    both("RFC 4271 6.3", "/33", "+", "030a", nlri="21cb00710000"),
    both("RFC 4271 6.3", "prefix over the end", "+", "030a", nlri="18cb00"),
    # RFC 4271 6.3 and 9.1.2: routes to be left out
    both("RFC 4271 9.1.2", "own AS in the path", ORIGIN + "40020a 0202 0000fde9 0000fc00" + HOP + PREF, GONE),
    both("RFC 4271 9.1.2", "own AS in a set", ORIGIN + "40020c 0201 0000fde9 0101 0000fc00" + HOP + PREF, GONE),
    Case("RFC 4271 6.3", "first AS of another", ORIGIN + "400206 0201 0000fdea" + HOP + PREF, GONE, KEPT),
    Case("RFC 4271 6.3", "a set first", ORIGIN + "400206 0101 0000fde9" + HOP + PREF, GONE, KEPT),
    Case("RFC 4271 5.1.2", "empty AS_PATH", ORIGIN + "400200" + HOP + PREF, GONE, KEPT),
    Case("RFC 5065 5", "confederation first", ORIGIN + "40020c 0301 0000fde8 0201 0000fde9" + HOP + PREF, GONE, KEPT),
    both("RFC 7607 2", "AS 0 last", ORIGIN + "40020a 0202 0000fde9 00000000" + HOP + PREF, GONE),
    both("RFC 4271 6.3", "NEXT_HOP 0.0.0.1", ORIGIN + PATH + "400304 00000001" + PREF, GONE),
    both("RFC 4271 6.3", "NEXT_HOP 240.0.0.1", ORIGIN + PATH + "400304 f0000001" + PREF, GONE),
    Case("RFC 4456 8", "our ORIGINATOR_ID", "+800904 0a000009", KEPT, GONE),
    Case("RFC 4456 8", "our CLUSTER_ID", "+800a08 0a000008 0a000009", KEPT, GONE),
    # RFC 4760
    both("RFC 7606 5.1", "MP_REACH_NLRI last", "+" + MP_REACH, KEPT),
    both("RFC 4760 3", "reserved octet not 0", "+" + MP_REACH.replace("01 00 20", "01 ff 20"), KEPT),
    both("RFC 4760 7", "labelled VPN was not negotiated", "+800f0c 0001 80 700000010000000000", KEPT),
    both("RFC 4760 7", "MP_REACH_NLRI of AFI 99", "+800e0a 0063 01 04 c0000201 00 00", KEPT),
    both("RFC 4760 4", "MP_UNREACH_NLRI of the IPv4 route", "800f07 0001 01 18cb0071", GONE, nlri=""),
    both("RFC 2545 3", "next hop of 24 octets", "+800e1f 0002 01 18" + "20" * 24 + "00 08 20", "0309 800e1f00020118"
         + "20" * 24 + "000820"),
    # RFC 9234 5, RFC 8092, RFC 5701
    both("RFC 9234 5", "OTC of 3 octets", "+c02303 00fde9", GONE),
    both("RFC 8092 5", "LARGE_COMMUNITY of 13 octets", "+c0200d" + "00" * 13, GONE),
    both("RFC 7606 7.15", "IPv6 extended communities of 19 octets", "+c01913" + "00" * 19, GONE),
    both("RFC 7606 7.8", "COMMUNITIES twice, the second malformed", "+c00804 fde80001 c00801 00", KEPT),
]  # fmt: skip


@pytest.mark.parametrize("internal", [True, False], ids=["ibgp", "ebgp"])
async def test_each(tmp_path: Path, internal: bool) -> None:
    attributes = "".join(good(IBGP if internal else EBGP).values())
    wrong = []
    async with lab(tmp_path) as there:
        watcher = await Watcher.of(there)
        peer = await there.raw(internal)
        for case in CASES:
            expected = case.ibgp if internal else case.ebgp
            peer.send(message(2, body(attributes)))
            await watcher.barrier(peer, message(2, body(attributes, b"")))
            assert NLRI in watcher.table, case
            mine = attributes + case.attributes[1:] if case.attributes[:1] == "+" else case.attributes
            peer.send(message(2, body(mine, bytes.fromhex(case.nlri), bytes.fromhex(case.withdrawn))))
            if expected not in (KEPT, GONE):
                said = await peer.notification()
                if said != bytes.fromhex(expected):
                    wrong.append(f"{case.section} {case.what}: {said.hex()}")
                peer = await there.raw(internal)
                continue
            await watcher.barrier(peer, message(2, body(attributes, b"")))
            if (NLRI in watcher.table) is not (expected == KEPT):
                wrong.append(f"{case.section} {case.what}: not {expected}")
    assert wrong == []


async def test_the_speakers_own_address_as_next_hop(tmp_path: Path) -> None:
    """RFC 4271 5.1.3 and 6.3: the route is left out, the session stays."""
    async with lab(tmp_path) as there:
        watcher = await Watcher.of(there)
        peer = await there.raw(False)
        own = bytes(map(int, there.at.split("."))).hex()
        peer.send(message(2, body(ORIGIN + PATH + "400304" + own)))
        await watcher.barrier(peer, message(2, body(ORIGIN + PATH + HOP, b"")))
        assert NLRI not in watcher.table


async def test_prefixes_that_no_route_may_have(tmp_path: Path) -> None:
    """RFC 4271 6.3: an unexpected multicast prefix is logged and ignored, and those beside it count."""
    async with lab(tmp_path) as there:
        watcher = await Watcher.of(there)
        peer = await there.raw(False)
        nlri = bytes.fromhex("04e0 08e1 20efffffff 04f0 20ffffffff 087f 10 7f01 00") + NLRI
        peer.send(message(2, body(ORIGIN + PATH + HOP, nlri)))
        await watcher.barrier(peer, message(2, body(ORIGIN + PATH + HOP, b"")))
        markers = {prefix for prefix in watcher.table if prefix.startswith(b"\x18\xc6")}
        assert watcher.table.keys() - markers == {NLRI, b"\0"}
        assert "224.0.0.0/4" in await there.program.says("ignored")


async def test_a_wrong_message_is_in_the_log_with_its_place(tmp_path: Path) -> None:
    """One line: what, the outcome, the offset, the section and the octets."""
    async with lab(tmp_path) as there:
        peer = await there.raw(False)
        wrong = message(2, body("400101 07" + PATH + HOP))
        peer.send(wrong)
        line = await there.program.says("offence")
        assert f'outcome="treat as withdraw" offset=26 section="RFC 7606 7.1" message={wrong.hex()}' in line
        peer.send(message(0))
        line = await there.program.says("Bad Message Type")
        assert 'outcome="session reset" offset=18 section="RFC 4271 6.1"' in line
