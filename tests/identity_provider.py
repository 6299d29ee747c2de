"""An OpenID provider on loopback: discovery, keys, authorization code with PKCE, tokens, userinfo; and its faults."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.serving import serving

CLIENT_ID, CLIENT_SECRET = "leerkaart", "secret-of-the-client"
ADA = {
    "sub": "8d1f-ada",
    "email": "ada@example.test",
    "email_verified": True,
    "given_name": "Ada",
    "family_name": "Peeters",
}


@cache
def private_key(name: str = "one") -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_key(name: str = "one") -> dict[str, Any]:
    key: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(private_key(name).public_key(), as_dict=True)
    return key | {"kid": name, "use": "sig", "alg": "RS256"}


@dataclass
class IdentityProvider:
    """Whoever comes is `person`. What is set here is how it answers from then on."""

    address: str = ""
    person: dict[str, Any] = field(default_factory=lambda: dict(ADA))
    # Changes of the token's claims (None drops one), and of how it is signed.
    claims: dict[str, Any] = field(default_factory=dict)
    signed_by: str = "one"
    algorithm: str = "RS256"
    in_userinfo: bool = False
    userinfo: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    # Path to what is answered in its place: status and content.
    faults: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    error: str = ""
    # What was asked: paths in order, parameters of the last authorization and of the last token.
    asked: list[str] = field(default_factory=list)
    authorization: dict[str, str] = field(default_factory=dict)
    token_request: dict[str, str] = field(default_factory=dict)
    slow: float = 0.0

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        self.authorization = query
        told = {"error": self.error} if self.error else {"code": "the-code"}
        return f"{query['redirect_uri']}?{urlencode(told | {'state': query['state']})}"

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.token_request = form
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        right = (form.get("client_secret"), form.get("code"), form.get("redirect_uri"), challenge) == (
            CLIENT_SECRET,
            "the-code",
            self.authorization["redirect_uri"],
            self.authorization["code_challenge"],
        )
        if not right:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "the-access-token", "token_type": "Bearer", "id_token": self.id_token()}

    def id_token(self) -> str:
        now = int(time.time())
        who = {"sub": self.person["sub"]} if self.in_userinfo else self.person
        told = {"iss": self.address, "aud": CLIENT_ID, "iat": now, "exp": now + 300, **who}
        told |= {"nonce": self.authorization["nonce"], **self.claims}
        keys: dict[str, Any] = {"RS256": private_key(self.signed_by), "HS256": "x" * 32, "none": None}
        told = {name: value for name, value in told.items() if value is not None}
        return jwt.encode(told, keys[self.algorithm], self.algorithm, headers={"kid": "one"})

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "userinfo_endpoint": f"{self.address}/userinfo",
            "jwks_uri": f"{self.address}/keys",
            **self.config,
        }

    def answer(self, path: str, query: dict[str, str], authorization: str) -> tuple[int, dict[str, Any] | str]:
        """An address to be sent to, or a document."""
        if path == "/authorize":
            return 302, self.authorize(query)
        if path == "/token":
            return self.token(query)
        if path == "/userinfo" and authorization == "Bearer the-access-token":
            return 200, self.person | self.userinfo
        documents = {"/.well-known/openid-configuration": self.discovery(), "/keys": {"keys": [public_key()]}}
        return (200, documents[path]) if path in documents else (404, {})


class _Handler(BaseHTTPRequestHandler):
    provider: IdentityProvider

    def do_GET(self) -> None:
        self._answer(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self) -> None:
        self._answer(dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode())))

    def _answer(self, query: dict[str, str]) -> None:
        path = urlsplit(self.path).path
        self.provider.asked.append(path)
        time.sleep(self.provider.slow)
        if path in self.provider.faults:
            status, content = self.provider.faults[path]
            return self._send(status, content)
        status, found = self.provider.answer(path, query, self.headers.get("Authorization", ""))
        if isinstance(found, str):
            return self._send(status, b"", location=found)
        return self._send(status, json.dumps(found).encode())

    def _send(self, status: int, content: bytes, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", quote(location, safe=":/?&=%~"))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def running_provider() -> Iterator[IdentityProvider]:
    provider = IdentityProvider()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"provider": provider}))
    server.daemon_threads = True
    provider.address = f"http://127.0.0.1:{server.server_address[1]}"
    with serving(server):
        yield provider


def settings_for(*providers: IdentityProvider) -> dict[str, Any]:
    """SOCIALACCOUNT_PROVIDERS: the first is called UiTiD."""
    apps = [
        {
            "provider_id": name.lower(),
            "name": name,
            "client_id": CLIENT_ID,
            "secret": CLIENT_SECRET,
            "settings": {"server_url": provider.address, "origins": [provider.address]},
        }
        for name, provider in zip(("UiTiD", "Bibkaart"), providers, strict=False)
    ]
    return {"openid_connect": {"APPS": apps, "OAUTH_PKCE_ENABLED": True}}
