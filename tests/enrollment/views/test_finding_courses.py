"""The page of courses helps to find: counts beside each choice, sections, pages, and a way on where nothing fits."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Course, Listing, Programme, Synonym
from enrollment.models import CourseRun
from enrollment.reports import finding
from enrollment.reports.finding import Wish, find
from tests.enrollment.views.shelf_of_courses import days_from_now, make_course, offer_course
from tests.enrollment.views.visiting import words_of
from tests.factories import make_library, make_member, make_programme, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def programme() -> Programme:
    programme = make_programme(institutions=[make_library().institution])
    offer_course(programme, make_course("Spaans voor beginners"), offered_from=days_from_now(-3))
    offer_course(programme, make_course("Français: conversation", language="fr", level="B1", hours=18))
    offer_course(programme, make_course("Beter slapen", area="health", level="starter", hours=4))
    offer_course(programme, make_course("Rustig ademen", area="health", level="starter", hours=6))
    Listing.objects.filter(course__title="Beter slapen").update(offered_until=days_from_now(9))
    return programme


def options(client: Client, query: str = "") -> dict[str, list[str]]:
    text = client.get(f"/en/courses/{query}").content.decode()
    selects = re.findall(r'<select name="(\w+)".*?</select>', text)
    parts = re.findall(r"<select.*?</select>", text)
    return {
        name: re.findall(r"<option value=\"[^\"]+\"[^>]*>([^<]+)<", part)
        for name, part in zip(selects, parts, strict=True)
    }


def shown(query: str = "", **wish: Any) -> list[str]:
    return [each.course.title for each in find(Wish(**wish), day=timezone.localdate()).offers]


def start(course: Course, people: int, days_ago: int = 1) -> None:
    at = timezone.now() - timedelta(days=days_ago)
    enrollment = make_member(f"first-{course.pk}@example.test", programme=Programme.objects.get())
    users = [make_user(f"u{course.pk}-{number}@example.test") for number in range(people)]
    CourseRun.objects.bulk_create(
        CourseRun(user=user, course=course, enrollment=enrollment, started_at=at, last_started_at=at) for user in users
    )


def test_each_choice_says_what_it_would_leave(client: Client, programme: Programme) -> None:
    assert options(client) == {
        "show": ["new (1)", "leaving soon (1)"],
        "area": ["en languages (2)", "en health (2)"],
        "level": ["for beginners (2)", "level A1 (1)", "level B1 (1)"],
        "language": ["Dutch (3)", "French (1)"],
        "length": ["up to 4 hours (1)", "5 to 10 hours (1)", "more than 10 hours (2)"],
    }


def test_counts_are_for_the_rest_of_the_wish(client: Client, programme: Programme) -> None:
    assert options(client, "?area=health&length=short") == {
        "show": ["leaving soon (1)"],
        "area": ["en health (1)"],
        "level": ["for beginners (1)"],
        "language": ["Dutch (1)"],
        "length": ["up to 4 hours (1)", "5 to 10 hours (1)"],
    }
    assert options(client, "?words=spaans&area=health")["area"] == ["en languages (1)", "en health (0)"]


def test_the_newest_comes_first_and_what_leaves_soonest(client: Client, programme: Programme) -> None:
    Listing.objects.filter(course__title="Rustig ademen").update(
        offered_from=days_from_now(-1), offered_until=days_from_now(3)
    )
    assert shown(show="new") == ["Rustig ademen", "Spaans voor beginners"]
    assert shown(show="leaving") == ["Rustig ademen", "Beter slapen"]


@pytest.mark.parametrize("most", [500, 1])
def test_what_goes_on_without_a_break_is_not_new_and_does_not_leave(
    client: Client, programme: Programme, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Also where more fit than are looked at."""
    monkeypatch.setattr("catalog.searching.MOST_HITS", most)
    new, leaves = Course.objects.get(title="Spaans voor beginners"), Course.objects.get(title="Beter slapen")
    offer_course(programme, new, offered_until=days_from_now(-3))
    offer_course(programme, leaves, offered_from=days_from_now(9))
    assert (shown(show="new"), shown(show="leaving")) == ([], [])
    for each in (new, leaves):
        assert 'class="tag' not in client.get(f"/en/courses/?words={each.title}").content.decode()


