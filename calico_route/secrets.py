"""Passwords that the datastore only names: files in a directory, as Kubernetes mounts its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from .config import LONGEST_MESH_PASSWORD, read_password
from .model import SecretReference


def read_secrets(
    directory: Path, earlier: Mapping[SecretReference, str] = MappingProxyType({})
) -> tuple[Mapping[SecretReference, str], list[str]]:
    """The passwords in DIRECTORY/SECRET/KEY, and what is wrong with which file; what was read `earlier` from one that
    cannot be read now stays. OSError where the directory itself cannot be read. Names that begin with a dot are
    Kubernetes' own."""
    found: dict[SecretReference, str] = {}
    faults: list[str] = []
    for secret in _entries(directory):
        try:
            files = _entries(secret) if secret.is_dir() else []
        except OSError as error:
            stays = {one: password for one, password in earlier.items() if one.name == secret.name}
            found.update(stays)
            faults.append(f"{secret}: {error.strerror or error}; {_consequence(bool(stays))}")
            continue
        for file in files:
            one = SecretReference(secret.name, file.name)
            try:
                if file.is_dir():
                    continue
                found[one] = read_password(file, LONGEST_MESH_PASSWORD)
            except (OSError, ValueError) as error:
                if one in earlier:
                    found[one] = earlier[one]
                words = getattr(error, "strerror", None) or error
                faults.append(f"{file}: {words}; {_consequence(one in earlier)}")
    return found, faults


def _entries(directory: Path) -> list[Path]:
    return sorted(one for one in directory.iterdir() if not one.name.startswith("."))


def _consequence(stays: bool) -> str:
    return "what was read from it before stays" if stays else "this password is left out"


def state_of(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Differs when the files do: names, times of change, sizes (zeros where one cannot be reached)."""
    return tuple((str(one), *_time_and_size(one)) for one in sorted(directory.glob("*/*")))


def _time_and_size(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
