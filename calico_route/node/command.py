"""The words after `calico-route node`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial

from calico_route.flags import UsageError
from calico_route.privileges import KEPT_WITH_CONTAINERS

from .flags import read_node_settings


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """`node …`: in the foreground until a signal ends it, or in the background with --detach. Returns the exit code."""
    if list(arguments[:1]) == ["stop"]:
        return stop(arguments[1:], environ)
    try:
        settings = read_node_settings(arguments, environ)
        if settings.detach:
            from .detach import detach

            return detach(settings, [one for one in arguments if one != "--detach"], environ)
        from calico_route import daemon

        from .companions import companions

        beside = partial(companions, settings)
        return daemon.run(settings.agent, environ, companions=beside, capabilities=KEPT_WITH_CONTAINERS)
    except UsageError as error:
        for line in str(error).splitlines():
            print(f"calico-route node: {line}", file=sys.stderr)
        return 2


def stop(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """`node stop …`. Returns the exit code."""
    from .stopping import main

    return main(arguments, environ, sys.stdout, sys.stderr)
