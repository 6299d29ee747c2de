"""A provider's tool as the tests need it: registered, with keys of its own, and what it signs."""

from __future__ import annotations

import json
import time
from functools import cache
from itertools import count
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.http import HttpResponse
from django.test import Client
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from catalog.models import Course, Provider, Tool
from enrollment.launch import addresses
from enrollment.launch.tokens import LINE_ITEM, SCORE
from tests.factories import make_provider

CLIENT_ID, KID = "0b5a2f9c-tool", "key-1"
BY_JWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCORE_TYPE = "application/vnd.ims.lis.v1.score+json"
_number = count(1)


def rsa_key(name: str = "tool") -> rsa.RSAPrivateKey:
    """One for each name, made once."""
    return _made(name)


@cache
def _made(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(name: str = "tool") -> str:
    return rsa_key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(name: str = "tool") -> str:
    return rsa_key(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def public_jwk(name: str = "tool", *, kid: str = KID, **more: Any) -> dict[str, Any]:
    jwk: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(rsa_key(name).public_key()))
    return {**jwk, "kid": kid, "alg": "RS256", "use": "sig"} | more


def public_ec_jwk(*, kid: str = KID) -> dict[str, Any]:
    return {**json.loads(ECAlgorithm.to_jwk(ec_key().public_key())), "kid": kid, "use": "sig"}


def make_tool(provider: Provider | None = None, **fields: Any) -> Tool:
    defaults = {
        "client_id": CLIENT_ID,
        "login_url": "https://tool.test/login",
        "launch_url": "https://tool.test/launch",
        "redirect_uris": ["https://tool.test/launch"],
        "keyset": {"keys": [public_jwk()]},
        **fields,
    }
    return Tool.objects.create(provider=provider or make_provider(), **defaults)


def claims(**changes: Any) -> dict[str, Any]:
    """Of an assertion; what is changed to None is left out."""
    now = int(time.time())
    told = {
        "iss": CLIENT_ID,
        "sub": CLIENT_ID,
        "aud": addresses.token(),
        "iat": now,
        "exp": now + 60,
        "jti": f"number-{next(_number)}",
        **changes,
    }
    return {name: value for name, value in told.items() if value is not None}


def signed(told: dict[str, Any], *, key: Any = None, algorithm: str = "RS256", kid: str | None = KID) -> str:
    headers = {"kid": kid} if kid else {}
    return jwt.encode(told, rsa_key() if key is None else key, algorithm=algorithm, headers=headers)


def asking(assertion: str | None = None, **changes: str | None) -> dict[str, str]:
    """The parameters of a request for a token; what is changed to None is left out."""
    told = {
        "grant_type": "client_credentials",
        "client_assertion_type": BY_JWT,
        "client_assertion": assertion or signed(claims()),
        "scope": f"{LINE_ITEM} {SCORE}",
        **changes,
    }
    return {name: value for name, value in told.items() if value is not None}


def new_client() -> Client:
    return Client(enforce_csrf_checks=True, raise_request_exception=False)


def ask_for_token(asked: dict[str, str] | None = None) -> HttpResponse:
    body = urlencode(asking() if asked is None else asked)
    answer: Any = new_client().post("/lti/token", body, content_type="application/x-www-form-urlencoded")
    assert isinstance(answer, HttpResponse)
    return answer


def get_token(scope: str = f"{LINE_ITEM} {SCORE}") -> str:
    return str(json.loads(ask_for_token(asking(scope=scope)).content)["access_token"])


def post_score(course: Course, told: Any, token: str, *, content_type: str = SCORE_TYPE) -> HttpResponse:
    body = told if isinstance(told, str) else json.dumps(told)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"/lti/line-items/{course.pk}/scores"
    answer: Any = new_client().post(address, body, content_type=content_type, headers=headers)
    assert isinstance(answer, HttpResponse)
    return answer
