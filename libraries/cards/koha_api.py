"""Koha's REST API, as far as it is asked about cards: HTTP only, and nothing of a person but what decides.

As its own description (api/v1/swagger) and its controllers have it. A person is found by user name first, then by
card number, whatever was meant; a wrong PIN, an unknown card and an account that is locked after wrong tries are the
same 400. Both questions need the right `borrowers`, without which they are 403; a login that does not count is 401.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from threading import Lock
from time import monotonic
from typing import Any

import requests

from libraries.cards.checks import StepName, Trouble
from libraries.cards.systems import SystemFacts
from outgoing import http
from outgoing.http import Failure, RequestFailed, Stage

_PATH = "/api/v1"
# A patron is some 3,000 bytes; two may come.
_MAX_BYTES = 200_000
# A token is kept for less than its life, so that none ends on its way, and for a day at most.
_MARGIN_SECONDS, _LONGEST_SECONDS = 60, 86_400
_TOKEN = re.compile(r"[!-~]{1,4000}")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_STEPS = {
    Stage.ADDRESS: StepName.SETTINGS,
    Stage.RESOLVE: StepName.RESOLVE,
    Stage.CONNECT: StepName.CONNECT,
    Stage.TLS: StepName.TLS,
}
_STATUSES = {
    401: Trouble.LOGIN_REFUSED,
    403: Trouble.NOT_ALLOWED,
    429: Trouble.BUSY,
    501: Trouble.CANNOT_ASK,
    502: Trouble.OFFLINE,
    503: Trouble.OFFLINE,
    504: Trouble.OFFLINE,
}


class KohaFailed(Exception):
    """`step` where it is known: else it was the one that was being taken."""

    def __init__(self, trouble: Trouble, step: StepName | None = None) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble
        self.step = step


@dataclass(frozen=True)
class Owner:
    """Whose the PIN is, in capital letters as we keep numbers."""

    card_number: str = field(repr=False)
    user_name: str = field(repr=False)


@dataclass(frozen=True)
class Patron:
    """`expires_on` is the last day; None where there is none."""

    expires_on: date | None
    restricted: bool
    card_lost: bool


class KohaApi:
    """For one thread. Every request raises KohaFailed, and none is sent after `ends_at` (of `time.monotonic`)."""

    def __init__(self, facts: SystemFacts, session: requests.Session, ends_at: float) -> None:
        self.ends_at = ends_at
        self._facts = facts
        self._session = session
        self._token = ""
        self._token_is_new = False

    def sign_in(self) -> None:
        """For OAuth2: find or get a token. A name and password go with each question instead."""
        self._token = _tokens.find(self._facts) or self._new_token()

    def owner_of(self, identifier: str, pin: str) -> Owner | None:
        """Whose PIN it is; None where it is nobody's of that card number or user name."""
        body = json.dumps({"identifier": identifier, "password": pin}).encode()
        headers = {"Content-Type": "application/json"}
        response = self._ask("POST", "/auth/password/validation", data=body, headers=headers)
        found = _parsed(response)
        if response.status == 400 and isinstance(found, dict) and isinstance(found.get("error"), str):
            return None
        if response.status in (200, 204):
            # Of an older version: it says that the PIN is right, and not whose it is.
            raise KohaFailed(Trouble.INCOMPLETE)
        _require(response, 201)
        return _owner(found)

    def patron_with(self, number: str) -> Patron | None:
        params = {"cardnumber": number, "_match": "exact", "_per_page": "2"}
        response = self._ask("GET", "/patrons", params=params)
        _require(response, 200)
        found = _parsed(response)
        if not isinstance(found, list):
            raise KohaFailed(Trouble.GARBLED)
        patrons = [_patron(each, number) for each in found]
        if len(patrons) > 1:
            raise KohaFailed(Trouble.GARBLED)
        return patrons[0] if patrons else None

    def _ask(self, method: str, path: str, **parts: Any) -> http.Response:
        """A token that was kept may have been revoked meanwhile: then once more, with a new one."""
        response = self._send(method, path, auth=self._auth(), **parts)
        if response.status == 401 and self._facts.oauth and not self._token_is_new:
            self._token = self._new_token()
            response = self._send(method, path, auth=self._auth(), **parts)
        if response.status == 401:
            raise KohaFailed(Trouble.LOGIN_REFUSED, StepName.LOGIN)
        return response

    def _auth(self) -> requests.auth.AuthBase:
        if not self._facts.oauth:
            return http.basic(self._facts.login, self._facts.login_secret)
        if not self._token:
            self.sign_in()
        return http.Bearer(self._token)

    def _new_token(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._facts.login,
            "client_secret": self._facts.login_secret,
        }
        _tokens.forget(self._facts)
        response = self._send("POST", "/oauth/token", data=form)
        if response.status in (401, 403):
            raise KohaFailed(Trouble.LOGIN_REFUSED, StepName.LOGIN)
        _require(response, 200, StepName.LOGIN)
        token, seconds = _token_in(_parsed(response))
        _tokens.keep(self._facts, token, seconds)
        self._token_is_new = True
        return token

    def _send(self, method: str, path: str, **parts: Any) -> http.Response:
        url = self._facts.address.rstrip("/") + _PATH + path
        headers = {"Accept": "application/json", **parts.pop("headers", {})}
        request = requests.Request(method, url, headers=headers, **parts)
        try:
            return http.send(self._session, request, http.Bounds(ends_at=self.ends_at, max_bytes=_MAX_BYTES))
        except RequestFailed as error:
            failure = _failed(error)
        raise failure


