"""Library systems that did not answer: asked again until they do, then their members come back with the PIN.

A PIN is never kept, so that nothing can be decided here; it only becomes known that it can be asked for again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from enrollment import history, seats
from enrollment.models import Enrollment, Event, Letter
from enrollment.models.enrollment import EnrollmentQuerySet
from libraries import rechecking
from libraries.cards.checks import Outcome
from libraries.models import Card, Institution
from libraries.models.card import CardQuerySet

# So many cards are asked about before a system counts as silent: it may be one of them alone that gets no answer.
_TRIES = 3


def ask_again(*, now: datetime) -> int:
    """Ask every system that did not answer about a few of the cards it was asked about, or, where that cannot be,
    whether it is there; say how many letters are owed.

    May take seconds for each: never call it inside a transaction.
    """
    waiting = Card.objects.filter(institution=OuterRef("pk"), unanswered_since__isnull=False)
    silent = Q(card_check__in=Institution.ASKED, system__unanswered_since__isnull=False)
    institutions = Institution.objects.filter(Exists(waiting) | silent).select_related("system").order_by("pk")
    return sum(_tell(each.pk, now=now) for each in list(institutions) if _answers(each, now=now))


def _answers(institution: Institution, *, now: datetime) -> bool:
    """One whose system is not asked any more is not waited for."""
    system = institution.asked_system
    if system is None:
        return True
    # Where proved cards are not asked about, it need not know the question without a PIN.
    if system.recheck_days and (cards := _to_ask_about(institution.pk)):
        answers = any(_is_answered(institution, card, now=now) for card in cards)
    else:
        answers = rechecking.is_there(institution)
    if answers:
        rechecking.note_answering(system)
    else:
        rechecking.note_silent(system, now=now)
    return answers


def _is_answered(institution: Institution, card: Card, *, now: datetime) -> bool:
    rechecking.note_asked(card, now=now)
    return rechecking.look_up(institution, card.number, on=timezone.localdate(now)).outcome != Outcome.NO_ANSWER


def _to_ask_about(institution_id: int) -> Sequence[Card]:
    """Those not asked about for the longest, of people who have a seat or stand in line for one."""
    waiting = Enrollment.objects.open().filter(passed_over=False)
    carrying = waiting.filter(Q(card=OuterRef("pk")) | Q(next_card=OuterRef("pk")))
    cards = _unanswered(institution_id).living().filter(Exists(carrying))
    return list(cards.order_by(F("rechecked_at").asc(nulls_first=True), "unanswered_since", "pk")[:_TRIES])


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
