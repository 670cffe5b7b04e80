"""OpenBGPD: `bgpd -d` with a control socket of its own, asked by `bgpctl -j`."""

from __future__ import annotations

import json
import pwd
from pathlib import Path
from typing import Any, ClassVar

from tests.interop.daemon import OURS, Daemon, Neighbor, NotSeen, Originated, Seen, Setup, numbers, option, steady

WORDS: dict[str, Any] = {
    "passive": "passive",
    "password": 'tcp md5sig password "{}"',
    "ttl_security": "ttl-security yes",
    "multihop": "multihop {}",
    "hold_time": "holdtime {}",
    "graceful_restart": "announce restart yes",
    "rr_client": "route-reflector",
    "cluster_id": "",  # the value of route-reflector
    "as_override": "as-override yes",
    "local_as": "local-as {}",
    "add_path": lambda how: {
        "receive": "announce add-path recv yes",
        "send": "announce add-path send all",
        "both": "announce add-path recv yes\nannounce add-path send all",
    }[how],
    "max_prefix": "max-prefix {}",
    "max_prefix_out": "max-prefix {} out",
    "enhanced_refresh": "announce enhanced refresh yes",
    "role": "announce policy {}",
    "remove_private_as": "",
    "rs_client": "transparent-as yes",
    "dynamic": "",
    "next_hop": "",
    "extended_messages": "",
    "interface": "",
    "hostname": "",
    "export_all": "",
    "next_hop_self": "",
    "next_hop_unchanged": "",
    "four_octet_as": "",
    "route_refresh": "",
    "keep_first_as": "enforce neighbor-as no",
}
NAMES = {"ipv4": "IPv4 unicast", "ipv6": "IPv6 unicast", "flow4": "IPv4 flowspec", "flow6": "IPv6 flowspec"}


class OpenBgpd(Daemon):
    name: ClassVar[str] = "openbgpd"
    package: ClassVar[str] = "openbgpd"
    binary: ClassVar[str] = "bgpd"
    places: ClassVar[str] = "/usr/sbin"

    def configuration(self, setup: Setup) -> str:
        text = [f"AS {setup.asn}", f"router-id {setup.router_id}", f'socket "{self.folder / "bgpd.sock"}"']
        text += ["fib-update no", "nexthop qualify via default", "connect-retry 1", "log updates"]
        for own in dict.fromkeys(neighbor.own for neighbor in setup.neighbors):
            text.append(f"listen on {own}")
        for key, value in setup.options.items():
            text.append(str(value) if key.startswith("line") else f"{key} {value}")
        text += [_network(route) for route in setup.routes]
        more = setup.more
        for neighbor in setup.neighbors:
            text.append(self._neighbor(neighbor, more))
            more = ""
        text += ["allow from any", "allow to any"]
        if any("ipv6" in neighbor.families and ":" not in neighbor.own for neighbor in setup.neighbors):
            # beside an IPv4 session it would take ::1 for its own address
            text.append("match to any inet6 set nexthop 2001:db8::2")
        for neighbor in setup.neighbors:
            if neighbor.options.get("next_hop_self"):
                text.append(f"match to {neighbor.address} set nexthop self")
            if neighbor.options.get("next_hop_unchanged"):
                text.append(f"match to {neighbor.address} set nexthop no-modify")
        return "\n".join(text) + "\n"

    def _neighbor(self, neighbor: Neighbor, more: str) -> str:
        where = neighbor.options.get("dynamic") or neighbor.address
        lines = [f"neighbor {where} {{", f"remote-as {neighbor.asn}", f"local-address {neighbor.own}"]
        lines += [f"announce {NAMES[family]}" for family in neighbor.families]
        if "ipv6" in neighbor.families and ":" not in neighbor.own:
            lines.append("local-address 2001:db8::2")
        if "ipv4" not in neighbor.families:
            lines.append("announce IPv4 none")
        options = dict(neighbor.options)
        if options.get("rr_client") and options.get("cluster_id"):
            options["rr_client"] = None
            lines.append(f"route-reflector {options['cluster_id']}")
        return "\n".join([*lines, *option(WORDS, options, "OpenBGPD"), more, "}"])

    async def start(self, setup: Setup, *, graceful: bool = False) -> None:
        self.setup = setup
        file = self.folder / "bgpd.conf"
        file.write_text(self.configuration(setup))
        file.chmod(0o600)
        # It shuts its children up in its user's home, which systemd would have made.
        _make(Path(pwd.getpwnam("_openbgpd").pw_dir))
        self.process = self.host.start("openbgpd", self.path(), "-d", "-v", "-f", str(file))
        await self.answers(self._up)

    async def _up(self) -> bool:
        return (await self.execute(*self._ctl("show")))[0] == 0

    def _ctl(self, *words: str) -> list[str]:
        return [self.path("bgpctl"), "-s", str(self.folder / "bgpd.sock"), *words]

    async def ask(self, *words: str) -> str:
        status, text = await self.execute(*self._ctl(*words))
        if status:
            raise NotSeen(f"bgpctl {' '.join(words)}: {text.strip()}")
        return text

    async def check(self, setup: Setup) -> str:
        file = self.folder / "check.conf"
        file.write_text(self.configuration(setup))
        file.chmod(0o600)
        status, text = await self.execute(self.path(), "-n", "-f", str(file))
        return steady(text.replace(str(file), "bgpd.conf"), 1) if status else ""

    async def established(self, address: str) -> bool:
        return '"state": "Established"' in (await self.execute(*self._ctl("-j", "show", "neighbor", address)))[1]

    async def told(self, address: str) -> str:
        return (await self.execute(*self._ctl("show", "neighbor", address)))[1]

    async def routes(self, address: str = OURS) -> dict[str, list[Seen]]:
        text = await self.ask("-j", "show", "rib", "detail", "neighbor", address)
        found: dict[str, list[Seen]] = {}
        for path in json.loads(text).get("rib", []):
            found.setdefault(path["prefix"], []).append(_seen(path))
        return found

    async def refresh(self, address: str) -> None:
        await self.ask("neighbor", address, "refresh")

    async def shut_down(self, address: str, text: str) -> None:
        await self.ask("neighbor", address, "down", text)

    async def reset(self, address: str) -> None:
        await self.ask("neighbor", address, "clear")

    async def withdraw(self, prefix: str) -> None:
        await self.ask("network", "delete", prefix)


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o755, exist_ok=True)


