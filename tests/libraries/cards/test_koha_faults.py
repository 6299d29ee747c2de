"""Koha fails in every way it can: nobody is let in, and nobody waits."""

from __future__ import annotations

import socket
from contextlib import suppress
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libraries.cards import koha_api
from libraries.cards.checks import StepName, Trouble, Walk
from outgoing.http import Failure, RequestFailed
from tests.libraries.cards.asking_koha import (
    PATRON,
    PLAIN_STEPS,
    QUESTION,
    TODAY,
    answering,
    check_at,
    dripping,
    no_answer,
    only,
    saying,
    slow,
    walked,
)
from tests.libraries.cards.koha_server import Fault, Koha, running_koha

TOLD_BY_DOWNLOADS_ALONE = {Failure.REDIRECTED, Failure.LOGIN_REFUSED, Failure.NOT_FOUND, Failure.SYSTEM_ERROR}


# --- What is answered ---


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (301, Trouble.ADDRESS_UNUSABLE),
        (307, Trouble.ADDRESS_UNUSABLE),
        (401, Trouble.LOGIN_REFUSED),
        (403, Trouble.NOT_ALLOWED),
        (404, Trouble.CANNOT_ASK),
        (405, Trouble.CANNOT_ASK),
        (429, Trouble.BUSY),
        (500, Trouble.SYSTEM_ERROR),
        (501, Trouble.CANNOT_ASK),
        (502, Trouble.OFFLINE),
        (503, Trouble.OFFLINE),
        (504, Trouble.OFFLINE),
    ],
)
def test_status_is_told_as_what_it_means(koha: Koha, status: int, trouble: Trouble) -> None:
    koha.fault = answering(status, {"error": "whatever"})
    check = check_at(koha.url)
    assert [check.ask(QUESTION), check.look_up("2100", on=TODAY)] == [no_answer(trouble)] * 2
    koha.fault = only("/patrons", answering(status))
    assert check.ask(QUESTION) == no_answer(trouble)


def test_redirect_into_the_network_is_not_followed(koha: Koha) -> None:
    with running_koha() as inside:
        koha.fault = saying(f"HTTP/1.1 302 Found\r\nLocation: {inside.url}/\r\nContent-Length: 0\r\n\r\n".encode())
        assert check_at(koha.url).ask(QUESTION) == no_answer(Trouble.ADDRESS_UNUSABLE)
    assert (inside.requests, len(koha.requests)) == ([], 1)


@pytest.mark.parametrize(
    ("status", "found", "trouble"),
    [
        (200, {}, Trouble.INCOMPLETE),
        (204, None, Trouble.INCOMPLETE),
        (201, {}, Trouble.INCOMPLETE),
        (201, {"userid": "2100"}, Trouble.INCOMPLETE),
        (201, {"cardnumber": None, "userid": "2100"}, Trouble.GARBLED),
        (201, {"cardnumber": 2100, "userid": "ada"}, Trouble.GARBLED),
        (201, {"cardnumber": "2100", "userid": 7}, Trouble.GARBLED),
        (201, ["2100"], Trouble.GARBLED),
        (201, b"", Trouble.GARBLED),
        (201, b'{"cardnumber": "2100"', Trouble.GARBLED),
        (201, b"[" * 100_000, Trouble.GARBLED),
        (201, b'{"cardnumber": "2100", "x": "' + b"x" * 300_000 + b'"}', Trouble.GARBLED),
        (201, {"cardnumber": ""}, Trouble.OTHER_CARD),
        (201, {"cardnumber": "21000"}, Trouble.OTHER_CARD),
        (201, {"cardnumber": "２１００"}, Trouble.OTHER_CARD),
        (202, {"cardnumber": "2100"}, Trouble.CANNOT_ASK),
        (400, b"<html>Bad Request</html>", Trouble.CANNOT_ASK),
        (400, {"errors": [{"message": "Expected string"}]}, Trouble.CANNOT_ASK),
        (400, {"error": 7}, Trouble.CANNOT_ASK),
    ],
)
def test_validation_that_says_less_or_other_than_it_should_lets_nobody_in(
    koha: Koha, status: int, found: object, trouble: Trouble
) -> None:
    koha.validation = (status, found)
    assert check_at(koha.url).ask(QUESTION) == no_answer(trouble)


