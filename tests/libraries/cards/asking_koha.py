"""Questions to the small Koha of the tests, what they should be answered, and how it may fail."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import date
from time import sleep

from libraries.cards.checks import Answer, Outcome, Question, Step, StepName, Trouble
from libraries.cards.koha import KohaCheck
from libraries.cards.systems import SystemFacts
from tests.libraries.cards.koha_server import LOGIN, SECRET, Fault, Handler

TODAY = date(2026, 7, 1)
LAST_DAY = date(2099, 12, 31)
GOOD = Answer(Outcome.CONFIRMED, LAST_DAY)
QUESTION = Question(number="2100", last_name="Peeters", on=TODAY, pin="1234")
PATRON = {"cardnumber": "2100", "expiry_date": None, "restricted": False, "patron_card_lost": False}
# Without TLS.
PLAIN_STEPS = [StepName.SETTINGS, StepName.RESOLVE, StepName.CONNECT, StepName.LOGIN, StepName.STATUS, StepName.CARD]


def check_at(url: str, **changes: object) -> KohaCheck:
    """`timeout_seconds` may be a fraction here, for the sake of time."""
    facts = SystemFacts(institution_id=1, address=url, login=LOGIN, login_secret=SECRET, private=True)
    return KohaCheck(replace(facts, **changes))  # type: ignore[arg-type]


def no_answer(trouble: Trouble) -> Answer:
    return Answer(Outcome.NO_ANSWER, trouble=trouble)


def walked(*names: StepName, failed: Trouble | None = None) -> tuple[Step, ...]:
    """All good but the last."""
    return (*map(Step, names[:-1]), Step(names[-1], failed))


def saying(said: bytes) -> Fault:
    def fault(handler: Handler) -> bool:
        handler.wfile.write(said)
        handler.close_connection = True
        return True

    return fault


def dripping(start: bytes, piece: bytes) -> Fault:
    def fault(handler: Handler) -> bool:
        with suppress(OSError):
            handler.wfile.write(start)
            for _ in range(30):
                sleep(0.05)
                handler.wfile.write(piece)
        handler.close_connection = True
        return True

    return fault


def only(path: str, fault: Fault) -> Fault:
    return lambda handler: path in handler.path and fault(handler)


def answering(status: int, found: object = b"") -> Fault:
    """To every question."""

    def fault(handler: Handler) -> bool:
        handler.answer(status, found)
        return True

    return fault


def slow(seconds: float) -> Fault:
    def fault(handler: Handler) -> bool:
        sleep(seconds)
        return False

    return fault
