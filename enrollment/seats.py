"""The seats: the only code that counts and gives them out.

Every change of a seat is a transition: it locks the pool first, then shares, cards, enrollments and accounts, each by
id, and reads again before it decides. The database's checks hold even when this code is wrong.
"""

from __future__ import annotations

import functools
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from dateutil.relativedelta import relativedelta
from django.db import DatabaseError, connection, transaction
from django.db.models import Count, F, Q
from django.utils import timezone

from enrollment import history, share_moves
from enrollment.models import Enrollment, Event, Letter, ProviderAccount, QueueStretch, SeatPool, Share
from libraries.models import User

P = ParamSpec("P")
R = TypeVar("R")

_TRIES = 5
# Serialization failure, deadlock, lock timeout, and a unique row that somebody else made meanwhile.
_PASSING = ("40001", "40P01", "55P03", "23505")


class ChangedMeanwhile(Exception):
    """What was read before the locks no longer holds; the transition is tried again from the start."""


def transition(operation: Callable[P, R]) -> Callable[P, R]:
    """Run an operation in a transaction of its own, and again when it met a deadlock, waited too long for a lock, or
    somebody else was first to make what must be there once.

    Inside another transaction it just joins: only the outermost can be tried again.
    """

    @functools.wraps(operation)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if connection.in_atomic_block:
            return operation(*args, **kwargs)
        for attempt in range(1, _TRIES + 1):
            try:
                with transaction.atomic():
                    return operation(*args, **kwargs)
            except (DatabaseError, ChangedMeanwhile) as error:
                if attempt == _TRIES or not _may_be_tried_again(error):
                    raise
            time.sleep(random.uniform(0.01, 0.05) * attempt)  # spreads rivals, guards nothing
        raise AssertionError("unreachable")

    return wrapper


def _may_be_tried_again(error: Exception) -> bool:
    return isinstance(error, ChangedMeanwhile) or getattr(error.__cause__, "pgcode", None) in _PASSING


def lock(pool_id: int) -> SeatPool:
    """The pool, locked until the end of the transaction."""
    return lock_all([pool_id])[pool_id]


