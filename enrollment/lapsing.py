"""Library cards whose last day is over: told at once, and where the programme says so the seat ends after a time of
grace. Whoever waits keeps the place, and the card is checked again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from django.db.models import DateField, Exists, ExpressionWrapper, F, OuterRef, Q
from django.utils import timezone

from enrollment import card_checking, ending, history, rivalry, seats
from enrollment.models import Enrollment, Event, Letter
from enrollment.models.enrollment import EnrollmentQuerySet
from libraries import membership
from libraries.models import Card, Institution, RosterEntry

# Nobody loses a seat sooner after the letter has left.
WARNED_BEFORE = timedelta(days=7)


def expire_cards(*, now: datetime) -> int:
    """Have every card looked at again whose last day is over and that matters to an application; say how many."""
    over = Card.objects.filter(state=Card.State.CONFIRMED, valid_until__lt=timezone.localdate(now))
    due = over.filter(Exists(_minding().filter(card=OuterRef("pk"))))
    ids = list(due.order_by("pk").values_list("pk", flat=True))
    return sum(_expire(card_id, now=now) for card_id in ids)


def renew_cards(*, now: datetime) -> int:
    """Confirm again every card that has run out and stands on a newer list of its library; say how many."""
    day = timezone.localdate(now)
    over = Card.objects.filter(state=Card.State.CLAIMED, valid_until__lt=day)
    listed = RosterEntry.objects.filter(institution=OuterRef("institution"), number=OuterRef("number"))
    still = listed.filter(Q(valid_until=None) | Q(valid_until__gte=day))
    due = over.filter(Exists(still), institution__card_check=Institution.CardCheck.ROSTER)
    return sum(_renew(card_id, now=now) for card_id in list(due.order_by("pk").values_list("pk", flat=True)))


def end_lapsed(*, now: datetime) -> int:
    """End every seat whose card has not been renewed in its time of grace; say how many."""
    return ending.end_due(_lapsed(now), reason=Enrollment.EndReason.CARD_LAPSED, now=now)


@seats.transition
def cut_short(card_id: int, *, last_day: date, why: str, now: datetime) -> bool:
    """Its library says that a confirmed card is no longer good: from here on it is like one whose last day was this
    one. `why` is a code of Doubt.Says. Says whether it was still confirmed and good."""
    _pools, card = _lock(card_id)
    if not card.is_proved_on(timezone.localdate(now)):
        return False
    membership.cut_short(card, last_day=last_day)
    _tell_expired(card, why=why, now=now)
    return True


@seats.transition
def note_good(card_id: int, *, valid_until: date | None, now: datetime) -> None:
    """Its library says, asked again, that the card is good; until when, where it told. A card that has run out is
    confirmed again."""
    pools, card = _lock(card_id)
    before = card.valid_until
    if membership.renew(card, valid_until=valid_until, now=now):
        card_checking.carry(pools, card, by=None, now=now)
        rivalry.allocate(pools, now=now)
    elif before is not None and card.valid_until != before and card.is_valid_on(before):
        _record(Event.Kind.CARD_EXTENDED, card, now=now)


@seats.transition
def _expire(card_id: int, *, now: datetime) -> bool:
    _pools, card = _lock(card_id)
    if card.state != Card.State.CONFIRMED or card.is_valid_on(timezone.localdate(now)):
        return False
    expired = membership.expire(card, now=now)
    if expired:
        _tell_expired(card, now=now)
    else:
        _record(Event.Kind.CARD_EXTENDED, card, now=now)
    return expired


def _tell_expired(card: Card, *, why: str = "", now: datetime) -> None:
    touched = _record(Event.Kind.CARD_EXPIRED, card, why=why, now=now)
    minding = _minding().filter(pk__in=[enrollment.pk for enrollment in touched])
    Letter.objects.owe_each(Letter.Kind.CARD_EXPIRED, minding, now=now, reason=why)


def _record(kind: Event.Kind, card: Card, *, why: str = "", now: datetime) -> Sequence[Enrollment]:
    touched = rivalry.open_enrollments(card)
    for enrollment in touched:
        history.record(kind, now=now, enrollment=enrollment, institution_id=card.institution_id, reason=why)
    return touched


@seats.transition
def _renew(card_id: int, *, now: datetime) -> bool:
    pools, card = _lock(card_id)
    if not membership.relist(card, now=now):
        return False
    card_checking.carry(pools, card, by=None, now=now)
    rivalry.allocate(pools, now=now)
    return True


def _lock(card_id: int) -> tuple[rivalry.Pools, Card]:
    before = Card.objects.get(pk=card_id)
    pools, _cards = rivalry.lock_number(before.institution_id, before.number)
    rows = Card.objects.select_related("institution").select_for_update(no_key=True, of=("self",))
    return pools, rows.get(pk=card_id)


def _minding() -> EnrollmentQuerySet:
    """Applications to which it matters that their card is valid."""
    with_grace = Q(state=Enrollment.State.SEATED, pool__programme__card_grace_days__isnull=False)
    return Enrollment.objects.filter(Q(state=Enrollment.State.WAITING) | with_grace)


def _lapsed(now: datetime) -> EnrollmentQuerySet:
    """Not while a new card waits for its check, which is the library's turn, nor right after it was refused."""
    long_ago = now - WARNED_BEFORE
    theirs = Letter.objects.filter(enrollment=OuterRef("pk"))
    warned = theirs.filter(kind=Letter.Kind.CARD_EXPIRED, sent_at__lte=long_ago)
    warned = warned.filter(owed_at__date__gt=OuterRef("card__valid_until"))
    refused = theirs.filter(kind=Letter.Kind.NEW_CARD_REFUSED).exclude(sent_at__lte=long_ago)
    last_day = ExpressionWrapper(F("card__valid_until") + F("pool__programme__card_grace_days"), DateField())
    seated = Enrollment.objects.filter(state=Enrollment.State.SEATED, card__state=Card.State.CLAIMED, next_card=None)
    return seated.alias(last_day=last_day).filter(
        Exists(warned), ~Exists(refused), last_day__lt=timezone.localdate(now)
    )
