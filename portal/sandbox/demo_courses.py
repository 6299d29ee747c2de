"""What the demo's people do with their places: courses saved, started and finished, as the rules could have had it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from catalog.models import Listing, Programme
from enrollment.models import CourseRun, Enrollment, Event, Letter
from libraries.models import User
from portal.sandbox.only import refuse_outside_the_sandbox

refuse_outside_the_sandbox()

# Of a hundred people with a place so many have started a course, and so many of the others have saved one; so many of
# those who started one wish for a letter when they have finished it.
START, SAVE, WISH = 55, 15, 40
# How many courses each of them has, and what became of each.
SEVERAL = (1, 1, 1, 2, 2, 3)
FINISHED, UNDER_WAY, BEGUN = "finished", "under way", "begun"
BECAME = (FINISHED, FINISHED, UNDER_WAY, UNDER_WAY, UNDER_WAY, BEGUN)
LEAST, LONGEST = timedelta(days=2), timedelta(days=40)
# Of a certificate's code (enrollment.finishing).
LETTERS = "BCDFGHJKMPQRTVWXY2346789"
# How the addresses of the demo's people begin.
READERS = "reader"
Activity, Kind = CourseRun.Activity, Event.Kind


def populate(programme: Programme, *, now: datetime) -> None:
    """The same in every demo of a day, in the caller's transaction."""
    dice = random.Random(2020)
    courses = _courses(programme, now)
    if len(courses) < max(SEVERAL):
        return
    seats = Enrollment.objects.filter(
        pool__programme=programme,
        state=Enrollment.State.SEATED,
        used_at=None,
        seated_at__lt=now - 2 * LEAST,
        user__email__startswith=READERS,
        user__course_runs=None,
    )
    learners = [
        _Learner(each, dice, courses, now)
        for each in seats.select_related("share", "user").order_by("user__email")
        if dice.randrange(100) < START
    ]
    for learner in learners:
        learner.learn()
    _save(learners)
    begun = [learner.enrollment.pk for learner in learners]
    later = seats.exclude(pk__in=begun).select_related("user").order_by("user__email")
    CourseRun.objects.bulk_create(
        CourseRun(user=each.user, course_id=dice.choice(courses), saved_at=now - timedelta(hours=dice.uniform(1, 40)))
        for each in later
        if dice.randrange(100) < SAVE
    )


def _courses(programme: Programme, now: datetime) -> Sequence[int]:
    """That could be started at any time since the opening, and can still."""
    listings = programme.listings.on_offer(timezone.localdate(now)).filter(
        role=Listing.Role.CORE, offered_from__lte=programme.opens_on
    )
    return list(listings.order_by("course__code").values_list("course_id", flat=True))


@dataclass
class _Learner:
    enrollment: Enrollment
    dice: random.Random
    courses: Sequence[int]
    now: datetime

    def learn(self) -> None:
        self.runs = list(self._runs())
        self.enrollment.user.wants_course_letters = self.dice.randrange(100) < WISH
        self.enrollment.used_at = min(run.started_at for run in self.runs if run.started_at)

    def _runs(self) -> Iterator[CourseRun]:
        assert self.enrollment.seated_at
        for course_id in self.dice.sample(self.courses, self.dice.choice(SEVERAL)):
            began = self._between(self.enrollment.seated_at + timedelta(hours=3), self.now - LEAST)
            last = self._between(began, min(began + LONGEST, self.now - timedelta(minutes=5)))
            run = CourseRun(user=self.enrollment.user, enrollment=self.enrollment, course_id=course_id)
            run.shown = Programme.Tells.PSEUDONYM
            run.started_at, run.last_started_at, run.activity = began, self._between(began, last), Activity.STARTED
            yield self._became(run, self.dice.choice(BECAME), last)

    def _became(self, run: CourseRun, what: str, last: datetime) -> CourseRun:
        if what == BEGUN:
            return run
        run.told_at, run.progress = last, round(self.dice.uniform(0.25, 0.8), 2)
        run.activity = Activity.IN_PROGRESS
        if what == FINISHED:
            run.progress, run.activity, run.completed_at = 1.0, Activity.COMPLETED, last
            run.certificate_code = "-".join("".join(self.dice.choices(LETTERS, k=4)) for _ in range(3))
        return run

    def _between(self, first: datetime, last: datetime) -> datetime:
        return first + (last - first) * self.dice.random()

    def events(self) -> Iterator[Event]:
        for number, run in enumerate(sorted(self.runs, key=lambda run: run.started_at or self.now)):
            assert run.started_at
            if number == 0:
                yield self._event(Kind.STARTED, run.started_at)
            yield self._event(Kind.COURSE_STARTED, run.started_at, run.course_id)
            if run.completed_at:
                yield self._event(Kind.COURSE_FINISHED, run.completed_at, run.course_id)

    def _event(self, kind: Event.Kind, at: datetime, course_id: int | None = None) -> Event:
        return Event(
            kind=kind,
            at=at,
            actor_id=None if kind == Kind.COURSE_FINISHED else self.enrollment.user_id,
            enrollment_id=self.enrollment.pk,
            card_id=self.enrollment.card_id,
            pool_id=self.enrollment.pool_id,
            institution_id=self.enrollment.share.institution_id,
            new_value=course_id,
        )

    def letters(self) -> Iterator[Letter]:
        for run in self.runs:
            if run.completed_at and self.enrollment.user.wants_course_letters:
                yield Letter(
                    kind=Letter.Kind.COURSE_FINISHED,
                    enrollment=self.enrollment,
                    user_id=self.enrollment.user_id,
                    course_run=run,
                    owed_at=run.completed_at,
                    sent_at=run.completed_at,
                )


def _save(learners: Sequence[_Learner]) -> None:
    CourseRun.objects.bulk_create((run for each in learners for run in each.runs), batch_size=500)
    Enrollment.objects.bulk_update((each.enrollment for each in learners), ["used_at"], batch_size=500)
    User.objects.bulk_update((each.enrollment.user for each in learners), ["wants_course_letters"], batch_size=500)
    Event.objects.bulk_create((event for each in learners for event in each.events()), batch_size=1000)
    Letter.objects.bulk_create((letter for each in learners for letter in each.letters()), batch_size=1000)
