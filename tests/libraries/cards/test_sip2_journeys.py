"""The SIP2 check against the sandbox's library system over real sockets: every condition, every fault, and after it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from libraries.cards import sip2_pool
from libraries.cards.checks import Answer, Outcome, Question, Step, StepName, Trouble
from libraries.cards.sip2_check import Sip2Check
from libraries.cards.systems import SystemFacts
from portal.sandbox.library_cards import LibraryCard, cards_of
from tests.library_server import (
    INSTITUTION,
    LOCATION,
    PASSWORD,
    USER,
    Condition,
    Kind,
    RunningLibrary,
    a_card,
    running_library,
)

TODAY = date.today()  # the system's own clock is that of the machine
SECONDS, MARGIN = 1, 0.4
NO_ANSWER = Outcome.NO_ANSWER


@pytest.fixture
def library(tmp_path: Path) -> Iterator[RunningLibrary]:
    with running_library(tmp_path, slow=0.2) as running:
        yield running
        sip2_pool.close_all()


def check_at(library: RunningLibrary, **facts: object) -> Sip2Check:
    defaults: dict[str, object] = {
        "institution_id": 1,
        "address": "127.0.0.1",
        "port": library.port,
        "tls": False,
        "institution_code": INSTITUTION,
        "location": LOCATION,
        "login": USER,
        "login_secret": PASSWORD,
        "timeout_seconds": SECONDS,
        "private": True,
    }
    return Sip2Check(SystemFacts(**(defaults | facts)))  # type: ignore[arg-type]


def asking(card: LibraryCard, pin: str | None = None) -> Question:
    return Question(number=card.number, last_name="", on=TODAY, pin=card.pin if pin is None else pin)


# --- Cards ---

UNKNOWN = Outcome.UNKNOWN_OR_WRONG
CONFIRMED, EXPIRED, BLOCKED = Outcome.CONFIRMED, Outcome.EXPIRED, Outcome.BLOCKED


@pytest.mark.parametrize(
    ("condition", "by_flags", "by_expiry"),
    [
        (Condition.GOOD, CONFIRMED, CONFIRMED),
        (Condition.CHILD, CONFIRMED, CONFIRMED),
        (Condition.EXPIRED, EXPIRED, EXPIRED),
        # What the flags do not say is found only where the expiry is asked.
        (Condition.OVER, CONFIRMED, EXPIRED),
        # Flags like those of an expired card: only its date tells the two apart.
        (Condition.BLOCKED, EXPIRED, BLOCKED),
        (Condition.LOST, BLOCKED, BLOCKED),
        (Condition.FINES, BLOCKED, BLOCKED),
        (Condition.GONE, UNKNOWN, UNKNOWN),
    ],
)
def test_every_condition_is_told_after_the_right_pin_alone(
    condition: Condition, by_flags: Outcome, by_expiry: Outcome, library: RunningLibrary
) -> None:
    flags, expiry = check_at(library), check_at(library, institution_id=2, asks_expiry=True)
    for card in cards_of(condition)[:8]:
        assert flags.ask(asking(card)) == Answer(by_flags)
        answer = expiry.ask(asking(card))
        told = card.valid_until(TODAY) if by_expiry in (CONFIRMED, EXPIRED) else None
        assert answer == Answer(by_expiry, told)
        assert {check.ask(asking(card, "wrong")) for check in (flags, expiry)} == {Answer(UNKNOWN)}


def test_unknown_card_and_wrong_pin_are_told_apart_only_where_the_institution_wishes(library: RunningLibrary) -> None:
    unknown = Question(number="28599999", last_name="", on=TODAY, pin="1234")
    discreet, plain = check_at(library), check_at(library, tells_unknown_cards=True)
    assert {discreet.ask(each) for each in (unknown, asking(a_card(), "wrong"))} == {Answer(UNKNOWN)}
    assert plain.ask(unknown) == Answer(Outcome.UNKNOWN)
    assert plain.ask(asking(a_card(), "wrong")) == Answer(Outcome.WRONG_PIN)


def test_empty_pin_is_not_sent_to_a_system_that_would_take_it(library: RunningLibrary) -> None:
    card = a_card(Condition.WITHOUT_PIN)
    for pin in ("", " ", "\t"):
        assert check_at(library).ask(asking(card, pin)) == Answer(UNKNOWN)
    assert library.questions() == 0
    assert check_at(library).ask(asking(card, "0000")) == Answer(UNKNOWN)
    assert library.questions() == 1


@pytest.mark.parametrize("mark", ["|", "\r", "\n", "\x00", "|AD", "\rAY1AZ", "€", "x" * 10_000], ids=repr)
def test_what_could_be_a_second_field_or_message_is_not_sent(mark: str, library: RunningLibrary) -> None:
    card = a_card()
    asked = [asking(card, card.pin + mark), Question(number=card.number + mark, last_name="", on=TODAY, pin=card.pin)]
    assert [check_at(library).ask(each) for each in asked] == [Answer(UNKNOWN), Answer(UNKNOWN)]
    assert library.heard == []


def test_look_up_sends_no_pin_and_proves_nothing_of_the_holder(library: RunningLibrary) -> None:
    check = check_at(library, asks_expiry=True)
    wanted = {
        Condition.GOOD: CONFIRMED,
        Condition.CHILD: CONFIRMED,
        Condition.EXPIRED: EXPIRED,
        Condition.OVER: EXPIRED,
        Condition.BLOCKED: BLOCKED,
        Condition.LOST: BLOCKED,
        Condition.GONE: Outcome.UNKNOWN,
        Condition.WITHOUT_PIN: CONFIRMED,
    }
    assert {each: check.look_up(a_card(each).number, on=TODAY).outcome for each in wanted} == wanted
    assert check.look_up("28599999", on=TODAY) == Answer(Outcome.UNKNOWN)
    assert b"|AD" not in b"".join(library.heard)


# --- Faults, on a connection that is new and on one that is kept ---

BOTH = {
    Kind.DOWN: Answer(NO_ANSWER, trouble=Trouble.REFUSED),
    Kind.SLOW: Answer(CONFIRMED),
    Kind.NEVER_ANSWERS: Answer(NO_ANSWER, trouble=Trouble.TIMED_OUT),
    Kind.DRIPS: Answer(NO_ANSWER, trouble=Trouble.TIMED_OUT),
    Kind.CLOSES_AFTER_LOGIN: Answer(NO_ANSWER, trouble=Trouble.CLOSED),
    Kind.CUT_FRAME: Answer(NO_ANSWER, trouble=Trouble.GARBLED),
    Kind.TWO_FRAMES: Answer(NO_ANSWER, trouble=Trouble.GARBLED),
    Kind.TOO_LONG: Answer(NO_ANSWER, trouble=Trouble.GARBLED),
    Kind.GARBAGE: Answer(NO_ANSWER, trouble=Trouble.GARBLED),
    Kind.BAD_CHECKSUM: Answer(NO_ANSWER, trouble=Trouble.GARBLED),
    Kind.WRONG_SEQUENCE: Answer(NO_ANSWER, trouble=Trouble.GARBLED),
    Kind.OTHER_CARD: Answer(NO_ANSWER, trouble=Trouble.OTHER_CARD),
    Kind.MISSING_CQ: Answer(NO_ANSWER, trouble=Trouble.INCOMPLETE),
    # Found by the self-test alone, which asks for the status.
    Kind.OFFLINE: Answer(CONFIRMED),
}
# On a connection that is logged in already.
KEPT = BOTH | {Kind.CLOSES_AFTER_LOGIN: Answer(CONFIRMED)}


def test_every_fault_has_its_expected_answer() -> None:
    assert set(BOTH) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_fault_from_the_first_moment_is_told_in_time_and_over_at_once(kind: Kind, library: RunningLibrary) -> None:
    check = check_at(library)
    library.fault(kind)
    assert answer_in_time(check, a_card()) == BOTH[kind]
    library.fault(None)
    assert check.ask(asking(a_card())) == Answer(CONFIRMED)


@pytest.mark.parametrize("kind", Kind)
def test_fault_on_kept_connections_is_told_in_time_and_over_at_once(kind: Kind, library: RunningLibrary) -> None:
    """Several connections are kept; none of them brings the answer to another's question afterwards."""
    check = check_at(library)
    cards = cards_of(Condition.GOOD)[:3]
    with ThreadPoolExecutor(3) as threads:
        assert set(threads.map(check.ask, map(asking, cards))) == {Answer(CONFIRMED)}
        library.fault(kind)
        assert list(threads.map(lambda card: answer_in_time(check, card), cards)) == [KEPT[kind]] * 3
        library.fault(None)
        mixed = [*cards, a_card(Condition.LOST), a_card(Condition.EXPIRED)]
        answers = [answer.outcome for answer in threads.map(check.ask, map(asking, mixed))]
    assert answers == [CONFIRMED, CONFIRMED, CONFIRMED, BLOCKED, EXPIRED]
    assert until_open(library, 3)


