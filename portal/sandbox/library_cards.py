"""The cards that the sandbox's library system knows: made up, the same in every demo, of every condition there is."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from portal.sandbox.demo_names import FIRST_NAMES, LAST_NAMES

FIRST_NUMBER = 28_500_001
# So many of the good ones belong to nobody in the demo.
TO_TRY = 24
ENCODING = "cp850"


class Condition(StrEnum):
    GOOD = "good"
    CHILD = "child"
    EXPIRED = "expired"
    # Its flags are those of a good card: only its date tells, to who asks for it.
    OVER = "over"
    BLOCKED = "blocked"
    LOST = "lost"
    FINES = "fines"
    # Somebody who moved away: no longer a valid patron, with the right PIN.
    GONE = "gone"
    # As some systems have them: such a card takes an empty PIN for the right one.
    WITHOUT_PIN = "without_pin"


HOW_MANY = {
    Condition.GOOD: 224,
    Condition.CHILD: 16,
    Condition.EXPIRED: 16,
    Condition.OVER: 8,
    Condition.BLOCKED: 16,
    Condition.LOST: 16,
    Condition.FINES: 8,
    Condition.GONE: 8,
    Condition.WITHOUT_PIN: 8,
}
# Of the fourteen flags: charge, renewal, recall and hold denied; card lost; excessive fines.
FLAGS = {
    Condition.EXPIRED: "YYYY          ",
    Condition.BLOCKED: "YYYY          ",
    Condition.LOST: "YYYYY         ",
    Condition.FINES: "          Y   ",
    Condition.GONE: "YYYY          ",
}
NO_FLAGS = " " * 14
SAYS = {
    Condition.EXPIRED: "Lidmaatschap verlopen",
    Condition.BLOCKED: "Kaart geblokkeerd, meld je aan de balie",
    Condition.LOST: "Kaart verloren gemeld",
    Condition.FINES: "Te veel boetes",
}


@dataclass(frozen=True)
class LibraryCard:
    """`pin` is empty for a card that has none. `days_left`: until its last day, negative when that is over."""

    number: str
    pin: str
    condition: Condition
    name: str
    born: date
    days_left: int

    @property
    def is_valid(self) -> bool:
        return self.condition != Condition.GONE

    @property
    def flags(self) -> str:
        return FLAGS.get(self.condition, NO_FLAGS)

    @property
    def says(self) -> tuple[str, ...]:
        """What a self-service machine would show on its screen."""
        return (SAYS[self.condition],) if self.condition in SAYS else ()

    def valid_until(self, today: date) -> date:
        return today + timedelta(days=self.days_left)


def _make_cards() -> Iterator[LibraryCard]:
    dice = random.Random(8500)
    first, last = ([name for name in names if _can_be_written(name)] for names in (FIRST_NAMES, LAST_NAMES))
    conditions = [condition for condition, count in HOW_MANY.items() for _ in range(count)]
    for number, condition in enumerate(conditions, FIRST_NUMBER):
        year = dice.randint(2013, 2018) if condition == Condition.CHILD else dice.randint(1936, 2006)
        is_over = condition in (Condition.EXPIRED, Condition.OVER)
        pin = f"{dice.randint(0, 9999):04}"
        yield LibraryCard(
            number=str(number),
            pin="" if condition == Condition.WITHOUT_PIN else pin,
            condition=condition,
            name=f"{dice.choice(first)} {dice.choice(last)}",
            born=date(year, dice.randint(1, 12), dice.randint(1, 28)),
            days_left=-dice.randint(1, 300) if is_over else dice.randint(30, 700),
        )


def _can_be_written(name: str) -> bool:
    return name.encode(ENCODING, errors="ignore").decode(ENCODING) == name


CARDS = {card.number: card for card in _make_cards()}


def cards_of(condition: Condition) -> list[LibraryCard]:
    return [card for card in CARDS.values() if card.condition == condition]
