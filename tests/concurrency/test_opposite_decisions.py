"""No deadlock reaches a person: librarians go through the same list of cards from both ends, decide about both claims
on each number, and members apply again in both programmes meanwhile, in any order.

For two seconds; for longer: RUSH_SECONDS=60.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import product
from random import Random
from typing import Any

import pytest

from enrollment import seats
from enrollment.models import SeatPool
from enrollment.reports.audit import audit
from tests.concurrency.conftest import Together
from tests.concurrency.rush import Clock, answer_to
from tests.concurrency.rush_clients import Person, Step, World, application, cards_to_check, decisions, make_world
from tests.factories import NOW

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

SECONDS = float(os.environ.get("RUSH_SECONDS", "2"))
MEMBERS, LIBRARIANS, PEOPLE = 6, 12, 30

Answers = Counter[str]


@pytest.fixture
def world() -> World:
    """Seats for everybody, and each number claimed by two people, so that there is always something to decide."""
    world = make_world(people=PEOPLE, cap=PEOPLE)
    rivals = [Person(each.user_id, each.library, f"2100{n // 6 * 3 + n % 3:04}") for n, each in enumerate(world.people)]
    for person, pool in product(rivals, SeatPool.objects.select_related("programme")):
        application(person, pool).call(now=NOW)
    return replace(world, people=rivals)


class Shift:
    """What everybody does for so long, and one thing at least; gives back how often each answer was given."""

    def __init__(self, world: World, seconds: float) -> None:
        self.world, self.clock, self.seconds = world, Clock(), seconds

    def calls(self) -> list[Any]:
        return [partial(self.member, n) for n in range(MEMBERS)] + [partial(self.decide, n) for n in range(LIBRARIANS)]

    def member(self, number: int) -> Answers:
        dice, answers, over = Random(f"member {number}"), Answers(), time.monotonic() + self.seconds
        while time.monotonic() < over:
            person, pools = dice.choice(self.world.people), list(self.world.pools)
            dice.shuffle(pools)
            loaded = SeatPool.objects.select_related("programme").in_bulk(pools)
            answers += self._do((application(person, loaded[pk]) for pk in pools), over)
        return answers

    def decide(self, number: int) -> Answers:
        lin, backwards = self.world.librarians[number % 3], number // 3 % 2 == 1
        dice, answers, over = Random(f"librarian {number}"), Answers(), time.monotonic() + self.seconds
        while time.monotonic() < over:
            answers += self._do(decisions(cards_to_check(lin, backwards=backwards), dice, lin), over)
        return answers

    def _do(self, steps: Iterable[Step], over: float) -> Answers:
        answers = Answers()
        for step in steps:
            answers[_in_short(step, answer_to(step, self.clock()))] += 1
            if time.monotonic() > over:
                break
        return answers


def _in_short(step: Step, answer: dict[str, Any]) -> str:
    broke = answer.get("broke")
    return f"broke: {broke} {answer.get('code')}" if broke else f"{step.operation}: {answer.get('state', 'refused')}"


def decided(world: World, together: Together, *, seconds: float) -> Answers:
    shift = Shift(world, seconds)
    return sum(together(shift.calls()), Answers())


def broken(answers: Answers) -> list[str]:
    return sorted(answer for answer in answers if answer.startswith("broke"))


def test_no_deadlock_reaches_a_person(world: World, together: Together) -> None:
    answers = decided(world, together, seconds=SECONDS)
    assert broken(answers) == []
    assert answers["confirm: confirmed"] + answers["refuse: refused"] > 0
    assert [found.check.name for found in audit(now=NOW) if not found.holds] == []


def test_pools_locked_in_any_order_and_only_once_deadlock(
    world: World, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above can fail."""
    dice = Random(1)

    def lock_in_any_order(pool_ids: Iterable[int]) -> dict[int, SeatPool]:
        mixed = sorted(set(pool_ids), key=lambda _: dice.random())
        return {pk: SeatPool.objects.lock(pk) for pk in mixed}

    monkeypatch.setattr(seats, "lock_all", lock_in_any_order)
    monkeypatch.setattr(seats, "_TRIES", 1)
    assert "broke: OperationalError 40P01" in broken(decided(world, together, seconds=2))
