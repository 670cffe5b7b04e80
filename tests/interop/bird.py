"""BIRD 2."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from tests.interop.daemon import (
    OURS,
    Daemon,
    Neighbor,
    NotSeen,
    Originated,
    Seen,
    Setup,
    numbers,
    option,
    steady,
    until,
)

SESSION: dict[str, Any] = {
    "passive": "passive on;",
    "password": 'password "{}";',
    "ttl_security": "ttl security on; direct;",
    "multihop": "multihop {};",
    "hold_time": "hold time {};",
    "keepalive": "keepalive time {};",
    "graceful_restart": "graceful restart on; graceful restart time {};",
    "long_lived": "long lived graceful restart on; long lived stale time {};",
    "role": "local role {};",
    "role_strict": "require roles on;",
    "rr_client": "rr client;",
    "rs_client": "rs client;",
    "cluster_id": "rr cluster id {};",
    "extended_messages": "enable extended messages on;",
    "hostname": "advertise hostname on;",
    "allow_own_as": "allow local as {};",
    "four_octet_as": lambda on: "" if on == "yes" else "enable as4 off;",
    "route_refresh": lambda on: "" if on == "yes" else "enable route refresh off;",
    "keep_first_as": "enforce first as off;",
}
CHANNEL: dict[str, Any] = {
    "add_path": lambda how: "add paths {};".format({"receive": "rx", "send": "tx", "both": "on"}[how]),
    "extended_next_hop": "extended next hop on;",
    "max_prefix": "import limit {} action disable;",
    "max_prefix_out": "export limit {} action block;",
    "next_hop_self": "next hop self;",
    "next_hop_unchanged": "next hop keep;",
    "next_hop": "next hop address {};",
    "export_all": "",
}
KINDS = {"ipv4": "ipv4", "ipv6": "ipv6", "flow4": "flow4", "flow6": "flow6"}


class Bird(Daemon):
    name: ClassVar[str] = "bird"
    package: ClassVar[str] = "bird2"
    binary: ClassVar[str] = "bird"

    def configuration(self, setup: Setup) -> str:
        text = ["log stderr all;", f"router id {setup.router_id};", "graceful restart wait 15;", "protocol device {}"]
        families = {family for neighbor in setup.neighbors for family in neighbor.families}
        if "flow4" in families:
            text.append("flow4 table flowtab4;")
        if "flow6" in families:
            text.append("flow6 table flowtab6;")
        for kind in ("4", "6"):
            routes = [_static(route) for route in setup.routes if route.v6 == (kind == "6")]
            text.append(f"protocol static static{kind} {{ ipv{kind}; {' '.join(routes)} }}")
        text += ["protocol direct { ipv4; ipv6; }"]
        for family, rule in setup.options.items():
            text.append(f"protocol static {family}s {{ {family} {{ table flowtab{family[-1]}; }}; {rule} }}")
        more = setup.more
        for number, neighbor in enumerate(setup.neighbors):
            text.append(self._neighbor(setup, neighbor, number, more))
            more = ""
        return "\n".join(text) + "\n"

    def _neighbor(self, setup: Setup, neighbor: Neighbor, number: int, more: str) -> str:
        ours = {key: value for key, value in neighbor.options.items() if key not in CHANNEL and key != "dynamic"}
        kept = {key: value for key, value in neighbor.options.items() if key in CHANNEL}
        asn = ours.pop("local_as", setup.asn)
        dynamic = neighbor.options.get("dynamic")
        where = f"range {dynamic}" if dynamic else neighbor.address.partition("%")[0]
        own = neighbor.own.partition("%")[0]
        interface = ours.pop("interface", None)
        lines = [f"protocol bgp p{number} {{", f"local {own} as {asn};", f"neighbor {where} as {neighbor.asn};"]
        if interface:
            lines.append(f'interface "{interface}";')
        lines += [
            *option(SESSION, ours, "BIRD"),
            "connect delay time 1; connect retry time 1; error wait time 1,2;",
            more,
        ]
        everything = "export_all" in kept
        for family in neighbor.families:
            inside = option(CHANNEL, kept, "BIRD")
            if family.startswith("flow"):
                lines.append(f"{family} {{ table flowtab{family[-1]}; import all; export all; }};")
                continue
            accepted = "source = RTS_STATIC || source = RTS_BGP" if everything else "source = RTS_STATIC"
            # MED goes to external peers only when the export filter itself sets it
            med = "if source = RTS_STATIC && defined(bgp_med) then bgp_med = bgp_med;"
            which = f"export filter {{ if ! ({accepted}) then reject; {med} accept; }};"
            lines.append(f"{KINDS[family]} {{ import keep filtered; import all; {which} {' '.join(inside)} }};")
        return "\n".join([*lines, "}"])

    async def start(self, setup: Setup, *, graceful: bool = False) -> None:
        self.setup = setup
        file, self.socket = self.folder / "bird.conf", str(self.folder / "bird.ctl")
        file.write_text(self.configuration(setup))
        words = [self.path(), "-f", "-c", str(file), "-s", self.socket, *(["-R"] if graceful else [])]
        self.process = self.host.start("bird", *words)
        await self.answers(self._up)

    async def _up(self) -> bool:
        return "Router ID" in await self.ctl("show", "status")

    async def check(self, setup: Setup) -> str:
        file = self.folder / "check.conf"
        file.write_text(self.configuration(setup))
        status, text = await self.execute(self.path(), "-p", "-c", str(file))
        return steady(text.replace(str(file), "bird.conf"), 1) if status else ""

    async def ctl(self, *words: str) -> str:
        return (
            await self.execute(self.path("birdc"), "-r" if words[0] == "show" else "-v", "-s", self.socket, *words)
        )[1]

    def _which(self, address: str) -> str:
        return next(f"p{i}" for i, one in enumerate(self.setup.neighbors) if one.address == address)

    async def established(self, address: str) -> bool:
        return "BGP state:          Established" in await self.told(address)

    async def told(self, address: str) -> str:
        return await self.ctl("show", "protocols", "all", self._which(address))

    async def routes(self, address: str = OURS) -> dict[str, list[Seen]]:
        found: dict[str, list[Seen]] = {}
        for table in ("master4", "master6"):
            text = await self.ctl("show", "route", "all", "table", table, "protocol", self._which(address))
            for prefix, block in _blocks(text):
                found.setdefault(prefix, []).append(_seen(prefix, block))
        return found

    async def table_of(self, family: str) -> str:
        return await self.ctl("show", "route", "all", "table", f"flowtab{family[-1]}", "protocol", "p0")

    async def refresh(self, address: str) -> None:
        await self.ctl("reload", "in", self._which(address))

    async def shut_down(self, address: str, text: str) -> None:
        await self.ctl("disable", self._which(address), f'"{text}"')

    async def reset(self, address: str) -> None:
        await self.ctl("restart", self._which(address))

    async def withdraw(self, prefix: str) -> None:
        routes = tuple(route for route in self.setup.routes if route.prefix != prefix)
        await self.reconfigure(Setup(**{**vars(self.setup), "routes": routes}))

    async def reconfigure(self, setup: Setup) -> None:
        self.setup = setup
        (self.folder / "bird.conf").write_text(self.configuration(setup))
        answer = await self.ctl("configure")
        if "error" in answer.lower():
            raise NotSeen(answer)
        await until("BIRD reconfigured", self._up)


def _static(route: Originated) -> str:
    inside = []
    if route.med is not None:
        inside.append(f"bgp_med = {route.med};")
    if route.local_pref is not None:
        inside.append(f"bgp_local_pref = {route.local_pref};")
    for community in route.communities:
        inside.append(f"bgp_community.add(({community.replace(':', ',')}));")
    for community in route.large_communities:
        inside.append(f"bgp_large_community.add(({community.replace(':', ',')}));")
    return f"route {route.prefix} blackhole {{ {' '.join(inside)} }};" if inside else f"route {route.prefix} blackhole;"


def _blocks(text: str) -> list[tuple[str, str]]:
    """(prefix, lines) of each path of `show route all`."""
    found: list[tuple[str, list[str]]] = []
    prefix = ""
    for line in text.splitlines():
        start = re.match(r"(?:\d{4}-)?(\S*)\s+(?:unicast|blackhole|unreachable)?.*\[p\d+ ", line)
        if start and not line.startswith("\t"):
            prefix = start.group(1) or prefix
            found.append((prefix, [line]))
        elif found and not line.startswith("Table"):
            found[-1][1].append(line)
    return [(prefix, "\n".join(lines)) for prefix, lines in found]


def _value(block: str, name: str) -> str | None:
    # birdc breaks long lines
    match = re.search(rf"\t(?:BGP\.)?{name}: ?(.*?)(?=\n\s+[\w.]+:|\Z)", block, re.DOTALL)
    return None if match is None else " ".join(match.group(1).split())


def _communities(text: str | None) -> frozenset[str]:
    return frozenset(re.sub(r"\s", "", one).replace(",", ":") for one in re.findall(r"\(([^)]*)\)", text or ""))


def _seen(prefix: str, block: str) -> Seen:
    med, preference = _value(block, "med"), _value(block, "local_pref")
    cluster = _value(block, "cluster_list")
    return Seen(
        prefix=prefix,
        next_hop=(_value(block, "next_hop") or "").split(" ")[0],
        as_path=numbers(_value(block, "as_path") or ""),
        origin=(_value(block, "origin") or "").lower(),
        med=None if med is None else int(med),
        local_pref=None if preference is None else int(preference),
        communities=_communities(_value(block, "community")),
        large_communities=_communities(_value(block, "large_community")),
        extended_communities=_communities(_value(block, "ext_community")),
        originator_id=_value(block, "originator_id"),
        cluster_list=tuple(cluster.split()) if cluster else (),
        stale=bool(re.search(r"\[p\d+ [^\]]*\] .*\(\S*s", block.splitlines()[0])) or "s2" in block.splitlines()[0],
        text=block,
    )
