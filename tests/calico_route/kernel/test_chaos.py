"""Everything at once, in a real kernel: in the end what is in the kernel is what should be."""

from __future__ import annotations

import asyncio
import random

import pytest

from calico_route.kernel import IPV4, IPV6, Kernel

from .conftest import Namespace, eventually, nlri, raw

pytestmark = pytest.mark.netns

PLACES = {
    IPV4: [f"192.168.0.{last}" for last in range(40)],
    IPV6: [f"2001:db8:ca11::{last:x}" for last in range(1, 40)],
}
FAR = {IPV4: "172.30.0.0/16", IPV6: "2001:db8:30::/48"}
FAMILY = {IPV4: "-4", IPV6: "-6"}
HOPS = {
    IPV4: ["192.168.78.22", "192.168.78.23", "10.0.0.2", "172.30.0.1"],
    IPV6: ["2001:db8:0:78::22", "2001:db8:0:78::23", "2001:db8:0:1::2", "2001:db8:30::1"],
}


def stranger(chance: random.Random, afi: int) -> str:
    """Something that another program does: `ip -force -batch` passes over what is refused."""
    place, gateway = chance.choice(PLACES[afi]), chance.choice(HOPS[afi][:3])
    return "route " + chance.choice(
        [
            f"replace {place} via {gateway} proto static",
            f"add {place} via {gateway} proto static",
            f"del {place} proto static",
            f"del {place} proto static",
            f"del {place} proto bird",
            f"replace {place} via {gateway} proto bird",
            f"append {place} via {gateway} proto bird metric 2000",
            f"replace {FAR[afi]} via {gateway} proto static",
            f"del {FAR[afi]}",
        ]
    )


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_it_ends_well(namespace: Namespace, seed: int) -> None:
    chance = random.Random(seed)
    for link in ("eth0", "eth1"):
        namespace.sysctl(f"net.ipv6.conf.{link}.keep_addr_on_down", "1")
    wanted: dict[tuple[int, str], tuple[str, ...]] = {}
    buffer = 1 << 23 if seed % 2 else 8192  # every other time messages are lost as well
    async with Kernel(netns=namespace.name, monitor_buffer=buffer, insist=True) as kernel:
        for _ in range(80):
            for _ in range(chance.randrange(12)):
                afi = chance.choice([IPV4, IPV6])
                place = chance.choice(PLACES[afi])
                if chance.random() < 0.3:
                    wanted.pop((afi, place), None)
                    kernel.update(afi, [nlri(place)], None)
                else:
                    hops = tuple(chance.sample(HOPS[afi], chance.choice([1, 1, 2])))
                    wanted[afi, place] = hops
                    kernel.update(afi, [nlri(place)], tuple(map(raw, hops)))
            afi = chance.choice([IPV4, IPV6])
            lines = [stranger(chance, afi) for _ in range(chance.randrange(8))]
            if chance.random() < 0.1:
                link = chance.choice(["eth0", "eth1", "far0"])
                lines += [f"link set {link} down", *(stranger(chance, afi) for _ in range(4)), f"link set {link} up"]
            if chance.random() < 0.05 and afi == IPV4:
                lines += ["addr del 10.0.0.1/24 dev eth1", "addr add 10.0.0.1/24 dev eth1"]
            namespace.batch(lines, family=FAMILY[afi])
            if chance.random() < 0.4:
                await kernel.flush()
            elif chance.random() < 0.5:
                await asyncio.sleep(chance.choice([0.0, 0.01]))
            if chance.random() < 0.1:
                await kernel.resync()
            if chance.random() < 0.1:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(kernel.resync(), 0.0)
        for afi, family in FAMILY.items():
            namespace.batch([f"route del {place} proto static" for place in PLACES[afi]], family=family)
            namespace.ip(family, "route", "replace", FAR[afi], "via", HOPS[afi][0], "proto", "static")

        def differences() -> list[str]:
            shown = {line.split()[0] for family in FAMILY.values() for line in namespace.bird(family)}
            found = [f"{place} is there" for place in shown - {place for _, place in wanted}]
            for (afi, place), hops in wanted.items():
                line = kernel.describe(afi, nlri(place)) or ""
                real = {HOPS[afi][0] if hop == HOPS[afi][3] else hop for hop in hops}
                if place not in shown or {hop for hop in HOPS[afi] if f"via {hop} " in line} != real:
                    found.append(f"{place} via {real}: {line!r}")
            return found + [str(problem) for problem in kernel.problems() if problem.kind != "contested"]

        await kernel.resync()
        await kernel.sweep_stale()
        await eventually(lambda: not differences(), 40.0)
        assert await kernel.resync() == 0
        assert not differences()
