"""People who claim the same card number: their pools are locked together, and a number that comes free is handed on.

A card can carry applications in several programmes, and a number can be claimed by several people. So whatever may
touch more than one of them locks the pools of all first, in the order of their ids, then the cards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from enrollment import history, seats, waiting_list
from enrollment.models import Enrollment, Event, SeatPool
from libraries import membership
from libraries.models import Card, User

Pools = dict[int, SeatPool]


def lock_number(institution_id: int, number: str, *, and_pools: Iterable[int] = ()) -> tuple[Pools, Sequence[Card]]:
    """Lock the pools of all open applications with this number (and some more), then its open cards.

    Raises ChangedMeanwhile when an application in yet another pool came in while we waited for the locks.
    """
    pools = seats.lock_all({*and_pools, *_pools_of(institution_id, number)})
    cards = membership.open_cards(institution_id, number)
    if cards and not set(_pools_of(institution_id, number)) <= pools.keys():
        raise seats.ChangedMeanwhile
    return pools, cards


def _pools_of(institution_id: int, number: str) -> Sequence[int]:
    found = Enrollment.objects.open().filter(card__institution_id=institution_id, card__number=number)
    return list(found.values_list("pool_id", flat=True).distinct())


def open_enrollments(card: Card) -> Sequence[Enrollment]:
    found = Enrollment.objects.open().filter(card=card).select_related("share")
    return list(found.select_for_update(no_key=True, of=("self",)).order_by("id"))


def let_go(pools: Pools, card_id: int, *, now: datetime) -> None:
    """An unproved card that carries no application any more no longer stands for its number: a claim that was taken
    back must not keep the owner of the card waiting. Within the locks of `lock_number`."""
    card = Card.objects.select_for_update(no_key=True).get(pk=card_id)
    unproved = card.state in (Card.State.CLAIMED, Card.State.DISPUTED)
    if unproved and not Enrollment.objects.open().filter(card=card).exists():
        membership.lapse(card, how="taken_back", now=now)
        hand_on(pools, card.institution_id, card.number, now=now)


def hand_on(pools: Pools, institution_id: int, number: str, *, now: datetime, by: User | None = None) -> None:
    """A number that nobody living has any more goes to the oldest who disputed it. Within the locks of `lock_number`;
    `seats.allocate` is to follow in all of the pools."""
    heir = membership.undispute(institution_id, number)
    for enrollment in open_enrollments(heir) if heir else []:
        stand_again(pools[enrollment.pool_id], enrollment, because=Event.Kind.CARD_UNDISPUTED, now=now, by=by)


def stand_again(
    pool: SeatPool,
    enrollment: Enrollment,
    *,
    because: Event.Kind,
    now: datetime,
    by: User | None,
    reason: str = "",
    words: str = "",
) -> None:
    """Records why; a held seat is given; who waits is no longer passed over, and keeps the place of the old
    application. For whoever comes back so, the event has that place as its new value: others' places change by it."""
    place = _back_in_line(enrollment)
    history.record(because, now=now, by=by, enrollment=enrollment, reason=reason, words=words, new_value=place)
    if enrollment.state == Enrollment.State.HELD and enrollment.card.state == Card.State.CONFIRMED:
        seats.seat_held(pool, enrollment, now=now, by=by)


def _back_in_line(enrollment: Enrollment) -> int | None:
    if not enrollment.passed_over:
        return None
    enrollment.passed_over = False
    enrollment.save(update_fields=["passed_over"])
    return waiting_list.place_of(enrollment)


def allocate(pools: Pools, *, now: datetime) -> list[Enrollment]:
    """Give out what is free in all of the pools, in the order of their ids; says who got a seat."""
    return [given for _pk, pool in sorted(pools.items()) for given in seats.allocate(pool, now=now)]
