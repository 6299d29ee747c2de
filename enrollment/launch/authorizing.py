"""A tool asks who it is that came (OpenID Connect core, 3.2.2, as the 1EdTech security framework 1.0, 5.1.1.2, has it):
every rule of what is granted, and what is answered when it is not."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction

from catalog.models import Course, Tool
from enrollment.launch import picking, starts
from enrollment.launch.refusal import Refusal
from enrollment.models import Launch

logger = logging.getLogger(__name__)

# What may be asked with; whatever else is sent is not looked at (OpenID Connect core, 3.1.2.1).
PARAMETERS = (
    *("scope", "response_type", "client_id", "redirect_uri", "login_hint"),
    *("lti_message_hint", "state", "response_mode", "nonce", "prompt"),
)
# Some tools carry a signed token of their own in them.
_LONGEST = {"client_id": 100, "redirect_uri": 500, "state": 2000, "nonce": 500}
_LONGEST_OF_OTHERS = 300


class Unknown(Exception):
    """No tool that is registered asks, or not for an answer to one of its addresses: it gets none. The argument says
    which, for the log."""


@dataclass(frozen=True)
class Answer:
    """To be posted by the browser to this address, which is one of those registered. `origins` are those of all that
    are, and of the course: the tool may send the browser on."""

    address: str
    fields: Mapping[str, str]
    provider_name: str
    # Of the page on which it began; empty where that is not known.
    language: str
    origins: Sequence[str]
    # Of staff, who start no course.
    is_picking: bool


def answer(asked: Mapping[str, str], *, user_id: int | None, repeated: Collection[str], now: datetime) -> Answer:
    """Raises Unknown. `user_id` is whoever is signed in here; `repeated` names what was sent more than once."""
    tool, launch = _tool(asked, repeated), None
    state = {"state": asked["state"]} if _is_given(asked, "state") else {}
    try:
        _check(asked, repeated)
        launch = _launch(asked, tool, user_id, now)
        fields = {"id_token": _answer_to(launch, asked["nonce"], now)}
    except Refusal as refusal:
        logger.info("tool %s: a start is refused: %s (%s)", tool.pk, refusal.error, refusal.why)
        fields = {"error": refusal.error, "error_description": refusal.why}
    language = launch.language if launch else ""
    is_picking = launch is not None and launch.message == Launch.Message.PICKING
    its_origins = origins(tool, launch.course if launch else None)
    return Answer(asked["redirect_uri"], fields | state, tool.provider.name, language, its_origins, is_picking)


def _tool(asked: Mapping[str, str], repeated: Collection[str]) -> Tool:
    for name in ("client_id", "redirect_uri"):
        if name in repeated or not _is_given(asked, name):
            raise Unknown(f"{name} is missing, too long or repeated")
    tool = Tool.objects.filter(client_id=asked["client_id"], is_on=True).select_related("provider").first()
    if tool is None:
        raise Unknown("no such client")
    if asked["redirect_uri"] not in tool.redirect_uris:
        raise Unknown(f"tool {tool.pk}: an address that is not registered")
    return tool


def origins(tool: Tool, course: Course | None = None) -> list[str]:
    """Of all its addresses that a browser is sent to, and of that of the course, which may be on another host."""
    addresses = [*tool.redirect_uris, tool.launch_url, tool.login_url, tool.deep_linking_url]
    addresses += [course.launch_url] if course else []
    parts = [urlsplit(address) for address in addresses if address]
    return sorted({f"{each.scheme}://{each.netloc.rpartition('@')[2]}" for each in parts})


def _check(asked: Mapping[str, str], repeated: Collection[str]) -> None:
    """What must be so whoever asks."""
    if repeated:
        raise Refusal("invalid_request", "a parameter is repeated")
    if asked.get("response_type") != "id_token":
        raise Refusal("unsupported_response_type", "response_type must be id_token")
    if "openid" not in asked.get("scope", "").split():
        raise Refusal("invalid_scope", "scope must hold openid")
    for name, value in (("response_mode", "form_post"), ("prompt", "none")):
        if asked.get(name) != value:
            raise Refusal("invalid_request", f"{name} must be {value}")
    if "state" in asked and not _is_given(asked, "state"):
        raise Refusal("invalid_request", "state is empty or too long")
    for name in ("nonce", "login_hint", "lti_message_hint"):
        if not _is_given(asked, name):
            raise Refusal("invalid_request", f"{name} is missing or too long")


def _launch(asked: Mapping[str, str], tool: Tool, user_id: int | None, now: datetime) -> Launch:
    """What was begun with another tool, answered before, or too long ago gets one answer, as what never was."""
    if user_id is None:
        raise Refusal("login_required", "nobody is signed in")
    of_tool = Launch.objects.unanswered(now).filter(tool=tool).select_related("course", "user")
    try:
        launch = of_tool.filter(pk=UUID(hex=asked["lti_message_hint"])).first()
    except ValueError:
        launch = None
    if launch is None:
        raise Refusal("invalid_request", "lti_message_hint is not known, was answered before, or is too old")
    if launch.user_id != user_id or asked["login_hint"] != str(launch.subject):
        raise Refusal("login_required", "somebody else is signed in")
    launch.tool = tool
    return launch


def _answer_to(launch: Launch, nonce: str, now: datetime) -> str:
    """Of two that ask at once, one is answered; whoever is refused has changed and used up nothing. Enrollments, runs,
    launches are locked in this order, as when a person is erased."""
    with transaction.atomic():
        message = _ANSWERS[Launch.Message(launch.message)](launch, nonce=nonce, now=now)
        if not Launch.objects.unanswered(now).filter(pk=launch.pk).update(answered_at=now):
            raise Refusal("invalid_request", "lti_message_hint was answered before")
        return message


def _is_given(asked: Mapping[str, str], name: str) -> bool:
    value = asked.get(name, "")
    return 0 < len(value) <= _LONGEST.get(name, _LONGEST_OF_OTHERS) and "\x00" not in value


# By what was begun: each makes a signed message, or raises Refusal.
_ANSWERS = {Launch.Message.COURSE: starts.answer, Launch.Message.PICKING: picking.answer}
