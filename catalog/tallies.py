"""How calls to a provider went, counted by the minute: how long they took, and what went wrong."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection
from django.db.models import Sum
from django.db.models.functions import TruncDate

from catalog.models import CallTally

# Upper bounds in milliseconds; one more bucket counts what took longer than the last. A change of their number does not
# reach back: tallies are forgotten after two weeks.
BUCKETS = (10, 20, 35, 60, 100, 200, 350, 600, 1000, 2000, 3500, 6000, 10000, 20000)

_BY_BUCKET = """
SELECT bucket.place, sum(bucket.count)::bigint
FROM catalog_calltally AS tally, unnest(tally.buckets) WITH ORDINALITY AS bucket (count, place)
WHERE tally.provider_id = %(provider)s AND tally.minute >= %(since)s
GROUP BY bucket.place
"""


@dataclass(frozen=True)
class Latency:
    """In milliseconds, at most as exact as the buckets; None where there were no calls."""

    calls: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class Errors:
    """So many calls of one day ended with this code; an empty code: they were answered as hoped."""

    day: date
    code: str
    count: int


def bucket_of(milliseconds: float) -> int:
    """Counted from 0."""
    return bisect_left(BUCKETS, milliseconds)


def latency(provider_id: int, *, since: datetime) -> Latency:
    """Of all calls since, also of those that failed. One query."""
    counts = [0] * (len(BUCKETS) + 1)
    with connection.cursor() as cursor:
        cursor.execute(_BY_BUCKET, {"provider": provider_id, "since": since})
        for place, count in cursor.fetchall():
            counts[min(place, len(counts)) - 1] += count
    p50, p95, p99 = (percentile(counts, share) for share in (0.50, 0.95, 0.99))
    return Latency(sum(counts), p50, p95, p99)


def percentile(counts: Sequence[int], share: float) -> float | None:
    """By going evenly through the bucket it falls into; of what took longer than the last bound, that bound."""
    rank, below = share * sum(counts), 0
    if not rank:
        return None
    for place, count in enumerate(counts[: len(BUCKETS)]):
        if below + count >= rank:
            start = BUCKETS[place - 1] if place else 0
            return start + (BUCKETS[place] - start) * (rank - below) / count
        below += count
    return float(BUCKETS[-1])


def per_minute(provider_id: int, *, since: datetime) -> dict[datetime, int]:
    """Calls by the minute in which they ended; minutes without any are left out. One query."""
    by_minute = CallTally.objects.filter(provider_id=provider_id, minute__gte=since).values("minute")
    return dict(by_minute.annotate(calls=Sum("count")).order_by("minute").values_list("minute", "calls"))


def errors_by_day(provider_id: int, *, since: datetime) -> list[Errors]:
    """Newest day first, the most frequent code first. One query."""
    by_day = CallTally.objects.filter(provider_id=provider_id, minute__gte=since).values(
        "outcome", day=TruncDate("minute")
    )
    rows = by_day.annotate(calls=Sum("count")).order_by("-day", "-calls", "outcome")
    return [Errors(row["day"], row["outcome"], row["calls"]) for row in rows]


def forget(*, before: datetime) -> int:
    """Drop what was counted in minutes before; say how many rows it was."""
    dropped, _by_model = CallTally.objects.filter(minute__lt=before).delete()
    return dropped
