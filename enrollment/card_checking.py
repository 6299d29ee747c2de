"""Decide about cards by hand or by proof, and let the seats follow: confirm, refuse, settle a disputed number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment import ending, history, new_cards, rivalry, seats
from enrollment.models import Enrollment, Event, Letter, SeatPool
from libraries import membership, scoping
from libraries.cards.checks import Answer, Outcome
from libraries.models import Card, Library, User

BY_HAND = "by_hand"


class Obstacle(models.TextChoices):
    NOT_YOURS = "not_yours", _("This card belongs to another institution.")
    DECIDED = "decided", _("This card has already been decided about.")
    OWN_CARD = "own_card", _("You cannot decide about your own card.")
    NEW_CARD_WAITS = "new_card_waits", _("This person has given a new card. It has to be decided about first.")
    HAS_PLACE = (
        "has_place",
        _("This card was confirmed before, and carries a place. Confirm it again, or end the place."),
    )
    CONFIRMED_RIVAL = (
        "confirmed_rival",
        _("Somebody else's card with this number is confirmed: settle the dispute."),
    )
    RIVAL_HAS_PLACE = (
        "rival_has_place",
        _(
            "Somebody else has a place with this number, on a card that has run out. Confirm that card again, or end"
            " that place first. Is it the same person? Then put the two accounts together."
        ),
    )


class CannotDecide(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


@seats.transition
def confirm(
    *,
    card_id: int,
    by: User,
    now: datetime,
    valid_until: date | None = None,
    words: str = "",
    over_confirmed: bool = True,
) -> Card:
    """A librarian has seen that the card is this person's. Everybody else who claims the number is refused in the same
    transaction; a held seat becomes a given one, and who was passed over is next again.

    `over_confirmed`: the librarian has seen both claims side by side, so that a rival loses also what was proved.
    """
    pools, cards, card = _lock(card_id)
    _check(card, by)
    rivals = [rival for rival in cards if rival.pk != card.pk]
    if not over_confirmed and (found := rival_obstacle(rivals)):
        raise CannotDecide(found)
    refuse_each(pools, rivals, by=by, now=now)
    confirm_by_hand(pools, card, by=by, now=now, valid_until=valid_until, words=words)
    rivalry.allocate(pools, now=now)
    return card


@seats.transition
def refuse(*, card_id: int, reason: Card.Refusal, by: User, now: datetime, words: str = "") -> Card:
    """The card is not accepted, for a reason the member reads. Its applications end; a number that nobody living has
    any more goes to the oldest who disputed it."""
    pools, _cards, card = _lock(card_id)
    _check(card, by)
    _check_loses_nothing(card)
    _refuse(pools, card, by=by, how=BY_HAND, reason=reason, now=now, words=words)
    rivalry.hand_on(pools, card.institution_id, card.number, now=now, by=by)
    rivalry.allocate(pools, now=now)
    return card


def refuse_each(pools: rivalry.Pools, rivals: Sequence[Card], *, by: User, now: datetime) -> None:
    """Whoever else claims a number that a librarian has seen in the right hands. Within the locks of
    `rivalry.lock_number`, which gave the cards."""
    for rival in rivals:
        _refuse(pools, rival, by=by, how=BY_HAND, reason=Card.Refusal.TAKEN, now=now)


def confirm_by_hand(
    pools: rivalry.Pools, card: Card, *, by: User, now: datetime, valid_until: date | None = None, words: str = ""
) -> None:
    """The card and what stands on it, within the same locks; rivals are refused before."""
    membership.confirm(card, by=by, how=BY_HAND, now=now, valid_until=valid_until)
    carry(pools, card, by=by, now=now, words=words)


def carry(pools: rivalry.Pools, card: Card, *, by: User | None, now: datetime, words: str = "") -> None:
    """The card has just been confirmed: what stood on it stands again, and it takes what waited for it. Within the
    locks of `rivalry.lock_number`; `rivalry.allocate` is to follow."""
    because, how = Event.Kind.CARD_CONFIRMED, card.decided_how
    for enrollment in rivalry.open_enrollments(card):
        pool = pools[enrollment.pool_id]
        rivalry.stand_again(pool, enrollment, because=because, now=now, by=by, reason=how, words=words)
        Letter.objects.owe(Letter.Kind.CARD_CONFIRMED, enrollment, now=now)
    for enrollment in new_cards.waiting_for(card):
        new_cards.attach(pools, enrollment, card, now=now, by=by, words=words)


def claim(
    pools: rivalry.Pools,
    cards: Sequence[Card],
    *,
    user: User,
    library: Library,
    number: str,
    answer: Answer,
    now: datetime,
) -> Card:
    """The person's card of this number, as the card check's answer makes it; with it, what they have in other
    programmes on the same card. Within the locks of `rivalry.lock_number`, which gave the cards."""
    if answer.outcome == Outcome.CONFIRMED:
        _refuse_unproved_rivals(pools, cards, keep=user, now=now)
    was_confirmed = any(card.user_id == user.pk and card.state == Card.State.CONFIRMED for card in cards)
    on = timezone.localdate(now)
    card = membership.claim(user=user, library=library, number=number, cards=cards, answer=answer, on=on, now=now)
    if card.state == Card.State.CONFIRMED and not was_confirmed:
        carry(pools, card, by=None, now=now)
    return card


def _refuse_unproved_rivals(pools: rivalry.Pools, cards: Sequence[Card], *, keep: User, now: datetime) -> None:
    """Proof beats being first: whoever claimed this number without proof is refused. A card that was proved once
    and has run out is no claim without proof: there a librarian has to look."""
    for card in cards:
        undecided = card.state in (Card.State.CLAIMED, Card.State.DISPUTED) and not card.has_run_out
        if card.user_id != keep.pk and undecided:
            _refuse(pools, card, by=None, how="proof", reason=Card.Refusal.TAKEN, now=now)


def _lock(card_id: int) -> tuple[dict[int, SeatPool], Sequence[Card], Card]:
    """The pools, all open cards with the number of this one, and this one, which may have been decided about."""
    card = Card.objects.get(pk=card_id)
    pools, cards = rivalry.lock_number(card.institution_id, card.number)
    return pools, cards, Card.objects.select_for_update(no_key=True).get(pk=card_id)


def _check(card: Card, by: User) -> None:
    if not scoping.may_decide_on(by, card.institution_id):
        raise CannotDecide(Obstacle.NOT_YOURS)
    if card.user_id == by.pk:
        raise CannotDecide(Obstacle.OWN_CARD)
    if card.state not in (Card.State.CLAIMED, Card.State.DISPUTED):
        raise CannotDecide(Obstacle.DECIDED)


def _check_loses_nothing(card: Card) -> None:
    """A refusal is an answer to who asks. Who has a place already loses it by its own rules, or by words on record."""
    carried = Enrollment.objects.open().filter(card=card)
    if carried.filter(next_card__isnull=False).exists():
        raise CannotDecide(Obstacle.NEW_CARD_WAITS)
    if has_place(card):
        raise CannotDecide(Obstacle.HAS_PLACE)


def rival_obstacle(rivals: Iterable[Card]) -> Obstacle | None:
    """Why others who claim a number are not refused unseen: what one of them would lose was proved once."""
    rivals = list(rivals)
    if any(rival.state == Card.State.CONFIRMED for rival in rivals):
        return Obstacle.CONFIRMED_RIVAL
    return Obstacle.RIVAL_HAS_PLACE if any(map(has_place, rivals)) else None


def has_place(card: Card) -> bool:
    """Whether it was proved until a day that is over, and carries a place in its time of grace."""
    return card.has_run_out and Enrollment.objects.open().filter(card=card, state=Enrollment.State.SEATED).exists()


def _refuse(
    pools: dict[int, SeatPool],
    card: Card,
    *,
    by: User | None,
    how: str,
    reason: Card.Refusal,
    now: datetime,
    words: str = "",
) -> None:
    membership.refuse(card, by=by, how=how, reason=reason, now=now)
    for enrollment in rivalry.open_enrollments(card):
        history.record(
            Event.Kind.CARD_REFUSED,
            now=now,
            by=by,
            enrollment=enrollment,
            institution_id=card.institution_id,
            reason=reason,
            words=words,
        )
        pool, ended = pools[enrollment.pool_id], Enrollment.EndReason.CARD_REFUSED
        waited = ending.end(pool, enrollment, reason=ended, by=by, now=now)
        Letter.objects.owe(Letter.Kind.CARD_REFUSED, enrollment, now=now, reason=reason)
        rivalry.let_go(pools, waited, now=now)
    new_cards.refuse(card, reason=reason, now=now, by=by, words=words)
