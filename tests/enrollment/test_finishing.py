"""A course that is finished: once, with a code that nobody guesses and everybody can type."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from enrollment import drafts, erasing, finishing, noticing
from enrollment.models import CourseRun, Enrollment, Erasure, Event, Letter, ProviderAccount
from enrollment.reports.courses_of_member import certificate_with
from libraries.models import User
from tests.enrollment.launch.learners import begin, seat
from tests.enrollment.test_noticing import PROGRESS, tell
from tests.enrollment.views.shelf_of_courses import make_course, offer_course
from tests.letters import check_complete

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> Enrollment:
    enrollment = seat()
    User.objects.filter(pk=enrollment.user_id).update(first_name="Ada", wants_course_letters=True)
    return enrollment


@pytest.fixture
def run(ada: Enrollment) -> CourseRun:
    return begin(ada, make_course(code="ST-1001"))


def finish(run: CourseRun) -> CourseRun:
    now = timezone.now()
    finishing.finish(run, at=now, now=now)
    return CourseRun.objects.get(pk=run.pk)


def test_codes_differ_and_are_easily_typed() -> None:
    codes = {finishing._new_code() for _ in range(500)}
    assert len(codes) == 500
    assert all(
        re.fullmatch(r"[BCDFGHJKMPQRTVWXY2346789]{4}(-[BCDFGHJKMPQRTVWXY2346789]{4}){2}", code) for code in codes
    )


@pytest.mark.parametrize("typed", ["BCDF-GHJK-2346", "bcdfghjk2346", " bcdf ghjk 2346\n", "BCDF–GHJK—2346"])
def test_code_is_read_however_it_is_typed(typed: str) -> None:
    assert finishing.code_in(typed) == "BCDF-GHJK-2346"


@pytest.mark.parametrize(
    "typed", ["", "BCDF", "BCDF-GHJK-2345", "BCDF-GHJK-234O", "x" * 10_000, "😀" * 12, "' OR 1=1--"]
)
def test_what_can_be_no_code_is_none(typed: str) -> None:
    assert finishing.code_in(typed) == ""


def test_second_finish_changes_nothing(run: CourseRun) -> None:
    first = finish(run)
    assert finishing.finish(run, at=timezone.now(), now=timezone.now()) is False
    assert CourseRun.objects.get() == first
    assert CourseRun.objects.get().certificate_code == first.certificate_code


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
def test_letter_leads_to_the_certificate(run: CourseRun, language: str) -> None:
    finish(run)
    letter = Letter.objects.get(kind=Letter.Kind.COURSE_FINISHED)
    text = check_complete(letter, language, page=f"my/courses/{run.pk}/certificate.pdf")
    assert "Spaans voor beginners" in text


def test_letter_is_not_sent_to_whoever_wishes_for_none_any_more(run: CourseRun) -> None:
    finish(run)
    User.objects.update(wants_course_letters=False)
    assert drafts.compose(Letter.objects.get(kind=Letter.Kind.COURSE_FINISHED)) is None


def test_certificate_of_an_account_that_is_closed_is_none(run: CourseRun) -> None:
    code = finish(run).certificate_code
    User.objects.filter(pk=run.user_id).update(is_active=False)
    assert certificate_with(str(code)) is None


def test_certificate_of_somebody_who_is_erased_is_none(run: CourseRun, ada: Enrollment) -> None:
    code = finish(run).certificate_code
    assert certificate_with(str(code)) is not None
    erasing.ask(user_id=ada.user_id, by=User.objects.get(pk=ada.user_id), now=timezone.now())
    assert certificate_with(str(code)) is None
    later = timezone.now() + timedelta(days=2)
    assert erasing.erase_here(erasure_id=Erasure.objects.get().pk, now=later)
    assert not CourseRun.objects.exists()
    assert not User.objects.get(pk=ada.user_id).wants_course_letters


# --- What a provider tells by a notice ---


def settle() -> None:
    while noticing.settle_next(now=timezone.now):
        pass


def test_notice_of_progress_is_noted_as_a_score_would_be(run: CourseRun, ada: Enrollment) -> None:
    account, now = ProviderAccount.objects.get(user_id=ada.user_id), timezone.now()
    offer_course(ada.pool.programme, run.course)
    tell(account, PROGRESS, percent=40, at=now - timedelta(minutes=2), now=now)
    settle()
    tell(account, PROGRESS, percent=30, at=now - timedelta(minutes=3), now=now)
    settle()
    run.refresh_from_db()
    assert (run.progress, run.activity, run.completed_at) == (0.4, "InProgress", None)
    tell(account, PROGRESS, percent=100, at=now, now=now)
    settle()
    run.refresh_from_db()
    assert (run.progress, run.completed_at) == (1.0, now)
    assert Event.objects.filter(kind=Event.Kind.COURSE_FINISHED).count() == 1
    assert Letter.objects.filter(kind=Letter.Kind.COURSE_FINISHED).count() == 1


def test_notice_about_a_course_that_was_not_started_from_here_makes_no_run(ada: Enrollment) -> None:
    make_course(code="ST-1001")
    now = timezone.now()
    tell(ProviderAccount.objects.get(user_id=ada.user_id), PROGRESS, percent=40, at=now, now=now)
    settle()
    assert not CourseRun.objects.exists()
