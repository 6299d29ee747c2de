"""Proved cards in great numbers, and time that goes by while their library's system is asked about them."""

from __future__ import annotations

from datetime import datetime, timedelta

from enrollment import rechecking
from enrollment.models import Enrollment, SeatPool
from libraries.models import Card, Library, User
from tests.factories import NOW


def make_proved(count: int, *, library: Library, pool: SeatPool, decided_at: datetime = NOW) -> list[Card]:
    """So many people in the queue with a card that was proved; written as rows, because applying takes its time."""
    first = Card.objects.count()
    numbers = range(first, first + count)
    users = User.objects.bulk_create(User(email=f"many{number}@example.test") for number in numbers)
    cards = Card.objects.bulk_create(
        Card(
            user=user,
            library=library,
            institution_id=library.institution_id,
            number=f"2300{number:05}",
            state=Card.State.CONFIRMED,
            claimed_at=decided_at,
            decided_at=decided_at,
            decided_how="sip2",
        )
        for number, user in zip(numbers, users, strict=True)
    )
    share = pool.shares.get(institution=library.institution_id)
    fields = {"privacy_version": "1", "privacy_language": "nl", "privacy_read_at": decided_at}
    Enrollment.objects.bulk_create(
        Enrollment(pool=pool, share=share, user_id=card.user_id, card=card, applied_at=decided_at, **fields)
        for card in cards
    )
    return cards


def earlier(card_id: int, *, days: int = 30) -> timedelta:
    """By how much a card is asked about before these days are over: hours of its own, up to a quarter of them."""
    return card_id % (days * 6) * timedelta(hours=1)


class Clock:
    """What the workers take for now; `go_by` has them work all the while."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def go_by(self, time: timedelta, *, step: timedelta = timedelta(hours=4)) -> None:
        until = self.now + time
        while self.now < until:
            while rechecking.recheck_next(now=self):
                pass
            self.now = min(until, self.now + step)

    def settle(self) -> None:
        """A bad answer needs a second one."""
        self.go_by(timedelta(hours=14))
