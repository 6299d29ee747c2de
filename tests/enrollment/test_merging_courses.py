"""Two accounts of one person: each course is theirs once, as far as they got in it with either."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import Course, Programme
from enrollment import following
from enrollment.models import CourseRun, Enrollment, Letter
from enrollment.reports.courses_of_member import certificate_with
from tests.enrollment.launch.learners import begin, seat
from tests.enrollment.views.shelf_of_courses import days_from_now, make_course
from tests.factories import make_coordinator, make_library, make_programme
from tests.merges import merge

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
NOW = timezone.now()


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme()


@pytest.fixture
def keep(programme: Programme) -> Enrollment:
    return seat()


@pytest.fixture
def other(programme: Programme) -> Enrollment:
    return seat("bo@example.test")


@pytest.fixture
def course(programme: Programme) -> Course:
    return make_course("Spaans")


def put_together(keep: Enrollment, other: Enrollment) -> CourseRun:
    """The one course they have afterwards."""
    merge(keep, other, make_coordinator())
    run = CourseRun.objects.get()
    assert run.user == keep.user
    return run


def hand_over(keep: Enrollment, other: Enrollment) -> CourseRun:
    following.hand_over(of=other.user, to=keep.user)
    return CourseRun.objects.get(user=keep.user)


def save(who: Enrollment, course: Course, **fields: Any) -> CourseRun:
    return CourseRun.objects.create(user=who.user, course=course, **{"saved_at": NOW, **fields})


def finish(who: Enrollment, course: Course, code: str, days_ago: int) -> CourseRun:
    at = NOW - days_ago * DAY
    return begin(who, course, started_at=at, last_started_at=at, completed_at=at, certificate_code=code)


def owe(run: CourseRun, kind: str, reason: str = "") -> Letter:
    seat = Enrollment.objects.filter(user=run.user_id).first()
    about = {"kind": kind, "reason": reason, "course_run": run, "enrollment": seat, "user_id": run.user_id}
    return Letter.objects.create(owed_at=NOW, due_at=NOW, **about)


def test_courses_of_both_are_theirs(keep: Enrollment, other: Enrollment, course: Course) -> None:
    begin(other, course)
    assert put_together(keep, other).started_at is not None


def test_course_started_with_the_other_is_kept_and_the_saved_one_goes_into_it(
    keep: Enrollment, other: Enrollment, course: Course
) -> None:
    save(keep, course, remind_on=days_from_now(9))
    started = begin(other, course, remind_on=days_from_now(4))
    run = put_together(keep, other)
    assert (run.pk, run.saved_at, run.remind_on) == (started.pk, NOW, days_from_now(4))


@pytest.mark.parametrize("first_is_kept", [True, False])
def test_first_start_newest_start_and_newest_progress_stay(
    keep: Enrollment, other: Enrollment, course: Course, first_is_kept: bool
) -> None:
    one, two = (keep, other) if first_is_kept else (other, keep)
    early, late = NOW - 9 * DAY, NOW - 2 * DAY
    begin(one, course, started_at=early, last_started_at=late, progress=0.8, told_at=early, activity="InProgress")
    begin(two, course, started_at=late, last_started_at=early + DAY, progress=0.2, told_at=late, activity="Started")
    run = hand_over(keep, other)
    assert (run.started_at, run.last_started_at, run.enrollment_id) == (early, late, one.pk)
    assert (run.progress, run.told_at, run.activity) == (0.2, late, "Started")
    assert not CourseRun.objects.filter(user=other.user).exists()


def test_older_progress_of_the_other_is_not_taken(keep: Enrollment, other: Enrollment, course: Course) -> None:
    begin(keep, course, progress=0.8, told_at=NOW, activity="InProgress")
    begin(other, course, last_started_at=NOW - 9 * DAY, progress=0.2, told_at=NOW - DAY, activity="Started")
    run = hand_over(keep, other)
    assert (run.progress, run.told_at, run.activity) == (0.8, NOW, "InProgress")


@pytest.mark.parametrize("finisher", ["keep", "other"])
def test_finished_wins_and_its_certificate_is_good(
    keep: Enrollment, other: Enrollment, course: Course, finisher: str
) -> None:
    who, also = (keep, other) if finisher == "keep" else (other, keep)
    code = "BCDF-GHJK-MPQR"
    finish(who, course, code, 3)
    begin(also, course, remind_on=days_from_now(3))
    run = put_together(keep, other)
    assert (run.certificate_code, run.remind_on) == (code, None)
    found = certificate_with(code)
    assert found is not None
    assert found.finished_at == NOW - 3 * DAY


def test_of_two_finishes_the_first_stands_and_both_certificates_are_good(
    keep: Enrollment, other: Enrollment, course: Course
) -> None:
    first, second = "RQPM-KJHG-FDCB", "BCDF-GHJK-MPQR"
    finish(keep, course, second, 1)
    finish(other, course, first, 5)
    run = put_together(keep, other)
    assert (run.certificate_code, run.completed_at, run.other_codes) == (first, NOW - 5 * DAY, [second])
    for code in (first, second):
        found = certificate_with(code)
        assert found is not None
        assert (found.code, found.finished_at) == (code, NOW - 5 * DAY)


def test_third_account_takes_no_certificate_away(keep: Enrollment, other: Enrollment, course: Course) -> None:
    cy = seat("cy@example.test")
    for who, code, days in ((keep, "X", 1), (other, "Y", 2), (cy, "Z", 3)):
        finish(who, course, code, days)
    hand_over(keep, other)
    run = hand_over(keep, cy)
    assert (run.certificate_code, set(run.other_codes or [])) == ("Z", {"X", "Y"})


def test_letters_come_along_and_what_is_told_once_is_not_told_twice(
    keep: Enrollment, other: Enrollment, course: Course
) -> None:
    stays, goes = begin(keep, course), save(other, course)
    kept = owe(stays, "course_leaves", "2027-01-01")
    owe(goes, "course_leaves", "2027-01-01")
    later, reminder = owe(goes, "course_leaves", "2027-02-01"), owe(goes, "course_reminder")
    run = put_together(keep, other)
    about = Letter.objects.filter(course_run=run)
    assert set(about.values_list("pk", flat=True)) == {kept.pk, later.pk, reminder.pk}
    assert set(about.values_list("user", flat=True)) == {keep.user_id}


def test_handing_over_twice_is_once(keep: Enrollment, other: Enrollment, course: Course) -> None:
    begin(other, course)
    assert hand_over(keep, other).pk == hand_over(keep, other).pk


def test_courses_of_others_stay_theirs(keep: Enrollment, other: Enrollment, course: Course) -> None:
    theirs = begin(seat("cy@example.test"), course)
    begin(other, course)
    hand_over(keep, other)
    assert CourseRun.objects.get(pk=theirs.pk).user.email == "cy@example.test"


@pytest.mark.parametrize("kept", ["name", "name_and_mail"])
@pytest.mark.parametrize("later", ["name", "name_and_mail"])
def test_of_what_both_were_shown_the_lesser_counts(
    keep: Enrollment, other: Enrollment, course: Course, kept: str, later: str
) -> None:
    for who, shown in zip((keep, other), (kept, *{"name", "name_and_mail"} - {kept}), strict=True):
        begin(who, course, shown=shown, last_started_at=NOW if shown == later else NOW - DAY)
    assert hand_over(keep, other).shown == "name"


def test_course_that_was_only_saved_was_shown_nothing_and_takes_nothing_away(
    keep: Enrollment, other: Enrollment, course: Course
) -> None:
    save(keep, course)
    begin(other, course, shown="name")
    assert hand_over(keep, other).shown == "name"
