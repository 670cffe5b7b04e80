"""Clusters by chance, decided by BIRD 1.6 itself: the configuration that is printed for it, run in a namespace.

BIRD learns workloads and other routes from the kernel there; each session's filter, and that for the kernel, stands
between its table and one of its own, so that what has passed can be looked at without a neighbour.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv6Network, ip_network
from random import Random

import pytest

from calico_route.bird.configuration import bird_configuration
from calico_route.identity import Identity
from calico_route.sessions import Options
from demo.lab import Lab, Namespace, Process, wait_for, why_impossible
from pybgp import PathAttributes, Prefix, Route, Source
from tests.calico_route.bird_behaviour import Bird, Candidate, Network
from tests.calico_route.random_clusters import ME, VERSIONS, World, random_world
from tests.calico_route.test_differential import asked, communities, exported
from tests.e2e.bird1 import FOLDER

pytestmark = pytest.mark.skipif(why_impossible() is not None, reason=f"no lab here: {why_impossible()}")

ROUNDS = 20
_SESSION = re.compile(r"^protocol bgp (\w+) from bgp_template \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
_TEMPLATE = re.compile(r"^template bgp .*?^\}$", re.MULTILINE | re.DOTALL)
_PIPE = """\
table t_{name};
protocol pipe p_{name} {{
  peer table t_{name};
  import none;
  export {filter};
}}
"""


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    if not (FOLDER / "bird").exists():
        pytest.skip("BIRD 1.6 is missing: apt-get download bird, and dpkg -x of it to .bench/bird1")
    with Lab("decides") as lab:
        made = lab.host("host", "192.0.2.8/24", "2001:db8::8/64", interface="eth0")
        made.run("ip", "link", "add", "cali7", "type", "veth", "peer", "name", "inside")
        for name in ("cali7", "inside"):
            made.run("ip", "link", "set", name, "up")
        yield made


def apart(text: str) -> str:
    """The same configuration, with a table in the place of each neighbour and of the kernel."""

    def pipe(found: re.Match[str]) -> str:
        export = re.search(r"export (filter \{.*\});$", found[2], re.MULTILINE)
        assert export is not None, found[0]
        # A session gives routes of the node an empty path before it asks its filter; a pipe does not.
        return _PIPE.format(name=found[1], filter=export[1].replace("filter {", "filter { bgp_path = +empty+;", 1))

    text = _SESSION.sub(pipe, _TEMPLATE.sub("", text))
    text = text.replace("  export filter calico_kernel_programming;", "  export none;")
    return text + _PIPE.format(name="kernel", filter="filter calico_kernel_programming")


class Running:
    """BIRD with the configuration of one cluster, and the kernel's routes that it is to learn."""

    def __init__(self, namespace: Namespace, text: str, candidates: Mapping[Network, Candidate], version: int) -> None:
        self._namespace, self._candidates, self._version = namespace, candidates, version
        folder = namespace.lab.directory
        self._file, self._socket = folder / "bird.conf", str(folder / "bird.ctl")
        self._file.write_text(apart(text))
        self._process: Process | None = None

    def __enter__(self) -> Running:
        kernel = {net: one.ifname for net, one in self._candidates.items() if one.source == "kernel"}
        gateways = {"cali7": "", "eth0": "via 2001:db8::9" if self._version == 6 else "via 192.0.2.9"}
        lines = [f"route replace {net} {gateways[str(device)]} dev {device}" for net, device in kernel.items()]
        self._namespace.run("ip", f"-{self._version}", "-batch", "-", stdin="\n".join(lines))
        words = [str(FOLDER / ("bird6" if self._version == 6 else "bird")), "-d", "-c", str(self._file)]
        self._process = self._namespace.start("bird", *words, "-s", self._socket)
        wait_for("BIRD knows all candidates", lambda: self._candidates.keys() <= self.table("master").keys())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        for device in ("cali7", "eth0"):
            self._namespace.run("ip", f"-{self._version}", "route", "flush", "dev", device, "proto", "boot")

    def table(self, name: str) -> dict[Network, set[str]]:
        """The candidates in one of BIRD's tables, with their communities."""
        birdc = str(FOLDER / ("birdc6" if self._version == 6 else "birdc"))
        words = [birdc, "-r", "-s", self._socket, "show", "route", "table", name, "all"]
        found: dict[Network, set[str]] = {}
        values: set[str] = set()
        for line in self._namespace.run(*words, check=False).splitlines():
            if re.match(r"[0-9a-f:.]+/\d+ ", line):
                values = found[ip_network(line.split()[0])] = set()
            elif "community:" in line:
                values.update(re.sub("[() ]", "", one).replace(",", ":") for one in re.findall(r"\([^)]*\)", line))
        return {net: some for net, some in found.items() if net in self._candidates}


def candidates_of(world: World, bird: Bird, version: int) -> dict[Network, Candidate]:
    """What is in BIRD's table: of what is there twice, the static one."""
    found = {one.net: Candidate(one.net, "kernel", "eth0") for one in world.heard}
    found |= {net: Candidate(net, "kernel", "cali7") for net in world.workloads}
    found |= {net: Candidate(net) for net in bird.statics()}
    return {net: one for net, one in found.items() if net.version == version}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("calico", VERSIONS)
def test_bird_and_the_agent_say_the_same(namespace: Namespace, calico: str, version: int) -> None:
    compared = told = 0
    for seed in range(ROUNDS):
        world = random_world(Random(seed), calico)
        wanted, bird = asked(world, calico), Bird(world.documents, ME, VERSIONS[calico], world.selectors)
        candidates = candidates_of(world, bird, version)
        text = bird_configuration(world.view(), Identity(name=ME), Options(compat=calico), version=version)
        own = Source.own(64512, 1)
        local_pref = dict(wanted.local_prefs).get(1 if version == 4 else 2)
        routes = {net: Route(Prefix(str(net)), PathAttributes.build(local_pref=local_pref), own) for net in candidates}
        with Running(namespace, text, candidates, version) as running:
            for session in wanted.peers.values():
                if (session.family.afi == 2) == (version == 6):
                    policy = exported(session, {net: one.ifname for net, one in candidates.items()})
                    ours = {net: communities(policy(route)) for net, route in routes.items()}
                    if session.export is None:  # in a mesh of one AS: what is announced at all is for everybody
                        ours = {net: set() if Prefix(str(net)) in wanted.announcements else None for net in routes}
                    theirs = running.table(f"t_{session.bird_name}")
                    heard = {net: some for net, some in ours.items() if some is not None}
                    if session.export is None:  # of other routes of the kernel an agent knows none
                        foreign = {net for net, one in candidates.items() if one.ifname == "eth0"}
                        theirs = {net: some for net, some in theirs.items() if net not in foreign}
                    assert heard == theirs, (seed, session.bird_name, world.documents)
                    compared, told = compared + len(ours), told + len(heard)
            installed = running.table("t_kernel").keys()
            assert installed == {net for net in candidates if wanted.kernel.takes(Prefix(str(net)))}, seed
    assert compared > told > 0
    assert all(isinstance(net, IPv6Network) == (version == 6) for net in candidates)
