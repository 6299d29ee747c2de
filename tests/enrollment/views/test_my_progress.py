"""My place shows how far each course is, and keeps the choice about letters."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from enrollment import finishing
from enrollment.models import CourseRun, Enrollment
from enrollment.reports.courses_of_member import courses_of
from libraries.models import User
from tests.enrollment.launch.learners import begin, seat
from tests.enrollment.views.shelf_of_courses import make_course
from tests.enrollment.views.visiting import words_of

pytestmark = pytest.mark.django_db
PAGE = "/en/my/"


@pytest.fixture
def ada() -> Enrollment:
    return seat()


@pytest.fixture
def visit(client: Client, ada: Enrollment) -> Client:
    client.force_login(ada.user)
    return client


def test_without_courses_nothing_is_said_of_them(visit: Client) -> None:
    assert "My courses" not in words_of(visit.get(PAGE))


def test_progress_is_told_in_words_and_as_a_bar(visit: Client, ada: Enrollment) -> None:
    begin(ada, make_course("Spaans"), progress=0.456, activity="InProgress")
    page = visit.get(PAGE)
    assert "45 % done" in words_of(page)
    assert 'max="100" value="45"' in page.content.decode()


def test_course_of_which_nothing_was_told_says_when_it_began(visit: Client, ada: Enrollment) -> None:
    begin(ada, make_course("Spaans"))
    assert "Spaans Started on" in words_of(visit.get(PAGE))


def test_course_without_a_score_is_under_way(visit: Client, ada: Enrollment) -> None:
    begin(ada, make_course("Spaans"), activity="InProgress")
    page = visit.get(PAGE)
    assert "Spaans Under way" in words_of(page)
    assert "<progress" not in page.content.decode()


def test_finished_course_has_its_certificate(visit: Client, ada: Enrollment) -> None:
    run = begin(ada, make_course("Spaans"))
    finishing.finish(run, at=timezone.now(), now=timezone.now())
    page = visit.get(PAGE)
    assert "Certificate of “Spaans” (PDF)" in words_of(page)
    assert f'href="/en/my/courses/{run.pk}/certificate.pdf"' in page.content.decode()


def test_full_score_is_no_finish(ada: Enrollment) -> None:
    begin(ada, make_course("Spaans"), progress=1.0, activity="InProgress")
    assert [each.percent for each in courses_of(ada.user)] == [99]


def test_what_is_saved_only_and_what_is_anothers_is_not_there(ada: Enrollment) -> None:
    CourseRun.objects.create(user=ada.user, course=make_course("Slapen"), saved_at=timezone.now())
    begin(seat("bo@example.test", programme=ada.pool.programme), make_course("Spaans"))
    assert courses_of(ada.user) == []


def test_last_started_comes_first_and_finished_last(ada: Enrollment) -> None:
    now = timezone.now()
    for days, title in ((3, "Oud"), (2, "Nieuw"), (1, "Klaar")):
        begin(ada, make_course(title), last_started_at=now - timedelta(days=days))
    run = CourseRun.objects.get(course__title="Klaar")
    finishing.finish(run, at=now, now=now)
    assert [each.course.title for each in courses_of(ada.user)] == ["Nieuw", "Oud", "Klaar"]


def test_page_asks_as_much_for_ten_courses_as_for_one(visit: Client, ada: Enrollment) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            visit.get(PAGE)
        return len(found)

    begin(ada, make_course("Eerste"))
    queries()
    one = queries()
    for number in range(9):
        begin(ada, make_course(f"Cursus {number}"))
    assert queries() == one


def test_letters_about_courses_are_a_choice_and_off_until_it_is_made(visit: Client, ada: Enrollment) -> None:
    assert not ada.user.wants_course_letters
    for sent, wanted in (({"wanted": "on"}, True), ({}, False)):
        assert visit.post("/en/my/letters/", sent).status_code == 302
        assert User.objects.get(pk=ada.user_id).wants_course_letters is wanted
        assert ('name="wanted" id="id_wanted" checked' in visit.get(PAGE).content.decode()) is wanted
    assert visit.get("/en/my/letters/").status_code == 405


def test_stranger_chooses_nothing(client: Client) -> None:
    assert client.post("/en/my/letters/", {"wanted": "on"}).status_code == 302
    assert not User.objects.filter(wants_course_letters=True).exists()
