"""Whoever may not change routes is told so at the start; the root of a user namespace may."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.netns

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import asyncio, socket, subprocess, sys
sys.path.insert(0, sys.argv[1])
from calico_route.kernel import IPV4, Kernel, KernelError

async def main():
    try:
        async with Kernel(monitor_buffer=1 << 16) as kernel:
            kernel.update(IPV4, [bytes((32, 192, 168, 0, 2))], (bytes((192, 168, 78, 22)),))
            await kernel.flush()
            print(subprocess.run(["ip", "route"], capture_output=True, text=True).stdout)
    except KernelError as error:
        print("KernelError:", error)

for command in sys.argv[2:]:
    subprocess.run(command.split(), check=True)
asyncio.run(main())
"""


def run(*unshare: str, commands: tuple[str, ...] = ()) -> str:
    if shutil.which("unshare") is None:
        pytest.skip("unshare is missing: apt-get install util-linux")
    if subprocess.run(["unshare", *unshare, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no user namespaces here: sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces")
    done = subprocess.run(
        ["unshare", *unshare, sys.executable, "-c", SCRIPT, str(ROOT), *commands],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_root_of_a_user_namespace() -> None:
    commands = (
        "ip link set lo up",
        "ip link add eth0 type veth peer name far0",
        "ip link set eth0 up",
        "ip addr add 192.168.78.21/24 dev eth0",
    )
    shown = run("--user", "--map-root-user", "--net", commands=commands)
    assert "192.168.0.2 via 192.168.78.22 dev eth0 proto bird" in shown


def test_no_right_to_change_routes() -> None:
    shown = run("--user", "--map-root-user")  # the network namespace is not this user's
    assert "KernelError: routes can't be changed here: that needs CAP_NET_ADMIN" in shown
