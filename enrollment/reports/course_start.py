"""A course as somebody reads it who is signed in: start it, or what is missing for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.core.signing import BadSignature, Signer

from catalog.models import Course, Programme
from enrollment import starting
from enrollment.launch import starts
from enrollment.starting import Obstacle, Permit

Tells = Programme.Tells


@dataclass(frozen=True)
class CourseStart:
    """Either a permit or an obstacle."""

    course: Course
    permit: Permit | None
    obstacle: Obstacle | None
    # Of a course that is not on offer yet: the first day.
    from_day: date | None

    @property
    def has_started(self) -> bool:
        return self.permit is not None and self.permit.run is not None and self.permit.run.started_at is not None

    @property
    def last_day(self) -> date | None:
        """None also where it ends only with the place."""
        return self.permit.until - timedelta(days=1) if self.permit and self.permit.until else None

    @property
    def tells(self) -> str:
        """What the provider is told of the member (`Programme.Tells`); empty without a start by its tool."""
        by_tool = self.permit is not None and starts.tool_of(self.course) is not None
        return self.permit.enrollment.pool.programme.tells if self.permit and by_tool else ""

    @property
    def told(self) -> str:
        """Of `tells`, what the button's address brings along (`agreed`)."""
        return self._signer.sign(self.tells) if self.permit else ""

    @property
    def is_told_more(self) -> bool:
        """Than was shown when it was last started, as far as is known."""
        return self.has_started and self.agreed(None) is None

    def agreed(self, told: str | None) -> str | None:
        """What the member was shown of `tells`: beside the button that was pressed, which brought `told`, or else when
        it was last started. None where that is less than is told now, which then has to be shown first."""
        shown = self._last_shown if told is None else self._read(told)
        return shown if shown is not None and Tells.least(shown, self.tells) == self.tells else None

    @property
    def _last_shown(self) -> str | None:
        return self.permit.run.shown if self.permit and self.permit.run and self.has_started else None

    def _read(self, told: str) -> str | None:
        """None of what was not shown here to this member, of this course."""
        try:
            return self._signer.unsign(told) if self.permit else None
        except BadSignature:
            return None

    @property
    def _signer(self) -> Signer:
        assert self.permit is not None
        return signer(self.permit.enrollment.user_id, self.course.pk)


def signer(user_id: int, course_id: int) -> Signer:
    return Signer(salt=f"what is told of {user_id} in {course_id}")


def start_of(user_id: int | None, course: Course, *, now: datetime) -> CourseStart | None:
    """None for whoever is not signed in. With the queries of `starting.permit`, and at most one more; the course's
    provider and its tool must be loaded."""
    if user_id is None:
        return None
    answer = starting.permit(user_id=user_id, course=course, now=now)
    if isinstance(answer, Permit):
        return CourseStart(course, answer, None, None)
    coming = answer == Obstacle.NOT_YET
    days = starting.first_days(user_id=user_id, course_ids=[course.pk], now=now) if coming else {}
    return CourseStart(course, None, answer, days.get(course.pk))
