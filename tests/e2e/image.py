"""The image of deploy/Dockerfile, built by podman on a base that debootstrap has made: no registry is asked.

What the build fetches comes the way that this machine's own apt and pip are set up for; nothing of it stays in the
image.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from demo.lab import Host

BASE = Path(".bench/debian.tar").absolute()
"""Debian's minimal system. It is kept, since it takes half a minute."""
SUITE = "bookworm"
NAME = "localhost/calico-route"
NEEDED = ("podman", "runc", "debootstrap", "nsenter")

# Where nothing of systemd runs, and rlimits cannot be raised.
CONTAINERS = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Podman:
    """podman with storage of its own in `folder`."""

    def __init__(self, folder: Path) -> None:
        missing = [name for name in NEEDED if shutil.which(name) is None]
        if missing:
            pytest.skip(f"{', '.join(missing)} missing: apt-get install podman runc debootstrap util-linux")
        self.folder = folder
        (folder / "containers.conf").write_text(CONTAINERS)

    def words(self, *words: str) -> list[str]:
        settings = f"CONTAINERS_CONF={self.folder / 'containers.conf'}"
        places = ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]
        return ["env", settings, "podman", *places, *words]

    def inside(self, host: Host, *words: str) -> list[str]:
        """With a host of the lab as the machine: `--network host` is its network then. `ip netns exec` would hide the
        cgroups."""
        return ["nsenter", f"--net=/run/netns/{host.netns}", *self.words(*words)]

    def __call__(self, *words: str, timeout: float = 60) -> str:
        return run(self.words(*words), timeout)

    def build(self) -> None:
        self("import", str(base()), f"localhost/debian:{SUITE}")
        arguments = ["--build-arg", f"BASE=localhost/debian:{SUITE}", "--tag", NAME, "--file", "deploy/Dockerfile"]
        # Without another user namespace or cgroups: it is built where this test itself may be in a container.
        self("build", "--isolation", "chroot", "--network", "host", *self._borrowed(), *arguments, ".", timeout=400)

    def close(self) -> None:
        subprocess.run(self.words("rm", "--all", "--force"), check=False, capture_output=True, timeout=60)
        subprocess.run(self.words("rmi", "--all", "--force"), check=False, capture_output=True, timeout=60)
        subprocess.run(["umount", str(self.folder / "storage" / "overlay")], check=False, capture_output=True)
        shutil.rmtree(self.folder / "storage", ignore_errors=True)

    def _borrowed(self) -> list[str]:
        """How this machine's pip and apt reach what they fetch: mounted for the build alone."""
        found: list[str] = []

        def mount(source: Path | str, target: str) -> None:
            found.extend(["--volume", f"{source}:{target}:ro"])

        settings = pip_settings()
        bundle = settings.pop("cert", "")
        if bundle and Path(bundle).is_file():
            mount(bundle, "/run/host/certificates.pem")
            settings["cert"] = "/run/host/certificates.pem"
        pip = self.folder / "pip.conf"
        pip.write_text("\n".join(["[global]", *(f"{name} = {value}" for name, value in settings.items())]) + "\n")
        mount(pip, "/etc/pip.conf")
        apt = self.folder / "apt.conf"
        apt.write_text(run(["sh", "-c", "apt-config dump | grep -E '^Acquire::(Check-|http|https)' || true"]))
        mount(apt, "/etc/apt/apt.conf.d/99host")
        return found


def pip_settings() -> dict[str, str]:
    """What pip would ask, and how, in files, environment and variables together."""
    found = {}
    for line in run([sys.executable, "-m", "pip", "config", "list"]).splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in ("cert", "proxy", "timeout", "index-url", "extra-index-url", "trusted-host"):
            text = str(json.loads(value.replace("'", '"')))
            here = [one for one in text.split() if not one.startswith("file:")]  # not seen in the build
            if here:
                found[key] = " ".join(here)
    return found


def base() -> Path:
    """The tar of Debian's minimal system."""
    if not BASE.exists():
        mirror = run(["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", f"Suite: {SUITE}"])
        BASE.parent.mkdir(exist_ok=True)
        root, made = BASE.parent / "debian", BASE.with_suffix(".new")
        shutil.rmtree(root, ignore_errors=True)
        run(["debootstrap", "--variant=minbase", SUITE, str(root), *mirror.split()[:1]], 400)
        run(["tar", "--numeric-owner", "-C", str(root), "-cf", str(made), "."], 100)
        shutil.rmtree(root)
        made.rename(BASE)
    return BASE


def run(words: Sequence[str], timeout: float = 60) -> str:
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout
