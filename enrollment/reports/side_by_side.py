"""Two accounts that may be one person's, as a coordinator compares them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from enrollment.models import Enrollment
from enrollment.reports import queue
from libraries.models import Card, User


@dataclass(frozen=True)
class Application:
    row: Enrollment
    in_queue: int | None


@dataclass(frozen=True)
class Side:
    user: User
    cards: Sequence[Card]
    applications: Sequence[Application]


def sides_of(people: Iterable[User]) -> list[Side]:
    """The oldest cards and applications first; with three queries for any number of people."""
    found = list(people)
    cards = list(Card.objects.filter(user__in=found).select_related("library").order_by("claimed_at", "pk"))
    mine = Enrollment.objects.filter(user__in=found).select_related("pool__programme")
    rows = list(mine.order_by("applied_at", "pk"))
    places = queue.places_of(rows)
    return [
        Side(
            user,
            [card for card in cards if card.user_id == user.pk],
            [Application(row, places.get(row.pk)) for row in rows if row.user_id == user.pk],
        )
        for user in found
    ]
