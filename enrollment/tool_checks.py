"""A provider's tool (LTI 1.3): register it, change what is registered, and test it, each on record.

A test asks the tool, and is never made inside a transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any

import jwt
from django.conf import settings
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from catalog.models import Tool
from enrollment import history
from enrollment.launch import keys, tool_keys
from enrollment.models import Event
from libraries import limits, scoping
from libraries.cards import addresses
from libraries.models import StaffRole, User
from outgoing.failures import Failure, RequestFailed

logger = logging.getLogger(__name__)

# By all together, of one tool: a test asks the tool.
TESTS, PERIOD = 6, timedelta(minutes=1)
GOOD = "good"
MOST_ADDRESSES, LONGEST_ADDRESS, LONGEST_KEYSET = 20, 500, 64 * 1024
Role = StaffRole.Role
_KEYS = frozenset({"keyset_url", "keyset"})


class Obstacle(models.TextChoices):
    NOT_YOURS = "not_yours", _("Only operators do this.")
    TOO_OFTEN = "too_often", _("The tool was tested very often. Please wait a minute and try again.")
    UNUSABLE = "unusable", _("An address or a key cannot be used.")


class Flaw(models.TextChoices):
    """Of what a provider gave."""

    NOT_AN_ADDRESS = "not_an_address", _("Write the whole address, such as https://platform.example/lti/launch.")
    NOT_ENCRYPTED = "not_encrypted", _("Write https://: without it, who starts a course can be read on the way.")
    CREDENTIALS = "credentials", _("Write no name and no password in the address.")
    FRAGMENT = "fragment", _("Write the address without # and what follows it.")
    WILDCARD = "wildcard", _("Write each address in full, without *: it is compared to the letter.")
    FORBIDDEN = "forbidden", _("The portal may not connect to this address.")
    TOO_MANY = "too_many", _("Write at least one address, and at most 20.")
    NO_KEYS = "no_keys", _("Give the address of the tool's keys, or the keys themselves.")
    TWO_KEYS = "two_keys", _("Give the address of the tool's keys or the keys themselves, not both.")
    UNREADABLE_KEYS = "unreadable_keys", _("These are no keys as tools publish them: a JSON object with “keys”.")
    PRIVATE_KEYS = (
        "private_keys",
        _("This holds a private key. Tell the provider: it has to make new keys, and to give the public part only."),
    )
    WEAK_KEYS = "weak_keys", _("None of these keys can be used: RSA of 2048 bits or more, or EC, for signatures.")


class StepName(StrEnum):
    """What it takes to start courses at a tool, in this order; each is tried, whatever the others came to."""

    OWN_KEYS = "own_keys"
    KEYSET = "keyset"
    LOGIN = "login"
    LAUNCH = "launch"
    PICKING = "picking"


@dataclass(frozen=True)
class Step:
    """`trouble` is a failure of `outgoing`, or one of the codes below; empty for a step that works."""

    name: StepName
    trouble: str = ""


OWN_KEYS, WEAK, ELSEWHERE, NO_PICKING = "own_keys", "weak_keys", "launch_elsewhere", "no_picking"


class Refused(Exception):
    """Nothing was changed, and nobody was asked."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


def may_change(user: User) -> bool:
    return scoping.may(user, Role.OPERATOR)


def may_test(user: User) -> bool:
    return scoping.may(user, Role.COORDINATOR, Role.OPERATOR)


def flaw_of_address(address: str, *, asked: bool = False) -> Flaw | None:
    """Where a browser is sent to; `asked`: the portal itself connects to it too."""
    private = settings.ALLOW_PRIVATE_ADDRESSES or not asked
    flaw = addresses.flaw_of_site(address.partition("#")[0].partition("?")[0], private=private)
    known = {
        addresses.Flaw.NOT_ENCRYPTED: Flaw.NOT_ENCRYPTED,
        addresses.Flaw.CREDENTIALS: Flaw.CREDENTIALS,
        addresses.Flaw.FORBIDDEN: Flaw.FORBIDDEN,
    }
    if "*" in address:
        return Flaw.WILDCARD
    if flaw or len(address) > LONGEST_ADDRESS or not (address.isascii() and address.isprintable()) or " " in address:
        return known.get(flaw, Flaw.NOT_AN_ADDRESS) if flaw else Flaw.NOT_AN_ADDRESS
    if "#" in address:
        return Flaw.FRAGMENT
    encrypted = address.lower().startswith("https:")
    return None if encrypted or settings.SANDBOX or settings.DEBUG else Flaw.NOT_ENCRYPTED


