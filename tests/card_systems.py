"""A library system that answers as a test says, in place of the network; for what is made of its answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from libraries.cards import registry
from libraries.cards.checks import Answer, Outcome, Question, Step, StepName, Walk
from libraries.cards.systems import SystemFacts

PIN = "1234"


class AnsweringSystem:
    """Every card is good until it is given another answer; every PIN but `PIN` is wrong. Remembers what was asked."""

    needs_second_fact = False

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.otherwise = Answer(Outcome.CONFIRMED)
        self.asked: list[Question] = []
        self.looked_up: list[str] = []
        self.while_asking: Callable[[], object] = lambda: None
        self.facts: SystemFacts | None = None

    @property
    def asks_pin(self) -> bool:
        return self.facts is None or self.facts.asks_pin

    def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        self.while_asking()
        answer = self._answer(question.number)
        if not self.asks_pin and answer.outcome != Outcome.NO_ANSWER:
            return Answer(Outcome.BY_HAND)
        if answer.outcome != Outcome.NO_ANSWER and question.pin != PIN:
            return Answer(Outcome.UNKNOWN_OR_WRONG)
        return answer

    def look_up(self, number: str, *, on: date) -> Answer:
        self.looked_up.append(number)
        self.while_asking()
        return self._answer(number)

    def walk(self, question: Question | None) -> Walk:
        self.while_asking()
        if question is None:
            return Walk((Step(StepName.CONNECT, self.otherwise.trouble),))
        return Walk((Step(StepName.CONNECT),), self._answer(question.number))

    def _answer(self, number: str) -> Answer:
        return self.answers.get(number, self.otherwise)


def answer_in_place_of(kind: str, monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    """From now on, institutions of this kind ask the system that is given back."""
    system = AnsweringSystem()

    def make(facts: SystemFacts) -> AnsweringSystem:
        system.facts = facts
        return system

    monkeypatch.setitem(registry._SYSTEMS, kind, make)
    return system
