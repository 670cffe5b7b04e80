"""`calico-route-cni --install FILE`: put the plug-in where a runtime looks for it.

What is written starts Python without site packages and environment (-I, -S), which the plug-in does not need: in a
virtual environment that is half of its start.
"""

from __future__ import annotations

import os
import sys

SCRIPT = """\
#!{python} -IS
# Written by calico-route-cni --install: the CNI plug-in of calico_route in {place}.
import sys

sys.path.append({place!r})
from calico_route.cni.plugin import main

sys.exit(main())
"""
LONGEST_LINE = 127
"""Octets of a script's first line, of older kernels."""


def install(path: str) -> str | None:
    """None, or in words why not. A file that is there is exchanged at once, while others may be starting it."""
    python = os.path.realpath(sys.executable)
    place = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    text = SCRIPT.format(python=python, place=place)
    if len(text.partition("\n")[0].encode()) > LONGEST_LINE or " " in python:
        return f"the path of Python is too long for a script, or has a blank in it: {python}"
    made = f"{path}.{os.getpid()}"
    try:
        with open(made, "w") as file:
            file.write(text)
        os.chmod(made, 0o755)
        os.replace(made, path)
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None
