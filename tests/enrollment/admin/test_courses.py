"""A course is changed by hand in the workplace: what goes along with each start of it has to make sense."""

import json
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from catalog.models import Course
from enrollment.models import CourseRun
from tests.enrollment.views.shelf_of_courses import days_from_now, make_course, offer_course
from tests.factories import make_coordinator, make_programme, make_provider, make_user
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def coordinator() -> Client:
    return sign_in(make_coordinator())


def changed(coordinator: Client, course: Course, **changes: object) -> Any:
    told = {"provider": course.provider_id, "area": course.area_id, "code": course.code, "title": course.title}
    told |= {"language": "nl", "level": "A1", "hours": 20, "launch_custom": "{}", **changes}
    return coordinator.post(f"/en/admin/catalog/course/{course.pk}/change/", told)


@pytest.mark.parametrize(
    ("custom", "is_kept"),
    [
        ('{"course": "st-1", "level": 2}', True),
        ("{}", True),
        ("[1]", False),
        ('"st-1"', False),
        ("7", False),
        ("true", False),
        ("{course}", False),
    ],
)
def test_parameters_of_a_start_are_names_and_values(coordinator: Client, custom: str, is_kept: bool) -> None:
    course = make_course()
    response = changed(coordinator, course, launch_custom=custom)
    assert (response.status_code == 302) == is_kept
    assert Course.objects.get().launch_custom == (json.loads(custom) if is_kept else {})


def errors_of(response: Any) -> dict[str, list[str]]:
    return dict(response.context["adminform"].errors) if response.status_code == 200 else {}


@pytest.mark.parametrize("use", ["planned", "saved", None])
def test_course_that_is_used_stays_with_its_provider(coordinator: Client, use: str | None) -> None:
    course, other = make_course(), make_provider("other")
    if use == "planned":
        offer_course(make_programme(), course, offered_from=days_from_now(9))
    elif use == "saved":
        CourseRun.objects.create(user=make_user(), course=course, saved_at=timezone.now())
    told = errors_of(changed(coordinator, course, provider=other.pk))
    message = "This course has been planned, or members have saved or started it: it stays with its provider."
    assert told == ({"provider": [message]} if use else {})
    course.refresh_from_db()
    assert (course.provider == other) == (use is None)
    assert changed(coordinator, course, hours=8).status_code == 302


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", ""),
        ("https://tool.test/spaans?v=2", ""),
        ("tool.test/spaans", ""),
        ("http://tool.test/spaans", "Write https://: without it, who starts a course can be read on the way."),
        ("ftp://tool.test/spaans", "Write the whole address, such as https://platform.example/lti/launch."),
        ("https://ada:pin@tool.test/", "Write no name and no password in the address."),
        ("https://tool.test/#spaans", "Write the address without # and what follows it."),
        ("https://tool.test/*", "Write each address in full, without *: it is compared to the letter."),
        ("javascript:alert(1)", "Enter a valid URL."),
    ],
)
def test_address_of_a_course_is_one_that_a_tool_may_have(
    coordinator: Client, settings: LazySettings, address: str, says: str
) -> None:
    settings.SANDBOX = settings.DEBUG = False
    course = make_course()
    answer = changed(coordinator, course, launch_url=address)
    assert errors_of(answer) == ({"launch_url": [says]} if says else {})
    course.refresh_from_db()
    assert course.launch_url == ("" if says or not address else f"https://{address.removeprefix('https://')}")
