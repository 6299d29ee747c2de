"""Where those who wait stand in line."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from enrollment.models import Enrollment

# The line of each pool is counted once, by its index, and not once for each row that is shown.
_PLACES = """
SELECT id, place FROM (
    SELECT id, row_number() OVER (PARTITION BY pool_id ORDER BY priority, applied_at, id) AS place
    FROM enrollment_enrollment WHERE state = 'waiting' AND NOT passed_over AND pool_id = ANY(%s)
) line WHERE id = ANY(%s)
"""


def places_of(enrollments: Iterable[Enrollment]) -> dict[int, int]:
    """The place of each that is in line, from 1, as the member reads it; with one query at most."""
    waiting = [each for each in enrollments if each.state == Enrollment.State.WAITING and not each.passed_over]
    if not waiting:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_PLACES, [[each.pool_id for each in waiting], [each.pk for each in waiting]])
        return dict(cursor.fetchall())
