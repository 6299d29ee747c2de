"""Ask a library about a card: no more often than is honest, and outside any transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import BoundedSemaphore

from libraries import guessing, limits, membership
from libraries.cards.checks import Answer, Outcome, Question
from libraries.cards.roster import InvalidFact
from libraries.models import Institution, Library

# From one network address, right and wrong: a library's own computers share one, so it is generous for the honest.
ANSWERS_PER_ADDRESS, ANSWERS_PERIOD = 60, timedelta(hours=1)
# So many questions are asked at once by this process: half of the threads of a web process (portal.gunicorn), so that
# slow library systems leave the other half to everybody else; and of one institution fewer, so that a slow one leaves
# room for the members of others.
MOST_AT_ONCE, MOST_OF_ONE = 4, 3
_room = BoundedSemaphore(MOST_AT_ONCE)
_own_rooms: dict[int, BoundedSemaphore] = {}

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
    """Too much was tried, right or wrong: with this card or from this network address. May be tried again after
    `wait`."""

    def __init__(self, of: guessing.Of, wait: timedelta) -> None:
        super().__init__(of)
        self.of, self.wait = of, wait


class Busy(Exception):
    """So many cards are being asked about that this one was not: try again in some seconds. Nothing was counted."""


def asks_second_fact(library: Library) -> bool:
    """Whether the library's card check needs one beside the number and the names."""
    return membership.check_of(library.institution).needs_second_fact


def pin_name(institution: Institution) -> str | None:
    """What the PIN is called that the institution's card check asks for, empty where it has no name of its own; None
    where no PIN is asked."""
    system = institution.asked_system
    return system.pin_name if system and system.asks_pin else None


def ask(library: Library, question: Question, *, address: str, now: datetime) -> Answer:
    """What the library's card check says. Raises TooManyTries, Busy, CardNotAccepted (NotTheirNumber among them) or
    InvalidFact.

    May take seconds: never call it inside a transaction.
    """
    institution = library.institution
    if not membership.fits(institution, question.number):
        raise NotTheirNumber
    with _room_for(institution):
        if not limits.allow("address", address, limit=ANSWERS_PER_ADDRESS, per=ANSWERS_PERIOD, now=now):
            raise TooManyTries(guessing.Of.ADDRESS, ANSWERS_PERIOD)
        answer = _asked(institution, question, address=address, now=now)
    if answer.outcome not in _HELPFUL:
        raise CardNotAccepted(answer.outcome)
    return answer


@contextmanager
def _room_for(institution: Institution) -> Iterator[None]:
    """Only for those whose system is asked over the network."""
    if not institution.is_asked:
        yield
        return
    own = _own_rooms.setdefault(institution.pk, BoundedSemaphore(MOST_OF_ONE))
    with _entered(own), _entered(_room):
        yield


@contextmanager
def _entered(room: BoundedSemaphore) -> Iterator[None]:
    if not room.acquire(blocking=False):
        raise Busy
    try:
        yield
    finally:
        room.release()


def _asked(institution: Institution, question: Question, *, address: str, now: datetime) -> Answer:
    """Whatever goes wrong here, the try stays counted unless it is known to have told nothing."""
    if institution.card_check == Institution.CardCheck.BY_HAND:
        return membership.ask(institution, question)
    try:
        guess = guessing.begin(institution_id=institution.pk, number=question.number, address=address, now=now)
    except guessing.TooManyGuesses as error:
        return _without_asking(error)
    try:
        answer = membership.ask(institution, question)
    except InvalidFact:
        guess.was_none()
        raise
    guess.settle(answer.outcome)
    return answer


def _without_asking(error: guessing.TooManyGuesses) -> Answer:
    """Where a whole institution is being guessed at, nobody's guess is answered any more, and nobody is kept out by
    the guessers: a librarian looks."""
    if error.of == guessing.Of.INSTITUTION:
        return Answer(Outcome.BY_HAND)
    raise TooManyTries(error.of, error.wait)
