"""What a member, a librarian and a stranger are told where Koha is asked."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import replace
from datetime import date
from time import monotonic

import pytest

from libraries.cards import koha_api
from libraries.cards.checks import Answer, Outcome, Question, Trouble
from libraries.cards.koha import KohaCheck
from tests.libraries.cards.asking_koha import (
    GOOD,
    LAST_DAY,
    QUESTION,
    TODAY,
    answering,
    check_at,
    no_answer,
    slow,
)
from tests.libraries.cards.koha_server import PERSONAL, SECRET, Koha

WRONG = Answer(Outcome.UNKNOWN_OR_WRONG)
VALIDATION, LOOK_UP = "POST /auth/password/validation", "GET /patrons"


def check_with(koha: Koha, **settings: object) -> KohaCheck:
    return check_at(koha.url, **settings)


def question(number: str = "2100", pin: str | None = "1234") -> Question:
    return replace(QUESTION, number=number, pin=pin)


# --- With a PIN ---


def test_right_pin_proves_a_good_card_until_its_last_day(koha: Koha) -> None:
    assert check_with(koha).ask(question()) == GOOD
    assert koha.asked == [VALIDATION, LOOK_UP]
    assert json.loads(koha.bodies[0]) == {"identifier": "2100", "password": "1234"}
    assert koha.requests[1][1] == "/api/v1/patrons?cardnumber=2100&_match=exact&_per_page=2"


def test_both_questions_go_over_one_connection(koha: Koha) -> None:
    check_with(koha).ask(question())
    assert len(koha.connections) == 1


def test_unknown_card_and_wrong_pin_are_told_alike_for_equal_work(koha: Koha) -> None:
    check = check_with(koha)
    assert [check.ask(question(pin="9999")), check.ask(question("9999"))] == [WRONG, WRONG]
    assert koha.asked == [VALIDATION, VALIDATION]


def test_unknown_card_and_wrong_pin_are_told_apart_where_the_institution_chose_so(koha: Koha) -> None:
    check = check_with(koha, tells_unknown_cards=True)
    assert check.ask(question(pin="9999")) == Answer(Outcome.WRONG_PIN)
    assert check.ask(question("9999")) == Answer(Outcome.UNKNOWN)
    assert koha.asked == [VALIDATION, LOOK_UP] * 2


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"expiry_date": "2026-07-01"}, Answer(Outcome.CONFIRMED, TODAY)),
        ({"expiry_date": "2026-06-30"}, Answer(Outcome.EXPIRED, date(2026, 6, 30))),
        ({"expiry_date": None}, Answer(Outcome.CONFIRMED)),
        ({"restricted": True}, Answer(Outcome.BLOCKED, LAST_DAY)),
        ({"patron_card_lost": True}, Answer(Outcome.BLOCKED, LAST_DAY)),
        ({"patron_card_lost": False}, GOOD),
        ({"expiry_date": "2026-06-30", "restricted": True}, Answer(Outcome.EXPIRED, date(2026, 6, 30))),
    ],
)
def test_card_is_worth_what_koha_says_after_the_right_pin(
    koha: Koha, changes: dict[str, object], answer: Answer
) -> None:
    koha.add("3100", **changes)
    check = check_with(koha)
    assert check.ask(question("3100")) == answer
    assert check.ask(question("3100", pin="9999")) == WRONG
    assert check.look_up("3100", on=TODAY) == answer


@pytest.mark.parametrize("pin", [None, "", " ", "\t", "\0", "12\r\n34", "1\x7f", "\ud800", "9" * 201, "1" * 10_000])
def test_what_cannot_be_a_pin_is_never_sent(koha: Koha, pin: str | None) -> None:
    """Ada's account has no password: whoever sends none is let in."""
    koha.patrons[0].password = pin or ""
    assert check_with(koha).ask(question(pin=pin)) == WRONG
    assert koha.requests == []


@pytest.mark.parametrize("pin", ['"', "\\", "|", "ümläut €", "🙂", '","userid":"x', " 1234 "])
def test_pin_arrives_as_it_was_typed(koha: Koha, pin: str) -> None:
    koha.patrons[0].password = pin
    assert check_with(koha).ask(question(pin=pin)) == GOOD


def test_user_name_in_place_of_a_number_proves_no_card(koha: Koha) -> None:
    """Koha takes it for the number, and says that the password is right."""
    koha.add("3100", userid="cyriel")
    assert check_with(koha).ask(question("CYRIEL")) == WRONG
    assert check_with(koha, tells_unknown_cards=True).ask(question("CYRIEL")) == Answer(Outcome.UNKNOWN)


def test_user_name_that_is_the_number_of_another_card_does_not_prove_that_card(koha: Koha) -> None:
    """Cy has chosen Ada's number as a user name: Koha looks there first."""
    koha.add("3100", userid="2100", password="cy's own")
    assert check_with(koha).ask(question("2100", pin="cy's own")) == WRONG
    apart = check_with(koha, tells_unknown_cards=True).ask(question("2100", pin="cy's own"))
    assert apart == Answer(Outcome.WRONG_PIN)


