"""How far a member is in a course, as its tool tells it (AGS 2.0, 3.4): the newest counts, and a finish stays.

Also what a provider tells by a notice of its own (`noticing`) comes through here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from catalog.models import Course
from enrollment import finishing, using
from enrollment.merge_plan import whose_now
from enrollment.models import CourseRun, ProviderAccount

Activity = CourseRun.Activity

# 3.4.8. It tells how far a mark is: nothing hangs on it here, where nobody gets one.
GRADING = frozenset({"FullyGraded", "Pending", "PendingManual", "Failed", "NotReady"})
# How much the tool's clock may be ahead of ours: after a score of next year no other would count for a year.
AHEAD = timedelta(minutes=5)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)", re.ASCII)


class Unreadable(Exception):
    """It does not say what a score has to say. The text is the name of the member that is wrong, never its value."""


class Unknown(Exception):
    """Nobody whom the tool knows by this id has started this course."""


class Older(Exception):
    """Something later was told before; nothing was changed."""


class Outcome(Enum):
    NOTED = auto()
    FINISHED = auto()  # for the first time
    SAME = auto()  # told before, word for word


@dataclass(frozen=True)
class Told:
    """`progress` is from 0 to 1; None where there is none, and then what was told before holds no longer (3.4.5)."""

    at: datetime
    activity: CourseRun.Activity
    progress: float | None


# --- What it says ---


def read(body: Any, *, now: datetime) -> tuple[UUID, Told]:
    """Whose it is, and what it tells. Raises Unreadable."""
    if not isinstance(body, dict):
        raise Unreadable("score")
    grading = body.get("gradingProgress")
    if not isinstance(grading, str) or grading not in GRADING:
        raise Unreadable("gradingProgress")
    told = Told(_moment(body.get("timestamp"), now), _activity(body.get("activityProgress")), _progress(body))
    return _member(body.get("userId")), told


def _member(value: object) -> UUID:
    """As it was given at the start (`sub`), to the letter. Another id is nobody's here, which is no fault of form."""
    if not isinstance(value, str) or not value:
        raise Unreadable("userId")
    try:
        member = UUID(value)
    except ValueError:
        raise Unknown from None
    if str(member) != value:
        raise Unknown
    return member


def _activity(value: object) -> CourseRun.Activity:
    if not isinstance(value, str) or value not in Activity.values:
        raise Unreadable("activityProgress")
    return Activity(value)


def _moment(value: object, now: datetime) -> datetime:
    """ISO 8601 with its zone (3.4.9)."""
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            raise Unreadable("timestamp") from None
        if moment <= now + AHEAD:
            return moment
    raise Unreadable("timestamp")


def _progress(body: dict[str, Any]) -> float | None:
    """A score may be above its maximum (3.4.4), and then everything is done. A maximum without a score is no score."""
    maximum = _number(body, "scoreMaximum")
    given = _number(body, "scoreGiven")
    if maximum == 0 or (given is not None and maximum is None):
        raise Unreadable("scoreMaximum")
    return None if given is None or maximum is None else min(1.0, given / maximum)


def _number(body: dict[str, Any], name: str) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable(name)
    try:
        number = float(value)
    except OverflowError:
        raise Unreadable(name) from None
    if not math.isfinite(number) or number < 0:
        raise Unreadable(name)
    return number


# --- What comes of it ---


def note(*, course: Course, member: UUID, told: Told, now: datetime) -> Outcome:
    """Of the person whom the course's provider knows by this id. Raises Unknown or Older.

    It counts whatever became of the place meanwhile: what somebody has learned stays theirs, by whichever of two
    accounts that were put together the tool knows them. Of somebody whose data are being erased nothing is known any
    more.
    """
    account = ProviderAccount.objects.filter(
        provider_id=course.provider_id, external_id=member, must_be_erased=False
    ).first()
    if account is None:
        raise Unknown
    user_id = whose_now(account.user_id)
    outcome = write(user_id=user_id, course=course, told=told, now=now)
    if told.progress or told.activity not in (Activity.INITIALIZED, Activity.STARTED):
        using.note_progress(
            user_id=user_id,
            provider_id=course.provider_id,
            course_code=course.code,
            at=min(told.at, now),
            now=now,
        )
    return outcome


@transaction.atomic
def write(*, user_id: int, course: Course, told: Told, now: datetime) -> Outcome:
    """The run alone. Locks its row, which comes after the seat's in the order of locks. Raises Unknown or Older."""
    run = CourseRun.objects.started().filter(user_id=user_id, course=course).first()
    if run is None:
        raise Unknown
    values = {"told_at": told.at, "activity": told.activity, "progress": told.progress}
    if not CourseRun.objects.filter(_is_older_than(told), pk=run.pk).update(**values):
        return _left(run.pk, values)
    finished = told.activity == Activity.COMPLETED and finishing.finish(run, at=told.at, now=now)
    return Outcome.FINISHED if finished else Outcome.NOTED


def _is_older_than(told: Told) -> Q:
    """Of two things told of the same moment the finish is the later: many tools tell whole seconds, and send how far
    somebody is and that they have finished at once."""
    older = Q(told_at=None) | Q(told_at__lt=told.at)
    if told.activity == Activity.COMPLETED:
        older |= Q(told_at=told.at) & ~Q(activity=Activity.COMPLETED)
    return older


def _left(run_id: int, values: dict[str, Any]) -> Outcome:
    """Nothing was changed: a tool that did not hear our answer tells the same again."""
    kept = CourseRun.objects.filter(pk=run_id)
    if kept.filter(**values).exists():
        return Outcome.SAME
    raise Older if kept.exists() else Unknown
