"""A tool proves by a JWT of its own who it is, and gets a token: for what it may do here, for an hour."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.db import connections
from django.http import HttpResponse
from django.utils import timezone

from enrollment.launch import addresses, tokens, tool_keys
from enrollment.launch.tokens import LINE_ITEM, SCORE
from enrollment.models import AccessToken, UsedToken
from tests.concurrency.conftest import Together, together
from tests.factories import make_provider
from tests.tools import (
    CLIENT_ID,
    ask_for_token,
    asking,
    claims,
    ec_key,
    make_tool,
    new_client,
    public_ec_jwk,
    public_jwk,
    public_pem,
    rsa_key,
    signed,
)

__all__ = ["together"]
pytestmark = pytest.mark.django_db


def read(answer: HttpResponse) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(answer.content)
    return told


def unsigned(told: dict[str, Any], algorithm: object = "none") -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(told)}."


def by_public_key(told: dict[str, Any]) -> str:
    """HS256 with the tool's public key as the secret, which everybody knows. PyJWT refuses to sign so."""

    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "key-1"}).encode())
    body = head + b"." + part(json.dumps(told).encode())
    return (body + b"." + part(hmac.digest(public_pem().encode(), body, hashlib.sha256))).decode()


def test_tool_gets_a_token_for_an_hour_of_which_only_a_hash_is_kept() -> None:
    tool = make_tool()
    answer = ask_for_token()
    told = read(answer)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert {name: told[name] for name in ("token_type", "expires_in", "scope")} == {
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": f"{LINE_ITEM} {SCORE}",
    }
    kept = AccessToken.objects.get()
    assert (kept.tool, kept.scopes) == (tool, [LINE_ITEM, SCORE])
    assert abs(kept.expires_at - timezone.now() - timedelta(hours=1)) < timedelta(seconds=30)
    assert told["access_token"] not in str(AccessToken.objects.values())
    assert "no-store" in answer["Cache-Control"]
    assert not answer.cookies


def test_other_scopes_are_left_out_and_the_answer_says_so() -> None:
    make_tool()
    others = "https://purl.imsglobal.org/spec/lti-ags/scope/result.readonly openid"
    assert read(ask_for_token(asking(scope=f"{others} {SCORE}")))["scope"] == SCORE


def test_keys_of_an_elliptic_curve_are_taken() -> None:
    make_tool(keyset={"keys": [public_ec_jwk()]})
    assert ask_for_token(asking(signed(claims(), key=ec_key(), algorithm="ES256"))).status_code == 200


def test_token_without_a_kid_is_taken_where_only_one_key_can_be_meant() -> None:
    tool = make_tool()
    assert ask_for_token(asking(signed(claims(), kid=None))).status_code == 200
    tool.keyset = {"keys": [public_jwk(), public_jwk("other", kid="key-2")]}
    tool.save()
    assert ask_for_token(asking(signed(claims(), kid=None))).status_code == 401


def test_address_may_be_one_of_several_audiences() -> None:
    make_tool()
    told = claims(aud=["https://elsewhere.test", addresses.token()])
    assert ask_for_token(asking(signed(told))).status_code == 200


