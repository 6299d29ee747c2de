"""Giving out seats: 1,000 at once with 100,000 waiting, and a newcomer when all is taken and 100,000 wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.stage import Stage, report, set_up

if TYPE_CHECKING:
    from enrollment.cap_plan import Plan
    from libraries.models import User

WAITING, SEATS, ROUNDS = 100_000, 1_000, 5
SLUG = "allocate"

# In set-based statements, so that it takes seconds: nobody ever signs in as one of these.
CROWD = """
WITH people AS (
    INSERT INTO libraries_user (password, is_superuser, email, first_name, last_name, language, is_staff, is_active,
                                date_joined)
    SELECT '!', false, 'crowd' || n || '@example.test', 'Ada', 'Peeters', 'nl', false, true, now()
    FROM generate_series(1, %(waiting)s) n RETURNING id
), numbered AS (
    SELECT id, row_number() OVER (ORDER BY id) AS n FROM people
), cards AS (
    INSERT INTO libraries_card (user_id, library_id, institution_id, number, state, claimed_at, decided_at,
                                decided_how, refusal)
    SELECT p.id, l.id, l.institution_id, (2200000000000 + p.n)::text, 'confirmed', now(), now(), 'roster', ''
    FROM numbered p JOIN libraries_library l ON l.id = (%(libraries)s::bigint[])[1 + p.n %% 9]
    RETURNING id, user_id, institution_id
)
INSERT INTO enrollment_enrollment (pool_id, share_id, user_id, card_id, state, priority, applied_at, passed_over,
                                   end_reason, privacy_version, privacy_language, privacy_read_at)
SELECT s.pool_id, s.id, c.user_id, c.id, 'waiting', 1, now() - c.id * interval '1 ms', false, '', '1', 'nl', now()
FROM cards c JOIN enrollment_share s ON s.institution_id = c.institution_id AND s.pool_id = %(pool)s
"""
# The least it can be: the same number of rows, found by the same index and changed, without events, letters, accounts.
BARE = """
UPDATE enrollment_enrollment SET privacy_language = privacy_language WHERE id IN (
    SELECT id FROM enrollment_enrollment WHERE pool_id = %s AND state = 'waiting' AND NOT passed_over
    ORDER BY priority, applied_at, id LIMIT 1000)
"""


def main(stage: Stage) -> None:
    from django.db import connection

    from benchmarks import rows
    from enrollment.models import Enrollment

    libraries = [library.pk for library in rows.make_libraries()]
    pool_id = rows.make_pool(SLUG, cap=0).pk
    alone = _newcomers(start=20_000_000, pool_id=rows.make_pool("nobody-waits", cap=0).pk)
    with connection.cursor() as cursor:
        cursor.execute(CROWD, {"waiting": WAITING, "libraries": libraries, "pool": pool_id})
        cursor.execute("VACUUM ANALYZE")
    queued = _newcomers(start=20_001_000, pool_id=pool_id)
    bare = median(_milliseconds(lambda: _bare(pool_id)) for _ in range(ROUNDS))
    mo = _coordinator()
    place = median(_milliseconds(lambda: _last_place(pool_id)) for _ in range(ROUNDS))
    foreseen = median(_milliseconds(lambda: _foresee(pool_id, mo)) for _ in range(ROUNDS))
    given = median(_milliseconds(lambda: _give(pool_id, mo)) for _ in range(ROUNDS))
    assert Enrollment.objects.filter(pool_id=pool_id).holding_seats().count() == ROUNDS * SEATS
    report("allocate_1000_of_100000", given, "ms", bare / given)
    report("preview_1000_of_100000", foreseen, "ms", bare / foreseen)
    report("place_in_queue_of_100000", place, "ms", bare / place)
    report("allocate_bare_update", bare, "ms", 1)
    report("newcomer_behind_100000", queued, "ms", alone / queued)
    report("newcomer_alone", alone, "ms", 1)


def _coordinator() -> User:
    from libraries.models import StaffRole, User

    mo = User.objects.create_user("mo@example.test", is_staff=True)
    StaffRole.objects.create(user=mo, role=StaffRole.Role.COORDINATOR)
    return mo


def _plan(pool_id: int) -> Plan:
    """So many seats more."""
    from enrollment.cap_plan import Plan
    from enrollment.models import SeatPool

    return Plan(cap=SeatPool.objects.get(pk=pool_id).cap + SEATS)


def _foresee(pool_id: int, mo: User) -> None:
    from django.utils import timezone

    from enrollment import cap

    assert cap.preview(pool_id=pool_id, plan=_plan(pool_id), by=mo, now=timezone.now()).given == SEATS


def _give(pool_id: int, mo: User) -> None:
    """The whole change: ledger, events, letters and owed accounts."""
    from django.utils import timezone

    from enrollment import cap

    given = cap.change(pool_id=pool_id, plan=_plan(pool_id), reason="Benchmark", by=mo, now=timezone.now())
    assert len(given) == SEATS


def _last_place(pool_id: int) -> None:
    from enrollment import waiting_list
    from enrollment.models import Enrollment

    last = Enrollment.objects.in_line().filter(pool_id=pool_id).in_queue_order().last()
    assert last is not None
    assert (waiting_list.place_of(last) or 0) >= WAITING


def _bare(pool_id: int) -> None:
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(BARE, [pool_id])


def _newcomers(*, start: int, pool_id: int) -> float:
    """Milliseconds for one application, without HTTP."""
    from benchmarks import rows
    from libraries.models import User

    visitors = rows.make_visitors(50, start=start)
    users = User.objects.bulk_create([User(email=visitor.email, password="!") for visitor in visitors])
    return median(
        _milliseconds(lambda: _apply(user, visitor, pool_id))  # noqa: B023 - called at once
        for user, visitor in zip(users, visitors, strict=True)
    )


def _apply(user: object, visitor: object, pool_id: int) -> None:
    from django.utils import timezone

    from benchmarks.rows import FACT, Member
    from enrollment import applying
    from enrollment.models import Enrollment, SeatPool
    from enrollment.privacy import PRIVACY_TEXT_VERSION
    from libraries.models import Library, User

    assert isinstance(user, User)
    assert isinstance(visitor, Member)
    told = applying.Application(
        library=Library.objects.select_related("institution").get(pk=visitor.library_id),
        number=visitor.card,
        first_name="Ada",
        last_name="Peeters",
        second_fact=FACT,
        language="nl",
        privacy_version=PRIVACY_TEXT_VERSION,
        age_confirmed=None,
    )
    made = applying.apply(
        user=user,
        pool=SeatPool.objects.select_related("programme").get(pk=pool_id),
        application=told,
        address=visitor.address,
        now=timezone.now(),
    )
    assert made.state == Enrollment.State.WAITING


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    with set_up() as stage:
        main(stage)
