"""From keys and values of the datastore to what is known (Cluster).

A value that cannot be read leaves the last good one in force, and is reported; so does a datastore that is suddenly
empty while workloads are here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from ipaddress import ip_address

from calico_route.documents import read_value
from calico_route.etcd.store import KeyEvent, KeySnapshot
from calico_route.keys import WORKLOADS, parse_path
from calico_route.model import WorkloadEndpoint

from . import keys
from .cluster import Cluster
from .model import NAMESPACE, ORCHESTRATOR, Endpoint, EndpointKey
from .networkpolicy import read_network_policy
from .profile import read_profile

log = logging.getLogger(__name__)

_VALUES_A_SLICE = 200
_EMPTY = "the datastore"


def endpoint_of(workload: WorkloadEndpoint) -> Endpoint:
    """What matters of a WorkloadEndpoint, with the labels that Calico gives to each."""
    translated = set(workload.nat_networks)
    addresses = (str(one).rpartition("/")[0] for one in workload.networks if one not in translated)
    labels = dict(workload.labels)
    labels.setdefault(NAMESPACE, workload.namespace)
    if workload.orchestrator:
        labels.setdefault(ORCHESTRATOR, workload.orchestrator)
    return Endpoint(
        key=EndpointKey(workload.namespace, workload.name),
        node=workload.node,
        interface=workload.interface,
        addresses=tuple(str(ip_address(address)) for address in addresses),
        profiles=workload.profiles,
        labels=labels,
    )


class Source:
    """Takes what etcd tells into a Cluster. `problem` is called with each new problem."""

    def __init__(self, cluster: Cluster, problem: Callable[[str], None]) -> None:
        self.cluster = cluster
        self.problems: dict[str, tuple[str, ...]] = {}  # by what they are about
        self._problem = problem
        self._seen: dict[bytes, int] = {}  # keys that exist, with a hash of their value

    async def replace(self, snapshot: KeySnapshot) -> None:
        """All that there is. Gives way to other tasks from time to time; nothing of it is compiled until it returns."""
        gone = self._seen.keys() - snapshot.values.keys()
        if gone and not snapshot.values and self.cluster.local:
            self.note(_EMPTY, ("it is empty while workloads are here: what was known stays in force",))
            return
        self.note(_EMPTY, ())
        for path in gone:
            self.take(path, None)
        # Endpoints last: with their profiles there, each is compiled once.
        ordered = sorted(snapshot.values.items(), key=lambda one: one[0].startswith(WORKLOADS))
        for count, (path, value) in enumerate(ordered, 1):
            if self._seen.get(path) != hash(value):
                self.take(path, value)
            if count % _VALUES_A_SLICE == 0:
                await asyncio.sleep(0)

    def apply(self, events: list[KeyEvent]) -> None:
        for event in events:
            self.take(event.key, event.value)

    def take(self, path: bytes, value: bytes | None) -> None:
        """One key, written or deleted (None)."""
        try:
            names = keys.names_in(path)
        except (ValueError, UnicodeDecodeError):
            log.warning("%r in the datastore is no key of a resource: left alone", path)
            return
        if value is None:
            self._seen.pop(path, None)
        else:
            self._seen[path] = hash(value)
        for prefix, read in self._readers().items():
            if path.startswith(prefix):
                read(path, names, value)

    def note(self, about: str, problems: tuple[str, ...]) -> None:
        """What is wrong with something; nothing: it is good again."""
        before = self.problems.get(about, ())
        if problems == before:
            return
        if problems:
            self.problems[about] = problems
        else:
            del self.problems[about]
            log.info("%s is good again", about)
        for text in problems:
            if text not in before:
                self._problem(f"{about}: {text}")

    def _readers(self) -> Mapping[bytes, Callable[[bytes, tuple[str, ...], bytes | None], None]]:
        return {
            WORKLOADS: self._workload,
            keys.PROFILES: self._profile,
            keys.NETWORK_POLICIES: self._policy,
            keys.GLOBAL_NETWORK_POLICIES: self._policy,
            keys.NETWORK_SETS: self._network_set,
            keys.GLOBAL_NETWORK_SETS: self._network_set,
        }

    def _profile(self, path: bytes, names: tuple[str, ...], value: bytes | None) -> None:
        name = names[-1]
        about = f"Profile({name})"
        if value is None:
            self.cluster.put_profile(name, None)
            self.note(about, ())
            return
        reading = read_profile(name, value)
        kept = reading.wrong and name in self.cluster.profiles
        self.note(about, _with_fate(reading.problems, reading.wrong, kept))
        if not kept and reading.profile is not None:
            self.cluster.put_profile(name, reading.profile)

    def _policy(self, path: bytes, names: tuple[str, ...], value: bytes | None) -> None:
        namespace, name = (names[0], names[1]) if len(names) == 2 else ("", names[0])
        about = f"NetworkPolicy({namespace}/{name})" if namespace else f"GlobalNetworkPolicy({name})"
        key = (namespace, name)
        if value is None:
            self.cluster.put_policy(key, None)
            self.note(about, ())
            return
        reading = read_network_policy(name, namespace, value)
        kept = reading.wrong and key in self.cluster.policies
        self.note(about, _with_fate(reading.problems, reading.wrong, kept))
        if not kept:
            self.cluster.put_policy(key, reading.policy)

    def _workload(self, path: bytes, names: tuple[str, ...], value: bytes | None) -> None:
        key = parse_path(path)
        if key is None:
            return
        if value is None:
            self.cluster.put_endpoint(EndpointKey(key.namespace, key.name), None)
            self.note(str(key), ())
            return
        reading = read_value(key, value)
        problems = tuple(
            " ".join(part for part in (problem.field, problem.value, problem.why) if part)
            for problem in reading.problems
            if problem.fatal
        )
        endpoint = endpoint_of(reading.resource) if isinstance(reading.resource, WorkloadEndpoint) else None
        if endpoint is not None and endpoint.node == self.cluster.node and not self.cluster.is_local(endpoint):
            shown = endpoint.interface or "(none)"
            problems += (f"interface {shown} is not one of {self.cluster.interface_prefix}*: no rules are kept for it",)
        self.note(str(key), problems)
        if endpoint is not None:
            self.cluster.put_endpoint(endpoint.key, endpoint)

    def _network_set(self, path: bytes, names: tuple[str, ...], value: bytes | None) -> None:
        about = f"NetworkSet({'/'.join(names)})"
        told = "network sets are not read: selectors do not see its networks; write them as nets"
        self.note(about, () if value is None else (told,))


def _with_fate(problems: tuple[str, ...], wrong: bool, kept: bool) -> tuple[str, ...]:
    if not wrong:
        return problems
    fate = "the last good one stays in force" if kept else "what can be read of it is in force, and closed otherwise"
    return tuple(f"{problem} ({fate})" for problem in problems)
