"""Rounds of chaos by a seed, and their summary."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from demo.lab import Lab, LabError

from .faults import FAULTS, churn
from .world import SETTLED, World


@dataclass(slots=True)
class Summary:
    """What was done and what came of it. `differences`: routes that a kernel lacked or had beyond what it should."""

    seed: int
    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    routes: int = 0
    differences: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not self.differences and not self.found

    def lines(self) -> list[str]:
        width = max(map(len, self.faults), default=0)
        return [
            f"seed {self.seed}: {self.rounds} rounds in {self.seconds:.0f} s",
            *(f"  {name:{width}}  {count:3}" for name, count in sorted(self.faults.items())),
            f"faults: {self.faults.total()}, of {len(self.faults)} kinds",
            f"routes checked: {self.routes}, differences: {len(self.differences)}",
            f"processes that ended by themselves, mistakes in a log, what else was wrong: {len(self.found)}",
            *self.differences,
            *self.found,
        ]


def kinds_of(seed: int, number: int) -> list[str]:
    """The faults of a round: one to three of different kinds, of those that concern etcd only one."""
    rng = Random(f"{seed}/{number}")
    kinds = rng.sample(sorted(FAULTS), rng.randint(1, 3))
    etcd = [kind for kind in kinds if FAULTS[kind].group == "etcd"]
    return [kind for kind in kinds if kind not in etcd[1:]]


def harm_and_heal(world: World, seed: int, number: int, kinds: list[str], summary: Summary) -> None:
    rng = Random(f"{seed}/{number}/order")
    world.round_kinds = set(kinds)
    harming = []
    churn(world, rng)
    for kind in kinds:
        harm = FAULTS[kind].harm(world, Random(f"{seed}/{number}/{kind}"))
        next(harm)
        harming.append((kind, harm))
        summary.faults[kind] += 1
        time.sleep(rng.uniform(0, 0.5))
        churn(world, rng)
    time.sleep(rng.uniform(0, 1.0))
    rng.shuffle(harming)
    for _, harm in sorted(harming, key=lambda pair: FAULTS[pair[0]].group != "etcd"):
        next(harm, None)
    world.heal()


def one_round(world: World, seed: int, number: int, summary: Summary, say: Callable[[str], None]) -> bool:
    """False: something was wrong, and it makes no sense to go on."""
    began = time.monotonic()
    kinds = kinds_of(seed, number)
    try:
        harm_and_heal(world, seed, number, kinds, summary)
    except LabError as error:  # what a fault waits for did not come
        summary.found.append(f"round {number}: {', '.join(kinds)}: {error}")
        return False
    healed = time.monotonic()
    routes, differences = world.settle()
    world.check_processes()
    summary.rounds += 1
    summary.routes += routes
    summary.differences += [f"round {number}: {line}" for line in differences]
    summary.found += [f"round {number}: {line}" for line in world.found]
    world.found.clear()
    say(
        f"round {number:3}: {', '.join(kinds)}: {routes} routes, {len(differences)} differences, "
        f"harm {healed - began:.1f} s, settled in {time.monotonic() - healed:.1f} s"
    )
    return summary.good


def chaos(lab: Lab, seed: int, rounds: int, say: Callable[[str], None] = print, patience: float = SETTLED) -> Summary:
    """Run them; ends after a round in which something was wrong, with all as it is."""
    began = time.monotonic()
    summary = Summary(seed)
    world = World(lab, patience)
    world.start()
    summary.routes, summary.differences = world.settle()
    summary.found += world.found
    say(f"start: {summary.routes} routes, {len(summary.differences)} differences")
    for number in range(1, rounds + 1):
        if not summary.good or not one_round(world, seed, number, summary, say):
            break
    summary.seconds = time.monotonic() - began
    return summary
