"""`pybgp run` and BIRD 2 of Debian: both transports, both families, TCP MD5 and TTL security, both ways."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from demo.lab import Host, Lab, LabError, Process, wait_for
from tests.e2e.bird import Bird

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

BIRD = """
log stderr all;
router id 192.0.2.2;
protocol device {{ }}
protocol direct {{ ipv4; ipv6; }}
protocol static static4 {{ ipv4; route 198.51.100.0/24 blackhole; route 198.51.100.7/32 blackhole; }}
protocol static static6 {{ ipv6; route 2001:db8:100::/48 blackhole; route 2001:db8:100::7/128 blackhole; }}
protocol bgp peer {{
    local {own} as {own_as};
    neighbor {peer} as 64512;
    {options}
    graceful restart on;
    connect delay time 1; connect retry time 1; error wait time 1,2;
    ipv4 {{ import all; export where source = RTS_STATIC; next hop self; {channel4} }};
    ipv6 {{ import all; export where source = RTS_STATIC; next hop self; {channel6} }};
}}
"""
SPEAKER = """
[speaker]
local_as = 64512
bgp_identifier = "192.0.2.1"
listen = ["{own}"]

[[peer]]
address = "{peer}"
peer_as = {peer_as}
local_address = "{own}"
families = {families}
import_policy = "accept"
export_policy = "accept"
{options}

[[route]]
prefix = "203.0.113.0/24"
next_hop = "192.0.2.1"
communities = ["64512:100", "no-peer"]
med = 7

[[route]]
prefix = "2001:db8:200::/56"
next_hop = "2001:db8::1"
large_communities = ["64512:1:2"]
"""


@dataclass
class Pair:
    """A pybgp host and a BIRD host on one wire."""

    ours: Host
    theirs: Host
    v6: bool

    @property
    def own(self) -> str:
        return str(self.ours.address_v6) if self.v6 else self.ours.address

    @property
    def peer(self) -> str:
        return str(self.theirs.address_v6) if self.v6 else self.theirs.address

    def bird(self, options: str = "", peer_as: int = 64512) -> Bird:
        # The session's own family needs no word on next hops; the other one is carried over it with its own.
        channel4 = "next hop address 192.0.2.2;" if self.v6 else ""
        channel6 = "" if self.v6 else "next hop address 2001:db8::2;"
        text = BIRD.format(
            own=self.peer, own_as=peer_as, peer=self.own, options=options, channel4=channel4, channel6=channel6
        )
        bird = Bird(self.theirs, text)
        bird.start()
        return bird

    def speaker(self, options: str = "", peer_as: int = 64512) -> Process:
        families = '["ipv4-unicast", "ipv6-unicast"]'
        text = SPEAKER.format(own=self.own, peer=self.peer, peer_as=peer_as, options=options, families=families)
        file = self.ours.lab.directory / "speaker.toml"
        file.write_text(text)
        return self.ours.start("pybgp", sys.executable, "-m", "pybgp", "run", "--log-level", "debug", str(file))


def pair(lab: Lab, v6: bool) -> Pair:
    ours = lab.host("ours", "192.0.2.1/24", "2001:db8::1/64")
    return Pair(ours, lab.host("theirs", "192.0.2.2/24", "2001:db8::2/64"), v6)


def came_from(bird: Bird, table: str) -> str:
    return bird.ctl("show", "route", "all", "table", table, "protocol", "peer")


def test_both_ways(lab: Lab) -> None:
    """Our routes with all their attributes in BIRD; BIRD's in the log of our speaker."""
    both = pair(lab, v6=False)
    bird = both.bird()
    speaker = both.speaker()
    wait_for("BIRD has our IPv4 route", lambda: "203.0.113.0/24" in came_from(bird, "master4"))
    wait_for("BIRD has our IPv6 route", lambda: "2001:db8:200::/56" in came_from(bird, "master6"))
    text = came_from(bird, "master4")
    assert "BGP.next_hop: 192.0.2.1" in text
    assert "BGP.med: 7" in text
    assert "(64512,100) (65535,65284)" in text
    assert "BGP.local_pref: 100" in text
    text = came_from(bird, "master6")
    assert "2001:db8::1" in text
    assert "(64512, 1, 2)" in text
    details = bird.ctl("show", "protocols", "all", "peer")
    for words in ("4-octet AS numbers", "Route refresh", "Enhanced refresh", "Graceful restart"):
        assert words in details.partition("Neighbor capabilities")[2]
    assert speaker.running


