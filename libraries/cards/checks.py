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
    WRONG_PIN = "wrong_pin"
    # Told only after the right PIN or second fact.
    EXPIRED = "expired"
    BLOCKED = "blocked"
    # A librarian must look.
    BY_HAND = "by_hand"
    # The library's system is down or too slow: ask again later.
    NO_ANSWER = "no_answer"


class StepName(StrEnum):
    """What asking a library's system takes, in this order; a way that has no such step leaves it out."""

    SETTINGS = "settings"
    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    LOGIN = "login"
    STATUS = "status"
    CARD = "card"


class Trouble(StrEnum):
    """Why a step failed, as far as it can be told apart; the workplace says who can mend it."""

    SECRET_MISSING = "secret_missing"
    ADDRESS_UNUSABLE = "address_unusable"
    ADDRESS_FORBIDDEN = "address_forbidden"
    NAME_UNKNOWN = "name_unknown"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    CLOSED = "closed"
    TLS_EXPIRED = "tls_expired"
    TLS_OTHER_NAME = "tls_other_name"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_FAILED = "tls_failed"
    LOGIN_REFUSED = "login_refused"
    NOT_ALLOWED = "not_allowed"
    OFFLINE = "offline"
    CANNOT_ASK = "cannot_ask"
    GARBLED = "garbled"
    OTHER_CARD = "other_card"
    INCOMPLETE = "incomplete"
    BUSY = "busy"
    SYSTEM_ERROR = "system_error"


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
    """`valid_until` is the last day on which the card is good; None where it has no end or none is known.

    `trouble` says why there is none, beside NO_ANSWER only.
    """

    outcome: Outcome
    valid_until: date | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True)
class Step:
    name: StepName
    trouble: Trouble | None = None

    @property
    def is_good(self) -> bool:
        return self.trouble is None


@dataclass(frozen=True)
class Walk:
    """The steps of asking, up to the first that failed, and the answer where a card was asked about."""

    steps: tuple[Step, ...]
    answer: Answer | None = None


class CardCheck(Protocol):
    @property
    def needs_second_fact(self) -> bool:
        """Whether the card form must ask for one beside the number and the names."""

    @property
    def asks_pin(self) -> bool: ...

    def ask(self, question: Question) -> Answer:
        """May take seconds where another system is asked: never call it inside a transaction."""


class AskedSystem(CardCheck, Protocol):
    """A card check that asks another system over the network. None of its methods raises for what that system does:
    whatever goes wrong there is NO_ANSWER with its trouble, within the time that the settings allow."""

    def look_up(self, number: str, *, on: date) -> Answer:
        """Without a PIN: CONFIRMED for a card that is known and good, which does not say whose it is; UNKNOWN,
        EXPIRED, BLOCKED or NO_ANSWER. For checking a proved card again, and for librarians; never for a stranger."""

    def walk(self, question: Question | None) -> Walk:
        """Ask on a connection of its own, step by step; without a question, all but the card. A question without a
        PIN is a look-up."""
