"""ExaBGP 4. It has no table: what it tells its API process, added up, is what it has."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from tests.interop.daemon import OURS, Daemon, Neighbor, Originated, Seen, Setup, option, steady

NEIGHBOR: dict[str, Any] = {
    "passive": "passive true;",
    "password": 'md5-password "{}";',
    "ttl_security": "incoming-ttl {}; outgoing-ttl 255;",
    "hold_time": "hold-time {};",
    "hostname": "host-name {};",
    "listen": "",
    "next_hop": "",
    "export_all": "",
    "dynamic": "",
}
CAPABILITY: dict[str, Any] = {
    "graceful_restart": "graceful-restart {};",
    "add_path": lambda how: "add-path {};".format({"receive": "receive", "send": "send", "both": "send/receive"}[how]),
    "four_octet_as": lambda on: "" if on == "yes" else "asn4 disable;",
    "extended_messages": "extended-message enable;",
    "extended_next_hop": "nexthop enable;",
    "route_refresh": "",
}
NAMES = {
    "ipv4": "ipv4 unicast",
    "ipv6": "ipv6 unicast",
    "flow4": "ipv4 flow",
    "flow6": "ipv6 flow",
    "label4": "ipv4 nlri-mpls",
}
READER = Path(__file__).parent / "exabgp_reader.py"


class ExaBgp(Daemon):
    name: ClassVar[str] = "exabgp"
    package: ClassVar[str] = "exabgp"
    binary: ClassVar[str] = "exabgp"

    def configuration(self, setup: Setup) -> str:
        self.fifo, self.file = self.folder / "commands", self.folder / "told.json"
        run = f"/usr/bin/python3 {READER} {self.fifo} {self.file}"
        text = [f"process reader {{ run {run}; encoder json; }}"]
        more = setup.more
        for neighbor in setup.neighbors:
            text.append(self._neighbor(setup, neighbor, more))
            more = ""
        return "\n".join(text) + "\n"

    def _neighbor(self, setup: Setup, neighbor: Neighbor, more: str) -> str:
        where = neighbor.options.get("dynamic") or neighbor.address
        lines = [f"neighbor {where} {{", f"router-id {setup.router_id};", f"local-address {neighbor.own};"]
        options = dict(neighbor.options)
        lines += [f"local-as {options.pop('local_as', setup.asn)};", f"peer-as {neighbor.asn};"]
        if not options.get("passive"):
            lines.append("connect 179;")
        if "interface" in options:
            options.pop("interface")
        general = {key: value for key, value in options.items() if key not in CAPABILITY}
        inside = {key: value for key, value in options.items() if key in CAPABILITY}
        if options.get("dynamic"):
            lines.append("passive true; listen 179;")
        lines += option(NEIGHBOR, general, "ExaBGP")
        refresh = "" if options.get("route_refresh") == "no" else "route-refresh enable;"
        lines.append(f"capability {{ {refresh} {' '.join(option(CAPABILITY, inside, 'ExaBGP'))} }}")
        lines.append(f"family {{ {' '.join(NAMES[family] + ';' for family in neighbor.families)} }}")
        if "extended_next_hop" in options:
            lines.append("nexthop { ipv4 unicast ipv6; }")
        if "add_path" in options:
            lines.append(f"add-path {{ {' '.join(NAMES[family] + ';' for family in neighbor.families)} }}")
        lines.append(
            "api { processes [ reader ]; neighbor-changes; receive { parsed; open; "
            "update; notification; keepalive; refresh; } }"
        )
        wide = bool(options.get("extended_next_hop"))
        routes = [_route(route, neighbor.own, wide) for route in setup.routes]
        lines.append(f"static {{ {' '.join(routes)} }}" if routes else "")
        return "\n".join([*lines, more, "}"])

    async def start(self, setup: Setup, *, graceful: bool = False) -> None:
        self.setup = setup
        file = self.folder / "exabgp.conf"
        file.write_text(self.configuration(setup))
        if not self.fifo.exists():
            os.mkfifo(self.fifo, 0o600)
        self.file.write_text("")
        words = [self.path(), str(file)]
        self.process = self.host.start("exabgp", *words, env=self._environment())
        await self.answers(self._up)

    def _environment(self) -> dict[str, str]:
        own = " ".join(dict.fromkeys(neighbor.own for neighbor in self.setup.neighbors))
        return {
            "exabgp.daemon.user": "root",
            "exabgp.daemon.daemonize": "false",
            "exabgp.daemon.drop": "false",
            "exabgp.tcp.bind": own,
            "exabgp.tcp.port": "179",
            "exabgp.api.cli": "false",
            "exabgp.api.ack": "false",
            "exabgp.log.destination": "stdout",
            "exabgp.log.level": "INFO",
            "exabgp.log.network": "true",
            "exabgp.log.short": "true",
        }

    async def _up(self) -> bool:
        return "loaded new configuration" in self.log() or self.file.stat().st_size > 0

    async def check(self, setup: Setup) -> str:
        file = self.folder / "check.conf"
        file.write_text(self.configuration(setup))
        status, text = await self.execute("env", "exabgp.daemon.user=root", self.path(), "--validate", str(file))
        bad = status != 0 or "error" in text.lower() or "invalid" in text.lower()
        return steady(text.replace(str(file), "exabgp.conf")) if bad else ""

    def kill(self) -> None:
        super().kill()

    def said(self, address: str, *kinds: str) -> Iterator[dict[str, Any]]:
        """What it told of a neighbour since it was started."""
        for line in self.file.read_text(errors="replace").splitlines():
            try:
                one = json.loads(line)
            except json.JSONDecodeError:
                continue  # the last line may be half written
            if one.get("neighbor", {}).get("address", {}).get("peer") == address and one["type"] in kinds:
                yield one

    async def established(self, address: str) -> bool:
        states = [one["neighbor"]["state"] for one in self.said(address, "state")]
        return bool(states) and states[-1] == "up"

    async def told(self, address: str) -> str:
        said = [json.dumps(one) for one in self.said(address, "state", "open", "notification", "refresh")]
        # the text of a NOTIFICATION is among its data, in hex
        hex_data = re.findall(r'"data": ?"(?:0x)?([0-9A-Fa-f]+)"', "".join(said))
        said += [bytes.fromhex(data).decode(errors="replace") for data in hex_data]
        return "\n".join(said)

    async def routes(self, address: str = OURS) -> dict[str, list[Seen]]:
        table: dict[tuple[str, Any], Seen] = {}
        for one in self.said(address, "update", "state"):
            if one["type"] == "state":
                if one["neighbor"]["state"] == "down":
                    table.clear()
                continue
            update = one["neighbor"]["message"].get("update", {})
            for nlris in update.get("withdraw", {}).values():
                for nlri in nlris:
                    table.pop(_key(nlri), None)
            attributes = update.get("attribute", {})
            for hops in update.get("announce", {}).values():
                # A next hop of two addresses (RFC 2545) is told as two next hops; the global one counts.
                several = {hop: nlris for hop, nlris in hops.items() if not hop.startswith("fe80:")} or hops
                for hop, nlris in several.items():
                    for nlri in nlris if hop != "null" else []:
                        if isinstance(nlri, dict) and "nlri" in nlri:
                            table[_key(nlri)] = _seen(nlri["nlri"], hop, attributes)
        found: dict[str, list[Seen]] = {}
        for seen in table.values():
            found.setdefault(seen.prefix, []).append(seen)
        return found

    async def command(self, text: str) -> None:
        self.fifo.write_text(text + "\n")

    async def table_of(self, family: str) -> str:
        """The destinations that were announced and not withdrawn since."""
        held: dict[str, str] = {}
        for one in self.said(OURS, "update"):
            update = one["neighbor"]["message"].get("update", {})
            for gone in update.get("withdraw", {}).get(NAMES[family], []):
                held.pop(_key(gone)[0], None)
            for routes in update.get("announce", {}).get(NAMES[family], {}).values():
                held.update({_key(route)[0]: json.dumps(route) for route in routes})
        return "\n".join(held.values())

    async def refresh(self, address: str) -> None:
        await self.command(f"neighbor {address} announce route-refresh ipv4 unicast")

    async def shut_down(self, address: str, text: str) -> None:
        await self.command(f"neighbor {address} teardown 2")

    async def reset(self, address: str) -> None:
        await self.command(f"neighbor {address} teardown 4")

    async def withdraw(self, prefix: str) -> None:
        hop = "2001:db8::2" if ":" in prefix else "192.0.2.2"
        await self.command(f"withdraw route {prefix} next-hop {hop}")

    def leave(self) -> None:
        assert self.process is not None
        self.process.kill(signal.SIGTERM)


def _key(nlri: Any) -> tuple[str, Any]:
    return (nlri, None) if isinstance(nlri, str) else (nlri.get("nlri", str(nlri)), nlri.get("path-information"))


def _route(route: Originated, own: str, wide: bool) -> str:
    hop = own if wide else "self" if route.v6 == (":" in own) else ("2001:db8::2" if route.v6 else "192.0.2.2")
    words = [f"route {route.prefix} next-hop {hop}"]
    if route.med is not None:
        words.append(f"med {route.med}")
    if route.local_pref is not None:
        words.append(f"local-preference {route.local_pref}")
    if route.communities:
        words.append(f"community [ {' '.join(route.communities)} ]")
    if route.large_communities:
        words.append(f"large-community [ {' '.join(route.large_communities)} ]")
    return " ".join(words) + ";"


def _seen(prefix: str, hop: str, attributes: dict[str, Any]) -> Seen:
    path = attributes.get("as-path", [])
    asns = [asn for part in path.values() for asn in part["value"]] if isinstance(path, dict) else path
    return Seen(
        prefix=prefix,
        next_hop=hop,
        as_path=tuple(asns),
        origin=attributes.get("origin"),
        med=attributes.get("med"),
        local_pref=attributes.get("local-preference"),
        communities=frozenset(f"{one[0]}:{one[1]}" for one in attributes.get("community", [])),
        large_communities=frozenset(":".join(map(str, one)) for one in attributes.get("large-community", [])),
        extended_communities=frozenset(str(one.get("string", one)) for one in attributes.get("extended-community", [])),
        originator_id=attributes.get("originator-id"),
        cluster_list=tuple(attributes.get("cluster-list", ())),
        stale=None,
        text=json.dumps(attributes),
    )
