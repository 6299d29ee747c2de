"""How courses are followed, as the workplace tells it: numbers alone, and small ones not to a librarian."""

from __future__ import annotations

import csv
from io import StringIO

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import Course, Programme
from enrollment import finishing
from enrollment.models import CourseRun
from enrollment.reports.courses_followed import Followed, courses_followed
from libraries.models import Library, User
from tests.enrollment.launch.learners import begin, seat
from tests.enrollment.views.shelf_of_courses import make_course
from tests.factories import (
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_programme,
    make_user,
)
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db
PAGE = "/en/admin/enrollment/enrollment/courses/"


@pytest.fixture
def mo() -> User:
    return make_coordinator()


@pytest.fixture
def halle() -> Library:
    return make_library("Halle", make_institution("halle"))


@pytest.fixture
def programme(halle: Library) -> Programme:
    make_library()
    return make_programme(cap=100)


def follow(programme: Programme, library: Library, course: Course, *progress: float | None, finished: int = 0) -> None:
    """So many members, each this far; the last of them have finished."""
    for number, each in enumerate(progress):
        enrollment = seat(f"{library.pk}-{course.pk}-{number}@zeldzaam.test", programme=programme, library=library)
        User.objects.filter(pk=enrollment.user_id).update(last_name="Kanarie")
        run = begin(enrollment, course, progress=each)
        if number >= len(progress) - finished:
            finishing.finish(run, at=timezone.now(), now=timezone.now())


def test_coordinator_sees_all_however_few(programme: Programme, halle: Library, mo: User) -> None:
    spanish, sleep = make_course("Spaans", code="ST-1"), make_course("Slapen", code="ST-2")
    follow(programme, make_library(), spanish, 0.1, 0.2, None, 0.6, finished=1)
    follow(programme, halle, spanish, 0.9)
    follow(programme, halle, sleep, None)
    CourseRun.objects.create(user=mo, course=sleep, saved_at=timezone.now())
    assert courses_followed(mo) == [
        Followed("Leerkaart", "Spaans", "ST-1", started=5, finished=1, percent=55, hides=False),
        Followed("Leerkaart", "Slapen", "ST-2", started=1, finished=0, percent=None, hides=False),
    ]


def test_librarian_sees_their_own_and_no_small_numbers(programme: Programme, halle: Library) -> None:
    spanish, sleep, sums = (make_course(title, code=title) for title in ("Spaans", "Slapen", "Rekenen"))
    follow(programme, make_library(), spanish, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5, finished=1)
    follow(programme, make_library(), sleep, 0.1, 0.2, 0.3, 0.4, finished=4)
    follow(programme, make_library(), sums, 0.1, 0.2, 0.3, 0.4, None)
    follow(programme, halle, spanish, *[1.0] * 6)
    lin = make_librarian()
    assert courses_followed(lin) == [
        Followed("Leerkaart", "Spaans", "Spaans", started=6, finished=None, percent=35, hides=True),
        Followed("Leerkaart", "Rekenen", "Rekenen", started=5, finished=0, percent=None, hides=True),
        Followed("Leerkaart", "Slapen", "Slapen", started=None, finished=None, percent=None, hides=True),
    ]
    page = sign_in(lin).get(PAGE).content.decode()
    assert "fewer than 5" in page
    assert "Numbers below 5 are not told" in page


def test_one_programme_is_chosen(programme: Programme, mo: User) -> None:
    other = make_programme("ander", name="Ander")
    follow(programme, make_library(), make_course("Spaans"), 0.1)
    client = sign_in(mo)
    assert len(client.get(PAGE, {"programme": programme.pk}).context["found"]) == 1
    assert client.get(PAGE, {"programme": other.pk}).context["found"] == []


@pytest.mark.parametrize("chosen", ["abc", "0", "-1", "9" * 40, "' OR 1=1"])
def test_programme_that_is_none_is_told_beside_it(chosen: str, mo: User) -> None:
    page = sign_in(mo).get(PAGE, {"programme": chosen})
    assert page.status_code == 200
    assert page.context["form"].errors


def rows(client: Client) -> list[list[str]]:
    answer = client.get(f"{PAGE}file/")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="courses.csv"'
    return list(csv.reader(StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))


def test_file_holds_the_same_and_no_formulas(programme: Programme, mo: User) -> None:
    follow(programme, make_library(), make_course("=2+3", code="ST-1"), 0.1, 0.5)
    assert rows(sign_in(mo))[1:] == [["Leerkaart", "'=2+3", "ST-1", "2", "0", "30"]]
    assert rows(sign_in(make_librarian()))[1:] == [["Leerkaart", "'=2+3", "ST-1", "fewer than 5", "fewer than 5", ""]]


def test_nobody_is_named(programme: Programme, mo: User) -> None:
    follow(programme, make_library(), make_course("Spaans"), 0.1)
    client = sign_in(mo)
    told = client.get(PAGE).content.decode() + client.get(f"{PAGE}file/").content.decode()
    assert "Kanarie" not in told
    assert "zeldzaam" not in told


def test_page_is_for_staff_and_found_from_the_list(mo: User, client: Client) -> None:
    assert f'href="{PAGE}"' in sign_in(mo).get("/en/admin/enrollment/enrollment/").content.decode()
    client.force_login(make_user())
    assert client.get(PAGE).status_code in (302, 403)


def test_report_is_one_query_however_many_courses(programme: Programme, mo: User) -> None:
    for title in ("Spaans", "Slapen", "Rekenen"):
        follow(programme, make_library(), make_course(title), 0.1)
    courses_followed(mo)
    with CaptureQueriesContext(connection) as found:
        assert len(courses_followed(mo)) == 3
    assert len(found) == 1
