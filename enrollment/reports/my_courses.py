"""The page of a member's own courses: the one to go on with, what was started, saved and finished, until when each can
be followed, and a few others that may please."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils import timezone

from catalog.models import Course
from enrollment import starting
from enrollment.models import CourseRun
from enrollment.reports import offer
from enrollment.reports.courses_of_member import CourseOfMember, courses_of
from enrollment.reports.offer import Offer
from enrollment.starting import Obstacle, Permit
from libraries.models import User

MOST_SUGGESTED = 4
# What is missing is the place or the account, and not this one course.
_OF_PLACE = (
    *(Obstacle.ACCOUNT_NOT_READY, Obstacle.HELD, Obstacle.WAITING),
    *(Obstacle.SEAT_ENDED, Obstacle.NO_SEAT),
)


@dataclass(frozen=True)
class Followed(CourseOfMember):
    """One that is not finished. `offer` as it is on offer today; `from_day` where it is still to come."""

    answer: Permit | Obstacle
    offer: Offer | None
    from_day: date | None

    @property
    def may_start(self) -> bool:
        return isinstance(self.answer, Permit)

    @property
    def obstacle(self) -> Obstacle | None:
        return self.answer if isinstance(self.answer, Obstacle) else None

    @property
    def last_day(self) -> date | None:
        """On which it can be followed, or begun where it is only saved; None also where it ends with the place."""
        if isinstance(self.answer, Permit):
            return self.answer.until - timedelta(days=1) if self.answer.until else None
        return self.offer.last_day if self.offer else None


@dataclass(frozen=True)
class MyCourses:
    """`started` without the one to go on with. `missing`: why none of them can be started now, where that is for want
    of a place or an account. `by_area`: whether the suggestions are in areas of theirs."""

    go_on: Followed | None
    started: Sequence[Followed]
    saved: Sequence[Followed]
    finished: Sequence[CourseOfMember]
    suggestions: Sequence[Offer]
    by_area: bool
    missing: Obstacle | None

    @property
    def is_empty(self) -> bool:
        return not (self.go_on or self.started or self.saved or self.finished)


def my_courses(user: User, *, language: str, now: datetime) -> MyCourses:
    """With at most eight queries, however many courses they are. `language` is that of the page."""
    begun, saved, on_offer = courses_of(user), _saved(user), offer.on_offer(timezone.localdate(now))
    going = [each for each in begun if each.run.completed_at is None]
    followed = _followed(user, [*going, *saved], on_offer, now)
    started, later = followed[: len(going)], followed[len(going) :]
    go_on = next((each for each in started if each.may_start), None)
    suggestions, by_area = _suggested([*begun, *saved], on_offer, language)
    return MyCourses(
        go_on=go_on,
        started=[each for each in started if each is not go_on],
        saved=later,
        finished=[each for each in begun if each.run.completed_at is not None],
        suggestions=suggestions,
        by_area=by_area,
        missing=_missing(followed),
    )


def run_of(user_id: int | None, course: Course) -> CourseRun | None:
    """What the member has of this course; of nobody nothing."""
    return CourseRun.objects.filter(user_id=user_id, course=course).first() if user_id else None


def counts_of(user: User) -> Mapping[str, int]:
    """Of the member's courses, and of the letters about them that are still to come; with one query."""
    rows = CourseRun.objects.filter(user=user).values_list("started_at", "completed_at", "remind_on")
    found = Counter(saved=0, started=0, finished=0, reminders=0)
    for started_at, completed_at, remind_on in rows:
        found["finished" if completed_at else "started" if started_at else "saved"] += 1
        found["reminders"] += remind_on is not None
    return found


def _saved(user: User) -> list[CourseOfMember]:
    runs = CourseRun.objects.saved().filter(user=user).select_related("course__area", "course__provider")
    return [CourseOfMember(run, run.course) for run in runs.order_by("-saved_at", "-pk")]


def _followed(user: User, mine: Sequence[CourseOfMember], on_offer: Iterable[Offer], now: datetime) -> list[Followed]:
    answers = starting.permits(user_id=user.pk, courses=[each.course for each in mine], now=now) if mine else {}
    offers = {each.course.pk: each for each in on_offer}
    to_come = [pk for pk, answer in answers.items() if answer == Obstacle.NOT_YET]
    days = starting.first_days(user_id=user.pk, course_ids=to_come, now=now) if to_come else {}
    return [
        Followed(
            each.run,
            each.course,
            answer=answers[each.course.pk],
            offer=offers.get(each.course.pk),
            from_day=days.get(each.course.pk),
        )
        for each in mine
    ]


def _missing(followed: Sequence[Followed]) -> Obstacle | None:
    if any(each.may_start for each in followed):
        return None
    return next((found for found in _OF_PLACE if found in {each.obstacle for each in followed}), None)


def _suggested(mine: Sequence[CourseOfMember], on_offer: Iterable[Offer], language: str) -> tuple[list[Offer], bool]:
    """Others of the areas of theirs, in turn of each area one, the area they were in last first; where there are none,
    what is new. Those in the reader's language come first, and those that leave soon last. What others do plays no
    part."""
    latest = sorted(mine, key=_last_touched, reverse=True)
    areas = list(dict.fromkeys(each.course.area_id for each in latest))
    have = {each.course.pk for each in mine}

    def standing(each: Offer) -> tuple[bool, bool, int, str]:
        return each.course.language != language, each.leaves_soon, -each.since.toordinal(), each.course.title

    others = sorted((each for each in on_offer if each.course.pk not in have), key=standing)
    seen: Counter[int] = Counter()
    in_turn: list[tuple[int, int, Offer]] = []
    for each in others:
        if each.course.area_id in areas:
            in_turn.append((seen[each.course.area_id], areas.index(each.course.area_id), each))
            seen[each.course.area_id] += 1
    by_area = [each for _turn, _area, each in sorted(in_turn, key=lambda found: found[:2])]
    return (by_area or others)[:MOST_SUGGESTED], bool(by_area)


def _last_touched(mine: CourseOfMember) -> datetime:
    moment = mine.run.last_started_at or mine.run.saved_at
    assert moment is not None
    return moment
