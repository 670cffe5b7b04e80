"""Clusters by chance: what the agent makes of them, beside a second answer that shares no code with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from calico_route.desired import Desired, Wishes
from calico_route.identity import Identity
from calico_route.sessions import MeshPeer, Options
from calico_route.telling import export_policy, import_policy
from pybgp import IPV4_UNICAST, IPV6_UNICAST, PathAttributes, PathView, Policy, Prefix, Route, Source
from pybgp.rib import Path
from tests.calico_route.bird_behaviour import Bird, Candidate, Session
from tests.calico_route.random_clusters import ME, VERSIONS, World, random_world

FAMILIES = {4: IPV4_UNICAST, 6: IPV6_UNICAST}
OWN = Source.own(64512, 1)
HEARD = Source(name="other", address=b"\x0a\0\0\1", asn=64512, local_as=64512)
seeds = st.integers(0, 2**32)


def asked(world: World, version: str) -> Desired:
    """As a node with Calico's own way to announce is told by its kernel of the workloads."""
    return Wishes().state(
        world.view(),
        Identity(name=ME),
        Options(announce_blocks=True, workloads_from_kernel=True, workloads_from_etcd=False, compat=version),
        present=lambda *_: False,
        kernel_workloads={Prefix(str(net)) for net in world.workloads},
    )


def worlds(seed: int) -> Iterator[tuple[World, Bird, Desired]]:
    """Each cluster under each version of Calico, by flag and by what the cluster says."""
    for version, number in VERSIONS.items():
        world = random_world(Random(seed), version)
        said = "auto" if "ClusterInformation/default" in world.documents else version
        yield world, Bird(world.documents, ME, number, world.selectors), asked(world, said)


@given(seeds)
@settings(max_examples=300, deadline=None)
@example(5151)  # a BGPPeer to an address of this node, with a gateway, and nodes that have IPv6, too
def test_sessions(seed: int) -> None:
    for _, bird, wanted in worlds(seed):
        assert {address: ours(peer) for address, peer in wanted.peers.items()} == {
            address: theirs(session) for address, session in bird.sessions().items()
        }


def ours(peer: MeshPeer) -> dict[str, object]:
    own = peer.cluster_id
    return {
        "name": peer.bird_name,
        "peer_as": peer.peer_as,
        "local_as": peer.shown_as or peer.own_as,
        "port": peer.port,
        "source": peer.local_address,
        "passive": peer.passive and peer.scope != "Node",
        "client": ".".join(map(str, own.to_bytes(4, "big"))) if peer.client and own is not None else "",
        "restart": peer.restart_time,
        "keepalive": peer.keepalive_time,
        "hops": peer.ttl_security or 0,
        "next hop": "Self" if peer.next_hop_self else "Keep" if peer.next_hop_unchanged else "",
        "allowed": peer.allow_own_as,
        "gateway": peer.reachable_by,
    }


def theirs(session: Session) -> dict[str, object]:
    # Within an AS "keep" is what BIRD does anyway.
    mode = "" if session.next_hop == "Keep" and session.internal else session.next_hop
    return {
        "name": session.name,
        "peer_as": session.peer_as,
        "local_as": session.local_as,
        "port": session.port,
        "source": session.source,
        "passive": session.passive,
        "client": session.cluster_id,
        "restart": session.restart_time,
        "keepalive": session.keepalive,
        "hops": session.hops,
        "next hop": mode,
        "allowed": session.allowed_as,
        "gateway": session.gateway,
    }


@given(seeds)
@settings(max_examples=300, deadline=None)
def test_what_each_neighbour_hears_of_this_node(seed: int) -> None:
    for world, bird, wanted in worlds(seed):
        devices = {net: f"cali{number}" for number, net in enumerate(world.workloads)}
        priorities = dict(wanted.local_prefs)
        candidates = {net: Candidate(net, "static") for net in bird.statics()}
        candidates |= {net: Candidate(net, "kernel", device) for net, device in devices.items()}
        # With a block and a workload of one network, BIRD prefers what is static.
        candidates |= {net: Candidate(net, "static") for net in bird.statics()}
        assert all(ip_network(str(prefix)) in candidates for prefix in wanted.announcements)
        for address, session in bird.sessions().items():
            peer = wanted.peers[address]
            policy = exported(peer, {net: one.ifname for net, one in candidates.items()})
            for net, candidate in candidates.items():
                if net.version == (6 if ":" in address else 4):
                    local_pref = priorities.get(1 if net.version == 4 else 2)
                    prefix = Prefix(str(net))
                    route = Route(prefix, PathAttributes.build(local_pref=local_pref), OWN)
                    told = policy(route) if prefix in wanted.announcements else None
                    assert communities(told) == bird.export(session, candidate), (address, str(net), bird.documents)


