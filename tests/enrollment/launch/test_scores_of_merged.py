"""What a tool tells of an account that was put together with another is noted for who has its courses now."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.utils import timezone

from catalog.models import Course
from catalog.provider.notices import Notice
from enrollment import noticing
from enrollment.launch.scoring import AHEAD
from enrollment.models import CourseRun, Enrollment
from libraries.models import User
from tests.enrollment.launch.learners import begin, score, seat, sub_of
from tests.enrollment.views.shelf_of_courses import make_course
from tests.factories import make_coordinator, make_library, make_user
from tests.merges import merge
from tests.tools import get_token, make_tool, post_score

pytestmark = pytest.mark.django_db


@pytest.fixture
def course() -> Course:
    return make_course("Spaans voor beginners", code="ST-1001")


@pytest.fixture
def token(course: Course) -> str:
    make_tool()
    return get_token()


def together(keep: Enrollment | User, other: Enrollment | User, now: datetime | None = None) -> None:
    merge(keep, other, make_coordinator(f"mo-{User.objects.count()}@example.test"), now=now or timezone.now())


def run_of(user: User) -> CourseRun:
    return CourseRun.objects.get(user=user)


def test_score_by_the_id_of_the_closed_account_is_noted(course: Course, token: str) -> None:
    ada, bo = seat(), seat("bo@example.test", library=make_library("Park"))
    begin(bo, course)
    known_by = sub_of(bo)
    together(ada, bo)
    assert post_score(course, score(known_by), token).status_code == 200
    assert post_score(course, score(sub_of(ada), scoreGiven=0.6), token).status_code == 200
    assert run_of(ada.user).progress == 0.6
    again = score(known_by, scoreGiven=1, activityProgress="Completed", gradingProgress="FullyGraded")
    assert post_score(course, again, token).status_code == 200
    assert run_of(ada.user).certificate_code is not None


def test_score_is_noted_for_whoever_has_it_after_two_merges(course: Course, token: str) -> None:
    ada, bo = seat(), seat("bo@example.test", library=make_library("Park"))
    begin(bo, course)
    known_by, cy = sub_of(bo), make_user("cy@example.test")
    together(ada, bo)
    together(cy, ada)
    assert post_score(course, score(known_by), token).status_code == 200
    assert run_of(cy).progress == 0.5


def test_notice_of_progress_of_the_closed_account_is_noted(course: Course) -> None:
    ada, bo = seat(), seat("bo@example.test", library=make_library("Park"))
    begin(bo, course)
    notice = {"id": "msg_1", "kind": "progress", "course_code": course.code, "percent": 40, "remote_id": ""}
    told = Notice(external_id=sub_of(bo), occurred_at=timezone.now(), **notice)  # type: ignore[arg-type]
    together(ada, bo)
    noticing.store(provider_id=course.provider_id, notice=told, now=timezone.now())
    while noticing.settle_next(now=lambda: timezone.now() + AHEAD):
        pass
    assert run_of(ada.user).progress == 0.4
    assert Enrollment.objects.get(user=ada.user, state="seated").used_at is not None
