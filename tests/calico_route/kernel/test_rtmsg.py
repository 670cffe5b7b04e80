"""Of pyroute2 the route message alone is imported, and nobody else in the program notices. In processes of their own:
what is imported belongs to the whole process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def said(program: str, *path: Path) -> list[str]:
    code = "".join(f"import sys; sys.path.insert(0, {str(one)!r})\n" for one in path) + program
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.split()


ASK = """
import sys
from calico_route.kernel.packer import RoutePacker
from calico_route.kernel.rtmsg import route_message
from calico_route.kernel.route import NextHop, RouteSpec
print(route_message() is route_message(), route_message().__name__)
hops = (NextHop(bytes((192, 0, 2, 1)), 3), NextHop(bytes(15) + b"\\x01", 4))
print(len(RoutePacker(1000, 12).pack(24, 0x401, 1, RouteSpec(hops), [bytes((32, 10, 0, 0, 1))])))
print(sorted(one for one in sys.modules if one.startswith("pyroute2")) or "none")
"""


def test_alone_and_then_not_there() -> None:
    assert said(ASK) == ["True", "rtmsg", "96", "none"]  # RTA_DST, RTA_TABLE, RTA_MULTIPATH of 16 and 32 octets


def test_the_whole_is_still_to_be_had_before_and_after() -> None:
    whole = "import pyroute2; print(pyroute2.IPRoute.__name__, pyroute2.NDB.__name__)\n"
    assert said(ASK + whole)[-2:] == ["IPRoute", "NDB"]
    before = said(whole + ASK)
    assert before[:5] == ["IPRoute", "NDB", "True", "rtmsg", "96"]
    assert "'pyroute2.ndb'," in before[5:]


def test_a_release_whose_parts_need_the_whole(tmp_path: Path) -> None:
    folder = tmp_path / "pyroute2" / "netlink" / "rtnl"
    folder.mkdir(parents=True)
    (tmp_path / "pyroute2" / "__init__.py").write_text("needed = 1")
    (folder / "rtmsg.py").write_text("from pyroute2 import needed\nclass rtmsg: pass")
    program = "from calico_route.kernel.rtmsg import route_message\nprint(route_message().__name__)"
    assert said(program, tmp_path) == ["rtmsg"]
