"""The way to Koha step by step: what failed, for those who can mend it; and the certificates on it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from libraries.cards.checks import Answer, Outcome, Step, StepName, Trouble, Walk
from tests.certificates import HERE, Authority, trusting
from tests.libraries.cards.asking_koha import (
    GOOD,
    PATRON,
    PLAIN_STEPS,
    QUESTION,
    answering,
    check_at,
    no_answer,
    only,
    slow,
    walked,
)
from tests.libraries.cards.koha_server import Fault, Koha, running_koha

# --- Certificates ---


def test_koha_behind_tls_is_asked(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with trusting(authority, monkeypatch), running_koha(authority.server(HERE)) as koha:
        koha.add("2100")
        check = check_at(koha.url)
        assert check.ask(QUESTION) == GOOD
        assert check.walk(QUESTION) == Walk(tuple(map(Step, StepName)), GOOD)


@pytest.mark.parametrize(
    ("certificate", "trouble"),
    [
        ({"name": HERE, "ends": -1}, Trouble.TLS_EXPIRED),
        ({"name": "127.0.0.2"}, Trouble.TLS_OTHER_NAME),
        (None, Trouble.TLS_UNTRUSTED),
    ],
)
def test_bad_certificate_is_told_and_nothing_is_sent(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, certificate: dict[str, object] | None, trouble: Trouble
) -> None:
    tls = authority.server(**(certificate or {"name": HERE}))  # type: ignore[arg-type]
    with running_koha(tls) as koha:
        check = check_at(koha.url)
        if certificate:
            with trusting(authority, monkeypatch):
                answer, walk = check.ask(QUESTION), check.walk(QUESTION)
        else:
            answer, walk = check.ask(QUESTION), check.walk(QUESTION)
    assert answer == no_answer(trouble)
    assert walk == Walk(walked(StepName.SETTINGS, StepName.RESOLVE, StepName.CONNECT, StepName.TLS, failed=trouble))
    assert koha.requests == []


def test_server_that_speaks_no_tls_is_told(koha: Koha) -> None:
    with talking_first(b"98YYYYYN\r") as url:
        assert check_at(url).ask(QUESTION) == no_answer(Trouble.TLS_FAILED)


@contextmanager
def talking_first(said: bytes) -> Iterator[str]:
    def serve() -> None:
        with listener.accept()[0] as connection:
            connection.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(timeout=5)


# --- Step by step ---


@pytest.mark.parametrize("oauth", [True, False])
def test_walk_without_a_card_takes_every_step_but_that_and_reads_about_nobody(koha: Koha, oauth: bool) -> None:
    walk = check_at(koha.url, oauth=oauth).walk(None)
    assert walk == Walk(walked(*PLAIN_STEPS[:-1]))
    assert [line for line in koha.asked if line != "GET /patrons"] == [
        *(["POST /oauth/token"] if oauth else []),
        "POST /auth/password/validation",
    ]
    assert not any("2100" in path for _, path in koha.requests)


def test_walk_asks_no_pin_where_none_is_asked(koha: Koha) -> None:
    assert check_at(koha.url, asks_pin=False).walk(None) == Walk(walked(*PLAIN_STEPS[:-1]))
    assert set(koha.asked) == {"GET /patrons"}


@pytest.mark.parametrize(
    ("pin", "answer"),
    [("1234", GOOD), (None, GOOD), ("", GOOD), ("9999", Answer(Outcome.UNKNOWN_OR_WRONG))],
)
def test_walk_with_a_card_says_what_it_is_worth(koha: Koha, pin: str | None, answer: Answer) -> None:
    assert check_at(koha.url).walk(replace(QUESTION, pin=pin)) == Walk(walked(*PLAIN_STEPS), answer)


@pytest.mark.parametrize("oauth", [True, False])
@pytest.mark.parametrize(
    ("fault", "trouble", "step"),
    [
        (answering(401), Trouble.LOGIN_REFUSED, StepName.LOGIN),
        (only("/patrons", answering(403)), Trouble.NOT_ALLOWED, StepName.STATUS),
        (only("/validation", answering(404)), Trouble.CANNOT_ASK, StepName.STATUS),
        (only("/patrons", answering(200, [PATRON])), Trouble.OTHER_CARD, StepName.STATUS),
        (only("/validation", answering(201, {"cardnumber": "3"})), Trouble.OTHER_CARD, StepName.STATUS),
        (only("2100", answering(503)), Trouble.OFFLINE, StepName.CARD),
    ],
    ids=["login", "right", "question not offered", "filter ignored", "lets anybody in", "card"],
)
def test_walk_stops_where_it_failed(koha: Koha, oauth: bool, fault: Fault, trouble: Trouble, step: StepName) -> None:
    koha.fault = fault
    walk = check_at(koha.url, oauth=oauth).walk(QUESTION)
    assert walk.steps == walked(*PLAIN_STEPS[: PLAIN_STEPS.index(step) + 1], failed=trouble)
    assert walk.answer == (no_answer(trouble) if step == StepName.CARD else None)


def test_walk_of_a_site_that_is_no_koha_stops_at_the_login(koha: Koha) -> None:
    koha.fault = answering(200, b"<html>")
    for oauth in (True, False):
        walk = check_at(koha.url, oauth=oauth).walk(None)
        assert walk == Walk(walked(*PLAIN_STEPS[:4], failed=Trouble.GARBLED))


def test_walk_without_the_secret_stops_at_the_settings(koha: Koha) -> None:
    walk = check_at(koha.url, missing_secrets=True).walk(QUESTION)
    assert walk == Walk(walked(StepName.SETTINGS, failed=Trouble.SECRET_MISSING))
    assert koha.connections == set()


def test_walk_gives_the_card_the_time_of_a_question(koha: Koha) -> None:
    koha.fault = slow(0.1)
    assert check_at(koha.url, timeout_seconds=0.45).walk(QUESTION) == Walk(walked(*PLAIN_STEPS), GOOD)