def _network(route: Originated) -> str:
    inside = ["nexthop 2001:db8::2"] if route.v6 else []
    if route.med is not None:
        inside.append(f"metric {route.med}")
    if route.local_pref is not None:
        inside.append(f"localpref {route.local_pref}")
    inside += [f"community {one}" for one in route.communities]
    inside += [f"large-community {one}" for one in route.large_communities]
    return f"network {route.prefix}" + (f" set {{ {' '.join(inside)} }}" if inside else "")


NAMED = {
    "GRACEFUL_SHUTDOWN": "65535:0", "BLACKHOLE": "65535:666", "NO_EXPORT": "65535:65281",
    "NO_ADVERTISE": "65535:65282", "NO_EXPORT_SUBCONFED": "65535:65283", "NO_PEER": "65535:65284",
}  # fmt: skip


def _seen(path: dict[str, Any]) -> Seen:
    other = {one.get("type", "").lower().replace(" ", "_"): one for one in path.get("attributes", [])}
    med = path.get("metric")
    return Seen(
        prefix=path["prefix"],
        next_hop=path.get("exit_nexthop"),
        as_path=numbers(path.get("aspath", "")),
        origin=str(path.get("origin", "")).lower(),
        med=None if med is None else int(med),
        local_pref=path.get("localpref"),
        communities=frozenset(NAMED.get(one, one) for one in path.get("communities", [])),
        large_communities=frozenset(path.get("large_communities", [])),
        extended_communities=frozenset(path.get("extended_communities", [])),
        originator_id=path.get("originator") or str(other.get("originator_id", {}).get("originator", "") or "") or None,
        cluster_list=tuple(path.get("cluster_list") or other.get("cluster-list", {}).get("cluster_list") or ()),
        stale=bool(path.get("stale")),
        text=json.dumps(path),
    )
