"""Passwords in a directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from calico_route.model import SecretReference
from calico_route.secrets import read_secrets, state_of


def test_as_kubernetes_mounts_them(tmp_path: Path) -> None:
    """Files are links into a directory that is exchanged as a whole, with dots in front of its names."""
    data = tmp_path / "bgp-secrets" / "..2026"
    data.mkdir(parents=True)
    (data / "mesh").write_text("first\n")
    (data / "tor").write_text("second")
    for name in ("mesh", "tor"):
        (tmp_path / "bgp-secrets" / name).symlink_to(f"..2026/{name}")
    (tmp_path / "README").write_text("not a secret")
    found, faults = read_secrets(tmp_path)
    assert found == {SecretReference("bgp-secrets", "mesh"): "first", SecretReference("bgp-secrets", "tor"): "second"}
    assert faults == []


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "empty").write_text("\n")
    (folder / "long").write_text("x" * 81)
    (folder / "binary").write_bytes(b"\xff\xfe")
    (folder / "gone").symlink_to("nowhere")
    (folder / "good").write_text("word")
    found, faults = read_secrets(tmp_path)
    assert found == {SecretReference("s", "good"): "word"}
    assert [fault.split(": ")[0] for fault in faults] == [
        str(folder / name) for name in ("binary", "empty", "gone", "long")
    ]
    assert not any("x" * 81 in fault for fault in faults)


def test_what_was_read_before_stays_where_it_cannot_be_read_now(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    for name in ("emptied", "good", "removed"):
        (folder / name).write_text(name)
    earlier, _ = read_secrets(tmp_path)
    (folder / "emptied").write_text("")
    (folder / "good").write_text("better")
    (folder / "removed").unlink()
    found, (fault,) = read_secrets(tmp_path, earlier)
    assert found == {SecretReference("s", "emptied"): "emptied", SecretReference("s", "good"): "better"}
    assert fault.startswith(str(folder / "emptied"))
    assert fault.endswith("; what was read from it before stays")
    (folder / "good").unlink()
    assert read_secrets(tmp_path)[0] == {}


def test_a_secret_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for secret in ("closed", "open"):
        (tmp_path / secret).mkdir()
        (tmp_path / secret / "mesh").write_text(secret)
    earlier, _ = read_secrets(tmp_path)
    iterdir = Path.iterdir

    def refused(path: Path) -> Iterator[Path]:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    found, (fault,) = read_secrets(tmp_path)
    assert found == {SecretReference("open", "mesh"): "open"}
    assert fault == f"{tmp_path / 'closed'}: Permission denied; this password is left out"
    assert read_secrets(tmp_path, earlier)[0] == earlier


def test_a_change_is_seen_beside_what_leads_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "gone").symlink_to("nowhere")
    (folder / "mesh").write_text("one")
    before = state_of(tmp_path)
    (folder / "mesh").write_text("another")
    assert state_of(tmp_path) != before


def test_a_change_is_seen(tmp_path: Path) -> None:
    assert state_of(tmp_path / "none") == ()
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "mesh").write_text("one")
    before = state_of(tmp_path)
    assert state_of(tmp_path) == before
    (folder / "mesh").write_text("other")
    os.utime(folder / "mesh", ns=(1, 1))
    assert state_of(tmp_path) != before
    with pytest.raises(OSError, match="none"):
        read_secrets(tmp_path / "none")
