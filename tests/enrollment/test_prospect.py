"""What somebody who waits may expect: from the seats that came free, or nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils.translation import override

from catalog.models import Programme
from enrollment import asking, cap, card_checking, ending, prioritizing, waiting_list
from enrollment.cap_plan import Plan, Terms
from enrollment.models import Enrollment, Event, SeatPool
from enrollment.reports.prospect import Expected, Prospect, Unknown, prospect_of, span
from libraries.models import Card, User
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_library,
    make_member,
    make_programme,
)

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(asking, "ANSWERS_PER_ADDRESS", 10_000)
    with override("en"):
        yield


@pytest.fixture
def mo() -> User:
    return make_coordinator()


@pytest.fixture
def programme(mo: User) -> Programme:
    for slug in ("antwerpen", "halle"):
        make_library(slug, make_institution(slug))
    return make_programme(cap=40, hold_days=14, term_months=12)


def apply(programme: Programme, count: int, *, slug: str = "antwerpen", now: datetime = NOW) -> list[Enrollment]:
    library = make_library(slug, make_institution(slug))
    taken = Enrollment.objects.count()
    return [
        make_member(f"m{number}@example.test", programme=programme, library=library, now=now)
        for number in range(taken, taken + count)
    ]


def end(enrollments: list[Enrollment], *, now: datetime) -> None:
    for each in enrollments:
        ending.give_back(enrollment_id=each.pk, by=each.user, now=now)


def prospect(enrollment: Enrollment, now: datetime) -> Prospect:
    rows = Enrollment.objects.select_related("share", "pool__programme")
    found = prospect_of(rows.get(pk=enrollment.pk), now=now)
    assert found is not None
    return found


def seat(enrollments: list[Enrollment], mo: User, *, ends_in: int) -> None:
    """Seated, with terms that end one a day from then on."""
    for number, each in enumerate(enrollments):
        card_checking.confirm(card_id=each.card_id, by=mo, now=NOW)
        Enrollment.objects.filter(pk=each.pk).update(ends_at=NOW + (ends_in + number) * DAY)


# --- How many came free ---


def test_seats_ended_and_holds_lapsed_in_eight_weeks_came_free(programme: Programme) -> None:
    ada = apply(programme, 42)
    end(ada[:2], now=NOW + DAY)
    assert prospect(apply(programme, 1)[0], NOW + DAY).freed == 2
    lapsed = waiting_list.lapse_holds(now=NOW + 20 * DAY)
    last = apply(programme, 41, now=NOW + 20 * DAY)[-1]
    assert lapsed > 0
    assert prospect(last, NOW + 20 * DAY).freed == 2 + lapsed
    assert prospect(last, NOW + (1 + 56) * DAY).freed == lapsed
    assert prospect(last, NOW + (20 + 56) * DAY).freed == 0


def test_raised_cap_is_told_apart(programme: Programme, mo: User) -> None:
    bo = apply(programme, 60)[-1]
    cap.change(pool_id=programme.pool.pk, plan=Plan(cap=55), reason="More", by=mo, now=NOW + DAY)
    found = prospect(bo, NOW + DAY)
    assert (found.place, found.freed, found.raised, found.expected) == (5, 0, 15, Unknown.FEW)
    assert prospect(bo, NOW + 60 * DAY).raised == 0


def test_people_who_leave_the_queue_free_no_seat(programme: Programme) -> None:
    people = apply(programme, 50)
    end(people[40:49], now=NOW + DAY)
    assert (prospect(people[49], NOW + DAY).place, prospect(people[49], NOW + DAY).freed) == (1, 0)


def test_at_its_ceiling_only_the_places_of_the_institution_count(programme: Programme, mo: User) -> None:
    halle = make_institution("halle")
    share = programme.pool.shares.get(institution=halle)
    cap.change(pool_id=programme.pool.pk, plan=Plan(shares={share.pk: Terms(ceiling=8)}), reason="So", by=mo, now=NOW)
    in_halle, in_antwerp = apply(programme, 10, slug="halle"), apply(programme, 40)
    cy, di = apply(programme, 1, slug="halle")[0], apply(programme, 1)[0]
    end([*in_halle[:1], *in_antwerp[:6]], now=NOW + DAY)
    found = prospect(cy, NOW + DAY)
    assert (found.only_share, found.place, found.counted, found.freed) == (True, 4, 2, 1)
    found = prospect(di, NOW + DAY)
    assert (found.only_share, found.place, found.counted, found.freed) == (False, 5, 5, 7)


# --- From when until when ---


def test_span_is_wide_where_little_is_known() -> None:
    low, high = span(10, 10)
    assert timedelta(days=35) < low < timedelta(days=36) < timedelta(days=88) < high < timedelta(days=89)
    low, high = span(1000, 1000)
    assert timedelta(days=52) < low < timedelta(days=53) < timedelta(days=59) < high < timedelta(days=60)


@pytest.mark.parametrize(("freed", "known"), [(4, False), (5, True)])
def test_range_needs_five_seats_that_came_free(programme: Programme, mo: User, freed: int, known: bool) -> None:
    Programme.objects.update(renewal="always")
    people = apply(programme, 46)
    end(people[:freed], now=NOW)
    last = prospect(people[-1], NOW)
    assert (last.is_known, last.place) == (known, 6 - freed)


def expected(programme: Programme, *, waiting: int, freed: int, now: datetime = NOW) -> Expected | Unknown:
    """Of the last of so many who wait, when so many came free just now."""
    people = apply(programme, 40 + waiting + freed)
    end(people[:freed], now=NOW)
    found = prospect(people[-1], now)
    assert (found.place, found.freed) == (waiting, freed)
    return found.expected


def test_near_range_is_in_whole_weeks(programme: Programme) -> None:
    Programme.objects.update(renewal="always")
    found = expected(programme, waiting=4, freed=8)
    assert isinstance(found, Expected)
    assert found == Expected(date(2026, 7, 13), date(2026, 8, 23), in_months=False)
    assert (found.first and found.first.weekday(), found.last.weekday()) == (0, 6)
    assert found.words == "You can expect a place between 13 July and 23 August."


def test_far_range_is_in_months(programme: Programme) -> None:
    Programme.objects.update(renewal="always")
    found = expected(programme, waiting=20, freed=8)
    assert isinstance(found, Expected)
    assert found.words == "You can expect a place between October 2026 and February 2027."


def test_range_does_not_begin_in_the_past(programme: Programme) -> None:
    Programme.objects.update(renewal="always")
    found = expected(programme, waiting=1, freed=20)
    assert found == Expected(date(2026, 7, 3), date(2026, 7, 12), in_months=False)


def test_certain_ends_are_the_latest_date_of_a_range(programme: Programme, mo: User) -> None:
    seated = apply(programme, 40)
    seat(seated[10:], mo, ends_in=20)
    people = apply(programme, 6)
    end(seated[:5], now=NOW)
    apply(programme, 5)
    [found] = [prospect(people[-1], NOW)]
    assert found.place == 1
    assert isinstance(found.expected, Expected)
    assert found.expected.last == date(2026, 7, 26)  # the week of 23 July


def test_certain_ends_alone_say_the_latest_month(programme: Programme, mo: User) -> None:
    seated = apply(programme, 40)
    seat(seated, mo, ends_in=100)
    third = apply(programme, 3)[-1]
    found = prospect(third, NOW)
    assert found.expected == Expected(None, date(2026, 10, 13), in_months=True)
    assert found.words == "You can expect a place around October 2026 at the latest."


def test_places_that_are_always_renewed_are_no_certain_end(programme: Programme, mo: User) -> None:
    Programme.objects.update(renewal="always")
    seat(apply(programme, 40), mo, ends_in=100)
    assert prospect(apply(programme, 1)[0], NOW).expected == Unknown.FEW


def test_nothing_is_said_beyond_two_years(programme: Programme) -> None:
    Programme.objects.update(renewal="always")
    assert expected(programme, waiting=60, freed=5) == Unknown.FAR


def test_nothing_is_said_beyond_the_end_of_the_programme(programme: Programme) -> None:
    Programme.objects.update(renewal="always", closes_on=date(2026, 8, 23))
    assert expected(programme, waiting=4, freed=8) == Unknown.CLOSES
    Programme.objects.update(closes_on=date(2026, 8, 24))
    assert prospect(Enrollment.objects.in_line().in_queue_order().last() or Enrollment(), NOW).is_known


def test_nothing_is_said_while_the_cap_sinks(programme: Programme, mo: User) -> None:
    people = apply(programme, 50)
    end(people[:6], now=NOW)
    cap.change(pool_id=programme.pool.pk, plan=Plan(cap=30), reason="Fewer", by=mo, now=NOW)
    found = prospect(people[-1], NOW)
    assert (SeatPool.objects.get().planned_cap, found.expected) == (30, Unknown.SINKING)
    assert found.words == "We cannot say yet when you will get a place."
    assert found.why_unknown.startswith("The programme will have fewer places")


def test_who_is_not_in_line_has_no_prospect(programme: Programme) -> None:
    held, *_others = apply(programme, 41)
    assert prospect_of(held, now=NOW) is None


# --- The days ---


def test_days_lead_from_the_place_now_back_to_the_place_then(programme: Programme, mo: User) -> None:
    people = apply(programme, 48)
    di = people[-1]
    assert prospect(di, NOW).place == 8
    end(people[40:42], now=NOW + DAY)
    end(people[:1], now=NOW + DAY)
    reason = prioritizing.Reason.FOR_WORK
    late = apply(programme, 1)[0]
    prioritizing.give(enrollment_id=late.pk, reason=reason, words="So", by=mo, now=NOW + 2 * DAY)
    card_checking.refuse(card_id=people[1].card_id, reason=Card.Refusal.UNKNOWN, by=mo, now=NOW + 3 * DAY)
    days = prospect(di, NOW + 3 * DAY).days
    assert [(day.day.day, day.place, [turn.words for turn in day.turns]) for day in days] == [
        (6, 5, ["1 person before you got a place"]),
        (5, 6, ["1 person got priority"]),
        (4, 5, ["1 person before you got a place", "2 people before you left the queue"]),
    ]


def test_only_the_last_ten_days_on_which_something_happened_are_told(programme: Programme) -> None:
    people = apply(programme, 60)
    for number in range(12):
        end([people[40 + number]], now=NOW + 3 * number * DAY)
    days = prospect(people[-1], NOW + 40 * DAY).days
    assert [day.place for day in days] == list(range(8, 18))
    assert days[0].day == date(2026, 8, 5)


def test_a_day_is_one_in_brussels(programme: Programme) -> None:
    people = apply(programme, 44)
    end([people[41]], now=datetime(2026, 7, 5, 21, 59, tzinfo=UTC))
    end([people[42]], now=datetime(2026, 7, 5, 22, 1, tzinfo=UTC))
    days = prospect(people[43], datetime(2026, 7, 6, 12, tzinfo=UTC)).days
    assert [day.day for day in days] == [date(2026, 7, 6), date(2026, 7, 5)]


def test_prospect_costs_the_same_however_much_happened(
    programme: Programme, mo: User, django_assert_num_queries: Any
) -> None:
    people = apply(programme, 60)
    enrollment = Enrollment.objects.select_related("share", "pool__programme").get(pk=people[-1].pk)
    for _round in range(2):
        with django_assert_num_queries(5):
            found = prospect_of(enrollment, now=NOW + 5 * DAY)
            assert found is not None
            assert len(found.days) == _round
        end(people[:10], now=NOW + DAY)
    assert Event.objects.filter(kind="seat_ended").count() == 10
