"""A title that leaves: whoever has started it is told 30 days before, once for each day that was decided."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog import rotation
from catalog.models import Course, Listing, Programme
from enrollment import card_checking, drafts, ending, leaving, letters, rotating
from enrollment.models import CourseRun, Enrollment, Letter
from libraries.models import User
from tests.enrollment.views.shelf_of_courses import make_course, offer_course
from tests.factories import make_coordinator, make_librarian, make_library, make_member, make_programme
from tests.letters import check_complete

pytestmark = pytest.mark.django_db

NOW = timezone.now()
TODAY = timezone.localdate(NOW)


def days(number: int) -> date:
    return TODAY + timedelta(days=number)


def later(number: int) -> datetime:
    return NOW + timedelta(days=number)


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme()


@pytest.fixture
def spanish(programme: Programme) -> Course:
    return make_course()


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    return seated(programme, "ada@example.test")


def seated(programme: Programme, email: str) -> Enrollment:
    enrollment = make_member(email, programme=programme)
    lin = User.objects.filter(email="lin@example.test").first() or make_librarian()
    card_checking.confirm(card_id=enrollment.card_id, by=lin, now=NOW)
    enrollment.refresh_from_db()
    return enrollment


def make_seated_too(enrollment: Enrollment, programme: Programme) -> None:
    other = make_member(programme=programme, number=enrollment.card.number)
    Enrollment.objects.filter(pk=other.pk).update(state="seated", hold_until=None, seated_at=NOW, ends_at=later(300))


def started(enrollment: Enrollment, course: Course, **fields: object) -> CourseRun:
    told = {"enrollment": enrollment, "started_at": NOW, "last_started_at": NOW, **fields}
    return CourseRun.objects.create(user=enrollment.user, course=course, **told)


def told() -> list[tuple[int, str]]:
    rows = Letter.objects.filter(kind="course_leaves", dropped_at=None).order_by("pk")
    return list(rows.values_list("user_id", "reason"))


def move(listing: Listing, day: date | None) -> None:
    Listing.objects.filter(pk=listing.pk).update(offered_until=day)


def test_members_are_told_thirty_days_before_and_once(programme: Programme, spanish: Course, ada: Enrollment) -> None:
    offer_course(programme, spanish, offered_until=days(40))
    started(ada, spanish)
    assert [leaving.tell_learners(now=later(days)) for days in (0, 9, 10, 11, 39, 40, 41)] == [0, 0, 1, 0, 0, 0, 0]
    assert told() == [(ada.user_id, f"{days(40)}")]


def test_only_those_are_told_whom_it_concerns(programme: Programme, spanish: Course, ada: Enrollment) -> None:
    """Not who has finished it, only saved it, has no place any more, or has started another title."""
    offer_course(programme, spanish, offered_until=days(20))
    other = offer_course(programme, make_course("Frans")).course
    names = ("finished", "saved", "gone", "french")
    finished, saved, gone, french = (seated(programme, f"{name}@example.test") for name in names)
    started(finished, spanish, completed_at=NOW, certificate_code="x")
    CourseRun.objects.create(user=saved.user, course=spanish, saved_at=NOW)
    started(gone, spanish)
    ending.give_back(enrollment_id=gone.pk, by=gone.user, now=NOW)
    started(french, other)
    started(ada, spanish)
    assert leaving.tell_learners(now=NOW) == 1
    assert told() == [(ada.user_id, f"{days(20)}")]


def test_end_that_is_moved_after_the_letter_is_told_anew(
    programme: Programme, spanish: Course, ada: Enrollment
) -> None:
    listing = offer_course(programme, spanish, offered_until=days(20))
    started(ada, spanish)
    leaving.tell_learners(now=NOW)
    first = Letter.objects.get(kind="course_leaves")
    move(listing, days(25))
    assert drafts.compose(first) is None
    leaving.tell_learners(now=NOW)
    assert told() == [(ada.user_id, f"{days(20)}"), (ada.user_id, f"{days(25)}")]
    assert drafts.compose(Letter.objects.latest("pk")) is not None


def test_end_that_is_moved_away_and_back_is_told_once_more_if_the_letter_was_dropped(
    programme: Programme, spanish: Course, ada: Enrollment
) -> None:
    listing = offer_course(programme, spanish, offered_until=days(20))
    started(ada, spanish)
    leaving.tell_learners(now=NOW)
    move(listing, None)
    assert (leaving.tell_learners(now=NOW), drafts.compose(Letter.objects.get(kind="course_leaves"))) == (0, None)
    Letter.objects.filter(kind="course_leaves").update(due_at=None, dropped_at=NOW)
    move(listing, days(20))
    assert leaving.tell_learners(now=NOW) == 1
    assert leaving.tell_learners(now=NOW) == 0


def test_letter_that_staff_gave_up_does_not_come_back(programme: Programme, spanish: Course, ada: Enrollment) -> None:
    offer_course(programme, spanish, offered_until=days(20))
    started(ada, spanish)
    owed = []
    for _sweep in range(3):
        owed.append(leaving.tell_learners(now=NOW))
        for letter in Letter.objects.filter(kind="course_leaves", dropped_at=None):
            Letter.objects.filter(pk=letter.pk).update(stuck_at=NOW, trouble="recipient_550")
            assert letters.give_up(letter.pk, by=User.objects.get(email="lin@example.test"), now=NOW)
    assert owed == [1, 0, 0]


def test_title_that_goes_on_under_another_listing_does_not_leave(
    programme: Programme, spanish: Course, ada: Enrollment
) -> None:
    offer_course(programme, spanish, offered_until=days(5))
    next_one = offer_course(programme, spanish, offered_from=days(5), role=Listing.Role.MODULE)
    started(ada, spanish)
    assert leaving.tell_learners(now=NOW) == 0
    move(next_one, days(28))
    assert leaving.tell_learners(now=NOW) == 1
    assert told() == [(ada.user_id, f"{days(28)}")]


def test_title_with_listings_that_follow_each_other_is_told_thirty_days_before_the_last_one_ends(
    programme: Programme, spanish: Course, ada: Enrollment
) -> None:
    """Each in its turn, and in any of the member's programmes; not one that comes back after a break."""
    other = make_programme("other")
    make_seated_too(ada, other)
    for its, first, last in ((programme, -9, 5), (programme, 5, 10), (other, 10, 29), (programme, 40, 50)):
        offer_course(its, spanish, offered_from=days(first), offered_until=days(last))
    started(ada, spanish)
    assert [leaving.tell_learners(now=later(day)) for day in (-1, 0, 5, 10, 28)] == [1, 0, 0, 0, 0]
    assert told() == [(ada.user_id, f"{days(29)}")]
    assert Letter.objects.filter(kind="course_leaves", enrollment__pool__programme=other).exists()


