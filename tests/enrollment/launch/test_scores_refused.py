"""Scores that cannot be: each is refused by the name of what is wrong with it, and changes nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from catalog.models import Course
from enrollment.launch import scoring
from enrollment.models import CourseRun, Enrollment, ProviderAccount
from tests.enrollment.launch.learners import begin, score, seat
from tests.enrollment.views.shelf_of_courses import make_course
from tests.factories import NOW, make_provider
from tests.tools import get_token, make_tool, post_score

pytestmark = pytest.mark.django_db


@pytest.fixture
def course() -> Course:
    return make_course("Spaans voor beginners", code="ST-1001")


@pytest.fixture
def ada(course: Course) -> Enrollment:
    enrollment = seat()
    begin(enrollment, course)
    return enrollment


@pytest.fixture
def token(course: Course) -> str:
    make_tool()
    return get_token()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"userId": None}, "userId"),
    ({"userId": ""}, "userId"),
    ({"userId": 42}, "userId"),
    ({"userId": [1]}, "userId"),
    ({"scoreGiven": -1}, "scoreGiven"),
    ({"scoreGiven": "0.5"}, "scoreGiven"),
    ({"scoreGiven": True}, "scoreGiven"),
    ({"scoreGiven": [1]}, "scoreGiven"),
    ({"scoreGiven": 10**400}, "scoreGiven"),
    ({"scoreMaximum": None}, "scoreMaximum"),
    ({"scoreMaximum": 0}, "scoreMaximum"),
    ({"scoreMaximum": -5}, "scoreMaximum"),
    ({"scoreMaximum": "1"}, "scoreMaximum"),
    ({"scoreMaximum": False}, "scoreMaximum"),
    ({"scoreGiven": None, "scoreMaximum": 0}, "scoreMaximum"),
    ({"activityProgress": None}, "activityProgress"),
    ({"activityProgress": "completed"}, "activityProgress"),
    ({"activityProgress": ["Completed"]}, "activityProgress"),
    ({"gradingProgress": None}, "gradingProgress"),
    ({"gradingProgress": "Done"}, "gradingProgress"),
    ({"gradingProgress": ["Pending"]}, "gradingProgress"),
    ({"gradingProgress": {"is": "Pending"}}, "gradingProgress"),
    ({"timestamp": None}, "timestamp"),
    ({"timestamp": ""}, "timestamp"),
    ({"timestamp": 1_700_000_000}, "timestamp"),
    ({"timestamp": "2026-07-03"}, "timestamp"),
    ({"timestamp": "2026-07-03T12:00:00"}, "timestamp"),
    ({"timestamp": "2026-07-03 12:00:00Z"}, "timestamp"),
    ({"timestamp": "2026-02-29T12:00:00Z"}, "timestamp"),
    ({"timestamp": "2026-07-03T24:00:00Z"}, "timestamp"),
    ({"timestamp": "2026-07-03T23:59:60Z"}, "timestamp"),
    ({"timestamp": "2026-07-03T12:00:00+99:00"}, "timestamp"),
    ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp"),
    ({"timestamp": "9999-12-31T23:59:59Z"}, "timestamp"),
    ({"timestamp": "٢٠٢٦-07-03T12:00:00Z"}, "timestamp"),
    ({"timestamp": "2026-W27-5T12:00:00Z"}, "timestamp"),
]


@pytest.mark.parametrize(("changes", "name"), WRONG)
def test_score_that_cannot_be_is_refused_by_the_name_of_what_is_wrong(
    changes: dict[str, Any], name: str, ada: Enrollment, course: Course, token: str
) -> None:
    answer: Any = post_score(course, score(ada, **changes), token)
    assert (answer.status_code, answer.json()["error_description"]) == (400, f"{name} is missing or wrong")
    assert CourseRun.objects.get(user_id=ada.user_id).told_at is None


@pytest.mark.parametrize("number", ["1e309", "-1e309", "NaN", "Infinity", "-Infinity", "1" * 5000, "-0.1"])
@pytest.mark.parametrize("name", ["scoreGiven", "scoreMaximum"])
def test_numbers_that_are_none(number: str, name: str, ada: Enrollment, course: Course, token: str) -> None:
    text = json.dumps(score(ada, **{name: 12345})).replace("12345", number)
    assert post_score(course, text, token).status_code == 400
    assert CourseRun.objects.get(user_id=ada.user_id).told_at is None


def test_tiny_maximum_is_one() -> None:
    told = {"scoreGiven": 1e308, "scoreMaximum": 1e-308, "userId": str(uuid4())}
    rest = {"activityProgress": "Started", "gradingProgress": "Pending", "timestamp": "2026-07-03T12:00:00Z"}
    assert scoring.read(told | rest, now=NOW)[1].progress == 1.0


@pytest.mark.parametrize(("ahead", "status"), [(timedelta(minutes=4), 200), (timedelta(minutes=6), 400)])
def test_score_of_a_time_to_come(ahead: timedelta, status: int, ada: Enrollment, course: Course, token: str) -> None:
    told = score(ada, activityProgress="Completed", timestamp=(timezone.now() + ahead).isoformat())
    assert post_score(course, told, token).status_code == status
    finished = CourseRun.objects.get(user_id=ada.user_id).completed_at
    assert finished is None or finished <= timezone.now()


@pytest.mark.parametrize(
    ("text", "status"),
    [("{", 400), ("[]", 400), ('"a"', 400), ("null", 400), ("[" * 20_000, 400), ("x" * 40_000, 413)],
)
def test_bodies_that_are_no_score(text: str, status: int, course: Course, token: str) -> None:
    answer: Any = post_score(course, text, token)
    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")


def test_id_at_another_provider_is_nobodys_here(ada: Enrollment, course: Course, token: str) -> None:
    account = ProviderAccount.objects.create(user=ada.user, provider=make_provider("other"), must_be_active=True)
    assert post_score(course, score(str(account.external_id)), token).status_code == 404
    assert CourseRun.objects.get(user_id=ada.user_id).told_at is None


def test_without_the_database_the_tool_comes_again(
    ada: Enrollment, course: Course, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(**_told: Any) -> None:
        raise OperationalError("a row with a name in it")

    monkeypatch.setattr(scoring, "note", gone)
    answer: Any = post_score(course, score(ada), token)
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert answer.json()["error"] == "temporarily_unavailable"


def test_body_that_breaks_off_is_refused(course: Course, token: str) -> None:
    class Torn:
        def read(self, _most: int = -1) -> bytes:
            raise OSError("the connection is gone")

        readline = read

    told: dict[str, Any] = {
        "content_type": "application/vnd.ims.lis.v1.score+json",
        "headers": {"Authorization": f"Bearer {token}"},
    }
    torn: dict[str, Any] = {"wsgi.input": Torn()}
    answer = Client().post(f"/lti/line-items/{course.pk}/scores", "{}", **told, **torn)
    assert (answer.status_code, answer.json()["error_description"]) == (400, "the body has not come")


@pytest.mark.parametrize("kind", ["application/json", "application/vnd.ims.lis.v2.score+json", "text/plain"])
def test_other_media_types_are_refused(kind: str, ada: Enrollment, course: Course, token: str) -> None:
    assert post_score(course, score(ada), token, content_type=kind).status_code == 415


def test_charset_beside_the_media_type_is_taken(ada: Enrollment, course: Course, token: str) -> None:
    kind = "application/vnd.ims.lis.v1.score+json; charset=utf-8"
    assert post_score(course, score(ada), token, content_type=kind).status_code == 200