@pytest.mark.parametrize("kind", [Kind.OTHER_CARD, Kind.MISSING_CQ, Kind.TWO_FRAMES])
@pytest.mark.parametrize("checksums", [True, False])
def test_fault_lets_nobody_in_with_a_wrong_pin(kind: Kind, checksums: bool, library: RunningLibrary) -> None:
    check = check_at(library, checksums=checksums)
    assert check.ask(asking(a_card())) == Answer(CONFIRMED)
    library.fault(kind)
    for _ in range(2):
        assert check.ask(asking(a_card(), "wrong")).outcome in (NO_ANSWER, UNKNOWN)
    library.fault(None)
    assert check.ask(asking(a_card(), "wrong")) == Answer(UNKNOWN)


def test_restart_of_the_system_is_not_noticed(library: RunningLibrary) -> None:
    check = check_at(library)
    assert check.ask(asking(a_card())) == Answer(CONFIRMED)
    library.fault(Kind.DOWN)
    library.fault(None)
    assert check.ask(asking(a_card())) == Answer(CONFIRMED)
    assert library.questions("93") == 2


def until_open(library: RunningLibrary, most: int) -> bool:
    """Whether no more connections than this stay open: the system sees a moment later that one was closed."""
    until = time.monotonic() + 2
    while library.server.connections > most and time.monotonic() < until:
        time.sleep(0.02)
    return library.server.connections <= most


