"""What a tool has signed is believed only when every check of the 1EdTech Security Framework 1.0 (5.1, 5.2) holds.

Its keys stand at an address of the tool's, or were given when it was registered. Those of an address are kept for some
minutes; of a key that is not among them the address is asked again, once a minute, whoever wants it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from threading import BoundedSemaphore
from time import monotonic
from typing import Any

import jwt
import requests
from django.conf import settings
from django.core.cache import cache

from catalog.models import Tool
from enrollment.models import UsedToken
from outgoing import http
from outgoing.failures import Failure

logger = logging.getLogger(__name__)

# No symmetric ones: with those, whoever knows the public key could sign. Each with the kind of key it needs.
ALGORITHMS = {
    **dict.fromkeys(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
}
# Whatever else stands in a key, a private part that was published by mistake too, is left there.
_PUBLIC = ("kty", "n", "e", "crv", "x", "y")
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_SMALLEST = 2048  # bits, of RSA
LONGEST_TOKEN, MOST_KEYS, LONGEST_NUMBER = 16_384, 50, 500
# How much the tool's clock may differ from ours, and for how long a token may be good.
LEEWAY, LONGEST_LIFE = timedelta(seconds=60), timedelta(hours=1)
FRESH_FOR, KEPT_FOR, ASKED_AGAIN_AFTER = timedelta(minutes=10), timedelta(hours=1), timedelta(minutes=1)
_CONNECT_WITHIN, _READ_WITHIN, _ALL_WITHIN = 2.0, 3.0, 5.0
_MOST_BYTES = 256 * 1024
# So many threads of this process wait for tools at once, and a tool that did not answer is left alone for a while:
# whoever sends tokens in its name holds up nobody.
_room, _LEFT_ALONE = BoundedSemaphore(2), timedelta(seconds=20)
_MEANINGS = {
    **dict.fromkeys((401, 403), Failure.LOGIN_REFUSED),
    **dict.fromkeys((404, 410), Failure.NOT_FOUND),
    **dict.fromkeys((301, 302, 303, 307, 308), Failure.REDIRECTED),
}


class Flaw(StrEnum):
    """What does not hold, as it may be told to whoever sent it."""

    UNREADABLE = "the token cannot be read"
    ALGORITHM = "the token is not signed in a way that is taken here"
    KEYS_UNREACHABLE = "the keys of the tool cannot be had now"
    UNKNOWN_KEY = "the token is signed with a key that the tool does not name"
    SIGNATURE = "the signature does not hold"
    MISSING = "the token lacks a claim, or has it in a wrong form"
    ISSUER = "the token is not the tool's own"
    AUDIENCE = "the token is not for this address"
    EXPIRED = "the token has expired"
    NOT_YET = "the token is of a time to come"
    TOO_LONG = "the token is good for too long"
    USED = "the token was used before"


class NotBelieved(Exception):
    """`flaw` says which check does not hold; nothing of the token is repeated."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.name)
        self.flaw = flaw


def verify(tool: Tool, token: object, *, audience: str, now: datetime, longest: int = LONGEST_TOKEN) -> dict[str, Any]:
    """The claims of a JWT that the tool signed for `audience` (exactly this, alone or in a list), valid now. Raises
    NotBelieved.

    `iss`, `aud`, `exp` and `iat` are checked; whatever else has to be there is the caller's to ask for, and so is that
    it counts once (`spend`). It may ask the tool for its keys: not to be called in a transaction.
    """
    head = _head(token, longest)
    key = _key(tool, head, now)
    claims = _signed(token, key)
    _check(claims, tool, audience, now)
    return claims


def issuer_of(token: object, *, longest: int = LONGEST_TOKEN) -> str:
    """Whose the token says it is, before anything is believed of it. Raises NotBelieved."""
    _head(token, longest)
    try:
        claims = jwt.decode(token, options={"verify_signature": False})  # type: ignore[arg-type] # _head has read it
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise NotBelieved(Flaw.UNREADABLE) from None
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not issuer.isprintable():  # what the database cannot take, either
        raise NotBelieved(Flaw.ISSUER)
    return issuer


