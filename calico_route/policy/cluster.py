"""What is known of profiles, policies and endpoints, and what of it matters to the workloads of this node.

Only what a local endpoint names or a policy that selects one is active: of 200 profiles a node with three workloads has
a handful in its kernel. Every change leaves in `delta` what has to be compiled anew.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .members import Change, Members
from .model import (
    ALLOW_ALL_PROFILE,
    Action,
    Direction,
    Endpoint,
    EndpointKey,
    NetworkPolicy,
    Profile,
    Rule,
    Selection,
)
from .profile import BUILT_IN

PolicyKey = tuple[str, str]
"""Namespace and name."""
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")


@dataclass(slots=True)
class Delta:
    """What changed since somebody looked."""

    profiles: set[str] = field(default_factory=set)
    policies: set[PolicyKey] = field(default_factory=set)
    interfaces: set[str] = field(default_factory=set)
    selections: set[Selection] = field(default_factory=set)  # followed from now on, or no more
    members: list[Change] = field(default_factory=list)
    concerned: set[str] = field(default_factory=set)  # addresses whose connections may be allowed no more


@dataclass(frozen=True, slots=True)
class Local:
    """An endpoint of this node and the policies that select it, in the order in which they are asked."""

    endpoint: Endpoint
    policies: tuple[PolicyKey, ...]


class Cluster:
    """All that is known, by the names of the datastore."""

    def __init__(self, node: str, interface_prefix: str = "cali") -> None:
        self.node, self.interface_prefix = node, interface_prefix
        self.members = Members()
        self.profiles: dict[str, Profile] = {}
        self.policies: dict[PolicyKey, NetworkPolicy] = {}
        self.endpoints: dict[EndpointKey, Endpoint] = {}
        self.local: dict[str, Local] = {}  # by interface
        self.delta = Delta()
        self._by_profile: defaultdict[str, set[EndpointKey]] = defaultdict(set)
        self._by_address: defaultdict[str, set[EndpointKey]] = defaultdict(set)
        self._by_interface: defaultdict[str, set[EndpointKey]] = defaultdict(set)
        self._active_profiles: Counter[str] = Counter()
        self._active_policies: Counter[PolicyKey] = Counter()
        self._narrowing: Counter[Selection] = Counter()  # a member more may mean a connection less

    def take_delta(self) -> Delta:
        taken, self.delta = self.delta, Delta()
        return taken

    def profile(self, name: str) -> Profile | None:
        """The profile of that name; Calico has one that is nowhere stored."""
        return self.profiles.get(name) or (BUILT_IN if name == ALLOW_ALL_PROFILE else None)

    def active_profile(self, name: str) -> Profile | None:
        return self.profile(name) if self._active_profiles[name] else None

    def active_policy(self, key: PolicyKey) -> NetworkPolicy | None:
        return self.policies.get(key) if self._active_policies[key] else None

    def tags(self) -> set[str]:
        """All labels that a profile gives or an endpoint carries."""
        given = {label for profile in self.profiles.values() for label in profile.labels}
        return given.union(self.members.labels)

    def at(self, address: str) -> Iterator[Endpoint]:
        """The endpoints with an address: one, or more while a workload moves."""
        for key in self._by_address.get(address, ()):
            yield self.endpoints[key]

    def labels(self, endpoint: Endpoint) -> Mapping[str, str]:
        """Its own, then those of its profiles; the first that gives a label wins."""
        found = dict(endpoint.labels)
        for name in endpoint.profiles:
            profile = self.profiles.get(name)
            if profile is not None:
                for label, value in profile.labels.items():
                    found.setdefault(label, value)
        return found

    def policies_for(self, endpoint: Endpoint) -> tuple[PolicyKey, ...]:
        """The policies that select it, in their order."""
        labels = self.labels(endpoint)
        found = [one for one in self.policies.values() if one.applies_to.selects(labels)]
        return tuple(one.key for one in sorted(found, key=lambda one: one.rank))

    def enforces(self, endpoint: Endpoint) -> bool:
        """Whether rules for it are kept here."""
        one = self.local.get(endpoint.interface)
        return one is not None and one.endpoint.key == endpoint.key

    def policies_of(self, endpoint: Endpoint) -> tuple[PolicyKey, ...]:
        """As policies_for, without the work where it was done already."""
        return self.local[endpoint.interface].policies if self.enforces(endpoint) else self.policies_for(endpoint)

    def put_profile(self, name: str, profile: Profile | None) -> None:
        """A profile that is new, changed, or gone (None)."""
        before = self.profiles.get(name)
        if before == profile:
            return
        active = self._active_profiles[name] > 0
        old_rules = _rules_of(self.profile(name)) if active else ()
        if profile is None:
            del self.profiles[name]
        else:
            self.profiles[name] = profile
        if active:
            self._follow(_rules_of(self.profile(name)))
            self._unfollow(old_rules)
            self.delta.profiles.add(name)
        users = self._by_profile.get(name, set())
        relabelled = (before.labels if before else {}) != (profile.labels if profile else {})
        for key in list(users) if relabelled else ():
            self._place(self.endpoints[key])
        if active:
            for interface, one in self._local_of(users):
                self.delta.concerned.update(one.endpoint.addresses)
                if before is None or profile is None:
                    self.delta.interfaces.add(interface)

    def put_policy(self, key: PolicyKey, policy: NetworkPolicy | None) -> None:
        """A policy that is new, changed, or gone (None)."""
        before = self.policies.get(key)
        if before == policy:
            return
        active = self._active_policies[key] > 0
        if policy is None:
            del self.policies[key]
        else:
            self.policies[key] = policy
        if active:
            self._follow(_rules_of(policy))
            self._unfollow(_rules_of(before))
            self.delta.policies.add(key)
        same_place = (
            before is not None
            and policy is not None
            and (before.rank, before.applies_to, before.types) == (policy.rank, policy.applies_to, policy.types)
        )
        selected = set() if same_place or policy is None else self.members.carrying(policy.applies_to)
        for interface, one in list(self.local.items()):
            if not same_place and (key in one.policies or one.endpoint.key in selected):
                self._choose(interface)
                self.delta.interfaces.add(interface)
            if key in one.policies:
                self.delta.concerned.update(one.endpoint.addresses)

    def put_endpoint(self, key: EndpointKey, endpoint: Endpoint | None) -> None:
        """An endpoint of any node that is new, changed, or gone (None)."""
        before = self.endpoints.get(key)
        if before == endpoint:
            return
        if before is not None:
            self._unindex(before)
        if endpoint is None:
            del self.endpoints[key]
            self._told(self.members.remove(key))
        else:
            self.endpoints[key] = endpoint
            self._index(endpoint)
            self._told(self.members.put(key, self.labels(endpoint), endpoint.addresses))
        for interface in {one.interface for one in (before, endpoint) if one is not None and self.is_local(one)}:
            self._choose(interface)

    def is_local(self, endpoint: Endpoint) -> bool:
        """Whether its interface is one of ours to keep rules for."""
        ours = endpoint.node == self.node and endpoint.interface.startswith(self.interface_prefix)
        return ours and _INTERFACE.fullmatch(endpoint.interface) is not None

    def _index(self, endpoint: Endpoint) -> None:
        for name in endpoint.profiles:
            self._by_profile[name].add(endpoint.key)
        for address in endpoint.addresses:
            self._by_address[address].add(endpoint.key)
        if self.is_local(endpoint):
            self._by_interface[endpoint.interface].add(endpoint.key)

    def _unindex(self, endpoint: Endpoint) -> None:
        for index, names in (
            (self._by_profile, endpoint.profiles),
            (self._by_address, endpoint.addresses),
            (self._by_interface, (endpoint.interface,)),
        ):
            for name in names:
                keys = index.get(name)
                if keys is not None:
                    keys.discard(endpoint.key)
                    if not keys:
                        del index[name]

    def _place(self, endpoint: Endpoint) -> None:
        """The labels of an endpoint may be others now."""
        self._told(self.members.put(endpoint.key, self.labels(endpoint), endpoint.addresses))
        if self.is_local(endpoint):
            self._choose(endpoint.interface)

    def _choose(self, interface: str) -> None:
        """Work out again who is behind an interface, and which policies select it."""
        before = self.local.get(interface)
        keys = self._by_interface.get(interface)
        after = None
        if keys:
            endpoint = self.endpoints[max(keys)]
            after = Local(endpoint, self.policies_for(endpoint))
        if before == after:
            return
        if after is not None:
            self.local[interface] = after
            self._activate(after, 1)
            self.delta.concerned.update(after.endpoint.addresses)
        else:
            del self.local[interface]
        if before is not None:
            self._activate(before, -1)
            self.delta.concerned.update(before.endpoint.addresses)
        self.delta.interfaces.add(interface)

    def _activate(self, one: Local, by: int) -> None:
        for name in dict.fromkeys(one.endpoint.profiles):
            self._active_profiles[name] += by
            if self._active_profiles[name] == max(by, 0):
                self.delta.profiles.add(name)
                (self._follow if by > 0 else self._unfollow)(_rules_of(self.profile(name)))
        for key in one.policies:
            self._active_policies[key] += by
            if self._active_policies[key] == max(by, 0):
                self.delta.policies.add(key)
                # A policy that is gone was unfollowed when it went.
                (self._follow if by > 0 else self._unfollow)(_rules_of(self.policies.get(key)))

    def _follow(self, rules: Iterable[Rule]) -> None:
        for rule in rules:
            self._narrowing.update(_narrowing(rule))
            for selection in rule.selections():
                if self.members.want(selection):
                    self.delta.selections.add(selection)

    def _unfollow(self, rules: Iterable[Rule]) -> None:
        for rule in rules:
            self._narrowing.subtract(_narrowing(rule))
            for selection in rule.selections():
                if self.members.unwant(selection):
                    self.delta.selections.add(selection)
                    del self._narrowing[selection]

    def _told(self, changes: list[Change]) -> None:
        self.delta.members += changes
        for change in changes:
            if not change.added or self._narrowing[change.selection] > 0:
                self.delta.concerned.add(change.address)

    def _local_of(self, keys: Iterable[EndpointKey]) -> Iterator[tuple[str, Local]]:
        for key in keys:
            interface = self.endpoints[key].interface
            one = self.local.get(interface)
            if one is not None and one.endpoint.key == key:
                yield interface, one


def _rules_of(owner: Profile | NetworkPolicy | None) -> tuple[Rule, ...]:
    return () if owner is None else owner.rules(Direction.INGRESS) + owner.rules(Direction.EGRESS)


def _narrowing(rule: Rule) -> list[Selection]:
    """The selections whose new members this rule may take something from."""
    if rule.action is not Action.ALLOW:
        return list(rule.selections())
    return [side.not_selection for side in (rule.source, rule.destination) if side.not_selection is not None]
