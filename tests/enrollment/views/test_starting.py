"""The page from which a course is started: at once from our own buttons, and otherwise what is told or missing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Course, Listing, Programme, Tool
from enrollment import erasing
from enrollment.launch import starts
from enrollment.models import CourseRun, Enrollment, Launch, Picking, ProviderAccount
from enrollment.views import starting
from tests.enrollment.views.shelf_of_courses import days_from_now
from tests.enrollment.views.visiting import words_of
from tests.erasures import erase_here, erasures
from tests.factories import make_member, make_user
from tests.launches import FROM_HERE, ada, at, begin, button_of, course, launch, make_ready, programme, signed_in, tool

__all__ = ["ada", "course", "erasures", "programme", "signed_in", "tool"]
pytestmark = pytest.mark.django_db

START = "/en/courses/spaans-voor-beginners/start/"
COURSE = "/en/courses/spaans-voor-beginners/"


def is_page(answer: Any) -> bool:
    return answer.status_code == 200 and not Launch.objects.exists()


def test_button_leads_to_the_tool_at_once(signed_in: Client, course: Course, tool: Tool) -> None:
    button = button_of(signed_in, course)
    assert f'href="{button}" target="_blank"' in signed_in.get(COURSE).content.decode()
    answer = signed_in.get(button, headers=FROM_HERE)
    assert answer["Location"].startswith("https://tool.test/login?")
    assert "no-store" in answer["Cache-Control"]
    begun = Launch.objects.get()
    assert (begun.language, begun.message, begun.answered_at) == ("en", "LtiResourceLinkRequest", None)


def test_whoever_was_not_told_yet_is_told_first(signed_in: Client, tool: Tool) -> None:
    answer = signed_in.get(START, headers=FROM_HERE)
    assert is_page(answer)
    assert (
        "SkillsTown gets a number that stands for you, your programme, this course and your language."
        " It does not get your name or your email address. SkillsTown tells us how far you are."
    ) in words_of(answer)


def test_course_that_was_started_goes_on_at_once(signed_in: Client, course: Course, tool: Tool) -> None:
    launch(signed_in, course, tool)
    assert "Go on with this course" in words_of(signed_in.get(COURSE))
    assert signed_in.get(START, headers=FROM_HERE).status_code == 302


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "referer": "http://testserver/"},
        {"referer": "https://evil.test/testserver"},
        {"referer": "http://testserver.evil.test/"},
        {"referer": "http://[x"},
    ],
    ids=str,
)
def test_link_from_elsewhere_starts_nothing(
    signed_in: Client, course: Course, tool: Tool, headers: dict[str, str]
) -> None:
    assert is_page(signed_in.get(button_of(signed_in, course), headers=headers))


def test_browser_that_only_names_the_page_starts(signed_in: Client, course: Course, tool: Tool) -> None:
    answer = signed_in.get(button_of(signed_in, course), headers={"referer": f"http://testserver{COURSE}"})
    assert answer.status_code == 302


def test_only_a_press_of_the_button_starts(signed_in: Client, course: Course, tool: Tool) -> None:
    button = button_of(signed_in, course)
    for way in (signed_in.head, signed_in.post):
        assert way(button, headers=FROM_HERE).status_code == 405
    assert not Launch.objects.exists()


def test_member_starts_so_often(signed_in: Client, course: Course, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "MOST_STARTS", 2)
    button = button_of(signed_in, course, "fr")
    answers = [signed_in.get(button, headers=FROM_HERE) for _ in range(3)]
    assert [each.status_code for each in answers] == [302, 302, 429]
    assert "un peu trop souvent" in words_of(answers[2])
    assert f'?next={START}%3Fsigned-in"' in answers[2].content.decode()
    assert Launch.objects.count() == 2


def test_without_a_tool_it_starts_where_the_provider_says(signed_in: Client, ada: Enrollment, course: Course) -> None:
    assert "gets a number" not in words_of(signed_in.get(COURSE))
    assert begin(signed_in, course) == "https://platform.test/start"
    ada.refresh_from_db()
    assert (CourseRun.objects.get().course, ada.used_at is not None) == (course, True)


def test_tool_that_is_switched_off_is_none(signed_in: Client, course: Course, tool: Tool) -> None:
    Tool.objects.update(is_on=False)
    assert begin(signed_in, course) == "https://platform.test/start"


def test_whoever_is_not_signed_in_is_asked_to(client: Client, course: Course, tool: Tool) -> None:
    answer = client.get(f"{START}?told", headers=FROM_HERE)
    assert answer["Location"] == f"/en/accounts/login/code/?next={START}%3Fsigned-in"
    assert "Follow this course" in words_of(client.get(COURSE))


def test_from_signing_in_the_way_goes_by_the_button(signed_in: Client, course: Course, tool: Tool) -> None:
    """A browser follows no redirect of a form to another site."""
    assert is_page(signed_in.get(f"{START}?signed-in", headers=FROM_HERE))
    launch(signed_in, course, tool)
    answer = signed_in.get(f"{START}?signed-in", headers=FROM_HERE)
    assert answer.status_code == 200
    assert f'href="{button_of(signed_in, course)}"' in answer.content.decode()


def test_switching_the_language_goes_by_the_button_too(signed_in: Client, course: Course, tool: Tool) -> None:
    launch(signed_in, course, tool)
    assert f'?next=/fr{START.removeprefix("/en")}%3Fsigned-in"' in signed_in.get(START).content.decode()


def test_unknown_course_is_not_found(signed_in: Client) -> None:
    assert signed_in.get("/en/courses/no-such-course/start/").status_code == 404


# --- What is missing ---


def without_seat(programme: Programme) -> Client:
    client = Client()
    client.force_login(make_user("bo@example.test"))
    return client


def held(programme: Programme) -> Client:
    return at(make_member("bo@example.test", programme=programme))


def waiting(programme: Programme) -> Client:
    programme.pool.__class__.objects.update(cap=0)
    return at(make_member("bo@example.test", programme=programme))


def not_ready(programme: Programme) -> Client:
    client = at(make_ready(programme, "bo@example.test"))
    ProviderAccount.objects.update(seen="inactive")
    return client


def off_offer(programme: Programme) -> Client:
    Listing.objects.update(offered_until=days_from_now(0))
    return at(make_ready(programme, "bo@example.test"))


def not_yet(programme: Programme) -> Client:
    Listing.objects.update(offered_from=days_from_now(3))
    return at(make_ready(programme, "bo@example.test"))


def ended(programme: Programme) -> Client:
    seated = make_ready(programme, "bo@example.test")
    Enrollment.objects.update(ends_at=timezone.now())
    return at(seated)


@pytest.mark.parametrize(
    ("who", "says", "way"),
    [
        (without_seat, "You need a place to start this course.", "/en/join/card/"),
        (held, "Your library is still checking your card.", "/en/my/"),
        (waiting, "You are in the queue for a place.", "/en/my/"),
        (not_ready, "Your account for the courses is being made ready.", "/en/my/"),
        (off_offer, "This course is not on offer any more.", "/en/courses/"),
        (not_yet, "This course is not on offer yet. It is there from", "/en/courses/"),
        (ended, "Your place has ended.", "/en/join/card/"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_page_says_what_is_missing_and_what_to_do(
    programme: Programme, course: Course, tool: Tool, who: Any, says: str, way: str
) -> None:
    client = who(programme)
    for path in (f"{START}?told", COURSE):
        answer = client.get(path, headers=FROM_HERE)
        assert is_page(answer)
        assert says in words_of(answer)
        assert f'class="button" href="{way}"' in answer.content.decode()


def test_page_says_until_when(signed_in: Client, tool: Tool) -> None:
    Listing.objects.update(offered_until=days_from_now(10))
    last = days_from_now(9)
    assert f"You can follow it until {last:%-d %B %Y}." in words_of(signed_in.get(START))


def test_number_of_statements(signed_in: Client, tool: Tool, django_assert_num_queries: Any) -> None:
    """Session, person, course, and what a permit takes."""
    with django_assert_num_queries(7):
        signed_in.get(START)


# --- What is kept ---


def test_starts_are_forgotten_after_a_day(signed_in: Client, course: Course, tool: Tool) -> None:
    begin(signed_in, course)
    begun = Launch.objects.get()
    assert starts.forget(now=begun.made_at + timedelta(days=1)) == 0
    assert starts.forget(now=begun.made_at + timedelta(days=1, seconds=1)) == 1


def test_starts_and_choices_of_a_person_are_erased(
    signed_in: Client, ada: Enrollment, course: Course, tool: Tool, erasures: Path
) -> None:
    begin(signed_in, course)
    now = timezone.now()
    Picking.objects.create(tool=tool, user=ada.user, picked_at=now)  # she worked for the libraries once
    erasing.ask(user_id=ada.user_id, by=ada.user, now=now)
    erase_here(now)
    assert (Launch.objects.count(), Picking.objects.count()) == (0, 0)
