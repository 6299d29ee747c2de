"""As many statements for a million applications as for three. The usual run compares 3 with 60; others on demand, with
SEAT_ROWS=100,10000,1000000 in the environment (a million take some minutes and gigabytes) and -s to see the numbers."""

import os
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks import crowd
from enrollment import cap, seats, waiting_list
from enrollment.cap_plan import Plan
from enrollment.models import Enrollment, SeatPool
from enrollment.reports import places, queue, workload
from enrollment.reports.audit import audit
from libraries.models import User
from tests.factories import make_coordinator, make_institution, make_library, make_member, make_programme

pytestmark = pytest.mark.django_db

SIZES = [int(size) for size in os.environ.get("SEAT_ROWS", "3,60").split(",")]
NOW = timezone.now()
LAPSED = NOW + timedelta(days=15)


def test_number_of_statements_does_not_grow_with_the_applications() -> None:
    for slug in ("antwerpen", "kortrijk", "muntpunt"):
        make_library(slug, make_institution(slug))
    make_coordinator()
    counts = {size: statements(User.objects.get(is_staff=True), size) for size in SIZES}
    print(counts)
    assert list(counts.values()) == [counts[SIZES[0]]] * len(SIZES)


@transaction.atomic
def statements(mo: User, size: int) -> dict[str, int]:
    """What each takes when one seat is held and so many wait, who all get one in the end; nothing is left of them."""
    pool = make_programme(cap=1).pool
    make_member(programme=pool.programme, library=make_library("antwerpen", make_institution()), now=NOW)
    crowd.gather(pool, size)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    found = {name: count(work) for name, work in {**reading(pool, mo, size), **changing(pool, mo, size)}.items()}
    assert Enrollment.objects.holding_seats().count() == size
    transaction.set_rollback(True)
    return found


def reading(pool: SeatPool, mo: User, size: int) -> dict[str, Callable[[], object]]:
    last = Enrollment.objects.in_line().in_queue_order().last()
    assert last is not None
    page = list(Enrollment.objects.in_line().in_queue_order()[:3])
    return {
        "place": lambda: waiting_list.place_of(last),
        "places on a page": lambda: queue.places_of(page),
        "my place": lambda: places.places_of(Enrollment.objects.filter(user=last.user_id)),
        "first page": lambda: (workload.workload(mo, now=NOW), workload.programmes(mo)),
        "quick audit": lambda: audit(now=NOW, slow=False),
        "audit": lambda: audit(now=NOW),
        "preview": lambda: cap.preview(pool_id=pool.pk, plan=Plan(cap=size), by=mo, now=NOW),
    }


def changing(pool: SeatPool, mo: User, size: int) -> dict[str, Callable[[], object]]:
    return {
        "application": lambda: make_member("bo@example.test", programme=pool.programme),
        "release": lambda: waiting_list.lapse_holds(now=LAPSED),
        "allocate": lambda: give_one(pool),
        "raise": lambda: cap.change(pool_id=pool.pk, plan=Plan(cap=size), reason="More", by=mo, now=NOW),
    }


def give_one(pool: SeatPool) -> None:
    SeatPool.objects.filter(pk=pool.pk).update(cap=2)
    assert len(seats.allocate(seats.lock(pool.pk), now=NOW)) == 1


def count(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)
