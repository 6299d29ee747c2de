"""Courses that come from two sides at the same moment, and want one address."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from catalog import course_lists
from catalog.course_files import Contents, Row
from catalog.course_lists import Comparison, Defaults
from catalog.models import Course, Provider
from enrollment import course_importing
from enrollment.course_importing import Source
from libraries.models import User
from tests.concurrency.conftest import Together
from tests.enrollment.views.shelf_of_courses import make_area
from tests.factories import make_coordinator, make_provider

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def mo() -> User:
    make_area()
    return make_coordinator()


def take_in(provider: Provider, mo: User) -> Comparison:
    told = {"area": "languages", "language": "nl", "level": "A1", "hours": 20}
    contents = Contents([Row(line=2, code="1", title="Spaans", **told)], [])  # type: ignore[arg-type]
    expected = course_lists.compare(provider, contents, Defaults()).fingerprint
    known: dict[str, Any] = {"source": Source.FILE, "expected": expected, "by": mo, "now": timezone.now()}
    return course_importing.take_in(provider.pk, contents, Defaults(), **known)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """All have looked which addresses are taken before one of them takes one."""
    look = course_lists.compare

    def look_long(*asked: Any) -> Comparison:
        found = look(*asked)
        time.sleep(0.5)
        return found

    monkeypatch.setattr(course_lists, "compare", look_long)


def test_lists_of_two_providers_with_the_same_title_are_both_taken_in(mo: User, together: Together, slow: None) -> None:
    answers = together([partial(take_in, make_provider(slug), mo) for slug in ("one", "two")])
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert sorted(Course.objects.values_list("slug", flat=True)) == ["spaans", "spaans-1"]
