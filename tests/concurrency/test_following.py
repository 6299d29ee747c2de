"""Courses that are saved, taken away, started and reminded of at the same moment."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from threading import Event as Signal
from time import sleep
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import Course
from enrollment import following, merging, starting
from enrollment.launch import starts
from enrollment.models import CourseRun, Enrollment, Event, Letter
from tests.concurrency.conftest import Together
from tests.enrollment.launch.learners import begin, seat
from tests.enrollment.views.shelf_of_courses import days_from_now, make_course, offer_course
from tests.factories import make_coordinator

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]


def offered(ada: Enrollment, title: str = "Spaans") -> Course:
    course = make_course(title)
    offer_course(ada.pool.programme, course)
    return course


def failures(answers: list[Any]) -> list[Any]:
    return [answer for answer in answers if isinstance(answer, Exception)]


def saving(ada: Enrollment, course: Course) -> Any:
    return partial(following.save, user_id=ada.user_id, course=course, now=timezone.now())


def test_saving_eight_times_at_once_is_once(together: Together) -> None:
    ada = seat()
    course = offered(ada)
    answers = together([saving(ada, course)] * 8)
    assert sorted(answers) == [False] * 7 + [True]
    assert CourseRun.objects.count() == 1


def test_bound_holds_however_many_are_saved_at_once(together: Together, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_SAVED", 3)
    ada = seat()
    answers = together([saving(ada, offered(ada, f"Cursus {number}")) for number in range(8)])
    assert CourseRun.objects.count() == 3
    assert [answer.obstacle for answer in failures(answers)] == [following.Obstacle.TOO_MANY] * 5


@pytest.mark.parametrize("_try", range(4))
def test_start_is_kept_when_the_course_is_taken_off_the_list_meanwhile(together: Together, _try: int) -> None:
    ada = seat()
    course = offered(ada)
    following.save(user_id=ada.user_id, course=course, now=timezone.now())
    permit = starting.permit(user_id=ada.user_id, course=course, now=timezone.now())
    assert isinstance(permit, starting.Permit)
    calls: list[Any] = [partial(starts.note, permit, shown="name", now=timezone.now())]
    calls += [partial(following.unsave, user_id=ada.user_id, course=course), saving(ada, course)] * 3
    assert failures(together(calls)) == []
    assert CourseRun.objects.get().started_at is not None
    assert Event.objects.filter(kind="course_started").count() == 1


def test_sweeps_at_once_owe_each_letter_once(together: Together, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_AT_ONCE", 3)
    ada = seat()
    for number in range(12):
        begin(ada, offered(ada, f"Cursus {number}"), remind_on=days_from_now(1))
    tomorrow = timezone.localtime().replace(hour=12) + timedelta(days=1)
    answers = together([partial(following.send_reminders, now=tomorrow)] * 4)
    assert failures(answers) == []
    assert sum(answers) == Letter.objects.filter(kind="course_reminder").count() == 12


@pytest.mark.parametrize("_try", range(4))
def test_start_during_a_merge_is_of_the_account_that_stays(together: Together, _try: int) -> None:
    ada, bo = seat(), seat("bo@example.test")
    Enrollment.objects.filter(pk=ada.pk).update(used_at=timezone.now())
    course = offered(ada)
    permit = starting.permit(user_id=bo.user_id, course=course, now=timezone.now())
    assert isinstance(permit, starting.Permit)
    told: dict[str, Any] = {"words": "The same person.", "by": make_coordinator(), "now": timezone.now()}
    calls: list[Any] = [partial(starts.note, permit, shown="name", now=timezone.now()), saving(bo, course)]
    calls += [partial(merging.merge, keep_user_id=ada.user_id, other_user_id=bo.user_id, **told)]
    refused = [each for each in failures(together(calls)) if not isinstance(each, following.CannotFollow)]
    assert refused == []
    assert set(CourseRun.objects.values_list("user", flat=True)) == {ada.user_id}


def test_start_that_waits_for_a_merge_is_of_the_account_that_stays(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seat has another owner when its lock is had."""
    ada, bo = seat(), seat("bo@example.test")
    Enrollment.objects.filter(pk=ada.pk).update(used_at=timezone.now())
    permit = starting.permit(user_id=bo.user_id, course=offered(ada), now=timezone.now())
    assert isinstance(permit, starting.Permit)
    moved, hand_over = Signal(), following.hand_over

    def slowly(**people: Any) -> None:
        hand_over(**people)
        moved.set()
        sleep(0.5)

    monkeypatch.setattr(following, "hand_over", slowly)
    told: dict[str, Any] = {"words": "The same person.", "by": make_coordinator(), "now": timezone.now()}

    def start() -> None:
        moved.wait(10)
        starts.note(permit, shown="name", now=timezone.now())

    merge = partial(merging.merge, keep_user_id=ada.user_id, other_user_id=bo.user_id, **told)
    assert failures(together([merge, start])) == []
    assert CourseRun.objects.get().user_id == ada.user_id
