"""Library cards whose last day is over: told at once, and where the programme says so the seat ends after a time of
grace. Whoever waits keeps the place, and the card is checked again."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import DateField, Exists, ExpressionWrapper, F, OuterRef, Q
from django.utils import timezone

from enrollment import ending, history, rivalry, seats
from enrollment.models import Enrollment, Event, Letter
from enrollment.models.enrollment import EnrollmentQuerySet
from libraries import membership
from libraries.models import Card

# Nobody loses a seat sooner after the letter has left.
WARNED_BEFORE = timedelta(days=7)


def expire_cards(*, now: datetime) -> int:
    """Have every card looked at again whose last day is over and that matters to an application; say how many."""
    day = timezone.localdate(now)
    due = Card.objects.filter(state=Card.State.CONFIRMED, valid_until__lt=day).filter(
        Exists(_minding().filter(card=OuterRef("pk")))
    )
    ids = list(due.order_by("pk").values_list("pk", flat=True))
    return sum(_expire(card_id, now=now) for card_id in ids)


def end_lapsed(*, now: datetime) -> int:
    """End every seat whose card has not been renewed in its time of grace; say how many."""
    return ending.end_due(_lapsed(now), reason=Enrollment.EndReason.CARD_LAPSED, now=now)


@seats.transition
def _expire(card_id: int, *, now: datetime) -> bool:
    card = Card.objects.select_related("institution").get(pk=card_id)
    rivalry.lock_number(card.institution_id, card.number)
    card = Card.objects.select_related("institution").select_for_update(no_key=True, of=("self",)).get(pk=card_id)
    if card.state != Card.State.CONFIRMED or card.is_valid_on(timezone.localdate(now)):
        return False
    expired = membership.expire(card, now=now)
    kind = Event.Kind.CARD_EXPIRED if expired else Event.Kind.CARD_EXTENDED
    touched = rivalry.open_enrollments(card)
    history.record_each([(kind, enrollment) for enrollment in touched], now=now)
    if expired:
        minding = _minding().filter(pk__in=[enrollment.pk for enrollment in touched])
        Letter.objects.owe_each(Letter.Kind.CARD_EXPIRED, minding, now=now)
    return expired


def _minding() -> EnrollmentQuerySet:
    """Applications to which it matters that their card is valid."""
    with_grace = Q(state=Enrollment.State.SEATED, pool__programme__card_grace_days__isnull=False)
    return Enrollment.objects.filter(Q(state=Enrollment.State.WAITING) | with_grace)


def _lapsed(now: datetime) -> EnrollmentQuerySet:
    """Not while a new card waits for its check: that is the library's turn."""
    long_ago = now - WARNED_BEFORE
    warned = Letter.objects.filter(enrollment=OuterRef("pk"), kind=Letter.Kind.CARD_EXPIRED)
    warned = warned.filter(owed_at__date__gt=OuterRef("card__valid_until"))
    warned = warned.filter(Q(sent_at__lte=long_ago) | Q(dropped_at__lte=long_ago))
    last_day = ExpressionWrapper(F("card__valid_until") + F("pool__programme__card_grace_days"), DateField())
    seated = Enrollment.objects.filter(state=Enrollment.State.SEATED, card__state=Card.State.CLAIMED, next_card=None)
    return seated.alias(last_day=last_day).filter(Exists(warned), last_day__lt=timezone.localdate(now))
