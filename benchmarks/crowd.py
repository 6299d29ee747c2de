"""Many who wait, made in one statement so that it takes seconds: nobody ever signs in as one of these."""

from __future__ import annotations

from itertools import count

from django.db import connection

from enrollment.models import SeatPool, Share

# As after an application each, oldest first: card, place in the queue, and what is on record.
_CROWD = """
WITH people AS (
    INSERT INTO libraries_user (password, is_superuser, email, first_name, last_name, language, is_staff, is_active,
                                date_joined, wants_course_letters)
    SELECT '!', false, 'crowd' || n || '@example.test', 'Ada', 'Peeters', 'nl', false, true, now(), false
    FROM generate_series(%(first)s, %(first)s + %(size)s - 1) n RETURNING id
), numbered AS (
    SELECT id, row_number() OVER (ORDER BY id) AS n FROM people
), cards AS (
    INSERT INTO libraries_card (user_id, library_id, institution_id, number, state, claimed_at, decided_at,
                                decided_how, refusal)
    SELECT p.id, l.id, l.institution_id, (2200000000000 + %(first)s + p.n)::text, %(card)s, now(),
           CASE %(card)s WHEN 'confirmed' THEN now() END, CASE %(card)s WHEN 'confirmed' THEN 'roster' ELSE '' END, ''
    FROM numbered p JOIN libraries_library l
    ON l.id = (%(libraries)s::bigint[])[1 + p.n %% cardinality(%(libraries)s::bigint[])]
    RETURNING id, user_id, institution_id
), applications AS (
    INSERT INTO enrollment_enrollment (pool_id, share_id, user_id, card_id, state, priority, applied_at, passed_over,
                                       end_reason, privacy_version, privacy_language, privacy_read_at)
    SELECT s.pool_id, s.id, c.user_id, c.id, 'waiting', 1,
           now() - (%(size)s - row_number() OVER (ORDER BY c.id)) * interval '1 ms', false, '', '1', 'nl', now()
    FROM cards c JOIN enrollment_share s ON s.institution_id = c.institution_id AND s.pool_id = %(pool)s
    ORDER BY c.id RETURNING id, pool_id, share_id, card_id, applied_at
)
INSERT INTO enrollment_event (at, kind, reason, pool_id, institution_id, enrollment_id, card_id)
SELECT a.applied_at, k.kind, '', a.pool_id, s.institution_id, a.id, a.card_id
FROM applications a JOIN enrollment_share s ON s.id = a.share_id CROSS JOIN (VALUES ('applied'), ('queued')) k (kind)
"""
_gathered = count(0)


def gather(pool: SeatPool, size: int, *, card: str = "confirmed") -> None:
    """So many join the queue of a pool, at every library in turn; their cards are `confirmed`, or `claimed` only."""
    shares = Share.objects.filter(pool=pool).order_by("pk")
    libraries = [pk for pk in shares.values_list("institution__libraries", flat=True) if pk]
    first = next(_gathered) * 10**8
    with connection.cursor() as cursor:
        cursor.execute(_CROWD, {"pool": pool.pk, "size": size, "card": card, "libraries": libraries, "first": first})


def settle() -> None:
    """As the database is when it has had time: no dead rows, and it knows how many there are."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
