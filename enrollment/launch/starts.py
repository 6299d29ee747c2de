"""The start of a course at its provider's tool: on the way there, and what is noted once it is granted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import override

from catalog.models import Course, Programme, Tool
from enrollment import history, starting, using
from enrollment.launch import addresses, keys, tokens
from enrollment.launch.messages import Person, Recipient, Start, of_start
from enrollment.launch.refusal import Refusal
from enrollment.models import CourseRun, Enrollment, Event, Launch
from enrollment.models.launch import LASTS
from enrollment.starting import Permit
from libraries.models import User

# For whoever looks into a complaint.
_KEPT = timedelta(days=1)

Tells = Programme.Tells


def tool_of(course: Course) -> Tool | None:
    """The one by which it is started; the course's provider and that one's tool must be loaded."""
    tool = getattr(course.provider, "tool", None)
    return tool if tool is not None and tool.is_on else None


def begin(permit: Permit, *, tool: Tool, shown: str, language: str, now: datetime) -> str:
    """Where the browser is sent to (LTI 1.3 core, 4.1.1: initiation by the platform): the tool's own address to sign
    in, with what it has to bring back. Nothing in it says who the member is but to this tool. `shown`: what the member
    was shown that the tool is told (`Programme.Tells`)."""
    launch = Launch.objects.create(
        tool=tool,
        user_id=permit.enrollment.user_id,
        subject=permit.account.external_id,
        language=language,
        enrollment=permit.enrollment,
        course=permit.course,
        shown=shown,
        made_at=now,
        expires_at=now + LASTS,
    )
    return login_address(launch, target=_target(permit.course, tool))


def login_address(launch: Launch, *, target: str) -> str:
    """The tool's login address for a launch of any kind; the tool must be loaded."""
    tool = launch.tool
    told = {
        "iss": addresses.issuer(),
        "client_id": tool.client_id,
        "login_hint": str(launch.subject),
        "lti_message_hint": launch.pk.hex,
        "target_link_uri": target,
        "lti_deployment_id": tool.deployment_id,
    }
    return f"{tool.login_url}{'&' if urlsplit(tool.login_url).query else '?'}{urlencode(told)}"


def answer(launch: Launch, *, nonce: str, now: datetime) -> str:
    """The signed message to the tool that somebody starts a course there. Of the member it tells what the programme
    tells now, and no more than was shown. Raises Refusal: the place and the offer may have ended on the way. The
    launch's tool and course must be loaded."""
    assert launch.course is not None
    permit = starting.permit(user_id=launch.user_id, course=launch.course, now=now)
    if not isinstance(permit, Permit):
        raise Refusal("access_denied", f"the course may not be started: {permit.value}")
    if permit.account.external_id != launch.subject:
        raise Refusal("login_required", "the account has changed")
    note(permit, shown=launch.shown, now=now)
    recipient = Recipient(
        issuer=addresses.issuer(),
        client_id=launch.tool.client_id,
        deployment_id=launch.tool.deployment_id,
        subject=str(launch.subject),
        nonce=nonce,
    )
    start = _start(permit, launch.tool, launch.language)
    person = _person(permit.enrollment.user, Tells.least(launch.shown, permit.enrollment.pool.programme.tells))
    return keys.sign(of_start(start, recipient, person, now=now), now=now)


@transaction.atomic(savepoint=False)
def note(permit: Permit, *, shown: str, now: datetime) -> None:
    """The member is let into the course, having read what the provider is told (`shown`): now it is one of theirs, and
    the seat is used. The seat is locked first: its owner may be another account of the same person by now."""
    course = permit.course
    # Alone: joined to the owner it is not found where that is another one by the time the lock is had.
    enrollment = Enrollment.objects.select_for_update(no_key=True).get(pk=permit.enrollment.pk)
    if enrollment.used_at is None:
        using.start(enrollment_id=enrollment.pk, now=now)
    # Also where the permit has a run, which is locked by this: what is saved only may be taken away meanwhile.
    CourseRun.objects.bulk_create(
        [CourseRun(user_id=enrollment.user_id, course=course)],
        update_conflicts=True,
        unique_fields=["user", "course"],
        update_fields=["course"],
    )
    mine = CourseRun.objects.filter(user_id=enrollment.user_id, course=course)
    last: dict[str, Any] = {"last_started_at": now, "enrollment": enrollment, "shown": shown}
    # Asked of the row and not of the permit: of two starts at once, one is the first.
    if mine.filter(started_at=None).update(started_at=now, **last):
        kind = Event.Kind.COURSE_STARTED
        history.record(kind, now=now, by=enrollment.user, enrollment=enrollment, new_value=course.pk)
    else:
        mine.update(**last)


def forget(*, now: datetime) -> int:
    """What began a day ago; says how many."""
    return Launch.objects.filter(made_at__lt=now - _KEPT).delete()[0]


def _start(permit: Permit, tool: Tool, language: str) -> Start:
    course, programme = permit.course, permit.enrollment.pool.programme
    return Start(
        link_id=f"course-{course.pk}",
        title=course.title,
        target=_target(course, tool),
        context_id=f"programme-{programme.pk}",
        context_label=programme.slug,
        context_title=programme.name,
        line_item=addresses.line_item(course.pk),
        scopes=tokens.SCOPES,
        return_url=_page_of(course, language),
        language=language,
        custom=course.launch_custom,
    )


def _target(course: Course, tool: Tool) -> str:
    return course.launch_url or tool.launch_url


def _page_of(course: Course, language: str) -> str:
    with override(language):
        return f"{settings.SITE_URL}{reverse('course', args=[course.slug])}"


def _person(user: User, tells: str) -> Person:
    if tells not in (Tells.NAME, Tells.NAME_AND_MAIL):
        return Person()
    email = user.email if tells == Tells.NAME_AND_MAIL else ""
    return Person(given_name=user.first_name, family_name=user.last_name, email=email, locale=user.language)
