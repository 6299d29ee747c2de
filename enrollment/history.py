"""Record who did what, when and why: the only place where events are made."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from django.db import connection

from enrollment.models import Enrollment, Event, EventNote
from enrollment.models.inserting import insert_each
from libraries.models import User

# On the path of the person's latest application at that provider, where it is an account of ours.
_OF_DIFFERENCES = """
INSERT INTO enrollment_event (at, kind, reason, actor_id, provider_id, old_value, new_value,
    enrollment_id, card_id, pool_id, institution_id, priority, applied_at)
SELECT %(now)s, %(kind)s, difference.kind, %(by)s, run.provider_id, run.id, difference.id,
    latest.id, latest.card_id, latest.pool_id, latest.institution_id, latest.priority, latest.applied_at
FROM enrollment_difference AS difference
JOIN enrollment_reconciliation AS run ON run.id = difference.reconciliation_id
LEFT JOIN enrollment_provideraccount AS account ON account.id = difference.account_id
LEFT JOIN LATERAL (
    SELECT mine.*, share.institution_id FROM enrollment_enrollment AS mine
    JOIN enrollment_share AS share ON share.id = mine.share_id
    JOIN enrollment_seatpool AS pool ON pool.id = mine.pool_id
    JOIN catalog_programme AS programme ON programme.id = pool.programme_id
    WHERE mine.user_id = account.user_id AND programme.provider_id = run.provider_id
    ORDER BY mine.applied_at DESC, mine.id DESC LIMIT 1
) AS latest ON true
WHERE difference.id = ANY(%(ids)s) ORDER BY difference.id
"""


def record(
    kind: Event.Kind,
    *,
    now: datetime,
    by: User | None = None,
    enrollment: Enrollment | None = None,
    institution_id: int | None = None,
    pool_id: int | None = None,
    card_id: int | None = None,
    provider_id: int | None = None,
    reason: str = "",
    words: str = "",
    old_value: int | None = None,
    new_value: int | None = None,
) -> Event:
    """One event, in the transaction of the change it tells of. `by` None: the portal itself did it.

    `reason` is a code; `words` are what a person typed, kept beside the event where they can be erased.
    """
    event = line(kind, now=now, by=by, enrollment=enrollment, reason=reason)
    event.institution_id = institution_id or event.institution_id
    event.pool_id, event.card_id = pool_id or event.pool_id, card_id or event.card_id
    event.provider_id = provider_id
    event.old_value, event.new_value = old_value, new_value
    event.save()
    if words:
        EventNote.objects.create(event=event, words=words)
    return event


def record_each(
    pairs: Iterable[tuple[Event.Kind, Enrollment]], *, now: datetime, by: User | None = None, reason: str = ""
) -> None:
    """One event for each (kind, enrollment), with one statement for those of a kind that follow one another. The
    enrollments' shares must be loaded."""
    for kind, group in groupby(pairs, key=itemgetter(0)):
        enrollments = [enrollment for _kind, enrollment in group]
        insert_each(
            line(kind, now=now, by=by, reason=reason),
            enrollment_id=[each.pk for each in enrollments],
            card_id=[each.card_id for each in enrollments],
            pool_id=[each.pool_id for each in enrollments],
            institution_id=[each.share.institution_id for each in enrollments],
            priority=[each.priority for each in enrollments],
            applied_at=[each.applied_at for each in enrollments],
        )


def record_differences(kind: Event.Kind, ids: Iterable[int], *, now: datetime, by: User) -> None:
    """One event for each of these differences from a provider, in one statement: the comparison in `old_value`, the
    difference in `new_value`."""
    with connection.cursor() as cursor:
        cursor.execute(_OF_DIFFERENCES, {"kind": kind, "ids": list(ids), "now": now, "by": by.pk})


def write(lines: Iterable[Event]) -> None:
    """What `line` made, in this order."""
    Event.objects.bulk_create(lines, batch_size=1000)


def line(
    kind: Event.Kind,
    *,
    now: datetime,
    by: User | None = None,
    enrollment: Enrollment | None = None,
    reason: str = "",
) -> Event:
    """An event that is not written yet: several that belong together are one statement."""
    event = Event(kind=kind, at=now, actor_id=by.pk if by else None, reason=reason)
    if enrollment is not None:
        event.enrollment_id = enrollment.pk
        event.card_id = enrollment.card_id
        event.pool_id = enrollment.pool_id
        event.institution_id = enrollment.share.institution_id
        event.priority, event.applied_at = enrollment.priority, enrollment.applied_at
    return event
