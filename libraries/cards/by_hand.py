"""Nothing can be asked: a librarian looks the card up."""

from __future__ import annotations

from libraries.cards.checks import Answer, Outcome, Question


class ByHandCheck:
    needs_second_fact = False
    asks_pin = False

    def ask(self, question: Question) -> Answer:
        return Answer(Outcome.BY_HAND)
