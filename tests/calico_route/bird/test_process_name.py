"""What others see as the first argument of the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from calico_route.bird import process_name

ASKED = """
import os, sys
from pathlib import Path
from calico_route.bird.process_name import call_process
assert call_process(sys.argv[1]), "not renamed"
assert call_process(sys.argv[1]), "a second time"
sys.stdout.buffer.write(Path(f"/proc/{os.getpid()}/cmdline").read_bytes())
assert sys.argv[2:] == ["--flag", "last one"] and os.environ["KEPT"] == "yes"
"""


def shown(name: str) -> list[str]:
    words = [sys.executable, "-c", ASKED, name, "--flag", "last one"]
    done = subprocess.run(words, env={"KEPT": "yes"}, check=True, capture_output=True)
    return done.stdout.decode().rstrip("\0").split("\0")


@pytest.mark.parametrize("name", ["bird", "bird6"])
def test_the_first_argument_is_the_name_and_the_others_follow(name: str) -> None:
    """As `calicoctl node status` reads it: arguments end with a zero octet each."""
    found = shown(name)
    assert found[:2] == [name, "-c"]
    assert found[3:] == [name, "--flag", "last one"]


def test_what_is_not_possible_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert not process_name.call_process("x" * 100_000)
    assert "there is no room" in caplog.text
    monkeypatch.setattr(process_name, "_STAT", tmp_path / "none")
    assert not process_name.call_process("bird")
    assert "the process keeps its name: " in caplog.text
