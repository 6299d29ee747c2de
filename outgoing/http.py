"""The one way by which the portal asks other systems over HTTP: bounded in time and size, and only where it may go.

No redirects, no retries, no cookies, and nothing from the environment: no proxy, no password. What fails is a
RequestFailed, whose text holds nothing of what was asked or answered.
"""

from __future__ import annotations

import http.client
import logging
import math
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from time import monotonic
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase, HTTPBasicAuth

from outgoing.failures import Failure, RequestFailed, Stage
from outgoing.guarded import GuardedAdapter, until

__all__ = [
    "Bearer",
    "Bounds",
    "Failure",
    "RequestFailed",
    "Response",
    "Stage",
    "basic",
    "download",
    "new_session",
    "prepare",
    "send",
]

# It writes the addresses that are asked, in which card numbers may stand.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)

_T = TypeVar("_T")
_CHUNK = 16_384
_NETWORK_ERRORS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)
_BAD_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    urllib3.exceptions.LocationParseError,
)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Seconds, but for `ends_at`: the moment of `time.monotonic` at which the exchange ends, come what may."""

    ends_at: float
    max_bytes: int
    connect_timeout: float = math.inf
    read_timeout: float = math.inf


@dataclass(frozen=True)
class Response:
    """Of any status, a redirect too. `content` is as it came: a packed answer is not unpacked."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


class Bearer(AuthBase):
    """Carries the token, so that no dictionary of headers in a traceback shows it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def basic(login: str, secret: str) -> AuthBase:
    return HTTPBasicAuth(login.encode(), secret.encode())


def new_session(*, private: bool, schemes: Sequence[str] = ("https",)) -> requests.Session:
    """Keeps connections alive; not to be shared between threads. `private`: may connect to private networks too."""
    session = requests.Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.adapters.clear()
    for scheme in schemes:
        session.mount(f"{scheme}://", GuardedAdapter(private=private))
    return session


def prepare(session: requests.Session, request: requests.Request) -> requests.PreparedRequest:
    """All that can fail or take time before anything is sent, for who has to wait until it may be. Raises RequestFailed
    of `Stage.ADDRESS`."""
    _require_usable(request.url)
    request.headers = {"Accept-Encoding": "identity", **(request.headers or {})}

    def build() -> requests.PreparedRequest:
        prepared = session.prepare_request(request)
        session.get_adapter(str(prepared.url))  # or no such scheme is spoken
        return prepared

    try:
        return _tried(build)
    except RequestFailed as error:
        code = error.code if error.code == Failure.ADDRESS_UNUSABLE else Failure.GARBLED
    raise RequestFailed(code, Stage.ADDRESS)


def send(session: requests.Session, request: requests.Request | requests.PreparedRequest, bounds: Bounds) -> Response:
    """Raises RequestFailed. Never tries again."""
    with _answered(session, request, bounds) as response:
        content = b"".join(_chunks(response, bounds.max_bytes))
        return Response(response.status_code, response.headers, content)


def download(
    url: str,
    to: BinaryIO,
    *,
    private: bool,
    login: str = "",
    secret: str = "",
    max_bytes: int,
    deadline: float,
    schemes: Sequence[str] = ("https",),
) -> None:
    """Write what stands at an address into an open file; `deadline` in seconds, for all of it.

    Raises RequestFailed; some may be written by then. What came without an error is whole: an answer that does not
    say where it ends is refused, as nobody would see that it was cut.
    """
    request = requests.Request("GET", url, auth=basic(login, secret) if login or secret else None)
    bounds = Bounds(ends_at=monotonic() + deadline, max_bytes=max_bytes)
    with new_session(private=private, schemes=schemes) as session, _answered(session, request, bounds) as response:
        if failure := _unless_a_whole_file(response):
            raise RequestFailed(failure)
        for chunk in _chunks(response, max_bytes):
            to.write(chunk)


def _unless_a_whole_file(response: requests.Response) -> Failure | None:
    status = response.status_code
    if status == 200:
        ends = "Content-Length" in response.headers or "chunked" in response.headers.get("Transfer-Encoding", "")
        plain = response.headers.get("Content-Encoding", "identity") == "identity"
        return None if ends and plain else Failure.GARBLED
    if 300 <= status < 400:
        return Failure.REDIRECTED
    meanings = {401: Failure.LOGIN_REFUSED, 403: Failure.LOGIN_REFUSED, 404: Failure.NOT_FOUND, 410: Failure.NOT_FOUND}
    return meanings.get(status, Failure.SYSTEM_ERROR)


@contextmanager
def _answered(
    session: requests.Session, request: requests.Request | requests.PreparedRequest, bounds: Bounds
) -> Iterator[requests.Response]:
    """The head of the answer has come, and its body can be read, until the bounds end."""
    prepared = prepare(session, request) if isinstance(request, requests.Request) else request
    left = bounds.ends_at - monotonic()
    if left <= 0:
        raise RequestFailed(Failure.TIMED_OUT, Stage.ADDRESS)
    timeout = (min(bounds.connect_timeout, left), min(bounds.read_timeout, left))

    def begin() -> requests.Response:
        return session.send(prepared, timeout=timeout, stream=True, allow_redirects=False)

    with until(bounds.ends_at), _tried(begin) as response:
        yield response


def _require_usable(url: str) -> None:
    """A name and password in an address would be shown with it; some programs read what others skip."""
    try:
        parts = urlsplit(url)
        usable = parts.port != 0 and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or "\\" in url or " " in url:
        raise RequestFailed(Failure.ADDRESS_UNUSABLE, Stage.ADDRESS)


def _chunks(response: requests.Response, max_bytes: int) -> Iterator[bytes]:
    """Never unpacked: a small answer cannot grow in memory."""
    stream = response.raw.stream(_CHUNK, decode_content=False)
    taken = 0
    while chunk := _tried(lambda: next(stream, b"")):
        taken += len(chunk)
        if taken > max_bytes:
            raise RequestFailed(Failure.TOO_LARGE)
        yield chunk


def _tried(step: Callable[[], _T]) -> _T:
    """Raised out here, so that no chained exception carries the request with its secret and its data."""
    try:
        return step()
    except _NETWORK_ERRORS as error:
        failure = _failure_of(error)
    raise failure


def _failure_of(error: Exception) -> RequestFailed:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, RequestFailed):
            return RequestFailed(cause.code, cause.stage)
    if any(isinstance(cause, _BAD_ADDRESS) for cause in causes):
        return RequestFailed(Failure.ADDRESS_UNUSABLE, Stage.ADDRESS)
    if any(isinstance(cause, (TimeoutError, urllib3.exceptions.TimeoutError)) for cause in causes):
        return RequestFailed(Failure.TIMED_OUT)
    if any(isinstance(cause, (ssl.SSLError, urllib3.exceptions.SSLError)) for cause in causes):
        return RequestFailed(Failure.TLS_FAILED)
    return RequestFailed(Failure.GARBLED if _is_no_http(causes) else Failure.CLOSED)


def _is_no_http(causes: Sequence[BaseException]) -> bool:
    broken = (ConnectionError, http.client.IncompleteRead, urllib3.exceptions.IncompleteRead)
    if any(isinstance(cause, broken) for cause in causes):
        return False
    return any(isinstance(cause, http.client.HTTPException) for cause in causes)


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
