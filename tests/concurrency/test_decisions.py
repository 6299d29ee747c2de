"""Decisions made at the same moment: one counts, nobody deadlocks, and the counts stay true."""

import contextlib
from collections import Counter
from functools import partial
from typing import Any

import pytest

from enrollment import cap, card_checking, ending, waiting_list
from enrollment.cap_plan import Plan
from enrollment.models import Enrollment, Event, SeatPool
from libraries.models import Card
from tests.concurrency.conftest import Together
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
)

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

State = Enrollment.State


def check_counts() -> None:
    for pool in SeatPool.objects.all():
        holding = Enrollment.objects.filter(pool=pool).holding_seats().count()
        assert pool.taken == holding == sum(pool.shares.values_list("taken", flat=True))


def failures(answers: list[Any]) -> list[Any]:
    return [answer for answer in answers if isinstance(answer, Exception)]


def test_confirm_and_refuse_at_once_is_one_decision(together: Together) -> None:
    make_library()
    programme = make_programme(cap=4)
    lin, mo = make_librarian(), make_coordinator()
    ada = make_member("ada@example.test", programme=programme, now=NOW)
    answers = together(
        [
            partial(card_checking.confirm, card_id=ada.card_id, by=lin, now=NOW),
            partial(card_checking.refuse, card_id=ada.card_id, reason=Card.Refusal.EXPIRED, by=mo, now=NOW),
        ]
    )
    [late] = failures(answers)
    assert late.obstacle == card_checking.Obstacle.DECIDED
    assert Event.objects.filter(kind__in=["card_confirmed", "card_refused"]).count() == 1
    check_counts()


def test_giving_back_twice_at_once_frees_one_seat(together: Together) -> None:
    make_library()
    programme = make_programme(cap=4)
    ada = make_member("ada@example.test", programme=programme, now=NOW)
    give_back = partial(ending.give_back, enrollment_id=ada.pk, by=ada.user, now=NOW)
    assert sorted(together([give_back] * 6)) == [False] * 5 + [True]
    assert Event.objects.filter(kind="seat_ended").count() == 1
    check_counts()


def test_opposite_bulk_confirmations_over_two_programmes_do_not_deadlock(together: Together) -> None:
    """Each card carries applications in both programmes; one librarian goes through them forwards, one backwards."""
    make_library()
    lin, mo = make_librarian(), make_coordinator()
    programmes = [make_programme("first", cap=30), make_programme("second", cap=30)]
    cards = []
    for n in range(12):
        for programme in programmes:
            ada = make_member(f"member{n}@example.test", programme=programme, number=f"2100{n:04}", now=NOW)
        cards.append(ada.card_id)

    def confirm(ids: list[int], by: Any) -> int:
        done = 0
        for card_id in ids:
            try:
                card_checking.confirm(card_id=card_id, by=by, now=NOW)
                done += 1
            except card_checking.CannotDecide:
                pass
        return done

    answers = together([partial(confirm, cards, lin), partial(confirm, cards[::-1], mo)])
    assert failures(answers) == []
    assert sum(answers) == len(cards)
    assert Counter(Enrollment.objects.values_list("state", flat=True)) == {State.SEATED: 24}
    check_counts()


def test_cap_rises_and_falls_while_people_come_and_go(together: Together) -> None:
    library = make_library()
    halle = make_library("Halle", make_institution("halle"))
    programme = make_programme(cap=8)
    mo = make_coordinator()
    there = [make_member(f"old{n}@example.test", programme=programme, library=library, now=NOW) for n in range(12)]

    def change(numbers: list[int]) -> None:
        for number in numbers:
            with contextlib.suppress(cap.CannotChange):  # the other coordinator had just set the same number
                cap.change(pool_id=programme.pool.pk, plan=Plan(cap=number), reason="Test", by=mo, now=NOW)

    calls: list[Any] = [partial(change, [12, 4, 20, 2]), partial(change, [3, 9, 1, 15])]
    calls += [partial(ending.give_back, enrollment_id=each.pk, by=each.user, now=NOW) for each in there[:6]]
    calls += [
        partial(make_member, f"new{n}@example.test", programme=programme, library=halle, now=NOW) for n in range(8)
    ]
    calls += [partial(waiting_list.lapse_holds, now=NOW.replace(month=8))]
    assert failures(together(calls)) == []
    check_counts()
    pool = SeatPool.objects.get()
    assert pool.taken <= pool.cap


def test_card_confirmed_at_the_moment_its_hold_is_released_keeps_one_true_ending(together: Together) -> None:
    """Either the seat is given and nothing is released, or it is released to whoever waits, and the confirmed card is
    next in line with its old turn."""
    make_library()
    programme, lin = make_programme(cap=1), make_librarian()
    ada = make_member("ada@example.test", programme=programme, now=NOW)
    bo = make_member("bo@example.test", programme=programme, now=NOW)
    over = NOW.replace(month=8)
    answers = together(
        [
            partial(card_checking.confirm, card_id=ada.card_id, by=lin, now=over),
            *[partial(waiting_list.lapse_holds, now=over)] * 3,
        ]
    )
    assert failures(answers) == []
    states = {each.pk: (each.state, each.passed_over) for each in Enrollment.objects.all()}
    released = Event.objects.filter(kind="hold_lapsed").exists()
    seated, waits, held = (State.SEATED, False), (State.WAITING, False), (State.HELD, False)
    assert states == ({ada.pk: waits, bo.pk: held} if released else {ada.pk: seated, bo.pk: waits})
    check_counts()