@given(seeds)
@settings(max_examples=300, deadline=None)
def test_what_each_neighbour_hears_of_others(seed: int) -> None:
    """Where routes are passed on at all: from and to other ASes, and by a reflector."""
    for world, bird, wanted in worlds(seed):
        devices = {one.net: one.ifname for one in world.heard}
        reflector = bool(bird.cluster_id(ME))
        outside = any(not session.internal for session in bird.sessions().values())
        for address, session in bird.sessions().items():
            peer = wanted.peers[address]
            out, taken = exported(peer, devices), imported(peer, devices)
            for heard in world.heard:
                if heard.net.version != (6 if ":" in address else 4):
                    continue
                route = heard_route(heard)
                accepted: set[str] = set(heard.communities)
                verdict = bird.filtered("import", session, heard, accepted)
                assert communities(taken(route)) == (None if verdict is False else accepted), (address, heard)
                if reflector or outside:
                    assert communities(out(route)) == bird.export(session, heard), (address, heard, bird.documents)


@given(seeds)
@settings(max_examples=300, deadline=None)
def test_what_goes_into_the_kernel(seed: int) -> None:
    for world, bird, wanted in worlds(seed):
        for heard in world.heard:
            prefix, route = Prefix(str(heard.net)), heard_route(heard)
            path = PathView(Path(route.peer, route.attributes))
            ((nlri, options),) = wanted.kernel.parts(prefix.family, [prefix.nlri], path)
            assert nlri == [prefix.nlri]
            got = (False, None, False) if options is None else (True, options.metric, options.device == "tunl0")
            assert got == bird.kernel(heard), (heard, bird.documents)
        blackholes = {ip_network(str(prefix)) for prefix, static in wanted.statics.items() if static.gateway is None}
        assert blackholes == {net for net in bird.statics() if bird.kernel(Candidate(net))[0]}


def heard_route(heard: Candidate) -> Route:
    plain = [text for text in heard.communities if text.count(":") == 1]
    large = [text for text in heard.communities if text.count(":") == 2]
    attributes = PathAttributes.build(
        as_path=list(heard.path),
        next_hop=heard.next_hop,
        local_pref=heard.local_pref,
        communities=plain,
        large_communities=large,
    )
    return Route(Prefix(str(heard.net)), attributes, HEARD)


def exported(peer: MeshPeer, devices: Mapping[object, str | None]) -> Policy:
    if peer.export is None:
        return lambda route: route  # type: ignore[return-value]
    return export_policy(
        peer.export,
        peer.family,
        internal=peer.internal,
        interface_of=lambda route: devices[ip_network(str(route.prefix))],
    )


def imported(peer: MeshPeer, devices: Mapping[object, str | None]) -> Policy:
    return import_policy(
        peer.imports,
        peer.family,
        internal=peer.internal,
        interface_of=lambda route: devices[ip_network(str(route.prefix))],
    )


def communities(route: Route | None) -> set[str] | None:
    if route is None:
        return None
    plain = {f"{value >> 16}:{value & 0xFFFF}" for value in route.attributes.communities or ()}
    return plain | {":".join(map(str, value)) for value in route.attributes.large_communities or ()}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_worlds_are_worth_it(version: str) -> None:
    """Chance brings what is to be compared: sessions of all kinds, what is let out and what is not."""
    kinds, verdicts, kernels = set(), set(), set()
    for seed in range(200):
        world = random_world(Random(seed), version)
        bird = Bird(world.documents, ME, VERSIONS[version], world.selectors)
        for session in bird.sessions().values():
            kinds.add((session.name.partition("_")[0], session.internal, bool(session.cluster_id), session.passive))
            verdicts |= {(one.source, bird.export(session, one) is None) for one in world.heard}
        kernels |= {(taken, tunnel) for taken, _, tunnel in map(bird.kernel, world.heard)}
    assert len(kinds) >= 10
    assert verdicts == {("bgp", True), ("bgp", False)}
    assert kernels == {(True, True), (True, False), (False, False)}
