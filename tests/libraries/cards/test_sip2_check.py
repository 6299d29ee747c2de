"""What the answers of a library's system mean: every rule with a card that would get in without it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest

from libraries.cards import sip2_pool
from libraries.cards.checks import Answer, Outcome, Question, Trouble
from libraries.cards.sip2 import CardStatus, NoCleanAnswer
from libraries.cards.sip2_check import Sip2Check, judge
from tests.sip2_server import NO_FLAGS, Sip2Server, answering, patron, serving, value

ON = date(2026, 7, 1)
QUESTION = Question(number="2100", pin="1234", last_name="Peeters", on=ON)
CONFIRMED, BY_HAND, UNKNOWN, WRONG_PIN, UNKNOWN_OR_WRONG, EXPIRED, BLOCKED = map(
    Answer,
    [
        Outcome.CONFIRMED,
        Outcome.BY_HAND,
        Outcome.UNKNOWN,
        Outcome.WRONG_PIN,
        Outcome.UNKNOWN_OR_WRONG,
        Outcome.EXPIRED,
        Outcome.BLOCKED,
    ],
)
GOOD_UNTIL, EXPIRED_ON = Answer(Outcome.CONFIRMED, date(2050, 12, 31)), Answer(Outcome.EXPIRED, date(2026, 6, 30))
DENIED = "YYYY" + " " * 10
NAMES = [
    "charge denied",
    "renewal denied",
    "recall denied",
    "hold denied",
    "card lost",
    "too many charged",
    "too many overdue",
    "too many renewals",
    "too many claims returned",
    "too many lost",
    "excessive fines",
    "excessive fees",
    "recall overdue",
    "too many billed",
]


@pytest.fixture(autouse=True)
def _no_connection_is_left() -> Iterator[None]:
    yield
    sip2_pool.close_all()


def flagged(*names: str) -> str:
    return "".join("Y" if name in names else " " for name in NAMES)


def judged(
    *, is_known: bool = True, is_proved: bool | None = True, flags: str = NO_FLAGS, pa: str | None = None
) -> Answer:
    return judge(CardStatus(is_known, is_proved, flags, pa), on=ON, needs_expiry=False)


def library(question: bytes) -> str:
    """Card 2100 with PIN 1234, good until the end of 2050, 2101 expired and 2102 blocked; all other cards unknown."""
    number, pin = value(question, b"AA"), value(question, b"AD")
    code = "64" if question.startswith(b"63") else "24"
    known = {"2100": (NO_FLAGS, "20501231"), "2101": (DENIED, "20260630"), "2102": (flagged("card lost"), "20501231")}
    if number not in known:
        return patron(number, code=code, flags=DENIED, rest="BLN|")
    flags, last_day = known[number]
    rest = f"BLY|CQ{'Y' if pin == '1234' else 'N'}|" + (f"PA{last_day}|" if code == "64" else "")
    return patron(number, code=code, flags=flags, rest=rest)


def ask(server: Sip2Server, number: str = "2100", pin: str | None = "1234", **facts: object) -> Answer:
    return Sip2Check(server.facts(**facts)).ask(replace(QUESTION, number=number, pin=pin))


def look_up(server: Sip2Server, number: str, **facts: object) -> Answer:
    return Sip2Check(server.facts(**facts)).look_up(number, on=ON)


# --- What an answer means ---


def test_nothing_is_told_before_the_pin_was_right() -> None:
    for flags in (NO_FLAGS, DENIED, flagged("card lost")):
        for pa in (None, "", "20200101", "20501231", "no date"):
            assert judged(is_known=False, is_proved=False, flags=flags, pa=pa) == UNKNOWN
            assert judged(is_known=False, is_proved=True, flags=flags, pa=pa) == UNKNOWN
            assert judged(is_proved=False, flags=flags, pa=pa) == WRONG_PIN


@pytest.mark.parametrize("is_proved", [True, None])
@pytest.mark.parametrize("pa", [None, "", "20501231"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in NAMES[1:4]])
def test_flag_against_the_card_blocks_it(name: str, pa: str | None, is_proved: bool | None) -> None:
    assert judged(flags=flagged(name), pa=pa, is_proved=is_proved) == BLOCKED


def test_renewals_recalls_and_holds_that_do_not_exist_say_nothing_of_a_card() -> None:
    assert judged(flags=flagged(*NAMES[1:4])) == CONFIRMED
    assert judged(flags="N" * 14) == CONFIRMED


def test_card_that_is_denied_all_has_expired_unless_something_else_says_otherwise() -> None:
    assert judged(flags=DENIED) == EXPIRED
    assert judged(flags=DENIED, pa="20501231") == BLOCKED
    assert judged(flags=DENIED, pa="") == BLOCKED
    assert judged(flags=flagged(*NAMES[:4], "card lost")) == BLOCKED
    assert judged(flags=flagged(*NAMES[:3])) == BLOCKED


def test_card_is_good_up_to_its_last_day() -> None:
    def on(day: date) -> str:
        return f"{day:%Y%m%d}"

    assert judged(pa=on(ON)) == Answer(Outcome.CONFIRMED, ON)
    yesterday = ON - timedelta(days=1)
    assert judged(pa=on(yesterday)) == Answer(Outcome.EXPIRED, yesterday)
    assert judged(pa=on(yesterday), flags=DENIED) == Answer(Outcome.EXPIRED, yesterday)
    assert judged(pa=on(yesterday), flags=flagged("card lost")) == BLOCKED
    assert judged(pa="") == CONFIRMED


@pytest.mark.parametrize(("pa", "trouble"), [(None, "incomplete"), ("31/12/2050", "garbled")])
def test_last_day_that_is_needed_must_be_told(pa: str | None, trouble: str) -> None:
    with pytest.raises(NoCleanAnswer, match=f"^{trouble}$"):
        judge(CardStatus(True, True, NO_FLAGS, pa), on=ON, needs_expiry=True)


# --- With a PIN ---


def test_right_pin_of_a_good_card_confirms_it() -> None:
    with serving(answering(library)) as server:
        assert ask(server) == CONFIRMED
        assert ask(server, asks_expiry=True) == Answer(Outcome.CONFIRMED, date(2050, 12, 31))
        assert [question[:2] for question in server.questions] == [b"23", b"63"]


@pytest.mark.parametrize("asks_expiry", [False, True])
def test_unknown_card_and_wrong_pin_are_told_alike_after_the_same_work(asks_expiry: bool) -> None:
    with serving(answering(library)) as server:
        for number, pin in [("9999", "1234"), ("2100", "4321"), ("2101", "4321"), ("2102", "4321")]:
            before = len(server.questions)
            assert ask(server, number, pin, asks_expiry=asks_expiry) == UNKNOWN_OR_WRONG
            assert len(server.questions) == before + 1


def test_unknown_card_and_wrong_pin_are_told_apart_where_the_institution_chose_so() -> None:
    with serving(answering(library)) as server:
        assert ask(server, "9999", tells_unknown_cards=True) == UNKNOWN
        assert ask(server, pin="4321", tells_unknown_cards=True) == WRONG_PIN


@pytest.mark.parametrize("tells", [False, True])
def test_after_the_right_pin_it_is_told_what_is_wrong(tells: bool) -> None:
    with serving(answering(library)) as server:
        assert ask(server, "2101", tells_unknown_cards=tells) == EXPIRED
        assert ask(server, "2101", tells_unknown_cards=tells, asks_expiry=True) == Answer(
            Outcome.EXPIRED, date(2026, 6, 30)
        )
        assert ask(server, "2102", tells_unknown_cards=tells) == BLOCKED


@pytest.mark.parametrize("pin", [None, "", " ", "1|2", "1\r2", "漢", pytest.param("1" * 10_000, id="endless")])
def test_pin_that_is_none_is_wrong_without_asking(pin: str | None) -> None:
    """An older system takes an empty PIN for right where a card has none."""
    with serving(answering(patron())) as server:
        assert ask(server, pin=pin) == UNKNOWN_OR_WRONG
        assert ask(server, pin=pin, tells_unknown_cards=True) == WRONG_PIN
        assert server.connections == 0


@pytest.mark.parametrize("number", ["", "2100|AD", "2100\r", pytest.param("1" * 10_000, id="endless")])
def test_number_that_is_none_is_unknown_without_asking(number: str) -> None:
    with serving(answering(patron())) as server:
        assert ask(server, number) == UNKNOWN_OR_WRONG
        assert look_up(server, number) == UNKNOWN
        assert server.connections == 0


@pytest.mark.parametrize("setting", ["institution_code", "terminal_secret", "login_secret", "location"])
def test_setting_that_cannot_be_sent_is_no_answer(setting: str) -> None:
    with serving(answering(library)) as server:
        expected = Answer(Outcome.NO_ANSWER, trouble=Trouble.ADDRESS_UNUSABLE)
        assert ask(server, login="ada", **{setting: "a|b"}) == expected
        assert server.connections == 0


@pytest.mark.parametrize(
    ("rest", "trouble"),
    [
        ("BLY|", Trouble.INCOMPLETE),
        ("CQY|", Trouble.INCOMPLETE),
        ("BLY|CQN|AFHi|CQY|", Trouble.GARBLED),
    ],
)
def test_answer_that_does_not_say_both_lets_nobody_in(rest: str, trouble: Trouble) -> None:
    with serving(answering(patron(rest=rest))) as server:
        assert ask(server) == Answer(Outcome.NO_ANSWER, trouble=trouble)


def test_answer_about_another_card_lets_nobody_in() -> None:
    with serving(answering(patron("2101"))) as server:
        assert ask(server) == Answer(Outcome.NO_ANSWER, trouble=Trouble.OTHER_CARD)
    with serving(answering(patron("2101", code="64"))) as server:
        assert look_up(server, "2100") == Answer(Outcome.NO_ANSWER, trouble=Trouble.OTHER_CARD)


# --- Without a PIN ---


def test_look_up_sends_no_pin_and_tells_what_the_system_says() -> None:
    with serving(answering(library)) as server:
        answers = [look_up(server, number) for number in ("2100", "2101", "2102", "9999")]
        assert answers == [GOOD_UNTIL, EXPIRED_ON, BLOCKED, UNKNOWN]
        assert not any(b"|AD" in question for question in server.questions)
        # 23 demands a PIN; where it is left out, systems that follow the letter ask again for ever.
        assert {question[:2] for question in server.questions} == {b"63"}


def test_look_up_does_without_an_expiry_unless_the_settings_need_it() -> None:
    with serving(answering(patron(code="64"))) as server:
        assert look_up(server, "2100") == CONFIRMED
        assert look_up(server, "2100", asks_expiry=True) == Answer(Outcome.NO_ANSWER, trouble=Trouble.INCOMPLETE)


@pytest.mark.parametrize("pin", [None, "1234"])
def test_number_alone_proves_nothing(pin: str | None) -> None:
    with serving(answering(library)) as server:
        assert {ask(server, number, pin, asks_pin=False) for number in ("2100", "2101", "2102", "9999")} == {BY_HAND}
        assert not any(b"|AD" in question for question in server.questions)


def test_number_alone_is_told_of_where_the_institution_chose_so() -> None:
    with serving(answering(library)) as server:
        answers = [
            ask(server, number, asks_pin=False, tells_unknown_cards=True) for number in ("2100", "2101", "2102", "9999")
        ]
        assert answers == [BY_HAND, EXPIRED_ON, BLOCKED, UNKNOWN]


@pytest.mark.parametrize("tells", [False, True])
def test_system_that_is_down_is_no_answer_without_a_pin_too(tells: bool) -> None:
    with serving(lambda peer, question: peer.close()) as server:
        down = Answer(Outcome.NO_ANSWER, trouble=Trouble.CLOSED)
        assert ask(server, asks_pin=False, tells_unknown_cards=tells) == down
        assert look_up(server, "2100", tells_unknown_cards=tells) == down


def test_walk_tells_people_of_the_library_more() -> None:
    with serving(answering(library)) as server:
        check = Sip2Check(server.facts())
        told = [
            check.walk(replace(QUESTION, number=number, pin=pin)).answer
            for number, pin in [("2100", "1234"), ("2100", "4321"), ("9999", "1234"), ("2101", None), ("2100", "")]
        ]
        assert told == [CONFIRMED, WRONG_PIN, UNKNOWN, EXPIRED_ON, GOOD_UNTIL]


def test_check_says_what_it_needs() -> None:
    with serving(answering(library)) as server:
        assert Sip2Check(server.facts()).asks_pin is True
        assert Sip2Check(server.facts(asks_pin=False)).asks_pin is False
        assert Sip2Check(server.facts()).needs_second_fact is False


def test_nothing_of_a_question_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(answering(patron(rest="BLY|CQY|AFCANARY|"))) as server:
        check = Sip2Check(server.facts(login="ada", login_secret="right", terminal_secret="CANARY"))
        question = replace(QUESTION, pin="CANARY")
        assert check.ask(question) == CONFIRMED
        shown = f"{check!r} {question!r} {check.walk(question)!r} {check._request('CANARY', 'CANARY')!r} {caplog.text}"
        assert "CANARY" not in shown
