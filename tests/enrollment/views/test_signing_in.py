"""Members sign in with a code, staff with a password; every page about it is ours."""

from __future__ import annotations

import re
from typing import Any

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.conf import LazySettings
from django.core import mail
from django.test import Client
from django.utils import timezone

from libraries import accounts
from libraries.models import User
from tests.enrollment.views.visiting import (
    CARD,
    CONFIRM,
    errors_of,
    heading_of,
    html_of,
    newest_code,
    sign_in,
)
from tests.factories import PASSWORD, make_librarian, make_user

pytestmark = pytest.mark.django_db


def ask(client: Client, email: str = "ada@example.test", **extra: Any) -> Any:
    return client.post("/en/join/", {"email": email}, **extra)


# --- Members and staff ---


def test_member_signs_in_with_a_code_and_comes_to_my_place(client: Client) -> None:
    make_user()
    client.post("/en/accounts/login/code/", {"email": "ada@example.test"})
    assert client.post(CONFIRM, {"code": newest_code()})["Location"] == "/en/my/"


def test_my_place_asks_who_is_not_signed_in_for_a_code(client: Client) -> None:
    assert client.get("/en/my/")["Location"] == "/en/accounts/login/code/?next=/en/my/"


def test_staff_sign_in_with_a_password_and_come_to_the_workplace(client: Client) -> None:
    make_librarian()
    answer = client.post("/en/accounts/login/", {"login": "LIN@example.test", "password": PASSWORD})
    assert answer["Location"] == "/en/admin/"


def test_staff_with_a_second_factor_must_show_it_after_a_code_by_mail_too(client: Client) -> None:
    lin = make_librarian()
    totp.TOTP.activate(lin, totp.generate_totp_secret())
    RecoveryCodes.activate(lin)
    ask(client, "lin@example.test")
    answer = client.post(CONFIRM, {"code": newest_code()})
    assert answer["Location"] == "/en/accounts/2fa/authenticate/"
    assert "_auth_user_id" not in client.session
    assert heading_of(client.get(answer["Location"])) == "The second step"