def test_title_that_stays_in_another_programme_of_the_member_does_not_leave(
    programme: Programme, spanish: Course, ada: Enrollment
) -> None:
    offer_course(programme, spanish, offered_until=days(5))
    other = make_programme("other")
    offer_course(other, spanish)
    started(ada, spanish)
    assert leaving.leaves_on(CourseRun.objects.get().pk, now=NOW) == days(5)
    make_seated_too(ada, other)
    assert leaving.leaves_on(CourseRun.objects.get().pk, now=NOW) is None
    assert leaving.tell_learners(now=NOW) == 0


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
@pytest.mark.parametrize("kept_days", [None, 60])
def test_letter_is_complete(
    programme: Programme, spanish: Course, ada: Enrollment, language: str, kept_days: int | None
) -> None:
    Programme.objects.update(kept_days=kept_days)
    offer_course(programme, spanish, offered_until=days(20))
    started(ada, spanish)
    leaving.tell_learners(now=NOW)
    check_complete(Letter.objects.get(kind="course_leaves"), language, page="my")


def test_letter_says_until_when_the_member_keeps_it(programme: Programme, spanish: Course, ada: Enrollment) -> None:
    offer_course(programme, spanish, offered_until=days(20))
    started(ada, spanish)
    leaving.tell_learners(now=NOW)
    letter = Letter.objects.get(kind="course_leaves")
    said = {}
    for kept_days in (None, 60, 1000):
        Programme.objects.update(kept_days=kept_days)
        said[kept_days] = check_complete(letter, "en", page="my")
    lasts = "as long as your place lasts"
    assert [lasts in said[kept_days] for kept_days in (None, 60, 1000)] == [True, False, True]
    assert f"go on with it until {days(79).day} " in said[60]


def test_letter_is_not_sent_to_who_has_finished_meanwhile(
    programme: Programme, spanish: Course, ada: Enrollment
) -> None:
    offer_course(programme, spanish, offered_until=days(20))
    run = started(ada, spanish)
    leaving.tell_learners(now=NOW)
    CourseRun.objects.filter(pk=run.pk).update(completed_at=NOW, certificate_code="x")
    assert drafts.compose(Letter.objects.get(kind="course_leaves")) is None


def test_all_are_told_with_one_statement(programme: Programme, spanish: Course, ada: Enrollment) -> None:
    offer_course(programme, spanish, offered_until=days(20))
    for enrollment in (ada, seated(programme, "bo@example.test"), seated(programme, "cy@example.test")):
        started(enrollment, spanish)
    with CaptureQueriesContext(connection) as queries:
        assert leaving.tell_learners(now=NOW) == 3
    assert len(queries) == 1


def test_planned_in_time_everybody_is_told_thirty_days_before(
    programme: Programme, spanish: Course, ada: Enrollment
) -> None:
    """The plan and the letter go by the same rule: who may be told later than that is nobody."""
    listing = offer_course(programme, spanish)
    started(ada, spanish)
    mo, plan = make_coordinator(), rotation.ending(listing_id=listing.pk, day=days(30))
    rotating.carry_out(programme_id=programme.pk, plan=plan, reason="Replaced", by=mo, now=NOW)
    assert leaving.tell_learners(now=NOW) == 1
