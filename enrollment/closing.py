"""End a programme gently: from a day on nobody gets a seat any more, who has one keeps it for the term or until a fixed
day, and everybody is told."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import models
from django.db.models import Count, F, Max, Q, Value
from django.db.models.functions import Coalesce, Least
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.models import Programme
from enrollment import ending, history, rivalry, seats
from enrollment.models import Enrollment, Event, Letter, SeatPool
from enrollment.models.enrollment import EnrollmentQuerySet
from libraries import scoping
from libraries.models import User

State = Enrollment.State
_FARTHEST = timedelta(days=3660)
# Of one pool at a time: its lock is given back in between. A sweep has more to do, and comes back in a minute.
_BATCH, _BATCHES = 100, 20


class Obstacle(models.TextChoices):
    NOT_COORDINATOR = "not_coordinator", _("Only a coordinator may end a programme.")
    NO_REASON = "no_reason", _("Write why.")
    IN_THE_PAST = "in_the_past", _("This day has passed.")
    TOO_FAR = "too_far", _("This day is very far away. Check the year.")
    BEFORE_OPENING = "before_opening", _("A programme cannot close before it has opened.")
    SEATS_BEFORE_CLOSING = "seats_before_closing", _("Places cannot end before the programme closes.")
    SEATS_IN_THE_PAST = "seats_in_the_past", _("This day has passed.")
    SEATS_TOO_FAR = "seats_too_far", _("This day is very far away. Check the year.")
    CLOSED = "closed", _("The programme has closed already. Only the last day of its places can change.")
    UNCHANGED = "unchanged", _("That is how it is already.")
    NOT_PLANNED = "not_planned", _("No end of this programme is planned.")


class CannotClose(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The first day without new seats, and the last day of all seats (None: each runs its term)."""

    closes_on: date
    seats_end_on: date | None = None

    @property
    def seats_end_at(self) -> datetime | None:
        return Programme(seats_end_on=self.seats_end_on).seats_end_at


@dataclass(frozen=True)
class Preview:
    """What a plan would do now. `seated` people keep their seat, `shortened` of them less long than their term;
    `last_end` is the end of the last of these seats. `fingerprint` is the same as long as all this is."""

    plan: Plan
    at_once: bool
    fingerprint: str
    seated: int
    shortened: int
    held: int
    waiting: int
    last_end: datetime | None

    @property
    def letters(self) -> int:
        """One to each: to those who wait about the end of the programme or, at once, of their application."""
        return self.seated + self.held + self.waiting


class Overtaken(Exception):
    """Since it was previewed, something has changed: `preview` is what it would do now."""

    def __init__(self, preview: Preview) -> None:
        super().__init__()
        self.preview = preview


# --- Deciding ---


def preview(*, pool_id: int, plan: Plan, by: User, now: datetime) -> Preview:
    """What the plan would do now; changes nothing. Raises CannotClose."""
    pool = SeatPool.objects.select_related("programme").get(pk=pool_id)
    _check(by, None, obstacle(pool.programme, plan, now=now))
    return _foresee(pool, plan, now=now)


@seats.transition
def close(*, pool_id: int, plan: Plan, reason: str, by: User, now: datetime, expected: str | None = None) -> Preview:
    """Decide that the programme closes, or decide otherwise about one that does; returns what was done.

    Seats are cut to the last day at once, with their full end kept beside. Who waits on the day itself is for
    `end_waiting`. `expected` is the fingerprint of a preview: when it would not do the same any more, Overtaken is
    raised. Raises CannotClose.
    """
    pool = seats.lock(pool_id)
    _check(by, reason, obstacle(pool.programme, plan, now=now))
    shown = _foresee(pool, plan, now=now)
    if expected is not None and shown.fingerprint != expected:
        raise Overtaken(shown)
    _decide(pool, plan)
    code = plan.closes_on.isoformat()
    history.record(Event.Kind.PROGRAMME_CLOSES, now=now, by=by, pool_id=pool_id, reason=code, words=reason.strip())
    _tell(pool, now=now)
    return shown


@seats.transition
def withdraw(*, pool_id: int, reason: str, by: User, now: datetime) -> None:
    """Take the decision back, as long as the programme has not closed: seats have their full term again, and everybody
    is told that it goes on. Raises CannotClose."""
    pool = seats.lock(pool_id)
    planned = pool.programme.closes_on is not None
    found = Obstacle.CLOSED if pool.programme.is_closed_on(timezone.localdate(now)) else None
    _check(by, reason, found if planned else Obstacle.NOT_PLANNED)
    _decide(pool, None)
    history.record(Event.Kind.PROGRAMME_REOPENED, now=now, by=by, pool_id=pool_id, words=reason.strip())
    _tell(pool, now=now)


def obstacle(programme: Programme, plan: Plan, *, now: datetime) -> Obstacle | None:
    day = timezone.localdate(now)
    had = Plan(closes_on=programme.closes_on, seats_end_on=programme.seats_end_on) if programme.closes_on else None
    if plan == had:
        return Obstacle.UNCHANGED
    if had is None or plan.closes_on != had.closes_on:
        if programme.is_closed_on(day):
            return Obstacle.CLOSED
        if found := _senseless_close(programme, plan.closes_on, day):
            return found
    return None if plan.seats_end_on is None else _senseless_end(plan, plan.seats_end_on, day)


