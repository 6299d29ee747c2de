"""The tool is never told more of a member than the member was shown, whatever the programme tells meanwhile."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from django.test import Client

from catalog.models import Course, Programme, Tool
from enrollment.models import CourseRun, Enrollment, Launch
from enrollment.reports.course_start import signer
from tests.enrollment.views.visiting import words_of
from tests.launches import FROM_HERE, ask, asked_of, at, begin, button_of, launch, make_ready, posted_by, press

pytestmark = pytest.mark.django_db

START = "/en/courses/spaans-voor-beginners/start/"
ORDER = ["pseudonym", "name", "name_and_mail"]


def tells(what: str) -> None:
    Programme.objects.update(tells=what)


def told_by(begun: str, client: Client, tool: Tool) -> str:
    """What the message to the tool says of the person, once it has asked."""
    token = posted_by(ask(client, asked_of(begun, tool)))[1]["id_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    return "name_and_mail" if "email" in claims else "name" if "name" in claims else "pseudonym"


def shown() -> str:
    return CourseRun.objects.get().shown


def is_shown_first(answer: Any) -> bool:
    return answer.status_code == 200 and "When you start, SkillsTown gets" in words_of(answer)


MORE = [("pseudonym", "name"), ("pseudonym", "name_and_mail"), ("name", "name_and_mail")]


@pytest.mark.parametrize(("less", "more"), MORE)
def test_programme_that_tells_more_before_the_button_is_pressed_shows_it_first(
    signed_in: Client, course: Course, tool: Tool, less: str, more: str
) -> None:
    tells(less)
    button = button_of(signed_in, course)
    tells(more)
    answer = signed_in.get(button, headers=FROM_HERE)
    assert (is_shown_first(answer), Launch.objects.count()) == (True, 0)
    assert told_by(begin(signed_in, course), signed_in, tool) == shown() == more


@pytest.mark.parametrize(("less", "more"), MORE)
def test_programme_that_tells_more_on_the_way_tells_what_was_shown(
    signed_in: Client, course: Course, tool: Tool, less: str, more: str
) -> None:
    tells(less)
    begun = begin(signed_in, course)
    tells(more)
    assert told_by(begun, signed_in, tool) == shown() == less


@pytest.mark.parametrize(("less", "more"), MORE)
def test_programme_that_tells_less_meanwhile_tells_less(
    signed_in: Client, course: Course, tool: Tool, less: str, more: str
) -> None:
    tells(more)
    button, begun = button_of(signed_in, course), begin(signed_in, course)
    tells(less)
    assert told_by(press(signed_in, button), signed_in, tool) == less
    assert told_by(begun, signed_in, tool) == less


@pytest.mark.parametrize(("before", "now"), [(a, b) for a in ORDER for b in ORDER])
def test_whoever_starts_again_is_shown_what_is_more_and_goes_on_with_the_same_or_less(
    signed_in: Client, course: Course, tool: Tool, before: str, now: str
) -> None:
    tells(before)
    launch(signed_in, course, tool)
    tells(now)
    answer = signed_in.get(START, headers=FROM_HERE)
    more = ORDER.index(now) > ORDER.index(before)
    assert (is_shown_first(answer), answer.status_code == 302) == (more, not more)
    assert ("it may be more than when you last started" in words_of(signed_in.get(START))) == more
    if not more:
        assert (told_by(answer["Location"], signed_in, tool), shown()) == (now, before)


def test_once_it_was_shown_it_is_not_shown_again(signed_in: Client, course: Course, tool: Tool) -> None:
    launch(signed_in, course, tool)
    tells("name")
    launch(signed_in, course, tool)
    assert told_by(press(signed_in, START), signed_in, tool) == "name"


def test_course_from_before_goes_on_only_where_no_more_than_a_number_is_told(
    signed_in: Client, ada: Enrollment, course: Course, tool: Tool
) -> None:
    launch(signed_in, course, tool)
    CourseRun.objects.update(shown="pseudonym")
    tells("name")
    assert is_shown_first(signed_in.get(START, headers=FROM_HERE))
    tells("pseudonym")
    press(signed_in, START)


def test_whoever_started_without_a_tool_is_shown_what_the_tool_is_told(
    signed_in: Client, course: Course, tool: Tool
) -> None:
    Tool.objects.update(is_on=False)
    button = button_of(signed_in, course)
    assert press(signed_in, button) == press(signed_in, START) == "https://platform.test/start"
    Tool.objects.update(is_on=True)
    for address in (START, button):
        assert is_shown_first(signed_in.get(address, headers=FROM_HERE))


def test_button_of_another_or_with_another_word_shows_the_page(
    signed_in: Client, ada: Enrollment, course: Course, tool: Tool, programme: Programme
) -> None:
    button = button_of(signed_in, course)
    bo = make_ready(programme, "bo@example.test")
    tells("name_and_mail")
    signature = button.rpartition(":")[2]
    wrong = [
        *("", "name_and_mail", f"name_and_mail:{signature}", f"name_and_mail:{signature}=", "\x00", "é" * 9999),
        button_of(at(bo), course).partition("told=")[2],
        signer(ada.user_id, course.pk + 1).sign("name_and_mail"),
    ]
    answers = [signed_in.get(START, {"told": each}, headers=FROM_HERE) for each in wrong]
    assert [is_shown_first(answer) for answer in answers] == [True] * len(wrong)
    assert Launch.objects.count() == 0
