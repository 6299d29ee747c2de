"""The new card of an application: it waits for its check beside the card the claim stands on, then takes its place.

Within the locks of `rivalry.lock_numbers`, which covers the numbers of both; `rivalry.allocate` is to follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from enrollment import history, rivalry, share_moves
from enrollment.models import Enrollment, Event, Letter
from libraries.models import Card, User


def waiting_for(card: Card) -> Sequence[Enrollment]:
    """The open applications whose new card this is, locked."""
    found = Enrollment.objects.open().filter(next_card=card).select_related("share", "card")
    return list(found.select_for_update(no_key=True, of=("self",)).order_by("id"))


def wait(pools: rivalry.Pools, enrollment: Enrollment, card: Card, *, now: datetime, by: User) -> None:
    """The card has to be checked first. One that waited before is let go."""
    earlier = enrollment.next_card_id
    if earlier == card.pk:
        return
    enrollment.next_card = card
    enrollment.save(update_fields=["next_card"])
    history.record(
        Event.Kind.NEW_CARD, now=now, by=by, enrollment=enrollment, card_id=card.pk, institution_id=card.institution_id
    )
    rivalry.let_go(pools, earlier, now=now)


def drop(pools: rivalry.Pools, enrollment: Enrollment, *, now: datetime, by: User) -> None:
    """The new card is not wanted any more."""
    card_id, enrollment.next_card = enrollment.next_card_id, None
    enrollment.save(update_fields=["next_card"])
    history.record(Event.Kind.NEW_CARD_DROPPED, now=now, by=by, enrollment=enrollment, card_id=card_id)
    rivalry.let_go(pools, card_id, now=now)


def attach(
    pools: rivalry.Pools, enrollment: Enrollment, card: Card, *, now: datetime, by: User | None, words: str = ""
) -> None:
    """A confirmed card carries the claim from now on, which stands again. Seat and place stay; the count moves to the
    card's institution when both shares allow. The old card keeps what was proved of it."""
    pool, earlier = pools[enrollment.pool_id], {enrollment.card_id, enrollment.next_card_id}
    old_id = enrollment.card_id
    enrollment.card, enrollment.next_card = card, None
    enrollment.save(update_fields=["card", "next_card"])
    because, how = Event.Kind.CARD_CONFIRMED, card.decided_how
    rivalry.stand_again(pool, enrollment, because=because, now=now, by=card.decided_by, reason=how, words=words)
    history.record(Event.Kind.CARD_CHANGED, now=now, by=by, enrollment=enrollment, old_value=old_id, new_value=card.pk)
    Letter.objects.owe(Letter.Kind.CARD_CHANGED, enrollment, now=now)
    share_moves.move(pool, enrollment, pool.shares.get(institution_id=card.institution_id), now=now)
    for card_id in earlier - {card.pk}:
        rivalry.let_go(pools, card_id, now=now)


def refuse(card: Card, *, reason: str, now: datetime, by: User | None, words: str = "") -> None:
    """The claims go on, each on the card it stood on."""
    for enrollment in waiting_for(card):
        enrollment.next_card = None
        enrollment.save(update_fields=["next_card"])
        history.record(
            Event.Kind.NEW_CARD_REFUSED,
            now=now,
            by=by,
            enrollment=enrollment,
            card_id=card.pk,
            institution_id=card.institution_id,
            reason=reason,
            words=words,
        )
        Letter.objects.owe(Letter.Kind.NEW_CARD_REFUSED, enrollment, now=now, reason=reason)
