"""The name under which the process is found: `calicoctl node status` looks for one whose first argument is exactly
`bird` before it asks the socket.

The kernel shows the arguments of a process from where they lie in its memory (proc(5), `cmdline`, and `arg_start` of
`stat`); they are written over there. Nothing else of the process changes.
"""

from __future__ import annotations

import ctypes
import logging
from pathlib import Path

log = logging.getLogger(__name__)

_STAT = Path("/proc/self/stat")
_CMDLINE = Path("/proc/self/cmdline")
_ARG_START, _ARG_END = 47, 48  # fields of stat, counted from 0


def call_process(name: str) -> bool:
    """Make `name` the first argument that others see, the others follow it. False, with a warning, where that is not
    possible: the process works as before."""
    try:
        # The name of the program, in parentheses, may have blanks: fields are counted from behind it.
        fields = _STAT.read_text().rpartition(")")[2].split()
        start, end = (int(fields[number - 2]) for number in (_ARG_START, _ARG_END))
        first, *rest = _CMDLINE.read_bytes().removesuffix(b"\0").split(b"\0")
    except (OSError, ValueError, IndexError) as error:
        log.warning("the process keeps its name: %s", error)
        return False
    if first == name.encode():
        return True
    arguments = b"\0".join([name.encode(), *rest]) + b"\0"
    room = end - start
    if not start or len(arguments) > room:
        log.warning("the process keeps its name %s: there is no room for %s", first.decode(errors="replace"), name)
        return False
    ctypes.memmove(start, arguments.ljust(room, b"\0"), room)
    return True
