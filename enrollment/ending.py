"""End a claim on a seat: given back, ended by staff, or its term over. Whoever is next gets the seat at once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from enrollment import history, rivalry, seats
from enrollment.models import Enrollment, Event, Letter, SeatPool
from libraries import scoping
from libraries.models import Card, User

EndReason = Enrollment.EndReason


class NotYours(Exception):
    """Members end what is their own, staff what is their institution's."""


def end(
    pool: SeatPool,
    enrollment: Enrollment,
    *,
    reason: EndReason,
    by: User | None,
    now: datetime,
    words: str = "",
) -> None:
    """Within the caller's transition: the pool is locked and the enrollment was read under that lock."""
    had_seat = enrollment.has_seat
    if had_seat:
        seats.vacate(pool, enrollment, now=now)
    enrollment.state = Enrollment.State.ENDED
    enrollment.hold_until, enrollment.ended_at, enrollment.end_reason = None, now, reason
    enrollment.save(update_fields=["state", "hold_until", "ended_at", "end_reason"])
    kind = Event.Kind.SEAT_ENDED if had_seat else Event.Kind.WITHDRAWN
    history.record(kind, now=now, by=by, enrollment=enrollment, reason=reason, words=words)


@seats.transition
def give_back(*, enrollment_id: int, by: User, now: datetime) -> bool:
    """The member gives the seat back, or leaves the queue. Says whether there was anything to end: twice is once."""
    pools, enrollment = _lock(enrollment_id)
    if enrollment.user_id != by.pk:
        raise NotYours
    if enrollment.state == Enrollment.State.ENDED:
        return False
    reason = EndReason.GIVEN_BACK if enrollment.has_seat else EndReason.WITHDRAWN
    _end_and_tell(pools, enrollment, reason=reason, by=by, now=now)
    return True


@seats.transition
def end_by_staff(*, enrollment_id: int, by: User, now: datetime, words: str) -> bool:
    """Staff end a seat or an application, with words for the record. Says whether there was anything to end."""
    pools, enrollment = _lock(enrollment_id)
    if not scoping.may_decide_on(by, enrollment.share.institution_id):
        raise NotYours
    if enrollment.state == Enrollment.State.ENDED:
        return False
    _end_and_tell(pools, enrollment, reason=EndReason.BY_STAFF, by=by, now=now, words=words)
    return True


def end_terms(*, now: datetime) -> int:
    """End every seat whose term is over; say how many."""
    over = list(Enrollment.objects.term_over(now).order_by("pool_id", "id").values_list("pk", flat=True))
    return sum(_end_term(enrollment_id, now=now) for enrollment_id in over)


@seats.transition
def _end_term(enrollment_id: int, *, now: datetime) -> bool:
    pools, enrollment = _lock(enrollment_id)
    if enrollment.state != Enrollment.State.SEATED or enrollment.ends_at is None or enrollment.ends_at > now:
        return False
    _end_and_tell(pools, enrollment, reason=EndReason.TERM_OVER, by=None, now=now)
    return True


def end_each(
    pools: rivalry.Pools, enrollments: Iterable[Enrollment], *, reason: EndReason, by: User | None, now: datetime
) -> None:
    """End several for the same reason, and tell each. Within the locks of `rivalry.lock_numbers` of their cards, under
    which the enrollments were read."""
    for enrollment in enrollments:
        _end_and_tell(pools, enrollment, reason=reason, by=by, now=now)


def _lock(enrollment_id: int) -> tuple[rivalry.Pools, Enrollment]:
    """The pools of everybody with this card number too: where the claim was not proved, the number goes to another."""
    card = Card.objects.get(enrollments=enrollment_id)
    pool_id = Enrollment.objects.values_list("pool_id", flat=True).get(pk=enrollment_id)
    pools, _cards = rivalry.lock_number(card.institution_id, card.number, and_pools=[pool_id])
    rows = Enrollment.objects.select_related("share").select_for_update(no_key=True, of=("self",))
    return pools, rows.get(pk=enrollment_id)


def _end_and_tell(
    pools: rivalry.Pools, enrollment: Enrollment, *, reason: EndReason, by: User | None, now: datetime, words: str = ""
) -> None:
    end(pools[enrollment.pool_id], enrollment, reason=reason, by=by, now=now, words=words)
    Letter.objects.owe(Letter.Kind.SEAT_ENDED, enrollment, now=now, reason=reason)
    rivalry.let_go(pools, enrollment.card_id, now=now)
    rivalry.allocate(pools, now=now)
