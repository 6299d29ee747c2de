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

# Of each run the first day on which the course is gone, where that is near, however many listings follow each other
# without a break until then: a course that goes on in any programme in which the member has a seat does not leave.
_LEAVING = """
SELECT DISTINCT ON (course_run_id) course_run_id, enrollment_id, user_id, to_char(gone_on, 'YYYY-MM-DD') AS reason
FROM (
    SELECT run.id AS course_run_id, seat.id AS enrollment_id, run.user_id, listing.offered_until AS gone_on,
        range_agg(daterange(listing.offered_from, listing.offered_until)) OVER (PARTITION BY run.id) AS offered
    FROM enrollment_courserun AS run
    JOIN libraries_user AS person ON person.id = run.user_id AND person.is_active
    JOIN enrollment_enrollment AS seat ON seat.user_id = run.user_id AND seat.state = 'seated'
    JOIN enrollment_seatpool AS pool ON pool.id = seat.pool_id
    JOIN catalog_listing AS listing
        ON listing.programme_id = pool.programme_id AND listing.course_id = run.course_id
            AND (listing.offered_until IS NULL OR listing.offered_until > %(today)s)
    WHERE run.started_at IS NOT NULL AND run.completed_at IS NULL AND run.course_id IN (
        SELECT course_id FROM catalog_listing WHERE offered_until > %(today)s AND offered_until <= %(until)s
    )
) AS followed
WHERE gone_on <= %(until)s AND offered @> daterange(%(today)s, gone_on) AND NOT offered @> gone_on AND {which}
ORDER BY course_run_id, enrollment_id DESC
"""
# Told of this day already, also where staff gave that letter up; unless it was dropped because the day was another one
# meanwhile, and not because of any trouble.
_UNTOLD = """NOT EXISTS (
    SELECT FROM enrollment_letter AS letter
    WHERE letter.course_run_id = followed.course_run_id AND letter.kind = 'course_leaves'
        AND letter.reason = to_char(gone_on, 'YYYY-MM-DD') AND (letter.dropped_at IS NULL OR letter.trouble <> '')
)"""
_OWE = f"""
INSERT INTO enrollment_letter
    (kind, course_run_id, enrollment_id, user_id, reason, owed_at, due_at, version, attempts, trouble)
SELECT 'course_leaves', leaving.*, %(now)s, %(now)s, 0, 0, '' FROM ({_LEAVING.format(which=_UNTOLD)}) AS leaving
ON CONFLICT DO NOTHING
"""
_OF_RUN = f"SELECT reason FROM ({_LEAVING.format(which='course_run_id = %(run)s')}) AS leaving"


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