def _senseless_close(programme: Programme, closes_on: date, day: date) -> Obstacle | None:
    if closes_on < day:
        return Obstacle.IN_THE_PAST
    if closes_on > day + _FARTHEST:
        return Obstacle.TOO_FAR
    return Obstacle.BEFORE_OPENING if closes_on <= programme.opens_on else None


def _senseless_end(plan: Plan, seats_end_on: date, day: date) -> Obstacle | None:
    if seats_end_on < plan.closes_on:
        return Obstacle.SEATS_BEFORE_CLOSING
    if seats_end_on < day:
        return Obstacle.SEATS_IN_THE_PAST
    return Obstacle.SEATS_TOO_FAR if seats_end_on > day + _FARTHEST else None


def _check(by: User, reason: str | None, found: Obstacle | None) -> None:
    """`reason` None: nothing is written, so that none is needed."""
    if not scoping.may(by, scoping.Role.COORDINATOR):
        raise CannotClose(Obstacle.NOT_COORDINATOR)
    if reason is not None and not reason.strip():
        raise CannotClose(Obstacle.NO_REASON)
    if found is not None:
        raise CannotClose(found)


def _foresee(pool: SeatPool, plan: Plan, *, now: datetime) -> Preview:
    """With one query, however many there are."""
    last = plan.seats_end_at
    full_end = Coalesce("uncut_ends_at", "ends_at")
    seated = Q(state=State.SEATED)
    cut_short = seated & Q(full_end__gt=last) if last else Q(pk=None)
    counts = (
        pool.enrollments.open()
        .annotate(full_end=full_end)
        .aggregate(
            seated=Count("pk", filter=seated),
            shortened=Count("pk", filter=cut_short),
            held=Count("pk", filter=Q(state=State.HELD)),
            waiting=Count("pk", filter=Q(state=State.WAITING)),
            last_end=Max(Least("full_end", Value(last)) if last else "full_end", filter=seated),
        )
    )
    had = (pool.programme.closes_on, pool.programme.seats_end_on)
    fingerprint = hashlib.sha256(repr((had, plan, sorted(counts.items()))).encode()).hexdigest()[:16]
    return Preview(plan, plan.closes_on <= timezone.localdate(now), fingerprint, **counts)


def _decide(pool: SeatPool, plan: Plan | None) -> None:
    """The dates of the programme and the ends of its seats: first as if nothing had been decided, then as it is now."""
    programme, seated = pool.programme, pool.enrollments.filter(state=State.SEATED)
    programme.closes_on, programme.seats_end_on = (plan.closes_on, plan.seats_end_on) if plan else (None, None)
    programme.save(update_fields=["closes_on", "seats_end_on"])
    seated.filter(uncut_ends_at__isnull=False).update(ends_at=F("uncut_ends_at"), uncut_ends_at=None)
    if last := programme.seats_end_at:
        seated.filter(ends_at__gt=last).update(uncut_ends_at=F("ends_at"), ends_at=last)


def _tell(pool: SeatPool, *, now: datetime) -> None:
    """Who waits for a programme that has closed is told by the letter about the end of the application."""
    closed = pool.programme.is_closed_on(timezone.localdate(now))
    states = Enrollment.WITH_SEAT if closed else (State.WAITING, *Enrollment.WITH_SEAT)
    Letter.objects.owe_pool(Letter.Kind.PROGRAMME_CLOSES, pool.pk, states=states, now=now)


# --- When the day has come ---


def end_waiting(*, now: datetime) -> int:
    """End the applications that can get no seat any more, because their programme has closed; say how many. Some
    thousands at a time; safe to run at any time, twice, and by two sweeps."""
    pool_ids = sorted(set(_too_late(now).values_list("pool_id", flat=True)))
    return sum(_end_all(pool_id, now=now) for pool_id in pool_ids)


def _too_late(now: datetime) -> EnrollmentQuerySet:
    """Who waits; and whoever has a held seat that was not confirmed in time, for which there is no queue any more."""
    day = timezone.localdate(now)
    overdue = Q(hold_until__lte=now) | Q(pool__programme__seats_end_on__lt=day)
    late = Q(state=State.WAITING) | Q(overdue, state=State.HELD)
    return Enrollment.objects.filter(late, pool__programme__closes_on__lte=day).order_by("id")


def _end_all(pool_id: int, *, now: datetime) -> int:
    ended, late = 0, _too_late(now).filter(pool_id=pool_id).values_list("card_id", "next_card_id")
    for _turn in range(_BATCHES):
        card_ids = [pk for pair in late[:_BATCH] for pk in pair if pk is not None]
        if not card_ids:
            break
        ended += _end_batch(pool_id, card_ids, now=now)
    return ended


@seats.transition
def _end_batch(pool_id: int, card_ids: Sequence[int], *, now: datetime) -> int:
    pools = rivalry.lock_pools_of(card_ids, and_pools=[pool_id])
    rows = _too_late(now).filter(pool_id=pool_id, card_id__in=card_ids).select_related("share")
    late = [row for row in rows.select_for_update(no_key=True, of=("self",)) if row.next_card_id in (None, *card_ids)]
    for enrollment in late:
        if enrollment.state == State.HELD:
            enrollment.hold_lapsed_at = now
            enrollment.save(update_fields=["hold_lapsed_at"])
            history.record(Event.Kind.HOLD_LAPSED, now=now, enrollment=enrollment)
    ending.end_each(pools, late, reason=Enrollment.EndReason.PROGRAMME_CLOSED, by=None, now=now)
    return len(late)
