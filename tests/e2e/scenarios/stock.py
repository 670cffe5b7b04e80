"""The stock software around the node: BIRD as another node, and BIRDs as routers, each on an address of its own."""

from __future__ import annotations

from typing import NamedTuple

from demo.lab import Host
from tests.e2e.bird import Bird

STOCK4, STOCK6, TOR, TOR6 = "192.168.78.22", "2001:db8:78::22", "192.168.78.254", "2001:db8:78::fe"
FROM_STOCK = frozenset({"192.168.50.64/26", "192.168.60.1/32"})
FROM_TOR = frozenset({"172.16.0.0/12", "192.168.130.0/24", "10.50.0.0/16"})
SIX_STOCK = "fd80::50:40/122"
SIX_FROM_TOR = frozenset({"2001:db8:f00::/48", "2001:db8:f01::/48"})

STOCK = """
log stderr all;
router id 192.168.78.22;
ipv4 table master4; ipv6 table master6;
protocol device {{ scan time 2; }}
protocol static {{ ipv4; route 192.168.50.64/26 blackhole; route 192.168.60.1/32 blackhole; }}
protocol static {{ ipv6; route fd80::50:40/122 blackhole; }}
template bgp node {{ multihop; graceful restart on; connect delay time 1; connect retry time 1; error wait time 1,2; }}
protocol bgp Mesh from node {{
    local 192.168.78.22 as 64512; neighbor {ours.ipv4} as {ours.asn}; {ours.options}
    ipv4 {{ import all; export where source = RTS_STATIC; add paths on; }};
}}
protocol bgp Mesh6 from node {{
    local 2001:db8:78::22 as 64512; neighbor 2001:db8:78::21 as {ours.asn}; {ours.options}
    ipv6 {{ import all; export where source = RTS_STATIC; }};
}}
"""

ROUTER = """
log stderr all;
router id {router.address};
ipv4 table master4; ipv6 table master6;
protocol device {{ scan time 2; }}
protocol static {{ ipv4; route 172.16.0.0/12 blackhole; route 192.168.130.0/24 blackhole;
    route 10.50.0.0/16 blackhole {{
        bgp_community.add((65001,50)); bgp_large_community.add((65001,50,1)); bgp_path.prepend(65099);
    }}; }}
protocol static {{ ipv6; route 2001:db8:f00::/48 blackhole;
    route 2001:db8:f01::/48 blackhole {{ bgp_community.add((65001,50)); bgp_path.prepend(65099); }}; }}
filter onward {{
    if source != RTS_STATIC then reject;
    {router.changes}
    accept;
}}
template bgp waits {{
    passive on; strict bind on; connect delay time 1; connect retry time 1; error wait time 1,2;
    {router.options}
}}
protocol bgp four from waits {{
    local {router.address} port {router.port} as {router.asn}; neighbor 192.168.78.21 as {router.ours};
    ipv4 {{ import all; export filter onward; }};
}}
protocol bgp six from waits {{
    local {router.address6} port {router.port} as {router.asn}; neighbor 2001:db8:78::21 as {router.ours};
    ipv6 {{ import all; export filter onward; }};
}}
"""


class Ours(NamedTuple):
    """What the stock node has been told of us."""

    ipv4: str = "192.168.78.21"
    asn: int = 64512
    options: str = ""


class Router(NamedTuple):
    """One of the routers, by the last part of its address; `ours` is the AS that it expects of the node, `far` an IPv4
    address to which no link of the node leads."""

    last: int
    asn: int = 65001
    ours: int = 64512
    port: int = 179
    options: str = ""
    changes: str = ""
    far: str = ""

    @property
    def address(self) -> str:
        return self.far or f"192.168.78.{self.last}"

    @property
    def address6(self) -> str:
        return f"2001:db8:78::{self.last:x}"

    def protocol(self, address: str) -> str:
        return "six" if ":" in address else "four"


ROUTERS = (
    Router(254),
    Router(253, port=1790),
    Router(252, options='password "hunter2";'),
    Router(251, options="ttl security on;"),
    Router(250, asn=64512),
    Router(249, asn=65002),
    Router(248, asn=65546),
    Router(247, changes="bgp_path.prepend(64512);"),
    Router(246, ours=64999),
    Router(245, asn=64512, changes="bgp_local_pref = 2147483135;"),  # the priority 512
    Router(244, options="multihop;", far="10.99.0.1"),
)


class StockNode(Bird):
    """The other node; it can be told anew what it has to expect of us."""

    def __init__(self, host: Host) -> None:
        self.ours = Ours()
        super().__init__(host, STOCK.format(ours=self.ours))

    def expect(self, ours: Ours) -> None:
        if ours != self.ours:
            self.ours = ours
            self.reconfigure(STOCK.format(ours=ours))


def start_routers(host: Host) -> dict[str, tuple[Router, Bird]]:
    """All of them on one host, by address; each listens on its own."""
    found: dict[str, tuple[Router, Bird]] = {}
    for router in ROUTERS:
        if router.address != host.address:
            where = [f"{router.far}/32", "dev", "lo"] if router.far else [f"{router.address}/24", "dev", host.interface]
            host.run("ip", "address", "add", *where)
            host.run("ip", "address", "add", f"{router.address6}/64", "dev", host.interface, "nodad")
        bird = Bird(host, ROUTER.format(router=router), f"router{router.last}")
        bird.start()
        found[router.address] = found[router.address6] = (router, bird)
    return found
