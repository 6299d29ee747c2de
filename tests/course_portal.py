"""The portal as the sandbox's courses see it: a start signed with a key of ours, and what they tell back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from portal.sandbox.course_tool_facts import CLIENT_ID, DEEP_LINKING, DEPLOYMENT_ID, KEYSET, LAUNCH, LOGIN
from portal.sandbox.platform import Platform, PlatformServer
from tests.platform_server import TOKEN, RunningPlatform, served
from tests.serving import serving

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
SCORE = "https://purl.imsglobal.org/spec/lti-ags/scope/score"
SUBJECT = "8f14e45f-ea8e-4f0a-9d1c-1f2b3c4d5e6f"
DEEP = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"


@cache
def key_of(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk_of(kid: str) -> dict[str, Any]:
    return {**RSAAlgorithm.to_jwk(key_of(kid).public_key(), as_dict=True), "kid": kid, "alg": "RS256", "use": "sig"}


@dataclass
class Portal:
    site: str
    scores: list[dict[str, Any]] = field(default_factory=list)
    assertions: list[str] = field(default_factory=list)
    # (status, body) of the next answers, by path.
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)

    def reply(self, path: str, body: bytes) -> tuple[int, str]:
        if path in self.answers:
            return self.answers[path]
        if path == "/lti/keys.json":
            return 200, json.dumps({"keys": [jwk_of("one")]})
        if path == "/lti/token":
            self.assertions += parse_qs(body.decode())["client_assertion"]
            return 200, json.dumps({"access_token": "a-token", "token_type": "Bearer", "expires_in": 60})
        if path == "/lti/line-items/7/scores":
            self.scores.append(json.loads(body))
            return 204, ""
        return 404, ""

    def claims(self, subject: str, nonce: str, **more: Any) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": self.site,
            "aud": CLIENT_ID,
            "sub": subject,
            "iat": now,
            "exp": now + 60,
            "nonce": nonce,
            f"{LTI}message_type": "LtiResourceLinkRequest",
            f"{LTI}version": "1.3.0",
            f"{LTI}deployment_id": DEPLOYMENT_ID,
            f"{LTI}target_link_uri": "http://there/",
            f"{LTI}resource_link": {"id": "course-7", "title": "Wiskunde <b>& meer</b>"},
            f"{LTI}roles": ["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"],
            f"{LTI}launch_presentation": {"return_url": f"{self.site}/en/my/"},
            AGS: {"scope": [SCORE], "lineitem": f"{self.site}/lti/line-items/7"},
            **more,
        }


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status, text = self.server.portal.reply(urlsplit(self.path).path, body)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    portal: Portal


@contextmanager
def running_portal() -> Iterator[Portal]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.portal = Portal(f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        yield server.portal


@contextmanager
def running_courses(state: Path, site: str) -> Iterator[RunningPlatform]:
    with served(PlatformServer(0, Platform(state, TOKEN), site), TOKEN) as running:
        yield running


@dataclass
class Visitor:
    """A browser: it keeps its cookies, and follows no redirect of a start by itself."""

    portal: Portal
    platform: RunningPlatform
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def tool(self) -> str:
        return self.platform.server.address

    def log_in(self, subject: str = "x", **more: str) -> requests.Response:
        hints = {"iss": self.portal.site, "client_id": CLIENT_ID, "login_hint": subject, "lti_message_hint": "7"}
        told = {**hints, "target_link_uri": f"{self.tool}{LAUNCH}", **more}
        return self.session.get(f"{self.tool}{LOGIN}", params=told, allow_redirects=False, timeout=5)

    def asks(self, subject: str = "x", **more: str) -> dict[str, str]:
        """What the tool wants to know of the portal: the query of its redirect."""
        query = parse_qs(urlsplit(self.log_in(subject, **more).headers["Location"]).query)
        return {name: values[0] for name, values in query.items()}

    def launch(self, token: str, state: str, path: str = LAUNCH) -> requests.Response:
        form = {"id_token": token, "state": state}
        address = f"{self.tool}{path}"
        return self.session.post(address, form, headers={"Origin": self.portal.site}, allow_redirects=False, timeout=5)

    def start(self, subject: str, **more: Any) -> requests.Response:
        """The page it ends on, or the refusal."""
        asked = self.asks(subject)
        answer = self.launch(signed(self.portal.claims(subject, asked["nonce"], **more)), asked["state"])
        return self.look(answer.headers["Location"]) if answer.status_code == 303 else answer

    def look(self, path: str) -> requests.Response:
        return self.session.get(f"{self.tool}{path}", timeout=5)

    def press(self, page: requests.Response, **form: Any) -> requests.Response:
        return self.session.post(page.url, form, headers={"Origin": self.tool}, timeout=5)

    def keys(self) -> dict[str, Any]:
        keys: dict[str, Any] = self.look(KEYSET).json()
        return keys


def signed(claims: dict[str, Any], key: str = "one", kid: str = "") -> str:
    return jwt.encode(claims, key_of(key), algorithm="RS256", headers={"kid": kid or key})


def open_account(platform: RunningPlatform, external_id: str, *, active: bool = True) -> None:
    user = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": external_id,
        "externalId": external_id,
        "active": active,
    }
    headers = {"Authorization": f"Bearer {TOKEN}"}
    requests.post(f"{platform.base_url}/Users", json=user, headers=headers, timeout=5).raise_for_status()


def to_pick(visitor: Visitor, **settings: Any) -> requests.Response:
    """The page where somebody of the portal's staff picks courses (LTI deep linking 2.0)."""
    asked = visitor.asks("staff-1", target_link_uri=f"{visitor.tool}{DEEP_LINKING}")
    wanted = {
        "deep_link_return_url": f"{visitor.portal.site}/lti/picked",
        "accept_types": ["ltiResourceLink"],
        "accept_presentation_document_targets": ["window"],
        "accept_multiple": True,
        "data": "opaque",
        **settings,
    }
    claims = visitor.portal.claims("staff-1", asked["nonce"], **{DEEP: wanted})
    claims[f"{LTI}message_type"] = "LtiDeepLinkingRequest"
    answer = visitor.launch(signed(claims), asked["state"], DEEP_LINKING)
    return visitor.look(answer.headers["Location"])


@pytest.fixture
def portal() -> Iterator[Portal]:
    with running_portal() as running:
        yield running


@pytest.fixture
def platform(portal: Portal, tmp_path: Path) -> Iterator[RunningPlatform]:
    with running_courses(tmp_path / "accounts.jsonl", portal.site) as running:
        open_account(running, SUBJECT)
        yield running


@pytest.fixture
def visitor(portal: Portal, platform: RunningPlatform) -> Visitor:
    return Visitor(portal, platform)
