"""A stand-in for the training company's platform: a real SCIM server, courses, a page for people, switches for faults.

    python -m portal.sandbox.platform --port 8300 --state accounts.jsonl --token …

On the loopback address only. The API (/v2) wants the token; the courses (/courses/) want a start from the portal at
SITE_URL; the page and /state.json show the accounts to whoever sits at this machine. Nothing is logged: requests carry
names and email addresses.
"""

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.message import Message
from functools import cache
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from scim2_models import Resource, SCIMException, ScimProvider
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService
from scim2_server.testserver.application import BearerTokenApplication
from scim2_server.utils import load_default_provider

from portal.sandbox.course_tool import CourseTool
from portal.sandbox.course_tool_adapters import Asked
from portal.sandbox.platform_accounts import KeptAccounts
from portal.sandbox.platform_faults import Calls, Faults, Kind
from portal.sandbox.platform_notices import Notices
from portal.sandbox.platform_page import page, stylesheet

LARGEST_BODY = 1_000_000
SAFE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
Reply = tuple[int, str, bytes]


class Application(BearerTokenApplication):
    def handle_exception(self, request: ScimRequest, exception: Exception) -> ScimResponse:
        if not isinstance(exception, SCIMException):
            print(f"Platform: {type(exception).__name__}", file=sys.stderr, flush=True)
        return self.service.error_response(exception)


@cache
def _provider() -> ScimProvider:
    """What is served, and never changes. Its models are built from their descriptions, which takes long."""
    return load_default_provider()


