"""A tool tells how far a member is: the newest counts, of the right person in the right course, and a finish stays."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.http import HttpResponse
from django.utils import timezone

from catalog.models import Course
from enrollment import ending, erasing
from enrollment.launch.tokens import LINE_ITEM, SCORE
from enrollment.models import AccessToken, CourseRun, Enrollment, Event, Letter
from libraries.models import User
from tests.concurrency.conftest import Together, together
from tests.enrollment.launch.learners import begin, score, seat, sub_of
from tests.enrollment.views.shelf_of_courses import make_course
from tests.factories import make_provider
from tests.tools import (
    ask_for_token,
    asking,
    claims,
    get_token,
    make_tool,
    new_client,
    post_score,
    public_jwk,
    rsa_key,
    signed,
)

__all__ = ["together"]
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


def read(answer: HttpResponse) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(answer.content)
    return told


def run_of(ada: Enrollment) -> CourseRun:
    return CourseRun.objects.get(user_id=ada.user_id)


def finish(ada: Enrollment, **changes: Any) -> dict[str, Any]:
    return score(ada, scoreGiven=1.0, activityProgress="Completed", gradingProgress="FullyGraded") | changes


# --- What is noted ---


def test_score_is_noted_as_progress(ada: Enrollment, course: Course, token: str) -> None:
    told = score(ada, scoreGiven=21, scoreMaximum=60)
    answer = post_score(course, told, token)
    run = run_of(ada)
    assert (answer.status_code, read(answer)) == (200, {})
    assert (run.progress, run.activity, run.told_at) == (0.35, "InProgress", datetime.fromisoformat(told["timestamp"]))
    assert (run.completed_at, run.certificate_code) == (None, None)
    assert "no-store" in answer["Cache-Control"]
    assert not answer.cookies


def test_first_finish_gives_a_certificate_and_a_line_on_the_timeline(
    ada: Enrollment, course: Course, token: str
) -> None:
    told = finish(ada)
    assert post_score(course, told, token).status_code == 200
    run = run_of(ada)
    assert (run.progress, run.completed_at) == (1.0, datetime.fromisoformat(told["timestamp"]))
    assert run.certificate_code is not None
    event = Event.objects.get(kind=Event.Kind.COURSE_FINISHED)
    assert (event.enrollment_id, event.new_value, event.actor_id) == (ada.pk, course.pk, None)


@pytest.mark.parametrize("wished", [True, False])
def test_letter_leaves_only_to_whoever_wished_for_it(ada: Enrollment, course: Course, token: str, wished: bool) -> None:
    User.objects.filter(pk=ada.user_id).update(wants_course_letters=wished)
    post_score(course, finish(ada), token)
    letters = Letter.objects.filter(kind=Letter.Kind.COURSE_FINISHED)
    expected = [(ada.pk, ada.user_id, run_of(ada).pk)] if wished else []
    assert list(letters.values_list("enrollment_id", "user_id", "course_run_id")) == expected


def test_finish_stays_when_less_is_told_later(ada: Enrollment, course: Course, token: str) -> None:
    User.objects.update(wants_course_letters=True)
    post_score(course, finish(ada), token)
    first = run_of(ada)
    post_score(course, score(ada, scoreGiven=0.1), token)
    post_score(course, finish(ada), token)
    run = run_of(ada)
    assert (run.completed_at, run.certificate_code) == (first.completed_at, first.certificate_code)
    assert Event.objects.filter(kind=Event.Kind.COURSE_FINISHED).count() == 1
    assert Letter.objects.filter(kind=Letter.Kind.COURSE_FINISHED).count() == 1


def test_finish_is_dated_neither_before_the_start_nor_in_a_time_to_come(
    ada: Enrollment, course: Course, token: str
) -> None:
    post_score(course, finish(ada, timestamp="2001-02-03T04:05:06.7Z"), token)
    run = run_of(ada)
    assert (run.told_at, run.completed_at) == (datetime(2001, 2, 3, 4, 5, 6, 700_000, UTC), run.started_at)


def test_score_above_its_maximum_is_all_of_it(ada: Enrollment, course: Course, token: str) -> None:
    assert post_score(course, score(ada, scoreGiven=7, scoreMaximum=5), token).status_code == 200
    assert run_of(ada).progress == 1.0


def test_without_a_score_there_is_none_any_more(ada: Enrollment, course: Course, token: str) -> None:
    post_score(course, score(ada), token)
    assert post_score(course, score(ada, scoreGiven=None, scoreMaximum=None), token).status_code == 200
    run = run_of(ada)
    assert (run.progress, run.activity) == (None, "InProgress")


@pytest.mark.parametrize("grading", ["FullyGraded", "Pending", "PendingManual", "Failed", "NotReady"])
def test_finish_does_not_wait_for_a_mark(ada: Enrollment, course: Course, token: str, grading: str) -> None:
    post_score(course, finish(ada, gradingProgress=grading), token)
    assert run_of(ada).completed_at is not None


def test_what_is_more_than_asked_is_left_there(ada: Enrollment, course: Course, token: str) -> None:
    told = score(ada, comment="Goed gedaan", submission={"startedAt": "…"}, other={"a": 1})
    assert post_score(course, told, token).status_code == 200


def test_progress_shows_that_the_place_is_used(ada: Enrollment, course: Course, token: str) -> None:
    assert Enrollment.objects.get().used_at is None
    post_score(course, score(ada), token)
    assert Enrollment.objects.get().used_at is not None


def test_place_that_has_ended_takes_no_progress_away(ada: Enrollment, course: Course, token: str) -> None:
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=timezone.now())
    assert post_score(course, finish(ada), token).status_code == 200
    assert run_of(ada).completed_at is not None


# --- Newer only ---


@pytest.mark.parametrize("earlier", [timedelta(microseconds=1), timedelta(days=400)])
def test_older_score_is_refused(ada: Enrollment, course: Course, token: str, earlier: timedelta) -> None:
    now = timezone.now()
    assert post_score(course, score(ada, timestamp=now.isoformat()), token).status_code == 200
    old = finish(ada, timestamp=(now - earlier).isoformat())
    answer = post_score(course, old, token)
    assert (answer.status_code, read(answer)["error"]) == (409, "conflict")
    assert (run_of(ada).progress, run_of(ada).completed_at) == (0.5, None)


def test_same_score_again_is_taken_and_changes_nothing(ada: Enrollment, course: Course, token: str) -> None:
    for told in (finish(ada), score(ada, scoreGiven=None, scoreMaximum=None)):
        assert [post_score(course, told, token).status_code for _ in range(3)] == [200, 200, 200]
    assert Event.objects.filter(kind=Event.Kind.COURSE_FINISHED).count() == 1


def test_something_else_of_the_same_moment_is_refused_unless_it_is_the_finish(
    ada: Enrollment, course: Course, token: str
) -> None:
    """Tools that tell whole seconds send how far somebody is and the finish at once."""
    at = {"timestamp": timezone.now().strftime("%Y-%m-%dT%H:%M:%S+0000")}
    answers = [
        post_score(course, score(ada, **at), token),
        post_score(course, score(ada, scoreGiven=0.7, **at), token),
        post_score(course, finish(ada, **at), token),
        post_score(course, score(ada, **at), token),
    ]
    assert [each.status_code for each in answers] == [200, 409, 200, 409]
    assert (run_of(ada).progress, run_of(ada).activity) == (1.0, "Completed")


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_the_newest_stays(ada: Enrollment, course: Course, token: str, together: Together) -> None:
    """Whichever comes first; and of two that finish only one is the first."""
    User.objects.update(wants_course_letters=True)
    now = timezone.now()
    told = [
        score(ada, scoreGiven=n, scoreMaximum=16, timestamp=(now - timedelta(seconds=16 - n)).isoformat())
        for n in range(15)
    ]
    told += [finish(ada, timestamp=now.isoformat()), finish(ada, timestamp=(now - timedelta(seconds=9)).isoformat())]

    def post(each: dict[str, Any]) -> int:
        try:
            return post_score(course, each, token).status_code
        finally:
            connections.close_all()

    statuses = together([partial(post, each) for each in told[8:]])
    run = run_of(ada)
    assert set(statuses) <= {200, 409}
    assert (run.told_at, run.progress) == (now, 1.0)
    assert Event.objects.filter(kind=Event.Kind.COURSE_FINISHED).count() == 1
    assert Letter.objects.filter(kind=Letter.Kind.COURSE_FINISHED).count() == 1


# --- Whose it is ---


def another_member(ada: Enrollment, course: Course) -> tuple[Course, str]:
    return course, sub_of(seat("bo@example.test", programme=ada.pool.programme))


def nobody(ada: Enrollment, course: Course) -> tuple[Course, str]:
    return course, str(uuid4())


def odd_id(ada: Enrollment, course: Course) -> tuple[Course, str]:
    return course, "42"


def other_spelling(ada: Enrollment, course: Course) -> tuple[Course, str]:
    return course, sub_of(ada).upper()


def number_of_the_person(ada: Enrollment, course: Course) -> tuple[Course, str]:
    return course, str(ada.user_id)


def saved_only(ada: Enrollment, course: Course) -> tuple[Course, str]:
    other = make_course("Beter slapen")
    CourseRun.objects.create(user_id=ada.user_id, course=other, saved_at=timezone.now())
    return other, sub_of(ada)


def never_opened(ada: Enrollment, course: Course) -> tuple[Course, str]:
    return make_course("Beter slapen"), sub_of(ada)


def of_another_provider(ada: Enrollment, course: Course) -> tuple[Course, str]:
    """Ada follows it too, but another tool tells of it."""
    other = make_course("Elders")
    other.provider = make_provider("other")
    other.save()
    begin(ada, other)
    return other, sub_of(ada)


def gone(ada: Enrollment, course: Course) -> tuple[Course, str]:
    other = make_course("Weg")
    other.pk = 10**30
    return other, sub_of(ada)


def erased(ada: Enrollment, course: Course) -> tuple[Course, str]:
    sub = sub_of(ada)
    erasing.ask(user_id=ada.user_id, by=ada.user, now=timezone.now())
    return course, sub


@pytest.mark.parametrize(
    "whose",
    [
        *(another_member, nobody, odd_id, other_spelling, number_of_the_person),
        *(saved_only, never_opened, of_another_provider, gone, erased),
    ],
)
def test_score_of_whom_the_tool_does_not_know_in_this_course(
    whose: Any, ada: Enrollment, course: Course, token: str
) -> None:
    line, sub = whose(ada, course)
    answer = post_score(line, score(sub), token)
    assert (answer.status_code, read(answer)["error"]) == (404, "not_found")
    assert not CourseRun.objects.exclude(told_at=None).exists()


def test_tool_of_another_provider_tells_nothing_here(ada: Enrollment, course: Course, token: str) -> None:
    make_tool(make_provider("other"), client_id="other", keyset={"keys": [public_jwk("other")]})
    theirs = read(ask_for_token(asking(signed(claims(iss="other", sub="other"), key=rsa_key("other")))))
    assert post_score(course, score(ada), theirs["access_token"]).status_code == 404


# --- Who may tell ---


@pytest.mark.parametrize("shown", ["", "Basic abc", "Bearer", "Bearer abc", "Bearer " + "x" * 5000, "bearer \xff"])
def test_without_a_good_token_nothing_is_told(shown: str, ada: Enrollment, course: Course) -> None:
    address = f"/lti/line-items/{course.pk}/scores"
    headers = {"Authorization": shown} if shown else {}
    answer = new_client().post(address, "{}", content_type="application/json", headers=headers)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith('Bearer realm="lti"')


def test_token_is_good_for_an_hour(ada: Enrollment, course: Course, token: str) -> None:
    AccessToken.objects.update(expires_at=timezone.now())
    answer = post_score(course, score(ada), token)
    assert (answer.status_code, read(answer)["error"]) == (401, "invalid_token")


def test_token_is_good_for_what_it_was_given_for(ada: Enrollment, course: Course) -> None:
    make_tool()
    answer = post_score(course, score(ada), get_token(LINE_ITEM))
    assert (answer.status_code, read(answer)["error"]) == (403, "insufficient_scope")
    assert f'scope="{SCORE}"' in answer["WWW-Authenticate"]
    assert line_item(course, get_token(SCORE)).status_code == 403


def line_item(course: Course, token: str) -> HttpResponse:
    headers = {"Authorization": f"Bearer {token}"}
    answer: Any = new_client().get(f"/lti/line-items/{course.pk}", headers=headers)
    assert isinstance(answer, HttpResponse)
    return answer


def test_line_item_is_the_course(course: Course, token: str) -> None:
    answer = line_item(course, token)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/vnd.ims.lis.v2.lineitem+json")
    told = read(answer)
    assert told["id"].endswith(f"/lti/line-items/{course.pk}")
    del told["id"]
    assert told == {
        "scoreMaximum": 1,
        "label": "Spaans voor beginners",
        "resourceId": "ST-1001",
        "resourceLinkId": f"course-{course.pk}",
        "tag": "progress",
    }


@pytest.mark.parametrize("method", ["put", "post", "delete", "patch"])
def test_line_item_is_only_read(method: str, course: Course, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert getattr(new_client(), method)(f"/lti/line-items/{course.pk}", headers=headers).status_code == 405


def test_nothing_personal_is_logged(
    ada: Enrollment, course: Course, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    for told in (score(ada), score(ada, scoreGiven="canary"), score("canary"), '{"canary": '):
        post_score(course, told, token)
    assert "canary" not in caplog.text
    assert sub_of(ada) not in caplog.text
