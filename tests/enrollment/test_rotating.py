"""Who may plan the courses on offer, and what is written down about it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from catalog import rotation
from catalog.models import Course, Listing, Programme
from enrollment import rotating
from enrollment.models import CourseRun, Event
from enrollment.reports import timeline
from libraries.models import StaffRole, User
from tests.enrollment.test_leaving import seated, started
from tests.enrollment.views.shelf_of_courses import make_course, offer_course
from tests.factories import (
    make_coordinator,
    make_librarian,
    make_library,
    make_programme,
    make_provider,
    make_staff,
    make_user,
)

pytestmark = pytest.mark.django_db

NOW = timezone.now()
TODAY = timezone.localdate(NOW)


def days(number: int) -> date:
    return TODAY + timedelta(days=number)


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme()


@pytest.fixture
def spanish(programme: Programme) -> Course:
    return make_course("Spaans")


def refused(programme: Programme, plan: rotation.Plan, by: User, reason: str = "Why.") -> list[str]:
    with translation.override("en"), pytest.raises(rotating.CannotPlan) as error:
        rotating.carry_out(programme_id=programme.pk, plan=plan, reason=reason, by=by, now=NOW)
    return list(error.value.words)


def test_only_coordinators_and_operators_plan(programme: Programme, spanish: Course) -> None:
    plan = rotation.replacing(out=[], come=[spanish.pk], day=days(3))
    auditor = make_staff("ann@example.test", StaffRole.Role.AUDITOR)
    for by in (make_user(), make_librarian(), auditor):
        assert refused(programme, plan, by) == ["Only coordinators and operators plan the courses on offer."]
        with pytest.raises(rotating.CannotPlan):
            rotating.preview(programme_id=programme.pk, plan=plan, by=by, now=NOW)
    operator = make_staff("oz@example.test", StaffRole.Role.OPERATOR)
    rotating.carry_out(programme_id=programme.pk, plan=plan, reason="Why.", by=operator, now=NOW)
    assert Listing.objects.count() == 1


def test_plan_needs_a_reason(programme: Programme, spanish: Course) -> None:
    plan = rotation.replacing(out=[], come=[spanish.pk], day=days(3))
    assert refused(programme, plan, make_coordinator(), reason=" \n") == ["Write why."]


def test_event_says_who_what_and_why_in_words(programme: Programme, spanish: Course) -> None:
    mo, plan = make_coordinator(), rotation.module(course_id=spanish.pk, month=days(40), now=NOW)
    rotating.carry_out(programme_id=programme.pk, plan=plan, reason=" Asked for. ", by=mo, now=NOW)
    event = Event.objects.get(kind="courses_planned")
    told = (event.actor_id, event.pool_id, event.provider_id, event.old_value, event.note.words)
    assert told == (mo.pk, programme.pool.pk, programme.provider_id, spanish.pk, "Asked for.")
    assert event.new_value == Listing.objects.get().pk
    with translation.override("en"):
        assert timeline.why(event) == "a module of the month comes"


def test_programme_without_places_is_planned_too(programme: Programme, spanish: Course) -> None:
    bare = Programme.objects.create(slug="bare", name="Bare", provider=make_provider(), opens_on=days(9))
    plan = rotation.replacing(out=[], come=[spanish.pk], day=days(3))
    rotating.carry_out(programme_id=bare.pk, plan=plan, reason="Why.", by=make_coordinator(), now=NOW)
    assert Event.objects.get(kind="courses_planned").pool_id is None


def test_title_that_was_saved_is_not_withdrawn_unseen(programme: Programme, spanish: Course) -> None:
    listing = offer_course(programme, spanish, offered_from=days(10))
    CourseRun.objects.create(user=make_user(), course=spanish, remind_on=days(10))
    known: dict[str, Any] = {
        "programme_id": programme.pk,
        "plan": rotation.withdrawing(listing_id=listing.pk),
        "now": NOW,
    }
    known["by"] = make_coordinator()
    with pytest.raises(rotating.Overtaken) as overtaken:
        rotating.carry_out(**known, reason="Why.")
    seen = overtaken.value.preview
    assert [members for _slot, members in seen.withdrawn] == [1]
    rotating.carry_out(**known, reason="Why.", expected=seen.fingerprint)
    assert Listing.objects.count() == 0


def test_only_those_keep_a_title_from_leaving_who_follow_it_here(programme: Programme, spanish: Course) -> None:
    listing = offer_course(programme, spanish)
    other = make_programme("other")
    offer_course(other, spanish)
    started(seated(other, "ada@example.test"), spanish)
    done = seated(programme, "bo@example.test")
    started(done, spanish, completed_at=NOW, certificate_code="x")
    plan, mo = rotation.ending(listing_id=listing.pk, day=days(1)), make_coordinator()
    seen = rotating.preview(programme_id=programme.pk, plan=plan, by=mo, now=NOW)
    assert (seen.words, seen.learners) == ([], {})
    started(seated(programme, "cy@example.test"), spanish)
    assert len(rotating.preview(programme_id=programme.pk, plan=plan, by=mo, now=NOW).words) == 1


def test_preview_asks_the_same_however_many_follow(programme: Programme, spanish: Course) -> None:
    listing, mo = offer_course(programme, spanish), make_coordinator()
    plan = rotation.ending(listing_id=listing.pk, day=days(40))
    rotating.preview(programme_id=programme.pk, plan=plan, by=mo, now=NOW)  # who is asked for their roles once
    counts = []
    for name in ("ada", "bo"):
        started(seated(programme, f"{name}@example.test"), spanish)
        with CaptureQueriesContext(connection) as queries:
            rotating.preview(programme_id=programme.pk, plan=plan, by=mo, now=NOW)
        counts.append(len(queries))
    assert counts == [4, 4]
