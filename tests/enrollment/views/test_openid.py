"""The portal as an OpenID Connect provider: who is signed in at a provider's platform, and what is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from allauth.idp.oidc.models import Token
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from catalog.models import Programme
from enrollment.models import Enrollment, ProviderAccount, SignOnClient
from enrollment.views import openid
from libraries.models import User
from tests.enrollment.views.visiting import words_of
from tests.factories import make_provider, make_user
from tests.launches import at, subject_of
from tests.openid import (
    CALLBACK,
    CHALLENGE,
    FROM_HERE,
    VERIFIER,
    ada,
    ask,
    asked_of,
    code_of,
    end_seat,
    post,
    programme,
    redeem,
    register,
    row,
    secret,
    sign_on,
    tokens_of,
    told_in,
    userinfo,
)
from tests.tools import rsa_key

__all__ = ["ada", "programme", "row", "secret", "sign_on"]
pytestmark = pytest.mark.django_db


# --- The way ---


def test_member_is_signed_in(ada: Enrollment, row: SignOnClient, secret: str) -> None:
    found = Client().get("/.well-known/openid-configuration").json()
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert not {"registration_endpoint", "device_authorization_endpoint"} & set(found)
    told = told_in(ask(at(ada), asked_of(row)))
    assert told["state"] == "the-state"
    answer = redeem(row, secret, told["code"])
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    keys = Client().get("/openid/keys.json").json()["keys"]
    assert "d" not in keys[0]
    claims = jwt.decode(
        answer.json()["id_token"], rsa_key("sign-on").public_key(), algorithms=["RS256"], audience=row.client_id
    )
    assert (claims["iss"], claims["sub"], claims["nonce"]) == (found["issuer"], subject_of(ada), "the-nonce")
    assert userinfo(answer.json()["access_token"]).json()["sub"] == subject_of(ada)


@pytest.mark.parametrize(
    ("tells", "scope", "told"),
    [
        ("pseudonym", "openid profile email", set()),
        ("name", "openid profile email", {"given_name", "family_name", "name", "locale"}),
        ("name", "openid email", set()),
        ("name_and_mail", "openid profile", {"given_name", "family_name", "name", "locale"}),
        ("name_and_mail", "openid email", {"email", "email_verified"}),
    ],
)
def test_programme_says_what_is_told(
    ada: Enrollment, row: SignOnClient, secret: str, tells: str, scope: str, told: set[str]
) -> None:
    Programme.objects.update(tells=tells)
    found = tokens_of(ada, row, secret, scope=scope)
    assert set(userinfo(found["access_token"]).json()) - {"sub"} == told
    claims = jwt.decode(found["id_token"], options={"verify_signature": False})
    assert {"email", "given_name", "family_name", "name"} & set(claims) <= told


def test_visitor_signs_in_first_and_then_goes_on_by_a_page(ada: Enrollment, row: SignOnClient) -> None:
    for chosen, prefix in (("", ""), ("fr", "/fr")):
        client = Client()
        client.cookies["language"] = chosen
        answer = ask(client, asked_of(row))
        assert answer["Location"].startswith(f"{prefix}/accounts/login/code/?next=/openid/authorize%3F")
        assert 'name="next" value="/openid/authorize?' in client.get(answer["Location"]).content.decode()
    page = ask(at(ada), asked_of(row), headers=FROM_HERE)
    assert page.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=https://platform.test/callback?from=portal&amp;' in (
        page.content.decode()
    )


def test_nobody_is_asked_for_anything_with_prompt_none(ada: Enrollment, row: SignOnClient) -> None:
    asked = {**asked_of(row), "prompt": "none"}
    assert told_in(ask(Client(), asked)) == {"from": "portal", "error": "login_required", "state": "the-state"}
    assert "code" in told_in(ask(at(ada), asked))
    end_seat(ada)
    assert told_in(ask(at(ada), asked))["error"] == "access_denied"


def test_form_comes_back_by_a_link(row: SignOnClient) -> None:
    answer = Client(enforce_csrf_checks=True).post("/openid/authorize", asked_of(row))
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (303, "/openid/authorize")
    assert Client().post("/openid/authorize", {"state": "x" * 4000}).status_code == 400


# --- Who is not ---


def test_no_place_no_account_or_an_end(ada: Enrollment, row: SignOnClient, programme: Programme) -> None:
    stranger = Client()
    stranger.force_login(make_user("stranger@example.test"))
    assert ask(stranger, asked_of(row)).status_code == 403
    client = at(ada)
    ProviderAccount.objects.update(seen="closed")
    assert ask(client, asked_of(row)).status_code == 403
    ProviderAccount.objects.update(seen="active")
    assert "code" in told_in(ask(client, asked_of(row)))
    end_seat(ada)
    answer = ask(client, asked_of(row))
    assert answer.status_code == 403
    assert "Location" not in answer


def test_place_or_account_at_another_provider_is_none_here(ada: Enrollment, row: SignOnClient) -> None:
    autumn = make_provider("autumn")
    other, _secret = register(autumn)
    assert ask(at(ada), asked_of(other)).status_code == 403
    ProviderAccount.objects.update(provider=autumn)
    assert [ask(at(ada), asked_of(each)).status_code for each in (row, other)] == [403, 403]


def give_back(ada: Enrollment) -> None:
    """The account is not closed yet."""
    Enrollment.objects.filter(pk=ada.pk).update(state="ended", ended_at=timezone.now(), end_reason="given_back")


def close(ada: Enrollment) -> None:
    User.objects.filter(pk=ada.user_id).update(is_active=False)


@pytest.mark.parametrize("end", [end_seat, give_back, close])
def test_everything_dies_with_the_place(
    ada: Enrollment, row: SignOnClient, secret: str, end: Callable[[Enrollment], None]
) -> None:
    found = tokens_of(ada, row, secret)
    code = code_of(ada, row)
    end(ada)
    assert redeem(row, secret, code).json()["error"] == "invalid_grant"
    assert userinfo(found["access_token"]).status_code == 401
    refresh = {"grant_type": "refresh_token", "refresh_token": found["refresh_token"]}
    refused = post({**refresh, "client_id": row.client_id, "client_secret": secret})
    assert refused.json() == {"error": "invalid_grant"}
    assert Token.objects.count() == 0


def test_refresh_gives_another_and_counts_once(ada: Enrollment, row: SignOnClient, secret: str) -> None:
    found = tokens_of(ada, row, secret)
    who = {"client_id": row.client_id, "client_secret": secret}
    refresh = {"grant_type": "refresh_token", "refresh_token": found["refresh_token"]}
    again = post({**refresh, **who})
    assert again.status_code == 200
    assert userinfo(again.json()["access_token"]).status_code == 200
    assert post({**refresh, **who}).json()["error"] == "invalid_grant"
    narrowed = {**refresh, "refresh_token": again.json()["refresh_token"], "scope": "profile"}
    assert "id_token" not in post({**narrowed, **who}).json()


def test_client_that_is_off_gets_nothing(ada: Enrollment, row: SignOnClient, secret: str) -> None:
    found, code = tokens_of(ada, row, secret), code_of(ada, row)
    SignOnClient.objects.update(is_on=False)
    assert ask(at(ada), asked_of(row)).status_code == 400
    assert redeem(row, secret, code).status_code == 401
    assert userinfo(found["access_token"]).status_code == 401


# --- What is refused of a platform ---


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "https://platform.test/callback",
        "https://platform.test/callback?from=portal&more=1",
        "https://platform.test/callback?from=portal#x",
        "https://platform.test/callbac?from=portal",
        "https://platform.test.evil.example/callback?from=portal",
        "http://platform.test/callback?from=portal",
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(
    ada: Enrollment, row: SignOnClient, address: str | None
) -> None:
    answer = ask(at(ada), asked_of(row, redirect_uri=address))
    assert answer.status_code == 400
    assert "Location" not in answer
    assert 'href="https://platform' not in answer.content.decode()


@pytest.mark.parametrize("client_id", [None, "", "unknown", "\x00", "x" * 5000])
def test_client_that_nobody_has_registered(ada: Enrollment, row: SignOnClient, client_id: str | None) -> None:
    assert ask(at(ada), asked_of(row, client_id=client_id)).status_code == 400


def test_nothing_is_told_twice(ada: Enrollment, row: SignOnClient) -> None:
    query = urlencode(asked_of(row))
    assert ask(at(ada), f"{query}&client_id=x").status_code == 400
    assert ask(at(ada), f"{query}&{urlencode({'redirect_uri': CALLBACK})}").status_code == 400
    assert told_in(ask(at(ada), f"{query}&scope=openid"))["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"state": "x" * 1001}, "invalid_request"),
        ({"prompt": "login"}, "login_required"),
        ({"max_age": "0"}, "login_required"),
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"request_uri": "https://evil.example"}, "request_uri_not_supported"),
    ],
)
def test_platform_is_told_what_is_wrong(
    ada: Enrollment, row: SignOnClient, changes: dict[str, str | None], error: str
) -> None:
    told = told_in(ask(at(ada), asked_of(row, **changes)))
    assert told["error"] == error
    assert "code" not in told


def test_more_scopes_than_there_are(ada: Enrollment, row: SignOnClient, secret: str) -> None:
    found = tokens_of(ada, row, secret, scope="openid offline_access address admin")
    assert found["scope"] == "openid"


def test_code_counts_once(ada: Enrollment, row: SignOnClient, secret: str) -> None:
    code = code_of(ada, row)
    assert redeem(row, secret, code).status_code == 200
    assert redeem(row, secret, code).json() == {"error": "invalid_grant"}


def test_of_two_at_once_one_gets_a_token(
    ada: Enrollment, row: SignOnClient, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """allauth looks a code up and takes it away in two steps."""
    found, code = tokens_of(ada, row, secret), code_of(ada, row)
    refresh = {"grant_type": "refresh_token", "refresh_token": found["refresh_token"]}
    who = {"client_id": row.client_id, "client_secret": secret}
    monkeypatch.setattr("allauth.idp.oidc.views.token", lambda _request: HttpResponse())
    assert [redeem(row, secret, code).status_code for _ in range(2)] == [200, 400]
    assert [post({**refresh, **who}).status_code for _ in range(2)] == [200, 400]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, "invalid_grant"),
        ({"redirect_uri": "https://platform.test/other"}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"code": "another"}, "invalid_grant"),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_secret": None}, "invalid_client"),
        ({"client_id": "unknown"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, "unsupported_grant_type"),
        ({"grant_type": None}, "unsupported_grant_type"),
        ({"nul": "\x00"}, "invalid_request"),
    ],
)
def test_token_is_refused(
    ada: Enrollment, row: SignOnClient, secret: str, changes: dict[str, str | None], error: str
) -> None:
    answer = redeem(row, secret, code_of(ada, row), **changes)
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == error
    assert Token.objects.count() == 0


def test_challenge_is_asked_for_with_basic_too(ada: Enrollment, row: SignOnClient, secret: str) -> None:
    code = code_of(ada, row)
    shown = base64.b64encode(f"{row.client_id}:{secret}".encode()).decode()
    told = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    basic = {"Authorization": f"Basic {shown}"}
    assert post(told, headers=basic).status_code == 400
    assert Token.objects.count() == 0
    fresh = {**told, "code": code_of(ada, row), "code_verifier": VERIFIER}
    assert post(fresh, headers=basic).status_code == 200


def test_code_of_another_client(ada: Enrollment, row: SignOnClient, secret: str) -> None:
    other, others_secret = register(make_provider("autumn"))
    code = code_of(ada, row)
    assert redeem(other, others_secret, code).status_code == 400
    shown = base64.b64encode(f"{other.client_id}:{others_secret}".encode()).decode()
    told = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    answer = post({**told, "client_id": row.client_id}, headers={"Authorization": f"Basic {shown}"})
    assert answer.json() == {"error": "invalid_client"}
    found = tokens_of(ada, row, secret)
    refresh = {"grant_type": "refresh_token", "refresh_token": found["refresh_token"]}
    taken = post({**refresh, "client_id": other.client_id, "client_secret": others_secret})
    assert taken.json()["error"] == "invalid_grant"


def test_platform_without_pkce_where_an_operator_says_so(ada: Enrollment, row: SignOnClient, secret: str) -> None:
    SignOnClient.objects.update(needs_pkce=False)
    code = code_of(ada, row, code_challenge=None, code_challenge_method=None)
    assert redeem(row, secret, code, code_verifier=None).status_code == 200
    assert redeem(row, secret, code_of(ada, row), code_verifier=None).status_code == 400


def test_member_gets_so_many_codes(ada: Enrollment, row: SignOnClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openid, "CODES_PER_MEMBER", 1)
    client = at(ada)
    assert "code" in told_in(ask(client, asked_of(row)))
    assert told_in(ask(client, asked_of(row)))["error"] == "temporarily_unavailable"


@pytest.mark.parametrize("token", ["", "x", "\x00", "x" * 5000])
def test_token_that_is_none(row: SignOnClient, token: str) -> None:
    assert userinfo(token).status_code == 401


def test_without_a_key_there_is_nothing(row: SignOnClient, settings: Any) -> None:
    settings.IDP_OIDC_PRIVATE_KEYS = []
    for way in ("authorize", "token", "userinfo", "keys.json"):
        assert Client().get(f"/openid/{way}").status_code == 404
    assert Client().get("/.well-known/openid-configuration").status_code == 404


def test_ways_of_allauth_that_nobody_asked_for_are_not_there(db: None) -> None:
    for way in ("identity/o/authorize", "identity/o/device", "identity/o/api/token", "identity/o/api/clients"):
        assert Client().get(f"/{way}").status_code == 404


def test_page_for_whoever_has_no_place(ada: Enrollment, row: SignOnClient) -> None:
    end_seat(ada)
    client = at(ada)
    client.cookies["language"] = "en"
    assert "You have no place there" in words_of(ask(client, asked_of(row)))


def test_secret_is_kept_as_a_hash(row: SignOnClient, secret: str) -> None:
    row.client.refresh_from_db()
    assert secret not in json.dumps([row.client.secret, row.client.data])
    assert row.client.check_secret(secret)
