"""What the portal as an OpenID Connect provider refuses: strangers, in time; and what no platform sends."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.idp.oidc.models import Token
from django.test import Client
from django.utils import timezone

from enrollment import signing_on
from enrollment.models import Enrollment, SignOnClient
from enrollment.views import openid
from libraries.models import User
from tests.openid import ada, code_of, end_seat, post, programme, redeem, row, secret, sign_on, tokens_of

__all__ = ["ada", "programme", "row", "secret", "sign_on"]
pytestmark = pytest.mark.django_db


def test_guesses_are_limited(row: SignOnClient, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openid, "MOST_REFUSED", 2)
    told = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": row.client_id, "client_secret": "y"}
    assert [post(told).status_code for _ in range(3)] == [401, 401, 429]


def test_platform_whose_members_places_ended_is_no_stranger(
    ada: Enrollment, row: SignOnClient, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cohort ends in one night, and all that the platform renews for it is refused."""
    monkeypatch.setattr(openid, "MOST_REFUSED", 1)
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens_of(ada, row, secret)["refresh_token"]}
    end_seat(ada)
    told = {**refresh, "client_id": row.client_id, "client_secret": secret}
    assert [post(told).json() for _ in range(3)] == [{"error": "invalid_grant"}] * 3


@pytest.mark.parametrize("query", ["%zz", "resource=foo", "client_id=x", "x"])
def test_nothing_is_asked_in_the_address_of_a_token(row: SignOnClient, query: str) -> None:
    for answer in (Client().post(f"/openid/token?{query}", {"client_id": row.client_id}), userinfo_with(query)):
        assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})


def userinfo_with(query: str) -> Any:
    return Client().get(f"/openid/userinfo?{query}")


@pytest.mark.parametrize(
    "changes", [{"resource": "foo"}, {"resource": ""}, {"more": ["a", "a"]}, {"scope": ["a", "b"]}]
)
def test_what_no_platform_sends(ada: Enrollment, row: SignOnClient, secret: str, changes: dict[str, Any]) -> None:
    answer = redeem(row, secret, code_of(ada, row), **changes)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})
    assert Token.objects.count() == 0


def test_account_that_is_closed_has_no_place(ada: Enrollment) -> None:
    told: dict[str, Any] = {"provider_id": ada.pool.programme.provider_id, "now": timezone.now()}
    assert signing_on.place_of(ada.user_id, **told) is not None
    User.objects.update(is_active=False)
    assert signing_on.place_of(ada.user_id, **told) is None