def test_popular_is_what_enough_people_started_of_late(client: Client, programme: Programme) -> None:
    courses = {course.title: course for course in Course.objects.all()}
    start(courses["Beter slapen"], 5)
    start(courses["Rustig ademen"], 6)
    start(courses["Spaans voor beginners"], 4)  # too few to be told of
    start(courses["Français: conversation"], 6, days_ago=120)
    assert shown(show="popular") == ["Rustig ademen", "Beter slapen"]
    assert "popular (2)" in options(client)["show"]


def test_popular_is_the_same_all_day(client: Client, programme: Programme) -> None:
    """Pages that are kept stay right until the next."""
    start(Course.objects.get(title="Beter slapen"), 5, days_ago=0)
    assert shown(show="popular") == []
    tomorrow = find(Wish(show="popular"), day=days_from_now(1))
    assert [each.course.title for each in tomorrow.offers] == ["Beter slapen"]


def test_a_word_with_an_error_says_what_was_taken_for_it(client: Client, programme: Programme) -> None:
    text = words_of(client.get("/en/courses/?words=slaapn"))
    assert "No course has “slaapn”. You see what has: slapen." in text
    assert "Beter slapen" in text


def test_nothing_with_all_choices_leads_to_what_there_is_without_them(client: Client, programme: Programme) -> None:
    response = client.get("/en/courses/?words=spaans&area=health")
    assert "No course has “spaans” together with the rest of your choice." in words_of(response)
    assert 'href="/en/courses/?words=spaans">See 1 course with “spaans”' in response.content.decode()


def test_nothing_found_says_what_can_be_done_about_it_and_no_more(client: Client, programme: Programme) -> None:
    text = words_of(client.get("/en/courses/?words=slaapn+xqzwv"))
    assert "Try a shorter word, or another word for the same." in text
    assert "You see what has" not in text
    text = words_of(client.get("/en/courses/?words=xqzwv&area=health"))
    assert "Try a shorter word, or leave out one of your choices." in text
    text = words_of(client.get("/en/courses/?area=health&language=en"))
    assert "Nothing found that fits Leave out one of your choices." in text


def test_nothing_with_all_words_shows_what_has_one_of_them(client: Client, programme: Programme) -> None:
    text = words_of(client.get("/en/courses/?words=slapen+spaans"))
    assert "Perhaps you mean one of these" in text
    assert "Beter slapen" in text
    assert "Spaans voor beginners" in text


def test_synonyms_find_on_the_page_too(client: Client, programme: Programme) -> None:
    Synonym.objects.create(words="Spaans, espagnol")
    assert "Spaans voor beginners" in words_of(client.get("/fr/courses/?words=espagnol"))


def test_many_courses_come_in_pages(client: Client, programme: Programme, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "ON_A_PAGE", 3)
    first = client.get("/en/courses/?language=nl&page=1").content.decode()
    assert "4 courses" not in first
    monkeypatch.setattr(finding, "ON_A_PAGE", 2)
    first = client.get("/en/courses/?language=nl").content.decode()
    assert "Page 1 of 2" in first
    assert 'href="/en/courses/?language=nl&amp;page=2" rel="next"' in first
    last = client.get("/en/courses/?language=nl&page=77").content.decode()
    assert "Page 2 of 2" in last
    assert 'href="/en/courses/?language=nl" rel="prev"' in last


def test_more_than_can_be_looked_at_is_said(
    client: Client, programme: Programme, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.searching.MOST_HITS", 2)
    assert "More than 2 courses" in words_of(client.get("/en/courses/"))
    assert shown(language="fr") == ["Français: conversation"]
    assert shown(area="health", length="medium") == ["Rustig ademen"]
    assert shown(show="leaving") == ["Beter slapen"]
    assert shown(show="new") == ["Spaans voor beginners"]


def test_a_course_is_described_in_the_readers_language_or_in_another(client: Client, programme: Programme) -> None:
    Course.objects.filter(title="Beter slapen").update(description_nl="Slaap <b>rustig</b>.", description_fr="Dormez.")
    assert "<p>Dormez.</p>" in client.get("/fr/courses/beter-slapen/").content.decode()
    english = client.get("/en/courses/beter-slapen/").content.decode()
    assert '<div class="prose" lang="nl"><p>Slaap &lt;b&gt;rustig&lt;/b&gt;.</p>' in english


def test_finding_costs_the_same_with_much_as_with_little(
    programme: Programme, django_assert_num_queries: Callable[[int], Any]
) -> None:
    for number in range(20):
        offer_course(programme, make_course(f"Cursus {number}", area=f"area-{number}"))
    with django_assert_num_queries(5):
        shown(words="cursus", language="nl")
