"""GoBGP: `gobgpd` from a TOML file, asked by `gobgp -j`."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from tests.interop.daemon import OURS, Daemon, Neighbor, NotSeen, Originated, Seen, Setup, option, steady

NAMES = {
    "ipv4": "ipv4-unicast",
    "ipv6": "ipv6-unicast",
    "flow4": "ipv4-flowspec",
    "flow6": "ipv6-flowspec",
    "label4": "ipv4-labelled-unicast",
}
WORDS: dict[str, Any] = {
    "passive": "transport passive-mode = true",
    "password": 'config auth-password = "{}"',
    "ttl_security": "ttl-security enabled = true\nttl-security ttl-min = 255",
    "multihop": "ebgp-multihop enabled = true\nebgp-multihop multihop-ttl = {}",
    "hold_time": "timers hold-time = {}",
    "keepalive": "timers keepalive-interval = {}",
    "graceful_restart": "graceful-restart enabled = true\ngraceful-restart restart-time = {}",
    "graceful_notification": "graceful-restart notification-enabled = true",
    "long_lived": "graceful-restart long-lived-enabled = true",
    "rr_client": "route-reflector route-reflector-client = true",
    "cluster_id": 'route-reflector route-reflector-cluster-id = "{}"',
    "rs_client": "route-server route-server-client = true",
    "allow_own_as": "as-path-options allow-own-as = {}",
    "as_override": "as-path-options replace-peer-as = true",
    "remove_private_as": 'config remove-private-as = "all"',
    "local_as": "config local-as = {}",
    "add_path": lambda how: {
        "receive": "add-paths receive = true",
        "send": "add-paths send-max = 8",
        "both": "add-paths receive = true\nadd-paths send-max = 8",
    }[how],
    "max_prefix": "",
    "dynamic": "",
    "extended_next_hop": "",
    "hostname": "",
    "four_octet_as": "",
    "route_refresh": "",
    "next_hop": "",
    "interface": "",
    "extended_messages": "",
    "export_all": "",
    "next_hop_self": "",
    "keep_first_as": "",
}


class GoBgp(Daemon):
    name: ClassVar[str] = "gobgp"
    package: ClassVar[str] = "gobgpd"
    binary: ClassVar[str] = "gobgpd"

    def configuration(self, setup: Setup) -> str:
        text = ["[global.config]", f"as = {setup.asn}", f'router-id = "{setup.router_id}"']
        owns = dict.fromkeys(neighbor.own for neighbor in setup.neighbors if "%" not in neighbor.own) or ["::"]
        text.append(f"local-address-list = [{', '.join(json.dumps(own) for own in owns)}]")
        more = setup.more
        for neighbor in setup.neighbors:
            text.append(self._neighbor(neighbor, more))
            more = ""
        for key, value in setup.options.items():
            text.append(str(value) if key.startswith("line") else f"{key} = {value}")
        return "\n".join(text) + "\n"

    def _neighbor(self, neighbor: Neighbor, more: str) -> str:
        dynamic = neighbor.options.get("dynamic")
        kind = "peer-groups" if dynamic else "neighbors"
        sections: dict[str, list[str]] = {
            "config": [],
            "timers": ["connect-retry = 1", "idle-hold-time-after-reset = 1"],
        }
        if dynamic:
            sections["config"].append('peer-group-name = "dyn"')
        else:
            sections["config"].append(f'neighbor-address = "{neighbor.address}"')
            sections["transport"] = [f'local-address = "{neighbor.own}"']
        sections["config"].append(f"peer-as = {neighbor.asn}")
        lines = "\n".join([*option(WORDS, neighbor.options, "GoBGP"), more]).splitlines()
        for line in lines:
            section, _, rest = line.strip().partition(" ")
            if rest:
                sections.setdefault(section, []).append(rest)
        text = [f"[[{kind}]]"]
        for section, entries in sections.items():
            text.append(f"[{kind}.config]" if section == "config" else f"[{kind}.{section}.config]")
            text += entries
        for family in neighbor.families:
            text += [f"[[{kind}.afi-safis]]", f"[{kind}.afi-safis.config]", f'afi-safi-name = "{NAMES[family]}"']
            if neighbor.options.get("graceful_restart"):
                text += [f"[{kind}.afi-safis.mp-graceful-restart.config]", "enabled = true"]
            if neighbor.options.get("long_lived"):
                text += [f"[{kind}.afi-safis.long-lived-graceful-restart.config]", "enabled = true"]
                text += [f"restart-time = {neighbor.options['long_lived']}"]
            if neighbor.options.get("max_prefix"):
                text += [f"[{kind}.afi-safis.prefix-limit.config]"]
                text += [f"max-prefixes = {neighbor.options['max_prefix']}"]
        if dynamic:
            text += ["[[dynamic-neighbors]]", "[dynamic-neighbors.config]"]
            text += [f'prefix = "{dynamic}"', 'peer-group = "dyn"']
        return "\n".join(text)

    async def start(self, setup: Setup, *, graceful: bool = False) -> None:
        self.setup = setup
        file = self.folder / "gobgpd.toml"
        file.write_text(self.configuration(setup))
        words = [self.path(), "-f", str(file), "--pprof-disable", "--api-hosts", "127.0.0.1:50051", "-p"]
        self.process = self.host.start("gobgp", *words, "-l", "debug", *(["-r"] if graceful else []))
        await self.answers(self._up)
        for route in setup.routes:
            await self.announce(route)

    async def _up(self) -> bool:
        status, text = await self.execute(self.path("gobgp"), "-j", "neighbor")
        return status == 0 and text.lstrip().startswith("[")

    async def announce(self, route: Originated) -> None:
        words = ["global", "rib", "-a", "ipv6" if route.v6 else "ipv4", "add", route.prefix]
        words += ["origin", "igp"]
        if route.v6:
            words += ["nexthop", "2001:db8::2"]
        if route.med is not None:
            words += ["med", str(route.med)]
        if route.local_pref is not None:
            words += ["local-pref", str(route.local_pref)]
        if route.communities:
            words += ["community", ",".join(route.communities)]
        if route.large_communities:
            words += ["large-community", ",".join(route.large_communities)]
        await self.ask(*words)

    async def ask(self, *words: str) -> str:
        status, text = await self.execute(self.path("gobgp"), *words)
        if status:
            raise NotSeen(f"gobgp {' '.join(words)}: {text.strip()}")
        return text

    async def check(self, setup: Setup) -> str:
        file = self.folder / "check.toml"
        file.write_text(self.configuration(setup))
        status, text = await self.execute(self.path(), "-d", "-p", "-f", str(file))
        return steady(text.replace(str(file), "gobgpd.toml"), 1) if status else ""

    async def _neighbors(self) -> list[dict[str, Any]]:
        status, text = await self.execute(self.path("gobgp"), "-j", "neighbor")
        return json.loads(text) if status == 0 else []

    async def established(self, address: str) -> bool:
        for neighbor in await self._neighbors():
            if neighbor["state"].get("neighbor_address", neighbor["conf"].get("neighbor_address")) == address:
                return neighbor["state"].get("session_state") in (6, "ESTABLISHED")
        return False

    async def told(self, address: str) -> str:
        return (await self.execute(self.path("gobgp"), "neighbor", address))[1]

    async def routes(self, address: str = OURS) -> dict[str, list[Seen]]:
        found: dict[str, list[Seen]] = {}
        for family in ("ipv4", "ipv6"):
            words = [self.path("gobgp"), "-j", "neighbor", address, "adj-in", "-a", family]
            status, text = await self.execute(*words)
            if status or not text.lstrip().startswith(("{", "[")):
                continue
            table = json.loads(text)
            for prefix, paths in table.items() if isinstance(table, dict) else []:
                found[prefix] = [_seen(prefix, path) for path in paths]
        return found

    async def table_of(self, family: str) -> str:
        name = {"flow4": "ipv4-flowspec", "flow6": "ipv6-flowspec", "label4": "ipv4-mpls"}[family]
        return await self.ask("-j", "neighbor", OURS, "adj-in", "-a", name)

    async def refresh(self, address: str) -> None:
        await self.ask("neighbor", address, "softresetin")

    async def shut_down(self, address: str, text: str) -> None:
        await self.ask("neighbor", address, "shutdown", "--reason", text)

    async def reset(self, address: str) -> None:
        await self.ask("neighbor", address, "reset")

    async def withdraw(self, prefix: str) -> None:
        await self.ask("global", "rib", "-a", "ipv6" if ":" in prefix else "ipv4", "del", prefix)


ORIGINS = ("igp", "egp", "incomplete")


def _seen(prefix: str, path: dict[str, Any]) -> Seen:
    attributes = {one["type"]: one for one in path["attrs"]}
    hop = attributes.get(3, {}).get("nexthop") or attributes.get(14, {}).get("nexthop")
    segments = attributes.get(2, {}).get("as_paths") or []
    numbers = attributes.get(8, {}).get("communities") or []
    large = attributes.get(32, {}).get("value") or []
    return Seen(
        prefix=prefix,
        next_hop=hop,
        as_path=tuple(asn for segment in segments for asn in segment["asns"]),
        origin=ORIGINS[attributes.get(1, {}).get("value", 0)],
        med=attributes.get(4, {}).get("metric"),
        local_pref=attributes.get(5, {}).get("value"),
        communities=frozenset(f"{one >> 16}:{one & 0xFFFF}" for one in numbers),
        large_communities=frozenset(f"{one['ASN']}:{one['LocalData1']}:{one['LocalData2']}" for one in large),
        extended_communities=frozenset(
            json.dumps(one, sort_keys=True) for one in attributes.get(16, {}).get("value") or []
        ),
        originator_id=attributes.get(9, {}).get("value"),
        cluster_list=tuple(attributes.get(10, {}).get("value") or ()),
        stale=bool(path.get("stale")),
        text=json.dumps(path),
    )
