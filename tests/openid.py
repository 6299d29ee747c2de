"""A provider's platform that members are signed in at by OpenID Connect, as its own server and a browser ask."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Programme, Provider
from enrollment import signing_on
from enrollment.models import Enrollment, SignOnClient
from libraries.models import StaffRole
from tests.factories import make_librarian, make_library, make_programme, make_staff
from tests.launches import at, make_ready
from tests.tools import private_pem

CALLBACK = "https://platform.test/callback?from=portal"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
FROM_HERE = {"sec-fetch-site": "same-origin"}


@pytest.fixture(autouse=True)
def sign_on(settings: Any) -> None:
    settings.IDP_OIDC_PRIVATE_KEYS = [{"pem": private_pem("sign-on")}]


@pytest.fixture
def programme(db: None) -> Programme:
    make_librarian(make_library().institution)
    return make_programme(name="Leren")


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    return make_ready(programme)


@pytest.fixture
def row(programme: Programme) -> SignOnClient:
    return register(programme.provider)[0]


@pytest.fixture
def secret(row: SignOnClient) -> str:
    ops = make_staff("renewer@example.test", StaffRole.Role.OPERATOR)
    return signing_on.renew_secret(row, by=ops, now=timezone.now())


def register(provider: Provider, **fields: Any) -> tuple[SignOnClient, str]:
    ops = make_staff(f"ops-{provider.slug}@example.test", StaffRole.Role.OPERATOR)
    row = SignOnClient(provider=provider, redirect_uris=[CALLBACK, "https://platform.test/other"], **fields)
    return row, signing_on.register(row, by=ops, now=timezone.now())


def asked_of(row: SignOnClient, **changes: str | None) -> dict[str, str]:
    told = {
        "client_id": row.client_id,
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid profile email",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return {name: value for name, value in told.items() if value is not None}


def ask(client: Client, asked: Mapping[str, str] | str, **how: Any) -> Any:
    query = asked if isinstance(asked, str) else urlencode(asked)
    return client.get(f"/openid/authorize?{query}", **how)


def told_in(answer: Any) -> dict[str, str]:
    assert answer.status_code == 302, answer.content
    address = answer["Location"]
    assert address.startswith("https://platform.test/callback?from=portal&"), address
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def code_of(enrollment: Enrollment, row: SignOnClient, **changes: str | None) -> str:
    return told_in(ask(at(enrollment), asked_of(row, **changes)))["code"]


def redeem(row: SignOnClient, secret: str, shown: str, /, **changes: str | None) -> Any:
    told = {
        "grant_type": "authorization_code",
        "code": shown,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        "client_id": row.client_id,
        "client_secret": secret,
        **changes,
    }
    return post({name: value for name, value in told.items() if value is not None})


def post(told: Mapping[str, Any], **how: Any) -> Any:
    body = urlencode(told, doseq=True)
    return Client(enforce_csrf_checks=True).post(
        "/openid/token", body, content_type="application/x-www-form-urlencoded", **how
    )


def userinfo(token: str) -> Any:
    return Client().get("/openid/userinfo", headers={"Authorization": f"Bearer {token}"})


def tokens_of(enrollment: Enrollment, row: SignOnClient, secret: str, **changes: str | None) -> dict[str, Any]:
    answer = redeem(row, secret, code_of(enrollment, row, **changes))
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def end_seat(enrollment: Enrollment) -> None:
    Enrollment.objects.filter(pk=enrollment.pk).update(ends_at=timezone.now() - timedelta(seconds=1))
