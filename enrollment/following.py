"""What members do with courses of their own: save one for later, choose a day for a reminder; and what becomes of them
when two accounts of one person are put together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

from dateutil.relativedelta import relativedelta
from django.db import connection, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.models import Course, Listing, Programme
from enrollment.models import CourseRun, Letter
from libraries.models import User

MOST_SAVED = 200
# A reminder is not for the night: it is owed from this hour of its day on.
_FROM_HOUR = timedelta(hours=8)
_AT_ONCE = 1000
_TOLD_ONCE = [Letter.Kind.COURSE_LEAVES, Letter.Kind.COURSE_FINISHED]

# Of runs whose day has come, all lose that day, and one that can be followed owes its letter: to a person who is there
# and whose address is proved, with a seat at the course's provider. Not beside a letter that is still owed, or that
# was sent today.
_OWE = """
WITH due AS MATERIALIZED (
    SELECT id FROM enrollment_courserun WHERE remind_on <= %(today)s
    ORDER BY remind_on, id LIMIT %(most)s FOR NO KEY UPDATE SKIP LOCKED
), cleared AS (
    UPDATE enrollment_courserun AS run SET remind_on = NULL FROM due WHERE run.id = due.id
    RETURNING run.id, run.user_id, run.course_id, run.completed_at
), owed AS (
    INSERT INTO enrollment_letter
        (kind, course_run_id, enrollment_id, user_id, reason, owed_at, due_at, version, attempts, trouble)
    SELECT 'course_reminder', run.id, seat.id, run.user_id, '', %(now)s, %(now)s, 0, 0, ''
    FROM cleared AS run
    JOIN libraries_user AS person
        ON person.id = run.user_id AND person.is_active AND person.address_proved_at IS NOT NULL
    JOIN catalog_course AS course ON course.id = run.course_id
    CROSS JOIN LATERAL (
        SELECT mine.id FROM enrollment_enrollment AS mine
        JOIN enrollment_seatpool AS pool ON pool.id = mine.pool_id
        JOIN catalog_programme AS programme ON programme.id = pool.programme_id
        WHERE mine.user_id = run.user_id AND mine.state = 'seated' AND programme.provider_id = course.provider_id
        ORDER BY mine.seated_at DESC, mine.id DESC LIMIT 1
    ) AS seat
    WHERE run.completed_at IS NULL AND NOT EXISTS (
        SELECT FROM enrollment_letter AS other
        WHERE other.course_run_id = run.id AND other.kind = 'course_reminder'
            AND (other.due_at IS NOT NULL OR other.sent_at >= %(midnight)s)
    )
    ORDER BY run.id RETURNING id
)
SELECT (SELECT count(*) FROM cleared), (SELECT count(*) FROM owed)
"""


class Obstacle(models.TextChoices):
    OFF_OFFER = "off_offer", _("This course is not on offer any more, so you cannot save it.")
    TOO_MANY = "too_many", _("You have saved very many courses. Take some away first.")
    NOT_YOURS = "not_yours", _("Save or start this course first. Then you can choose a day.")
    FINISHED = "finished", _("You have finished this course already.")
    WRONG_DAY = "wrong_day", _("Choose a day from tomorrow up to a year from now.")
    GONE = "gone", _("This account is closed.")


class CannotFollow(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


@transaction.atomic
def save(*, user_id: int, course: Course, now: datetime) -> bool:
    """Keep it for later; says whether it was not among theirs yet. Locks the person, whose courses are counted.
    Raises CannotFollow."""
    if not User.objects.select_for_update(no_key=True).filter(pk=user_id, is_active=True).exists():
        raise CannotFollow(Obstacle.GONE)
    mine = CourseRun.objects.filter(user_id=user_id)
    if mine.filter(course=course).exists():
        return False
    if not _is_to_come(course, timezone.localdate(now)):
        raise CannotFollow(Obstacle.OFF_OFFER)
    if mine.saved().count() >= MOST_SAVED:
        raise CannotFollow(Obstacle.TOO_MANY)
    saved = CourseRun(user_id=user_id, course=course, saved_at=now)
    # Meanwhile it may have been started: that is kept.
    CourseRun.objects.bulk_create(
        [saved], update_conflicts=True, unique_fields=["user", "course"], update_fields=["saved_at"]
    )
    return True


@transaction.atomic
def unsave(*, user_id: int, course: Course) -> bool:
    """Nothing stays of it, not the reminder either; says whether it was saved. What was started stays."""
    run = CourseRun.objects.saved().filter(user_id=user_id, course=course).select_for_update().first()
    return run is not None and bool(run.delete()[0])


@transaction.atomic
def remind(*, user_id: int, course: Course, on: date | None, now: datetime) -> None:
    """A letter on this day, in place of another day; with None none, also none that is owed already. Raises
    CannotFollow."""
    run = CourseRun.objects.filter(user_id=user_id, course=course).select_for_update(no_key=True).first()
    if run is None:
        raise CannotFollow(Obstacle.NOT_YOURS)
    if on is None:
        unclaimed = Q(lease_until=None) | Q(lease_until__lte=now)
        letters = Letter.objects.owed().filter(unclaimed, course_run=run, kind=Letter.Kind.COURSE_REMINDER)
        letters.update(due_at=None, stuck_at=None, dropped_at=now)
    elif run.completed_at is not None:
        raise CannotFollow(Obstacle.FINISHED)
    elif not (days := choices(timezone.localdate(now))).first <= on <= days.last:
        raise CannotFollow(Obstacle.WRONG_DAY)
    CourseRun.objects.filter(pk=run.pk).update(remind_on=on)


@dataclass(frozen=True)
class Days:
    """For a reminder: any from the first to the last, and two to suggest."""

    first: date
    last: date
    in_a_week: date
    in_a_month: date


def choices(today: date) -> Days:
    """Never today, so that no course has two letters on one day."""
    return Days(
        first=today + timedelta(days=1),
        last=today + relativedelta(years=1),
        in_a_week=today + timedelta(weeks=1),
        in_a_month=today + relativedelta(months=1),
    )


def send_reminders(*, now: datetime) -> int:
    """Owe the letters of today, and those that no sweep came to before; say how many."""
    told: dict[str, Any] = {
        "now": now,
        "today": timezone.localdate(now - _FROM_HOUR),
        "midnight": timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0),
        "most": _AT_ONCE,
    }
    letters: int = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_OWE, told)
            cleared, owed = cursor.fetchone()
        letters += owed
        if cleared < _AT_ONCE:
            return letters


def _is_to_come(course: Course, today: date) -> bool:
    """On offer today, or planned."""
    lasts = Q(offered_until=None) | Q(offered_until__gt=today)
    goes_on = Q(programme__closes_on=None) | Q(programme__closes_on__gt=today)
    return Listing.objects.filter(lasts, goes_on, course=course).exists()


# --- Two accounts that become one ---


def hand_over(*, of: User, to: User) -> None:
    """All courses of the one, in the transaction that puts the accounts together, which has both people locked. Of a
    course that both have, the run stays that got further, with what the other one knows; letters about it come along.
    """
    runs = CourseRun.objects.filter(user__in=[of, to]).select_for_update(no_key=True).order_by("pk")
    by_course = groupby(sorted(runs, key=lambda run: run.course_id), key=lambda run: run.course_id)
    for _course_id, found in by_course:
        *others, stays = sorted(found, key=_how_far)
        for goes in others:
            _join(stays, goes)
    CourseRun.objects.filter(user=of).update(user=to)


def _how_far(run: CourseRun) -> tuple[float, float, float, int]:
    """Of two that are finished, the one that was so first: its certificate is the older. The other stays good too."""
    finished = -run.completed_at.timestamp() if run.completed_at else float("-inf")
    begun = run.last_started_at.timestamp() if run.last_started_at else float("-inf")
    return finished, begun, run.progress or 0, -run.pk


def _join(stays: CourseRun, goes: CourseRun) -> None:
    told = {(each.kind, each.reason) for each in stays.letters.filter(kind__in=_TOLD_ONCE, dropped_at=None)}
    more = [each.pk for each in goes.letters.all() if each.dropped_at or (each.kind, each.reason) not in told]
    Letter.objects.filter(pk__in=more).update(course_run=stays)
    both = (stays, goes)
    stays.saved_at = min((run.saved_at for run in both if run.saved_at), default=None)
    stays.remind_on = min((run.remind_on for run in both if run.remind_on), default=None)
    if goes.started_at and goes.last_started_at:
        stays.started_at = min(stays.started_at or goes.started_at, goes.started_at)
        stays.shown = Programme.Tells.least(stays.shown, goes.shown)
        if stays.last_started_at is None or goes.last_started_at > stays.last_started_at:
            stays.last_started_at, stays.enrollment = goes.last_started_at, goes.enrollment
    if goes.told_at and (stays.told_at is None or goes.told_at > stays.told_at):
        stays.told_at, stays.progress, stays.activity = goes.told_at, goes.progress, goes.activity
    if stays.completed_at:
        stays.remind_on = None
        codes = [*(stays.other_codes or []), *(goes.other_codes or []), goes.certificate_code]
        stays.other_codes = [code for code in codes if code] or None
    goes.delete()
    stays.save()
