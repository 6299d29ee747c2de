"""The courses somebody has started, how far they are, and the certificates of those they have finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import F
from django.urls import reverse
from django.utils.translation import override

from catalog.models import Course
from enrollment import finishing
from enrollment.drawing_certificates import Facts
from enrollment.models import CourseRun
from enrollment.models.course_run import CourseRunQuerySet
from libraries.models import User


@dataclass(frozen=True)
class CourseOfMember:
    """`percent` is None where nothing is told that can be measured."""

    run: CourseRun
    course: Course

    @property
    def percent(self) -> int | None:
        """Of what is not finished, never all of it."""
        if self.run.progress is None:
            return None
        return min(int(self.run.progress * 100), 99) if self.run.completed_at is None else 100

    @property
    def has_begun(self) -> bool:
        """Whether the tool told of anything."""
        return bool(self.run.progress) or self.run.activity != CourseRun.Activity.INITIALIZED


def courses_of(user: User) -> list[CourseOfMember]:
    """First those that are not finished, the last one started before all; with one query."""
    runs = CourseRun.objects.started().filter(user=user).select_related("course__area", "course__provider")
    ordered = runs.order_by(F("completed_at").desc(nulls_first=True), "-last_started_at", "-pk")
    return [CourseOfMember(run, run.course) for run in ordered]


# --- Certificates ---


@dataclass(frozen=True)
class Certificate:
    """What its page tells whoever has the code: of the name the first letters, enough to see that it is not somebody
    else's, and of no use to whoever only found the code."""

    code: str
    course: str
    hours: int
    provider: str
    institution: str
    finished_at: datetime
    initials: str


def certificate_with(typed: str) -> Certificate | None:
    """Of a code, however it was typed. Of somebody who is gone there is none."""
    code = finishing.code_in(typed)
    run = _finished().with_code(code).filter(user__is_active=True).first() if code else None
    if run is None or run.completed_at is None or run.enrollment is None:
        return None
    return Certificate(
        code=code,
        course=run.course.title,
        hours=run.course.hours,
        provider=run.course.provider.name,
        institution=run.enrollment.share.institution.name,
        finished_at=run.completed_at,
        initials=_initials(run.user.full_name),
    )


def facts_of_certificate(user: User, pk: int) -> Facts | None:
    """Of a course that this person has finished, in the language they are written to."""
    run = _finished().filter(user=user, pk=pk).first()
    if run is None or run.completed_at is None or run.enrollment is None or run.certificate_code is None:
        return None
    institution = run.enrollment.share.institution
    with override(user.language):
        address = settings.SITE_URL + reverse("certificate_of_course", args=[run.certificate_code])
    return Facts(
        name=user.full_name,
        course=run.course.title,
        hours=run.course.hours,
        finished_at=run.completed_at,
        institution=institution.name,
        color=institution.color,
        provider=run.course.provider.name,
        code=run.certificate_code,
        address=address,
        language=user.language,
    )


def _finished() -> CourseRunQuerySet:
    needed = ("course__provider", "enrollment__share__institution", "user")
    return CourseRun.objects.finished().select_related(*needed)


def _initials(name: str) -> str:
    """Of each part the first letter: "A. P."."""
    parts: Sequence[str] = [part for part in name.replace("-", " ").split() if part[0].isalpha()]
    return " ".join(f"{part[0].upper()}." for part in parts)
