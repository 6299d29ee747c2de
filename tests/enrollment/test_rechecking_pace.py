"""Cards are asked about evenly; the limit of a library system holds for all workers together, one of which asks it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from catalog.models import Programme
from enrollment import rechecking
from enrollment.models import Enrollment
from libraries import membership
from libraries.cards.checks import Answer, Outcome
from libraries.models import Card, Library, LibrarySystem
from tests.card_systems import PIN, AnsweringSystem, answer_in_place_of
from tests.factories import NOW, make_library, make_member, make_programme, make_system
from tests.rechecks import Clock, make_proved

pytestmark = pytest.mark.django_db

MONTH = timedelta(days=30)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    make_system()
    return answer_in_place_of("sip2", monkeypatch)


@pytest.fixture
def library(system: AnsweringSystem) -> Library:
    return make_library()


@pytest.fixture
def programme(library: Library) -> Programme:
    return make_programme()


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    return make_member(programme=programme, number="21000001", now=NOW, pin=PIN)


@pytest.fixture
def later() -> Clock:
    """When the cards of today are to be asked about again."""
    return Clock(NOW + MONTH)


def row() -> LibrarySystem:
    return LibrarySystem.objects.get()


def asked_in(seconds: int, clock: Clock, system: AnsweringSystem) -> int:
    before = len(system.looked_up)
    clock.go_by(timedelta(seconds=seconds), step=timedelta(seconds=1))
    return len(system.looked_up) - before


def test_no_minute_sees_more_than_the_limit(programme: Programme, library: Library, system: AnsweringSystem) -> None:
    make_proved(60, library=library, pool=programme.pool)
    LibrarySystem.objects.update(checks_per_minute=20)
    asked_at: list[datetime] = []
    clock = Clock(NOW + MONTH)
    system.while_asking = lambda: asked_at.append(clock())
    asked_in(185, clock, system)
    most = max(sum(start <= at < start + timedelta(minutes=1) for at in asked_at) for start in asked_at)
    assert (len(asked_at), most) == (60, 20)


def test_cards_that_were_proved_on_one_day_are_spread_over_a_quarter_of_the_time(
    programme: Programme, library: Library, system: AnsweringSystem
) -> None:
    make_proved(48, library=library, pool=programme.pool)
    LibrarySystem.objects.update(recheck_days=4)
    clock, each_hour = Clock(NOW + timedelta(days=3)), []
    for _ in range(25):
        before = len(system.looked_up)
        clock.go_by(timedelta(hours=1))
        each_hour.append(len(system.looked_up) - before)
    assert each_hour == [0, *[2] * 24]
    assert len(set(system.looked_up)) == 48


@pytest.mark.parametrize(("days", "looks_up"), [(30, True), (0, False)])
def test_system_that_is_asked_again_has_to_answer_without_a_pin(days: int, looks_up: bool, library: Library) -> None:
    """Its self-test looks for that."""
    LibrarySystem.objects.update(recheck_days=days)
    facts = membership.facts_of(library.institution)
    assert facts is not None
    assert facts.looks_up is looks_up


def test_slow_system_has_its_pause_after_the_answers(
    programme: Programme, library: Library, system: AnsweringSystem
) -> None:
    make_proved(60, library=library, pool=programme.pool)
    clock = Clock(NOW + MONTH)

    def take_long() -> None:
        clock.now += timedelta(seconds=9)

    system.while_asking = take_long
    assert rechecking.recheck_next(now=clock)
    assert len(system.looked_up) == 3  # a turn of 20 seconds
    assert row().recheck_at == clock() + timedelta(seconds=3)


def test_one_worker_at_a_time_asks_a_system(ada: Enrollment, system: AnsweringSystem, later: Clock) -> None:
    others: list[bool] = []
    system.while_asking = lambda: others.append(rechecking.recheck_next(now=later))
    assert rechecking.recheck_next(now=later)
    assert others == [False]


def test_system_of_a_worker_that_died_is_taken_over(ada: Enrollment, system: AnsweringSystem, later: Clock) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    system.while_asking = die
    with pytest.raises(Killed):
        rechecking.recheck_next(now=later)
    system.while_asking = lambda: None
    assert not rechecking.recheck_next(now=later)
    later.now += timedelta(seconds=61)
    assert rechecking.recheck_next(now=later)
    assert Card.objects.get(pk=ada.card_id).found_good_at == later()


def test_worker_that_slept_past_its_lease_believes_nothing(
    ada: Enrollment, system: AnsweringSystem, later: Clock
) -> None:
    """Somebody else has the system by then, and decides."""
    system.otherwise = Answer(Outcome.UNKNOWN)
    later.go_by(timedelta(hours=11))
    later.now += timedelta(hours=2)
    system.while_asking = lambda: LibrarySystem.objects.update(recheck_token=None)
    rechecking.recheck_next(now=later)
    assert Card.objects.get(pk=ada.card_id).state == Card.State.CONFIRMED
    assert row().recheck_lease_until is not None  # and leaves the other's lease alone
