"""Before held seats are released the library is told, once for each of them, and not more than once a day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from catalog.models import Programme
from enrollment import card_checking, drafts, reminding
from enrollment.models import Enrollment, Letter, SeatPool
from libraries.models import StaffRole, User
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
)
from tests.letters import check_complete

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
# A hold of 14 days begins to end after nine.
ENDING = NOW + 9 * DAY


@pytest.fixture
def ada() -> Enrollment:
    """A seat is held for her until somebody has looked at her card."""
    make_library()
    return make_member(programme=make_programme(), now=NOW)


@pytest.fixture
def lin(ada: Enrollment) -> User:
    return make_librarian()


def told() -> list[tuple[str, str | None]]:
    """Who gets a letter, and about which institution."""
    letters = Letter.objects.filter(kind=Letter.Kind.HOLDS_ENDING).order_by("id")
    return list(letters.values_list("user__email", "institution__slug"))


def apply_later(email: str, ada: Enrollment, now: datetime, **more: Any) -> Enrollment:
    return make_member(email, programme=ada.pool.programme, now=now, **more)


# --- When ---


def test_library_is_reminded_five_days_before_and_once(lin: User) -> None:
    moments = [ENDING - timedelta(seconds=1), ENDING, ENDING + DAY, ENDING + 4 * DAY]
    assert [reminding.remind_libraries(now=moment) for moment in moments] == [0, 1, 0, 0]
    assert told() == [(lin.email, "antwerpen")]


@pytest.mark.parametrize(("hold_days", "hours_before"), [(90, 120), (10, 120), (9, 108), (2, 24), (1, 12)])
def test_short_hold_is_told_of_when_half_of_it_is_over(hold_days: int, hours_before: int, lin: User) -> None:
    Programme.objects.update(hold_days=hold_days)
    Enrollment.objects.update(hold_until=NOW + hold_days * DAY)
    since = NOW + hold_days * DAY - timedelta(hours=hours_before)
    assert not Enrollment.objects.hold_ending(since - timedelta(seconds=1)).exists()
    assert [reminding.remind_libraries(now=since) for _ in range(2)] == [1, 0]


def test_hold_that_comes_later_is_told_of_a_day_after_the_last_letter(ada: Enrollment, lin: User) -> None:
    apply_later("bo@example.test", ada, NOW + timedelta(hours=1))
    apply_later("dirk@example.test", ada, NOW + 2 * DAY)
    hours = (0, 1, 24, 25, 47, 48, 49, 50)
    sent = [reminding.remind_libraries(now=ENDING + timedelta(hours=each)) for each in hours]
    # With the first letter; after a day also about Bo; Dirk's hold begins to end after two days, a day after that one.
    assert sent == [1, 0, 0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("hold_days", [1, 2])
def test_short_hold_is_told_of_before_it_is_over_although_there_was_a_letter(
    hold_days: int, ada: Enrollment, lin: User
) -> None:
    """However close the holds follow one another; and no more than a letter in six hours."""
    Programme.objects.update(hold_days=hold_days)
    SeatPool.objects.update(cap=60)
    for hour in range(1, 60):
        apply_later(f"{hour}@example.test", ada, NOW + timedelta(hours=hour))
    sent = [hour for hour in range(120) if reminding.remind_libraries(now=NOW + timedelta(hours=hour))]
    assert min(later - hour for hour, later in zip(sent, sent[1:], strict=False)) >= 6
    over, half = (hold_days * 24 + hour for hour in range(1, 60)), hold_days * 12
    assert [end for end in over if not any(end - half <= hour <= end - 6 for hour in sent)] == []


def test_card_that_was_looked_at_is_not_told_of(ada: Enrollment, lin: User) -> None:
    card_checking.confirm(card_id=ada.card_id, by=lin, now=NOW)
    assert reminding.remind_libraries(now=ENDING) == 0


def test_calm_sweep_asks_one_question(ada: Enrollment, lin: User, django_assert_num_queries: Any) -> None:
    check: DjangoAssertNumQueries = django_assert_num_queries
    with check(1):
        reminding.remind_libraries(now=NOW)
    reminding.remind_libraries(now=ENDING)
    with check(1):
        reminding.remind_libraries(now=ENDING)


# --- Who ---


def test_each_institution_hears_of_its_own(ada: Enrollment, lin: User) -> None:
    kim = make_librarian(email="kim@example.test")
    halle = make_institution("halle")
    lou, _ = make_librarian(halle, "lou@example.test"), make_coordinator()
    assert reminding.remind_libraries(now=ENDING) == 2
    assert told() == [(lin.email, "antwerpen"), (kim.email, "antwerpen")]
    programme = make_programme("second")
    make_member("cy@example.test", programme=programme, library=make_library("Halle", halle), now=NOW)
    assert reminding.remind_libraries(now=ENDING) == 1
    assert told()[2:] == [(lou.email, "halle")]


def test_coordinators_are_told_where_nobody_else_can_be(ada: Enrollment) -> None:
    assert reminding.remind_libraries(now=ENDING) == 0
    make_librarian(email="gone@example.test", is_active=False)
    moved = make_librarian(email="moved@example.test")
    User.objects.filter(pk=moved.pk).update(is_staff=False)
    mo = make_coordinator()
    assert reminding.remind_libraries(now=ENDING) == 1
    assert told() == [(mo.email, "antwerpen")]


# --- What ---


@pytest.fixture
def letter(ada: Enrollment, lin: User) -> Letter:
    """Sent now; the letter is written from what is so when it leaves."""
    Enrollment.objects.update(hold_until=timezone.now() + 4 * DAY)
    reminding.remind_libraries(now=timezone.now())
    return Letter.objects.get(kind=Letter.Kind.HOLDS_ENDING)


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
def test_letter_is_complete_and_names_nobody(language: str, letter: Letter, ada: Enrollment) -> None:
    text = check_complete(letter, language, page="admin/enrollment/enrollment")
    assert "/admin/enrollment/enrollment/?todo=lapsing\n" in text
    assert "Antwerpen" in text
    for personal in (ada.user.first_name, ada.user.last_name, ada.user.email, ada.card.number):
        assert personal not in text


def test_letter_counts_the_cards_and_says_when_the_first_place_is_released(letter: Letter, ada: Enrollment) -> None:
    User.objects.update(language="en")
    apply_later("bo@example.test", ada, NOW)
    Enrollment.objects.filter(user__email="bo@example.test").update(hold_until=datetime(2026, 7, 3, tzinfo=NOW.tzinfo))
    message = drafts.compose(Letter.objects.get(pk=letter.pk))
    assert message is not None
    assert message.subject == "2 cards are still to be checked"
    assert "At Antwerpen, 2 library cards are still to be checked." in message.body
    assert "released on 3 July 2026, 02:00;" in message.body


def test_letter_is_dropped_when_every_card_was_looked_at(letter: Letter, ada: Enrollment, lin: User) -> None:
    card_checking.confirm(card_id=ada.card_id, by=lin, now=NOW)
    assert drafts.compose(letter) is None


def test_letter_is_dropped_for_who_works_there_no_more(letter: Letter) -> None:
    StaffRole.objects.all().delete()
    assert drafts.compose(Letter.objects.get(pk=letter.pk)) is None
