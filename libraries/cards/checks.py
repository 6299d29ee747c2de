"""What every way of proving a card is asked, and what it may answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Protocol


class Outcome(StrEnum):
    CONFIRMED = "confirmed"
    # An unknown card and a wrong PIN or second fact, told alike so that nobody can find out which numbers exist.
    UNKNOWN_OR_WRONG = "unknown_or_wrong"
    # The two apart, only where the institution chose so.
    UNKNOWN = "unknown"
    WRONG_FACT = "wrong_fact"
    # Told only after the right PIN or second fact.
    EXPIRED = "expired"
    BLOCKED = "blocked"
    # A librarian must look.
    BY_HAND = "by_hand"
    # The library's system is down or too slow: ask again later.
    NO_ANSWER = "no_answer"


@dataclass(frozen=True, kw_only=True)
class Question:
    """One person's claim on a card, never written to a log: what identifies them is kept out of its text form.

    `number` is normalized. `pin` is used once, in memory. `second_fact` is as it was typed.
    """

    number: str = field(repr=False)
    last_name: str = field(repr=False)
    on: date
    pin: str | None = field(default=None, repr=False)
    second_fact: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Answer:
    """`valid_until` is the last day on which the card is good; None where it has no end or none is known."""

    outcome: Outcome
    valid_until: date | None = None


class CardCheck(Protocol):
    @property
    def needs_second_fact(self) -> bool:
        """Whether the card form must ask for one beside the number and the names."""

    @property
    def asks_pin(self) -> bool: ...

    def ask(self, question: Question) -> Answer:
        """May take seconds where another system is asked: never call it inside a transaction."""
