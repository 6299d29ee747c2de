"""The counted queue beside one that is counted anew, whatever comes and goes, one by one or many at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Mod

from benchmarks import crowd
from enrollment import waiting_list
from enrollment.models import Enrollment, QueueStretch, SeatPool
from tests.factories import make_institution, make_library, make_programme

pytestmark = pytest.mark.django_db
PEOPLE = 2_500  # more than one stretch holds
HOUR = timedelta(hours=1)


@pytest.fixture
def pool() -> SeatPool:
    for slug in ("antwerpen", "halle"):
        make_library(slug, make_institution(slug))
    pool = make_programme(cap=0).pool
    crowd.gather(pool, PEOPLE)
    return pool


def stretches(pool: SeatPool) -> list[int]:
    return list(
        QueueStretch.objects.filter(pool=pool).order_by("priority", "starts_at").values_list("people", flat=True)
    )


def line(pool: SeatPool) -> list[int]:
    return list(Enrollment.objects.in_line().filter(pool=pool).in_queue_order().values_list("pk", flat=True))


def wrongly_counted(pool: SeatPool) -> list[int]:
    """Few numbers rather than two long lists: pytest takes minutes to tell these apart where it shows all of them."""
    expected = {pk: place for place, pk in enumerate(line(pool), 1)}
    told = QueueStretch.objects.places_of(list(expected))
    return [pk for pk in {*expected, *told} if expected.get(pk) != told.get(pk)]


def check(pool: SeatPool) -> None:
    assert wrongly_counted(pool)[:10] == []
    assert QueueStretch.objects.people_in([pool.pk]).get(pool.pk, 0) == len(line(pool))
    assert QueueStretch.objects.miscounted() == set()


def test_many_who_come_at_once_are_cut_into_stretches(pool: SeatPool) -> None:
    assert stretches(pool) == [1000, 1000, 500]
    check(pool)


def test_stretch_that_grows_too_long_is_cut(pool: SeatPool) -> None:
    Enrollment.objects.update(applied_at=F("applied_at") - HOUR)
    crowd.gather(pool, 1_500)
    assert stretches(pool) == [1000, 1000, 2000]
    crowd.gather(pool, 1)  # at the same moment as the last one before
    assert stretches(pool) == [1000, 1000, 1000, 1001]
    check(pool)


def test_whoever_leaves_or_changes_turn_is_counted_where_they_are(pool: SeatPool) -> None:
    ids = line(pool)
    Enrollment.objects.filter(pk__in=ids[:1200]).update(passed_over=True)
    assert stretches(pool) == [800, 500]
    check(pool)
    Enrollment.objects.filter(pk__in=ids[:3]).update(passed_over=False)
    Enrollment.objects.filter(pk__in=ids[2400:]).update(priority=Enrollment.FIRST)
    assert stretches(pool) == [100, 3, 800, 400]
    check(pool)
    Enrollment.objects.filter(pk__in=ids[2300:]).update(applied_at=F("applied_at") - HOUR)
    check(pool)
    Enrollment.objects.all().delete()
    assert stretches(pool) == []
    check(pool)


def test_people_of_one_moment_stay_together(pool: SeatPool) -> None:
    Enrollment.objects.update(applied_at=Enrollment.objects.earliest("applied_at").applied_at)
    assert stretches(pool) == [PEOPLE]
    check(pool)


def test_queues_are_counted_apart(pool: SeatPool) -> None:
    other = make_programme("other", cap=0).pool
    crowd.gather(other, 3)
    assert QueueStretch.objects.people_in([pool.pk, other.pk]) == {pool.pk: PEOPLE, other.pk: 3}
    check(other)
    check(pool)


def test_whoever_does_not_wait_has_no_place(pool: SeatPool) -> None:
    first = Enrollment.objects.get(pk=line(pool)[0])
    Enrollment.objects.filter(pk=first.pk).update(passed_over=True)
    assert waiting_list.place_of(first) is None  # as it was read it is in line
    first.refresh_from_db()
    assert waiting_list.place_of(first) is None


@pytest.mark.slow
def test_any_changes_in_any_order_are_counted_right(pool: SeatPool) -> None:
    dice = random.Random(1)
    rows = Enrollment.objects.filter(pool=pool)
    for _ in range(60):
        some = rows.alias(of=Mod("pk", dice.choice([1, 2, 7, 400]))).filter(of=0)
        match dice.randrange(6):
            case 0:
                some.update(passed_over=dice.random() < 0.6)
            case 1:
                some.update(priority=dice.choice([Enrollment.FIRST, Enrollment.NORMAL]))
            case 2:
                some.update(applied_at=F("applied_at") + dice.choice([-HOUR, HOUR]))
            case 3:
                some.exclude(pk__gt=line(pool)[0] if line(pool) else 0).delete()
            case 4:
                rows.filter(pk__in=line(pool)[: dice.randrange(1_500)]).update(passed_over=True)
            case _:
                crowd.gather(pool, dice.choice([1, 40, 700]))
        check(pool)


def test_wrong_counts_are_found_and_counted_again(pool: SeatPool) -> None:
    first = QueueStretch.objects.earliest("starts_at").starts_at
    rows = QueueStretch.objects.filter(pool=pool)
    wrongs: tuple[Callable[[], object], ...] = (
        lambda: rows.filter(starts_at=first).update(people=999),
        lambda: rows.filter(starts_at=first).delete(),
        lambda: rows.exclude(starts_at=first).update(starts_at=F("starts_at") + timedelta(milliseconds=1)),
    )
    for wrong in wrongs:
        wrong()
        assert QueueStretch.objects.miscounted() == {pool.pk}
        QueueStretch.objects.count_again(pool.pk)
        check(pool)


def test_what_was_there_before_is_counted_when_the_portal_is_upgraded(pool: SeatPool) -> None:
    QueueStretch.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(import_module("enrollment.migrations.0006_stretches_of_the_queue").COUNT)
    assert stretches(pool) == [1000, 1000, 500]
    check(pool)


@pytest.mark.parametrize("operation", ["insert", "update", "delete"])
def test_without_a_trigger_the_counts_go_wrong(operation: str, pool: SeatPool) -> None:
    """The proof that the checks above can fail."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE enrollment_enrollment DISABLE TRIGGER enrollment_queue_after_{operation}")
    crowd.gather(pool, 1)
    Enrollment.objects.filter(pk=line(pool)[0]).update(passed_over=True)
    Enrollment.objects.filter(pk=line(pool)[0]).delete()
    with pytest.raises(AssertionError):
        check(pool)
