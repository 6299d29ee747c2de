"""A sign-in by OpenID Connect is believed only when every check holds; whatever goes wrong is a clear page."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.conf import LazySettings
from django.test import Client

from libraries import openid, openid_requests
from libraries.models import User
from libraries.openid_requests import Exchange
from libraries.openid_tokens import NotBelieved, claims_of
from tests.enrollment.views.identity_visits import CALLBACK, START, at_provider, come, press
from tests.enrollment.views.visiting import heading_of, words_of
from tests.identity_provider import (
    ADA,
    CLIENT_ID,
    CLIENT_SECRET,
    IdentityProvider,
    public_key,
    running_provider,
    settings_for,
)

pytestmark = pytest.mark.django_db
DISCOVERY = "/.well-known/openid-configuration"
NO_ANSWER = "UiTiD does not answer now. Try again in a few minutes, or sign in with a code."
BAD_ANSWER = "We could not use the answer of UiTiD. Try again, or sign in with a code."


@pytest.fixture
def uitid(settings: LazySettings) -> Iterator[IdentityProvider]:
    with running_provider() as provider:
        settings.SOCIALACCOUNT_PROVIDERS = settings_for(provider)
        yield provider


def said_by(answer: Any) -> tuple[int, str]:
    """Status and words of a page that says that nobody was signed in, when that is so."""
    assert heading_of(answer) == "You are not signed in"
    assert "_auth_user_id" not in answer.client.session
    assert (User.objects.count(), SocialAccount.objects.count()) == (0, 0)
    words = words_of(answer).removeprefix("You are not signed in ")
    return answer.status_code, words.removesuffix(" Go to the page to sign in Apply for your place").strip()


# --- What is asked of the provider ---


def test_provider_is_asked_with_state_nonce_and_proof_of_the_code(client: Client, uitid: IdentityProvider) -> None:
    come(client)
    asked = uitid.authorization
    assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
    assert asked["redirect_uri"] == f"http://testserver{CALLBACK}"
    assert set(asked["scope"].split()) == {"openid", "profile", "email"}
    assert (len(asked["state"]) >= 16, len(asked["nonce"]) >= 32, asked["code_challenge_method"]) == (
        True,
        True,
        "S256",
    )
    assert uitid.asked == [DISCOVERY, "/authorize", DISCOVERY, "/token", "/keys"]


def test_parameters_of_a_request_change_nothing_of_what_is_asked(client: Client, uitid: IdentityProvider) -> None:
    address = f"{START}?scope=admin&auth_params=prompt%3Dnone%26redirect_uri%3Dhttps://evil.test&process=connect"
    at_provider(client.post(address, headers={"host": "localhost"})["Location"])
    assert uitid.authorization["redirect_uri"] == f"http://testserver{CALLBACK}"
    assert set(uitid.authorization) == {
        *("response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "ui_locales"),
        *("code_challenge", "code_challenge_method"),
    }


def test_secret_goes_in_the_body_or_in_the_header_as_the_provider_wishes(
    client: Client, uitid: IdentityProvider
) -> None:
    come(client)
    assert uitid.token_request["client_secret"] == CLIENT_SECRET
    uitid.config = {"token_endpoint_auth_methods_supported": ["client_secret_basic"]}
    come(Client())
    assert "client_secret" not in uitid.token_request


def test_address_of_the_provider_may_have_a_query(client: Client, uitid: IdentityProvider) -> None:
    uitid.config = {"authorization_endpoint": f"{uitid.address}/authorize?policy=members"}
    come(client)
    assert uitid.authorization["policy"] == "members"
    assert User.objects.count() == 1


def test_address_is_asked_for_where_the_token_does_not_tell_it(client: Client, uitid: IdentityProvider) -> None:
    uitid.in_userinfo = True
    come(client)
    assert (uitid.asked[-1], User.objects.get().email) == ("/userinfo", "ada@example.test")


def test_userinfo_of_somebody_else_is_not_believed(client: Client, uitid: IdentityProvider) -> None:
    uitid.in_userinfo, uitid.userinfo = True, {"sub": "somebody else"}
    assert said_by(come(client)) == (502, BAD_ANSWER)


def test_starts_from_one_network_are_limited(
    client: Client, uitid: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid, "STARTS_PER_NETWORK", 2)
    assert [press(client).status_code for _ in range(3)] == [302, 302, 429]


# --- What is believed ---


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": ["a list"]},
        {"aud": "somebody-else"},
        {"aud": None},
        {"aud": [CLIENT_ID, "other"], "azp": "other"},
        {"iss": "http://127.0.0.1:9"},
        {"iss": None},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"exp": "soon"},
        {"iat": 4_000_000_000},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 192},
        {"sub": "nul\0"},
        {"sub": "é"},
    ],
    ids=repr,
)
def test_token_with_a_wrong_claim_is_refused(client: Client, uitid: IdentityProvider, claims: dict[str, Any]) -> None:
    uitid.claims = claims
    assert said_by(come(client)) == (502, BAD_ANSWER)


@pytest.mark.parametrize("how", [{"signed_by": "another"}, {"algorithm": "HS256"}, {"algorithm": "none"}])
def test_token_that_the_provider_did_not_sign_is_refused(
    client: Client, uitid: IdentityProvider, how: dict[str, str]
) -> None:
    for name, value in how.items():
        setattr(uitid, name, value)
    assert said_by(come(client)) == (502, BAD_ANSWER)


@pytest.mark.parametrize("token", [None, 7, [], "", "x", "x.y.z", "e30.e30.", "\0" * 10_000])
def test_token_that_is_none_is_refused(token: object) -> None:
    with pytest.raises(NotBelieved):
        claims_of(token, {"keys": [public_key()]}, issuer="https://x.test", client_id=CLIENT_ID, nonce="n")


@pytest.mark.parametrize("keys", [{}, {"keys": []}, {"keys": 7}, {"keys": [7]}, {"keys": [{"kty": "RSA"}]}])
def test_token_without_a_key_for_it_is_refused(uitid: IdentityProvider, keys: dict[str, Any]) -> None:
    uitid.authorization = {"nonce": "n"}
    told = {"issuer": uitid.address, "client_id": CLIENT_ID, "nonce": "n"}
    assert claims_of(uitid.id_token(), {"keys": [public_key()]}, **told)["sub"] == ADA["sub"]
    with pytest.raises(NotBelieved):
        claims_of(uitid.id_token(), keys, **told)


# --- What goes wrong ---


@pytest.mark.parametrize("path", [DISCOVERY, "/token", "/keys"])
@pytest.mark.parametrize(
    ("status", "content", "says"),
    [
        (503, b"", (503, NO_ANSWER)),
        (429, b"{}", (503, NO_ANSWER)),
        (404, b"{}", (502, BAD_ANSWER)),
        (302, b"{}", (502, BAD_ANSWER)),
        (200, b"<html>", (502, BAD_ANSWER)),
        (200, b"[]", (502, BAD_ANSWER)),
        (200, b"{}", (502, BAD_ANSWER)),
        (200, b"[" * 100_000, (502, BAD_ANSWER)),
        (200, b"\xff", (502, BAD_ANSWER)),
        (200, b" " * (openid_requests.MOST_BYTES + 1), (503, NO_ANSWER)),
    ],
)
def test_provider_that_fails_is_said(
    client: Client, uitid: IdentityProvider, path: str, status: int, content: bytes, says: tuple[int, str]
) -> None:
    back = "" if path == DISCOVERY else at_provider(press(client)["Location"])
    uitid.faults = {path: (status, content)}
    assert said_by(client.get(back) if back else press(client)) == says


def test_provider_that_is_down_when_the_person_comes_back_is_said(client: Client, uitid: IdentityProvider) -> None:
    back = at_provider(press(client)["Location"])
    uitid.faults = {DISCOVERY: (500, b"")}
    assert said_by(client.get(back)) == (503, NO_ANSWER)


def test_provider_that_cannot_be_reached_is_said(client: Client, settings: LazySettings) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = settings_for(IdentityProvider("http://127.0.0.1:9"))
    assert said_by(press(client)) == (503, NO_ANSWER)


def test_slow_provider_is_given_up(client: Client, uitid: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openid_requests, "ALL_WITHIN", 0.1)
    uitid.slow = 0.3
    began = time.monotonic()
    assert said_by(press(client)) == (503, NO_ANSWER)
    assert time.monotonic() - began < 0.3


def test_slow_provider_takes_no_more_than_its_threads(client: Client, uitid: IdentityProvider) -> None:
    uitid.slow = 0.3
    with ThreadPoolExecutor(openid_requests.MOST_AT_ONCE) as pool:
        address = uitid.address + DISCOVERY
        waiting = [pool.submit(Exchange().document, "GET", address) for _ in range(openid_requests.MOST_AT_ONCE)]
        while len(uitid.asked) < len(waiting):
            time.sleep(0.01)
        assert said_by(press(client)) == (503, NO_ANSWER)
        assert len(uitid.asked) == len([each.result() for each in waiting])
    assert press(client).status_code == 302


@pytest.mark.parametrize(
    "config",
    [
        {"issuer": "https://another.test"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"userinfo_endpoint": "ftp://account.test/"},
        {"token_endpoint_auth_methods_supported": None},
    ],
)
def test_provider_that_describes_itself_wrongly_is_not_used(
    client: Client, uitid: IdentityProvider, config: dict[str, Any]
) -> None:
    uitid.config = config
    assert said_by(press(client)) == (502, BAD_ANSWER)


def test_person_who_goes_back_at_the_provider_can_go_on(client: Client, uitid: IdentityProvider) -> None:
    uitid.error = "access_denied"
    words = "You did not finish at UiTiD. You can try again, or sign in with a code."
    assert said_by(come(client)) == (200, words)


def test_error_of_the_provider_is_said(client: Client, uitid: IdentityProvider) -> None:
    uitid.error = "server_error"
    words = "UiTiD could not sign you in. Try again, or sign in with a code."
    assert said_by(come(client)) == (502, words)


STALE = "This page is too old, or it was opened in another browser. Please start again."


def test_forged_missing_or_used_state_is_refused(client: Client, uitid: IdentityProvider) -> None:
    back = at_provider(press(client)["Location"])
    for query in ("", "?code=the-code", "?code=the-code&state=forged", "?error=access_denied&state=forged"):
        assert said_by(client.get(CALLBACK + query)) == (400, STALE)
    assert said_by(Client().get(f"/en{back}")) == (400, STALE)
    assert "/token" not in uitid.asked
    assert client.get(back).status_code == 302
    client.logout()
    assert client.get(back).status_code == 400


def test_state_of_one_provider_does_not_serve_at_another(
    client: Client, uitid: IdentityProvider, settings: LazySettings
) -> None:
    with running_provider() as other:
        settings.SOCIALACCOUNT_PROVIDERS = settings_for(uitid, other)
        back = at_provider(press(client)["Location"])
        assert said_by(client.get(back.replace("/uitid/", "/bibkaart/"))) == (400, STALE)


def test_trouble_is_told_in_the_language_of_the_page(client: Client, uitid: IdentityProvider) -> None:
    uitid.error = "access_denied"
    answer = come(client, start="/fr/accounts/oidc/uitid/login/")
    assert '<html lang="fr"' in answer.content.decode()
    press(client)
    assert '<html lang="en"' in client.get(CALLBACK).content.decode()
    assert '<html lang="fr"' in client.get(f"/fr{CALLBACK}").content.decode()
    assert '<html lang="nl"' in Client().get(CALLBACK).content.decode()


def test_who_chose_a_language_comes_back_by_its_address(client: Client, uitid: IdentityProvider) -> None:
    client.cookies["language"] = "fr"
    back = come(client, start="/fr/accounts/oidc/uitid/login/")
    assert client.get(back["Location"])["Location"] == "/fr/join/card/"


def test_page_about_trouble_keeps_where_the_person_was_going(client: Client, uitid: IdentityProvider) -> None:
    uitid.error = "access_denied"
    answer = come(client, then="/en/courses/?q=a")
    assert 'href="/en/accounts/login/code/?next=%2Fen%2Fcourses%2F%3Fq%3Da"' in answer.content.decode()


def test_nothing_of_the_person_is_in_a_log(
    client: Client, uitid: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    uitid.person = {"sub": "canary-1", "email": "canary@example.test", "given_name": "Canary"}
    with caplog.at_level(logging.DEBUG, logger="libraries"), caplog.at_level(logging.DEBUG, logger="django"):
        come(client)
        uitid.claims = {"nonce": "wrong"}
        come(Client())
    told = [record.getMessage() for record in caplog.records if not record.name.startswith("django.db")]
    assert not any(word in line.lower() for line in told for word in ("canary", "the-code", "the-access-token"))
    assert "An identity provider is not understood: nonce" in told