@pytest.mark.parametrize(
    ("found", "trouble"),
    [
        ({}, Trouble.GARBLED),
        ("2100", Trouble.GARBLED),
        (["2100"], Trouble.GARBLED),
        ([[PATRON]], Trouble.GARBLED),
        (b"", Trouble.GARBLED),
        (b"[" * 100_000, Trouble.GARBLED),
        (b"\xff\xfe[", Trouble.GARBLED),
        (b"[" + b" " * 300_000 + b"]", Trouble.GARBLED),
        ([PATRON, PATRON], Trouble.GARBLED),
        ([PATRON, {**PATRON, "cardnumber": "3100"}], Trouble.OTHER_CARD),
        ([{**PATRON, "cardnumber": "3100"}], Trouble.OTHER_CARD),
        ([{**PATRON, "cardnumber": None}], Trouble.OTHER_CARD),
        ([{**PATRON, "cardnumber": 2100}], Trouble.OTHER_CARD),
        ([{**PATRON, "expiry_date": "31/12/2099"}], Trouble.GARBLED),
        ([{**PATRON, "expiry_date": "2099-02-30"}], Trouble.GARBLED),
        ([{**PATRON, "expiry_date": "20991231"}], Trouble.GARBLED),
        ([{**PATRON, "expiry_date": ""}], Trouble.GARBLED),
        ([{**PATRON, "expiry_date": 2099}], Trouble.GARBLED),
        ([{**PATRON, "expiry_date": False}], Trouble.GARBLED),
        ([{**PATRON, "restricted": None}], Trouble.GARBLED),
        ([{**PATRON, "restricted": "false"}], Trouble.GARBLED),
        ([{**PATRON, "restricted": 0}], Trouble.GARBLED),
        ([{**PATRON, "patron_card_lost": "0"}], Trouble.GARBLED),
        ([{**PATRON, "patron_card_lost": []}], Trouble.GARBLED),
    ],
)
def test_look_up_that_says_other_than_it_should_lets_nobody_in(koha: Koha, found: object, trouble: Trouble) -> None:
    koha.fault = only("/patrons", answering(200, found))
    check = check_at(koha.url)
    assert [check.ask(QUESTION), check.look_up("2100", on=TODAY)] == [no_answer(trouble)] * 2


@pytest.mark.parametrize("missing", PATRON)
def test_field_that_is_missing_lets_nobody_in(koha: Koha, missing: str) -> None:
    koha.patrons[0].changes = {missing: ...}
    assert check_at(koha.url).look_up("2100", on=TODAY) == no_answer(Trouble.INCOMPLETE)


VALUES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["2100", "2099-12-31", [], {}])
)
JSON = VALUES | st.dictionaries(st.sampled_from([*PATRON, "userid", "access_token", "expires_in"]), VALUES)


@given(JSON)
def test_whatever_is_answered_is_read_as_it_stands_or_refused(found: Any) -> None:
    with suppress(koha_api.KohaFailed):
        assert koha_api._owner(found).card_number == found["cardnumber"].upper().strip()
    with suppress(koha_api.KohaFailed):
        assert koha_api._token_in(found)[0] == found["access_token"]
    with suppress(koha_api.KohaFailed):
        patron = koha_api._patron(found, "2100")
        assert (found["cardnumber"], found["restricted"]) == ("2100", patron.restricted)
        assert (found["expiry_date"], found["patron_card_lost"] or False) == (
            patron.expires_on and patron.expires_on.isoformat(),
            patron.card_lost,
        )


@pytest.mark.parametrize("failure", sorted(set(Failure) - TOLD_BY_DOWNLOADS_ALONE))
def test_every_failure_on_the_way_has_a_trouble(failure: Failure) -> None:
    expected = "garbled" if failure == Failure.TOO_LARGE else failure.value
    assert koha_api._failed(RequestFailed(failure)).trouble == expected


