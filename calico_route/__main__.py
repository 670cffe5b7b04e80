"""`python -m calico_route`: flags run the agent; a word in front asks a running one for its status or to drain, runs
the agent with containers and profiles (`node`), or is one of calico_route.commands.

Exit codes: 0 left in good order (or the status was printed, or it is safe to stop), 1 could not go on (or no agent
answers), 2 wrong flags or environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from .flags import UsageError
from .words import COMPLETION_VARIABLE, is_command, starts_node


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["status"]:
        from . import status  # no event loop, no BGP: it is to be fast

        return status.main(arguments[1:], os.environ, sys.stdout, sys.stderr)
    if arguments[:1] == ["drain"]:
        from . import drain_command

        return drain_command.main(arguments[1:], os.environ, sys.stdout, sys.stderr)
    node = starts_node(arguments)
    if "--version" in arguments and (node or not is_command(arguments)):
        from pybgp import __version__

        print(f"calico-route {__version__}")
        return 0
    if node:
        from .node import run as run_node

        return run_node(arguments[1:], os.environ)
    if is_command(arguments) or COMPLETION_VARIABLE in os.environ:
        from .commands.line import main as run_command  # typer: slow to import, and not the agent's

        return run_command(arguments)
    from .config import read_settings

    try:
        settings = read_settings(arguments, os.environ)
        from .daemon import run

        return run(settings, os.environ)
    except UsageError as error:
        for line in str(error).splitlines():
            print(f"calico-route: {line}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
