"""What can go wrong, by name. Each fault is a generator: up to its `yield` it does harm, after it it heals.

What is drawn depends on the seed alone and never on how fast things went, so that a seed gives the same faults again.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .oracle import RESOURCES, documents
from .world import OTHER_POOL, POOL, SITES, World

Harm = Callable[[World, Random], Iterator[None]]
HOLD = 11.0  # seconds: longer than the hold time of the sessions


@dataclass(frozen=True, slots=True)
class Fault:
    """`group`: of "etcd" there is one a round, and it is healed before the others."""

    group: str
    harm: Harm


FAULTS: dict[str, Fault] = {}


def fault(name: str, group: str) -> Callable[[Harm], Harm]:
    def add(harm: Harm) -> Harm:
        FAULTS[name] = Fault(group, harm)
        return harm

    return add


def churn(world: World, rng: Random) -> None:
    """A workload comes, or goes, or both."""
    name = rng.choice(sorted(SITES))
    if rng.random() < 0.5 and len(world.built[name]) > 1:
        world.remove_workload(name, rng.choice(sorted(world.built[name])))
    if rng.random() < 0.7:
        borrowed = rng.random() < 0.2
        world.add_workload(name, POOL if borrowed else rng.choice((POOL, POOL, OTHER_POOL)), borrowed=borrowed)


def some_agent(world: World, rng: Random) -> str:
    return rng.choice(world.nodes_with_agents())


# --- etcd ---


@fault("etcd member killed", "etcd")
def member_killed(world: World, rng: Random) -> Iterator[None]:
    member = rng.choice(world.etcd.members)
    world.etcd.kill_member(member, rng.choice((signal.SIGKILL, signal.SIGTERM)))
    yield
    world.etcd.start()


@fault("etcd killed whole", "etcd")
def all_killed(world: World, rng: Random) -> Iterator[None]:
    stored, world.etcd.stored = world.etcd.stored, None
    world.etcd.kill(rng.choice((signal.SIGKILL, signal.SIGTERM)))
    yield
    world.etcd.start()
    world.etcd.stored = stored


@fault("etcd frozen", "etcd")
def member_frozen(world: World, rng: Random) -> Iterator[None]:
    """Connections to it stay, and nothing answers."""
    member = rng.choice(world.etcd.members)
    assert member.process is not None
    member.process.popen.send_signal(signal.SIGSTOP)
    yield
    member.process.popen.send_signal(signal.SIGCONT)
    world.etcd.start()


@fault("etcd compacted", "etcd")
def compacted(world: World, rng: Random) -> Iterator[None]:
    """Its history is gone while a node cannot follow it; and once more, in front of everybody."""
    name = some_agent(world, rng)
    for member in world.etcd.members:
        world.cut(name, member.name)
    churn(world, rng)
    world.etcd.compact(defragment=rng.random() < 0.5)
    churn(world, rng)
    world.etcd.compact(defragment=False)
    yield
    for member in world.etcd.members:
        world.mend(name, member.name)


@fault("etcd leader moved", "etcd")
def leader_moved(world: World, rng: Random) -> Iterator[None]:
    for _ in range(rng.randint(1, 3)):
        world.etcd.move_leader(rng.randint(1, 2))
        churn(world, rng)
    yield


@fault("etcd leader killed", "etcd")
def leader_killed(world: World, rng: Random) -> Iterator[None]:
    world.etcd.kill_member(world.etcd.leader())
    yield
    world.etcd.start()


@fault("etcd leader cut off", "etcd")
def leader_cut_off(world: World, rng: Random) -> Iterator[None]:
    """From the other members, not from the nodes: those who ask it must notice that it has no quorum."""
    leader = world.etcd.leader()
    others = [member for member in world.etcd.members if member is not leader]
    for other in others:
        world.cut(leader.name, other.name)
    yield
    for other in others:
        world.mend(leader.name, other.name)
    world.etcd.start()


@fault("etcd cut off from a node", "etcd")
def partitioned(world: World, rng: Random) -> Iterator[None]:
    name = some_agent(world, rng)
    for member in world.etcd.members:
        world.cut(name, member.name)
    time.sleep(rng.uniform(0, 6))
    yield
    for member in world.etcd.members:
        world.mend(name, member.name)


@fault("etcd wiped", "etcd")
def wiped(world: World, rng: Random) -> Iterator[None]:
    """All of it is gone and an empty one answers; then somebody writes everything anew, or restores it."""
    backup = world.etcd.backup() if rng.random() < 0.5 else None
    same_token = rng.random() < 0.5
    reading = [name for name in world.nodes_with_agents() if world.status(name)]
    before = {name: world.kernel(name) for name in reading}
    world.etcd.wipe()
    world.etcd.start_empty()
    if world.round_kinds <= UNNOTICED:
        world.wait_held_back(reading)
        for name in reading:
            gone = sorted(before[name] & world.wanted(name) - world.kernel(name))
            if gone:
                world.found.append(f"{name} believed an empty etcd: {gone}")
    yield
    if backup is None:
        world.etcd.stored = {}
    else:
        world.etcd.wipe()
        world.etcd.restore(backup, same_token)


UNNOTICED = {"etcd wiped", "routes removed by hand", "value that is nonsense", "pool changed", "agent restarted"}


@fault("etcd restored", "etcd")
def restored(world: World, rng: Random) -> Iterator[None]:
    """To what it was some changes ago, with revisions of then. What nobody writes again stays as it was then."""
    backup, then = world.etcd.backup(), world.state.copy()
    same_token, again, more = rng.random() < 0.5, rng.random() < 0.5, rng.randint(0, 12)
    for _ in range(rng.randint(1, 4)):
        churn(world, rng)
    world.etcd.wipe()
    world.etcd.restore(backup, same_token)
    if not again:
        world.state.endpoints, world.state.pools = then.endpoints, then.pools
    for number in range(more):  # so that revisions may have passed those of before
        world.etcd.write({**(world.etcd.stored or {}), f"/calico/chaos/{number}": str(number)})
    yield


# --- agents ---


@fault("agent killed", "agent")
def agent_killed(world: World, rng: Random) -> Iterator[None]:
    name = some_agent(world, rng)
    world.kill_agent(name)
    time.sleep(rng.uniform(0, 2))
    world.start_agent(name)
    yield


@fault("agent restarted", "agent")
def agent_restarted(world: World, rng: Random) -> Iterator[None]:
    name = some_agent(world, rng)
    world.kill_agent(name, signal.SIGTERM)
    time.sleep(rng.uniform(0, 1))
    world.start_agent(name)
    yield


@fault("agent killed twice", "agent")
def agent_killed_twice(world: World, rng: Random) -> Iterator[None]:
    """The second time anywhere in its start: before it has sessions, or in the middle of their first routes."""
    name = some_agent(world, rng)
    for _ in range(2):
        world.kill_agent(name, rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        world.start_agent(name)
        time.sleep(rng.uniform(0.1, 2.5))
    world.kill_agent(name)
    world.start_agent(name)
    yield


@fault("agent away", "agent")
def agent_away(world: World, rng: Random) -> Iterator[None]:
    """For as long as the rest of the round changes things."""
    name = some_agent(world, rng)
    world.kill_agent(name, rng.choice((signal.SIGKILL, signal.SIGTERM)))
    for _ in range(rng.randint(1, 3)):
        churn(world, rng)
    yield
    if name in world.state.nodes:
        world.start_agent(name)


@fault("agent's snapshot damaged", "agent")
def snapshot_damaged(world: World, rng: Random) -> Iterator[None]:
    """What it keeps for a start without etcd is gone, or half of it is."""
    name = some_agent(world, rng)
    world.kill_agent(name)
    file = Path(world.agents[name].state) / f"{name}.snapshot.json"
    if rng.random() < 0.5:
        file.unlink(missing_ok=True)
    elif file.exists():
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    world.start_agent(name)
    yield


@fault("agents killed all", "agent")
def agents_killed(world: World, rng: Random) -> Iterator[None]:
    names = world.nodes_with_agents()
    rng.shuffle(names)
    for name in names:
        world.kill_agent(name)
    time.sleep(rng.uniform(0, 1))
    for name in names:
        world.start_agent(name)
    yield


@fault("agent frozen", "agent")
def agent_frozen(world: World, rng: Random) -> Iterator[None]:
    """SIGSTOP, for less or for more than its neighbours' hold time."""
    name = some_agent(world, rng)
    process = world.agents[name].process
    assert process is not None
    if process.running:
        process.popen.send_signal(signal.SIGSTOP)
    time.sleep(rng.choice((rng.uniform(0, 3), HOLD)))
    if process.running:
        process.popen.send_signal(signal.SIGCONT)
    yield


