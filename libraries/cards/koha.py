"""Prove a card with Koha: the PIN with its own check of passwords, and what the card is worth with a look-up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from secrets import token_hex
from threading import Condition
from time import monotonic
from typing import TypeGuard

from libraries.cards.checks import Answer, Outcome, Question, Step, StepName, Trouble, Walk
from libraries.cards.koha_api import KohaApi, KohaFailed, Patron, opened
from libraries.cards.systems import SystemFacts

_LONGEST_PIN = 200
# Told only to one who has signed in.
_AFTER_LOGIN = (Trouble.NOT_ALLOWED, Trouble.OTHER_CARD, Trouble.INCOMPLETE)


@dataclass(frozen=True)
class KohaCheck:
    facts: SystemFacts
    needs_second_fact = False

    @property
    def asks_pin(self) -> bool:
        return self.facts.asks_pin

    def ask(self, question: Question) -> Answer:
        if self.asks_pin:
            return self._asked(lambda koha: self._proved(koha, question))
        answer = self.look_up(question.number, on=question.on)
        told = self.facts.tells_unknown_cards and answer.outcome != Outcome.CONFIRMED
        # A number that anybody may have found proves nothing, however good it is.
        return answer if told or answer.outcome == Outcome.NO_ANSWER else Answer(Outcome.BY_HAND)

    def look_up(self, number: str, *, on: date) -> Answer:
        return self._asked(lambda koha: _looked_up(koha, number, on))

    def walk(self, question: Question | None) -> Walk:
        """The trial and the card each have the time of one question."""
        at = StepName.LOGIN
        try:
            with opened(self.facts, ends_at=self._ends_at()) as koha:
                self._sign_in(koha)
                at = StepName.STATUS
                self._try_out(koha)
                at, koha.ends_at = StepName.CARD, self._ends_at()
                answer = self._about(koha, question) if question else None
        except KohaFailed as failure:
            return self._stopped(failure, at)
        return Walk(tuple(Step(name) for name in self._steps() if question or name != StepName.CARD), answer)

    def _proved(self, koha: KohaApi, question: Question) -> Answer:
        if not _can_be_pin(question.pin):
            return Answer(Outcome.UNKNOWN_OR_WRONG)
        owner = koha.owner_of(question.number, question.pin)
        if owner is None:
            return self._denied(koha, question.number)
        if owner.card_number != question.number:
            if owner.user_name == question.number:
                # A user name in place of the number, of whoever: nobody has shown a card by it.
                return self._denied(koha, question.number)
            raise KohaFailed(Trouble.OTHER_CARD)
        patron = koha.patron_with(question.number)
        if patron is None:
            raise KohaFailed(Trouble.INCOMPLETE)
        return _worth(patron, question.on)

    def _denied(self, koha: KohaApi, number: str) -> Answer:
        """The same work for a card that is unknown, so that the time it takes tells nothing."""
        if not self.facts.tells_unknown_cards:
            return Answer(Outcome.UNKNOWN_OR_WRONG)
        return Answer(Outcome.WRONG_PIN if koha.patron_with(number) else Outcome.UNKNOWN)

    def _about(self, koha: KohaApi, question: Question) -> Answer:
        return self._proved(koha, question) if question.pin else _looked_up(koha, question.number, question.on)

    def _sign_in(self, koha: KohaApi) -> None:
        if self.facts.oauth:
            koha.sign_in()
        else:
            koha.patron_with(_nobody())

    def _try_out(self, koha: KohaApi) -> None:
        """Both questions, about nobody: a card of a member would show more than it takes."""
        if koha.patron_with(_nobody()) or (self.asks_pin and koha.owner_of(_nobody(), _nobody())):
            raise KohaFailed(Trouble.OTHER_CARD)

    def _asked(self, about: Callable[[KohaApi], Answer]) -> Answer:
        ends_at = self._ends_at()
        try:
            with _places.one_for(self.facts), opened(self.facts, ends_at=ends_at) as koha:
                return about(koha)
        except KohaFailed as failure:
            return Answer(Outcome.NO_ANSWER, trouble=failure.trouble)

    def _stopped(self, failure: KohaFailed, at: StepName) -> Walk:
        at = StepName.STATUS if at == StepName.LOGIN and failure.trouble in _AFTER_LOGIN else at
        last = failure.step or at
        good = (Step(name) for name in self._steps() if _comes_before(name, last))
        answer = Answer(Outcome.NO_ANSWER, trouble=failure.trouble) if at == StepName.CARD else None
        return Walk((*good, Step(last, failure.trouble)), answer)

    def _steps(self) -> list[StepName]:
        encrypted = self.facts.address.lower().startswith("https:")
        return [name for name in StepName if encrypted or name != StepName.TLS]

    def _ends_at(self) -> float:
        return monotonic() + self.facts.timeout_seconds


class _Places:
    """How many questions are under way, by institution: as many as its library allows each process of ours."""

    def __init__(self) -> None:
        self._taken: Counter[int] = Counter()
        self._changed = Condition()

    @contextmanager
    def one_for(self, facts: SystemFacts) -> Iterator[None]:
        """Waits for a place half the time there is: whoever gets one still has time to ask."""
        institution = facts.institution_id

        def has_room() -> bool:
            return self._taken[institution] < facts.most_connections

        with self._changed:
            if not self._changed.wait_for(has_room, timeout=facts.timeout_seconds / 2):
                raise KohaFailed(Trouble.BUSY)
            self._taken[institution] += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken[institution] -= 1
                self._changed.notify_all()


_places = _Places()


def _looked_up(koha: KohaApi, number: str, on: date) -> Answer:
    patron = koha.patron_with(number)
    return _worth(patron, on) if patron else Answer(Outcome.UNKNOWN)


def _worth(patron: Patron, on: date) -> Answer:
    if patron.expires_on is not None and patron.expires_on < on:
        outcome = Outcome.EXPIRED
    elif patron.restricted or patron.card_lost:
        outcome = Outcome.BLOCKED
    else:
        outcome = Outcome.CONFIRMED
    return Answer(outcome, patron.expires_on)


def _can_be_pin(pin: str | None) -> TypeGuard[str]:
    """What cannot is never sent: an empty one might open a card that has none."""
    return pin is not None and bool(pin.strip()) and len(pin) <= _LONGEST_PIN and pin.isprintable()


def _nobody() -> str:
    """A number that no card has."""
    return token_hex(12).upper()


def _comes_before(name: StepName, other: StepName) -> bool:
    order = list(StepName)
    return order.index(name) < order.index(other)
