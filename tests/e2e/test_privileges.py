"""An ordinary user with CAP_NET_ADMIN and CAP_NET_BIND_SERVICE is all that the agent needs; and root keeps no more."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from demo.lab import Host, Lab, wait_for
from tests.e2e.bird import neighbours
from tests.e2e.mesh import bird_routes, wait_routes

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

NONE = f"{0:016x}"
TWO = f"{1 << 10 | 1 << 12:016x}"  # CAP_NET_BIND_SERVICE and CAP_NET_ADMIN
USER = "65534"


def credentials(pid: int) -> dict[str, str]:
    """What the kernel says of a process; of ids the effective one."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: value.split()[1 if name in ("Uid", "Gid") else 0] for name, value in fields.items() if value.strip()}


def as_user(host: Host, words: list[str]) -> list[str]:
    """The command of systemd's unit or a container's: ambient capabilities, and no others in reach. The user sees this
    tree at a place of its own, since the way to where it lies may be closed to all but root."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is missing: apt-get install util-linux")
    two = "-all,+net_admin,+net_bind_service"
    limits = [f"--inh-caps={two}", f"--ambient-caps={two}", f"--bounding-set={two}", "--no-new-privs"]
    here, there = str(Path.cwd()), host.lab.directory / "tree"
    there.mkdir()
    words = [word.replace(here, str(there), 1) if word.startswith(here) else word for word in words]
    steps = 'mount --bind "$1" "$2" && cd "$2" && shift 2 && exec "$@"'  # for this process: `ip netns exec` unshares
    user = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", *limits]
    return host.command("sh", "-c", steps, "sh", here, str(there), *user, *words)


def test_an_ordinary_user_with_two_capabilities(lab: Lab) -> None:
    mesh, bird = neighbours(lab)
    (host, _), (agent, _) = mesh.hosts, mesh.agents
    lab.directory.chmod(0o755)  # made for root alone
    own = lab.directory / "own"
    own.mkdir()
    os.chown(own, int(USER), int(USER))
    agent.socket, agent.state = str(own / "status.sock"), str(own / "state")
    agent.flags = ("--bird-socket", str(own / "bird.ctl"), "--stale-route-time", "5")
    host.run("ip", "route", "add", "192.168.0.3", "via", "192.168.78.22", "proto", "bird")  # of another user, before
    agent.process = lab.start("agent", as_user(host, agent.command()))
    wait_routes(host, {"192.168.8.1 via 192.168.78.22"}, timeout=40)
    wait_for("what BIRD hears of it", lambda: "192.168.7.1/32" in bird.prefixes())
    assert ":179" in host.run("ss", "-Htln", "sport", "=", ":179"), "it listens on the port of BGP"

    inside = credentials(agent.process.pid)
    assert (inside["Uid"], inside["Gid"]) == (USER, USER)
    assert {inside[kind] for kind in ("CapPrm", "CapEff", "CapBnd")} == {TWO}
    assert (inside["CapInh"], inside["CapAmb"], inside["NoNewPrivs"]) == (NONE, NONE, "1")
    assert agent.kill(15) == 0
    assert bird_routes(host) == {"192.168.8.1 via 192.168.78.22"}
    assert bird.prefixes() >= {"192.168.7.1/32"}, "graceful restart"


def test_root_keeps_two_capabilities_and_gets_no_others_back(lab: Lab) -> None:
    mesh, _ = neighbours(lab)
    agent = mesh.agents[0]
    process = agent.start()
    wait_routes(mesh.hosts[0], {"192.168.8.1 via 192.168.78.22"}, timeout=40)
    inside = credentials(process.pid)
    assert (inside["CapEff"], inside["CapPrm"]) == (TWO, TWO)
    assert int(inside["CapBnd"], 16) & ~int(TWO, 16) == 0
    assert (inside["CapInh"], inside["CapAmb"], inside["NoNewPrivs"]) == (NONE, NONE, "1")
