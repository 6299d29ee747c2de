"""The letters about one of a member's courses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from enrollment import leaving
from enrollment.drafting import Draft, one_line
from enrollment.models import CourseRun, Enrollment, Letter


def course_leaves(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """Only while it leaves on the day it was owed for: of another day, another letter tells."""
    run = CourseRun.objects.select_related("course").get(letters=letter)
    leaves_on = leaving.leaves_on(run.pk, now=timezone.now())
    if leaves_on is None or leaves_on.isoformat() != letter.reason:
        return None
    days, ends_at = enrollment.pool.programme.kept_days, enrollment.ends_at
    gone = None if days is None else leaves_on + timedelta(days=days)
    if gone and ends_at and gone >= timezone.localdate(ends_at):
        gone = None
    title = one_line(run.course.title)
    return Draft(
        subject=_("“%(title)s” leaves") % {"title": title},
        facts={"title": title, "leaves_on": leaves_on, "kept_until": gone and gone - timedelta(days=1)},
    )


TO_LEARNERS: dict[Letter.Kind, Callable[[Enrollment, Letter], Draft | None]] = {
    Letter.Kind.COURSE_LEAVES: course_leaves,
}
