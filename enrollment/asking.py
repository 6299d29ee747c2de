"""Ask a library about a card: no more often than is honest, and outside any transaction."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from libraries import limits, membership
from libraries.cards.checks import Answer, Outcome
from libraries.models import Library

# From one network address: a library's own computers share one, so it is generous for the honest.
ANSWERS_PER_ADDRESS, ANSWERS_PER_CARD, ANSWERS_PERIOD = 60, 10, timedelta(hours=1)
_HELPFUL = (Outcome.CONFIRMED, Outcome.BY_HAND, Outcome.NO_ANSWER)


class CardNotAccepted(Exception):
    """The card check said no; `outcome` says what the person may be told."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class NotTheirNumber(CardNotAccepted):
    """No card of this institution has such a number: nobody was asked, and nothing was counted."""

    def __init__(self) -> None:
        super().__init__(Outcome.UNKNOWN)


class TooManyTries(Exception):
    """Cards were asked about too often from this network address, or about this card."""


def asks_second_fact(library: Library) -> bool:
    """Whether the library's card check needs one beside the number and the names."""
    return membership.check_of(library.institution).needs_second_fact


def pin_name(library: Library) -> str | None:
    """What the PIN is called that the library's card check asks for, empty where it has no name of its own; None where
    no PIN is asked."""
    institution = library.institution
    if not membership.check_of(institution).asks_pin:
        return None
    return institution.system.pin_name


def fits(library: Library, number: str) -> bool:
    """Whether a normalized number can be that of a card of the library's institution. `ask` refuses what cannot."""
    return membership.fits(library.institution, number)


def ask(
    library: Library,
    *,
    number: str,
    second_fact: str | None,
    last_name: str,
    address: str,
    now: datetime,
    pin: str | None = None,
) -> Answer:
    """What the library's card check says of a normalized number. Raises TooManyTries, CardNotAccepted (NotTheirNumber
    among them) or InvalidFact.

    May take seconds: never call it inside a transaction. `second_fact` and `pin` are used once and never kept.
    """
    institution = library.institution
    if not membership.fits(institution, number):
        raise NotTheirNumber
    if not limits.allow("address", address, limit=ANSWERS_PER_ADDRESS, per=ANSWERS_PERIOD, now=now):
        raise TooManyTries
    card = ("card", str(institution.pk), number)
    if not limits.allow(*card, limit=ANSWERS_PER_CARD, per=ANSWERS_PERIOD, now=now):
        raise TooManyTries
    on = timezone.localdate(now)
    answer = membership.ask(institution, number=number, second_fact=second_fact, last_name=last_name, on=on, pin=pin)
    if answer.outcome not in _HELPFUL:
        raise CardNotAccepted(answer.outcome)
    return answer
