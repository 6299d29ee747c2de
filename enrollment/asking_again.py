"""Library systems that did not answer: asked again until they do, then their members come back with the PIN.

A PIN is never kept, so that nothing can be decided here; it only becomes known that it can be asked for again.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from enrollment import history, seats
from enrollment.models import Enrollment, Event, Letter
from enrollment.models.enrollment import EnrollmentQuerySet
from libraries import membership
from libraries.models import Card, Institution
from libraries.models.card import CardQuerySet


def ask_again(*, now: datetime) -> int:
    """Ask every system that did not answer about one of the cards it was asked about; say how many letters are owed.

    May take seconds for each: never call it inside a transaction.
    """
    waiting = Card.objects.filter(institution=OuterRef("pk"), unanswered_since__isnull=False)
    institutions = Institution.objects.filter(Exists(waiting)).select_related("system").order_by("pk")
    return sum(_tell(each.pk, now=now) for each in list(institutions) if _answers(each, now=now))


def _answers(institution: Institution, *, now: datetime) -> bool:
    """One whose system is not asked any more is not waited for."""
    if institution.asked_system is None:
        return True
    number = _unanswered(institution.pk).values_list("number", flat=True).first()
    return number is not None and membership.answers(institution, number, on=timezone.localdate(now))


@seats.transition
def _tell(institution_id: int, *, now: datetime) -> int:
    institution = Institution.objects.select_related("system").get(pk=institution_id)
    cards = list(_unanswered(institution_id).select_for_update(no_key=True, skip_locked=True))
    Card.objects.filter(pk__in=[card.pk for card in cards]).update(unanswered_since=None)
    theirs = list(_standing_on(cards))
    history.record_each(((Event.Kind.CARD_ANSWERED, each) for each in theirs), now=now)
    if institution.asked_system is None or not institution.asked_system.asks_back:
        return 0
    Letter.objects.owe_each(Letter.Kind.CARD_TO_PROVE, theirs, now=now)
    return len(theirs)


def _unanswered(institution_id: int) -> CardQuerySet:
    """Those asked about first come first."""
    found = Card.objects.filter(institution_id=institution_id, unanswered_since__isnull=False)
    return found.order_by("unanswered_since", "pk")


def _standing_on(cards: list[Card]) -> EnrollmentQuerySet:
    ids = [card.pk for card in cards]
    found = Enrollment.objects.open().filter(Q(card__in=ids) | Q(next_card__in=ids))
    return found.select_related("share").order_by("pk")
