"""What the agent knows and tells about its own node: the address, whether the host has it, the registration."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from .datastore import Datastore, DatastoreDeniedError, DatastoreError
from .discovery import Found, owned
from .identity import Identity
from .model import Kind
from .registration import Plan, carry_out, plan
from .view import Table, View

log = logging.getLogger(__name__)

INTRODUCE = 2.0
"""Seconds that the datastore gets to show what we registered, before the first session."""


class Ourselves:
    """Keeps the identity up to date. `on_change` is called when a registration has ended.

    `find` looks for an address of this host; it is asked only where neither flags nor the Node have one.
    `register`: write our Node, and the default pool into a datastore without any. `retry` in seconds.
    """

    def __init__(
        self,
        identity: Identity,
        datastore: Datastore,
        *,
        find: Callable[[], Found | None],
        register: bool,
        retry: float,
        on_change: Callable[[], None],
    ) -> None:
        self.identity = identity
        self.foreign = ""
        """Addresses of ours that this host does not have."""
        self.problem = ""
        """Why this node could not be registered."""
        self._datastore = datastore
        self._find = find
        self._retry = retry
        self._on_change = on_change
        self._register = register
        self._registered = False
        self._writing: asyncio.Task[None] | None = None
        self._introduce_until: float | None = None
        self._had_node = False
        self._nodes: Table | None = None  # those of the last look, if all was well then

    def look(self, view: View, *, anew: bool = True) -> None:
        """Find an address where nobody gives one, and notice when our Node goes. Without `anew` nothing is asked of
        the host again while all is well and no Node has changed."""
        nodes = view.table(Kind.NODE)
        if nodes is self._nodes and not anew:
            return
        own = view.node(self.identity.name)
        if own is None and self._had_node:
            log.warning(
                "Node %s is gone from the datastore: the other nodes end their sessions to this one. "
                "It is registered again at the next start",
                self.identity.name,
            )
        self._had_node = own is not None
        if own is not None and own.ipv4 is not None:
            # Should the Node vanish while we run, we are still who we were.
            self.identity = replace(self.identity, found_ipv4=own.ipv4)
        takes_part = own is None or own.bgp
        if takes_part and not any(self.identity.effective(version, own) for version in (4, 6)):
            self._find_address()
        self._check_owned(view)
        well = not self.foreign and any(self.identity.effective(version, own) for version in (4, 6))
        self._nodes = nodes if well else None

    def _find_address(self) -> None:
        found = self._find() if 4 not in self.identity.without else None
        if found is None:
            return
        log.info("address %s of %s: %s", found.address, found.interface, found.how)
        if found.doubtful:
            log.warning(
                "%s looks like a bridge inside this host, which other nodes cannot reach: give --ip", found.interface
            )
        self.identity = replace(self.identity, found_ipv4=found.address)

    def _check_owned(self, view: View) -> None:
        own = view.node(self.identity.name)
        addresses = [self.identity.effective(version, own) for version in (4, 6)]
        missing = ", ".join(one.address for one in addresses if one is not None and not owned(one.address))
        if missing and missing != self.foreign:
            log.error(
                "%s is no address of this host: sessions cannot come up from it. Check --ip and the Node", missing
            )
        self.foreign = missing

    def register(self, view: View) -> None:
        """Start to write what the datastore lacks, once. `view` must be what the datastore surely says."""
        if not self._register or self._registered or self._writing is not None:
            return
        todo = plan(view, self.identity)
        if todo:
            self._writing = asyncio.create_task(self._write(todo))
        else:  # a node without an address may still find one
            self._registered = view.get(Kind.NODE, self.identity.name) is not None

    async def _write(self, todo: Plan) -> None:
        try:
            for line in await carry_out(todo, self._datastore, self.identity):
                log.info("%s", line)
            self._registered, self.problem = True, ""
        except DatastoreDeniedError as error:
            self._registered, self.problem = True, f"this node could not be registered: {error}"
            log.error("%s; going on without", self.problem)
        except (DatastoreError, ValueError) as error:
            self.problem = f"this node could not be registered: {error}"
            log.warning("%s; trying again in %g s", self.problem, self._retry)
            await asyncio.sleep(self._retry)
        finally:
            self._writing = None
            self._on_change()

    def introducing_until(self, view: View, now: float) -> float | None:
        """Until when the first session should wait for the datastore to show our registration.

        Without a pool we would announce nothing, and the End-of-RIB that follows would make the others drop
        what they have of us.
        """
        if not self._register or self.problem or not plan(view, self.identity):
            return None
        if self._introduce_until is None:
            self._introduce_until = now + INTRODUCE
        return self._introduce_until if now < self._introduce_until else None

    def tasks(self) -> list[asyncio.Task[None]]:
        """What is still being written."""
        return [] if self._writing is None else [self._writing]
