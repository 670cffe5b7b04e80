"""Container runtimes on a host of the lab: podman, dockerd, and bare namespaces where neither can be had.

Each host has storage of its own, so that two hosts are as far from each other as two machines would be. The image is a
static busybox, made here: no registry is asked.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
from abc import ABC, abstractmethod
from pathlib import Path

from demo.lab import Host, LabError, Namespace, Process, wait_for

IMAGE = "localhost/busybox"
LINKS = ("sh", "nc", "ping", "ip", "sleep", "cat", "echo", "env", "true", "wget", "httpd")

_ALL_GONE = ("rm", "--all", "--force", "--time", "0")

# Where nothing of systemd runs, and rlimits cannot be raised.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "cni"
cni_plugin_dirs = ["{plugins}"]
network_config_dir = "{networks}"
default_network = "calico"
"""


def busybox_image(folder: Path) -> Path:
    """A tar of a root file system with nothing but busybox. Raises LabError where there is no static one."""
    found = shutil.which("busybox")
    if found is None:
        raise LabError("no busybox: apt-get install busybox-static")
    path = folder / "busybox.tar"
    if not path.exists():
        with tarfile.open(path, "w") as tar:
            tar.add(found, "bin/busybox")
            for name in LINKS:
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
            for name in ("tmp", "proc", "sys", "dev", "etc"):
                directory = tarfile.TarInfo(name)
                directory.type, directory.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(directory)
            passwd = b"root:x:0:0:root:/:/bin/sh\n"
            entry = tarfile.TarInfo("etc/passwd")
            entry.size = len(passwd)
            tar.addfile(entry, io.BytesIO(passwd))
    return path


class Runtime(ABC):
    """What starts containers on one host. `words` are its command as a person would type it there."""

    name: str

    def __init__(self, host: Host) -> None:
        self.host = host
        self.folder = host.lab.directory / f"{host.name}-{self.name}"
        self.folder.mkdir()

    @abstractmethod
    def words(self, *words: str) -> list[str]: ...

    def run(self, *words: str, check: bool = True, timeout: float = 60.0) -> str:
        return self.host.lab.run(*self.words(*words), check=check, timeout=timeout)

    def exec(self, container: str, *words: str, check: bool = False, timeout: float = 60.0) -> str:
        return self.run("exec", container, *words, check=check, timeout=timeout)

    def remove(self, container: str) -> None:
        """End it, whatever it does."""
        self.run("rm", "--force", container)

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def ending(self) -> list[str]:
        """What a person types to be rid of the containers, while agents and daemons still run."""


class Podman(Runtime):
    """podman with the CNI plug-in of calico_route, which finds the agent by its workload socket."""

    name = "podman"

    def __init__(self, host: Host, workload_socket: str) -> None:
        super().__init__(host)
        self.socket = workload_socket
        plugins, networks = self.folder / "plugins", self.folder / "networks"
        plugins.mkdir()
        networks.mkdir()
        (self.folder / "containers.conf").write_text(CONTAINERS_CONF.format(plugins=plugins, networks=networks))
        plugin = plugins / "calico-route-cni"
        plugin.write_text(f'#!/bin/sh\ncd {Path.cwd()} && exec {sys.executable} -m calico_route.cni "$@"\n')
        plugin.chmod(0o755)
        self.network("calico", [])

    def network(self, name: str, profiles: list[str]) -> None:
        """A network whose containers have these profiles."""
        plugin = {"type": "calico-route-cni", "socket": self.socket, "profiles": profiles}
        document = {"cniVersion": "0.4.0", "name": name, "plugins": [plugin]}
        (self.folder / "networks" / f"{name}.conflist").write_text(json.dumps(document))

    def words(self, *words: str) -> list[str]:
        places = ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]
        settings = f"CONTAINERS_CONF={self.folder / 'containers.conf'}"
        inside = ["nsenter", f"--net=/run/netns/{self.host.netns}"]  # `ip netns exec` would hide the cgroups
        return [*inside, "env", settings, "podman", *places, *words]

    def start(self) -> None:
        self.run("import", str(busybox_image(self.host.lab.directory)), IMAGE)

    def close(self) -> None:
        self.run(*_ALL_GONE, check=False)
        subprocess.run(["umount", str(self.folder / "storage" / "overlay")], check=False, capture_output=True)

    def ending(self) -> list[str]:
        return [shlex.join(self.words(*_ALL_GONE)), f"umount {self.folder / 'storage' / 'overlay'}"]


