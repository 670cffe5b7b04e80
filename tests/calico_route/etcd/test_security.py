"""Users, permissions and TLS, against a real etcd, with both drivers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from calico_route.etcd.store import DeniedError, UnavailableError
from tests.calico_route.etcd.conftest import StoreMaker
from tests.calico_route.etcd.follower import following
from tests.calico_route.etcd.server import EtcdServer

pytestmark = pytest.mark.daemon

CALICO = {"username": "calico", "password": "secret"}


class Guarded:
    """A server with users, whose tokens last a second. `calico` may use what is below /calico/."""

    def __init__(self, server: EtcdServer) -> None:
        self.server = server
        server.enable_users("calico", "secret", readable=b"/calico/")
        self.root = server.login("root", "root")


@pytest.fixture
def guarded(etcd_binary: str, tmp_path: Path) -> Iterator[Guarded]:
    # bcrypt at its cheapest; a token that is not used for a second is forgotten
    server = EtcdServer(tmp_path, options=("--bcrypt-cost", "4", "--auth-token-ttl", "1"))
    try:
        yield Guarded(server.start())
    finally:
        server.stop()


async def test_a_token_that_expires_is_renewed(guarded: Guarded, make_store: StoreMaker) -> None:
    server, other = guarded.server, guarded.server.login("calico", "secret")
    store = make_store(server.url, **CALICO)
    async with following(store, b"/calico/") as follower:
        await store.put(b"/calico/1", b"1")
        await follower.until(lambda: follower.state == {b"/calico/1": b"1"})
        # The server forgets tokens by its own clock, and every use renews one: so `other` is asked only once.
        await asyncio.sleep(2.5)
        with pytest.raises(RuntimeError, match="invalid auth token"):
            server.put(b"/calico/2", b"2", other)
        await store.put(b"/calico/2", b"2")
        assert not await store.create(b"/calico/2", b"3")
        await follower.until(lambda: b"/calico/2" in follower.state)
        assert follower.reasons == []


async def test_a_change_of_users_voids_tokens_without_an_outage(guarded: Guarded, make_store: StoreMaker) -> None:
    store = make_store(guarded.server.url, **CALICO)
    await store.put(b"/calico/1", b"1")
    guarded.server.call("/v3/auth/role/add", {"name": "another"}, guarded.root)
    await store.put(b"/calico/1", b"2")
    guarded.server.call("/v3/auth/user/add", {"name": "x", "password": "y"}, guarded.server.login("root", "root"))
    async with following(store, b"/calico/") as follower:
        assert follower.state == {b"/calico/1": b"2"}
        assert follower.reasons == []


async def test_refusals_are_told_in_words(guarded: Guarded, make_store: StoreMaker) -> None:
    url = guarded.server.url
    store = make_store(url, **CALICO)
    with pytest.raises(DeniedError, match="permission denied to read /secret/"):
        await store.snapshot([b"/calico/", b"/secret/"])
    with pytest.raises(DeniedError, match="permission denied"):
        await store.put(b"/secret/1", b"1")
    watch = store.watch({b"/secret/": 1})
    with pytest.raises(DeniedError, match="permission denied"):
        async with asyncio.timeout(10):
            await anext(watch)
    with pytest.raises(DeniedError, match="no such user and password"):
        await make_store(url, username="calico", password="wrong").head()
    with pytest.raises(DeniedError, match="set ETCD_USERNAME"):
        await make_store(url).snapshot([b"/calico/"])


async def test_a_refusal_is_reported_and_tried_again_until_somebody_grants(
    guarded: Guarded, make_store: StoreMaker
) -> None:
    store = make_store(guarded.server.url, username="late", password="pw")
    async with following(store, b"/calico/") as follower:
        assert follower.reasons == ["etcd refuses: etcd knows no such user and password"]
        root = guarded.server.login("root", "root")
        guarded.server.call("/v3/auth/user/add", {"name": "late", "password": "pw"}, root)
        root = guarded.server.login("root", "root")
        guarded.server.call("/v3/auth/user/grant", {"user": "late", "role": "reader"}, root)
        await follower.until(lambda: bool(follower.snapshots))
        assert follower.connected


async def test_credentials_for_a_server_without_users(shared: EtcdServer, make_store: StoreMaker, below: bytes) -> None:
    store = make_store(shared.url, **CALICO)
    async with following(store, below) as follower:
        await store.put(below + b"1", b"1")
        await follower.until(lambda: follower.state == {below + b"1": b"1"})


@pytest.fixture(scope="module", params=[False, True], ids=["tls", "mutual"])
def secure(
    request: pytest.FixtureRequest, etcd_binary: str, certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EtcdServer]:
    server = EtcdServer(tmp_path_factory.mktemp("secure"), tls=certificates, client_certificates=request.param)
    try:
        yield server.start()
    finally:
        server.stop()


async def test_tls_with_and_without_client_certificates(
    secure: EtcdServer, certificates: Path, make_store: StoreMaker, below: bytes
) -> None:
    files = {"ca_file": str(certificates / "ca.pem")}
    client = {"cert_file": str(certificates / "client.pem"), "key_file": str(certificates / "client-key.pem")}
    for url in (secure.url, f"https://localhost:{secure.port}"):
        store = make_store(url, **files, **client)
        async with following(store, below) as follower:
            await store.put(below + b"1", url.encode())
            await follower.until(lambda url=url: follower.state == {below + b"1": url.encode()})  # type: ignore[misc]
    if secure.client_certificates:
        with pytest.raises(UnavailableError):
            await make_store(secure.url, **files).head()
    else:
        assert (await make_store(secure.url, **files).head()).revision


async def test_a_certificate_of_somebody_else_is_refused(
    secure: EtcdServer, certificates: Path, make_store: StoreMaker, tmp_path: Path
) -> None:
    with pytest.raises(UnavailableError, match=r"(?i)certificate"):
        await make_store(secure.url).head()  # the system's authorities do not know this one
    with pytest.raises(UnavailableError):
        await make_store(secure.url.replace("https", "http")).head()
    nothing = tmp_path / "gone.pem"
    with pytest.raises(UnavailableError, match=r"gone\.pem|certificates cannot be used"):
        await make_store(secure.url, ca_file=str(nothing)).head()


async def test_the_name_in_a_client_certificate_is_a_user_for_grpc_alone(
    etcd_binary: str, certificates: Path, make_store: StoreMaker, driver: str, tmp_path: Path
) -> None:
    """etcd's gateway refuses such certificates, and the words say what to do instead."""
    server = EtcdServer(tmp_path, options=("--bcrypt-cost", "4"), tls=certificates, client_certificates=True)

    def files(name: str) -> dict[str, str]:
        paths = {"ca_file": "ca.pem", "cert_file": f"{name}.pem", "key_file": f"{name}-key.pem"}
        return {setting: str(certificates / path) for setting, path in paths.items()}

    try:
        server.start().enable_users("calico", "secret", readable=b"/calico/")
        named = make_store(server.url, **files("client"))
        if driver == "aioetcd3":
            await named.put(b"/calico/1", b"1")
            with pytest.raises(DeniedError, match="permission denied"):
                await named.put(b"/secret/1", b"1")
        else:
            with pytest.raises(DeniedError, match="without a common name"):
                await named.put(b"/calico/1", b"1")
            with pytest.raises(DeniedError, match="without a common name"):
                await anext(named.watch({b"/calico/": 1}))
        async with following(make_store(server.url, **files("nameless"), **CALICO), b"/calico/") as follower:
            assert follower.connected
    finally:
        server.stop()
