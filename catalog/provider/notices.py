"""What a provider tells by itself, signed as Standard Webhooks says: did somebody with the secret send it, just now,
and what does it say. Of the body only ids, codes and numbers are read; whatever else stands in it is left there."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

MOST_BYTES = 64 * 1024
TOLERANCE = timedelta(minutes=5)
ACCOUNT_CLOSED, ACCOUNT_CHANGED, PROGRESS = "account.closed", "account.changed", "progress"

_PREFIX = "whsec_"
_FEWEST_BYTES = 24
# Takes the place of a secret that is not there: as much is computed then, so that the time it takes tells nobody.
_NOBODYS = secrets.token_bytes(32)
# No ids with an @: nobody's mail address is kept for an id.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+/=-]*")


class Unsigned(Exception):
    """Nobody who has the secret sent this."""


class Stale(Exception):
    """It was signed, but not within the tolerance: a clock is wrong, or somebody sends it again."""


class Unreadable(Exception):
    """It does not say what a notice has to say. The text is a code for it, never a part of it."""


class NotForUs(Exception):
    """A notice like any other, about nothing that we know. The text is a code."""


@dataclass(frozen=True)
class Envelope:
    """The three headers, as they came."""

    id: str
    timestamp: str
    signature: str


@dataclass(frozen=True)
class Notice:
    """`external_id` or `remote_id` says whose it is."""

    id: str
    kind: str
    occurred_at: datetime
    external_id: UUID | None
    remote_id: str
    course_code: str = ""
    percent: int | None = None


# --- Who sent it, and when ---


def keys(secret: str) -> list[bytes]:
    """Of a secret `whsec_…`; of several with spaces between, while one replaces another. None where one of them is not
    what the scheme asks for: such a secret must not half work."""
    found = [_key(each) for each in secret.split()]
    return [] if b"" in found else found


def verify(envelope: Envelope, body: bytes, *, secret: str, now: datetime) -> None:
    """Raises Unsigned or Stale. Every signature is compared with every key, also after one that fits."""
    signed = f"{envelope.id}.{envelope.timestamp}.".encode("ascii", "replace") + body
    given = [each.partition(",") for each in envelope.signature.split() or [""]]
    known, fits = keys(secret), False
    for key in [*known, *[_NOBODYS] * (2 - len(known))]:
        expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
        for version, _comma, signature in given:
            same = hmac.compare_digest(expected, signature.encode("ascii", "replace"))
            fits |= same and version == "v1"
    if not fits:
        raise Unsigned
    if not _is_recent(envelope.timestamp, now):
        raise Stale


def _key(secret: str) -> bytes:
    """Empty where it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return key if secret.startswith(_PREFIX) and len(key) >= _FEWEST_BYTES else b""


def _is_recent(timestamp: str, now: datetime) -> bool:
    if not re.fullmatch(r"[0-9]{1,11}", timestamp):
        return False
    return abs(now.timestamp() - int(timestamp)) <= TOLERANCE.total_seconds()


# --- What it says ---


def read(notice_id: str, body: bytes, *, now: datetime) -> Notice:
    """Of a body that was verified. Raises Unreadable or NotForUs."""
    told = _object(_json(body), "body")
    kind = told.get("type")
    if not isinstance(kind, str):
        raise Unreadable("type")
    if kind not in (ACCOUNT_CLOSED, ACCOUNT_CHANGED, PROGRESS):
        raise NotForUs(f"type of {len(kind)} characters")
    data = _object(told.get("data"), "data")
    is_progress = kind == PROGRESS
    return Notice(
        id=_id(notice_id, "id of the notice", most=100),
        kind=kind,
        occurred_at=_moment(told.get("timestamp"), now),
        **_whose(data),
        course_code=_id(data.get("course"), "course", most=50) if is_progress else "",
        percent=_percent(data.get("percent")) if is_progress else None,
    )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Unreadable("json") from None


def _no_number(_word: str) -> NoReturn:
    raise ValueError


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(name)
    return value


def _id(value: Any, name: str, *, most: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > most or not _ID.fullmatch(value):
        raise Unreadable(name)
    return value


def _whose(data: dict[str, Any]) -> dict[str, Any]:
    """Our ids are UUIDs: an account with another one is not ours, unless its own id is one that we know."""
    remote, external = data.get("id"), data.get("externalId")
    remote_id = _id(remote, "id", most=200) if remote not in (None, "") else ""
    if external not in (None, "") and (not isinstance(external, str) or len(external) > 200):
        raise Unreadable("externalId")
    try:
        external_id = UUID(external) if external else None
    except ValueError:
        external_id = None
    if external_id is None and not remote_id:
        raise NotForUs("id") if external else Unreadable("id")
    return {"external_id": external_id, "remote_id": remote_id}


def _moment(value: Any, now: datetime) -> datetime:
    """With its zone, and not later than ours may be wrong: else nothing could be newer than it."""
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo and moment <= now + TOLERANCE:
            return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise Unreadable("timestamp")


def _percent(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise Unreadable("percent")
    return int(value)
