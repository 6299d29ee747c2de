"""Coordinators hear once that places become scarce or the queue long, and again only after it had been better."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from catalog.models import Programme
from enrollment import cap, drafts, scarcity
from enrollment.cap_plan import Plan
from enrollment.models import Enrollment, Letter, SeatPool
from libraries.models import StaffRole, User
from tests.factories import NOW, make_coordinator, make_librarian, make_library, make_member, make_programme
from tests.letters import check_complete

pytestmark = pytest.mark.django_db


@pytest.fixture
def mo() -> User:
    make_library()
    return make_coordinator(language="en")


@pytest.fixture
def pool(mo: User) -> SeatPool:
    return make_programme(cap=100).pool


def sweep(pool: SeatPool, *, taken: int | None = None) -> list[str]:
    """What Mo is told when so many places are taken."""
    if taken is not None:
        SeatPool.objects.filter(pk=pool.pk).update(taken=taken)
    before = list(Letter.objects.values_list("pk", flat=True))
    scarcity.announce_scarcity(now=NOW)
    return [letter.reason or letter.kind for letter in Letter.objects.exclude(pk__in=before).order_by("pk")]


def fill_queue(pool: SeatPool, waiting: int) -> None:
    """So many people in line; there are no places."""
    here = Enrollment.objects.waiting().filter(pool=pool)
    for each in here[waiting:]:
        Enrollment.objects.filter(pk=each.pk).update(state="ended", ended_at=NOW, end_reason="withdrawn")
    for number in range(here.count(), waiting):
        make_member(f"member{number}.{pool.pk}.{Enrollment.objects.count()}@example.test", programme=pool.programme)


# --- Places ---


def test_each_level_is_told_once(pool: SeatPool) -> None:
    told = [sweep(pool, taken=taken) for taken in (74, 75, 76, 89, 90, 99, 100, 100)]
    assert told == [[], ["75"], [], [], ["90"], [], ["100"], []]


def test_of_several_levels_the_highest_is_told(pool: SeatPool) -> None:
    assert [sweep(pool, taken=100), sweep(pool, taken=90)] == [["100"], []]


def test_seat_that_comes_and_goes_is_no_news(pool: SeatPool) -> None:
    assert sweep(pool, taken=100) == ["100"]
    assert [sweep(pool, taken=taken) for taken in (99, 100, 96, 100)] == [[], [], [], []]


def test_level_is_told_again_after_five_percents_less(pool: SeatPool) -> None:
    sweep(pool, taken=100)
    assert [sweep(pool, taken=taken) for taken in (95, 99, 100)] == [[], [], ["100"]]
    assert [sweep(pool, taken=taken) for taken in (71, 75, 70, 75)] == [[], [], [], ["75"]]


def test_raising_the_cap_begins_again(pool: SeatPool, mo: User) -> None:
    sweep(pool, taken=100)
    cap.change(pool_id=pool.pk, plan=Plan(cap=200), reason="More", by=mo, now=NOW)
    assert [sweep(pool, taken=taken) for taken in (100, 149, 150, 180)] == [[], [], ["75"], ["90"]]


def test_cap_that_sinks_counts_as_the_number_it_sinks_to(pool: SeatPool, mo: User) -> None:
    sweep(pool, taken=60)
    SeatPool.objects.update(planned_cap=50)
    assert [sweep(pool), sweep(pool)] == [["100"], []]


def test_pool_without_places_is_not_scarce(pool: SeatPool) -> None:
    SeatPool.objects.update(cap=0)
    assert sweep(pool) == []


@pytest.mark.parametrize("closed", [{"closes_on": NOW.date()}, {"opens_on": NOW.date() + timedelta(days=1)}])
def test_nothing_is_told_of_a_programme_that_is_not_open(closed: dict[str, Any], pool: SeatPool) -> None:
    Programme.objects.update(**closed)
    assert sweep(pool, taken=100) == []


def test_everybody_who_coordinates_is_told_and_nobody_else(pool: SeatPool, mo: User) -> None:
    make_librarian()
    make_coordinator("gone@example.test", is_active=False)
    ria = make_coordinator("ria@example.test")
    SeatPool.objects.update(taken=80)
    assert scarcity.announce_scarcity(now=NOW) == 2
    assert list(Letter.objects.order_by("pk").values_list("user_id", "pool_id")) == [
        (mo.pk, pool.pk),
        (ria.pk, pool.pk),
    ]


def test_who_coordinates_from_now_on_is_told_what_nobody_was(pool: SeatPool, mo: User) -> None:
    StaffRole.objects.all().delete()
    assert sweep(pool, taken=80) == []
    StaffRole.objects.create(user=mo, role=StaffRole.Role.COORDINATOR)
    assert sweep(pool) == ["75"]


def test_calm_pools_cost_the_same_however_many(
    pool: SeatPool, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(3):
        make_programme(f"more{number}")
        with django_assert_num_queries(3):
            scarcity.announce_scarcity(now=NOW)


# --- The queue ---


@pytest.fixture
def full(mo: User) -> SeatPool:
    """No places at all; five may wait without a letter."""
    return make_programme("full", cap=0, queue_alarm=5).pool


def queue_of(pool: SeatPool, waiting: int) -> list[str]:
    fill_queue(pool, waiting)
    return sweep(pool)


def test_long_queue_is_told_once_and_again_after_it_was_short(full: SeatPool) -> None:
    told = [queue_of(full, waiting) for waiting in (5, 6, 7, 4, 6, 3, 5, 6)]
    assert told == [[], ["queue_long"], [], [], [], [], [], ["queue_long"]]


def test_who_is_passed_over_does_not_lengthen_the_queue(full: SeatPool) -> None:
    fill_queue(full, 6)
    Enrollment.objects.update(passed_over=True)
    assert sweep(full) == []


def test_programme_without_a_number_tells_of_no_queue(full: SeatPool) -> None:
    Programme.objects.update(queue_alarm=None)
    assert queue_of(full, 6) == []


# --- What the letters say ---


def letter_of(pool: SeatPool, taken: int) -> Letter:
    sweep(pool, taken=taken)
    return Letter.objects.latest("pk")


def body_of(letter: Letter) -> tuple[str, str]:
    message = drafts.compose(Letter.objects.get(pk=letter.pk))
    assert message is not None
    return str(message.subject), str(message.body)


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
@pytest.mark.parametrize("taken", [75, 90, 100])
def test_letter_about_places_is_complete(taken: int, language: str, pool: SeatPool) -> None:
    page = f"admin/enrollment/seatpool/{pool.pk}/change"
    check_complete(letter_of(pool, taken), language, page=page)


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
def test_letter_about_the_queue_is_complete(language: str, full: SeatPool) -> None:
    queue_of(full, 6)
    check_complete(Letter.objects.latest("pk"), language, page=f"admin/enrollment/seatpool/{full.pk}/change")


def test_letter_has_the_figures_of_the_moment_it_is_sent(pool: SeatPool) -> None:
    letter = letter_of(pool, 76)
    SeatPool.objects.update(taken=1_640, cap=2_000)
    subject, body = body_of(letter)
    assert subject == "82 % of the places of “Leerkaart” are taken"
    assert "In “Leerkaart”, 1,640 of 2,000 places are taken. Nobody is in the queue." in body
    letter = letter_of(pool, 2_000)
    subject, body = body_of(letter)
    assert subject == "All places of “Leerkaart” are taken"
    assert "Whoever applies from now on joins the queue." in body


def test_letter_about_the_queue_tells_how_many_wait_now(full: SeatPool) -> None:
    queue_of(full, 6)
    letter = Letter.objects.latest("pk")
    fill_queue(full, 7)
    subject, body = body_of(letter)
    assert subject == "7 people wait for “Leerkaart”"
    assert "when the queue becomes longer than 5." in body
    fill_queue(full, 3)
    assert drafts.compose(Letter.objects.get(pk=letter.pk)) is None


@pytest.mark.parametrize("taken", [70, 90])
def test_letter_about_another_level_than_there_is_by_now_is_dropped(taken: int, pool: SeatPool) -> None:
    letter = letter_of(pool, 76)
    SeatPool.objects.update(taken=taken)
    assert drafts.compose(Letter.objects.get(pk=letter.pk)) is None


def test_letters_are_dropped_for_who_coordinates_no_more(pool: SeatPool, full: SeatPool, mo: User) -> None:
    sweep(pool, taken=80)
    queue_of(full, 6)
    StaffRole.objects.filter(user=mo).update(role=StaffRole.Role.AUDITOR)
    assert [drafts.compose(letter) for letter in Letter.objects.filter(enrollment=None)] == [None, None]
