"""1,000 random UPDATEs, whole and broken, to pybgp and to BIRD at the same place: their neighbours see the same.

Where they do not, the difference is one of `differences.py`, with the sentence of the RFC that decides it.
"""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from demo.lab import Lab
from tests.e2e.bird import Bird
from tests.mirror.differences import DIFFERENCES, named
from tests.mirror.scene import Effect, Scene, bird_configuration, listening, pybgp_configuration
from tests.mirror.stream import COUNT, Step, steps

pytestmark = [pytest.mark.netns, pytest.mark.daemon]


def effects(scene: Scene, stream: list[Step]) -> list[Effect]:
    scene.connect()
    found = [scene.effect_of(step.internal, step.base, step.body) for step in stream]
    scene.close()
    return found


@pytest.mark.parametrize("seed", [4271, 7606])
def test_neighbours_of_pybgp_and_of_bird_see_the_same(lab: Lab, seed: int) -> None:
    stream = list(steps(seed))
    scene = Scene(lab)
    file = lab.directory / "speaker.toml"
    file.write_text(pybgp_configuration(scene))
    speaker = scene.speaker.start("pybgp", sys.executable, "-m", "pybgp", "run", str(file))
    listening(scene)
    ours = effects(scene, stream)
    assert speaker.running
    speaker.stop()
    bird = Bird(scene.speaker, bird_configuration(scene))
    bird.start()
    theirs = effects(scene, stream)
    assert bird.process is not None
    assert bird.process.running

    # It is no mirror of nothing: most are whole, many are broken, some are seen and some are not.
    assert len(stream) == COUNT
    assert sum(bool(effect.external) for effect in ours) > COUNT // 2
    assert sum(step.changed for step in stream) > COUNT // 2
    assert sum(effect.answer is not None for effect in ours) > 10
    count: Counter[str] = Counter()
    unnamed: list[str] = []
    for step, our, their in zip(stream, ours, theirs, strict=True):
        if our == their:
            continue
        difference = named(step, our, their)
        if difference is None:
            unnamed.append(f"UPDATE {step.number} {step.body.hex()}\n  pybgp: {our}\n  BIRD:  {their}")
        else:
            count[difference.name] += 1
            assert our != their
    print(f"{COUNT - count.total() - len(unnamed)} of {COUNT} UPDATEs have the same effect")
    for one in DIFFERENCES:
        print(f"{count[one.name]:4} {one.name}: {one.rfc}; right is {one.right}")
    assert not unnamed, "\n".join(unnamed)
    assert count.total() < COUNT // 10
