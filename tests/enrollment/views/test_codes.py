"""Codes by mail: the same for known and unknown people, and impossible to guess."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.core.internal import cryptokit
from django.conf import LazySettings
from django.core import mail
from django.db import connections
from django.test import Client

from enrollment import forms
from libraries import accounts
from libraries.models import Attempt, User
from tests.enrollment.views.visiting import (
    CARD,
    CONFIRM,
    errors_of,
    heading_of,
    html_of,
    newest_code,
    sign_in,
    words_of,
    wrong_code,
)
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def ask(client: Client, email: str = "ada@example.test", **extra: Any) -> Any:
    return client.post("/en/join/", {"email": email}, **extra)


# --- Asking for a code ---


def test_known_and_unknown_addresses_get_the_same_page_and_the_same_mail(client: Client) -> None:
    make_user("known@example.test", first_name="Ada", language="fr")
    read = []
    for email in ("known@example.test", "stranger@example.test"):
        visitor = Client()
        answer = ask(visitor, email)
        page = words_of(visitor.get(answer["Location"])).replace(email, "…")
        sent = mail.outbox.pop()
        read.append(
            (answer.status_code, answer["Location"], page, sent.subject, re.sub(r"\d{4}-\d{4}", "…", str(sent.body)))
        )
    assert read[0] == read[1]


def test_code_is_in_the_mail_but_not_in_its_subject(client: Client) -> None:
    ask(client, " Ada@Example.test ")
    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == (["ada@example.test"], "Your code for Leerkaart")
    assert newest_code() in html_of(sent)


def test_person_is_made_once_and_in_the_language_of_the_page(client: Client) -> None:
    ask(client, "Ada@example.test")
    ask(client, "ada@EXAMPLE.test")
    assert list(User.objects.values_list("email", "language", "is_staff")) == [("ada@example.test", "en", False)]
    assert EmailAddress.objects.count() == 0


@pytest.mark.parametrize(
    ("email", "error"),
    [
        ("", "Fill in your email address."),
        ("ada", "This is not a complete email address. For example: name@example.be."),
        ("a" * 250 + "@example.test", "This email address is too long."),
    ],
)
def test_address_that_is_none_is_said_beside_the_field(client: Client, email: str, error: str) -> None:
    answer = ask(client, email)
    assert (answer.status_code, errors_of(answer)["email"][-1]) == (200, error)
    assert (User.objects.count(), len(mail.outbox)) == (0, 0)


def test_mail_server_that_is_down_is_said_and_nothing_is_begun(client: Client, settings: LazySettings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    answer = ask(client)
    assert answer.status_code == 503
    assert "We cannot send a code now. Please try again in a few minutes." in words_of(answer)
    assert client.get(CONFIRM)["Location"] == "/en/accounts/login/code/"


def test_codes_are_limited_for_each_address_and_for_each_network(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "CODES_PER_EMAIL", 2)
    monkeypatch.setattr(accounts, "CODES_PER_NETWORK", 4)
    assert [ask(client).status_code for _ in range(3)] == [302, 302, 429]
    assert [ask(client, "bo@example.test").status_code for _ in range(2)] == [302, 429]
    assert "Please wait an hour" in words_of(ask(client, "cy@example.test"))
    assert ask(client, "cy@example.test", REMOTE_ADDR="192.0.2.77").status_code == 302


def test_stranger_does_not_use_up_the_codes_of_an_address(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "CODES_PER_EMAIL_AND_NETWORK", 2)
    monkeypatch.setattr(accounts, "CODES_PER_EMAIL", 3)
    assert [ask(client, REMOTE_ADDR="192.0.2.66").status_code for _ in range(5)] == [302, 302, 429, 429, 429]
    assert [ask(client).status_code for _ in range(2)] == [302, 429]


def test_forged_forwarding_header_does_not_buy_more_codes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "CODES_PER_NETWORK", 2)
    forged = [{"HTTP_X_FORWARDED_FOR": f"198.51.100.{number}"} for number in range(3)]
    answers = [ask(client, f"{number}@example.test", **extra).status_code for number, extra in enumerate(forged)]
    assert answers == [302, 302, 429]


def test_limits_keep_no_address_in_the_clear(client: Client) -> None:
    ask(client)
    assert {len(key) for key in Attempt.objects.values_list("key", flat=True)} == {64}


# --- Typing it ---


def test_right_code_signs_in_and_goes_on(client: Client) -> None:
    sign_in(client)
    assert User.objects.get().last_login is not None
    assert client.get(CARD).status_code == 200


@pytest.mark.parametrize("spelled", ["{0}{1}", "{0} {1}", " {0}-{1} ", "{0}.{1}"])
def test_code_may_be_typed_in_many_ways(client: Client, spelled: str) -> None:
    ask(client)
    answer = client.post(CONFIRM, {"code": spelled.format(*newest_code().split("-")), "next": CARD})
    assert answer["Location"] == CARD


def test_wrong_code_is_said_and_the_fifth_ends_it(client: Client) -> None:
    ask(client)
    right, wrong = newest_code(), wrong_code()
    for _ in range(4):
        answer = client.post(CONFIRM, {"code": wrong, "next": CARD})
        assert errors_of(answer) == {
            "code": ["This is not the right code. Look at the newest mail from us and type it again."]
        }
    answer = client.post(CONFIRM, {"code": wrong, "next": CARD}, follow=True)
    assert heading_of(answer) == "What is your email address?"
    assert "That was the wrong code too many times. Ask for a new code." in words_of(answer)
    assert client.post(CONFIRM, {"code": right, "next": CARD})["Location"].startswith("/en/join/")


def test_empty_code_is_no_guess(client: Client) -> None:
    ask(client)
    for _ in range(6):
        assert errors_of(client.post(CONFIRM, {"code": " "})) == {"code": ["Fill in the code from the mail."]}
    assert client.post(CONFIRM, {"code": newest_code(), "next": CARD})["Location"] == CARD


def test_expired_code_is_said(client: Client) -> None:
    ask(client)
    session = client.session
    session["account_login"]["state"]["stages"]["login_by_code"]["data"]["at"] -= timedelta(minutes=11).total_seconds()
    session.save()
    answer = client.post(CONFIRM, {"code": newest_code(), "next": CARD}, follow=True)
    assert "This code is no longer valid. Ask for a new one." in words_of(answer)


def test_code_works_once_and_only_where_it_was_asked_for(client: Client) -> None:
    ask(client)
    code = newest_code()
    assert Client().post(CONFIRM, {"code": code})["Location"] == "/en/accounts/login/code/"
    assert client.post(CONFIRM, {"code": code, "next": CARD})["Location"] == CARD
    client.post("/en/accounts/logout/")
    assert client.post(CONFIRM, {"code": code, "next": CARD})["Location"].startswith("/en/join/")


def test_older_code_no_longer_works_when_a_new_one_was_asked_for(client: Client) -> None:
    ask(client)
    older = newest_code()
    ask(client)
    assert "code" in errors_of(client.post(CONFIRM, {"code": older}))
    assert client.post(CONFIRM, {"code": newest_code(), "next": CARD})["Location"] == CARD


def test_code_sent_twice_by_a_double_tap_goes_on_both_times(client: Client) -> None:
    ask(client)
    code = newest_code()
    assert [client.post(CONFIRM, {"code": code, "next": CARD})["Location"] for _ in range(2)] == [CARD, CARD]


def test_next_address_of_another_site_is_not_followed(client: Client) -> None:
    ask(client)
    answer = client.post(CONFIRM, {"code": newest_code(), "next": "https://evil.test/"})
    assert answer["Location"] == "/en/my/"


def test_language_may_be_switched_between_the_steps(client: Client) -> None:
    ask(client, headers={"accept-language": "nl"})
    page = client.get("/fr/accounts/login/code/confirm/?next=/en/join/card/%3Fprogramme%3Dx")
    assert (page.context["next"], page.context["joins"]) == ("/fr/join/card/?programme=x", True)
    assert page.context["start"] == "/fr/join/?next=%2Ffr%2Fjoin%2Fcard%2F%3Fprogramme%3Dx"


def test_new_code_keeps_the_way_that_was_begun(client: Client) -> None:
    page = client.get(ask(client)["Location"])
    answer = client.post(page.context["start"], {"email": "ada@example.test"})
    assert answer["Location"] == CONFIRM + "?next=%2Fen%2Fjoin%2Fcard%2F"
    assert len(mail.outbox) == 2


def test_closed_account_hears_it_only_after_the_code(client: Client) -> None:
    make_user(is_active=False)
    assert ask(client).status_code == 302
    assert len(mail.outbox) == 1
    answer = client.post(CONFIRM, {"code": newest_code(), "next": CARD}, follow=True)
    assert heading_of(answer) == "This account is closed"
    assert "_auth_user_id" not in client.session


def guesses_compared(client: Client, monkeypatch: pytest.MonkeyPatch) -> int:
    """200 guesses at once, all with the cookie of one sign-in, so that each reads the session before others write it:
    how many of them were compared with the code."""
    ask(client)
    compared: list[str] = []

    def compare(*, actual: str, expected: str) -> bool:
        compared.append(actual)
        return bool(cryptokit.compare_user_code(actual=actual, expected=expected))

    monkeypatch.setattr(forms, "compare_user_code", compare)
    wrong, cookies = wrong_code(), client.cookies

    def guess(_number: int) -> None:
        rival = Client()
        rival.cookies = SimpleCookie(cookies)
        try:
            rival.post(CONFIRM, {"code": wrong})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=20) as pool:
        list(pool.map(guess, range(200)))
    return len(compared)


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_of_200_guesses_at_once_five_are_compared(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert guesses_compared(client, monkeypatch) == 5
    assert client.post(CONFIRM, {"code": newest_code()})["Location"] == "/en/accounts/login/code/"


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_without_our_count_more_guesses_would_be_compared(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "may_guess", lambda *_args, **_more: True)
    assert guesses_compared(client, monkeypatch) > 5