class Platform:
    """What is behind the address: accounts, faults, and the count of calls."""

    def __init__(self, state: Path, token: str, notices: Notices | None = None) -> None:
        provider = _provider()
        service = ScimService(provider)
        models = {str(kind.name): service.get_model(kind) for kind in provider.resource_types}
        self.storage = KeptAccounts(state, models)
        self.folder = state.parent
        self.application = Application(self.storage, provider, service, bearer_tokens=[token])
        self.faults = Faults()
        self.calls = Calls()
        self.notices = notices
        self._token = token

    def answer(self, request: ScimRequest) -> ScimResponse | None:
        """None: close the connection without an answer."""
        self.calls.count(request.method)
        creates = request.method == "POST" and request.path.strip("/") == "Users"
        response = self._turned_away(creates) or self.application.serve(request)
        if slow := self.faults.take(Kind.SLOW):
            time.sleep(slow.seconds)
        if response.status >= HTTPStatus.BAD_REQUEST or request.method == "GET":
            return response
        if creates and self.faults.take(Kind.ERROR_AFTER_CREATING):
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "Something broke.")
        return None if self.faults.take(Kind.DROPPED_REPLY) else response

    def _turned_away(self, creates: bool) -> ScimResponse | None:
        if self.faults.take(Kind.DOWN):
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "Down for maintenance.")
        if fault := self.faults.take(Kind.TOO_MANY):
            response = _error(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests.")
            response.headers["Retry-After"] = f"{fault.seconds:.0f}"
            return response
        if creates and self.faults.take(Kind.REFUSE):
            return _error(HTTPStatus.FORBIDDEN, "The limit of your contract is reached.")
        return None

    def act(self, wish: Mapping[str, object]) -> None:
        """Somebody here changes an account, and the portal is told. Raises ValueError, saying why that cannot be."""
        if self.notices is None:
            raise ValueError("the platform knows no portal to tell")
        account = next((each for each in self.accounts() if each["id"] == wish.get("id")), None)
        if account is None:
            raise ValueError("there is no such account")
        for operation in self.notices.change(str(wish.get("type")), account):
            self._change(str(account["id"]), operation)
        self.notices.send(str(wish.get("type")), account)

    def _change(self, user_id: str, operation: Mapping[str, object]) -> None:
        schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
        request = ScimRequest(
            method="PATCH",
            base_url="http://here/v2",
            path=f"/Users/{user_id}",
            query={},
            headers=[("Authorization", f"Bearer {self._token}"), ("Content-Type", "application/scim+json")],
            body=json.dumps({"schemas": schemas, "Operations": [operation]}).encode(),
        )
        if self.application.serve(request).status >= HTTPStatus.BAD_REQUEST:
            raise ValueError("the account could not be changed")

    def has_open_account(self, external_id: str) -> bool:
        with self.storage.lock:
            users = [resource for resource in self.storage.resources if _is_user(resource)]
            return any(getattr(u, "external_id", None) == external_id and getattr(u, "active", 1) for u in users)

    def accounts(self) -> list[dict[str, object]]:
        """Newest first."""
        with self.storage.lock:
            seen = [_seen(resource) for resource in self.storage.resources if _is_user(resource)]
        return sorted(seen, key=lambda account: str(account["created"]), reverse=True)

    def state(self) -> dict[str, object]:
        return {
            "accounts": self.accounts(),
            "faults": self.faults.listing(),
            "calls": self.calls.listing(),
        }


class Handler(BaseHTTPRequestHandler):
    """Keeps connections alive; knows which paths there are and nothing else."""

    server: "PlatformServer"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self) -> None:
        body = self._body()
        if body is None:
            return self._reply((HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text/plain", b"Too large.\n"))
        path = urlsplit(self.path).path
        if path == "/v2" or path.startswith("/v2/"):
            return self._scim(path, body)
        if path.startswith("/courses/") and self.server.courses:
            return self._course(self.server.courses, path, body)
        wishes = {"/faults": self._faults, "/notices": self.server.platform.act}
        wish = wishes.get(path) if self.command == "POST" else None
        self._reply(self._grant(wish, body) if wish else self._look(path))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return None
        return self.rfile.read(int(length))

    def _scim(self, path: str, body: bytes) -> None:
        request = ScimRequest(
            method=self.command,
            base_url=f"{self.server.address}/v2",
            path=path.removeprefix("/v2").removesuffix(".scim"),
            query=dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True)),
            headers=self.headers.items(),
            body=body,
        )
        response = self.server.platform.answer(request)
        if response is None:
            self.close_connection = True
            return
        content = b"" if response.body is None else json.dumps(response.body).encode()
        self._send(response.status, dict(response.headers), content)

    def _course(self, courses: CourseTool, path: str, body: bytes) -> None:
        query = body if self.command == "POST" else urlsplit(self.path).query.encode()
        pairs = parse_qsl(query.decode(errors="replace"), keep_blank_values=True)
        lists: dict[str, list[str]] = {}
        for name, value in pairs:
            lists.setdefault(name, []).append(value)
        asked = Asked(self.command, path, dict(pairs), lists, _cookies(self.headers), self.headers.get("Origin"))
        answer = courses.answer(asked)
        headers = {**SAFE_HEADERS, "Content-Type": answer.content_type}
        if answer.sends_to:
            policy = SAFE_HEADERS["Content-Security-Policy"]
            headers["Content-Security-Policy"] = policy.replace("form-action", f"form-action {answer.sends_to}")
        self._send(answer.status, headers, answer.content.encode(), *answer.headers)

    def _look(self, path: str) -> Reply:
        platform = self.server.platform
        if self.command != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"Not here.\n"
        match path:
            case "/":
                shown = page(platform.accounts(), platform.faults.listing(), tells=platform.notices is not None)
                return HTTPStatus.OK, "text/html; charset=utf-8", shown.encode()
            case "/platform.css":
                return HTTPStatus.OK, "text/css; charset=utf-8", stylesheet().encode()
            case "/state.json":
                return HTTPStatus.OK, "application/json", json.dumps(platform.state()).encode()
            case "/favicon.ico":
                return HTTPStatus.NO_CONTENT, "text/plain", b""
        return HTTPStatus.NOT_FOUND, "text/plain", b"There is no such page.\n"

    def _faults(self, wish: Mapping[str, object]) -> object:
        self.server.platform.faults.change(wish)
        return self.server.platform.state()["faults"]

    def _grant(self, grant: Callable[[Mapping[str, object]], object], body: bytes) -> Reply:
        """Only from our own page or from a program: another site's form must not switch faults."""
        if self.headers.get("Origin") not in (None, f"http://{self.headers.get('Host')}"):
            return HTTPStatus.FORBIDDEN, "text/plain", b"Not from there.\n"
        is_json = self.headers.get_content_type() == "application/json"
        try:
            wish = json.loads(body) if is_json else dict(parse_qsl(body.decode()))
            granted = grant(wish)
        except (ValueError, AttributeError) as error:
            return HTTPStatus.BAD_REQUEST, "text/plain", f"{error}\n".encode()
        if not is_json:
            return HTTPStatus.SEE_OTHER, "text/plain", b""
        return HTTPStatus.OK, "application/json", json.dumps(granted).encode()

    def _reply(self, reply: Reply) -> None:
        status, content_type, content = reply
        headers = {**SAFE_HEADERS, "Content-Type": content_type}
        if status == HTTPStatus.SEE_OTHER:
            headers["Location"] = "/"
        self._send(status, headers, content)

    def _send(self, status: int, headers: dict[str, str], content: bytes, *more: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers.items(), *more):
            self.send_header(name, value)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a path can hold an id, a filter anything."""


class PlatformServer(ThreadingHTTPServer):
    """One thread a connection; `stop` also ends the connections that are kept alive.

    Without a portal (`site`) there are no courses.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, platform: Platform, site: str | None = None) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.platform = platform
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.courses = self._courses(site) if site else None
        self.connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()

    def _courses(self, site: str) -> CourseTool:
        known = self.platform.has_open_account
        return CourseTool(site=site, address=self.address, folder=self.platform.folder, knows=known)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's own asks the network for this machine's name
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, peer = super().get_request()
        with self._connections_lock:
            self.connections.add(connection)
        return connection, peer

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, (ConnectionError, TimeoutError)):
            print(f"Platform: {type(error).__name__}", file=sys.stderr, flush=True)

    def stop(self) -> None:
        self.server_close()
        with self._connections_lock:
            for connection in self.connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.platform.storage.close()


