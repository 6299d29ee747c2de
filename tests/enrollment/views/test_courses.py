"""What is on the shelf can be found, and what is not is said politely."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Programme
from enrollment.models import CourseRun
from tests.enrollment.views.shelf_of_courses import days_from_now, make_course, offer_course
from tests.factories import make_librarian, make_library, make_member, make_programme, make_user
from tests.launches import make_ready

pytestmark = pytest.mark.django_db


@pytest.fixture
def programme() -> Programme:
    programme = make_programme(institutions=[make_library().institution])
    offer_course(programme, make_course("Spaans voor beginners"))
    offer_course(programme, make_course("Français: conversation", language="fr", level="B1", hours=18))
    offer_course(programme, make_course("Beter slapen", area="health", level="starter", hours=4))
    return programme


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def titles(client: Client, query: str = "") -> list[str]:
    found = page(client, f"/courses/{query}").split('id="results"', 1)[1]
    return re.findall(r'<a href="/courses/[^"]+/">([^<]+)</a>', found)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?area=health", ["Beter slapen"]),
        ("?level=A1", ["Spaans voor beginners"]),
        ("?language=fr", ["Français: conversation"]),
        ("?length=short", ["Beter slapen"]),
        ("?words=SPAANS", ["Spaans voor beginners"]),
        ("?words=francais", ["Français: conversation"]),
        ("?words=+slapen+&area=health", ["Beter slapen"]),
        ("?words=slapen&area=languages", []),
    ],
)
def test_courses_are_found(client: Client, programme: Programme, query: str, found: list[str]) -> None:
    assert titles(client, query) == found


@pytest.mark.parametrize(
    "query",
    [
        "?area=nowhere&level=Z9&language=xx&length=forever",
        "?area=%00&level=%00",
        "?area=health'--&area=",
        "?length=__class__",
        "?unknown=1",
        "?area=%ff%fe",
        "?words=",
        "?words=%00",
        "?page=-1&show=nothing",
        "?page=" + "9" * 5000,
        "?page=%D9%A3&page=0",
    ],
)
def test_senseless_choices_are_left_out(client: Client, programme: Programme, query: str) -> None:
    assert len(titles(client, query)) == 3


@pytest.mark.parametrize("words", ["%00%F0%9F%98%80", "x" * 10_000, "%3Cscript%3E", "%F0%9F%98%80", "%25", "'--"])
def test_senseless_words_find_nothing_and_harm_nothing(client: Client, programme: Programme, words: str) -> None:
    assert titles(client, f"?words={words}") == []
    assert "<script>" not in page(client, f"/courses/?words={words}")


def test_nothing_found_says_what_to_do(client: Client, programme: Programme) -> None:
    text = page(client, "/en/courses/?words=zumba")
    assert "No course has “zumba” in it" in text
    assert "Show all courses" in text


def test_courses_not_on_the_shelf_today_are_not_listed(client: Client, programme: Programme) -> None:
    offer_course(programme, make_course("Gone"), offered_until=days_from_now(0))
    offer_course(programme, make_course("Later"), offered_from=days_from_now(1))
    closed = make_programme("closed", opens_on=days_from_now(-90), closes_on=days_from_now(-1))
    offer_course(closed, make_course("Of a closed programme"))
    make_course("Never offered")
    assert len(titles(client)) == 3


def test_a_course_of_two_programmes_is_listed_once(client: Client, programme: Programme) -> None:
    course = make_course("Blind typen")
    offer_course(programme, course, offered_until=days_from_now(5))
    offer_course(make_programme("second"), course)
    assert titles(client, "?words=typen") == ["Blind typen"]
    assert "no end planned" in page(client, "/en/courses/blind-typen/")


def test_new_courses_and_those_that_leave_are_marked(client: Client, programme: Programme) -> None:
    offer_course(programme, make_course("Fresh"), offered_from=days_from_now(-2))
    offer_course(programme, make_course("Leaving"), offered_until=days_from_now(9))
    tags = re.findall(r'class="tag[^"]*">([^<]+)<', page(client, "/en/courses/"))
    last = days_from_now(8)
    assert tags == ["New", f"Until {last.day} {last:%B}"]


def test_course_says_what_it_is_and_how_to_get_a_place(client: Client, programme: Programme) -> None:
    text = page(client, "/en/courses/spaans-voor-beginners/")
    assert "Level A1: your first words and sentences." in text
    assert "about 20 hours, at your own pace" in text
    assert "no end planned" in text
    assert 'href="/en/join/"' in text


@pytest.mark.parametrize("is_signed_in", [False, True])
def test_course_says_when_it_is_gone(client: Client, programme: Programme, is_signed_in: bool) -> None:
    """Nor is anybody asked to apply for the sake of it."""
    make_course("Windows 95")
    if is_signed_in:
        client.force_login(make_user())
    text = page(client, "/en/courses/windows-95/")
    assert "This course is not on the shelf now" in text
    assert "Level A1: your first words and sentences." in text
    assert "/join/" not in text.partition("<main")[2]


def written(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"


def test_course_says_from_when_it_is_there(client: Client, programme: Programme) -> None:
    """To visitors, and to a member who waits for it."""
    course = make_course("Later")
    offer_course(programme, course, offered_from=days_from_now(90))
    offer_course(programme, course, offered_from=days_from_now(40), offered_until=days_from_now(60))
    offer_course(programme, course, offered_from=days_from_now(-40), offered_until=days_from_now(-10))
    first = written(days_from_now(40))
    ada = make_member(programme=programme).user
    for reader, button in ((None, "Sign in and save this course"), (ada, "Save for later")):
        if reader:
            client.force_login(reader)
        text = page(client, "/en/courses/later/")
        assert f"<h2>This course will be on the shelf from {first}</h2>" in text
        assert f"<dd>from {first}</dd>" in text
        assert "not on the shelf now" not in text
        assert button in text
    assert f"on the shelf from {first}" not in page(client, "/en/courses/beter-slapen/")


@pytest.mark.parametrize(
    ("opens", "closes", "until", "first"),
    [
        (-9, None, None, 5),
        (7, None, None, 7),  # not before its programme
        (7, None, 8, 7),
        (7, None, 7, None),
        (-9, 6, None, 5),
        (-9, 5, None, None),
    ],
)
def test_course_comes_with_its_programme(
    client: Client, opens: int, closes: int | None, until: int | None, first: int | None
) -> None:
    programme = make_programme(opens_on=days_from_now(opens), closes_on=closes and days_from_now(closes))
    listing = {"offered_from": days_from_now(5), "offered_until": until and days_from_now(until)}
    offer_course(programme, make_course("Later"), **listing)
    text = page(client, "/en/courses/later/")
    assert re.findall("on the shelf from ([^<]+)<", text) == ([written(days_from_now(first))] if first else [])
    assert ("This course is not on the shelf now" in text) == (first is None)


def test_course_that_comes_back_can_be_saved(client: Client) -> None:
    make_librarian(make_library().institution)
    programme = make_programme()
    course = make_course("Later")
    offer_course(programme, course, offered_until=days_from_now(-10))
    offer_course(programme, course, offered_from=days_from_now(40))
    client.force_login(make_ready(programme).user)
    text = page(client, "/en/courses/later/")
    assert f"This course is not on offer yet. It is there from {written(days_from_now(40))}." in text
    assert "Save for later" in text


@pytest.mark.parametrize("since", [-10, 10])
def test_member_reads_from_when_it_is_there_in_a_programme_of_theirs(client: Client, since: int) -> None:
    make_librarian(make_library().institution)
    course, programme = make_course("Later"), make_programme()
    offer_course(programme, course, offered_from=days_from_now(40))
    offer_course(make_programme("other"), course, offered_from=days_from_now(since))
    ada = make_ready(programme).user
    client.force_login(ada)
    CourseRun.objects.create(user=ada, course=course, saved_at=timezone.now())
    for address in ("/en/courses/later/", "/en/my/courses/"):
        assert f"It is there from {written(days_from_now(40))}." in page(client, address)


def test_course_knows_whose_place_it_is(client: Client, programme: Programme) -> None:
    ada = make_member(programme=programme)
    client.force_login(ada.user)
    assert "Your place is held for you until then." in page(client, "/en/courses/beter-slapen/")


def test_unknown_course_is_not_found(client: Client) -> None:
    assert client.get("/courses/no-such-course/").status_code == 404


def test_courses_cost_the_same_with_much_as_with_little(
    client: Client, programme: Programme, django_assert_num_queries: Callable[[int], Any]
) -> None:
    for number in range(10):
        offer_course(programme, make_course(f"Course {number}", area=f"area-{number // 2}"))
    with django_assert_num_queries(4):  # areas, popular, search, listings
        client.get("/courses/")
    with django_assert_num_queries(5):
        client.get("/courses/?words=course&level=A1")
    with django_assert_num_queries(4):  # course, its listings, others of the area, their listings
        client.get("/courses/course-1/")
    with django_assert_num_queries(3):  # the only one of its area
        client.get("/courses/beter-slapen/")
    offer_course(programme, make_course("Later"), offered_from=days_from_now(1))
    with django_assert_num_queries(6):  # from when, and what it will be then
        client.get("/courses/later/")
