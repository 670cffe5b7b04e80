"""FRR: its `bgpd` with a `zebra` of its own for interfaces and next hops, no service and no file outside the lab."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, ClassVar

from tests.interop.daemon import (
    OURS,
    Daemon,
    Neighbor,
    Originated,
    Refused,
    Seen,
    Setup,
    last_words,
    numbers,
    option,
    steady,
)

NEIGHBOR: dict[str, Any] = {
    "passive": "neighbor {peer} passive",
    "password": "neighbor {peer} password {}",
    "ttl_security": "neighbor {peer} ttl-security hops {}",
    "multihop": "neighbor {peer} ebgp-multihop {}",
    "extended_messages": "",  # always offered
    "hostname": "",  # always told
    "role": "neighbor {peer} local-role {}",
    "role_strict": "",  # a word of the line before
    "local_as": "neighbor {peer} local-as {} no-prepend replace-as",
    "interface": "",
    "graceful_restart": "neighbor {peer} graceful-restart",
    "long_lived": "",  # of the whole daemon
    "graceful_notification": "bgp graceful-restart notification\n no bgp hard-administrative-reset",
    "four_octet_as": "",
    "dynamic": "",
    "cluster_id": "",
    "software_version": "neighbor {peer} capability software-version",
    "route_refresh": "",
    "extended_next_hop": "neighbor {peer} capability extended-nexthop",
    "export_all": "",
    "keep_first_as": "no neighbor {peer} enforce-first-as",
}
FAMILY: dict[str, Any] = {
    "add_path": lambda how: "" if how == "receive" else "neighbor {peer} addpath-tx-all-paths",
    "rr_client": "neighbor {peer} route-reflector-client",
    "rs_client": "neighbor {peer} route-server-client",
    "allow_own_as": "neighbor {peer} allowas-in {}",
    "max_prefix": "neighbor {peer} maximum-prefix {}",
    "max_prefix_out": "neighbor {peer} maximum-prefix-out {}",
    "next_hop_self": "neighbor {peer} next-hop-self force",
    "next_hop_unchanged": "neighbor {peer} attribute-unchanged next-hop",
    "remove_private_as": "neighbor {peer} remove-private-AS all",
    "as_override": "neighbor {peer} as-override",
    "next_hop": "",
}
NAMES = {
    "ipv4": "ipv4 unicast",
    "ipv6": "ipv6 unicast",
    "flow4": "ipv4 flowspec",
    "flow6": "ipv6 flowspec",
    "label4": "ipv4 labeled-unicast",
}


class Frr(Daemon):
    name: ClassVar[str] = "frr"
    package: ClassVar[str] = "frr"
    binary: ClassVar[str] = "bgpd"
    places: ClassVar[str] = "/usr/lib/frr:/usr/bin"

    def configuration(self, setup: Setup) -> str:
        top: list[str] = ["hostname frr-of-the-lab", "log stdout informational", "debug bgp neighbor-events"]
        router = [f"router bgp {setup.asn}", f" bgp router-id {setup.router_id}", " no bgp default ipv4-unicast"]
        router += [" no bgp ebgp-requires-policy", " no bgp network import-check", " bgp log-neighbor-changes"]
        for key, value in setup.options.items():
            router.append(f" {value}" if key.startswith("line") else f" {key} {value}")
        after: list[str] = []
        maps: dict[Originated, str] = {}
        for route in setup.routes:
            alike = replace(route, prefix="")
            if alike in maps:
                continue
            number = len(maps)
            maps[alike] = f"R{number}"
            lines = [f"set metric {route.med}" if route.med is not None else ""]
            lines.append(f"set local-preference {route.local_pref}" if route.local_pref is not None else "")
            lines.append(f"set community {' '.join(route.communities)}" if route.communities else "")
            lines.append(f"set large-community {' '.join(route.large_communities)}" if route.large_communities else "")
            after += [f"route-map R{number} permit 10", *(f" {line}" for line in lines if line), "exit"]
        families = {family: [] for family in ("ipv4", "ipv6")}  # type: dict[str, list[str]]
        more = setup.more
        for neighbor in setup.neighbors:
            self._neighbor(setup, neighbor, router, families)
            router += [f" {line}" for line in more.splitlines()]
            more = ""
        for route in setup.routes:
            name = maps[replace(route, prefix="")]
            families["ipv6" if route.v6 else "ipv4"].append(f"network {route.prefix} route-map {name}")
        for family, lines in families.items():
            if not lines:
                continue
            router += [f" address-family {NAMES[family]}", *(f"  {line}" for line in lines), " exit-address-family"]
        return "\n".join([*top, *after, *router, "exit"]) + "\n"

    def _neighbor(self, setup: Setup, neighbor: Neighbor, router: list[str], families: dict[str, list[str]]) -> None:
        options = dict(neighbor.options)
        peer = neighbor.address.partition("%")[0]
        if options.get("dynamic"):
            router += [" neighbor DYN peer-group", f" neighbor DYN remote-as {neighbor.asn}"]
            router.append(f" bgp listen range {options['dynamic']} peer-group DYN")
            peer = "DYN"
        else:
            router.append(f" neighbor {peer} remote-as {neighbor.asn}")
            router.append(f" neighbor {peer} update-source {neighbor.own.partition('%')[0]}")
        if options.get("interface"):
            router.pop()
            router.append(f" neighbor {peer} interface {options['interface']}")
        if "hold_time" in options or "keepalive" in options:
            hold = options.pop("hold_time", 90)
            router.append(f" neighbor {peer} timers {options.pop('keepalive', max(1, int(hold) // 3))} {hold}")
        router.append(f" neighbor {peer} timers connect 1")
        router.append(f" neighbor {peer} advertisement-interval 0")
        if options.get("graceful_restart"):
            router.append(f" bgp graceful-restart restart-time {options['graceful_restart']}")
            router.append(" bgp graceful-restart")
            router.append(" bgp graceful-restart preserve-fw-state")
            options.pop("graceful_restart")
        if options.get("long_lived"):
            router.append(f" bgp long-lived-graceful-restart stale-time {options['long_lived']}")
        if options.get("cluster_id"):
            router.append(f" bgp cluster-id {options['cluster_id']}")
        if options.get("role") and options.get("role_strict"):
            options["role"] = f"{options['role']} strict-mode"
        general = {key: value for key, value in options.items() if key not in FAMILY}
        inside = {key: value for key, value in options.items() if key in FAMILY}
        words = _for(peer, NEIGHBOR)
        router += [f" {line}" for line in option(words, general, "FRR") if line]
        for family in neighbor.families:
            lines = families.setdefault(family, [])
            lines.append(f"neighbor {peer} activate")
            lines += [line for line in option(_for(peer, FAMILY), inside, "FRR") if line]

    async def start(self, setup: Setup, *, graceful: bool = False) -> None:
        self.setup = setup
        file = self.folder / "bgpd.conf"
        file.write_text(self.configuration(setup))
        common = ["-u", "root", "-g", "frrvty", "--vty_socket", str(self.folder), "-z", str(self.folder / "zserv.api")]
        if self.process is None:
            zebra = self.path("zebra")
            pid = str(self.folder / "zebra.pid")
            self.zebra = self.host.start("zebra", zebra, *common, "-P", "0", "-i", pid, "-f", "/dev/null", "-r")
            await self.answers(lambda: self._said("zebra", "show version"))
        pid = str(self.folder / "bgpd.pid")
        self.process = self.host.start("frr", self.path(), *common, "-P", "0", "-i", pid, "-f", str(file))
        await self.answers(lambda: self._said("bgpd", "show version"))
        refused = [line for line in self.log().splitlines() if "No such command" in line or "% " in line]
        if refused:
            raise Refused(last_words("\n".join(refused), 1))

    async def _said(self, daemon: str, command: str) -> str:
        words = [self.path("vtysh"), "--vty_socket", str(self.folder), "-d", daemon, "-c", command]
        status, text = await self.execute(*words)
        return "" if status else text

    async def vty(self, *commands: str) -> str:
        words = [word for command in commands for word in ("-c", command)]
        return (await self.execute(self.path("vtysh"), "--vty_socket", str(self.folder), "-d", "bgpd", *words))[1]

    async def check(self, setup: Setup) -> str:
        file = self.folder / "check.conf"
        file.write_text(self.configuration(setup))
        common = ["-u", "root", "-g", "frrvty", "--vty_socket", str(self.folder), "-i", str(self.folder / "check.pid")]
        status, text = await self.execute(self.path(), *common, "-C", "-f", str(file))
        refused = [line for line in text.splitlines() if "No such command" in line or "% " in line]
        return steady("\n".join(refused) or text) if status or refused else ""

    async def established(self, address: str) -> bool:
        return "BGP state = Established" in await self.told(address)

    async def told(self, address: str) -> str:
        return await self.vty(f"show bgp neighbors {address.partition('%')[0]}")

    async def routes(self, address: str = OURS) -> dict[str, list[Seen]]:
        found: dict[str, list[Seen]] = {}
        for family in ("ipv4", "ipv6"):
            table = documents(await self.vty(f"show bgp {family} unicast json"))
            prefixes = list(table[0].get("routes", {})) if table else []
            for start in range(0, len(prefixes), 64):
                words = [f"show bgp {family} unicast {prefix} json" for prefix in prefixes[start : start + 64]]
                for one in documents(await self.vty(*words)):
                    for path in one.get("paths", []):
                        if path.get("peer", {}).get("peerId") in (address, address.partition("%")[0]):
                            found.setdefault(one["prefix"], []).append(_seen(one["prefix"], path))
        return found

    async def table_of(self, family: str) -> str:
        if family == "flow4":
            return await self.vty("show bgp ipv4 flowspec detail")
        prefixes = documents(await self.vty("show bgp ipv4 labeled-unicast json"))[0].get("routes", {})
        return await self.vty(*(f"show bgp ipv4 labeled-unicast {prefix}" for prefix in prefixes)) if prefixes else ""

    async def refresh(self, address: str) -> None:
        await self.vty(f"clear bgp {address} in")

    async def shut_down(self, address: str, text: str) -> None:
        asn = self.setup.asn
        await self.vty("configure terminal", f"router bgp {asn}", f"neighbor {address} shutdown message {text}")

    async def reset(self, address: str) -> None:
        await self.vty(f"clear bgp {address}")

    async def withdraw(self, prefix: str) -> None:
        family = "ipv6 unicast" if ":" in prefix else "ipv4 unicast"
        asn = self.setup.asn
        await self.vty("configure terminal", f"router bgp {asn}", f"address-family {family}", f"no network {prefix}")


def documents(text: str) -> list[dict[str, Any]]:
    """The JSON objects that stand one after the other in a text; what is none is passed over."""
    found, decoder, at = [], json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            one, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            break
        found.append(one)
        at = text.find("{", at)
    return found


def _for(peer: str, words: dict[str, Any]) -> dict[str, Any]:
    def say(how: Any) -> Any:
        return lambda value: (how(value) if callable(how) else how).replace("{peer}", peer).replace("{}", str(value))

    return {name: say(how) for name, how in words.items()}


def _seen(prefix: str, path: dict[str, Any]) -> Seen:
    hops = path.get("nexthops", [])
    best = next((hop for hop in hops if hop.get("scope") != "link-local"), hops[0] if hops else {})
    return Seen(
        prefix=prefix,
        next_hop=best.get("ip"),
        as_path=numbers(path.get("aspath", {}).get("string", "")),
        origin=str(path.get("origin", "")).lower(),
        med=path.get("metric", path.get("med")),
        local_pref=path.get("locPrf", path.get("localpref")),
        communities=frozenset(_plain(one) for one in path.get("community", {}).get("string", "").split()),
        large_communities=frozenset(path.get("largeCommunity", {}).get("string", "").split()),
        extended_communities=frozenset(path.get("extendedCommunity", {}).get("string", "").split()),
        originator_id=path.get("originatorId"),
        cluster_list=tuple(path.get("clusterList", {}).get("list", [])),
        stale=bool(path.get("stale")),
        text=json.dumps(path),
    )


KNOWN = {
    "gracefulShutdown": "65535:0", "graceful-shutdown": "65535:0", "blackhole": "65535:666",
    "noExport": "65535:65281", "no-export": "65535:65281",
    "noAdvertise": "65535:65282", "no-advertise": "65535:65282",
    "localAs": "65535:65283", "local-AS": "65535:65283", "noPeer": "65535:65284", "no-peer": "65535:65284",
    "llgrStale": "65535:6", "llgr-stale": "65535:6", "noLlgr": "65535:7", "no-llgr": "65535:7",
}  # fmt: skip


def _plain(word: str) -> str:
    return KNOWN.get(word, word)