@fault("routes removed by hand", "agent")
def routes_removed(world: World, rng: Random) -> Iterator[None]:
    """`ip route flush proto bird` and back to work: what an agent does not run for, it puts back when it starts."""
    name = some_agent(world, rng)
    world.hosts[name].run("ip", "route", "flush", "table", "main", "proto", "bird")
    yield


@fault("another writer", "agent")
def another_writer(world: World, rng: Random) -> Iterator[None]:
    """It puts its own routes where learned ones are, and takes them away again: by `yield` the agent waits for that."""
    name = some_agent(world, rng)
    learned = sorted(route.destination for route in world.wanted(name) if route.gateway)
    taken = rng.sample(learned, min(2, len(learned)))
    for destination in taken:
        world.hosts[name].run("ip", "route", "replace", "unreachable", destination, "proto", "static")
    yield
    for destination in taken:
        world.hosts[name].run("ip", "route", "del", "unreachable", destination, "proto", "static", check=False)


@fault("stock killed", "stock")
def stock_killed(world: World, rng: Random) -> Iterator[None]:
    """BIRD dies, and the others keep its routes; or it is asked to leave, and says so to them."""
    world.stock.kill(rng.choice((signal.SIGKILL, signal.SIGTERM)))
    churn(world, rng)
    yield
    world.stock.start()


