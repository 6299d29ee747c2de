"""Prove a card by asking the library's system in SIP2: what its answers mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from time import monotonic

from libraries.cards import sip2, sip2_connection, sip2_pool
from libraries.cards.checks import Answer, Outcome, Question, Step, StepName, Trouble, Walk
from libraries.cards.sip2 import CardStatus, NoCleanAnswer, Request, Unsendable
from libraries.cards.sip2_connection import Connection
from libraries.cards.systems import SystemFacts

Asking = Callable[[Request[CardStatus]], CardStatus]


@dataclass(frozen=True)
class Sip2Check:
    facts: SystemFacts
    needs_second_fact = False

    @property
    def asks_pin(self) -> bool:
        return self.facts.asks_pin

    def ask(self, question: Question) -> Answer:
        """One question to the system, for an unknown card as for a wrong PIN: the time it takes tells nothing. Without
        a PIN where one is needed, none at all."""
        if not self.asks_pin:
            return self._unproved(self.look_up(question.number, on=question.on))
        if not question.pin:
            return self._discreet(Answer(Outcome.WRONG_PIN))
        return self._discreet(self._answer(question.number, question.pin, on=question.on, asking=self._from_pool()))

    def look_up(self, number: str, *, on: date) -> Answer:
        return self._answer(number, None, on=on, asking=self._from_pool())

    def walk(self, question: Question | None) -> Walk:
        """Tells an unknown card from a wrong PIN: only people of the library see this, and a look-up says as much."""
        steps: list[Step] = []
        try:
            answer = self._walk(question, steps, self._ends_at())
        except NoCleanAnswer:
            return Walk(tuple(steps))
        return Walk(tuple(steps), answer)

    def _walk(self, question: Question | None, steps: list[Step], ends_at: float) -> Answer | None:
        facts = self.facts
        with _step(StepName.SETTINGS, steps):
            login = self._checked_settings()
        with _step(StepName.RESOLVE, steps):
            sip2_connection.resolve(facts, ends_at)
        with _step(StepName.CONNECT, steps):
            sock = sip2_connection.reach(facts, ends_at)
        if facts.tls:
            with _step(StepName.TLS, steps):
                sock = sip2_connection.encrypt(sock, facts, ends_at)
        with closing(Connection(sock, checksums=facts.checksums)) as connection:
            if login:
                with _step(StepName.LOGIN, steps):
                    sip2_connection.log_in(connection, login, ends_at)
            with _step(StepName.STATUS, steps):
                sip2_connection.require_status(connection, facts, ends_at)
            return self._walk_card(question, steps, lambda request: connection.ask(request, ends_at))

    def _walk_card(self, question: Question | None, steps: list[Step], asking: Asking) -> Answer | None:
        if question is None:
            return None
        answer = self._answer(question.number, question.pin or None, on=question.on, asking=asking)
        steps.append(Step(StepName.CARD, answer.trouble))
        return answer

    def _checked_settings(self) -> Request[bool] | None:
        """The login, where there is one."""
        if self.facts.missing_secrets:
            raise NoCleanAnswer(Trouble.SECRET_MISSING)
        try:
            self._request("1", None)
            return sip2_connection.login_request(self.facts)
        except Unsendable:
            raise NoCleanAnswer(Trouble.ADDRESS_UNUSABLE) from None

    def _answer(self, number: str, pin: str | None, *, on: date, asking: Asking) -> Answer:
        """What cannot be sent is no card and no PIN of any library, and is not sent."""
        try:
            self._checked_settings()
            card = asking(self._request(number, pin))
            return judge(card, on=on, needs_expiry=self.facts.asks_expiry)
        except Unsendable as refused:
            return Answer(Outcome.WRONG_PIN if refused.field == "AD" else Outcome.UNKNOWN)
        except NoCleanAnswer as failed:
            return Answer(Outcome.NO_ANSWER, trouble=failed.trouble)

    def _request(self, number: str, pin: str | None) -> Request[CardStatus]:
        """Without a PIN in the question that does not demand one (63): systems that follow the letter do not answer 23
        without it, and an empty one is never sent."""
        return sip2.ask_card(
            number=number,
            pin=pin,
            institution_code=self.facts.institution_code,
            terminal_password=self.facts.terminal_secret,
            encoding=self.facts.encoding,
            at=datetime.now(),
            with_expiry=self.facts.asks_expiry or pin is None,
        )

    def _from_pool(self) -> Asking:
        ends_at = self._ends_at()
        return lambda request: sip2_pool.ask(self.facts, request, ends_at)

    def _ends_at(self) -> float:
        return monotonic() + self.facts.timeout_seconds

    def _discreet(self, answer: Answer) -> Answer:
        if answer.outcome in (Outcome.UNKNOWN, Outcome.WRONG_PIN) and not self.facts.tells_unknown_cards:
            return Answer(Outcome.UNKNOWN_OR_WRONG)
        return answer

    def _unproved(self, answer: Answer) -> Answer:
        """A number proves nothing: what the system says of it is told only where the institution chose so."""
        if answer.outcome == Outcome.NO_ANSWER:
            return answer
        told = self.facts.tells_unknown_cards and answer.outcome != Outcome.CONFIRMED
        return answer if told else Answer(Outcome.BY_HAND)


def judge(card: CardStatus, *, on: date, needs_expiry: bool) -> Answer:
    """Nothing but UNKNOWN or WRONG_PIN before the PIN was right. Raises NoCleanAnswer for an expiry that is needed and
    missing, or no date.

    An expired card has its first four flags set, like one that the library has barred by hand: where no last day is
    told, and nothing else is set, it is taken for expired, which is the commoner by far. Both lead to the desk. A
    system that sets the second to fourth flag alone knows no holds or recalls: that says nothing of the card.
    """
    if not card.is_known:
        return Answer(Outcome.UNKNOWN)
    if card.is_proved is False:
        return Answer(Outcome.WRONG_PIN)
    if needs_expiry and card.expires is None:
        raise NoCleanAnswer(Trouble.INCOMPLETE)
    last_day = card.last_day
    if card.is_barred:
        return Answer(Outcome.BLOCKED)
    if (last_day is not None and last_day < on) or (card.expires is None and card.is_denied_all):
        return Answer(Outcome.EXPIRED, last_day)
    if not card.may_borrow:
        return Answer(Outcome.BLOCKED)
    return Answer(Outcome.CONFIRMED, last_day)


@contextmanager
def _step(name: StepName, steps: list[Step]) -> Iterator[None]:
    try:
        yield
    except NoCleanAnswer as failed:
        steps.append(Step(name, failed.trouble))
        raise
    steps.append(Step(name))
