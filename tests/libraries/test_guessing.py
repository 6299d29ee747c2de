"""How often one may be wrong: five times at a card, then an hour, then a day; and so for addresses and institutions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connections

from libraries import guessing
from libraries.guessing import DAY, HOUR, Guess, Of, TooManyGuesses
from libraries.models import Attempt
from tests.factories import ADDRESS, NOW

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def begin(*, number: str = "21000001", address: str = ADDRESS, institution_id: int = 1, now: datetime = NOW) -> Guess:
    return guessing.begin(institution_id=institution_id, number=number, address=address, now=now)


def refused(**told: object) -> tuple[Of, timedelta] | None:
    try:
        begin(**told)  # type: ignore[arg-type]
    except TooManyGuesses as error:
        return error.of, error.wait
    return None


def test_card_may_be_tried_five_times_then_after_an_hour_then_after_a_day() -> None:
    tries = [refused(now=NOW + each * MINUTE) for each in range(6)]
    assert tries == [None] * 5 + [(Of.CARD, HOUR)]
    assert refused(now=NOW + HOUR - MINUTE / 60) == (Of.CARD, HOUR)
    later = [refused(now=NOW + HOUR + each * MINUTE) for each in range(6)]
    assert later == [None] * 5 + [(Of.CARD, HOUR)]
    assert refused(now=NOW + 3 * HOUR) == (Of.CARD, DAY)
    assert refused(now=NOW + DAY - MINUTE) == (Of.CARD, DAY)
    assert refused(now=NOW + DAY) is None


def test_cards_are_counted_apart_and_each_institution_has_its_own_numbers() -> None:
    for _ in range(5):
        begin()
    assert refused() == (Of.CARD, HOUR)
    assert refused(number="21000002") is None
    assert refused(institution_id=2) is None


def test_address_may_try_twenty_cards_in_an_hour_and_sixty_in_a_day() -> None:
    tries = [refused(number=f"2100{each:04}") for each in range(21)]
    assert tries == [None] * 20 + [(Of.ADDRESS, HOUR)]
    assert refused(address="192.0.2.2") is None
    day = [refused(number=f"22{hour}{each:05}", now=NOW + hour * HOUR) for hour in (1, 2, 3) for each in range(20)]
    assert day == [None] * 40 + [(Of.ADDRESS, DAY)] * 20


def test_institution_is_guarded_against_many_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(guessing.MOST, Of.INSTITUTION, ((3, HOUR),))
    tries = [refused(number=f"2100{each}", address=f"192.0.2.{each}") for each in range(4)]
    assert tries == [None] * 3 + [(Of.INSTITUTION, HOUR)]
    assert refused(number="21009", address="192.0.2.9", institution_id=2) is None


def test_right_pin_forgets_what_was_wrong_with_the_card_but_buys_no_tries_at_others() -> None:
    for each in range(19):
        begin(number=f"2100{each:04}")
    for _ in range(3):
        begin(address="192.0.2.2").was_right()
    begin().was_right()
    assert [refused(number=f"23{each}") for each in range(2)] == [None, (Of.ADDRESS, HOUR)]
    assert [refused(address="192.0.2.3") for _ in range(6)] == [None] * 5 + [(Of.CARD, HOUR)]


def test_what_was_no_try_is_given_back() -> None:
    for _ in range(50):
        begin().was_none()
    assert [refused() for _ in range(6)] == [None] * 5 + [(Of.CARD, HOUR)]


def test_refused_try_costs_nothing_elsewhere() -> None:
    for _ in range(5):
        begin()
    for _ in range(100):
        assert refused() == (Of.CARD, HOUR)
    assert [refused(number=f"22{each:04}") for each in range(16)] == [None] * 15 + [(Of.ADDRESS, HOUR)]


def test_try_given_back_in_a_new_window_takes_nothing_off_it() -> None:
    early = begin()
    for _ in range(5):
        begin(now=NOW + HOUR)
    early.was_none()
    assert refused(now=NOW + HOUR + MINUTE) == (Of.CARD, HOUR)


def test_nothing_readable_is_kept_or_shown() -> None:
    guess = begin(number="21000001", address="203.0.113.7")
    kept = " ".join(Attempt.objects.values_list("key", flat=True)) + repr(guess)
    assert ("21000001" in kept, "203.0.113.7" in kept) == (False, False)


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_of_200_at_once_five_are_looked_at_whatever_is_given_back() -> None:
    """Those that are given back make room for others; never are more than five counted at a time."""

    def ask(number: int) -> bool:
        try:
            guess = begin(address=f"192.0.2.{number}")
        except TooManyGuesses:
            return False
        finally:
            connections.close_all()
        if number % 2:
            guess.was_none()
            connections.close_all()
        return number % 2 == 0

    with ThreadPoolExecutor(max_workers=20) as pool:
        looked_at = sum(pool.map(ask, range(200)))
    left = sum(refused(address="203.0.113.1") is None for _ in range(10))
    assert (looked_at <= 5, looked_at + left) == (True, 5)