@contextmanager
def opened(facts: SystemFacts, *, ends_at: float) -> Iterator[KohaApi]:
    """Nothing is connected to before the first request. Raises KohaFailed for settings that cannot be used."""
    if facts.missing_secrets or not (facts.login and facts.login_secret):
        raise KohaFailed(Trouble.SECRET_MISSING, StepName.SETTINGS)
    if "?" in facts.address or "#" in facts.address:
        raise KohaFailed(Trouble.ADDRESS_UNUSABLE, StepName.SETTINGS)
    schemes = ("https", "http") if facts.private else ("https",)
    with http.new_session(private=facts.private, schemes=schemes) as session:
        yield KohaApi(facts, session, ends_at)


class _Tokens:
    """In the memory of this process alone, until shortly before they expire; by all that a token depends on."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], tuple[str, float]] = {}
        self._lock = Lock()

    def find(self, facts: SystemFacts) -> str | None:
        with self._lock:
            token, ends_at = self._kept.get(_identity(facts), ("", 0.0))
        return token if monotonic() < ends_at else None

    def keep(self, facts: SystemFacts, token: str, seconds: float) -> None:
        now = monotonic()
        with self._lock:
            self._kept = {key: kept for key, kept in self._kept.items() if now < kept[1]}
            self._kept[_identity(facts)] = (token, now + seconds - _MARGIN_SECONDS)

    def forget(self, facts: SystemFacts) -> None:
        with self._lock:
            self._kept.pop(_identity(facts), None)


_tokens = _Tokens()


def _identity(facts: SystemFacts) -> tuple[object, ...]:
    return facts.institution_id, facts.address, facts.login, facts.login_secret


def _failed(error: RequestFailed) -> KohaFailed:
    trouble = Trouble.GARBLED if error.code == Failure.TOO_LARGE else Trouble(error.code.value)
    # The time may be over before the second of two requests: that is no fault of the settings.
    waited = error.code == Failure.TIMED_OUT and error.stage == Stage.ADDRESS
    return KohaFailed(trouble, None if waited else _STEPS.get(error.stage))


def _require(response: http.Response, status: int, step: StepName | None = None) -> None:
    if response.status == status:
        return
    if 300 <= response.status < 400:
        raise KohaFailed(Trouble.ADDRESS_UNUSABLE, step)
    otherwise = Trouble.SYSTEM_ERROR if response.status >= 500 else Trouble.CANNOT_ASK
    raise KohaFailed(_STATUSES.get(response.status, otherwise), step)


def _parsed(response: http.Response) -> object:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _token_in(found: object) -> tuple[str, float]:
    if not isinstance(found, dict):
        raise KohaFailed(Trouble.GARBLED, StepName.LOGIN)
    token, seconds = found.get("access_token"), found.get("expires_in")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise KohaFailed(Trouble.GARBLED, StepName.LOGIN)
    return token, min(seconds, _LONGEST_SECONDS) if isinstance(seconds, int) else 0


def _owner(found: object) -> Owner:
    if not isinstance(found, dict):
        raise KohaFailed(Trouble.GARBLED)
    number, name = _needed(found, "cardnumber"), found.get("userid")
    if not isinstance(number, str) or not isinstance(name, str | None):
        raise KohaFailed(Trouble.GARBLED)
    return Owner(_as_kept(number), _as_kept(name or ""))


def _patron(found: object, number: str) -> Patron:
    """What decides; names, addresses and the rest end here."""
    if not isinstance(found, dict):
        raise KohaFailed(Trouble.GARBLED)
    named = _needed(found, "cardnumber")
    if not isinstance(named, str) or _as_kept(named) != number:
        # A filter that is not understood may be left out: then it is anybody who comes first.
        raise KohaFailed(Trouble.OTHER_CARD)
    restricted, lost = _needed(found, "restricted"), _needed(found, "patron_card_lost")
    if not isinstance(restricted, bool) or not isinstance(lost, bool | None):
        raise KohaFailed(Trouble.GARBLED)
    return Patron(_day(_needed(found, "expiry_date")), restricted, bool(lost))


def _needed(found: Mapping[str, object], name: str) -> object:
    """A field that is not there lets nobody in."""
    if name not in found:
        raise KohaFailed(Trouble.INCOMPLETE)
    return found[name]


def _day(value: object) -> date | None:
    if value is None:
        return None
    try:
        if isinstance(value, str) and _ISO_DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise KohaFailed(Trouble.GARBLED)


def _as_kept(text: str) -> str:
    """Koha finds a number in letters of either case, and with spaces after it."""
    return text.strip().upper()
