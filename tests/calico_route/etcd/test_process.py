"""What only a process of its own can show: imports, forks, and how it ends with a watch open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import calico_route
from tests.calico_route.etcd.server import EtcdServer

ROOT = Path(calico_route.__file__).parent.parent

FOLLOW = """
import asyncio, contextlib, logging, os, sys
from calico_route.etcd.drivers import open_store
from calico_route.etcd.follow import Timing, follow
from calico_route.etcd.settings import read_settings
from calico_route.etcd.store import KeySnapshot

logging.basicConfig(level=logging.INFO)

class Silent:
    def up(self, **news): pass
    def down(self, **news): pass

def stream(driver, url):
    store = open_store(read_settings({}, endpoints=url, driver=driver))
    return store, follow(store, [b"/a/", b"/b/"], Silent(), timing=Timing(probe=0.2))
"""


def run(script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python of its own; it must end well, and with nothing on standard error."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done


def test_grpc_is_not_imported_before_it_is_needed() -> None:
    script = """
import sys
import calico_route.etcd.datastore, calico_route.etcd.drivers
from calico_route.etcd.settings import read_settings
calico_route.etcd.drivers.open_store(read_settings({}, driver="http"))
print([name for name in ("grpc", "google.protobuf", "aioetcd3", "yaml") if name in sys.modules])
"""
    assert run(script).stdout == "[]\n"


def test_fork_support_is_off_before_grpc_is_imported() -> None:
    script = """
import os, sys
class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc":
            print(os.environ.get("GRPC_ENABLE_FORK_SUPPORT"))
sys.meta_path.insert(0, Look())
import calico_route.etcd.driver_aioetcd3
assert not any(type(finder).__name__ == "_GeneratedModules" for finder in sys.meta_path)
"""
    assert run(script).stdout == "0\n"


@pytest.mark.parametrize(
    "breakage",
    ["sys.modules['grpc'] = None", "sys.modules['aioetcd3'] = None", "sys.modules['google.protobuf'] = None"],
)
def test_without_grpc_the_gateway_is_spoken_to_and_that_is_said_once(breakage: str) -> None:
    script = f"""
import asyncio, logging, sys
{breakage}
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
from calico_route.etcd.drivers import open_store
from calico_route.etcd.settings import SettingsError, read_settings
for _ in range(3):
    print(open_store(read_settings({{}})).driver)
try:
    open_store(read_settings({{}}, driver="aioetcd3"))
except SettingsError as error:
    print(error)
"""
    output = run(script).stdout
    assert output.count("WARNING") == output.count("JSON gateway instead") == 1
    assert output.splitlines().count("http") == 3
    assert "use --etcd-driver http" in output


@pytest.mark.daemon
class TestWithAServer:
    @pytest.mark.parametrize("frozen", [False, True], ids=["alive", "frozen"])
    def test_a_program_ends_with_the_watch_still_open(self, server: EtcdServer, driver: str, frozen: bool) -> None:
        script = f"""{FOLLOW}
import signal
async def main():
    store, news = stream(sys.argv[1], sys.argv[2])
    await anext(news)
    waiting = asyncio.ensure_future(anext(news))
    await asyncio.sleep(0.3)
    if sys.argv[3] == "True":
        os.kill(int(sys.argv[4]), signal.SIGSTOP)
    return waiting  # neither closed nor cancelled: the end of the loop has to do
asyncio.run(main())
print("over")
"""
        assert server.process is not None
        try:
            done = run(script, driver, server.url, str(frozen), str(server.process.pid))
        finally:
            server.send(signal.SIGCONT)
        assert done.stdout == "over\n"

    def test_several_event_loops_one_after_the_other(self, shared: EtcdServer, driver: str) -> None:
        script = f"""{FOLLOW}
async def main():
    store, news = stream(sys.argv[1], sys.argv[2])
    async with contextlib.aclosing(news):
        assert isinstance(await anext(news), KeySnapshot)
    await store.close()
for _ in range(10):
    asyncio.run(main())
print("over")
"""
        assert run(script, driver, shared.url).stdout == "over\n"

    def test_children_of_fork_and_the_watch_of_their_parent(self, server: EtcdServer, driver: str) -> None:
        """pyroute2 forks for its work in network namespaces; with grpc's own fork support children crashed."""
        script = f"""{FOLLOW}
async def main():
    store, news = stream(sys.argv[1], sys.argv[2])
    async with contextlib.aclosing(news):
        await anext(news)
        for number in range(40):
            child = os.fork()
            if child == 0:
                sum(range(1000))
                os._exit(0)
            _, status = os.waitpid(child, 0)
            assert status == 0, status
            if number % 10 == 9:
                await store.put(b"/a/%d" % number, b"x")
                [event] = await anext(news)
                assert event.key == b"/a/%d" % number
    await store.close()
asyncio.run(main())
print("over")
"""
        assert run(script, driver, server.url).stdout == "over\n"