def _error(status: HTTPStatus, detail: str) -> ScimResponse:
    schemas = ["urn:ietf:params:scim:api:messages:2.0:Error"]
    return ScimResponse(status, {"schemas": schemas, "status": str(status.value), "detail": detail})


def _is_user(resource: Resource[Any]) -> bool:
    return resource.meta is not None and resource.meta.resource_type == "User"


def _seen(resource: Resource[Any]) -> dict[str, object]:
    body = resource.model_dump()
    name = body.get("name") or {}
    return {
        "id": body["id"],
        "external_id": body.get("externalId"),
        "user_name": body.get("userName"),
        "name": " ".join(part for part in (name.get("givenName"), name.get("familyName")) if part),
        "email": next((email.get("value") for email in body.get("emails") or []), None),
        "language": body.get("preferredLanguage"),
        "active": body.get("active", True),
        "created": body["meta"]["created"],
        "version": body["meta"]["version"],
    }


def _cookies(headers: Message) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("Cookie", "")).items()}
    except CookieError:
        return {}


def _listening(port: int, platform: Platform, site: str | None) -> PlatformServer:
    try:
        return PlatformServer(port, platform, site)
    except OSError as error:
        raise SystemExit(f"Training platform: port {port} cannot be used: {error.strerror}") from None


def _end(signal_number: int, frame: object) -> None:
    raise SystemExit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for the training platform.")
    parser.add_argument("--port", type=int, required=True, help="0: any free port")
    parser.add_argument("--state", type=Path, required=True, help="the file that keeps the accounts")
    parser.add_argument("--token", default=os.environ.get("SANDBOX_PLATFORM_TOKEN"), help="the bearer token")
    options = parser.parse_args()
    if not options.token:
        parser.error("--token or SANDBOX_PLATFORM_TOKEN is needed")
    signal.signal(signal.SIGTERM, _end)
    site = os.environ.get("SITE_URL")
    notices = Notices.of(site, os.environ.get("SANDBOX_WEBHOOK_SECRET"))
    server = _listening(options.port, Platform(options.state, options.token, notices), site)
    print(f"Training platform on {server.address}/", flush=True)
    with suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
