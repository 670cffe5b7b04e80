"""The container image: an ordinary user with two capabilities does all that a node needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.lab import Lab, wait_for
from tests.e2e.bird import neighbours
from tests.e2e.image import NAME, Podman
from tests.e2e.mesh import bird_routes, wait_routes
from tests.e2e.test_privileges import NONE, TWO, credentials

pytestmark = [pytest.mark.netns, pytest.mark.daemon]


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    made = Podman(tmp_path_factory.mktemp("podman"))
    try:
        made.build()
        yield made
    finally:
        made.close()


def test_the_image_is_a_node(lab: Lab, podman: Podman) -> None:
    mesh, bird = neighbours(lab)
    first, _ = mesh.hosts
    name = f"node-{lab.tag}"
    flags = ["--rm", "--name", name, "--network", "host", "--cap-drop", "ALL"]
    flags += ["--cap-add", "NET_ADMIN", "--cap-add", "NET_BIND_SERVICE", "--read-only", "--read-only-tmpfs=false"]
    flags += ["--mount", "type=tmpfs,destination=/run/calico_route,chown"]
    flags += ["--mount", "type=tmpfs,destination=/var/lib/calico_route,chown"]
    flags += ["--env", f"ETCD_ENDPOINTS={mesh.etcd.url}", "--env", f"NODENAME={first.name}"]
    process = lab.start("container", podman.inside(first, "run", *flags, NAME))
    wait_routes(first, {"192.168.8.1 via 192.168.78.22"}, timeout=60)
    wait_for("what BIRD hears of it", lambda: "192.168.7.1/32" in bird.prefixes())
    assert bird.established() == 1

    inside = credentials(int(podman("inspect", "--format", "{{.State.Pid}}", name)))
    assert inside["Uid"] != "0"
    assert {inside[kind] for kind in ("CapEff", "CapPrm", "CapBnd")} == {TWO}
    assert (inside["CapInh"], inside["CapAmb"], inside["NoNewPrivs"]) == (NONE, NONE, "1")
    text = podman("exec", name, "/opt/calico_route/bin/calico-route", "status")
    assert "sessions   1 of 1 established" in text

    assert process.kill(15) == 0
    assert bird_routes(first) == {"192.168.8.1 via 192.168.78.22"}, "they stay, for the next one"


def test_without_the_capabilities_it_says_what_is_missing(lab: Lab, podman: Podman) -> None:
    host = lab.host("host1", "192.168.78.21/24")
    assert podman("run", "--rm", "--cap-drop", "ALL", NAME, "--version").startswith("calico-route ")
    flags = ["--rm", "--network", "host", "--cap-drop", "ALL", "--env", "NODENAME=host1", "--env", "IP=192.168.78.21"]
    process = lab.start("bare", podman.inside(host, "run", *flags, NAME, "--peer-from-etcd", "http://192.168.78.10:1"))
    wait_for("its end", lambda: not process.running, timeout=30)
    assert process.popen.returncode == 1
    assert "CAP_NET_ADMIN" in process.text()


def test_nothing_of_this_machine_or_of_the_build_is_in_the_image(podman: Podman) -> None:
    """What was mounted for the build has left empty files."""
    asks = "cat /etc/pip.conf /etc/apt/apt.conf.d/99host /run/host/* 2>/dev/null; ls -d /src 2>/dev/null; id -u"
    shown = podman("run", "--rm", "--cap-drop", "ALL", "--entrypoint", "/bin/sh", NAME, "-c", asks)
    assert int(shown) > 0
