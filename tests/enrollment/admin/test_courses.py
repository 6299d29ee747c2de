"""A course is changed by hand in the workplace: what goes along with each start of it has to make sense."""

import json

import pytest
from django.test import Client

from catalog.models import Course
from tests.enrollment.views.shelf_of_courses import make_course
from tests.factories import make_coordinator
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def coordinator() -> Client:
    return sign_in(make_coordinator())


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
    told = {"provider": course.provider_id, "area": course.area_id, "code": course.code, "title": course.title}
    told |= {"language": "nl", "level": "A1", "hours": 20, "launch_custom": custom}
    response = coordinator.post(f"/en/admin/catalog/course/{course.pk}/change/", told)
    assert (response.status_code == 302) == is_kept
    assert Course.objects.get().launch_custom == (json.loads(custom) if is_kept else {})