def flaw_of_addresses(given: Sequence[str]) -> Flaw | None:
    if not 1 <= len(given) <= MOST_ADDRESSES:
        return Flaw.TOO_MANY
    return next(filter(None, map(flaw_of_address, given)), None)


def flaw_of_keyset(keyset: object) -> Flaw | None:
    """Of keys that were given, read from JSON."""
    given = keyset.get("keys") if isinstance(keyset, dict) else None
    if not isinstance(given, list) or len(given) > tool_keys.MOST_KEYS:
        return Flaw.UNREADABLE_KEYS
    if tool_keys.has_private_part(given):
        return Flaw.PRIVATE_KEYS
    return None if tool_keys.usable(given) else Flaw.WEAK_KEYS


def flaws_of(tool: Tool, *, fields: Collection[str] | None = None) -> dict[str, Flaw]:
    """By the names of the fields; of these alone, where they are named."""
    single = ("login_url", "launch_url", "deep_linking_url", "keyset_url")
    found: dict[str, Flaw | None] = {
        name: flaw_of_address(address, asked=name in ("login_url", "keyset_url"))
        for name in single
        if (address := getattr(tool, name))
    }
    found["redirect_uris"] = flaw_of_addresses(tool.redirect_uris or [])
    if tool.keyset is not None:
        found["keyset"] = Flaw.TWO_KEYS if tool.keyset_url else flaw_of_keyset(tool.keyset)
    elif not tool.keyset_url:
        found["keyset_url"] = Flaw.NO_KEYS
    asked = {*(fields or found), *(_KEYS if _KEYS.intersection(fields or ()) else ())}
    return {name: flaw for name, flaw in found.items() if flaw and name in asked}


def save(tool: Tool, *, by: User, now: datetime, fields: Collection[str] | None = None) -> None:
    """A new tool, or these fields of one; of keys that were given, the public part alone. Raises Refused."""
    if not may_change(by):
        raise Refused(Obstacle.NOT_YOURS)
    if fields is not None and not fields:
        return
    if flaws_of(tool, fields=fields):
        raise Refused(Obstacle.UNUSABLE)
    if tool.keyset is not None:
        tool.keyset = {"keys": tool_keys.usable(tool.keyset["keys"])}
    with transaction.atomic():
        tool.save(update_fields=fields)
        names = ", ".join(sorted(fields or ()))
        history.record(Event.Kind.TOOL_CHANGED, now=now, by=by, provider_id=tool.provider_id, words=names)


def try_out(tool: Tool, *, by: User, now: datetime) -> Sequence[Step]:
    """Every step, as the tool is registered now. Raises Refused."""
    if not may_test(by):
        raise Refused(Obstacle.NOT_YOURS)
    if not limits.allow("tool tested", str(tool.pk), limit=TESTS, per=PERIOD, now=now):
        raise Refused(Obstacle.TOO_OFTEN)
    tries: dict[StepName, Callable[[], str]] = {
        StepName.OWN_KEYS: partial(_own_keys, now),
        StepName.KEYSET: partial(_keyset, tool),
        StepName.LOGIN: partial(_login, tool),
        StepName.LAUNCH: lambda: "" if tool.launch_url in tool.redirect_uris else ELSEWHERE,
        StepName.PICKING: lambda: "" if tool.deep_linking_url else NO_PICKING,
    }
    steps = [Step(name, attempt()) for name, attempt in tries.items()]
    trouble = next((step.trouble for step in steps if step.trouble), GOOD)
    history.record(Event.Kind.TOOL_TESTED, now=now, by=by, provider_id=tool.provider_id, reason=trouble[:20])
    return steps


def _own_keys(now: datetime) -> str:
    """What is signed here can be checked with what is published here."""
    signed = keys.sign({"iat": int(now.timestamp())}, now=now)
    published: dict[str, Any] = {each["kid"]: each for each in keys.public_keyset(now=now)["keys"]}
    try:
        key = jwt.PyJWK(published[jwt.get_unverified_header(signed)["kid"]])
        jwt.decode(signed, key, algorithms=[keys.ALGORITHM], options={"verify_iat": False})
    except (jwt.PyJWTError, KeyError):
        return OWN_KEYS
    return ""


def _keyset(tool: Tool) -> str:
    try:
        found = tool.keyset["keys"] if tool.keyset else tool_keys.fetch(tool)
    except RequestFailed as error:
        return error.code.value
    return "" if tool_keys.usable(found) else WEAK


def _login(tool: Tool) -> str:
    """Without what it needs: whatever it answers, it is there, unless it says that it is not."""
    try:
        answer = tool_keys.get(tool.login_url)
    except RequestFailed as error:
        return error.code.value
    return Failure.NOT_FOUND.value if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE) else ""
