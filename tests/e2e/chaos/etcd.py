"""An etcd of three members, each on a host of its own, and what can happen to it."""

from __future__ import annotations

import json
import shutil
import signal
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo.etcd import binary
from demo.lab import Host, Lab, Process, wait_for

DEADLINE = 90.0  # seconds for what etcd does by itself; it is a matter of one or two on an idle machine


class Member:
    def __init__(self, number: int, host: Host, data: Path) -> None:
        self.number, self.host, self.data = number, host, data
        self.name, self.url, self.peer = f"m{number}", f"http://{host.address}:2379", f"http://{host.address}:2380"
        self.process: Process | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.running


class EtcdCluster:
    """`stored` is what it holds of ours, None while nobody can write there."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.admin = lab.host("admin", "192.168.78.10/24")
        self.members = [
            Member(number, lab.host(f"store{number}", f"192.168.78.{10 + number}/24"), lab.directory / f"etcd{number}")
            for number in (1, 2, 3)
        ]
        self.url = ",".join(member.url for member in self.members)
        self.stored: dict[str, str] | None = {}
        self._token = "first"
        self._life = 1
        self._backups = 0

    def start(self) -> None:
        """Every member that does not run; back when they agree on a leader and answer."""
        for member in self.members:
            if not member.running:
                self.start_member(member)
        wait_for("etcd has a leader and answers", self.healthy, DEADLINE, pause=0.1)

    def start_member(self, member: Member) -> None:
        member.process = member.host.start(
            f"etcd-{member.name}",
            binary("etcd"),
            f"--name={member.name}",
            f"--data-dir={member.data}",
            f"--listen-client-urls={member.url}",
            f"--advertise-client-urls={member.url}",
            f"--listen-peer-urls={member.peer}",
            f"--initial-advertise-peer-urls={member.peer}",
            f"--initial-cluster={self._initial()}",
            f"--initial-cluster-token={self._token}",
            "--log-level=error",
            "--unsafe-no-fsync",  # processes die here, machines do not
        )

    def _initial(self) -> str:
        return ",".join(f"{member.name}={member.peer}" for member in self.members)

    def kill(self, how: int = signal.SIGKILL) -> None:
        """All members."""
        for member in self.members:
            self.kill_member(member, how)

    @staticmethod
    def kill_member(member: Member, how: int = signal.SIGKILL) -> None:
        if member.process is not None:
            member.process.kill(how, wait=30)

    def healthy(self) -> bool:
        return all("is healthy" in self.ctl("endpoint", "health", url=member.url) for member in self.members)

    def ctl(self, *words: str, url: str | None = None, check: bool = False) -> str:
        """Run etcdctl, for 3 s at most: a request that met a member without leader is better asked again."""
        command = 'exec env ETCDCTL_API=3 "$0" --command-timeout=3s --endpoints="$@" 2>&1'
        return self.admin.run("sh", "-c", command, binary("etcdctl"), url or self.url, *words, check=check, timeout=60)

    def _done(self, *words: str) -> None:
        """As often as it takes: a member, or the leader, may be away."""
        wait_for(f"etcdctl {' '.join(words[:2])}", lambda: self.ctl(*words).startswith("OK"), DEADLINE)

    def write(self, wanted: Mapping[str, str]) -> None:
        """Make it hold this, key by key, as those who write to a datastore do. Nothing while nobody can write."""
        if self.stored is None:
            return
        for key in sorted(wanted):
            if self.stored.get(key) != wanted[key]:
                self._done("put", key, wanted[key])
                self.stored[key] = wanted[key]
        for key in sorted(self.stored.keys() - wanted.keys()):
            self.delete(key)

    def look_again(self, wanted: Mapping[str, str]) -> None:
        """Read all that is there, and write what differs. A request that was in doubt may be carried out long after it
        was given up and asked again: a member passes it on to who was the leader, once the way there is mended."""
        text = self.ctl("get", "/calico/", "--prefix", "-w", "json")
        if not text.startswith("{"):
            return
        pairs = json.loads(text).get("kvs", [])
        self.stored = {b64decode(one["key"]).decode(): b64decode(one.get("value", "")).decode() for one in pairs}
        self.write(wanted)

    def delete(self, key: str) -> None:
        wait_for(f"etcdctl del {key}", lambda: self.ctl("del", key).strip().isdigit(), DEADLINE)
        if self.stored is not None:
            self.stored.pop(key, None)

    def statuses(self) -> dict[int, dict[str, Any]]:
        """Of every member that answers, by its number."""
        found = {}
        for member in self.members:
            if member.running:
                text = self.ctl("endpoint", "status", "-w", "json", url=member.url)
                line = next((one for one in text.splitlines() if one.startswith("[{")), None)
                if line is not None:
                    found[member.number] = json.loads(line)[0]["Status"]
        return found

    def leader(self) -> Member:
        found: list[Member] = []

        def known() -> bool:
            for number, status in self.statuses().items():
                if status["header"]["member_id"] == status["leader"]:
                    found.append(self.members[number - 1])
            return bool(found)

        wait_for("etcd has a leader", known, DEADLINE)
        return found[0]

    def move_leader(self, steps: int) -> None:
        """To the member that many places on; 1 or 2."""
        leader = self.leader()
        to = self.members[(leader.number - 1 + steps) % 3]
        identifier = self.statuses()[to.number]["header"]["member_id"]
        self.ctl("move-leader", f"{identifier:x}", url=leader.url, check=True)

    def compact(self, defragment: bool) -> None:
        revision = max(status["header"]["revision"] for status in self.statuses().values())
        self.ctl("compact", "--physical=true", str(revision))
        if defragment:
            self.ctl("defrag")

    def backup(self) -> tuple[Path, dict[str, str]]:
        """A snapshot file, and what it holds of ours."""
        assert self.stored is not None
        self._backups += 1
        file = self.lab.directory / f"backup{self._backups}.db"
        self.ctl("snapshot", "save", str(file), url=self.leader().url, check=True)
        return file, dict(self.stored)

    def wipe(self) -> None:
        """Kill all members and delete their data."""
        self.kill()
        for member in self.members:
            shutil.rmtree(member.data, ignore_errors=True)
        self.stored = None

    def start_empty(self) -> None:
        self._new_life(same=False)
        self.start()

    def restore(self, backup: tuple[Path, dict[str, str]], same_token: bool) -> None:
        """From a backup after `wipe`: a cluster with the revisions of then, and with its old identity or a new one."""
        file, holds = backup
        self._new_life(same_token)
        for member in self.members:
            self.lab.run(
                binary("etcdutl"),
                "snapshot",
                "restore",
                str(file),
                f"--data-dir={member.data}",
                f"--name={member.name}",
                f"--initial-cluster={self._initial()}",
                f"--initial-advertise-peer-urls={member.peer}",
                f"--initial-cluster-token={self._token}",
            )
        self.start()
        self.stored = dict(holds)

    def _new_life(self, same: bool) -> None:
        if not same:
            self._life += 1
            self._token = f"life{self._life}"
