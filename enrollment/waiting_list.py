"""The queue: who is where in it, and what happens to a held seat whose card nobody confirmed in time."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F, Q
from django.utils import timezone

from enrollment import history, seats
from enrollment.models import Enrollment, Event, Letter, QueueStretch, SeatPool


def place_of(enrollment: Enrollment) -> int | None:
    """The place in the queue, from 1; None for whoever is passed over or does not wait."""
    if enrollment.state != Enrollment.State.WAITING or enrollment.passed_over:
        return None
    return QueueStretch.objects.places_of([enrollment.pk]).get(enrollment.pk)


def serve(*, now: datetime) -> int:
    """Give out what is free to whoever may have it; say how many got a seat. Every operation does so itself: this is
    for what comes with a date, as the lending of a share's unused floor."""
    some_use = Q(taken__lt=F("cap")) | Q(has_movers=True)
    pools = list(SeatPool.objects.select_related("programme").filter(some_use).order_by("pk"))
    due = [pool for pool in pools if pool.has_movers or seats.foresee(pool, free=pool.free, now=now)]
    return sum(_serve(pool.pk, now=now) for pool in due)


@seats.transition
def _serve(pool_id: int, *, now: datetime) -> int:
    return len(seats.allocate(seats.lock(pool_id), now=now))


# Of one pool at a time: its lock is given back in between, so that nobody who applies waits long.
_BATCH = 500


def lapse_holds(*, now: datetime) -> int:
    """Release every held seat whose time is up; say how many. The applications keep their old place. Where the
    programme has closed there is none to keep: that is for `closing.end_waiting`."""
    overdue = Enrollment.objects.hold_overdue(now)
    return sum(_lapse_all(pool_id, now=now) for pool_id in sorted(set(overdue.values_list("pool_id", flat=True))))


def _lapse_all(pool_id: int, *, now: datetime) -> int:
    lapsed = batch = _lapse(pool_id, now=now)
    while batch == _BATCH:
        batch = _lapse(pool_id, now=now)
        lapsed += batch
    return lapsed


@seats.transition
def _lapse(pool_id: int, *, now: datetime) -> int:
    pool = seats.lock(pool_id)
    if pool.programme.is_closed_on(timezone.localdate(now)):
        return 0
    overdue = Enrollment.objects.hold_overdue(now).filter(pool=pool).select_related("share").order_by("id")
    lapsed = list(overdue.select_for_update(no_key=True, of=("self",))[:_BATCH])
    seats.vacate_each(pool, lapsed, now=now)
    Enrollment.objects.filter(pk__in=[enrollment.pk for enrollment in lapsed]).update(
        state=Enrollment.State.WAITING, passed_over=True, hold_until=None, hold_lapsed_at=now
    )
    history.record_each(((Event.Kind.HOLD_LAPSED, enrollment) for enrollment in lapsed), now=now)
    Letter.objects.owe_each(Letter.Kind.HOLD_LAPSED, lapsed, now=now)
    seats.allocate(pool, now=now)
    return len(lapsed)
