"""A course as somebody reads it who is signed in: start it, or what is missing for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils import timezone

from catalog.models import Course, Listing
from enrollment import starting
from enrollment.launch import starts
from enrollment.starting import Obstacle, Permit


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


def start_of(user_id: int | None, course: Course, *, now: datetime) -> CourseStart | None:
    """None for whoever is not signed in. With the queries of `starting.permit`, and at most one more; the course's
    provider and its tool must be loaded."""
    if user_id is None:
        return None
    answer = starting.permit(user_id=user_id, course=course, now=now)
    if isinstance(answer, Permit):
        return CourseStart(course, answer, None, None)
    return CourseStart(course, None, answer, _first_day(course, now) if answer == Obstacle.NOT_YET else None)


def _first_day(course: Course, now: datetime) -> date | None:
    coming = Listing.objects.filter(course=course, offered_from__gt=timezone.localdate(now))
    return coming.order_by("offered_from").values_list("offered_from", flat=True).first()