def lock_all(pool_ids: Iterable[int]) -> dict[int, SeatPool]:
    """Several pools, locked in the order of their ids."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '5s'")
    return {pk: SeatPool.objects.lock(pk) for pk in sorted(set(pool_ids))}


# --- Giving out ---

# Of each share the first that may have a seat. Those within its unused floor are guaranteed one; where the floor is
# lent out, they are only the first to get what others do not have a guarantee for; everybody else comes after them in
# queue order. The limits are constants: a subquery there makes the planner read it all. `terms` stand in for a share's
# own.
_CHOSEN = """
WITH terms AS (
    SELECT s.id, t.taken, t.ceiling, greatest(t.floor - t.taken, 0) AS unused_floor,
           coalesce(t.lends_from <= %(today)s, false) AS lends
    FROM enrollment_share s
    LEFT JOIN jsonb_to_recordset(%(terms)s) AS new (id bigint, floor int, ceiling int, lends_from date, taken int)
        ON new.id = s.id
    CROSS JOIN LATERAL (
        SELECT new.floor, new.ceiling, new.lends_from, coalesce(new.taken, s.taken) AS taken WHERE new.id IS NOT NULL
        UNION ALL SELECT s.floor, s.ceiling, s.lends_from, s.taken WHERE new.id IS NULL
    ) t
    WHERE s.pool_id = %(pool)s
), line AS (
    SELECT first.*, t.ceiling - t.taken AS room, t.unused_floor, t.lends
    FROM terms t CROSS JOIN LATERAL (
        SELECT e.id, e.priority, e.applied_at, row_number() OVER (ORDER BY e.priority, e.applied_at, e.id) AS rank
        FROM enrollment_enrollment e
        WHERE e.share_id = t.id AND e.state = 'waiting' AND NOT e.passed_over
        ORDER BY e.priority, e.applied_at, e.id LIMIT %(free)s
    ) first
    WHERE t.ceiling IS NULL OR t.taken < t.ceiling
), ranked AS (
    SELECT *, rank <= unused_floor AND NOT lends AS guaranteed, rank <= unused_floor AS within_floor
    FROM line WHERE room IS NULL OR rank <= room
), placed AS (
    SELECT id, guaranteed, row_number() OVER (
        PARTITION BY guaranteed ORDER BY within_floor DESC, priority, applied_at, id
    ) AS place FROM ranked
), chosen AS (
    SELECT id FROM placed WHERE guaranteed OR place <= (
        SELECT %(free)s - coalesce(sum(unused_floor) FILTER (WHERE NOT lends), 0) FROM terms
    )
    ORDER BY guaranteed DESC, place LIMIT %(free)s
)
"""
# Who is chosen gets the seat, and it is counted, in the same statement.
_GIVE = f"""{_CHOSEN}, given AS (
    UPDATE enrollment_enrollment e
    SET state = CASE WHEN c.state = 'confirmed' THEN 'seated' ELSE 'held' END,
        hold_until = CASE WHEN c.state = 'confirmed' THEN NULL ELSE %(hold_until)s END,
        seated_at = CASE WHEN c.state = 'confirmed' THEN %(now)s END,
        ends_at = CASE WHEN c.state = 'confirmed' THEN %(ends_at)s END,
        uncut_ends_at = CASE WHEN c.state = 'confirmed' THEN %(uncut_ends_at)s::timestamptz END
    FROM chosen, libraries_card c
    WHERE e.id = chosen.id AND c.id = e.card_id
    RETURNING e.*
), counted_in_shares AS (
    UPDATE enrollment_share s SET taken = s.taken + its.seats
    FROM (SELECT share_id, count(*) AS seats FROM given GROUP BY share_id) its WHERE s.id = its.share_id
), counted_in_pool AS (
    UPDATE enrollment_seatpool SET taken = taken + its.seats
    FROM (SELECT count(*) AS seats FROM given) its WHERE id = %(pool)s AND its.seats > 0
)
SELECT * FROM given ORDER BY priority, applied_at, id
"""
_FORESEE = f"""{_CHOSEN}
SELECT e.share_id, count(*) FILTER (WHERE c.state = 'confirmed'), count(*) FILTER (WHERE c.state <> 'confirmed'),
       md5(string_agg(e.id::text, ',' ORDER BY e.id))
FROM chosen JOIN enrollment_enrollment e USING (id) JOIN libraries_card c ON c.id = e.card_id
GROUP BY e.share_id ORDER BY e.share_id
"""


@dataclass(frozen=True)
class Expected:
    """Of one share: how many would be seated, how many held; `who` is the same for the same people."""

    share_id: int
    seated: int
    held: int
    who: str


def foresee(pool: SeatPool, *, free: int, terms: Sequence[dict[str, Any]] = (), now: datetime) -> list[Expected]:
    """What `allocate` would give, with so many seats free and with other terms for some shares (id, floor, ceiling,
    lends_from). Changes nothing; without the pool's lock it may be overtaken."""
    if free <= 0 or not _gives(pool, now):
        return []
    rows = share_moves.terms_after(pool, free=free, terms=terms, now=now) if pool.has_movers else list(terms)
    facts = _facts(pool, free, now) | {"terms": json.dumps(rows, default=str)}
    with connection.cursor() as cursor:
        cursor.execute(_FORESEE, facts)
        return [Expected(*row) for row in cursor.fetchall()]


def _gives(pool: SeatPool, now: datetime) -> bool:
    """From the day on which the programme closes, what comes free stays free."""
    return pool.programme.is_open_on(timezone.localdate(now))


def _facts(pool: SeatPool, free: int, now: datetime) -> dict[str, Any]:
    return {"pool": pool.pk, "free": free, "today": timezone.localdate(now), "terms": "[]"}


