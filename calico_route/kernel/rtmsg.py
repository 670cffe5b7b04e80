"""pyroute2's route message without the rest of pyroute2.

Whoever imports any part of that package gets all of it, 160 modules with a database among them: 9 MB in each agent,
and 50 ms of the start, which on a node that restarts with fifteen others are most of a second. The message alone is
6 modules and 2 ms. So the package is for a moment one whose `__init__` is not run, and afterwards not imported at
all: what another part of the program imports of it later is the whole, and its own.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any

PACKAGE = "pyroute2"


@cache
def route_message() -> type[Any]:
    """The class of pyroute2 that encodes route messages. Raises ImportError where pyroute2 is not installed."""
    spec = None if PACKAGE in sys.modules else find_spec(PACKAGE)
    if spec is not None and spec.submodule_search_locations is not None:
        bare = ModuleType(PACKAGE)
        bare.__path__ = list(spec.submodule_search_locations)
        sys.modules[PACKAGE] = bare
        try:
            return _imported()
        except (ImportError, AttributeError):
            pass  # a release of pyroute2 whose parts need the whole
        finally:
            for name in [one for one in sys.modules if one == PACKAGE or one.startswith(PACKAGE + ".")]:
                del sys.modules[name]
    return _imported()


def _imported() -> type[Any]:
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    message: type[Any] = rtmsg
    return message
