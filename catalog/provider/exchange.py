"""HTTP with a provider: what its answers and its failures mean. How it is asked is in `outgoing.http`."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any

import requests
from requests.auth import AuthBase

from catalog.provider import redaction
from catalog.provider.client import Connection
from catalog.provider.errors import ProviderError, RateLimited, Refused, Unclear, Unreachable
from outgoing import http
from outgoing.http import Failure, RequestFailed, Stage

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
SHORTEST_WAIT, DEFAULT_WAIT, LONGEST_WAIT = 1.0, 30.0, 3600.0
BAD_ADDRESS = (Failure.ADDRESS_UNUSABLE, Failure.ADDRESS_FORBIDDEN)
_BROKEN = {
    Failure.TIMED_OUT: ("timeout", "no answer in time"),
    Failure.TOO_LARGE: ("answer_too_large", "the answer is too large"),
}
_NO_JSON = object()
BAD_CERTIFICATE = (Failure.TLS_EXPIRED, Failure.TLS_OTHER_NAME, Failure.TLS_UNTRUSTED)


def new_session() -> requests.Session:
    """For one thread. A provider is chosen by the operator, and may stand in the portal's own network."""
    return http.new_session(private=True, schemes=("https", "http"))


@dataclass(frozen=True)
class Answer:
    """`asked` says what was asked, without ids; `secret` and `about` are what `told` must not show
    beside all that looks like it."""

    asked: str
    wrote: bool
    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    secret: str = field(default="", repr=False)
    about: Sequence[str] = field(default=(), repr=False)
    missing: str = "not_found"

    def parsed(self) -> object:
        """What the JSON says; what is none leaves a read failed and a write unclear."""
        # Raised out here: the error of the parser carries all that the provider wrote.
        found = _parsed(self.content)
        if found is _NO_JSON:
            raise self.not_understood()
        return found

    def document(self) -> dict[str, Any]:
        found = self.parsed()
        if not isinstance(found, dict):
            raise self.not_understood()
        return found

    def is_document(self) -> bool:
        return isinstance(_parsed(self.content), dict)

    def told(self) -> str:
        """For the operator (`ProviderError.answer`)."""
        return redaction.told(self.asked, self.status, self.headers, self.content, secret=self.secret, about=self.about)

    def not_understood(self) -> ProviderError:
        return self.open_failure("bad_answer", f"{self.asked}: the answer could not be read")

    def refused(self, code: str, text: str) -> Refused:
        return Refused(code, text, answer=self.told())

    def open_failure(self, code: str, text: str, after: float | None = None) -> ProviderError:
        """A read has failed; a write may have happened."""
        kind = Unclear if self.wrote else Unreachable
        return kind(code, text, after, answer=self.told())


class Exchange:
    """All requests sent through one exchange share one deadline, counted from its making; while a request waits for
    its turn, the clock stands. `about`: what is known of the person, not to be shown to an operator."""

    def __init__(self, connection: Connection, session: requests.Session, about: Sequence[str | None] = ()) -> None:
        self._connection = connection
        self._session = session
        self._about = [value for value in about if value]
        self._ends_at = monotonic() + connection.deadline

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        auth: AuthBase | None = None,
        asked: str = "",
        writes: bool | None = None,
        missing: str = "not_found",
        failure_in: Callable[[Answer], ProviderError | None] | None = None,
    ) -> Answer:
        """Returns 2xx answers only; every other outcome is a ProviderError.

        Without `auth` the token goes as a bearer's. `asked` and `writes` say what neither path nor method tell.
        `missing` is the code of a 404, where that is no wrong address of the whole API. `failure_in` finds what is
        wrong with a 2xx answer: told here, so that it is known when the turn ends.
        """
        asked = asked or f"{method} {_without_ids(path)}"
        wrote = method in WRITES if writes is None else writes
        request = _prepared(
            self._connection,
            self._session,
            requests.Request(method, params=params, data=body, headers=headers, auth=auth),
            path,
            asked,
        )
        waits_since = monotonic()
        if self._ends_at <= waits_since:
            raise Unreachable("timeout", f"{asked}: no time left")
        with self._connection.turn(writes=wrote):
            self._ends_at += monotonic() - waits_since
            # Raised out here, so that no chained exception carries the request with its secret and its data.
            outcome = self._attempt(request, asked, wrote, missing)
            if isinstance(outcome, ProviderError):
                raise outcome
            if error := failure(outcome) or (failure_in and failure_in(outcome)):
                raise error
        return outcome

    def _attempt(
        self, request: requests.PreparedRequest, asked: str, wrote: bool, missing: str
    ) -> Answer | ProviderError:
        bounds = http.Bounds(
            ends_at=self._ends_at,
            max_bytes=self._connection.max_bytes,
            connect_timeout=self._connection.connect_timeout,
            read_timeout=self._connection.read_timeout,
        )
        try:
            response = http.send(self._session, request, bounds)
        except RequestFailed as error:
            return _network_failure(asked, wrote, error)
        status, headers, content = response.status, response.headers, response.content
        return Answer(asked, wrote, status, headers, content, self._connection.token, self._about, missing)


