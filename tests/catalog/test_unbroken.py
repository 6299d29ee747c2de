"""The time a course is on offer without a break: kept by the database, whatever changes."""

from __future__ import annotations

from datetime import date

import pytest

from catalog.models import Listing
from tests.enrollment.views.shelf_of_courses import days_from_now, make_course, offer_course
from tests.factories import make_programme

pytestmark = pytest.mark.django_db


def days(day: int | None) -> date | None:
    return None if day is None else days_from_now(day)


def unbroken(*expected: tuple[int, int | None]) -> bool:
    """Of each listing, in days from now."""
    found = Listing.objects.order_by("pk").values_list("unbroken_from", "unbroken_until")
    return list(found) == [(days(since), days(until)) for since, until in expected]


def test_times_that_follow_each_other_are_one() -> None:
    programme, course = make_programme(), make_course()

    def offer(since: int, until: int | None) -> Listing:
        return offer_course(programme, course, offered_from=days(since), offered_until=days(until))

    offer(-20, 10)
    offer_course(make_programme("other"), course, offered_from=days(10))
    offer_course(programme, make_course("Frans"), offered_from=days(10))
    assert unbroken((-20, 10), (10, None), (10, None))
    last = offer(20, None)
    middle = offer(10, 20)
    assert unbroken((-20, None), (10, None), (10, None), (-20, None), (-20, None))
    Listing.objects.filter(pk=middle.pk).update(offered_from=days(12))
    assert unbroken((-20, 10), (10, None), (10, None), (12, None), (12, None))
    last.delete()
    assert unbroken((-20, 10), (10, None), (10, None), (12, 20))
    Listing.objects.filter(pk=middle.pk).update(offered_from=days(10))
    assert unbroken((-20, 20), (10, None), (10, None), (-20, 20))
    Listing.objects.filter(pk=middle.pk).update(course=make_course("Italiaans"))
    assert unbroken((-20, 10), (10, None), (10, None), (10, 20))
