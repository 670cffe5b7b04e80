"""Where the control socket of a speaker is, for the speaker and for those who ask it."""

from __future__ import annotations

import os
from pathlib import Path

NONE = "none"
VARIABLE = "PYBGP_SOCKET"


def socket_path(given: str | None) -> Path | None:
    """Of what was given on the command line or in the file, the environment's PYBGP_SOCKET, or the usual place:
    /run/pybgp/control.sock for root, pybgp.sock in XDG_RUNTIME_DIR or the home directory for others. None: "none"."""
    text = given or os.environ.get(VARIABLE)
    if text:
        return None if text == NONE else Path(text)
    if os.geteuid() == 0:
        return Path("/run/pybgp/control.sock")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "pybgp.sock" if runtime else Path.home() / ".pybgp.sock"
