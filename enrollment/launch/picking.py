"""Courses are picked at a provider's tool (LTI Deep Linking 2.0): on the way there, what it is asked, and its answer.

The answer is posted by a browser that another site sends, so that nobody is signed in: what the tool signed says all,
and whoever went there sees it in the workplace.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.core import signing
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from catalog.models import Tool
from enrollment.launch import addresses, keys, picked_items, starts, tool_keys
from enrollment.launch.messages import LTI, Recipient, of_picking
from enrollment.launch.messages import Picking as Question
from enrollment.launch.refusal import Refusal
from enrollment.launch.tool_keys import Flaw, NotBelieved
from enrollment.models import Launch, Picking
from enrollment.models.launch import LASTS
from libraries import scoping
from libraries.models import StaffRole, User

# How long somebody may look around at the provider; the launch itself is kept for longer (`starts.forget`).
LASTS_THERE = timedelta(hours=4)
LONGEST_TOKEN = 256 * 1024
_KEPT = timedelta(days=30)
_SALT = "courses are picked"
DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/"
Role = StaffRole.Role


class Obstacle(models.TextChoices):
    NOT_YOURS = "not_yours", _("Only coordinators and operators do this.")
    OFF = "off", _("The tool is not in use.")
    NOWHERE = "nowhere", _("The registration of the tool names no address where courses are picked.")


class Refused(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


def obstacle(tool: Tool, user: User) -> Obstacle | None:
    if not scoping.may(user, Role.COORDINATOR, Role.OPERATOR):
        return Obstacle.NOT_YOURS
    if not tool.is_on:
        return Obstacle.OFF
    return None if tool.deep_linking_url else Obstacle.NOWHERE


def begin(tool: Tool, *, by: User, language: str, now: datetime) -> str:
    """Where the browser is sent to. The tool is told a name for whoever comes that is used once. Raises Refused."""
    if missing := obstacle(tool, by):
        raise Refused(missing)
    launch = Launch.objects.create(
        message=Launch.Message.PICKING,
        tool=tool,
        user=by,
        subject=uuid4(),
        language=language,
        made_at=now,
        expires_at=now + LASTS,
    )
    return starts.login_address(launch, target=tool.deep_linking_url)


def answer(launch: Launch, *, nonce: str, now: datetime) -> str:
    """The signed message to the tool that somebody wants to pick courses. Raises Refusal: they may not be allowed to
    any more. The launch's tool and user must be loaded."""
    tool = launch.tool
    if missing := obstacle(tool, launch.user):
        raise Refusal("access_denied", f"courses may not be picked: {missing.value}")
    recipient = Recipient(
        issuer=addresses.issuer(),
        client_id=tool.client_id,
        deployment_id=tool.deployment_id,
        subject=str(launch.subject),
        nonce=nonce,
    )
    asked = Question(
        target=tool.deep_linking_url,
        return_url=addresses.deep_linking_return(),
        data=signing.dumps(launch.pk.hex, salt=_SALT),
        language=launch.language,
    )
    return keys.sign(of_picking(asked, recipient, now=now), now=now)


def take(token: object, *, now: datetime) -> Picking:
    """What was picked, as the tool signed it: kept for whoever went there, who is not asked here who they are. Raises
    NotBelieved; it may ask the tool for its keys, so that it is not to be called in a transaction."""
    client_id = tool_keys.issuer_of(token, longest=LONGEST_TOKEN)
    tool = Tool.objects.filter(client_id=client_id, is_on=True).first()
    if tool is None:
        raise NotBelieved(Flaw.ISSUER)
    claims = tool_keys.verify(tool, token, audience=addresses.issuer(), now=now, longest=LONGEST_TOKEN)
    launch = _launch(claims, tool, now)
    try:
        items, left_out = picked_items.read(claims.get(f"{DEEP_LINKING}content_items", []))
    except ValueError:
        raise NotBelieved(Flaw.MISSING) from None
    _spend(tool, claims, now)
    with transaction.atomic():
        told = {"tool": tool, "user_id": launch.user_id, "picked_at": now, "items": items, "left_out": left_out}
        picking, is_new = Picking.objects.get_or_create(launch=launch, defaults=told)
    if not is_new:
        raise NotBelieved(Flaw.USED)
    return picking


def forget(*, now: datetime) -> int:
    """Choices of a month ago; says how many."""
    return Picking.objects.filter(picked_at__lt=now - _KEPT).delete()[0]


def _launch(claims: dict[str, Any], tool: Tool, now: datetime) -> Launch:
    """The question it answers, of this tool and not long ago."""
    named = {"message_type": "LtiDeepLinkingResponse", "version": "1.3.0", "deployment_id": tool.deployment_id}
    if any(claims.get(f"{LTI}{name}") != value for name, value in named.items()):
        raise NotBelieved(Flaw.MISSING)
    asked = Launch.objects.filter(tool=tool, message=Launch.Message.PICKING, answered_at__gt=now - LASTS_THERE)
    launch = asked.filter(pk=_opened(claims.get(f"{DEEP_LINKING}data"))).first()
    if launch is None:
        raise NotBelieved(Flaw.MISSING)
    return launch


def _opened(data: object) -> UUID:
    try:
        return UUID(hex=signing.loads(data if isinstance(data, str) else "", salt=_SALT))
    except (signing.BadSignature, ValueError):
        raise NotBelieved(Flaw.MISSING) from None


def _spend(tool: Tool, claims: dict[str, Any], now: datetime) -> None:
    """A nonce, as the 1EdTech security framework 1.0, 5.2.2, wants it; and a number, of tools that give one."""
    numbers = [claims.get("nonce")]
    if claims.get("jti") not in (None, numbers[0]):
        numbers.append(claims["jti"])
    for number in numbers:
        tool_keys.spend(tool, number, until=tool_keys.expiry(claims), now=now)
