"""Passwords that the datastore only names: files in a directory, as Kubernetes mounts its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .config import LONGEST_MESH_PASSWORD, read_password
from .model import SecretReference


def read_secrets(directory: Path) -> tuple[Mapping[SecretReference, str], list[str]]:
    """The passwords in DIRECTORY/SECRET/KEY, and what is wrong with which file. OSError where the directory cannot be
    read. Names that begin with a dot are Kubernetes' own."""
    found: dict[SecretReference, str] = {}
    faults: list[str] = []
    for secret in sorted(directory.iterdir()):
        if secret.name.startswith(".") or not secret.is_dir():
            continue
        for file in sorted(secret.iterdir()):
            if file.name.startswith(".") or file.is_dir():
                continue
            try:
                found[SecretReference(secret.name, file.name)] = read_password(file, LONGEST_MESH_PASSWORD)
            except (OSError, ValueError) as error:
                faults.append(f"{file}: {getattr(error, 'strerror', None) or error}")
    return found, faults


def state_of(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Differs when the files do: names, times of change, sizes. Empty where the directory cannot be read."""
    try:
        return tuple(
            (str(one), status.st_mtime_ns, status.st_size)
            for one in sorted(directory.glob("*/*"))
            for status in (one.stat(),)
        )
    except OSError:
        return ()