def allocate(pool: SeatPool, *, now: datetime, by: User | None = None) -> list[Enrollment]:
    """Give every free seat to whoever is next; say who got one. The pool must be locked.

    Safe to run at any time and twice: it looks at what is free and who waits, not at why it was called. A confirmed
    card is seated, another is held. Events, letters and owed accounts are written in the same transaction. Seats that
    wait to count at their own institution move first.
    """
    if pool.has_movers:
        share_moves.move_all(pool, now=now)
    if pool.free == 0 or not _gives(pool, now):
        return []
    ends_at, uncut_ends_at = cut(pool, _end_of_term(pool, now))
    facts = _facts(pool, pool.free, now) | {
        "now": now,
        "hold_until": now + timedelta(days=pool.programme.hold_days),
        "ends_at": ends_at,
        "uncut_ends_at": uncut_ends_at,
    }
    given = list(Enrollment.objects.raw(_GIVE, facts).prefetch_related("share"))
    pool.taken += len(given)
    _tell(pool, given, now=now, by=by)
    return given


# On the event of a seat that is given to who had it held: nobody left the queue.
WAS_HELD = "was_held"


def seat_held(pool: SeatPool, enrollment: Enrollment, *, now: datetime, by: User | None = None) -> None:
    """A held seat becomes a given one: its card is confirmed. Counts stay as they are. The pool must be locked."""
    enrollment.state = Enrollment.State.SEATED
    enrollment.hold_until, enrollment.seated_at = None, now
    enrollment.ends_at, enrollment.uncut_ends_at = cut(pool, _end_of_term(pool, now))
    enrollment.save(update_fields=["state", "hold_until", "seated_at", "ends_at", "uncut_ends_at"])
    history.record(Event.Kind.SEAT_GIVEN, now=now, by=by, enrollment=enrollment, reason=WAS_HELD)
    ProviderAccount.objects.owe_open(pool.programme.provider_id, [enrollment.user_id], now=now)


def _end_of_term(pool: SeatPool, now: datetime) -> datetime:
    return now + relativedelta(months=pool.programme.term_months)


def cut(pool: SeatPool, full_end: datetime) -> tuple[datetime, datetime | None]:
    """When a seat ends whose term would last until `full_end`; and `full_end` itself, where the last seats of the
    programme end before it."""
    last = pool.programme.seats_end_at
    return (full_end, None) if last is None or full_end <= last else (last, full_end)


def _tell(pool: SeatPool, given: Sequence[Enrollment], *, now: datetime, by: User | None) -> None:
    seated = [enrollment for enrollment in given if enrollment.state == Enrollment.State.SEATED]
    held = [enrollment for enrollment in given if enrollment.state == Enrollment.State.HELD]
    pairs = [(Event.Kind.SEAT_GIVEN, e) for e in seated] + [(Event.Kind.SEAT_HELD, e) for e in held]
    history.record_each(pairs, now=now, by=by)
    Letter.objects.owe_each(Letter.Kind.SEAT_GIVEN, seated, now=now)
    Letter.objects.owe_each(Letter.Kind.SEAT_HELD, held, now=now)
    provider_id = pool.programme.provider_id
    ProviderAccount.objects.owe_open(provider_id, [enrollment.user_id for enrollment in seated], now=now)


# --- Taking back ---


def vacate(pool: SeatPool, enrollment: Enrollment, *, now: datetime) -> None:
    """Take the seat of a held or seated enrollment out of the count. The pool must be locked; the caller, who has read
    the enrollment under that lock, changes its state in the same transaction and lets `allocate` follow."""
    vacate_each(pool, [enrollment], now=now)


def vacate_each(pool: SeatPool, enrollments: Sequence[Enrollment], *, now: datetime) -> None:
    """The same for several of one pool, with as many statements as they have shares, and a few."""
    if not all(enrollment.has_seat for enrollment in enrollments):
        raise ValueError("a seat that nobody has cannot be freed")
    for share_id, count in sorted(Counter(enrollment.share_id for enrollment in enrollments).items()):
        Share.objects.filter(pk=share_id).update(taken=F("taken") - count)
    pool.taken -= len(enrollments)
    pool.save(update_fields=["taken"])
    _sink(pool)
    _close_accounts_unless_needed(pool, enrollments, now=now)


