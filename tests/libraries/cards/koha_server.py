"""A small Koha on this machine: it answers about patrons as Koha's description of its REST API says.

It finds people as Koha does: by user name before card number, in letters of either case; and without `_match=exact`,
by a part of the number.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

LOGIN, SECRET = "portal", "staff:sécret"
KNOWN_PARAMETERS = {"cardnumber", "_match", "_per_page"}
PERSONAL = {"surname": "Canary", "firstname": "Ada", "address": "Kanariestraat 1", "email": "canary@example.be"}
# A fault may speak on the connection in place of Koha, and says whether it did.
Fault = Callable[["Handler"], bool]


@dataclass
class Patron:
    cardnumber: str
    password: str = "1234"
    userid: str = ""
    changes: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Fields that are changed to `...` are left out."""
        found = {
            "patron_id": 7,
            "cardnumber": self.cardnumber,
            "userid": self.userid,
            "library_id": "CPL",
            "expiry_date": "2099-12-31",
            "restricted": False,
            "patron_card_lost": None,
            **PERSONAL,
            **self.changes,
        }
        return {name: value for name, value in found.items() if value is not ...}


@dataclass
class Koha:
    url: str = ""
    patrons: list[Patron] = field(default_factory=list)
    may_ask: bool = True
    offers_oauth: bool = True
    token_seconds: object = 3600
    tokens: list[str] = field(default_factory=list)
    fault: Fault | None = None
    # What the validation says in place of its own.
    validation: tuple[int, object] | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    most_at_once: int = 0
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, cardnumber: str, **changes: Any) -> Patron:
        own = {name: changes.pop(name) for name in ("password", "userid") if name in changes}
        patron = Patron(cardnumber, **own, changes=changes)
        self.patrons.append(patron)
        return patron

    @property
    def asked(self) -> list[str]:
        """Method and path of each request, without what was asked."""
        return [f"{method} {urlsplit(path).path.removeprefix('/api/v1')}" for method, path in self.requests]

    def who(self, identifier: str) -> Patron | None:
        by_name = [patron for patron in self.patrons if patron.userid.upper() == identifier.upper()]
        by_card = [patron for patron in self.patrons if patron.cardnumber.upper() == identifier.upper()]
        return next(iter([*by_name, *by_card]), None)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else the body waits for the header to be confirmed: 40 ms.
    disable_nagle_algorithm = True
    koha: Koha

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _handle(self) -> None:
        koha, body = self.koha, self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with koha.lock:
            koha.requests.append((self.command, self.path))
            koha.bodies.append(body)
            koha.headers.append(dict(self.headers))
            koha.connections.add(self.client_address)
            koha.at_once += 1
            koha.most_at_once = max(koha.most_at_once, koha.at_once)
        try:
            is_answered = koha.fault is not None and koha.fault(self)
            found = None if is_answered else self._found(body)
        finally:  # before it answers: whoever has the answer may ask the next question
            with koha.lock:
                koha.at_once -= 1
        if found is not None:
            self.answer(*found)

    def _found(self, body: bytes) -> tuple[int, object]:
        asked = urlsplit(self.path)
        if asked.path == "/api/v1/oauth/token":
            return self._token(parse_qs(body.decode()))
        if not self._is_signed_in():
            return 401, {"error": "Authentication failure."}
        routes = {
            ("POST", "/api/v1/auth/password/validation"): lambda: self._validation(json.loads(body)),
            ("GET", "/api/v1/patrons"): lambda: self._patrons(parse_qs(asked.query)),
        }
        route = routes.get((self.command, asked.path))
        if route is None:
            return 404, {"error": "Not found"}
        if not self.koha.may_ask:
            return 403, {"error": "Authorization failure. Missing required permission(s)."}
        return route()

    def _is_signed_in(self) -> bool:
        way, _, proof = self.headers.get("Authorization", "").partition(" ")
        if way == "Basic":
            return base64.b64decode(proof).decode() == f"{LOGIN}:{SECRET}"
        return way == "Bearer" and proof in self.koha.tokens

    def _token(self, form: dict[str, list[str]]) -> tuple[int, object]:
        if form["grant_type"] != ["client_credentials"] or not self.koha.offers_oauth:
            return 400, {"error": "Unimplemented grant type"}
        if (form["client_id"], form["client_secret"]) != ([LOGIN], [SECRET]):
            return 403, {"error": "unauthorized_client"}
        token = f"token-{len(self.koha.tokens)}"
        self.koha.tokens.append(token)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.koha.token_seconds}

    def _validation(self, asked: dict[str, str]) -> tuple[int, object]:
        if self.koha.validation is not None:
            return self.koha.validation
        patron = self.koha.who(asked["identifier"])
        if patron is None or patron.password != asked["password"]:
            return 400, {"error": "Validation failed"}
        return 201, {"cardnumber": patron.cardnumber, "patron_id": 7, "userid": patron.userid}

    def _patrons(self, asked: dict[str, list[str]]) -> tuple[int, object]:
        if not set(asked) <= KNOWN_PARAMETERS:
            return 400, [{"path": "/query", "message": "Malformed query string"}]
        number, exact = asked["cardnumber"][0].upper(), asked.get("_match") == ["exact"]
        numbers = ((patron, patron.cardnumber.upper()) for patron in self.koha.patrons)
        return 200, [one.document() for one, its in numbers if its == number or (not exact and number in its)]

    def answer(self, status: int, found: object) -> None:
        content = found if isinstance(found, bytes) else b"" if found is None else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Not between the lines of the tests."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 50

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests are about."""


@contextmanager
def running_koha(tls: ssl.SSLContext | None = None) -> Iterator[Koha]:
    koha = Koha()
    server = _Server(("127.0.0.1", 0), type("Handler", (Handler,), {"koha": koha}))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    koha.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield koha
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