SECONDS = int(time.time())
REFUSED: dict[str, Callable[[], str]] = {
    "alg none": lambda: unsigned(claims()),
    "alg a list": lambda: unsigned(claims(), ["RS256"]),
    "alg an object": lambda: unsigned(claims(), {"RS256": 1}),
    "alg nothing": lambda: unsigned(claims(), None),
    "public key as a secret": lambda: by_public_key(claims()),
    "another key": lambda: signed(claims(), key=rsa_key("other")),
    "unknown kid": lambda: signed(claims(), kid="key-9"),
    "another algorithm than the key's": lambda: signed(claims(), algorithm="RS384"),
    "no token": lambda: "abc",
    "too long": lambda: "a." * 10_000,
    "unknown client": lambda: signed(claims(iss="nobody", sub="nobody")),
    "client of odd letters": lambda: signed(claims(iss="\0", sub="\0")),
    "client of half a letter": lambda: signed(claims(iss="\ud800")),
    "no issuer": lambda: signed(claims(iss=None)),
    "another subject": lambda: signed(claims(sub="ada")),
    "no subject": lambda: signed(claims(sub=None)),
    "another audience": lambda: signed(claims(aud=addresses.issuer())),
    "audience one letter off": lambda: signed(claims(aud=addresses.token() + "/")),
    "no audience": lambda: signed(claims(aud=None)),
    "audience a number": lambda: signed(claims() | {"aud": 7}),
    "expired": lambda: signed(claims(iat=SECONDS - 600, exp=int(time.time()) - 61)),
    "never expires": lambda: signed(claims(exp=None)),
    "expires in a day": lambda: signed(claims(exp=int(time.time()) + 86_400)),
    "expires at 1e309": lambda: signed(claims(exp=float("inf"))),
    "expires at no number": lambda: signed(claims(exp=float("nan"))),
    "expires at a huge number": lambda: signed(claims(exp=10**400)),
    "expires at a word": lambda: signed(claims(exp="tomorrow")),
    "expires at true": lambda: signed(claims(exp=True)),
    "of the future": lambda: signed(claims(iat=int(time.time()) + 120, exp=int(time.time()) + 180)),
    "good only later": lambda: signed(claims(nbf=int(time.time()) + 120)),
    "of no time": lambda: signed(claims(iat=None)),
    "of long ago": lambda: signed(claims(iat=1)),
    "without a number": lambda: signed(claims(jti=None)),
    "with an empty number": lambda: signed(claims(jti="")),
    "with a number that is long": lambda: signed(claims(jti="x" * 501)),
    "with a number that is none": lambda: signed(claims() | {"jti": ["a"]}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_the_tools_own_word_is_refused(name: str) -> None:
    make_tool()
    answer = ask_for_token(asking(REFUSED[name]()))
    assert (answer.status_code, read(answer)["error"]) == (401, "invalid_client")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert not AccessToken.objects.exists()


def test_token_of_another_tool_opens_nothing() -> None:
    make_tool()
    make_tool(make_provider("other"), client_id="other", keyset={"keys": [public_jwk("other")]})
    forged = claims(iss="other", sub="other")
    assert ask_for_token(asking(signed(forged))).status_code == 401
    assert ask_for_token(asking(signed(forged, key=rsa_key("other")))).status_code == 200


def test_number_counts_once() -> None:
    make_tool()
    assertion = signed(claims())
    assert [ask_for_token(asking(assertion)).status_code for _ in range(3)] == [200, 401, 401]


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_number_counts_once_for_many_at_once(together: Together) -> None:
    make_tool()
    asked = asking(signed(claims()))

    def ask() -> int:
        try:
            return ask_for_token(asked).status_code
        finally:
            connections.close_all()

    assert sorted(together([ask] * 8)) == [200] + [401] * 7
    assert AccessToken.objects.count() == 1


def test_tool_that_is_off_gets_nothing_and_its_tokens_are_no_good() -> None:
    tool = make_tool()
    token = read(ask_for_token())["access_token"]
    tool.is_on = False
    tool.save()
    assert ask_for_token().status_code == 401
    assert tokens.of(token, now=timezone.now()) is None


@pytest.mark.parametrize(
    ("changes", "error", "status"),
    [
        ({"grant_type": None}, "invalid_request", 400),
        ({"grant_type": "password"}, "unsupported_grant_type", 400),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type", 400),
        ({"client_assertion_type": "urn:other"}, "invalid_client", 401),
        ({"client_assertion_type": None}, "invalid_client", 401),
        ({"client_assertion": None}, "invalid_client", 401),
        ({"client_id": "somebody"}, "invalid_client", 401),
        ({"scope": "openid"}, "invalid_scope", 400),
        ({"scope": None}, "invalid_scope", 400),
        ({"scope": ""}, "invalid_scope", 400),
    ],
)
def test_requests_that_ask_for_something_else(changes: dict[str, str | None], error: str, status: int) -> None:
    make_tool()
    answer = ask_for_token({name: value for name, value in {**asking(), **changes}.items() if value is not None})
    assert (answer.status_code, read(answer)["error"]) == (status, error)


def test_client_may_name_itself_beside() -> None:
    make_tool()
    assert ask_for_token(asking(client_id=CLIENT_ID)).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("", "application/x-www-form-urlencoded", 400),
        ("grant_type=client_credentials&grant_type=client_credentials", "application/x-www-form-urlencoded", 400),
        ("a=1&" * 40, "application/x-www-form-urlencoded", 400),
        ("grant_type=%ff", "application/x-www-form-urlencoded", 400),
        (b"grant_type=\xff", "application/x-www-form-urlencoded", 400),
        ("{}", "application/json", 400),
        ("x" * 40_000, "application/x-www-form-urlencoded", 413),
    ],
)
def test_bodies_that_are_no_request(body: str | bytes, kind: str, status: int) -> None:
    answer = new_client().post("/lti/token", body, content_type=kind)
    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete", "options"])
def test_only_posts_are_answered(method: str) -> None:
    answer = getattr(new_client(), method)("/lti/token")
    assert (answer.status_code, answer["Allow"]) == (405, "POST")


def test_whoever_is_refused_time_and_again_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    make_tool()
    monkeypatch.setattr("enrollment.views.scores.MOST_REFUSED", 2)
    answers = [ask_for_token(asking("abc")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert answers[-1]["Retry-After"] == "3600"
    assert ask_for_token().status_code == 200  # the tool itself does not


def test_tool_that_asks_for_ever_more_tokens_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    make_tool()
    monkeypatch.setattr(tokens, "MOST", 1)
    assert [ask_for_token().status_code for _ in range(2)] == [200, 429]


def test_what_is_over_is_forgotten() -> None:
    make_tool()
    ask_for_token()
    now = timezone.now()
    assert (tokens.forget(now=now), tool_keys.forget(now=now)) == (0, 0)
    later = now + timedelta(hours=1, minutes=2)
    assert (tokens.forget(now=later), tool_keys.forget(now=later)) == (1, 1)
    assert not UsedToken.objects.exists()


def test_nothing_of_what_was_sent_is_repeated(caplog: pytest.LogCaptureFixture) -> None:
    make_tool()
    secret = jwt.encode({"iss": "canary-issuer"}, rsa_key("other"), algorithm="RS256")
    answer = ask_for_token(asking(secret, scope="canary-scope"))
    assert "canary" not in answer.content.decode() + caplog.text
    assert secret not in answer.content.decode() + caplog.text
