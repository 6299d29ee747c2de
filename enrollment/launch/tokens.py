"""The token endpoint: a tool proves who it is by a JWT of its own, and gets a token for what it may do here
(RFC 6749, 4.4; RFC 7523, 2.2; 1EdTech Security Framework 1.0, 4.1)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from catalog.models import Tool
from enrollment.launch import addresses, tool_keys
from enrollment.launch.tool_keys import Flaw, NotBelieved
from enrollment.models import AccessToken
from libraries import limits

SCORE = "https://purl.imsglobal.org/spec/lti-ags/scope/score"
LINE_ITEM = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem.readonly"
SCOPES = (LINE_ITEM, SCORE)
LIFE = timedelta(hours=1)
MOST, PERIOD = 300, timedelta(minutes=1)
_BY_JWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LONGEST = 100


class Refused(Exception):
    """`error` is a code of RFC 6749, 5.2; `why` is for whoever connects the tool."""

    def __init__(self, error: str, why: str) -> None:
        super().__init__(error, why)
        self.error, self.why = error, why


class NotNow(Exception):
    """The tool's own keys cannot be had: it may try again."""


class TooMany(Exception):
    """A tool needs one an hour."""


@dataclass(frozen=True)
class Grant:
    """The token is told once, here; `scopes` may be fewer than were asked for."""

    token: str = field(repr=False)
    scopes: tuple[str, ...]


def grant(asked: Mapping[str, str], *, now: datetime) -> Grant:
    """For the parameters of a request. Raises Refused, NotNow or TooMany; it may ask the tool for its keys, so that it
    is not to be called in a transaction."""
    if asked.get("grant_type") != "client_credentials":
        given = "grant_type" in asked
        raise Refused("unsupported_grant_type" if given else "invalid_request", "grant_type is client_credentials")
    if asked.get("client_assertion_type") != _BY_JWT or not asked.get("client_assertion"):
        raise Refused("invalid_client", "the client proves itself by a JWT (client_assertion)")
    wanted = set(asked.get("scope", "").split())
    tool = _proved(asked, now)
    scopes = tuple(scope for scope in SCOPES if scope in wanted)
    if not scopes:
        raise Refused("invalid_scope", "none of the scopes is given here")
    if not limits.allow("tokens of tool", str(tool.pk), limit=MOST, per=PERIOD, now=now):
        raise TooMany
    token = secrets.token_urlsafe(32)
    AccessToken.objects.create(tool=tool, digest=_digest(token), scopes=list(scopes), expires_at=now + LIFE)
    return Grant(token, scopes)


def of(token: str, *, now: datetime) -> AccessToken | None:
    """What this token was given for, as long as it is good and its tool is in use."""
    found = AccessToken.objects.select_related("tool").filter(digest=_digest(token), tool__is_on=True)
    return found.filter(expires_at__gt=now).first() if 0 < len(token) <= _LONGEST else None


def forget(*, now: datetime) -> int:
    """Drop the tokens that are good no more; say how many."""
    dropped, _by_model = AccessToken.objects.filter(expires_at__lte=now).delete()
    return dropped


def _proved(asked: Mapping[str, str], now: datetime) -> Tool:
    """The tool that signed the assertion; it counts once."""
    assertion = asked["client_assertion"]
    try:
        tool = _named(tool_keys.issuer_of(assertion), asked.get("client_id"))
        claims = tool_keys.verify(tool, assertion, audience=addresses.token(), now=now)
        if claims.get("sub") != tool.client_id:
            raise NotBelieved(Flaw.ISSUER)
        tool_keys.spend(tool, claims.get("jti"), until=tool_keys.expiry(claims), now=now)
    except NotBelieved as error:
        if error.flaw == Flaw.KEYS_UNREACHABLE:
            raise NotNow from None
        raise Refused("invalid_client", error.flaw.value) from None
    return tool


def _named(client_id: str, beside: str | None) -> Tool:
    """`beside`: how the request names the client, which it need not."""
    tool = Tool.objects.filter(client_id=client_id, is_on=True).first()
    if tool is None or beside not in (None, tool.client_id):
        raise NotBelieved(Flaw.ISSUER)
    return tool


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