class Docker(Runtime):
    """dockerd of Debian, started by hand, and its client through the proxy of calico_route, as in the article."""

    name = "docker"

    def __init__(self, host: Host, plugins: Path, proxy: str = "localhost:2377") -> None:
        super().__init__(host)
        self.plugins, self.proxy = plugins, proxy
        self.socket = self.folder / "docker.sock"
        self.process: Process | None = None

    def words(self, *words: str) -> list[str]:
        inside = ["nsenter", f"--net=/run/netns/{self.host.netns}"]
        return [*inside, "env", f"DOCKER_HOST={self.proxy}", "docker", *words]

    def direct(self, *words: str, check: bool = True, timeout: float = 60.0) -> str:
        """Past the proxy."""
        return self.host.lab.run("docker", "-H", f"unix://{self.socket}", *words, check=check, timeout=timeout)

    def flags(self) -> list[str]:
        """What `calico-route node` is told of it."""
        return [
            "--docker-plugin",
            str(self.plugins),
            "--docker-proxy",
            "127.0.0.1:2377",
            "--docker-socket",
            str(self.socket),
        ]

    def exec(self, container: str, *words: str, check: bool = False, timeout: float = 60.0) -> str:
        """Past the proxy, which is not there while the agent is not."""
        return self.direct("exec", container, *words, check=check, timeout=timeout)

    def start(self) -> None:
        settings = {
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
            "data-root": str(self.folder / "data"),
            "exec-root": str(self.folder / "exec"),
            "pidfile": str(self.folder / "pid"),
            "hosts": [f"unix://{self.socket}"],
        }
        file = self.folder / "daemon.json"
        file.write_text(json.dumps(settings))
        self.plugins.mkdir(exist_ok=True)
        # Each daemon looks for plug-ins in /run/docker/plugins: its own, by a mount that nobody else sees.
        script = (
            'mkdir -p /run/docker/plugins && mount --bind "$1" /run/docker/plugins && exec dockerd --config-file "$2"'
        )
        inside = ["nsenter", f"--net=/run/netns/{self.host.netns}", "unshare", "--mount"]
        words = [*inside, "sh", "-c", script, "/run/docker/plugins", str(self.plugins), str(file)]
        self.process = self.host.lab.start(f"dockerd-{self.host.name}", words)
        wait_for("dockerd answers", self._answers, 60)
        self.direct("import", str(busybox_image(self.host.lab.directory)), IMAGE)

    def _answers(self) -> bool:
        if self.process is not None and not self.process.running:
            raise LabError(f"dockerd ended: {self.process.text()[-800:]}")
        return "Server Version" in self.direct("info", check=False)

    def close(self) -> None:
        """Without a word to the drivers, whose agent may be gone: the daemon would wait for it."""
        for name in self.direct("ps", "--quiet", check=False).split():
            self._kill(self.direct("inspect", "--format", "{{.State.Pid}}", name, check=False))
        if self.process is not None:
            self.process.stop()
        containerd = self.folder / "exec" / "containerd" / "containerd.pid"
        if containerd.exists():
            self._kill(containerd.read_text())

    def ending(self) -> list[str]:
        docker = f"docker -H unix://{self.socket}"
        return [f"{docker} rm --force $({docker} ps --all --quiet)"]

    @staticmethod
    def _kill(pid: str) -> None:
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(pid), signal.SIGKILL)


class Bare(Runtime):
    """Network namespaces in the place of containers, by `calico-route container add`."""

    name = "namespaces"

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.inside: dict[str, Namespace] = {}

    def words(self, *words: str) -> list[str]:
        if words[0] != "exec":
            raise LabError(f"namespaces can do nothing but exec, not {words[0]}")
        return self.inside[words[1]].command("busybox", *words[2:])

    def start(self) -> None:
        busybox_image(self.host.lab.directory)

    def container(self, name: str) -> Namespace:
        lab = self.host.lab
        self.inside[name] = made = Namespace(lab, name, f"{lab.tag}-{name}")
        lab.add(made)
        return made

    def remove(self, container: str) -> None:
        gone = self.inside.pop(container)
        for process in self.host.lab.processes:
            if process.name == f"in-{container}":
                process.stop()
        self.host.lab.run("ip", "netns", "del", gone.netns)
        self.host.lab.namespaces.remove(gone)

    def close(self) -> None: ...

    def ending(self) -> list[str]:
        return []


def missing(command: str) -> bool:
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None
