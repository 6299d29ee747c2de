"""The least that giving out and releasing seats can be: one SQL statement with the same rows changed and written, no
rules, no locks, and nobody told who got one."""

from django.db import connection, transaction

_WRITTEN = """
, events AS (
    INSERT INTO enrollment_event (at, kind, reason, pool_id, institution_id, enrollment_id, card_id)
    SELECT now(), '{kind}', '', e.pool_id, s.institution_id, e.id, e.card_id
    FROM changed e JOIN enrollment_share s ON s.id = e.share_id
), letters AS (
    INSERT INTO enrollment_letter (kind, enrollment_id, user_id, reason, owed_at, due_at, version, attempts, trouble)
    SELECT '{kind}', id, user_id, '', now(), now(), 0, 0, '' FROM changed
), shares AS (
    UPDATE enrollment_share s SET taken = taken {sign} its.seats
    FROM (SELECT share_id, count(*) AS seats FROM changed GROUP BY share_id) its WHERE s.id = its.share_id
)
"""
_GIVE = f"""
WITH changed AS (
    UPDATE enrollment_enrollment SET state = 'seated', seated_at = now(), ends_at = now() + interval '12 months'
    WHERE id IN (
        SELECT id FROM enrollment_enrollment WHERE pool_id = %(pool)s AND state = 'waiting' AND NOT passed_over
        ORDER BY priority, applied_at, id LIMIT %(seats)s
    ) RETURNING *
){_WRITTEN.format(kind="seat_given", sign="+")}, accounts AS (
    INSERT INTO enrollment_provideraccount
        (user_id, provider_id, external_id, must_be_active, due_at, version, attempts, trouble, remote_id, seen)
    SELECT e.user_id, g.provider_id, gen_random_uuid(), true, now(), 0, 0, '', '', 'unknown'
    FROM changed e JOIN enrollment_seatpool p ON p.id = e.pool_id JOIN catalog_programme g ON g.id = p.programme_id
)
UPDATE enrollment_seatpool SET cap = cap + %(more)s, taken = taken + %(seats)s WHERE id = %(pool)s
"""
_RELEASE = f"""
WITH changed AS (
    UPDATE enrollment_enrollment SET state = 'waiting', passed_over = true, hold_until = NULL, hold_lapsed_at = now()
    WHERE pool_id = %(pool)s AND state = 'held' AND hold_until <= now() RETURNING *
){_WRITTEN.format(kind="hold_lapsed", sign="-")}
UPDATE enrollment_seatpool SET taken = taken - %(seats)s WHERE id = %(pool)s
"""
_COUNT = """
SELECT share_id, count(*) FROM enrollment_enrollment
WHERE pool_id = %(pool)s AND state = 'waiting' AND NOT passed_over GROUP BY share_id
"""


def raise_cap(pool_id: int, *, seats: int) -> None:
    """By so many, which are given to the first in line."""
    _execute([_GIVE], pool=pool_id, seats=seats, more=seats)


def release(pool_id: int, *, seats: int) -> None:
    """So many held seats are overdue: they go to the first in line."""
    _execute([_RELEASE, _GIVE], pool=pool_id, seats=seats, more=0)


def count_line(pool_id: int) -> None:
    """All who wait, by share: the least there is to read."""
    _execute([_COUNT], pool=pool_id)


def _execute(statements: list[str], **facts: int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, facts)
