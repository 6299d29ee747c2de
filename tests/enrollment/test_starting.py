"""Who may start which course now: every obstacle, the best of several places, and the days a title is kept."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from catalog.models import Course, Listing, Programme
from enrollment import starting
from enrollment.models import CourseRun, Enrollment, ProviderAccount, SeatPool
from enrollment.starting import Obstacle, Permit
from libraries.models import User
from tests.enrollment.views.shelf_of_courses import make_course
from tests.factories import NOW, make_library, make_member, make_programme, make_provider, make_user

pytestmark = pytest.mark.django_db

TODAY = date(2026, 7, 3)  # of NOW in Brussels
DAY = timedelta(days=1)


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme()


@pytest.fixture
def course(programme: Programme) -> Course:
    course = make_course()
    list_course(programme, course)
    return course


@pytest.fixture
def ada(programme: Programme, course: Course) -> User:
    return seat(make_member(programme=programme, now=NOW)).user


def seat(enrollment: Enrollment, **fields: Any) -> Enrollment:
    """Whatever the rules of seats: only the state matters here."""
    seated = {"state": "seated", "seated_at": NOW, "ends_at": NOW + 1000 * DAY, "hold_until": None, **fields}
    seated |= {} if seated["seated_at"] else {"ends_at": None}
    Enrollment.objects.filter(pk=enrollment.pk).update(**seated)
    ProviderAccount.objects.get_or_create(
        user=enrollment.user, provider=enrollment.pool.programme.provider, defaults={"must_be_active": True}
    )
    ProviderAccount.objects.update(must_be_active=True, seen="active", seen_at=NOW, due_at=None)
    return enrollment


def list_course(programme: Programme, course: Course, since: int = -100, until: int | None = None) -> None:
    """From and until so many days from today."""
    last = None if until is None else TODAY + until * DAY
    Listing.objects.create(programme=programme, course=course, offered_from=TODAY + since * DAY, offered_until=last)


def relist(since: int = -100, until: int | None = None) -> None:
    last = None if until is None else TODAY + until * DAY
    Listing.objects.update(offered_from=TODAY + since * DAY, offered_until=last)


def asked(user: User, course: Course, now: datetime = NOW) -> Permit | Obstacle:
    return starting.permit(user_id=user.pk, course=course, now=now)


def until(user: User, course: Course, now: datetime = NOW) -> date | None:
    permit = asked(user, course, now)
    assert isinstance(permit, Permit), permit
    return permit.until


def start(user: User, course: Course, now: datetime = NOW) -> CourseRun:
    seat = Enrollment.objects.get(user=user)
    return CourseRun.objects.create(user=user, course=course, enrollment=seat, started_at=now, last_started_at=now)


def test_member_with_a_place_may_start(ada: User, course: Course, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(4):
        permit = asked(ada, course)
    assert isinstance(permit, Permit)
    assert (permit.enrollment.user, permit.account.user_id, permit.course) == (ada, ada.pk, course)
    assert (permit.run, permit.until) == (None, None)


# --- Places ---


def test_without_an_application_there_is_no_place(course: Course) -> None:
    assert asked(make_user("bo@example.test"), course) == Obstacle.NO_SEAT


@pytest.mark.parametrize(
    ("fields", "obstacle"),
    [
        ({"state": "held", "seated_at": None, "hold_until": NOW + DAY}, Obstacle.HELD),
        ({"state": "waiting", "seated_at": None}, Obstacle.WAITING),
        ({"state": "ended", "ended_at": NOW, "end_reason": "given_back"}, Obstacle.SEAT_ENDED),
        ({"state": "ended", "seated_at": None, "ended_at": NOW, "end_reason": "given_back"}, Obstacle.NO_SEAT),
        ({"ends_at": NOW}, Obstacle.SEAT_ENDED),
        ({"ends_at": NOW - DAY}, Obstacle.SEAT_ENDED),
    ],
    ids=lambda value: value.value if isinstance(value, Obstacle) else str(value.get("state", "term over")),
)
def test_place_that_is_not_there_says_what_is_missing(
    ada: User, course: Course, fields: dict[str, Any], obstacle: Obstacle
) -> None:
    seat(Enrollment.objects.get(), **fields)
    assert asked(ada, course) == obstacle


def test_place_lasts_to_its_last_moment(ada: User, course: Course) -> None:
    Enrollment.objects.update(ends_at=NOW + timedelta(microseconds=1))
    assert isinstance(asked(ada, course), Permit)
    assert asked(ada, course, NOW + timedelta(microseconds=1)) == Obstacle.SEAT_ENDED


@pytest.mark.parametrize(
    "change",
    [
        {"seen": "inactive"},
        {"seen": "unknown", "seen_at": None},
        {"seen": "absent"},
        {"must_be_active": False},
    ],
    ids=str,
)
def test_account_must_be_ready(ada: User, course: Course, change: dict[str, Any]) -> None:
    ProviderAccount.objects.update(**change)
    assert asked(ada, course) == Obstacle.ACCOUNT_NOT_READY


def test_account_must_be_there(ada: User, course: Course) -> None:
    ProviderAccount.objects.all().delete()
    assert asked(ada, course) == Obstacle.ACCOUNT_NOT_READY


def test_account_at_another_provider_is_not_this_ones(ada: User, course: Course) -> None:
    ProviderAccount.objects.update(provider=make_provider("other"))
    assert asked(ada, course) == Obstacle.ACCOUNT_NOT_READY


# --- What is on offer ---


@pytest.mark.parametrize(
    ("since", "last", "answer"),
    [
        (0, None, None),
        (0, 1, TODAY + DAY),
        (1, None, Obstacle.NOT_YET),
        (1, 30, Obstacle.NOT_YET),
        (-30, 0, Obstacle.OFF_OFFER),
        (-30, -10, Obstacle.OFF_OFFER),
    ],
)
def test_course_must_be_on_offer_today(
    ada: User, course: Course, since: int, last: int | None, answer: Obstacle | date | None
) -> None:
    relist(since, last)
    permit = asked(ada, course)
    assert (permit.until if isinstance(permit, Permit) else permit) == answer


def test_course_that_was_never_on_offer_is_off(ada: User, course: Course) -> None:
    Listing.objects.update(course=make_course("Frans"))
    assert asked(ada, course) == Obstacle.OFF_OFFER


def test_course_of_another_programme_is_not_on_offer_here(ada: User, course: Course) -> None:
    Listing.objects.update(programme=make_programme("other"))
    assert asked(ada, course) == Obstacle.OFF_OFFER


def test_course_of_another_provider_takes_another_place(ada: User, course: Course) -> None:
    Course.objects.update(provider=make_provider("other"))
    course.refresh_from_db()
    assert asked(ada, course) == Obstacle.NO_SEAT


def test_longest_of_several_times_on_offer_counts(ada: User, course: Course, programme: Programme) -> None:
    relist(-300, -200)
    list_course(programme, course, -10, 20)
    list_course(programme, course, 40, 60)
    assert until(ada, course) == TODAY + 20 * DAY
    Listing.objects.filter(offered_until=TODAY + 20 * DAY).update(offered_until=TODAY)
    assert asked(ada, course) == Obstacle.NOT_YET  # it comes back
    Listing.objects.filter(offered_from__gt=TODAY).update(course=make_course("Frans"))
    assert asked(ada, course) == Obstacle.OFF_OFFER


def test_times_on_offer_that_follow_each_other_are_one(ada: User, course: Course, programme: Programme) -> None:
    relist(-30, 10)
    list_course(programme, course, 10, 20)
    list_course(programme, course, 20, 40)
    assert until(ada, course) == TODAY + 40 * DAY
    list_course(programme, course, 40)
    assert until(ada, course) is None


def test_course_that_comes_to_one_of_two_places_is_to_come(ada: User, course: Course, other: Programme) -> None:
    relist(-30, 0)
    list_course(other, course, 10)
    assert asked(ada, course) == Obstacle.NOT_YET


@pytest.mark.parametrize(
    ("moment", "may"),
    [
        (datetime(2026, 7, 31, 21, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 7, 31, 22, 0, tzinfo=UTC), False),
        (datetime(2026, 10, 24, 21, 59, 59, tzinfo=UTC), False),
    ],
)
def test_last_day_ends_at_midnight_in_brussels(ada: User, course: Course, moment: datetime, may: bool) -> None:
    Listing.objects.update(offered_until=date(2026, 8, 1))
    assert isinstance(asked(ada, course, moment), Permit) is may


@pytest.mark.parametrize(
    ("last_day", "still", "gone"),
    [
        # The day on which the clock goes back lasts 25 hours, the one on which it goes forward 23.
        (date(2026, 10, 25), datetime(2026, 10, 25, 22, 59, tzinfo=UTC), datetime(2026, 10, 25, 23, 0, tzinfo=UTC)),
        (date(2027, 3, 28), datetime(2027, 3, 28, 21, 59, tzinfo=UTC), datetime(2027, 3, 28, 22, 0, tzinfo=UTC)),
        (date(2028, 2, 29), datetime(2028, 2, 29, 22, 59, tzinfo=UTC), datetime(2028, 2, 29, 23, 0, tzinfo=UTC)),
    ],
    ids=["clock back", "clock forward", "leap day"],
)
def test_day_is_the_calendars(ada: User, course: Course, last_day: date, still: datetime, gone: datetime) -> None:
    Listing.objects.update(offered_until=last_day + DAY)
    assert until(ada, course, still) == last_day + DAY
    assert asked(ada, course, gone) == Obstacle.OFF_OFFER


# --- Started, and kept ---


def test_started_course_is_kept_as_long_as_the_place(ada: User, course: Course) -> None:
    run = start(ada, course)
    relist(-300, -200)
    permit = asked(ada, course)
    assert isinstance(permit, Permit)
    assert (permit.run, permit.until) == (run, None)
    Enrollment.objects.update(ends_at=NOW)
    assert asked(ada, course) == Obstacle.SEAT_ENDED


def test_course_that_was_only_saved_is_not_kept(ada: User, course: Course) -> None:
    CourseRun.objects.create(user=ada, course=course, saved_at=NOW)
    relist(-30, 0)
    assert asked(ada, course) == Obstacle.OFF_OFFER


def test_course_that_another_started_is_not_kept(ada: User, course: Course, programme: Programme) -> None:
    start(ada, course)
    bo = seat(make_member("bo@example.test", programme=programme, now=NOW)).user
    relist(-30, 0)
    assert asked(bo, course) == Obstacle.OFF_OFFER


@pytest.mark.parametrize(("left", "answer"), [(0, 30), (-1, 29), (-29, 1), (-30, None), (-31, None)])
def test_programme_says_for_how_many_days(ada: User, course: Course, left: int, answer: int | None) -> None:
    Programme.objects.update(kept_days=30)
    start(ada, course)
    relist(-300, left)
    permit = asked(ada, course)
    expected = Obstacle.OFF_OFFER if answer is None else TODAY + answer * DAY
    assert (permit.until if isinstance(permit, Permit) else permit) == expected


def test_days_are_counted_from_the_last_time_on_offer(ada: User, course: Course, programme: Programme) -> None:
    Programme.objects.update(kept_days=30)
    start(ada, course)
    relist(-300, -200)
    list_course(programme, course, -100, -20)
    assert until(ada, course) == TODAY + 10 * DAY


def test_started_course_on_offer_says_until_when_it_is_kept(ada: User, course: Course) -> None:
    Programme.objects.update(kept_days=30)
    start(ada, course)
    relist(-30, 5)
    assert until(ada, course) == TODAY + 35 * DAY


# --- Several places ---


@pytest.fixture
def other(ada: User) -> Programme:
    """Another programme of the same provider, in which Ada has a place too."""
    other = make_programme("other")
    seat(make_member(programme=other, number="21000002", now=NOW + DAY), seated_at=NOW + DAY)
    return other


def test_place_whose_programme_has_the_course_counts(ada: User, course: Course, other: Programme) -> None:
    permit = asked(ada, course)
    assert isinstance(permit, Permit)
    assert permit.enrollment.pool.programme.slug == "leerkaart"
    Listing.objects.update(programme=other)
    permit = asked(ada, course)
    assert isinstance(permit, Permit)
    assert permit.enrollment.pool.programme == other


def test_of_two_that_fit_the_newer_place_counts(ada: User, course: Course, other: Programme) -> None:
    list_course(other, course)
    permit = asked(ada, course)
    assert isinstance(permit, Permit)
    assert permit.enrollment.pool.programme == other


def test_best_place_says_what_is_missing(ada: User, course: Course, other: Programme) -> None:
    Enrollment.objects.filter(pool=SeatPool.objects.get(programme=other)).update(
        state="waiting", seated_at=None, ends_at=None
    )
    relist(-30, 0)
    assert asked(ada, course) == Obstacle.OFF_OFFER
    ProviderAccount.objects.update(seen="inactive")
    relist()
    assert asked(ada, course) == Obstacle.ACCOUNT_NOT_READY


def test_number_of_queries_does_not_grow(
    ada: User, course: Course, other: Programme, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(4):
        asked(ada, course)