# --- links ---


@fault("link cut", "link")
def link_cut(world: World, rng: Random) -> Iterator[None]:
    """Between two nodes, for less than the hold time or for more."""
    one, other = rng.sample(sorted(world.state.nodes), 2)
    world.cut(one, other)
    time.sleep(rng.choice((rng.uniform(0.5, 4), HOLD)))
    yield
    world.mend(one, other)


@fault("node isolated", "link")
def isolated(world: World, rng: Random) -> Iterator[None]:
    """From all nodes and from etcd."""
    name = some_agent(world, rng)
    others = sorted(set(SITES) - {name}) + [member.name for member in world.etcd.members]
    for other in others:
        world.cut(name, other)
    time.sleep(rng.choice((rng.uniform(0.5, 4), HOLD)))
    yield
    for other in others:
        world.mend(name, other)


@fault("interface down", "link")
def interface_down(world: World, rng: Random) -> Iterator[None]:
    """The kernel itself then removes all routes through it, and nobody puts them back but their owners."""
    host = world.hosts[some_agent(world, rng)]
    host.run("ip", "link", "set", host.interface, "down")
    time.sleep(rng.uniform(0, 3))
    host.run("ip", "link", "set", host.interface, "up")
    world.cuts_again()
    yield


@fault("carrier lost", "link")
def carrier_lost(world: World, rng: Random) -> Iterator[None]:
    """The cable is pulled on the switch's side: routes stay, and lead nowhere."""
    host = world.hosts[rng.choice(sorted(world.state.nodes))]
    assert host.lab.switch is not None
    host.lab.switch.run("ip", "link", "set", host.port, "down")
    time.sleep(rng.uniform(0.2, 4))
    yield
    host.lab.switch.run("ip", "link", "set", host.port, "up")
    world.cuts_again()


# --- the datastore ---


@fault("node added or removed", "datastore")
def node_changed(world: World, rng: Random) -> Iterator[None]:
    how = rng.choice((signal.SIGKILL, signal.SIGTERM))
    if "host4" in world.state.nodes:
        world.state.nodes.discard("host4")
        world.state.endpoints.pop("host4", None)
        world.kill_agent("host4", how)
    else:
        world.state.nodes.add("host4")
        world.state.endpoints["host4"] = set(world.built["host4"])
        world.start_agent("host4")
    world.write()
    yield


@fault("node forgotten", "datastore")
def node_forgotten(world: World, rng: Random) -> Iterator[None]:
    """Somebody deletes the Node of one that is alive, and it is put back later."""
    name = some_agent(world, rng)
    if world.etcd.stored is not None:
        world.etcd.delete(f"{RESOURCES}/nodes/{name}")
    yield


@fault("pool changed", "datastore")
def pool_changed(world: World, rng: Random) -> Iterator[None]:
    """The second pool goes, comes, or is exported no longer, or again."""
    if OTHER_POOL not in world.state.pools:
        world.state.pools[OTHER_POOL] = True
    elif rng.random() < 0.5:
        del world.state.pools[OTHER_POOL]
    else:
        world.state.pools[OTHER_POOL] = not world.state.pools[OTHER_POOL]
    world.write()
    yield


@fault("value that is nonsense", "datastore")
def nonsense(world: World, rng: Random) -> Iterator[None]:
    """In the place of a Node, a pool or an endpoint; the last good value counts, and the right one comes back."""
    keys = sorted(documents(world.state, SITES))
    key, text = rng.choice(keys), rng.choice(('{"kind":', "[]", '{"spec":{"bgp":{"ipv4Address":"300.1.2.3"}}}', ""))
    if world.etcd.stored is not None:
        world.etcd.write({**world.etcd.stored, key: text})
    yield
