"""What a workload needs of the packages beside this one: an address, and rules for its interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from calico_route.model import WorkloadEndpoint


class WorkloadError(Exception):
    """Something that was asked for cannot be had. The text is for a person; `code` is one of the words of the socket:
    taken, full, outside, reserved, unknown-profile, no-netns, busy, invalid, unavailable."""

    code = "invalid"

    def __init__(self, text: str, *, code: str | None = None) -> None:
        super().__init__(text)
        if code is not None:
            self.code = code


class Addresses(Protocol):
    """The addresses of the cluster. A handle is who holds some: `<network>.<container>`.

    `attributes` are kept beside each address (`node`, `container`, `timestamp` …). WorkloadError where there is none to
    be had, or where the datastore does not answer (`unavailable`).
    """

    async def assign(
        self,
        handle: str,
        *,
        versions: Sequence[int] = (4,),
        pools: Sequence[str] = (),
        attributes: Mapping[str, str],
    ) -> tuple[str, ...]:
        """A free address of each IP version, in that order; from the pools of these names or CIDRs, if any are given.
        A handle that has one of a version already keeps it."""
        ...

    async def claim(self, handle: str, addresses: Sequence[str], *, attributes: Mapping[str, str]) -> None:
        """Just these, all or none; those that the handle has already are no error."""
        ...

    async def release(self, handle: str) -> tuple[str, ...]:
        """Give back all that the handle has, which is returned."""
        ...


class Rules(Protocol):
    """The rules for the interfaces of workloads."""

    async def admit(self, endpoint: WorkloadEndpoint) -> None:
        """Returns when what its profiles say is in force in the kernel for its interface. WorkloadError
        (`unknown-profile`) where a profile does not exist."""
        ...

    async def dismiss(self, interface: str) -> None:
        """The interface is gone."""
        ...


class Profiles(Protocol):
    """The profiles of the cluster, by the names that people give them."""

    async def ensure(self, names: Sequence[str], *, create: bool) -> tuple[str, ...]:
        """Their names in the datastore, in the same order. One that is not there is made with the rules of a new
        profile, or else is a WorkloadError (`unknown-profile`)."""
        ...
