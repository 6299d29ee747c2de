"""Courses saved for later, and letters on a day that the member chooses."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from catalog.models import Course, Programme
from enrollment import drafts, following, letters
from enrollment.following import CannotFollow, Obstacle
from enrollment.models import CourseRun, Enrollment, Letter, ProviderAccount
from tests.enrollment.launch.learners import begin, seat
from tests.enrollment.views.shelf_of_courses import days_from_now, make_course, offer_course
from tests.factories import make_library, make_programme, make_provider, make_user
from tests.letters import check_complete

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme()


@pytest.fixture
def course(programme: Programme) -> Course:
    course = make_course("Spaans")
    offer_course(programme, course)
    return course


@pytest.fixture
def ada(course: Course) -> Enrollment:
    return seat()


def save(ada: Enrollment, course: Course) -> bool:
    return following.save(user_id=ada.user_id, course=course, now=timezone.now())


def remind(ada: Enrollment, course: Course, on: date | None, now: datetime | None = None) -> None:
    following.remind(user_id=ada.user_id, course=course, on=on, now=now or timezone.now())


def tomorrow() -> datetime:
    """Past the hour from which letters leave."""
    return timezone.localtime().replace(hour=12) + DAY


def saved() -> list[str]:
    return list(CourseRun.objects.saved().order_by("course__title").values_list("course__title", flat=True))


def refused(call: Any) -> Obstacle:
    with pytest.raises(CannotFollow) as found:
        call()
    return found.value.obstacle


# --- Saved for later ---


def test_saved_course_is_theirs_until_it_is_taken_away(ada: Enrollment, course: Course) -> None:
    assert save(ada, course)
    assert saved() == ["Spaans"]
    assert following.unsave(user_id=ada.user_id, course=course)
    assert not CourseRun.objects.exists()


def test_saving_twice_keeps_the_first_moment(ada: Enrollment, course: Course) -> None:
    save(ada, course)
    first = CourseRun.objects.get().saved_at
    assert not save(ada, course)
    assert CourseRun.objects.get().saved_at == first


def test_taking_away_what_is_not_saved_does_nothing(ada: Enrollment, course: Course) -> None:
    assert not following.unsave(user_id=ada.user_id, course=course)


def test_whoever_has_no_place_may_save(course: Course) -> None:
    assert following.save(user_id=make_user("bo@example.test").pk, course=course, now=timezone.now())


def test_started_course_is_neither_saved_nor_taken_away(ada: Enrollment, course: Course) -> None:
    run = begin(ada, course)
    assert not save(ada, course)
    assert not following.unsave(user_id=ada.user_id, course=course)
    assert CourseRun.objects.get().started_at == run.started_at


def test_course_that_is_planned_may_be_saved(ada: Enrollment, programme: Programme) -> None:
    course = make_course("Slapen")
    offer_course(programme, course, offered_from=days_from_now(20))
    assert save(ada, course)


@pytest.mark.parametrize("until", [0, -1, -30])
def test_course_off_offer_cannot_be_saved(ada: Enrollment, programme: Programme, until: int) -> None:
    course = make_course("Slapen")
    offer_course(programme, course, offered_until=days_from_now(until))
    assert refused(lambda: save(ada, course)) == Obstacle.OFF_OFFER


def test_course_of_a_programme_that_is_over_cannot_be_saved(ada: Enrollment, course: Course) -> None:
    Programme.objects.update(closes_on=days_from_now(0))
    assert refused(lambda: save(ada, course)) == Obstacle.OFF_OFFER


def test_course_that_left_can_still_be_taken_away(ada: Enrollment, course: Course) -> None:
    save(ada, course)
    course.listings.update(offered_until=days_from_now(-1))
    assert not save(ada, course)  # nothing to do: it is saved
    assert following.unsave(user_id=ada.user_id, course=course)


def test_nobody_saves_without_end(ada: Enrollment, course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_SAVED", 1)
    save(ada, course)
    second = make_course("Slapen")
    offer_course(ada.pool.programme, second)
    assert refused(lambda: save(ada, second)) == Obstacle.TOO_MANY
    CourseRun.objects.all().delete()
    begin(ada, course)  # what is started is not counted
    assert save(ada, second)


def test_closed_account_saves_nothing(ada: Enrollment, course: Course) -> None:
    ada.user.is_active = False
    ada.user.save()
    assert refused(lambda: save(ada, course)) == Obstacle.GONE


# --- The day of a letter ---


@pytest.mark.parametrize(
    ("today", "first", "last", "in_a_month"),
    [
        (date(2027, 1, 31), date(2027, 2, 1), date(2028, 1, 31), date(2027, 2, 28)),
        (date(2028, 2, 29), date(2028, 3, 1), date(2029, 2, 28), date(2028, 3, 29)),
        (date(2027, 12, 31), date(2028, 1, 1), date(2028, 12, 31), date(2028, 1, 31)),
    ],
)
def test_days_to_choose(today: date, first: date, last: date, in_a_month: date) -> None:
    days = following.choices(today)
    assert (days.first, days.last, days.in_a_month) == (first, last, in_a_month)
    assert days.in_a_week == today + timedelta(days=7)


def test_leap_day_can_be_chosen(ada: Enrollment, course: Course) -> None:
    save(ada, course)
    remind(ada, course, date(2028, 2, 29), now=datetime(2027, 6, 1, 12, tzinfo=UTC))
    assert CourseRun.objects.get().remind_on == date(2028, 2, 29)


@pytest.mark.parametrize("days", [-365, -1, 0, 367])
def test_day_that_is_over_or_far_is_refused(ada: Enrollment, course: Course, days: int) -> None:
    save(ada, course)
    assert refused(lambda: remind(ada, course, days_from_now(days))) == Obstacle.WRONG_DAY
    assert CourseRun.objects.get().remind_on is None


def test_last_day_there_is_is_refused(ada: Enrollment, course: Course) -> None:
    save(ada, course)
    assert refused(lambda: remind(ada, course, date.max)) == Obstacle.WRONG_DAY


def test_reminder_is_only_for_ones_own_courses(ada: Enrollment, course: Course) -> None:
    begin(seat("bo@example.test"), course)
    assert refused(lambda: remind(ada, course, days_from_now(7))) == Obstacle.NOT_YOURS


def test_finished_course_has_no_reminder(ada: Enrollment, course: Course) -> None:
    begin(ada, course, completed_at=timezone.now(), certificate_code="X")
    assert refused(lambda: remind(ada, course, days_from_now(7))) == Obstacle.FINISHED
    remind(ada, course, None)


# --- The letter ---


def due(ada: Enrollment, course: Course, **fields: Any) -> CourseRun:
    return begin(ada, course, remind_on=days_from_now(1), **fields)


def test_letter_is_owed_once_on_its_day(ada: Enrollment, course: Course) -> None:
    run = due(ada, course)
    assert following.send_reminders(now=timezone.now()) == 0
    assert [following.send_reminders(now=tomorrow()) for _ in range(2)] == [1, 0]
    letter = Letter.objects.get(kind="course_reminder")
    assert (letter.course_run, letter.user, letter.enrollment) == (run, ada.user, ada)
    assert CourseRun.objects.get().remind_on is None


def test_nobody_is_written_to_at_night(ada: Enrollment, course: Course) -> None:
    due(ada, course)
    assert following.send_reminders(now=tomorrow().replace(hour=7, minute=59)) == 0
    assert following.send_reminders(now=tomorrow().replace(hour=8, minute=1)) == 1


def test_letter_of_a_day_that_no_sweep_came_to_is_owed_later(ada: Enrollment, course: Course) -> None:
    due(ada, course)
    assert following.send_reminders(now=tomorrow() + 3 * DAY) == 1


def test_many_are_owed_part_by_part(ada: Enrollment, course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_AT_ONCE", 2)
    for number in range(5):
        due(ada, make_course(f"Cursus {number}"))
    assert following.send_reminders(now=tomorrow()) == 5


def give_back(ada: Enrollment) -> None:
    Enrollment.objects.filter(pk=ada.pk).update(state="ended", ended_at=timezone.now(), end_reason="given_back")


def close(ada: Enrollment) -> None:
    ada.user.is_active = False
    ada.user.save()


def lose_address(ada: Enrollment) -> None:
    ada.user.address_proved_at = None
    ada.user.save()


def finish(_ada: Enrollment) -> None:
    CourseRun.objects.update(completed_at=timezone.now(), certificate_code="X")


@pytest.mark.parametrize("change", [give_back, close, lose_address, finish])
def test_nobody_is_written_to_in_vain(ada: Enrollment, course: Course, change: Any) -> None:
    due(ada, course)
    change(ada)
    assert following.send_reminders(now=tomorrow()) == 0
    assert CourseRun.objects.get().remind_on is None


def test_seat_at_another_provider_is_none_for_this_course(ada: Enrollment) -> None:
    other = Course.objects.create(
        provider=make_provider("other"),
        code="x",
        slug="x",
        title="X",
        area=make_course("Y").area,
        language="nl",
        hours=1,
    )
    CourseRun.objects.create(user=ada.user, course=other, saved_at=timezone.now(), remind_on=days_from_now(1))
    assert following.send_reminders(now=tomorrow()) == 0


def test_no_second_letter_beside_one_that_is_owed(ada: Enrollment, course: Course) -> None:
    due(ada, course)
    following.send_reminders(now=tomorrow())
    CourseRun.objects.update(remind_on=days_from_now(2))
    assert following.send_reminders(now=tomorrow() + DAY) == 0


def owed(ada: Enrollment, course: Course) -> Letter:
    run = CourseRun.objects.filter(course=course).first() or begin(ada, course)
    now = timezone.now()
    return Letter.objects.create(
        kind="course_reminder", enrollment=ada, user=ada.user, course_run=run, owed_at=now, due_at=now
    )


def test_switched_off_no_letter_leaves(ada: Enrollment, course: Course) -> None:
    letter = owed(ada, course)
    remind(ada, course, None)
    letter.refresh_from_db()
    assert letter.dropped_at is not None


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
@pytest.mark.parametrize("begun", [True, False])
def test_letter_says_it_all(ada: Enrollment, course: Course, language: str, begun: bool) -> None:
    if not begun:
        CourseRun.objects.create(user=ada.user, course=course, saved_at=timezone.now())
    course.listings.update(offered_until=days_from_now(20))
    text = check_complete(owed(ada, course), language, page="courses/spaans")
    assert "/my/courses/" in text
    assert "Spaans" in text


def test_letter_is_sent_once_a_day(ada: Enrollment, course: Course) -> None:
    first, second = owed(ada, course), owed(ada, course)
    while letters.send_next(now=timezone.now):
        pass
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.sent_at is None, second.sent_at is None) == (False, True)
    assert ["Spaans" in each.subject for each in mail.outbox].count(True) == 1


def test_letter_about_what_cannot_be_started_is_not_sent(ada: Enrollment, course: Course) -> None:
    letter = owed(ada, course)
    give_back(ada)
    assert drafts.compose(letter) is None


def test_letter_about_a_finished_course_is_not_sent(ada: Enrollment, course: Course) -> None:
    letter = owed(ada, course)
    CourseRun.objects.update(completed_at=timezone.now(), certificate_code="X")
    assert drafts.compose(Letter.objects.get(pk=letter.pk)) is None


def test_letter_waits_for_the_account(ada: Enrollment, course: Course) -> None:
    letter = owed(ada, course)
    ProviderAccount.objects.update(seen="")
    with pytest.raises(drafts.NotYet):
        drafts.compose(letter)
