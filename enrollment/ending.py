"""End a claim on a seat: given back, ended by staff, or its term over. Whoever is next gets the seat at once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from enrollment import history, rivalry, seats
from enrollment.models import Enrollment, Event, Letter, SeatPool
from enrollment.models.enrollment import EnrollmentQuerySet
from libraries import scoping
from libraries.models import User

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
) -> int | None:
    """Within the caller's transition: the pool is locked and the enrollment was read under that lock. Gives back the id
    of a new card that waited to carry it: `rivalry.let_go` is to follow."""
    had_seat, new_card = enrollment.has_seat, enrollment.next_card_id
    if had_seat:
        seats.vacate(pool, enrollment, now=now)
    enrollment.state = Enrollment.State.ENDED
    enrollment.hold_until, enrollment.next_card = None, None
    enrollment.ended_at, enrollment.end_reason = now, reason
    enrollment.save(update_fields=["state", "hold_until", "next_card", "ended_at", "end_reason"])
    kind = Event.Kind.SEAT_ENDED if had_seat else Event.Kind.WITHDRAWN
    history.record(kind, now=now, by=by, enrollment=enrollment, reason=reason, words=words)
    return new_card


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
    return end_due(Enrollment.objects.term_over(now), reason=EndReason.TERM_OVER, now=now)


def end_due(due: EnrollmentQuerySet, *, reason: EndReason, now: datetime) -> int:
    """End those whom a rule ends, each in a transition of its own that looks again whether it is still due; say how
    many. Their members get a letter."""
    ids = list(due.order_by("pool_id", "id").values_list("pk", flat=True))
    return sum(_end_one(due, pk, reason=reason, now=now) for pk in ids)


@seats.transition
def _end_one(due: EnrollmentQuerySet, pk: int, *, reason: EndReason, now: datetime) -> bool:
    pools, enrollment = _lock(pk)
    if not due.filter(pk=pk).exists():
        return False
    _end_and_tell(pools, enrollment, reason=reason, by=None, now=now)
    return True


def end_each(
    pools: rivalry.Pools, enrollments: Iterable[Enrollment], *, reason: EndReason, by: User | None, now: datetime
) -> None:
    """End several for the same reason, and tell each. Within the locks of `rivalry.lock_pools_of` all their cards,
    under which the enrollments were read."""
    for enrollment in enrollments:
        _end_and_tell(pools, enrollment, reason=reason, by=by, now=now)


def _lock(enrollment_id: int) -> tuple[rivalry.Pools, Enrollment]:
    """The pools of everybody with the same card numbers too: where the claim was not proved, the number goes to
    another."""
    before = Enrollment.objects.select_related("card", "next_card").get(pk=enrollment_id)
    cards = [card for card in (before.card, before.next_card) if card is not None]
    pools, _cards = rivalry.lock_numbers(map(rivalry.number_of, cards), and_pools=[before.pool_id])
    rows = Enrollment.objects.select_related("share").select_for_update(no_key=True, of=("self",))
    enrollment = rows.get(pk=enrollment_id)
    if (enrollment.card_id, enrollment.next_card_id) != (before.card_id, before.next_card_id):
        raise seats.ChangedMeanwhile
    return pools, enrollment


def _end_and_tell(
    pools: rivalry.Pools, enrollment: Enrollment, *, reason: EndReason, by: User | None, now: datetime, words: str = ""
) -> None:
    new_card = end(pools[enrollment.pool_id], enrollment, reason=reason, by=by, now=now, words=words)
    Letter.objects.owe(Letter.Kind.SEAT_ENDED, enrollment, now=now, reason=reason)
    for card_id in (enrollment.card_id, new_card):
        rivalry.let_go(pools, card_id, now=now)
    rivalry.allocate(pools, now=now)
