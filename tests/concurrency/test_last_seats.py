"""64 connections at once for the last seats: none over, none lost. Without the lock the same test oversells."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from catalog.models import Programme
from enrollment import applying, seats
from enrollment.models import Enrollment, Event, Letter, SeatPool, Share
from tests.concurrency.conftest import Together
from tests.factories import ADDRESS, NOW, make_application, make_institution, make_library, make_programme, make_user

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

CLIENTS, SEATS = 64, 10
State = Enrollment.State


@pytest.fixture
def programme() -> Programme:
    for slug in ("antwerpen", "halle"):
        make_library(f"Library of {slug}", make_institution(slug))
    return make_programme(cap=SEATS)


def applications(programme: Programme) -> list[Callable[[], Any]]:
    libraries = [make_library(f"Library of {slug}", make_institution(slug)) for slug in ("antwerpen", "halle")]
    return [
        partial(
            applying.apply,
            user=make_user(f"member{n}@example.test"),
            pool=programme.pool,
            application=make_application(libraries[n % 2], f"2100{n:04}"),
            address=f"192.0.2.{n}",
            now=NOW,
        )
        for n in range(CLIENTS)
    ]


def states() -> Counter[str]:
    return Counter(Enrollment.objects.values_list("state", flat=True))


def test_last_seats_go_to_as_many_as_there_are(programme: Programme, together: Together) -> None:
    answers = together(applications(programme))
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert states() == {State.HELD: SEATS, State.WAITING: CLIENTS - SEATS}
    assert SeatPool.objects.get().taken == SEATS
    assert sum(Share.objects.values_list("taken", flat=True)) == SEATS
    assert Counter(Letter.objects.values_list("kind", flat=True)) == {"seat_held": SEATS, "in_queue": CLIENTS - SEATS}
    assert Event.objects.filter(kind="applied").count() == CLIENTS


def test_without_the_lock_the_same_applications_oversell(
    programme: Programme, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above can fail: no lock, no retries, and the database's wall taken down."""

    def unlocked(pool_ids: Any) -> dict[int, SeatPool]:
        return {pk: SeatPool.objects.select_related("programme").get(pk=pk) for pk in pool_ids}

    monkeypatch.setattr(seats, "lock_all", unlocked)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE enrollment_seatpool DROP CONSTRAINT pool_taken_within_cap")
    try:
        together(applications(programme))
        assert states()[State.HELD] > SEATS
    finally:
        SeatPool.objects.update(taken=0)
        with connection.cursor() as cursor:
            cursor.execute(
                "ALTER TABLE enrollment_seatpool ADD CONSTRAINT pool_taken_within_cap"
                " CHECK (taken >= 0 AND taken <= cap)"
            )


def test_allocate_by_many_at_once_gives_each_seat_once(programme: Programme, together: Together) -> None:
    SeatPool.objects.update(cap=0)
    for apply in applications(programme):
        apply()
    SeatPool.objects.update(cap=SEATS)

    def allocate() -> int:
        with transaction.atomic():
            return len(seats.allocate(seats.lock(programme.pool.pk), now=NOW))

    answers = together([allocate] * 16)
    assert sorted(answers) == [0] * 15 + [SEATS]
    assert (states()[State.HELD], SeatPool.objects.get().taken) == (SEATS, SEATS)


def test_one_person_in_many_tabs_has_one_application(programme: Programme, together: Together) -> None:
    ada = make_user()
    told = make_application(make_library("Library of halle", make_institution("halle")))
    apply = partial(applying.apply, user=ada, pool=programme.pool, application=told, address=ADDRESS, now=NOW)
    answers = together([apply] * 8)
    assert {answer.pk for answer in answers} == {Enrollment.objects.get().pk}
    assert (SeatPool.objects.get().taken, Event.objects.filter(kind="applied").count()) == (1, 1)


def test_one_number_claimed_by_many_at_once_is_one_living_card(programme: Programme, together: Together) -> None:
    library = make_library("Library of halle", make_institution("halle"))
    calls = [
        partial(
            applying.apply,
            user=make_user(f"member{n}@example.test"),
            pool=programme.pool,
            application=make_application(library, "21000001"),
            address=ADDRESS,
            now=NOW,
        )
        for n in range(8)
    ]
    answers = together(calls)
    assert Counter(answer.card.state for answer in answers) == {"claimed": 1, "disputed": 7}
    assert states() == {State.HELD: 1, State.WAITING: 7}