def test_wrong_passwords_are_limited_exactly(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    make_librarian()
    monkeypatch.setattr(accounts, "PASSWORDS_PER_EMAIL", 3)
    for _ in range(3):
        client.post("/en/accounts/login/", {"login": "lin@example.test", "password": "wrong"})
    answer = client.post("/en/accounts/login/", {"login": "lin@example.test", "password": PASSWORD})
    assert errors_of(answer) == {"__all__": ["Too many failed login attempts. Try again later."]}


def test_stranger_does_not_use_up_the_passwords_of_an_address(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    make_librarian()
    monkeypatch.setattr(accounts, "PASSWORDS_PER_EMAIL_AND_NETWORK", 2)
    monkeypatch.setattr(accounts, "PASSWORDS_PER_EMAIL", 3)
    wrong = {"login": "lin@example.test", "password": "wrong"}
    for _ in range(5):
        client.post("/en/accounts/login/", wrong, REMOTE_ADDR="192.0.2.66")
    answer = client.post("/en/accounts/login/", {"login": "lin@example.test", "password": PASSWORD})
    assert answer["Location"] == "/en/admin/"


def test_link_to_a_new_password_is_made_of_the_site_address_alone(client: Client, settings: LazySettings) -> None:
    make_librarian()
    settings.SITE_URL, settings.ALLOWED_HOSTS = "https://leerkaart.test", ["*"]
    client.post(
        "/en/accounts/password/reset/",
        {"email": "lin@example.test"},
        headers={"host": "evil.test", "x-forwarded-host": "evil.test"},
    )
    (sent,) = mail.outbox
    written = f"{sent.body} " + html_of(sent)
    assert set(re.findall(r"https?://[^/\s\"]+", written)) == {"https://leerkaart.test"}


def test_new_password_is_chosen_with_the_link_and_works(client: Client) -> None:
    make_librarian()
    client.post("/en/accounts/password/reset/", {"email": "lin@example.test"})
    found = re.search(r"http://testserver(/en/accounts/password/reset/key/\S+)", str(mail.outbox[0].body))
    assert found is not None
    form = client.get(found[1])["Location"]
    answer = client.post(form, {"password1": "a brand new one 12", "password2": "a brand new one 12"}, follow=True)
    assert heading_of(answer) == "Your password has changed"
    assert User.objects.get().check_password("a brand new one 12")
    assert heading_of(Client().get(found[1])) == "This link no longer works"


def test_members_get_no_password(client: Client) -> None:
    sign_in(client)
    assert client.get("/en/accounts/password/set/")["Location"] == "/en/my/"
    answer = client.post("/en/accounts/password/set/", {"password1": PASSWORD, "password2": PASSWORD})
    assert answer["Location"] == "/en/my/"
    Client().post("/en/accounts/password/reset/", {"email": "ada@example.test"})
    assert [sent.subject for sent in mail.outbox] == ["Your code for Leerkaart"]
    assert not User.objects.get().has_usable_password()


@pytest.mark.parametrize(
    ("address", "goes_to"),
    [
        ("/en/accounts/signup/", "/en/join/"),
        ("/en/accounts/email/", "/en/my/"),
        ("/en/accounts/confirm-email/", "/en/my/"),
        ("/en/accounts/confirm-email/abc/", "/en/my/"),
    ],
)
def test_pages_that_are_not_offered_lead_somewhere_else(client: Client, address: str, goes_to: str) -> None:
    assert client.get(address)["Location"] == goes_to


OPEN_PAGES = [
    "login/",
    "login/code/",
    "password/reset/",
    "password/reset/done/",
    "password/reset/key/done/",
    "inactive/",
]
STAFF_PAGES = [
    "logout/",
    "reauthenticate/",
    "password/change/",
    "2fa/",
    "2fa/totp/activate/",
    "2fa/totp/deactivate/",
    "2fa/recovery-codes/",
    "2fa/recovery-codes/generate/",
    "2fa/reauthenticate/",
    "2fa/webauthn/",
    "2fa/webauthn/add/",
]


@pytest.mark.parametrize("language", ["", "/fr", "/en"])
def test_every_page_about_signing_in_is_ours_and_free_of_inline_code(client: Client, language: str) -> None:
    lin = make_librarian()
    open_pages = [
        "login/",
        "login/code/",
        "password/reset/",
        "password/reset/done/",
        "password/reset/key/done/",
        "inactive/",
    ]
    pages = [client.get(f"{language}/accounts/{page}") for page in open_pages]
    client.post(f"{language}/accounts/login/", {"login": lin.email, "password": PASSWORD})
    pages += [
        client.get(f"{language}/accounts/password/change/"),
        client.get(f"{language}/accounts/2fa/totp/activate/"),
    ]
    client.post(f"{language}/accounts/reauthenticate/", {"password": PASSWORD})
    pages += [client.get(f"{language}/accounts/2fa/totp/activate/")]
    totp.TOTP.activate(lin, totp.generate_totp_secret())
    RecoveryCodes.activate(lin)
    pages += [client.get(f"{language}/accounts/{page}") for page in STAFF_PAGES]
    shown = [page for page in pages if page.status_code == 200]
    assert len(pages) - len(shown) <= 2
    for page in shown:
        source = page.content.decode()
        assert 'class="site-head"' in source
        assert source.count("<h1>") == 1
        assert re.findall(r"<style|<script(?![^>]*(?:src=|application/json))|\sstyle=|\son\w+=", source) == []
        assert not re.search(r"href=\"\"|None", source)


def test_code_and_address_are_in_no_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        sign_in(client, "canary@example.test")
        client.get(CARD)
    assert "canary" not in caplog.text
    assert newest_code() not in caplog.text


def test_asking_and_typing_cost_a_constant_number_of_queries(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        make_user(f"{number}@example.test", last_login=timezone.now())
    with django_assert_max_num_queries(12):
        ask(client)
    with django_assert_max_num_queries(25):
        client.post(CONFIRM, {"code": newest_code(), "next": CARD})