def test_answer_about_another_card_is_none(koha: Koha) -> None:
    koha.validation = (201, {"cardnumber": "3100", "patron_id": 8, "userid": "bo"})
    koha.add("3100")
    assert check_with(koha).ask(question()) == no_answer(Trouble.OTHER_CARD)
    assert koha.asked == [VALIDATION]


def test_letters_of_a_number_count_in_either_case(koha: Koha) -> None:
    koha.add("be2100x ")
    koha.patrons[-1].cardnumber = "be2100x"
    assert check_with(koha).ask(question("BE2100X")) == GOOD


def test_card_that_begins_with_the_number_is_another(koha: Koha) -> None:
    koha.add("21001", restricted=True)
    assert check_with(koha).look_up("2100", on=TODAY) == GOOD
    assert check_with(koha).look_up("210", on=TODAY) == Answer(Outcome.UNKNOWN)


def test_card_that_is_gone_after_its_pin_is_no_proof(koha: Koha) -> None:
    koha.validation = (201, {"cardnumber": "9999", "patron_id": 8, "userid": "bo"})
    assert check_with(koha).ask(question("9999")) == no_answer(Trouble.INCOMPLETE)


# --- Without a PIN ---


def test_look_up_says_what_a_card_is_worth(koha: Koha) -> None:
    check = check_with(koha)
    assert (check.look_up("2100", on=TODAY), check.look_up("9", on=TODAY)) == (GOOD, Answer(Outcome.UNKNOWN))
    assert koha.asked == [LOOK_UP, LOOK_UP]


@pytest.mark.parametrize(
    ("tells", "outcomes"),
    [
        (False, [Outcome.BY_HAND, Outcome.BY_HAND, Outcome.BY_HAND, Outcome.BY_HAND]),
        (True, [Outcome.BY_HAND, Outcome.UNKNOWN, Outcome.EXPIRED, Outcome.BLOCKED]),
    ],
)
def test_number_without_a_pin_proves_nothing(koha: Koha, tells: bool, outcomes: list[Outcome]) -> None:
    koha.add("3100", expiry_date="2020-01-01")
    koha.add("4100", restricted=True)
    check = check_with(koha, asks_pin=False, tells_unknown_cards=tells)
    answers = [check.ask(question(number, pin=None)) for number in ("2100", "9999", "3100", "4100")]
    assert (check.asks_pin, check.needs_second_fact) == (False, False)
    assert [answer.outcome for answer in answers] == outcomes
    assert koha.asked == [LOOK_UP] * 4


@pytest.mark.parametrize("tells", [True, False])
def test_system_that_is_down_is_told_where_no_pin_is_asked(koha: Koha, tells: bool) -> None:
    koha.fault = answering(503, {"error": "System is under maintenance."})
    check = check_with(koha, asks_pin=False, tells_unknown_cards=tells)
    assert check.ask(question(pin=None)) == no_answer(Trouble.OFFLINE)


# --- Signing in ---


def test_name_and_password_go_with_each_question(koha: Koha) -> None:
    check_with(koha).ask(question())
    assert {headers["Authorization"] for headers in koha.headers} == {"Basic cG9ydGFsOnN0YWZmOnPDqWNyZXQ="}


@pytest.mark.parametrize("settings", [{"login_secret": "wrong"}, {"login": "other"}, {"oauth": True, "login": "other"}])
def test_login_that_is_not_accepted_is_told(koha: Koha, settings: dict[str, object]) -> None:
    assert check_with(koha, **settings).ask(question()) == no_answer(Trouble.LOGIN_REFUSED)


@pytest.mark.parametrize("oauth", [True, False])
def test_login_without_the_right_to_ask_is_told(koha: Koha, oauth: bool) -> None:
    koha.may_ask = False
    check = check_with(koha, oauth=oauth)
    assert check.ask(question()) == check.look_up("2100", on=TODAY) == no_answer(Trouble.NOT_ALLOWED)


@pytest.mark.parametrize("settings", [{"missing_secrets": True}, {"login_secret": ""}, {"login": ""}])
def test_missing_secret_is_told_without_a_connection(koha: Koha, settings: dict[str, object]) -> None:
    check = check_with(koha, **settings)
    assert check.ask(question()) == check.look_up("2100", on=TODAY) == no_answer(Trouble.SECRET_MISSING)
    assert koha.connections == set()


def test_token_is_used_again(koha: Koha) -> None:
    check = check_with(koha, oauth=True)
    assert [check.ask(question()), check.ask(question())] == [GOOD, GOOD]
    assert koha.asked == ["POST /oauth/token", *[VALIDATION, LOOK_UP] * 2]
    assert {headers.get("Authorization") for headers in koha.headers[1:]} == {"Bearer token-0"}


