"""HTTP with a provider: what its answers and its failures mean. How it is asked is in `outgoing.http`."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any

import requests

from catalog.provider.client import Connection
from catalog.provider.errors import ProviderError, RateLimited, Refused, Unclear, Unreachable
from outgoing import http
from outgoing.http import Failure, RequestFailed, Stage

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
SHORTEST_WAIT, DEFAULT_WAIT, LONGEST_WAIT = 1.0, 30.0, 3600.0
BAD_ADDRESS = (Failure.ADDRESS_UNUSABLE, Failure.ADDRESS_FORBIDDEN)
BAD_CERTIFICATE = (Failure.TLS_EXPIRED, Failure.TLS_OTHER_NAME, Failure.TLS_UNTRUSTED)


def new_session() -> requests.Session:
    """For one thread. A provider is chosen by the operator, and may stand in the portal's own network."""
    return http.new_session(private=True, schemes=("https", "http"))


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
    """All requests sent through one exchange share one deadline, counted from its making; while a request waits for
    its turn, the clock stands."""

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
        request = requests.Request(
            method,
            self._connection.base_url.rstrip("/") + path,
            params=params,
            data=body,
            headers=headers,
            auth=http.Bearer(self._connection.token),
        )
        waits_since = monotonic()
        with self._connection.turn():
            self._ends_at += monotonic() - waits_since
            if self._ends_at <= monotonic():
                raise Unreachable("timeout", f"{method}: no time left")
            # Raised out here, so that no chained exception carries the request with its secret and its data.
            outcome = self._attempt(request)
            error = outcome if isinstance(outcome, ProviderError) else failure(outcome)
            if error is not None:
                raise error
        assert isinstance(outcome, Answer)
        return outcome

    def _attempt(self, request: requests.Request) -> Answer | ProviderError:
        method = request.method or ""
        bounds = http.Bounds(
            ends_at=self._ends_at,
            max_bytes=self._connection.max_bytes,
            connect_timeout=self._connection.connect_timeout,
            read_timeout=self._connection.read_timeout,
        )
        try:
            response = http.send(self._session, request, bounds)
        except RequestFailed as error:
            return _network_failure(method, error)
        return Answer(method, response.status, response.headers, response.content)


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


def _network_failure(method: str, error: RequestFailed) -> ProviderError:
    if error.code in BAD_ADDRESS:
        return Refused("bad_address", f"{method}: the provider's address is not usable")
    if error.code in BAD_CERTIFICATE:
        return Unreachable("bad_certificate", f"{method}: the provider's certificate is not valid")
    if error.stage <= Stage.CONNECT:
        in_time = " in time" if error.code == Failure.TIMED_OUT else ""
        return Unreachable("unreachable", f"{method}: no connection{in_time}")
    if error.code == Failure.TIMED_OUT:
        return _open_failure(method in WRITES, "timeout", f"{method}: no answer in time")
    if error.code == Failure.TOO_LARGE:
        return _open_failure(method in WRITES, "answer_too_large", f"{method}: the answer is too large")
    return _open_failure(method in WRITES, "connection_lost", f"{method}: the connection broke")


def _check_token(token: str) -> None:
    if not token or not token.isascii() or not token.isprintable():
        raise Refused("bad_token", "the provider's secret is empty or malformed")


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
