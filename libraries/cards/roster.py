"""Prove a card with a list of valid cards: the number together with a second fact, never the number alone."""

from __future__ import annotations

import hmac
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date

from libraries.cards.checks import Answer, Outcome, Question
from libraries.cards.numbers import contains_national_number

BIRTH_DATE = "birth_date"
LAST_NAME = "last_name"

_MAX_TYPED = 200
_ISO = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})")
_DAY_FIRST = re.compile(r"([0-9]{1,2})([-/. ])([0-9]{1,2})\2([0-9]{4})")
# Letters that Unicode does not take apart into a letter and an accent.
_PLAIN = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "ħ": "h",
        "ı": "i",
        "ŀ": "l",
        "ŧ": "t",
    }
)


class InvalidFact(ValueError):
    """`code` is one of bad_date, future_date, bad_last_name, national_number."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class RosterFacts:
    """What the list says about one number; `fact_hash` is empty where it holds no second fact."""

    valid_until: date | None
    fact_hash: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class RosterCheck:
    """`facts` is None for a number that is not on the list; `kind` is the institution's kind of second fact."""

    facts: RosterFacts | None
    kind: str
    institution_id: int
    key: bytes = field(repr=False)
    tells_unknown_cards: bool = False
    asks_pin = False

    @property
    def needs_second_fact(self) -> bool:
        """The last name is asked of everybody; a date of birth only where the list holds it."""
        return self.kind == BIRTH_DATE

    def ask(self, question: Question) -> Answer:
        """Raises `InvalidFact` for a second fact that cannot be one (an impossible or future date, …)."""
        right = self._is_right(question)
        if self.facts is None:
            return Answer(Outcome.UNKNOWN if self.tells_unknown_cards else Outcome.UNKNOWN_OR_WRONG)
        if not self.facts.fact_hash:
            return Answer(Outcome.BY_HAND)
        if not right:
            return Answer(Outcome.WRONG_FACT if self.tells_unknown_cards else Outcome.UNKNOWN_OR_WRONG)
        return Answer(self._outcome_on(question.on), self.facts.valid_until)

    def _is_right(self, question: Question) -> bool:
        """The same work for a card that is unknown, so that the time it takes tells nothing."""
        fact = normalize_fact(self.kind, self._typed(question), on=question.on)
        hashed = hash_fact(self.key, self.institution_id, question.number, self.kind, fact)
        expected = self.facts.fact_hash if self.facts else ""
        return hmac.compare_digest(hashed, expected or "-" * 64) and bool(fact)

    def _typed(self, question: Question) -> str:
        if self.kind == LAST_NAME:
            return question.second_fact or question.last_name
        return question.second_fact or ""

    def _outcome_on(self, day: date) -> Outcome:
        assert self.facts is not None
        expired = self.facts.valid_until is not None and self.facts.valid_until < day
        return Outcome.EXPIRED if expired else Outcome.CONFIRMED


def normalize_fact(kind: str, text: str, *, on: date) -> str:
    """The fact as it is hashed; empty for an empty text. Raises `InvalidFact`."""
    text = text.strip()
    if not text:
        return ""
    return birth_date(text, on=on).isoformat() if kind == BIRTH_DATE else _last_name(text)


def hash_fact(key: bytes, institution_id: int, number: str, kind: str, fact: str) -> str:
    """64 hexadecimal digits. The number is in it, so that equal birthdays on one list do not show."""
    message = f"{institution_id}\0{number}\0{kind}\0{fact}".encode()
    return hmac.digest(key, message, "sha256").hex()


def birth_date(text: str, *, on: date) -> date:
    """Raises `InvalidFact`: bad_date for what is no date since 1900, future_date for one after `on`."""
    born = parse_date(text)
    if born is None or born.year < 1900:
        raise InvalidFact("bad_date")
    if born > on:
        raise InvalidFact("future_date")
    return born


def parse_date(text: str) -> date | None:
    """1993-05-18, or the day first: 18/05/1993, 18-5-1993, 18.05.1993, 18 05 1993; None for anything else.

    A year of two digits is refused: 05-06-07 has no sure meaning, and 18-5-23 may be a child or a centenarian.
    """
    if iso := _ISO.fullmatch(text):
        year, _, month, day = iso.groups()
    elif day_first := _DAY_FIRST.fullmatch(text):
        day, _, month, year = day_first.groups()
    else:
        return None
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _last_name(text: str) -> str:
    """Without case, accents, spaces, hyphens and apostrophes: people type their own name in many ways."""
    if len(text) > _MAX_TYPED:
        raise InvalidFact("bad_last_name")
    if contains_national_number(text):
        raise InvalidFact("national_number")
    name = "".join(filter(str.isalnum, text.lower())) if text.isascii() else folded(text)
    if not name:
        raise InvalidFact("bad_last_name")
    return name


def folded(text: str) -> str:
    """Vowel signs of scripts that write them as marks stay; accents go."""
    apart = unicodedata.normalize("NFKD", text.casefold().translate(_PLAIN))
    letters = (character for character in apart if not unicodedata.combining(character))
    return "".join(character for character in letters if unicodedata.category(character)[0] in "LNM").casefold()
