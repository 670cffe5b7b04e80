"""Does a marked test turn red when the code that it names is broken? Each broken form runs in a process of its own."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.rfc.marks import Mark
from tests.rfc.mutants import Mutant, NoMutants, find, mutants, source_of

PROOF = Path(__file__).parent / "proof.json"
LONGEST = 15.0
"""Seconds that a test may take with broken code: one that hangs has noticed, too."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one test and one function: whether the test is green with the function as it is, whether it turns red when
    the function does nothing, and how many of its small mutants it notices."""

    green: bool
    gutted: bool
    killed: int
    mutants: int
    why: str = ""

    @property
    def counts(self) -> bool:
        """The test shows something: it notices the function's absence, and at least one small fault in it."""
        return self.green and self.gutted and (self.killed > 0 or self.mutants == 0)


def key(test: str, code: str) -> str:
    return f"{test} | {code}"


def fingerprint(test: str, code: str) -> str:
    """Of the function and of the test, as they are written: a verdict on others is none."""
    try:
        function = source_of(find(code))
    except NoMutants:
        function = ""
    path, *names = test.split("::")
    text = Path(path).read_text()
    inside: ast.AST = ast.parse(text)
    for name in names:
        inside = next(node for node in ast.iter_child_nodes(inside) if getattr(node, "name", None) == name)
    return hashlib.sha256(f"{function}\0{ast.get_source_segment(text, inside)}".encode()).hexdigest()[:16]


def prove(test: str, code: str) -> Verdict:
    """Runs the test once as it is and once for each mutant. Never raises for what a mark or a mutant may be."""
    try:
        function = find(code)
        made = mutants(function)
    except NoMutants as error:
        return Verdict(green=False, gutted=False, killed=0, mutants=0, why=str(error))
    if not _passes(test, code, None):
        return Verdict(green=False, gutted=False, killed=0, mutants=len(made) - 1, why="the test is red as it is")
    gutted = not _passes(test, code, made[0])
    killed = sum(not _passes(test, code, mutant) for mutant in made[1:]) if gutted else 0
    return Verdict(green=True, gutted=gutted, killed=killed, mutants=len(made) - 1)


def _passes(test: str, code: str, mutant: Mutant | None) -> bool:
    """In a child process, so that nothing of it stays."""
    child = os.fork()
    if child == 0:
        status = 3
        with contextlib.suppress(BaseException):
            status = _run(test, code, mutant)
        os._exit(status)
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run(test: str, code: str, mutant: Mutant | None) -> int:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.environ.pop("CI", None)
    if mutant is not None:
        find(code).__code__ = mutant.code
    options = ["-x", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "-p", "no:randomly"]
    return int(pytest.main([*options, test], plugins=[_Small()]))


class _Small:
    """Few and always the same examples: a mutant is noticed by the first of them, or hardly at all."""

    def pytest_configure(self) -> None:
        from hypothesis import settings

        settings.register_profile("proof", max_examples=60, deadline=None, derandomize=True, database=None)
        settings.load_profile("proof")


def read_proof() -> dict[str, Any]:
    return json.loads(PROOF.read_text()) if PROOF.exists() else {}


def prove_all(marks: Iterable[Mark], *, again: bool = False, keep: bool = False) -> dict[str, Any]:
    """The verdicts for all marks, by `key`; what was proved before and has not changed is not proved again
    (unless `again`). Written to `PROOF`, with `keep` beside the verdicts for other marks."""
    before = read_proof()
    proof: dict[str, Any] = dict(before) if keep else {}
    pairs = sorted({(mark.test, mark.code) for mark in marks})
    for test, code in pairs:
        name, print_ = key(test, code), fingerprint(test, code)
        known = before.get(name)
        if known is not None and known["fingerprint"] == print_ and known["counts"] and not again:
            proof[name] = known
            continue
        verdict = prove(test, code)
        proof[name] = {
            "fingerprint": print_,
            "counts": verdict.counts,
            "killed": verdict.killed,
            "mutants": verdict.mutants,
        }
        if not verdict.counts:
            proof[name]["why"] = verdict.why or ("sees no small fault" if verdict.gutted else "green without the code")
        print(f"{'proved' if verdict.counts else 'NOT   '} {verdict.killed:2}/{verdict.mutants:<2} {name}", flush=True)
        PROOF.write_text(json.dumps(before | proof, indent=1, sort_keys=True) + "\n")  # it takes long: lose nothing
    PROOF.write_text(json.dumps(proof, indent=1, sort_keys=True) + "\n")
    return proof


def stale(marks: Iterable[Mark], proof: dict[str, Any]) -> list[str]:
    """Marks whose test or code has changed since it was proved, or that never were."""
    pairs = sorted({(mark.test, mark.code) for mark in marks})
    return [
        key(test, code)
        for test, code in pairs
        if proof.get(key(test, code), {}).get("fingerprint") != fingerprint(test, code)
    ]
