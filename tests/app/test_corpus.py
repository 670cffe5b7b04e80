"""Thousands of generated lines through `decode` and `encode`; `benchmarks/lines.py` does the same with 100,000."""

from __future__ import annotations

import argparse
import io
import json
from random import Random
from typing import Any

import pytest

from pybgp.app.cli import parser
from pybgp.app.lines import decode, encode
from tests.app.corpus import KINDS, Kind, line, valid
from tests.app.schema import check

SEED = 20261123
EVERY_CHECKED = 20  # the schema is slow


def arguments(kind: Kind, command: str, *more: str) -> argparse.Namespace:
    return parser().parse_args([command, *kind.options, *more])


def answers(kind: Kind, lines: list[bytes], *more: str) -> list[str]:
    sink = io.StringIO()
    assert decode(arguments(kind, "decode", *more), io.BytesIO(b"\n".join(lines) + b"\n"), sink) == 0
    return sink.getvalue().splitlines()


def encoded(kind: Kind, lines: list[str]) -> tuple[int, list[str]]:
    sink = io.StringIO()
    status = encode(arguments(kind, "encode"), io.BytesIO("\n".join(lines).encode()), sink)
    return status, sink.getvalue().splitlines()


def checked(text: list[str]) -> list[dict[str, Any]]:
    values = [json.loads(entry) for entry in text]
    for value in values[::EVERY_CHECKED]:
        check(value)
    return values


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: " ".join(kind.options))
def test_valid_messages_come_back(kind: Kind) -> None:
    chance = Random(SEED)
    lines = [valid(chance, kind).hex().encode() for _ in range(1500)]
    text = answers(kind, lines)
    for octets, value in zip(lines, checked(text), strict=True):
        assert "error" not in value, octets
        assert value.get("outcome", "ok") == "ok", (octets, value)
    assert encoded(kind, text) == (0, [octets.decode() for octets in lines])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: " ".join(kind.options))
def test_whatever_comes_is_answered(kind: Kind) -> None:
    """Each line has its answer, and what was decoded, with faults or without, gives the same octets."""
    chance = Random(SEED)
    lines = [line(chance, kind) for _ in range(1500)]
    text = answers(kind, lines)
    outcomes = set()
    good = []
    for octets, value, entry in zip(lines, checked(text), text, strict=True):
        outcomes.add(value.get("outcome", "no update"))
        if "error" not in value:
            good.append((octets.decode().strip().lower(), entry))
    expected = {"ok", "attribute-discard", "treat-as-withdraw", "afi-safi-disable", "session-reset"}
    assert outcomes >= expected - ({"afi-safi-disable"} if kind.every else set())
    assert encoded(kind, [entry for _octets, entry in good]) == (0, [octets for octets, _entry in good])


def test_text_for_people_is_plain() -> None:
    """Nothing that a peer sent reaches a terminal as it is."""
    chance = Random(SEED)
    for kind in KINDS:
        for entry in answers(kind, [line(chance, kind) for _ in range(300)], "--text"):
            assert entry.isascii()
            assert entry.isprintable()
