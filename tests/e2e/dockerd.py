"""A Docker daemon of Debian's on a host of the lab, with everything of its own, and the command line."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from calico_route.docker import HandedOver
from demo.lab import Host, LabError, Process, wait_for
from tests.calico_route.docker.doubles import MadeWorkload, MemoryWorkloads

NEEDED = ("dockerd", "docker", "runc", "containerd", "nsenter", "unshare", "busybox")
IMAGE = "busybox:local"


def skip_without_docker() -> None:
    """Where something is missing the test is skipped, which in CI is a failure."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} missing: apt-get install docker.io runc busybox-static util-linux")


class Dockerd:
    """The daemon. Its /run/docker is a directory of its own: two daemons do not see each other's plugins."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self.folder = host, folder
        self.socket = folder / "docker.sock"
        self.run_directory = folder / "run"
        self.plugins = self.run_directory / "plugins"
        self.plugins.mkdir(parents=True)
        self.process: Process | None = None
        settings = {
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
            "data-root": str(folder / "data"),
            "exec-root": str(folder / "exec"),
            "pidfile": str(folder / "docker.pid"),
            "hosts": [f"unix://{self.socket}"],
        }
        (folder / "daemon.json").write_text(json.dumps(settings))

    def start(self) -> None:
        inner = 'mount --bind "$1" /run/docker && exec dockerd --config-file "$2"'
        Path("/run/docker").mkdir(exist_ok=True)
        words = ["nsenter", f"--net=/run/netns/{self.host.netns}", "unshare", "--mount", "sh", "-c", inner, "dockerd"]
        self.process = self.host.lab.start(
            f"dockerd-{self.host.name}", [*words, str(self.run_directory), str(self.folder / "daemon.json")]
        )
        wait_for("dockerd answers", lambda: self.docker("version", check=False).returncode == 0, timeout=60)

    def stop(self) -> None:
        """End it with its containers."""
        if self.process is not None and self.process.running:
            listed = self.docker("ps", "-aq", check=False).stdout.split()
            if listed:
                self.docker("rm", "-f", *listed, check=False)
            self.process.kill(15, wait=30)

    def docker(
        self, *words: str, port: int | None = None, check: bool = True, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line; `port`: through the proxy there, as DOCKER_HOST=localhost:PORT."""
        done = subprocess.run(
            ["docker", *words], check=False, capture_output=True, text=True, timeout=timeout,
            input=stdin, env=self.environment(port),
        )  # fmt: skip
        if check and done.returncode != 0:
            raise LabError(f"docker {' '.join(words)}: exit status {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def environment(self, port: int | None = None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "CALICO_"))}
        return {
            **kept,
            "DOCKER_HOST": f"unix://{self.socket}" if port is None else f"localhost:{port}",
            "DOCKER_CONFIG": str(self.folder / "cli"),
        }

    async def __call__(self, *words: str, port: int | None = None, check: bool = True, stdin: str | None = None) -> str:
        """As `docker`, beside the event loop and without a thread; all that was printed."""
        process = await asyncio.create_subprocess_exec(
            "docker",
            *words,
            env=self.environment(port),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(60):
                printed, _ = await process.communicate((stdin or "").encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if check and process.returncode != 0:
            raise LabError(f"docker {' '.join(words)}: exit status {process.returncode}: {printed.decode()}")
        return printed.decode()

    def image(self) -> None:
        """An image of busybox, made here."""
        archive = self.folder / "busybox.tar"
        archive.write_bytes(busybox_tar())
        self.docker("import", str(archive), IMAGE)


def busybox_tar() -> bytes:
    """A root file system of busybox-static and links to it."""
    binary = shutil.which("busybox")
    assert binary is not None
    applets = subprocess.run([binary, "--list"], check=True, capture_output=True, text=True).stdout.split()
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for directory in ("bin", "tmp", "etc", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        content = Path(binary).read_bytes()
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(content), 0o755
        archive.addfile(entry, io.BytesIO(content))
        for applet in applets:
            if applet != "busybox":  # not onto itself
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(entry)
    return output.getvalue()


class IpWorkloads(MemoryWorkloads):
    """Workloads whose interfaces and routes are real, made by `ip` on a host of the lab."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host

    async def add(self, request: HandedOver) -> MadeWorkload:
        made = await super().add(request)
        await asyncio.to_thread(self._connect, made)
        return made

    def _connect(self, made: MadeWorkload) -> None:
        cali, peer, ip = made.host_interface, made.peer_interface, ("ip",)
        run = self.host.run
        run(*ip, "link", "del", cali, check=False)
        run(*ip, "link", "add", cali, "address", "ee:ee:ee:ee:ee:ee", "type", "veth", "peer", "name", peer)
        run(*ip, "link", "set", peer, "address", made.mac)
        run(*ip, "link", "set", cali, "up")
        run(*ip, "address", "add", "169.254.1.1/32", "dev", cali)
        for address in made.request.addresses:
            family, bits = ("-6", 128) if ":" in address else ("-4", 32)
            run(*ip, family, "neigh", "replace", address, "lladdr", made.mac, "dev", cali, "nud", "permanent")
            run(*ip, family, "route", "replace", f"{address}/{bits}", "dev", cali)

    async def remove(self, container: str, interface: str | None = None) -> None:
        made = self.made.get(container)
        await super().remove(container, interface)
        if made is not None:
            await asyncio.to_thread(self.host.run, "ip", "link", "del", made.host_interface, check=False)

    def interfaces(self) -> list[str]:
        """The workloads' interfaces that the host has."""
        listed = json.loads(self.host.run("ip", "-json", "link", "show"))
        return sorted(link["ifname"] for link in listed if link["ifname"].startswith("cali"))
