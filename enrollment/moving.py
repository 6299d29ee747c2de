"""Another card for a claim on a seat: a second one, a replaced one, or one of another library.

Seat and place are kept. Until the new card is confirmed, the claim stands on the old one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment import asking, card_checking, eligibility, history, new_cards, rivalry, seats
from enrollment.models import Enrollment, Event
from libraries import membership, scoping
from libraries.cards.checks import Answer, Outcome, Question
from libraries.models import Card, Library, User


class Obstacle(models.TextChoices):
    NOT_YOURS = "not_yours", _("This application belongs to another institution.")
    OWN_CARD = "own_card", _("You cannot decide about your own card.")
    ENDED = "ended", _("This application has ended.")
    NOT_TAKING_PART = "not_taking_part", _("This library does not take part in this programme.")
    UNCHANGED = "unchanged", _("This card carries the application already.")
    NO_SUCH_NUMBER = (
        "no_such_number",
        _("No card of this institution has such a number. Was something else scanned, or is it another library?"),
    )
    LIBRARY_BUSY = "library_busy", eligibility.Reason.LIBRARY_BUSY.label
    CONFIRMED_RIVAL = "confirmed_rival", card_checking.Obstacle.CONFIRMED_RIVAL.label
    RIVAL_HAS_PLACE = "rival_has_place", card_checking.Obstacle.RIVAL_HAS_PLACE.label


class CannotMove(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


@dataclass(frozen=True, kw_only=True)
class NewCard:
    """`number` is normalized; `second_fact` and `pin` are used once and never kept."""

    library: Library
    number: str = field(repr=False)
    second_fact: str | None = field(default=None, repr=False)
    pin: str | None = field(default=None, repr=False)


def change_card(*, enrollment_id: int, told: NewCard, by: User, address: str, now: datetime) -> Enrollment:
    """The member has another card, or the same one again after it had expired. Says how the application stands then:
    on the new card where the card check proved it, else with that card as its `next_card`, for a librarian to look at.

    Raises CannotMove, or what `asking.ask` raises, and has then changed nothing. Asked outside any transaction.
    """
    _check_member(Enrollment.objects.select_related("card").get(pk=enrollment_id), told, by, now=now)
    question = Question(
        number=told.number,
        last_name=by.last_name,
        on=timezone.localdate(now),
        pin=told.pin,
        second_fact=told.second_fact,
    )
    answer = asking.ask(told.library, question, address=address, now=now)
    return _change(enrollment_id=enrollment_id, told=told, answer=answer, by=by, now=now)


@seats.transition
def _change(*, enrollment_id: int, told: NewCard, answer: Answer, by: User, now: datetime) -> Enrollment:
    pools, cards, enrollment = _lock(enrollment_id, told)
    _check_member(enrollment, told, by, now=now)
    card = card_checking.claim(pools, cards, user=by, library=told.library, number=told.number, answer=answer, now=now)
    if card.is_proved_on(timezone.localdate(now)):
        _stand_on(pools, enrollment_id, card, now=now, by=by)
    elif card.pk != enrollment.card_id:
        if eligibility.is_busy(card.institution_id):
            raise CannotMove(Obstacle.LIBRARY_BUSY)
        new_cards.wait(pools, enrollment, card, now=now, by=by)
    if card.unanswered_since == now:
        history.record(
            Event.Kind.CARD_UNANSWERED,
            now=now,
            enrollment=enrollment,
            card_id=card.pk,
            institution_id=card.institution_id,
        )
    rivalry.allocate(pools, now=now)
    enrollment.refresh_from_db()
    return enrollment


@seats.transition
def take_back(*, enrollment_id: int, by: User, now: datetime) -> bool:
    """The member does not want the new card checked any more; says whether there was one. Raises CannotMove."""
    before = Enrollment.objects.select_related("card", "next_card").get(pk=enrollment_id)
    if before.user_id != by.pk:
        raise CannotMove(Obstacle.NOT_YOURS)
    if before.next_card is None:
        return False
    numbers = [rivalry.number_of(card) for card in (before.card, before.next_card)]
    pools, _cards = rivalry.lock_numbers(numbers, and_pools=[before.pool_id])
    rows = Enrollment.objects.select_related("share").select_for_update(no_key=True, of=("self",))
    enrollment = rows.get(pk=enrollment_id)
    if enrollment.next_card_id != before.next_card_id:
        raise seats.ChangedMeanwhile
    new_cards.drop(pools, enrollment, now=now, by=by)
    rivalry.allocate(pools, now=now)
    return True


@seats.transition
def change_card_by_staff(*, enrollment_id: int, told: NewCard, by: User, now: datetime) -> Enrollment:
    """A librarian has the new card and the person before them: it is confirmed by hand at once. Raises CannotMove."""
    if not membership.fits(told.library.institution, told.number):
        raise CannotMove(Obstacle.NO_SUCH_NUMBER)
    pools, cards, enrollment = _lock(enrollment_id, told)
    _check_staff(enrollment, told, by, now=now)
    rivals = [card for card in cards if card.user_id != enrollment.user_id]
    if found := card_checking.rival_obstacle(rivals):
        raise CannotMove(Obstacle(found.value))
    card_checking.refuse_each(pools, rivals, by=by, now=now)
    card = card_checking.claim(
        pools,
        cards,
        user=enrollment.user,
        library=told.library,
        number=told.number,
        answer=Answer(Outcome.BY_HAND),
        now=now,
    )
    if not card.is_proved_on(timezone.localdate(now)):
        card_checking.confirm_by_hand(pools, card, by=by, now=now)
    _stand_on(pools, enrollment_id, card, now=now, by=by)
    rivalry.allocate(pools, now=now)
    enrollment.refresh_from_db()
    return enrollment


def _lock(enrollment_id: int, told: NewCard) -> tuple[rivalry.Pools, list[Card], Enrollment]:
    """The open cards with the new number, and the application."""
    before = Enrollment.objects.select_related("card").get(pk=enrollment_id)
    number = (told.library.institution_id, told.number)
    pools, cards = rivalry.lock_numbers([number, rivalry.number_of(before.card)], and_pools=[before.pool_id])
    rows = Enrollment.objects.select_related("share", "card", "user").select_for_update(no_key=True, of=("self",))
    enrollment = rows.get(pk=enrollment_id)
    if enrollment.card_id != before.card_id:
        raise seats.ChangedMeanwhile
    return pools, list(cards[number]), enrollment


def _stand_on(pools: rivalry.Pools, enrollment_id: int, card: Card, *, now: datetime, by: User) -> None:
    """Unless it does already: a card that is confirmed takes what stood on it or waited for it by itself."""
    enrollment = Enrollment.objects.select_related("share", "card").get(pk=enrollment_id)
    if card.pk != enrollment.card_id:
        new_cards.attach(pools, enrollment, card, now=now, by=by)


def _check_member(enrollment: Enrollment, told: NewCard, by: User, *, now: datetime) -> None:
    _check(enrollment, told, now=now, is_theirs=enrollment.user_id == by.pk)


def _check_staff(enrollment: Enrollment, told: NewCard, by: User, *, now: datetime) -> None:
    institutions = (enrollment.share.institution_id, told.library.institution_id)
    _check(enrollment, told, now=now, is_theirs=all(scoping.may_decide_on(by, pk) for pk in institutions))
    if enrollment.user_id == by.pk:
        raise CannotMove(Obstacle.OWN_CARD)


def _check(enrollment: Enrollment, told: NewCard, *, now: datetime, is_theirs: bool) -> None:
    card, shares = enrollment.card, enrollment.pool.shares
    same = (card.institution_id, card.number) == (told.library.institution_id, told.number)
    obstacles = {
        Obstacle.NOT_YOURS: not is_theirs,
        Obstacle.ENDED: enrollment.state == Enrollment.State.ENDED,
        Obstacle.UNCHANGED: same and card.is_proved_on(timezone.localdate(now)),
        Obstacle.NOT_TAKING_PART: not shares.filter(institution_id=told.library.institution_id).exists(),
    }
    if found := next((obstacle for obstacle, holds in obstacles.items() if holds), None):
        raise CannotMove(found)
