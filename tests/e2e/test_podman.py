"""Containers of podman by the CNI plug-in: two hosts of the lab, each with a podman of its own, images from busybox."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.lab import Lab, wait_for
from demo.node import Node, cali, journal
from tests.e2e.image import CONTAINERS, Podman, run
from tests.e2e.mesh import Mesh, wait_routes

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

IMAGE = "localhost/busybox"
APPLETS = ("sh", "sleep", "ping", "ip", "nc", "cat")


class ContainerHost:
    """A node of the lab with a podman beside it, whose default network is the plug-in's."""

    def __init__(self, node: Node, folder: Path) -> None:
        folder.mkdir()
        self.node = node
        self.podman = Podman(folder)
        plugins, networks = folder / "bin", folder / "net.d"
        plugins.mkdir()
        networks.mkdir()
        run([sys.executable, "-m", "calico_route.cni", "--install", str(plugins / "calico-route-cni")])
        network = node.network(cniVersion="0.4.0", profiles=["db"])
        conflist = {"cniVersion": "0.4.0", "name": network.pop("name"), "plugins": [network]}
        (networks / "calico.conflist").write_text(json.dumps(conflist))
        settings = f'[network]\nnetwork_backend = "cni"\ncni_plugin_dirs = ["{plugins}"]\n'
        settings += f'network_config_dir = "{networks}"\ndefault_network = "calico"\n'
        (folder / "containers.conf").write_text(CONTAINERS + settings)

    def __call__(self, *words: str, check: bool = True, timeout: float = 60) -> str:
        done = subprocess.run(
            self.podman.inside(self.node.host, *words), check=False, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0 or not check, f"{done.stdout}{done.stderr}{self.node.process_text()[-3000:]}"
        return done.stdout + done.stderr

    def start(self, name: str, *flags: str) -> str:
        """Run a container that waits; its address."""
        self("run", "--detach", "--name", name, *flags, IMAGE, "/bin/sleep", "600")
        return self("inspect", "--format", "{{.NetworkSettings.Networks.calico.IPAddress}}", name).strip()


def busybox(folder: Path) -> Path:
    """An image of the one static binary."""
    binary = shutil.which("busybox")
    if binary is None:
        pytest.skip("busybox is missing: apt-get install busybox-static")
    path = folder / "busybox.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(binary, "bin/busybox")
        for name in APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("proc", "sys", "dev", "etc", "tmp"):
            made = tarfile.TarInfo(name)
            made.type, made.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(made)
    return path


@pytest.fixture
def hosts(lab: Lab) -> Iterator[tuple[ContainerHost, ContainerHost]]:
    mesh = Mesh(lab, 2)
    mesh.etcd.start()
    image = busybox(lab.directory)
    made = []
    try:
        for host in mesh.hosts:
            node = Node(host, mesh.etcd.url)
            node.start()
            made.append(ContainerHost(node, lab.directory / host.name))  # podman takes no long path
            made[-1]("import", str(image), IMAGE)
        yield made[0], made[1]
    finally:
        for one in made:
            one.podman.close()


def test_containers_of_podman(hosts: tuple[ContainerHost, ContainerHost]) -> None:
    first, second = hosts
    assert first.start("container1") == "192.168.0.1"
    assert second.start("container2") == "192.168.0.2"
    wait_routes(first.node.host, {"192.168.0.2 via 192.168.78.22"})
    wait_routes(second.node.host, {"192.168.0.1 via 192.168.78.21"})

    def reached(host: ContainerHost, name: str, target: str) -> bool:
        return " 0% packet loss" in host("exec", name, "/bin/ping", "-c1", "-W1", target, check=False)

    wait_for("container1 reaches container2", lambda: reached(first, "container1", "192.168.0.2"))
    inside = first("exec", "container1", "/bin/ip", "route")
    assert "default via 169.254.1.1 dev eth0" in inside
    listed = first.node.ask({"request": "list"})["workloads"]
    assert [one["name"] for one in listed] == ["container1"]

    assert first.start("container3", "--ip", "192.168.0.77") == "192.168.0.77"
    taken = second("run", "--rm", "--name", "container4", "--ip", "192.168.0.77", IMAGE, "/bin/sleep", "1", check=False)
    assert "192.168.0.77" in taken
    assert first("exec", "container3", "/bin/ping", "-c1", "-W1", "192.168.0.1")

    first.node.kill()
    assert reached(second, "container2", "192.168.0.1"), "the agent dead, packets go on"
    first.node.start()
    first("stop", "--time", "1", "container3")
    wait_for("its interface has gone", lambda: len(cali(first.node.host)) == 2)
    first("start", "container3")
    wait_for("it is there again", lambda: reached(first, "container3", "192.168.0.1"))
    for host in hosts:
        host("rm", "--all", "--force", "--time", "1")
        wait_for("nothing is left", lambda host=host: cali(host.node.host) == journal(host.node) == [])  # type: ignore[misc]
    wait_routes(first.node.host, set())
