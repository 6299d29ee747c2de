"""HTTP with a provider: bounded in time and size; no redirects, no retries, nothing from the environment."""

import http.client
import io
import json
import math
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from time import monotonic
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection

from catalog.provider.client import Connection
from catalog.provider.errors import ProviderError, RateLimited, Refused, Unclear, Unreachable

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
SHORTEST_WAIT, DEFAULT_WAIT, LONGEST_WAIT = 1.0, 30.0, 3600.0
NETWORK_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)
BAD_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)


@contextmanager
def _until(ends_at: float) -> Iterator[None]:
    token = _ends_at.set(ends_at)
    try:
        yield
    finally:
        _ends_at.reset(token)


class _PacedReader(io.RawIOBase):
    """Reads a socket until the deadline of the current exchange.

    A socket's own timeout starts anew with every byte: a server that drips one a second, in the headers or
    in the body, would hold us as long as it likes.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._longest = sock.gettimeout() or math.inf

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        wait = min(self._longest, _ends_at.get() - monotonic())
        if wait <= 0:
            raise TimeoutError("deadline")
        self._sock.settimeout(wait if wait < math.inf else None)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PacedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, debuglevel: int = 0, method: str | None = None) -> None:
        super().__init__(sock, debuglevel, method)
        self.fp.close()
        self.fp = io.BufferedReader(_PacedReader(sock))


class _PacedHTTPConnection(HTTPConnection):
    response_class = _PacedResponse


class _PacedHTTPSConnection(HTTPSConnection):
    response_class = _PacedResponse


class _PacedHTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PacedHTTPConnection


class _PacedHTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PacedHTTPSConnection


class _PacedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PacedHTTPPool, "https": _PacedHTTPSPool}


def new_session() -> requests.Session:
    """Keeps connections alive, but no cookies; takes no proxy and no password from the environment.

    Only a session made here holds to the deadline while headers drip. Not to be shared between threads.
    """
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _PacedAdapter(max_retries=0))
    return session


class _Bearer(AuthBase):
    """Carries the token, so that no dictionary of headers in a traceback shows it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@dataclass(frozen=True)
class Answer:
    method: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def wrote(self) -> bool:
        return self.method in WRITES

    def document(self) -> dict[str, Any]:
        """The JSON object; anything else leaves a read failed and a write unclear."""
        found = _parsed(self.content)
        if not isinstance(found, dict):
            raise self.not_understood()
        return found

    def not_understood(self) -> ProviderError:
        return _open_failure(self.wrote, "bad_answer", f"{self.method}: the answer could not be read")


class Exchange:
    """All requests sent through one exchange share one deadline, counted from its making."""

    def __init__(self, connection: Connection, session: requests.Session) -> None:
        self._connection = connection
        self._session = session
        self._ends_at = monotonic() + connection.deadline

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Returns 2xx answers only; every other outcome is a ProviderError."""
        _check_token(self._connection.token)
        if self._ends_at <= monotonic():
            raise Unreachable("timeout", f"{method}: no time left")
        request = requests.Request(
            method,
            self._connection.base_url.rstrip("/") + path,
            params=params,
            data=body,
            headers={"Accept-Encoding": "identity", **(headers or {})},
            auth=_Bearer(self._connection.token),
        )
        # Raised out here, so that no chained exception carries the request with its secret and its data.
        outcome = self._attempt(request)
        error = outcome if isinstance(outcome, ProviderError) else failure(outcome)
        if error is not None:
            raise error
        assert isinstance(outcome, Answer)
        return outcome

    def _attempt(self, request: requests.Request) -> Answer | ProviderError:
        method = request.method or ""
        try:
            with _until(self._ends_at), self._open(request) as response:
                content = self._read(response)
        except NETWORK_ERRORS as error:
            return _network_failure(method, error)
        if content is None:
            return _open_failure(method in WRITES, "answer_too_large", f"{method}: the answer is too large")
        return Answer(method, response.status_code, response.headers, content)

    def _open(self, request: requests.Request) -> requests.Response:
        left = max(self._ends_at - monotonic(), 0.001)
        timeout = (min(self._connection.connect_timeout, left), min(self._connection.read_timeout, left))
        prepared = self._session.prepare_request(request)
        return self._session.send(prepared, timeout=timeout, stream=True, allow_redirects=False)

    def _read(self, response: requests.Response) -> bytes | None:
        """None when there is more than we take. Never unpacked: a small answer cannot grow in memory."""
        content = bytearray()
        for chunk in response.raw.stream(16_384, decode_content=False):
            content += chunk
            if len(content) > self._connection.max_bytes:
                return None
        return bytes(content)


def failure(answer: Answer) -> ProviderError | None:
    """What a status means; None for 2xx. A caller may give 404, 409 and 412 a closer meaning by catching."""
    said = f"{answer.method} was answered with {answer.status}"
    if 200 <= answer.status < 300:
        return None
    if answer.status == 429:
        return RateLimited(retry_after(answer.headers.get("Retry-After"), now=datetime.now(UTC)) or DEFAULT_WAIT)
    if answer.status == 412:
        return Unclear("changed_meanwhile", said)
    if answer.status in (408, 425) or (answer.status >= 500 and answer.status not in (501, 505)):
        wait = retry_after(answer.headers.get("Retry-After"), now=datetime.now(UTC))
        return _open_failure(answer.wrote, "server_error", said, wait)
    return Refused(_refusal(answer), said)


def _refusal(answer: Answer) -> str:
    if answer.status == 403 and b"limit" in answer.content.lower():
        return "limit_reached"
    codes = {401: "bad_token", 403: "bad_token", 404: "not_found", 409: "conflict"}
    return "redirected" if 300 <= answer.status < 400 else codes.get(answer.status, "bad_request")


def retry_after(header: str | None, *, now: datetime) -> float | None:
    """Seconds, from either form of the header (RFC 9110 §10.2.3), between 1 s and 1 h; None without one."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        seconds = _seconds_until(header, now)
    if math.isnan(seconds):
        return DEFAULT_WAIT
    return min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)


def _seconds_until(date: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return math.nan
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - now).total_seconds()


def _open_failure(wrote: bool, code: str, text: str, after: float | None = None) -> ProviderError:
    return Unclear(code, text, after) if wrote else Unreachable(code, text, after)


def _network_failure(method: str, error: Exception) -> ProviderError:
    if isinstance(error, BAD_ADDRESS):
        return Refused("bad_address", f"{method}: the provider's address is not usable")
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Unreachable("bad_certificate", f"{method}: the provider's certificate is not valid")
    if any(isinstance(cause, urllib3.exceptions.ConnectTimeoutError) for cause in causes):
        return Unreachable("unreachable", f"{method}: no connection in time")
    if any(isinstance(cause, urllib3.exceptions.NewConnectionError) for cause in causes):
        return Unreachable("unreachable", f"{method}: no connection")
    if any(isinstance(cause, (TimeoutError, urllib3.exceptions.TimeoutError)) for cause in causes):
        return _open_failure(method in WRITES, "timeout", f"{method}: no answer in time")
    return _open_failure(method in WRITES, "connection_lost", f"{method}: the connection broke")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all it was made from: requests and urllib3 wrap each other in four different ways."""
    waiting, seen = [error], set[int]()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        linked = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        waiting += [cause for cause in linked if isinstance(cause, BaseException)]


def _check_token(token: str) -> None:
    if not token or not token.isascii() or not token.isprintable():
        raise Refused("bad_token", "the provider's secret is empty or malformed")


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
