"""How often a PIN or a second fact may be wrong, exactly: for a card, from a network address, at an institution."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from libraries import limits
from libraries.cards.checks import Outcome

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Of(StrEnum):
    CARD = "card"
    ADDRESS = "address"
    INSTITUTION = "institution"


# Wrong tries, and in how long: whoever has used up the hour's waits until it is over, then until the day is. Behind one
# address there may be a whole library of people; of an institution, a city on its first day.
MOST: dict[Of, tuple[tuple[int, timedelta], ...]] = {
    Of.CARD: ((5, HOUR), (10, DAY)),
    Of.ADDRESS: ((20, HOUR), (60, DAY)),
    Of.INSTITUTION: ((500, HOUR), (2000, DAY)),
}


# After the right PIN or second fact.
_RIGHT = (Outcome.CONFIRMED, Outcome.EXPIRED, Outcome.BLOCKED)
_NOTHING_TOLD = (None, Outcome.BY_HAND, Outcome.NO_ANSWER)


class TooManyGuesses(Exception):
    """`of` says what was guessed at too often, `wait` how long it takes at most until it may be tried again."""

    def __init__(self, of: Of, wait: timedelta) -> None:
        super().__init__(of)
        self.of, self.wait = of, wait


@dataclass(frozen=True)
class Guess:
    """One try, counted before it is looked at: of many at the same time, no more than allowed are looked at."""

    keys: tuple[tuple[Of, str, timedelta], ...] = field(repr=False)
    at: datetime

    def settle(self, outcome: Outcome | None) -> None:
        """By what was said of it; None where nothing was."""
        if outcome in _RIGHT:
            self.was_right()
        elif outcome in _NOTHING_TOLD:
            self.was_none()

    def was_right(self) -> None:
        """Whoever knows the PIN of a card has not guessed at it. A right card takes nothing off the others: else
        somebody's own card would buy new tries."""
        for of, key, per in self.keys:
            if of == Of.CARD:
                limits.clear(*_key(of, key, per))
        self._give_back(*(each for each in self.keys if each[0] != Of.CARD))

    def was_none(self) -> None:
        """Nothing was learned: there was no answer, or it did not depend on the guess."""
        self._give_back(*self.keys)

    def _give_back(self, *keys: tuple[Of, str, timedelta]) -> None:
        for of, key, per in keys:
            limits.give_back(*_key(of, key, per), per=per, now=self.at)


def begin(*, institution_id: int, number: str, address: str, now: datetime) -> Guess:
    """Count a try at a normalized number from a network address. Raises TooManyGuesses, and has then counted nothing.

    Call it outside a transaction. A number that does not exist is counted like one that does.
    """
    names = {Of.CARD: f"{institution_id} {number}", Of.ADDRESS: address, Of.INSTITUTION: str(institution_id)}
    counted: list[tuple[Of, str, timedelta]] = []
    for of, rules in MOST.items():
        for most, per in rules:
            if not limits.allow(*_key(of, names[of], per), limit=most, per=per, now=now):
                Guess(tuple(counted), now).was_none()
                raise TooManyGuesses(of, per)
            counted.append((of, names[of], per))
    return Guess(tuple(counted), now)


def _key(of: Of, name: str, per: timedelta) -> tuple[str, ...]:
    return ("wrong at", of, name, str(per // HOUR))
