"""People who claim the same card number: their pools are locked together, and a number that comes free is handed on.

A card can carry applications in several programmes, a number can be claimed by several people, and an application can
have a new card that waits for its check beside the one it stands on. So whatever may touch more than one of them locks
the pools of all first, in the order of their ids, then the cards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef

from enrollment import history, seats, waiting_list
from enrollment.models import Enrollment, Event, SeatPool
from libraries import membership
from libraries.models import Card, User

Pools = dict[int, SeatPool]
# Of an institution (its id), normalized.
Number = tuple[int, str]


def number_of(card: Card) -> Number:
    return card.institution_id, card.number


def lock_number(institution_id: int, number: str, *, and_pools: Iterable[int] = ()) -> tuple[Pools, Sequence[Card]]:
    """Lock the pools of all open applications with this number (and some more), then its open cards.

    Raises ChangedMeanwhile when an application in yet another pool came in while we waited for the locks.
    """
    pools, cards = lock_numbers([(institution_id, number)], and_pools=and_pools)
    return pools, cards[institution_id, number]


def lock_numbers(
    numbers: Iterable[Number], *, and_pools: Iterable[int] = ()
) -> tuple[Pools, dict[Number, Sequence[Card]]]:
    """The same for several numbers, and for those of the other cards that their applications have."""
    asked = set(numbers)
    touched, tied = _touched(asked)
    pools = seats.lock_all({*and_pools, *touched})
    cards = {number: membership.open_cards(*number) for number in sorted(asked | tied)}
    if any(cards.values()):
        now_touched, now_tied = _touched(asked)
        if not (now_touched <= pools.keys() and now_tied <= cards.keys()):
            raise seats.ChangedMeanwhile
    return pools, cards


def _touched(numbers: set[Number]) -> tuple[set[int], set[Number]]:
    """The pools of the open applications with these numbers, and the numbers of the other cards these have."""
    rows = _applications_with(numbers)
    tied = {number for row in rows for number in (row[1:3], row[3:5]) if row[3] is not None} - numbers
    more = _applications_with(tied) if tied else []
    return {row[0] for row in (*rows, *more)}, tied


def _applications_with(numbers: Iterable[Number]) -> list[tuple[int, int, str, int, str]]:
    """Pool, number of the card, and of the new card where there is one; one query for each number."""
    fields = ("card__institution_id", "card__number", "next_card__institution_id", "next_card__number")
    found: list[tuple[int, int, str, int, str]] = []
    for institution_id, number in numbers:
        rows = Enrollment.objects.open().values_list("pool_id", *fields).order_by()
        own = rows.filter(card__institution_id=institution_id, card__number=number)
        found += own.union(rows.filter(next_card__institution_id=institution_id, next_card__number=number))
    return found


def lock_pools_of(card_ids: Sequence[int], *, and_pools: Iterable[int]) -> Pools:
    """Lock the pools of all open applications with the number of one of these cards (and some more).

    Raises ChangedMeanwhile when an application in yet another pool came in while we waited for the locks.
    """
    pools = seats.lock_all({*and_pools, *_pools_of_each(card_ids)})
    if not set(_pools_of_each(card_ids)) <= pools.keys():
        raise seats.ChangedMeanwhile
    return pools


def _pools_of_each(card_ids: Sequence[int]) -> Sequence[int]:
    same = Card.objects.filter(
        pk__in=card_ids, institution_id=OuterRef("card__institution_id"), number=OuterRef("card__number")
    )
    return list(Enrollment.objects.open().filter(Exists(same)).values_list("pool_id", flat=True).distinct())


def open_enrollments(card: Card) -> Sequence[Enrollment]:
    found = Enrollment.objects.open().filter(card=card).select_related("share")
    return list(found.select_for_update(no_key=True, of=("self",)).order_by("id"))


def let_go(pools: Pools, card_id: int | None, *, now: datetime) -> None:
    """An unproved card that carries no application any more no longer stands for its number: a claim that was taken
    back must not keep the owner of the card waiting. Within the locks of `lock_number`."""
    if card_id is None:
        return
    card = Card.objects.select_for_update(no_key=True).get(pk=card_id)
    unproved = card.state in (Card.State.CLAIMED, Card.State.DISPUTED)
    if unproved and not _carries(card):
        membership.lapse(card, how="taken_back", now=now)
        hand_on(pools, card.institution_id, card.number, now=now)


def _carries(card: Card) -> bool:
    applications = Enrollment.objects.open()
    return applications.filter(card=card).exists() or applications.filter(next_card=card).exists()


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
    history.record(
        because,
        now=now,
        by=by,
        enrollment=enrollment,
        institution_id=enrollment.card.institution_id,
        reason=reason,
        words=words,
        new_value=place,
    )
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
