"""How long a route that was taken from us waits until it is put back."""

from __future__ import annotations

from calico_route.kernel.contest import LONGEST, SHOWN, Contest
from calico_route.kernel.route import IPV4

PLACE = b" \x0a\0\0\1"


def taken(contest: Contest, now: float) -> float:
    """Somebody takes the place; when it is put back."""
    due = now + contest.note(IPV4, PLACE, "was deleted", now)
    assert (IPV4, PLACE) in contest.take(due)
    return due


def test_a_quarrel_gets_slower() -> None:
    contest = Contest()
    now, pauses = 1000.0, []
    for _ in range(9):
        due = taken(contest, now)
        pauses.append(due - now)
        now = due + 0.5
    assert pauses == [0, 1, 2, 4, 8, 16, 32, LONGEST, LONGEST]
    assert contest.count == 9


def test_an_old_quarrel_is_over() -> None:
    """Nobody has had anything to put back meanwhile."""
    contest = Contest()
    now = 1000.0
    for _ in range(5):
        now = taken(contest, now) + 0.5
    now += SHOWN
    assert contest.shown(now) == {}
    assert taken(contest, now) == now
    assert taken(contest, now + 2) == now + 3, "counted from the beginning"


def test_a_long_wait_does_not_end_a_quarrel() -> None:
    contest = Contest()
    now = 1000.0
    for _ in range(9):
        now = taken(contest, now) + 0.5
    assert contest.note(IPV4, PLACE, "was deleted", now) == LONGEST
    assert contest.note(IPV4, PLACE, "was deleted", now + SHOWN - 0.1) == LONGEST


def test_who_insists_puts_back_once_a_second() -> None:
    contest = Contest(insist=True)
    now = 1000.0
    for _ in range(5):
        due = taken(contest, now)
        assert due - now <= 1
        now = due + 0.1
    assert now == 1000.0 + 4 * 1 + 0.1
