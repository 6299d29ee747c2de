"""Exact limits on guessing, counted in PostgreSQL: they hold under concurrency, across processes, without Redis."""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import F
from django.utils.crypto import salted_hmac

from libraries.models import Attempt

# Nobody waits for the disk: if the database's machine falls, the last counts may be lost. What is refused is not
# counted, so that a count that is given back makes room for one more, whatever was refused meanwhile.
_COUNT = """
INSERT INTO libraries_attempt AS a (key, since, count)
SELECT %(key)s, %(now)s::timestamptz, 1 FROM set_config('synchronous_commit', 'off', true)
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN a.since <= %(start)s THEN 1 ELSE a.count + 1 END,
    since = CASE WHEN a.since <= %(start)s THEN %(now)s ELSE a.since END
WHERE a.since <= %(start)s OR a.count < %(limit)s
RETURNING count
"""


def allow(*key: str, limit: int, per: timedelta, now: datetime) -> bool:
    """Count one attempt and say whether it is within the limit (1 or more). Call it outside a transaction that may roll
    back: a count that is undone is no limit."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"key": _hashed(key), "now": now, "start": now - per, "limit": limit})
        return cursor.fetchone() is not None


def give_back(*key: str, per: timedelta, now: datetime) -> None:
    """The attempt that was counted at `now` turned out to be none. Nothing, where its window is over by now."""
    mine = Attempt.objects.filter(key=_hashed(key), since__lte=now, since__gt=now - per, count__gt=0)
    mine.update(count=F("count") - 1)


def clear(*key: str) -> None:
    """Whatever was counted so far does not matter any more."""
    Attempt.objects.filter(key=_hashed(key)).delete()


def forget(*, before: datetime) -> int:
    """Drop counts of windows that began before; say how many. No limit looks back longer than a day."""
    dropped, _by_model = Attempt.objects.filter(since__lt=before).delete()
    return dropped


def _hashed(key: tuple[str, ...]) -> str:
    return salted_hmac("libraries.limits", "\0".join(key), algorithm="sha256").hexdigest()
