"""systemd is told how it stands: ready, alive, leaving (sd_notify(3)). Without systemd nothing happens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks at whether it is ready, and between two lines of status."""


class Notifier:
    """Speaks to the socket that NOTIFY_SOCKET names. `watchdog`: seconds after which systemd takes us to be stuck."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog: float | None = None
        with contextlib.suppress(ValueError):
            ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
            seconds = int(environ.get("WATCHDOG_USEC", "0")) / 1e6
            self.watchdog = seconds if ours and seconds > 0 else None

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def tell(self, **values: str) -> None:
        """Send `READY=1` and the like. What cannot be sent is logged, and nothing else."""
        if not self._address:
            return
        # A name in the abstract namespace begins with "@", which stands for a zero octet.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        text = "\n".join(f"{name}={value}" for name, value in values.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(text.encode(), address)
        except OSError as error:
            log.warning("systemd was not told %s: %s", text.partition("=")[0], error.strerror or error)

    async def follow(self, ready: Callable[[], bool], status: Callable[[], str]) -> None:
        """Tell that it is ready, once it is; that it is alive, while the event loop turns; and how it stands."""
        told, said = False, ""
        pause = EVERY if self.watchdog is None else min(EVERY, self.watchdog / 3)
        while self.wanted:
            news = {}
            if not told and ready():
                told = True
                news["READY"] = "1"
            line = status()
            if line != said:
                said = line
                news["STATUS"] = line
            if self.watchdog is not None:
                news["WATCHDOG"] = "1"
            if news:
                self.tell(**news)
            await asyncio.sleep(pause)