@pytest.mark.parametrize("other", [{"institution_id": 2}, {"login": "another"}, {"login_secret": "another"}])
def test_token_belongs_to_one_institution_and_its_settings(koha: Koha, other: dict[str, object]) -> None:
    check_with(koha, oauth=True).look_up("2100", on=TODAY)
    check_with(koha, oauth=True, **other).look_up("2100", on=TODAY)
    assert koha.asked.count("POST /oauth/token") == 2


@pytest.mark.parametrize("seconds", [61, 60, 0, -5, None, "soon", 10**400])
def test_token_is_kept_until_shortly_before_it_ends(koha: Koha, seconds: object) -> None:
    koha.token_seconds = seconds
    check = check_with(koha, oauth=True)
    assert [check.ask(question()), check.ask(question())] == [GOOD, GOOD]
    assert koha.asked.count("POST /oauth/token") == (1 if seconds in (61, 10**400) else 2)


def test_token_that_was_revoked_is_renewed_once(koha: Koha) -> None:
    check = check_with(koha, oauth=True)
    check.look_up("2100", on=TODAY)
    koha.tokens = ["of somebody else"]
    assert check.ask(question()) == GOOD
    assert koha.asked == ["POST /oauth/token", LOOK_UP, VALIDATION, "POST /oauth/token", VALIDATION, LOOK_UP]


def test_tokens_that_never_count_are_asked_for_once(koha: Koha) -> None:
    def forgetting(handler: object) -> bool:
        koha.tokens = []
        return False

    koha.fault = forgetting
    assert check_with(koha, oauth=True).ask(question()) == no_answer(Trouble.LOGIN_REFUSED)
    assert koha.asked == ["POST /oauth/token", VALIDATION]


def test_token_is_not_offered_where_oauth_is_switched_off(koha: Koha) -> None:
    koha.offers_oauth = False
    assert check_with(koha, oauth=True).ask(question()) == no_answer(Trouble.CANNOT_ASK)


@pytest.mark.parametrize(
    "found", [{}, [], {"access_token": ""}, {"access_token": 7}, {"access_token": "a b"}, {"access_token": "a\r\nX: y"}]
)
def test_token_that_is_none_is_not_used(koha: Koha, found: object) -> None:
    koha.fault = answering(200, found)
    assert check_with(koha, oauth=True).ask(question()) == no_answer(Trouble.GARBLED)
    assert koha.asked == ["POST /oauth/token"]


# --- Many at once ---


def at_once(count: int, check: KohaCheck) -> list[Answer]:
    answers = list[Answer]()
    threads = [threading.Thread(target=lambda: answers.append(check.ask(question()))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_no_more_questions_at_once_than_the_library_allows(koha: Koha) -> None:
    koha.fault = slow(0.02)
    answers = at_once(12, check_with(koha, most_connections=3, oauth=True, timeout_seconds=9))
    assert (answers, koha.most_at_once) == ([GOOD] * 12, 3)


def test_without_the_limit_there_would_be_more(koha: Koha) -> None:
    koha.fault = slow(0.1)
    assert at_once(6, check_with(koha, most_connections=6, timeout_seconds=9)) == [GOOD] * 6
    assert koha.most_at_once > 3


def test_who_finds_no_place_in_time_is_told_that_it_is_busy(koha: Koha) -> None:
    koha.fault = slow(0.35)
    began = monotonic()
    answers = at_once(2, check_with(koha, most_connections=1, timeout_seconds=0.3))
    assert sorted(str(answer.trouble) for answer in answers) == ["busy", "timed_out"]
    assert monotonic() - began < 0.6


def test_places_are_given_back_when_a_question_fails(koha: Koha) -> None:
    check = check_with(koha, most_connections=1)
    koha.fault = answering(500)
    assert [check.ask(question()).trouble for _ in range(3)] == [Trouble.SYSTEM_ERROR] * 3
    koha.fault = None
    assert check.ask(question()) == GOOD


# --- What is kept ---


def test_nothing_personal_comes_out_of_the_parser(koha: Koha) -> None:
    check = check_with(koha)
    with koha_api.opened(check.facts, ends_at=monotonic() + 1) as api:
        shown = repr([check, check.ask(question()), api.patron_with("2100"), api.owner_of("2100", "1234"), question()])
    assert [text for text in (*PERSONAL.values(), "2100", "1234", "ada.peeters", SECRET) if text in shown] == []


def test_nothing_is_logged_that_was_asked_or_answered(koha: Koha, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    check = check_with(koha, oauth=True, tells_unknown_cards=True)
    for fault in (None, answering(500, {"error": "Canary 2100"}), answering(200, b"Canary")):
        koha.fault = fault
        check.ask(question())
        check.ask(question(pin="9999"))
        check.walk(question())
    assert caplog.text == ""
