"""Exact limits on guessing, counted in PostgreSQL: they hold under concurrency, across processes, without Redis."""

from datetime import datetime, timedelta

from django.db import connection
from django.utils.crypto import salted_hmac

from libraries.models import Attempt

# Nobody waits for the disk: if the database's machine falls, the last counts may be lost.
_COUNT = """
INSERT INTO libraries_attempt AS a (key, since, count)
SELECT %(key)s, %(now)s::timestamptz, 1 FROM set_config('synchronous_commit', 'off', true)
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN a.since <= %(start)s THEN 1 ELSE a.count + 1 END,
    since = CASE WHEN a.since <= %(start)s THEN %(now)s ELSE a.since END
RETURNING count
"""


def allow(*key: str, limit: int, per: timedelta, now: datetime) -> bool:
    """Count one attempt and say whether it is within the limit. Call it outside a transaction that may roll back:
    a count that is undone is no limit."""
    hashed = salted_hmac("libraries.limits", "\0".join(key), algorithm="sha256").hexdigest()
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"key": hashed, "now": now, "start": now - per})
        (count,) = cursor.fetchone()
    return bool(count <= limit)


def forget(*, before: datetime) -> int:
    """Drop counts of windows that began before; say how many. No limit looks back longer than a day."""
    dropped, _by_model = Attempt.objects.filter(since__lt=before).delete()
    return dropped