def _sink(pool: SeatPool) -> None:
    """A cap that is to be lower sinks with every seat that ends, and never below what is taken."""
    if pool.planned_cap is None:
        return
    pool.cap = max(pool.planned_cap, pool.taken)
    pool.planned_cap = None if pool.cap == pool.planned_cap else pool.planned_cap
    pool.save(update_fields=["cap", "planned_cap"])


def _close_accounts_unless_needed(pool: SeatPool, enrollments: Sequence[Enrollment], *, now: datetime) -> None:
    """Closing is written down as owed before the seat is free for another; a seat elsewhere keeps the account open."""
    provider_id, people = pool.programme.provider_id, [enrollment.user_id for enrollment in enrollments]
    others = Enrollment.objects.filter(
        user_id__in=people, state=Enrollment.State.SEATED, pool__programme__provider_id=provider_id
    ).exclude(pk__in=[enrollment.pk for enrollment in enrollments])
    accounts = ProviderAccount.objects.filter(user_id__in=people, provider_id=provider_id, must_be_active=True)
    # The accounts' rows first: a transition in another pool of this provider may be about to need or leave them.
    locked = list(accounts.order_by("user_id").select_for_update(no_key=True).values_list("pk", flat=True))
    if locked:
        unneeded = accounts.filter(pk__in=locked).exclude(user_id__in=others.values("user_id"))
        unneeded.update(must_be_active=False, **ProviderAccount.debt(now))


# --- Counting again ---


@dataclass(frozen=True)
class Recount:
    """A counter that is wrong: of which row, which, what it says, and what it has to say."""

    of: str
    pk: int
    counter: str
    said: int
    is_really: int

    def __str__(self) -> str:
        return f"{self.of} {self.pk}: {self.counter} from {self.said} to {self.is_really}"


@transition
def recount(pool_id: int, *, now: datetime, tell: Callable[[Recount], None]) -> list[Recount]:
    """Set the counters of a pool and its shares to what is really so; `tell` hears of each before anything is written.

    Raises IntegrityError, having changed nothing, when more is really taken than the cap or a ceiling allows: that is
    for people to settle.
    """
    pool = lock(pool_id)
    wrong = [*_wrong_shares(pool), *_wrong_counters(pool), *_wrong_queue(pool)]
    for each in wrong:
        tell(each)
    for each in wrong:
        if each.counter == _IN_LINE:
            QueueStretch.objects.count_again(pool.pk)
        else:
            model = Share if each.of == "share" else SeatPool
            model.objects.filter(pk=each.pk).update(**{each.counter: each.is_really})
        history.record(Event.Kind.RECOUNTED, now=now, pool_id=pool.pk, old_value=each.said, new_value=each.is_really)
    return wrong


def _wrong_shares(pool: SeatPool) -> list[Recount]:
    holding = Count("enrollments", filter=Q(enrollments__state__in=Enrollment.WITH_SEAT))
    shares = pool.shares.annotate(holding=holding).exclude(taken=F("holding")).order_by("pk")
    return [Recount("share", share.pk, "taken", share.taken, share.holding) for share in shares]


def _wrong_counters(pool: SeatPool) -> list[Recount]:
    really = {
        "taken": pool.enrollments.filter(state__in=Enrollment.WITH_SEAT).count(),
        "floors": sum(pool.shares.values_list("floor", flat=True)),
    }
    said = {name: getattr(pool, name) for name in really}
    return [
        Recount("seatpool", pool.pk, name, said[name], really[name]) for name in really if said[name] != really[name]
    ]


_IN_LINE = "in line"


def _wrong_queue(pool: SeatPool) -> list[Recount]:
    """Told as one number, which may be right although two stretches are wrong."""
    if pool.pk not in QueueStretch.objects.miscounted():
        return []
    said = QueueStretch.objects.people_in([pool.pk]).get(pool.pk, 0)
    return [Recount("seatpool", pool.pk, _IN_LINE, said, pool.enrollments.in_line().count())]