@pytest.mark.parametrize("v6", [False, True], ids=["over-ipv4", "over-ipv6"])
@pytest.mark.parametrize("external", [False, True], ids=["ibgp", "ebgp"])
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ('password "s3cret of both";', 'password = "s3cret of both"'),
        ("ttl security on;", "ttl_security = 1"),
        ('password "k"; ttl security on; passive on;', 'password = "k"\nttl_security = 1'),
        ('password "k"; ttl security on;', 'password = "k"\nttl_security = 1\npassive = true'),
    ],
    ids=["md5", "gtsm", "md5-gtsm-we-dial", "md5-gtsm-they-dial"],
)
def test_protected_sessions(lab: Lab, v6: bool, external: bool, theirs: str, ours: str) -> None:
    both = pair(lab, v6)
    asn = 65001 if external else 64512
    bird = both.bird(theirs + " direct;", asn)
    both.speaker(ours, asn)
    wait_for("BIRD has our IPv4 route", lambda: "203.0.113.0/24" in came_from(bird, "master4"), timeout=25)
    wait_for("BIRD has our IPv6 route", lambda: "2001:db8:200::/56" in came_from(bird, "master6"))
    exported = bird.ctl("show", "protocols", "all", "peer")
    assert exported.count("2 exported") == 2, exported


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ('password "right";', 'password = "wrong"'),
        ('password "right";', ""),
        ("", 'password = "right"'),
    ],
    ids=["wrong", "ours-missing", "theirs-missing"],
)
def test_a_wrong_password_keeps_the_session_down(lab: Lab, theirs: str, ours: str) -> None:
    both = pair(lab, v6=False)
    bird = both.bird(theirs)
    speaker = both.speaker(ours)
    with pytest.raises(LabError):
        wait_for("a session", bird.established, timeout=6)
    assert speaker.running


def test_a_peer_too_far_away_for_ttl_security(lab: Lab) -> None:
    """BIRD sends with TTL 64 where 255 is asked for: the kernel drops it (RFC 5082)."""
    both = pair(lab, v6=False)
    bird = both.bird("multihop 64;")
    both.speaker("ttl_security = 1")
    with pytest.raises(LabError):
        wait_for("a session", bird.established, timeout=6)


def test_our_crash_is_a_graceful_restart_to_bird(lab: Lab) -> None:
    both = pair(lab, v6=False)
    bird = both.bird()
    speaker = both.speaker()
    wait_for("BIRD has our route", lambda: "203.0.113.0/24" in came_from(bird, "master4"))
    speaker.kill()
    wait_for("BIRD noticed", lambda: not bird.established())
    assert "203.0.113.0/24" in came_from(bird, "master4")
    both.speaker()
    wait_for("the session is back", bird.established)
    wait_for("the route is fresh", lambda: "203.0.113.0/24" in came_from(bird, "master4"))
    assert "s2" not in bird.ctl("show", "protocols", "peer")


def test_bird_restarts_and_its_routes_stay(lab: Lab) -> None:
    """The other way round: what BIRD announced stays at a second peer of ours while BIRD is away."""
    both = pair(lab, v6=False)
    second = lab.host("second", "192.0.2.3/24", "2001:db8::3/64")
    bird = both.bird("rr client; rr cluster id 192.0.2.9;".replace("rr client; rr cluster id 192.0.2.9;", ""))
    watcher = Bird(
        second,
        BIRD.format(
            own="192.0.2.3", own_as=64512, peer="192.0.2.1", options="", channel4="", channel6="next hop address ::1;"
        )
        .replace("router id 192.0.2.2", "router id 192.0.2.3")
        .replace("198.51.100", "198.51.101")
        .replace("2001:db8:100", "2001:db8:101"),
    )
    watcher.start()
    extra = (
        "route_reflector_client = true\n\n[[peer]]\naddress = '192.0.2.3'\npeer_as = 64512\n"
        "local_address = '192.0.2.1'\nroute_reflector_client = true\n"
    )
    both.speaker(extra)
    wait_for("reflected", lambda: "198.51.100.7/32" in came_from(watcher, "master4"), timeout=25)
    assert bird.process is not None
    bird.process.kill()
    wait_for("kept", lambda: "198.51.100.7/32" in came_from(watcher, "master4"))
    bird.start("-R")
    wait_for("BIRD is back", bird.established)
    assert "198.51.100.7/32" in came_from(watcher, "master4")