# --- The way there ---


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (saying(b""), Trouble.CLOSED),
        (saying(b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"), Trouble.CLOSED),
        (saying(b"941\r"), Trouble.GARBLED),
        (saying(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000), Trouble.GARBLED),
    ],
    ids=["hangs up", "cut", "no HTTP", "endless"],
)
def test_broken_connection_is_told(koha: Koha, fault: Fault, trouble: Trouble) -> None:
    koha.fault = fault
    assert check_at(koha.url).ask(QUESTION) == no_answer(trouble)
    assert len(koha.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        slow(0.5),
        dripping(b"", b"H"),
        dripping(b"HTTP/1.1 201 Created\r\n", b"X: y\r\n"),
        dripping(b"HTTP/1.1 201 Created\r\nContent-Length: 900\r\n\r\n", b" "),
    ],
    ids=["silent", "status", "headers", "body"],
)
def test_slow_system_is_left_after_the_time_of_the_settings(koha: Koha, fault: Fault) -> None:
    koha.fault = only("/validation", fault)
    began = monotonic()
    assert check_at(koha.url, timeout_seconds=0.3).ask(QUESTION) == no_answer(Trouble.TIMED_OUT)
    assert 0.25 < monotonic() - began < 0.6


def test_time_holds_for_all_requests_of_a_question_together(koha: Koha) -> None:
    koha.fault = slow(0.15)
    began = monotonic()
    assert check_at(koha.url, oauth=True, timeout_seconds=0.4).ask(QUESTION) == no_answer(Trouble.TIMED_OUT)
    assert 0.35 < monotonic() - began < 0.7
    assert len(koha.requests) == 3


@pytest.mark.parametrize(
    ("address", "trouble", "step"),
    [
        ("", Trouble.ADDRESS_UNUSABLE, StepName.SETTINGS),
        ("koha.example", Trouble.ADDRESS_UNUSABLE, StepName.SETTINGS),
        ("ftp://koha.example", Trouble.ADDRESS_UNUSABLE, StepName.SETTINGS),
        ("http://lin:secret@127.0.0.1", Trouble.ADDRESS_UNUSABLE, StepName.SETTINGS),
        ("http://127.0.0.1/?x=", Trouble.ADDRESS_UNUSABLE, StepName.SETTINGS),
        ("http://127.0.0.1/#", Trouble.ADDRESS_UNUSABLE, StepName.SETTINGS),
        ("http://nowhere.invalid", Trouble.NAME_UNKNOWN, StepName.RESOLVE),
        ("http://169.254.169.254", Trouble.ADDRESS_FORBIDDEN, StepName.RESOLVE),
        ("http://2852039166/", Trouble.ADDRESS_FORBIDDEN, StepName.RESOLVE),
    ],
)
def test_address_that_leads_nowhere_is_told(address: str, trouble: Trouble, step: StepName) -> None:
    check = check_at(address)
    assert check.ask(QUESTION) == no_answer(trouble)
    assert check.walk(QUESTION) == Walk(walked(*PLAIN_STEPS[: PLAIN_STEPS.index(step) + 1], failed=trouble))


def test_private_address_and_plain_http_need_the_operators_leave(koha: Koha) -> None:
    assert check_at(koha.url, private=False).ask(QUESTION) == no_answer(Trouble.ADDRESS_UNUSABLE)
    encrypted = koha.url.replace("http:", "https:")
    assert check_at(encrypted, private=False).ask(QUESTION) == no_answer(Trouble.ADDRESS_FORBIDDEN)
    assert koha.connections == set()


def test_closed_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    check = check_at(f"http://127.0.0.1:{port}")
    assert check.ask(QUESTION) == no_answer(Trouble.REFUSED)
    assert check.walk(None) == Walk(walked(*PLAIN_STEPS[:3], failed=Trouble.REFUSED))


def test_path_of_the_site_is_kept(koha: Koha) -> None:
    check_at(f"{koha.url}/koha/").look_up("2100", on=TODAY)
    assert koha.requests[0][1].startswith("/koha/api/v1/patrons?")
