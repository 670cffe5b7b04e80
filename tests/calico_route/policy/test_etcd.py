"""The engine on a real etcd, by both drivers: what is written there is in the kernel; an outage changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calico_route.etcd.follow import Timing
from calico_route.policy import Policy
from demo.lab import Host
from tests.calico_route.etcd.conftest import (  # noqa: F401 - fixtures
    driver,
    etcd_binary,
    make_store,
    server,
)
from tests.calico_route.etcd.server import EtcdServer
from tests.calico_route.kernel.conftest import eventually
from tests.calico_route.policy import lab as probes
from tests.calico_route.policy.memory_store import policy, profile, workload

pytestmark = [pytest.mark.netns, pytest.mark.daemon]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with probes.hosted("poletcd") as (_, made):
        yield made


async def test_etcd_leads_to_the_kernel(
    host: Host,
    server: EtcdServer,  # noqa: F811
    make_store: Callable[[str], object],  # noqa: F811
) -> None:
    for path, value in (profile("web") | workload("w1", ["192.168.0.1"], ["web"])).items():
        server.put(path, value)
    engine = Policy(
        make_store(server.url),  # type: ignore[arg-type]
        node="n1",
        netns=host.netns,
        timing=Timing(probe=0.5, retry=0.05, retry_max=0.2),
    )

    def table() -> str:
        return host.run("nft", "list", "table", "inet", "calico_route")

    await engine.start()
    try:
        await eventually(lambda: "caliw1" in table())
        for path, value in (workload("w2", ["192.168.0.2"], ["web"], node="n2")).items():
            server.put(path, value)
        await eventually(lambda: "192.168.0.2" in table())
        server.kill()
        await eventually(lambda: engine.status()["datastore"]["problem"])
        assert "caliw1" in table()
        assert engine.status()["in_force"]
        server.start()
        for path, value in policy("closed", {"selector": "all()", "types": ["Ingress"]}).items():
            server.put(path, value)
        await eventually(lambda: "no policy decided" in table(), 20)
        assert engine.status()["datastore"]["problem"] is None
    finally:
        await engine.close()