def spend(tool: Tool, number: object, *, until: datetime, now: datetime) -> None:
    """What has this number (`jti`, or a nonce) counts now, and never again; `until` is the latest moment at which it
    would be believed. Raises NotBelieved."""
    if not isinstance(number, str) or not 0 < len(number) <= LONGEST_NUMBER:
        raise NotBelieved(Flaw.MISSING)
    digest = hashlib.sha256(number.encode("utf-8", "surrogatepass")).hexdigest()
    kept = {"expires_at": max(until, now) + LEEWAY}
    _row, is_new = UsedToken.objects.get_or_create(tool=tool, digest=digest, defaults=kept)
    if not is_new:
        raise NotBelieved(Flaw.USED)


def expiry(claims: dict[str, Any]) -> datetime:
    """Of claims that were verified: so it is a moment near now."""
    return datetime.fromtimestamp(claims["exp"], UTC)


def fetch(tool: Tool) -> list[Any]:
    """What stands at the address of its keys now, whatever is kept. Raises `http.RequestFailed`; not to be called in a
    transaction."""
    answer = get(tool.keyset_url)
    if answer.status != 200:
        raise http.RequestFailed(_MEANINGS.get(answer.status, Failure.SYSTEM_ERROR))
    try:
        keys = _keys_in(json.loads(answer.content))
    except (ValueError, RecursionError):
        keys = None
    if keys is None:
        raise http.RequestFailed(Failure.GARBLED)
    return keys


def get(address: str) -> http.Response:
    """What a tool answers at one of its addresses, within seconds. Raises `http.RequestFailed`."""
    bounds = http.Bounds(
        ends_at=monotonic() + _ALL_WITHIN,
        max_bytes=_MOST_BYTES,
        connect_timeout=_CONNECT_WITHIN,
        read_timeout=_READ_WITHIN,
    )
    asked = requests.Request("GET", address, headers={"Accept": "application/json, */*;q=0.1"})
    private = settings.ALLOW_PRIVATE_ADDRESSES
    with http.new_session(private=private, schemes=("https", "http") if private else ("https",)) as session:
        return http.send(session, asked, bounds)


def usable(keys: Sequence[Any]) -> list[dict[str, Any]]:
    """Those among them that a message can be checked with, without what is no public part of them."""
    named = (*_PUBLIC, "kid", "use", "alg")
    return [{name: key[name] for name in named if name in key} for key in keys if _is_usable(key)]


def has_private_part(keys: Sequence[Any]) -> bool:
    """Whoever reads it could sign as the tool."""
    return any(isinstance(key, dict) and (_PRIVATE.intersection(key) or key.get("kty") == "oct") for key in keys)


def _is_usable(key: object) -> bool:
    if not isinstance(key, dict) or not all(_is_text(key.get(name, "")) for name in (*_PUBLIC, "kid", "use", "alg")):
        return False
    fitting = [name for name in ALGORITHMS if _fitting([key], {"alg": name})]
    return any(_can_check(key, name) for name in fitting)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _can_check(key: dict[str, Any], algorithm: str) -> bool:
    try:
        read = jwt.PyJWK({name: key[name] for name in _PUBLIC if name in key}, algorithm)
        return read.key_type != "RSA" or read.key.key_size >= _SMALLEST
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return False


def forget(*, now: datetime) -> int:
    """Drop the numbers of what would not be believed any more; say how many."""
    dropped, _by_model = UsedToken.objects.filter(expires_at__lte=now).delete()
    return dropped


# --- The token ---


def _head(token: object, longest: int) -> dict[str, Any]:
    if not isinstance(token, str) or len(token) > longest or not token.isascii():
        raise NotBelieved(Flaw.UNREADABLE)
    try:
        head = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise NotBelieved(Flaw.UNREADABLE) from None
    if head.get("alg") not in ALGORITHMS or "crit" in head:
        raise NotBelieved(Flaw.ALGORITHM)
    return head