def answer_in_time(check: Sip2Check, card: LibraryCard) -> Answer:
    began = time.monotonic()
    answer = check.ask(asking(card))
    assert time.monotonic() - began < SECONDS + MARGIN
    return answer


# --- Many at once, and step by step ---


def test_many_at_once_keep_to_the_limit_and_each_gets_the_answer_about_their_card(tmp_path: Path) -> None:
    """The system closes a fifth connection at once, so that one too many would be seen."""
    some = [card for condition in (Condition.GOOD, Condition.LOST, Condition.EXPIRED) for card in cards_of(condition)]
    cards = some[-48:] + some[:24]
    wanted = {Condition.GOOD: CONFIRMED, Condition.LOST: BLOCKED, Condition.EXPIRED: EXPIRED}
    with running_library(tmp_path, seconds=0.01, most_connections=4) as library, ThreadPoolExecutor(24) as threads:
        check = check_at(library, most_connections=4, timeout_seconds=5)
        answers = [answer.outcome for answer in threads.map(check.ask, map(asking, cards))]
        assert answers == [wanted[card.condition] for card in cards]
        assert library.questions() == len(cards)
        assert library.questions("93") <= 4
        sip2_pool.close_all()


STEPS = [StepName.SETTINGS, StepName.RESOLVE, StepName.CONNECT, StepName.LOGIN, StepName.STATUS, StepName.CARD]


def walked(until: StepName, trouble: Trouble | None = None) -> tuple[Step, ...]:
    steps = STEPS[: STEPS.index(until) + 1]
    return (*map(Step, steps[:-1]), Step(until, trouble))


def test_walk_goes_all_the_way_and_needs_no_card(library: RunningLibrary) -> None:
    check = check_at(library, asks_expiry=True)
    assert check.walk(None).steps == walked(StepName.STATUS)
    walk = check.walk(asking(a_card()))
    assert (walk.steps, walk.answer) == (walked(StepName.CARD), Answer(CONFIRMED, a_card().valid_until(TODAY)))


@pytest.mark.parametrize(
    ("kind", "until", "trouble"),
    [
        (Kind.DOWN, StepName.CONNECT, Trouble.REFUSED),
        (Kind.NEVER_ANSWERS, StepName.LOGIN, Trouble.TIMED_OUT),
        (Kind.GARBAGE, StepName.LOGIN, Trouble.GARBLED),
        (Kind.CLOSES_AFTER_LOGIN, StepName.STATUS, Trouble.CLOSED),
        (Kind.OFFLINE, StepName.STATUS, Trouble.OFFLINE),
        (Kind.OTHER_CARD, StepName.CARD, Trouble.OTHER_CARD),
        (Kind.MISSING_CQ, StepName.CARD, Trouble.INCOMPLETE),
    ],
)
def test_walk_ends_at_the_step_that_fails(
    kind: Kind, until: StepName, trouble: Trouble, library: RunningLibrary
) -> None:
    library.fault(kind)
    assert check_at(library).walk(asking(a_card())).steps == walked(until, trouble)


def test_wrong_password_of_the_portal_is_told_as_such(library: RunningLibrary) -> None:
    check = check_at(library, login_secret="wrong")
    assert check.walk(None).steps == walked(StepName.LOGIN, Trouble.LOGIN_REFUSED)
    assert check.ask(asking(a_card())) == Answer(NO_ANSWER, trouble=Trouble.LOGIN_REFUSED)
