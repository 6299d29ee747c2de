"""Two coordinators plan the last place among the core titles, or the module of the same month, at the same moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from threading import Event as Signal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from catalog import rotation
from catalog.models import Course, Listing, Programme
from enrollment import leaving, rotating
from enrollment.admin.catalog import ProgrammeAdmin
from enrollment.models import CourseRun, Letter
from libraries.models import User
from tests.concurrency.conftest import Together
from tests.enrollment.admin.test_closing import programme_form
from tests.enrollment.views.shelf_of_courses import make_course, offer_course
from tests.factories import make_coordinator, make_library, make_member, make_programme
from tests.workplace import sign_in

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

NOW = timezone.now()
TODAY = timezone.localdate(NOW)
LATER = TODAY + timedelta(days=40)


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme(core_titles=1)


@pytest.fixture
def two(programme: Programme) -> list[Course]:
    return [make_course("Spaans"), make_course("Frans")]


@pytest.fixture
def mo() -> User:
    return make_coordinator()


def failures(answers: list[Any]) -> list[type]:
    return [type(answer) for answer in answers if isinstance(answer, Exception)]


# --- The wall in the database ---


def write_slowly(programme: Programme, course: Course) -> None:
    """As a program without our rules would: both have written before the first commits."""
    with transaction.atomic():
        offer_course(programme, course)
        time.sleep(0.5)


def written_at_once(programme: Programme, two: list[Course], together: Together) -> tuple[int, list[type]]:
    answers = together([partial(write_slowly, programme, course) for course in two])
    return Listing.objects.count(), failures(answers)


def test_of_two_that_write_the_last_core_title_one_is_refused(
    programme: Programme, two: list[Course], together: Together
) -> None:
    assert written_at_once(programme, two, together) == (1, [IntegrityError])


@pytest.fixture
def trigger_that_does_not_lock(transactional_db: None) -> Iterator[None]:
    """The trigger counts at once and locks nothing: what the other has written, and not committed, it does not see."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_functiondef('catalog_listing_core_titles'::regproc)")
        (source,) = cursor.fetchone()
        slow = "PERFORM pg_sleep(0.5); RETURN NULL;"
        cursor.execute(source.replace(" FOR NO KEY UPDATE", "").replace("RETURN NULL;", slow))
    yield
    with connection.cursor() as cursor:
        cursor.execute(source)


def test_without_the_programmes_lock_both_are_written(
    programme: Programme, two: list[Course], together: Together, trigger_that_does_not_lock: None
) -> None:
    """The proof that the test above can fail."""
    assert written_at_once(programme, two, together) == (2, [])


def test_title_that_comes_while_the_number_of_core_titles_is_lowered_is_refused_or_the_other_way_round(
    programme: Programme, two: list[Course], together: Together
) -> None:
    Programme.objects.update(core_titles=2)
    offer_course(programme, two[0])

    def lower() -> None:
        with transaction.atomic():
            Programme.objects.update(core_titles=1)
            time.sleep(0.5)

    answers = together([lower, partial(write_slowly, programme, two[1])])
    assert failures(answers) == [IntegrityError]
    assert Listing.objects.count() <= Programme.objects.get().core_titles


# --- Our own way ---


def plan_at_once(programme: Programme, plans: list[rotation.Plan], mo: User, together: Together) -> list[type]:
    call = partial(rotating.carry_out, programme_id=programme.pk, reason="New year", by=mo, now=NOW)
    return failures(together([partial(call, plan=plan) for plan in plans]))


def test_of_two_coordinators_one_gets_the_last_core_title_and_the_other_reads_why(
    programme: Programme, two: list[Course], mo: User, together: Together
) -> None:
    plans = [rotation.replacing(out=[], come=[course.pk], day=LATER) for course in two]
    assert plan_at_once(programme, plans, mo, together) == [rotating.CannotPlan]
    assert Listing.objects.count() == 1


def test_of_two_coordinators_one_plans_the_module_of_the_month(
    programme: Programme, two: list[Course], mo: User, together: Together
) -> None:
    plans = [rotation.module(course_id=course.pk, month=LATER, now=NOW) for course in two]
    assert plan_at_once(programme, plans, mo, together) == [rotating.CannotPlan]
    assert Listing.objects.count() == 1


# --- Letters ---


def test_sweeps_at_once_owe_one_letter(programme: Programme, two: list[Course], together: Together) -> None:
    ada = make_member(programme=programme)
    ada.state, ada.seated_at, ada.hold_until = "seated", NOW, None
    ada.ends_at = NOW + timedelta(days=300)
    ada.save()
    offer_course(programme, two[0], offered_until=TODAY + timedelta(days=20))
    CourseRun.objects.create(user=ada.user, course=two[0], enrollment=ada, started_at=NOW, last_started_at=NOW)
    told = Signal()

    def first() -> int:
        with transaction.atomic():
            number = leaving.tell_learners(now=NOW)
            told.set()
            time.sleep(0.5)
        return number

    def second() -> int:
        told.wait(10)
        return leaving.tell_learners(now=NOW)

    assert together([first, second]) == [1, 0]
    assert Letter.objects.filter(kind="course_leaves").count() == 1


# --- The number of core titles ---


@pytest.fixture
def lowers(programme: Programme, two: list[Course], mo: User) -> Callable[[], Any]:
    """The page of the programme, which is sent with one core title where there were two."""
    Programme.objects.update(core_titles=2)
    offer_course(programme, two[0])
    desk = sign_in(mo)
    told = programme_form(programme, desk) | {"core_titles": "1"}
    return lambda: desk.post(f"/en/admin/catalog/programme/{programme.pk}/change/", told)


@pytest.fixture
def adds(programme: Programme, two: list[Course], mo: User, lowers: Callable[[], Any]) -> Callable[[], Any]:
    """The second title, on a later day."""
    plan = rotation.replacing(out=[], come=[two[1].pk], day=LATER)
    return partial(rotating.carry_out, programme_id=programme.pk, plan=plan, reason="x", by=mo, now=NOW)


def slowly(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Done, and not committed for a while."""
    act = getattr(owner, name)

    def act_long(*told: Any, **known: Any) -> Any:
        done = act(*told, **known)
        time.sleep(0.6)
        return done

    monkeypatch.setattr(owner, name, act_long)


def later(call: Callable[[], Any]) -> Any:
    time.sleep(0.3)
    return call()


def test_number_that_is_lowered_while_a_title_comes_is_refused_in_words(
    adds: Callable[[], Any], lowers: Callable[[], Any], together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly(monkeypatch, rotation, "carry_out")
    answers = together([adds, partial(later, lowers)])
    assert failures(answers) == []
    assert answers[1].context["adminform"].errors == {"core_titles": ["So many core titles are planned on one day: 2."]}


def test_title_that_comes_while_the_number_is_lowered_is_refused_in_words(
    adds: Callable[[], Any], lowers: Callable[[], Any], together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly(monkeypatch, ProgrammeAdmin, "save_model")
    answers = together([lowers, partial(later, adds)])
    assert failures(answers) == [rotating.CannotPlan]
    assert answers[0].status_code == 302
