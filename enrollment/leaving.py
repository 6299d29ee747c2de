"""Titles that leave: who follows them, and the letter to each of them 30 days before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from catalog.offer_rules import TOLD_BEFORE
from enrollment.models import CourseRun, Enrollment

# Of each run the last day known for it, where that is near: a course that goes on in any programme in which the member
# has a seat does not leave. A listing that is still to begin counts where it only goes on with another.
_LEAVING = """
SELECT DISTINCT ON (run.id) run.id AS course_run_id, seat.id AS enrollment_id, run.user_id,
    to_char(listing.offered_until, 'YYYY-MM-DD') AS reason
FROM catalog_listing AS listing
JOIN enrollment_seatpool AS pool ON pool.programme_id = listing.programme_id
JOIN enrollment_courserun AS run
    ON run.course_id = listing.course_id AND run.started_at IS NOT NULL AND run.completed_at IS NULL
JOIN enrollment_enrollment AS seat
    ON seat.user_id = run.user_id AND seat.pool_id = pool.id AND seat.state = 'seated'
JOIN libraries_user AS person ON person.id = run.user_id AND person.is_active
WHERE listing.offered_until > %(today)s AND listing.offered_until <= %(until)s
    AND (listing.offered_from <= %(today)s OR EXISTS (
        SELECT FROM catalog_listing AS earlier
        WHERE earlier.programme_id = listing.programme_id AND earlier.course_id = listing.course_id
            AND earlier.offered_until = listing.offered_from AND earlier.offered_from <= %(today)s
    ))
    AND NOT EXISTS (
        SELECT FROM catalog_listing AS longer
        JOIN enrollment_seatpool AS its ON its.programme_id = longer.programme_id
        JOIN enrollment_enrollment AS other
            ON other.user_id = run.user_id AND other.pool_id = its.id AND other.state = 'seated'
        WHERE longer.course_id = listing.course_id AND longer.offered_from <= listing.offered_until
            AND (longer.offered_until IS NULL OR longer.offered_until > listing.offered_until)
    )
    AND {which}
ORDER BY run.id, seat.id DESC
"""
# Told of this day already, unless that letter was dropped because the day was another one meanwhile.
_UNTOLD = """NOT EXISTS (
    SELECT FROM enrollment_letter AS letter
    WHERE letter.course_run_id = run.id AND letter.kind = 'course_leaves' AND letter.dropped_at IS NULL
        AND letter.reason = to_char(listing.offered_until, 'YYYY-MM-DD')
)"""
_OWE = f"""
INSERT INTO enrollment_letter
    (kind, course_run_id, enrollment_id, user_id, reason, owed_at, due_at, version, attempts, trouble)
SELECT 'course_leaves', leaving.*, %(now)s, %(now)s, 0, 0, '' FROM ({_LEAVING.format(which=_UNTOLD)}) AS leaving
ON CONFLICT DO NOTHING
"""
_OF_RUN = f"SELECT reason FROM ({_LEAVING.format(which='run.id = %(run)s')}) AS leaving"


def tell_learners(*, now: datetime) -> int:
    """Owe a letter to every member who has started a title that leaves within 30 days, has not finished it, and has a
    place; once for each and for each day on which it was to leave; say how many. One statement, safe to run at any
    time, twice, and by two sweeps: the database keeps each letter once."""
    with connection.cursor() as cursor:
        cursor.execute(_OWE, _days(now) | {"now": now})
        return int(cursor.rowcount)


def leaves_on(course_run_id: int, *, now: datetime) -> date | None:
    """The day on which the member's course leaves, as things are now; None where none of this needs to be told."""
    with connection.cursor() as cursor:
        cursor.execute(_OF_RUN, _days(now) | {"run": course_run_id})
        row = cursor.fetchone()
    return date.fromisoformat(row[0]) if row else None


def _days(now: datetime) -> dict[str, Any]:
    today = timezone.localdate(now)
    return {"today": today, "until": today + TOLD_BEFORE}


def learners(programme_id: int, course_ids: Collection[int]) -> dict[int, int]:
    """Of each course, how many members have started it, have not finished it, and have a place in the programme."""
    seats = Enrollment.objects.filter(
        user=OuterRef("user"), pool__programme=programme_id, state=Enrollment.State.SEATED
    )
    runs = CourseRun.objects.started().filter(Exists(seats), course__in=course_ids, completed_at=None)
    return _counted(runs.values_list("course").annotate(Count("pk")))


def savers(course_ids: Collection[int]) -> dict[int, int]:
    """Of each course, how many members have saved it for later or asked for a reminder, and have not started it."""
    waiting = Q(saved_at__isnull=False) | Q(remind_on__isnull=False)
    runs = CourseRun.objects.filter(waiting, course__in=course_ids, started_at=None)
    return _counted(runs.values_list("course").annotate(Count("pk")))


def _counted(pairs: Any) -> dict[int, int]:
    found: Mapping[int, int] = dict(pairs.order_by())
    return dict(found)
