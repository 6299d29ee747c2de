"""The queue, counted in stretches of a thousand or two, so that a place needs no count of all who are before."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import connection, models
from django.db.models import Q, Sum

# Everybody in the stretches before, and in the own stretch those up to this one.
_PLACES = """
SELECT e.id, (
    SELECT coalesce(sum(s.people), 0) FROM enrollment_queuestretch s
    WHERE s.pool_id = e.pool_id AND (s.priority, s.starts_at) < (e.priority, own.starts_at)
) + (
    SELECT count(*) FROM enrollment_enrollment x
    WHERE x.state = 'waiting' AND NOT x.passed_over AND x.pool_id = e.pool_id AND x.priority = e.priority
    AND x.applied_at >= own.starts_at AND (x.applied_at, x.id) <= (e.applied_at, e.id)
)
FROM enrollment_enrollment e CROSS JOIN LATERAL (
    SELECT s.starts_at FROM enrollment_queuestretch s
    WHERE s.pool_id = e.pool_id AND s.priority = e.priority AND s.starts_at <= e.applied_at
    ORDER BY s.starts_at DESC LIMIT 1
) own
WHERE e.id = ANY(%s) AND e.state = 'waiting' AND NOT e.passed_over
"""
# The pools whose queue is counted wrong, altogether or in a stretch.
MISCOUNTED = """
SELECT p.id FROM enrollment_seatpool p
WHERE (SELECT coalesce(sum(s.people), 0) FROM enrollment_queuestretch s WHERE s.pool_id = p.id) <> (
    SELECT count(*) FROM enrollment_enrollment e
    WHERE e.pool_id = p.id AND e.state = 'waiting' AND NOT e.passed_over
) UNION SELECT s.pool_id FROM (
    SELECT *, lead(starts_at, 1, 'infinity') OVER (PARTITION BY pool_id, priority ORDER BY starts_at) AS until
    FROM enrollment_queuestretch
) s WHERE s.people <> (
    SELECT count(*) FROM enrollment_enrollment e
    WHERE e.pool_id = s.pool_id AND e.priority = s.priority AND e.state = 'waiting' AND NOT e.passed_over
    AND e.applied_at >= s.starts_at AND e.applied_at < s.until
)
"""
_COUNT_AGAIN = (
    "SELECT enrollment_cut_queue(%s, priority, '0001-01-01 00:00Z', NULL) FROM (VALUES (0), (1)) p (priority)"
)


class QueueStretchManager(models.Manager["QueueStretch"]):
    def places_of(self, enrollment_ids: Collection[int]) -> dict[int, int]:
        """The place of each that is in line, from 1, with one query; exact, also while others come and go."""
        with connection.cursor() as cursor:
            cursor.execute(_PLACES, [list(enrollment_ids)])
            return dict(cursor.fetchall())

    def people_in(self, pool_ids: Iterable[int]) -> dict[int, int]:
        """How many are in line for each pool where anybody is, with one query."""
        lines = self.filter(pool_id__in=pool_ids).values_list("pool_id")
        return dict(lines.annotate(everybody=Sum("people")))

    def miscounted(self) -> set[int]:
        """The ids of the pools whose queue is counted wrong."""
        with connection.cursor() as cursor:
            cursor.execute(MISCOUNTED)
            return {pk for (pk,) in cursor.fetchall()}

    def count_again(self, pool_id: int) -> None:
        """From the applications. The pool must be locked."""
        with connection.cursor() as cursor:
            cursor.execute(_COUNT_AGAIN, [pool_id])


class QueueStretch(models.Model):
    """How many are in line for a pool, with this priority, who applied at `starts_at` or later, and before the next
    stretch starts.

    A trigger on the applications keeps it (migration 0006): within the statement that changes who is in line, and so
    under the pool's lock. A stretch with more than 2,000 people is cut into stretches of 1,000.
    """

    pk = models.CompositePrimaryKey("pool", "priority", "starts_at")
    pool = models.ForeignKey("enrollment.SeatPool", on_delete=models.CASCADE, related_name="+", db_index=False)
    priority = models.PositiveSmallIntegerField()
    starts_at = models.DateTimeField()
    people = models.PositiveIntegerField()

    objects = QueueStretchManager()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(people__gt=0), name="queue_stretch_of_somebody")]

    def __str__(self) -> str:
        return f"{self.pool_id}/{self.priority}/{self.starts_at:%Y-%m-%d %H:%M:%S}"