def require_usable(connection: Connection, session: requests.Session) -> None:
    """Raises what every request would meet before anything is sent: Refused "bad_token" or "bad_address"."""
    _prepared(connection, session, requests.Request("GET"), "", "any request")


def _prepared(
    connection: Connection, session: requests.Session, request: requests.Request, path: str, asked: str
) -> requests.PreparedRequest:
    """All that can fail, or take its time, without the network: nothing of it belongs into a turn."""
    _check_token(connection.token)
    request.url = connection.base_url.rstrip("/") + path
    request.auth = request.auth or http.Bearer(connection.token)
    try:
        return http.prepare(session, request)
    except RequestFailed as error:
        failed = error
    # Raised out here, so that no chained exception carries the request with its secret and its data.
    if failed.code in BAD_ADDRESS:
        raise _network_failure(asked, False, failed)
    raise Refused("bad_request", f"{asked}: there can be no such request")


def failure(answer: Answer) -> ProviderError | None:
    """What a status means; None for 2xx. A caller may give 404, 409 and 412 a closer meaning by catching."""
    said = f"{answer.asked} was answered with {answer.status}"
    if 200 <= answer.status < 300:
        return None
    wait = retry_after(answer.headers.get("Retry-After"), now=datetime.now(UTC))
    if answer.status == 429:
        return RateLimited(wait or DEFAULT_WAIT, answer=answer.told())
    if answer.status == 412:
        return Unclear("changed_meanwhile", said, answer=answer.told())
    if answer.status in (408, 425) or (answer.status >= 500 and answer.status not in (501, 505)):
        return answer.open_failure("server_error", said, wait)
    return answer.refused(_refusal(answer), said)


def _refusal(answer: Answer) -> str:
    if answer.status == 403 and b"limit" in answer.content.lower():
        return "limit_reached"
    codes = {401: "bad_token", 403: "not_allowed", 404: answer.missing, 409: "conflict"}
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


def _network_failure(asked: str, wrote: bool, error: RequestFailed) -> ProviderError:
    cause = RequestFailed(error.code, error.stage)  # without what hangs on the one that was caught
    if error.code in BAD_ADDRESS:
        return Refused("bad_address", f"{asked}: the provider's address is not usable", cause=cause)
    if error.code in BAD_CERTIFICATE:
        return Unreachable("bad_certificate", f"{asked}: the provider's certificate is not valid", cause=cause)
    if error.stage < Stage.EXCHANGE:
        in_time = " in time" if error.code == Failure.TIMED_OUT else ""
        return Unreachable("unreachable", f"{asked}: no connection{in_time}", cause=cause)
    code, text = _BROKEN.get(error.code, ("connection_lost", "the connection broke"))
    kind = Unclear if wrote else Unreachable
    return kind(code, f"{asked}: {text}", cause=cause)


def _without_ids(path: str) -> str:
    """What stands behind the first part of a path names one of many."""
    kind, slash, _ = path.lstrip("/").partition("/")
    return f"/{kind}/{redaction.HIDDEN}" if slash else f"/{kind}"


def _check_token(token: str) -> None:
    if not token or not token.isascii() or not token.isprintable():
        raise Refused("bad_token", "the provider's secret is empty or malformed")


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return _NO_JSON
