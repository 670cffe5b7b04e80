"""The fuzz targets without the fuzzer: every seed, changed seeds, what was found once, and faults put in on purpose."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pybgp.messages.attributes.as_path import AsPath
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.rib.export import Export
from pybgp.session import Session
from tests.fuzz import decoding, reencoding, seeds, session
from tests.fuzz.mutation import mutated_body

Target = Callable[[bytes], None]
TARGETS: dict[str, tuple[Target, Callable[[], Iterator[bytes]], int]] = {
    "decode": (decoding.check, seeds.decode, 3),
    "session": (session.check, seeds.session, 2),
    "reencode": (reencoding.check, seeds.reencode, 1),
}
FOUND: tuple[tuple[str, str, str], ...] = (
    # an internal peer's confederation segments went on to external ones
    ("reencode", "05" + "0000 001e 40010100 400208 0301 0000fe4c 0000 400304c0000263 400504000000c8 080a", "confed"),
)


@pytest.fixture(autouse=True)
def fresh_routers() -> Iterator[None]:
    reencoding.scene.cache_clear()
    yield
    reencoding.scene.cache_clear()


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_changed_seeds(name: str) -> None:
    check, make, ahead = TARGETS[name]
    numbers = random.Random(name)
    count = 0
    for data in make():
        check(data)
        for _ in range(3):
            check(data[:ahead] + mutated_body(data[ahead:], numbers))
        count += 1
    assert count > 100


@pytest.mark.parametrize(("name", "octets", "what"), FOUND, ids=[what for _, _, what in FOUND])
def test_found_once(name: str, octets: str, what: str) -> None:
    TARGETS[name][0](bytes.fromhex(octets))


def finds(name: str) -> bool:
    """Whether the seeds alone make this target fail."""
    check, make, _ = TARGETS[name]
    try:
        for data in make():
            check(data)
    except Exception:  # noqa: BLE001  anything that comes out is what is looked for
        return True
    return False


def test_decode_notices_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pybgp.messages.attributes.path_attributes.find", lambda block, code: block[code])
        assert finds("decode"), "an IndexError"
    with monkeypatch.context() as patch:
        of_block = PathAttributes.of_block.__func__  # type: ignore[attr-defined]
        patch.setattr(
            PathAttributes, "of_block", classmethod(lambda cls, block, hop=b"": of_block(cls, block[:-1] + b"\0", hop))
        )
        assert finds("decode"), "the quick and the exact way differ"


def test_session_notices_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pybgp.session.negotiate", lambda mine, theirs, config: None)
        assert finds("session"), "an internal error"
    with monkeypatch.context() as patch:
        expire = Session._expire
        patch.setattr(Session, "_expire", lambda self, timer, now, into: timer == 1 or expire(self, timer, now, into))
        assert finds("session"), "a timer that does nothing"
    with monkeypatch.context() as patch:
        patch.setattr(Session, "_restart", lambda self, now, happenings: None)
        assert finds("session"), "nothing starts it again"


def test_reencode_notices_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(AsPath, "without_confederation", lambda self: self)
        assert finds("reencode"), "confederation segments outside"
    with monkeypatch.context() as patch:
        patch.setattr(AsPath, "prepend", lambda self, asn, times=1: self)
        assert finds("reencode"), "our AS is not in the path"
    with monkeypatch.context() as patch:
        judge = Export._forbidden
        patch.setattr(
            Export, "_forbidden", lambda self, path: judge(self, path) or ("no" if path.attributes.unknown else None)
        )
        assert not finds("reencode"), "a policy that keeps a route back is no fault"


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python")
def test_the_fuzzer_runs_and_finds(tmp_path: Path) -> None:
    """Coverage guides it: atheris itself, for a second, and with a fault put in."""
    words = [sys.executable, "-m", "tests.fuzz", "decode", "--time", "1", "--seed", "1", "--corpus", str(tmp_path)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing found" in done.stdout
    kept = list((tmp_path / "decode").iterdir())
    assert any(not one.name.startswith("seed-") for one in kept), "nothing new was learned: no coverage"


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python")
def test_the_fuzzer_says_what_it_found(tmp_path: Path) -> None:
    """With a fault put in: a json module that cannot."""
    (tmp_path / "sitecustomize.py").write_text("import json\njson.dumps = lambda value: 1 // 0\n")
    root = str(Path(__file__).parent.parent.parent)
    words = [sys.executable, "-m", "tests.fuzz", "decode", "--time", "10", "--corpus", str(tmp_path / "corpus")]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{root}"}
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120, env=environment, cwd=root)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ZeroDivisionError" in done.stdout
    again = done.stdout.partition("python -m tests.fuzz decode --run ")[2].split()[0]
    decoding.check(bytes.fromhex(again.strip("'")))