def _signed(token: Any, key: jwt.PyJWK) -> dict[str, Any]:
    """The times are checked by `_check`, against the moment that the caller says."""
    options: Any = {f"verify_{name}": False for name in ("exp", "iat", "nbf", "aud", "iss", "sub", "jti")}
    try:
        claims: dict[str, Any] = jwt.decode(
            token, key, algorithms=[key.algorithm_name], options=options | {"enforce_minimum_key_length": True}
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise NotBelieved(Flaw.SIGNATURE) from None
    return claims


def _check(claims: dict[str, Any], tool: Tool, audience: str, now: datetime) -> None:
    named = claims.get("aud")
    expires, issued, begins = (_seconds(claims.get(name)) for name in ("exp", "iat", "nbf"))
    if expires is None or issued is None or (begins is None and "nbf" in claims):
        raise NotBelieved(Flaw.MISSING)
    at, leeway = now.timestamp(), LEEWAY.total_seconds()
    flaws = {
        Flaw.ISSUER: claims.get("iss") != tool.client_id,
        Flaw.AUDIENCE: audience not in (named if isinstance(named, list) else [named]),
        Flaw.EXPIRED: expires <= at - leeway,
        Flaw.NOT_YET: max(issued, begins or issued) > at + leeway,
        Flaw.TOO_LONG: expires - min(issued, at) > LONGEST_LIFE.total_seconds() + leeway,
    }
    if found := next((flaw for flaw, is_so in flaws.items() if is_so), None):
        raise NotBelieved(found)


def _seconds(value: object) -> float | None:
    """None where it is no moment: JSON has numbers that are none, and true is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


# --- The tool's keys ---


def _key(tool: Tool, head: dict[str, Any], now: datetime) -> jwt.PyJWK:
    found = _fitting(_known(tool, now), head)
    if not found and not tool.keyset and _may_ask_again(tool):
        found = _fitting(_fetch(tool, now) or [], head)
    if len(found) != 1:
        raise NotBelieved(Flaw.UNKNOWN_KEY)
    algorithm = head["alg"]
    try:
        return jwt.PyJWK({name: found[0][name] for name in _PUBLIC if name in found[0]}, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        raise NotBelieved(Flaw.UNKNOWN_KEY) from None


def _fitting(keys: Sequence[Any], head: dict[str, Any]) -> list[dict[str, Any]]:
    """The key that the token names; one that names none is taken when only one can be meant."""
    kind, curve = ALGORITHMS[head["alg"]]
    return [
        key
        for key in keys
        if isinstance(key, dict)
        and (key.get("kty"), key.get("use", "sig")) == (kind, "sig")
        and curve in (None, key.get("crv"))
        and key.get("alg", head["alg"]) == head["alg"]
        and head.get("kid", key.get("kid")) == key.get("kid")
    ]


def _known(tool: Tool, now: datetime) -> list[Any]:
    """Raises NotBelieved where there are none. A tool that does not answer for a while is believed by its last keys."""
    if tool.keyset:
        return _keys_in(tool.keyset) or []
    kept = cache.get(_name("tool-keys", tool))
    if kept is not None and kept[0] > (now - FRESH_FOR).timestamp():
        return list(kept[1])
    fetched = _fetch(tool, now) if kept is None or _may_ask_again(tool) else None
    if fetched is None and kept is None:
        raise NotBelieved(Flaw.KEYS_UNREACHABLE)
    return list(kept[1]) if fetched is None else fetched


def _may_ask_again(tool: Tool) -> bool:
    return cache.add(_name("tool-keys-asked", tool), True, ASKED_AGAIN_AFTER.total_seconds())


def _fetch(tool: Tool, now: datetime) -> list[Any] | None:
    """None where they cannot be had now."""
    failed = _name("tool-keys-failed", tool)
    if cache.get(failed) or not _room.acquire(blocking=False):
        return None
    try:
        keys = fetch(tool)
    except http.RequestFailed as error:
        logger.warning("tool %s: its keys cannot be had: %s", tool.pk, error.code)
        cache.set(failed, True, _LEFT_ALONE.total_seconds())
        return None
    finally:
        _room.release()
    cache.set(_name("tool-keys", tool), (now.timestamp(), keys), KEPT_FOR.total_seconds())
    return keys


def _keys_in(keyset: object) -> list[Any] | None:
    keys = keyset.get("keys") if isinstance(keyset, dict) else None
    return keys[:MOST_KEYS] if isinstance(keys, list) else None


def _name(of: str, tool: Tool) -> str:
    """Of another address nothing is known."""
    return f"{of}-{tool.pk}-{hashlib.sha256(tool.keyset_url.encode()).hexdigest()[:16]}"
