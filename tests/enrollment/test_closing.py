"""A programme ends gently: no new seats from a day on, those given run their term or to a fixed day, all are told."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from dateutil.relativedelta import relativedelta
from pytest_django import DjangoAssertNumQueries

from catalog.models import Programme
from enrollment import cap, cap_plan, card_checking, closing, ending, renewing, waiting_list
from enrollment.closing import Obstacle, Plan
from enrollment.models import Enrollment, Event, EventNote, Letter, SeatPool
from enrollment.reports.audit import audit
from libraries.models import Card, User
from tests.factories import NOW, make_coordinator, make_librarian, make_library, make_member, make_programme

pytestmark = pytest.mark.django_db

ADA, BO, CY = "ada@example.test", "bo@example.test", "cy@example.test"
TODAY = date(2026, 7, 3)
CLOSES_ON, LAST_DAY = date(2026, 9, 1), date(2026, 12, 31)
CLOSED = datetime(2026, 8, 31, 22, 0, tzinfo=UTC)  # midnight in Brussels
FULL_END, CUT_END = NOW + relativedelta(months=12), datetime(2026, 12, 31, 22, 59, tzinfo=UTC)
TERM, BY_DAY = Plan(closes_on=CLOSES_ON), Plan(closes_on=CLOSES_ON, seats_end_on=LAST_DAY)


@pytest.fixture
def mo() -> User:
    make_library()
    return make_coordinator()


@pytest.fixture
def lin(mo: User) -> User:
    return make_librarian()


@pytest.fixture
def pool(mo: User) -> SeatPool:
    return make_programme(cap=1).pool


@pytest.fixture
def ada(pool: SeatPool, lin: User) -> Enrollment:
    """She has the only place, for twelve months; Bo waits for it."""
    enrollment = make_member(ADA, programme=pool.programme, now=NOW)
    confirm(enrollment, lin)
    return fresh(enrollment)


@pytest.fixture
def bo(ada: Enrollment) -> Enrollment:
    return make_member(BO, programme=ada.pool.programme, now=NOW)


def confirm(enrollment: Enrollment, lin: User, now: datetime = NOW) -> None:
    card_checking.confirm(card_id=enrollment.card_id, by=lin, now=now)


def fresh(enrollment: Enrollment) -> Enrollment:
    return Enrollment.objects.select_related("card", "pool__programme", "user").get(pk=enrollment.pk)


def close(pool: SeatPool, plan: Plan, by: User, now: datetime = NOW, reason: str = "The contract ends") -> None:
    closing.close(pool_id=pool.pk, plan=plan, reason=reason, by=by, now=now)


def ends(enrollment: Enrollment) -> tuple[datetime | None, datetime | None]:
    enrollment.refresh_from_db()
    return enrollment.ends_at, enrollment.uncut_ends_at


def told() -> list[str]:
    letters = Letter.objects.owed().filter(kind="programme_closes").order_by("enrollment_id")
    return list(letters.values_list("user__email", flat=True))


def kinds_of(enrollment: Enrollment) -> list[tuple[str, str]]:
    """Of the events after the application."""
    events = Event.objects.filter(enrollment_id=enrollment.pk).exclude(kind="applied").order_by("id")
    return list(events.values_list("kind", "reason"))


# --- Deciding ---


def test_decision_is_written_with_its_reason_and_told_to_everybody(pool: SeatPool, bo: Enrollment, mo: User) -> None:
    close(pool, TERM, mo)
    programme = Programme.objects.get()
    assert (programme.closes_on, programme.seats_end_on) == (CLOSES_ON, None)
    event = Event.objects.get(kind="programme_closes")
    assert (event.pool_id, event.actor_id, event.reason) == (pool.pk, mo.pk, "2026-09-01")
    assert EventNote.objects.get(event=event).words == "The contract ends"
    assert told() == [ADA, BO]


def test_seats_run_their_term_when_no_last_day_is_set(pool: SeatPool, ada: Enrollment, mo: User) -> None:
    close(pool, TERM, mo)
    assert ends(ada) == (FULL_END, None)


def test_seats_are_cut_to_the_last_day_and_restored_when_it_is_withdrawn(
    pool: SeatPool, ada: Enrollment, mo: User
) -> None:
    close(pool, BY_DAY, mo)
    assert ends(ada) == (CUT_END, FULL_END)
    closing.withdraw(pool_id=pool.pk, reason="The city pays after all", by=mo, now=NOW)
    assert ends(ada) == (FULL_END, None)
    programme = Programme.objects.get()
    assert (programme.closes_on, programme.seats_end_on) == (None, None)
    assert EventNote.objects.get(event__kind="programme_reopened").words == "The city pays after all"
    assert told() == [ADA]


def test_later_decision_replaces_an_earlier_one(pool: SeatPool, ada: Enrollment, mo: User) -> None:
    close(pool, Plan(closes_on=CLOSES_ON, seats_end_on=CLOSES_ON), mo)
    close(pool, BY_DAY, mo)
    assert ends(ada) == (CUT_END, FULL_END)
    close(pool, TERM, mo)
    assert ends(ada) == (FULL_END, None)


def test_seat_that_ends_before_the_last_day_is_left_alone(pool: SeatPool, ada: Enrollment, mo: User) -> None:
    close(pool, Plan(closes_on=CLOSES_ON, seats_end_on=date(2027, 7, 4)), mo)
    assert ends(ada) == (FULL_END, None)


def test_letter_that_is_being_sent_is_followed_by_another(pool: SeatPool, ada: Enrollment, mo: User) -> None:
    """What it says may be the decision before; one that nobody has begun to send is replaced."""
    close(pool, TERM, mo)
    close(pool, BY_DAY, mo)
    assert list(Letter.objects.filter(kind="programme_closes").values_list("dropped_at", flat=True)) == [NOW, None]
    Letter.objects.filter(kind="programme_closes").owed().update(lease_until=NOW + timedelta(seconds=45))
    close(pool, TERM, mo)
    assert told() == [ADA, ADA]


def obstacle(pool: SeatPool, plan: Plan, by: User, now: datetime = NOW, reason: str = "Ends") -> Obstacle:
    with pytest.raises(closing.CannotClose) as caught:
        close(pool, plan, by, now, reason)
    return caught.value.obstacle


def test_decision_is_refused_without_role_reason_or_sense(pool: SeatPool, ada: Enrollment, mo: User, lin: User) -> None:
    yesterday, far = TODAY - timedelta(days=1), date(9999, 12, 31)
    assert obstacle(pool, TERM, lin) == Obstacle.NOT_COORDINATOR
    assert obstacle(pool, TERM, mo, reason="  ") == Obstacle.NO_REASON
    assert obstacle(pool, Plan(closes_on=yesterday), mo) == Obstacle.IN_THE_PAST
    assert obstacle(pool, Plan(closes_on=far), mo) == Obstacle.TOO_FAR
    assert obstacle(pool, Plan(closes_on=CLOSES_ON, seats_end_on=TODAY), mo) == Obstacle.SEATS_BEFORE_CLOSING
    assert obstacle(pool, Plan(closes_on=CLOSES_ON, seats_end_on=far), mo) == Obstacle.SEATS_TOO_FAR
    close(pool, TERM, mo)
    assert obstacle(pool, TERM, mo) == Obstacle.UNCHANGED
    assert obstacle(pool, Plan(closes_on=TODAY), mo, CLOSED) == Obstacle.CLOSED
    assert ends(ada) == (FULL_END, None)
    assert Event.objects.filter(kind="programme_closes").count() == 1


def test_programme_does_not_close_before_it_opens(pool: SeatPool, mo: User) -> None:
    Programme.objects.update(opens_on=CLOSES_ON)
    assert obstacle(pool, TERM, mo) == Obstacle.BEFORE_OPENING


def test_last_day_of_the_seats_can_still_change_after_closing(pool: SeatPool, ada: Enrollment, mo: User) -> None:
    close(pool, TERM, mo)
    assert obstacle(pool, Plan(closes_on=CLOSES_ON, seats_end_on=CLOSES_ON), mo, CLOSED + timedelta(days=1)) == (
        Obstacle.SEATS_IN_THE_PAST
    )
    close(pool, BY_DAY, mo, CLOSED)
    assert ends(ada) == (CUT_END, FULL_END)


def test_decision_is_withdrawn_only_by_a_coordinator_and_before_the_day(pool: SeatPool, mo: User, lin: User) -> None:
    def withdraw(by: User, now: datetime = NOW) -> Obstacle:
        with pytest.raises(closing.CannotClose) as caught:
            closing.withdraw(pool_id=pool.pk, reason="It goes on", by=by, now=now)
        return caught.value.obstacle

    assert withdraw(mo) == Obstacle.NOT_PLANNED
    close(pool, TERM, mo)
    assert withdraw(lin) == Obstacle.NOT_COORDINATOR
    assert withdraw(mo, CLOSED) == Obstacle.CLOSED


def test_preview_counts_and_who_was_overtaken_does_nothing(pool: SeatPool, bo: Enrollment, mo: User) -> None:
    shown = closing.preview(pool_id=pool.pk, plan=BY_DAY, by=mo, now=NOW)
    assert (shown.seated, shown.shortened, shown.held, shown.waiting, shown.letters) == (1, 1, 0, 1, 2)
    assert (shown.last_end, shown.at_once) == (CUT_END, False)
    by_term = closing.preview(pool_id=pool.pk, plan=TERM, by=mo, now=NOW)
    assert (by_term.shortened, by_term.last_end) == (0, FULL_END)
    close(pool, TERM, mo)
    with pytest.raises(closing.Overtaken) as caught:
        closing.close(pool_id=pool.pk, plan=BY_DAY, reason="x", by=mo, now=NOW, expected=shown.fingerprint)
    assert Programme.objects.get().seats_end_on is None
    expected = caught.value.preview.fingerprint
    done = closing.close(pool_id=pool.pk, plan=BY_DAY, reason="x", by=mo, now=NOW, expected=expected)
    assert done == caught.value.preview


def test_deciding_needs_as_many_queries_for_many_as_for_one(
    pool: SeatPool, ada: Enrollment, mo: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    queries = 11
    with django_assert_num_queries(queries):
        close(pool, BY_DAY, mo)
    closing.withdraw(pool_id=pool.pk, reason="No", by=mo, now=NOW)
    for number in range(5):
        make_member(f"dirk{number}@example.test", programme=pool.programme, now=NOW)
    again = User.objects.get(pk=mo.pk)  # who remembers no roles
    with django_assert_num_queries(queries):
        close(pool, BY_DAY, again)


# --- No new seats ---


def test_what_comes_free_after_closing_is_given_to_nobody(pool: SeatPool, bo: Enrollment, mo: User) -> None:
    close(pool, TERM, mo)
    ada = User.objects.get(email=ADA)
    ending.give_back(enrollment_id=ada.enrollments.get().pk, by=ada, now=CLOSED)
    assert fresh(bo).state == Enrollment.State.WAITING
    shown = cap.preview(pool_id=pool.pk, plan=cap_plan.Plan(cap=5), by=mo, now=CLOSED)
    assert (shown.given, shown.waiting) == (0, 1)
    assert list(cap.change(pool_id=pool.pk, plan=cap_plan.Plan(cap=5), reason="More", by=mo, now=CLOSED)) == []
    assert waiting_list.serve(now=CLOSED) == 0
    assert [finding.check.name for finding in audit(now=CLOSED) if not finding.holds] == ["applications_answered"]


def test_what_comes_free_before_closing_is_given_and_cut(pool: SeatPool, bo: Enrollment, mo: User, lin: User) -> None:
    close(pool, BY_DAY, mo)
    confirm(bo, lin)
    ada = User.objects.get(email=ADA)
    ending.give_back(enrollment_id=ada.enrollments.get().pk, by=ada, now=NOW)
    assert ends(bo) == (CUT_END, FULL_END)
    assert bo.state == Enrollment.State.SEATED


@pytest.mark.parametrize(("plan", "end"), [(TERM, (CLOSED + relativedelta(months=12), None)), (BY_DAY, None)])
def test_held_seat_is_given_also_after_closing(
    pool: SeatPool, mo: User, lin: User, plan: Plan, end: tuple[datetime, None] | None
) -> None:
    Programme.objects.update(hold_days=90)
    held = make_member(ADA, programme=Programme.objects.get(), now=NOW)
    close(pool, plan, mo)
    assert closing.end_waiting(now=CLOSED) == 0
    confirm(held, lin, CLOSED)
    assert ends(held) == (end or (CUT_END, CLOSED + relativedelta(months=12)))
    assert (held.state, SeatPool.objects.get().taken) == (Enrollment.State.SEATED, 1)


def test_seat_that_lasts_to_the_end_of_the_programme_is_not_renewed(pool: SeatPool, ada: Enrollment, mo: User) -> None:
    close(pool, Plan(closes_on=LAST_DAY, seats_end_on=LAST_DAY), mo)
    assert renewing.obstacle(fresh(ada), now=CUT_END - timedelta(days=20)) == renewing.Obstacle.PROGRAMME_ENDS
    assert not renewing.is_to_come(fresh(ada), now=NOW)


def test_seat_renewed_before_closing_is_cut_to_the_end_of_the_programme(
    pool: SeatPool, ada: Enrollment, mo: User
) -> None:
    closes_on, last_day = FULL_END.date() - timedelta(days=5), FULL_END.date() + timedelta(days=60)
    close(pool, Plan(closes_on=closes_on, seats_end_on=last_day), mo)
    assert renewing.is_to_come(fresh(ada), now=NOW)
    in_time = FULL_END - timedelta(days=20)
    renewing.renew(enrollment_id=ada.pk, by=ada.user, now=in_time)
    last = Programme.objects.get().seats_end_at
    assert ends(ada) == (last, FULL_END + relativedelta(months=12))
    closing.withdraw(pool_id=pool.pk, reason="It goes on", by=mo, now=in_time)
    assert ends(ada) == (FULL_END + relativedelta(months=12), None)


# --- When the day has come ---


def test_who_waits_when_the_day_has_come_is_ended_once_and_told(pool: SeatPool, bo: Enrollment, mo: User) -> None:
    close(pool, TERM, mo)
    assert closing.end_waiting(now=CLOSED - timedelta(seconds=1)) == 0
    assert [closing.end_waiting(now=CLOSED) for _ in range(2)] == [1, 0]
    bo.refresh_from_db()
    assert (bo.state, bo.end_reason, bo.ended_at) == (
        Enrollment.State.ENDED,
        Enrollment.EndReason.PROGRAMME_CLOSED,
        CLOSED,
    )
    assert kinds_of(bo) == [("queued", ""), ("withdrawn", "programme_closed")]
    letter = Letter.objects.get(kind="seat_ended")
    assert (letter.enrollment_id, letter.reason) == (bo.pk, "programme_closed")
    assert Card.objects.get(pk=bo.card_id).state == Card.State.LAPSED
    assert Enrollment.objects.get(user__email=ADA).state == Enrollment.State.SEATED


def test_closing_today_is_told_to_who_waits_by_the_end_of_the_application(
    pool: SeatPool, bo: Enrollment, mo: User
) -> None:
    close(pool, Plan(closes_on=TODAY), mo)
    assert told() == [ADA]
    assert closing.end_waiting(now=NOW) == 1


def test_who_is_passed_over_is_ended_too(pool: SeatPool, bo: Enrollment, mo: User) -> None:
    rival = make_member(CY, programme=pool.programme, number=bo.card.number, now=NOW)
    assert rival.passed_over
    close(pool, TERM, mo)
    assert closing.end_waiting(now=CLOSED) == 2


def test_number_of_who_is_ended_goes_to_the_next_who_claims_it(bo: Enrollment, mo: User) -> None:
    """Also where that one has applied in another programme."""
    other = make_programme("other", cap=0)
    cy = make_member(CY, programme=other, number=bo.card.number, now=NOW)
    assert cy.passed_over
    close(bo.pool, TERM, mo)
    assert closing.end_waiting(now=CLOSED) == 1
    cy.refresh_from_db()
    assert (cy.passed_over, Card.objects.get(pk=cy.card_id).state) == (False, Card.State.CLAIMED)


def test_hold_that_lapses_before_closing_keeps_its_place_in_the_queue(pool: SeatPool, mo: User) -> None:
    held = make_member(ADA, programme=pool.programme, now=NOW)
    close(pool, TERM, mo)
    assert waiting_list.lapse_holds(now=NOW + timedelta(days=14)) == 1
    assert fresh(held).state == Enrollment.State.WAITING


def test_hold_that_lapses_after_closing_ends(pool: SeatPool, mo: User) -> None:
    held = make_member(ADA, programme=pool.programme, now=NOW)
    close(pool, Plan(closes_on=TODAY), mo)
    late = NOW + timedelta(days=14)
    assert closing.end_waiting(now=late - timedelta(seconds=1)) == 0
    assert (waiting_list.lapse_holds(now=late), closing.end_waiting(now=late)) == (0, 1)
    held.refresh_from_db()
    assert (held.state, held.end_reason, held.hold_lapsed_at) == (
        Enrollment.State.ENDED,
        Enrollment.EndReason.PROGRAMME_CLOSED,
        late,
    )
    assert kinds_of(held) == [("seat_held", ""), ("hold_lapsed", ""), ("seat_ended", "programme_closed")]
    assert SeatPool.objects.get().taken == 0
    assert [finding.check.name for finding in audit(now=late) if not finding.holds] == []


def test_seat_is_held_no_longer_than_the_last_day_of_all_seats(pool: SeatPool, mo: User) -> None:
    make_member(ADA, programme=pool.programme, now=NOW)
    close(pool, Plan(closes_on=TODAY, seats_end_on=TODAY + timedelta(days=3)), mo)
    assert [closing.end_waiting(now=NOW + timedelta(days=days)) for days in (3, 4)] == [0, 1]


@pytest.mark.parametrize(("batches", "ended"), [(20, [2, 0]), (1, [1, 1, 0])])
def test_many_are_ended_in_batches_and_by_several_sweeps(
    pool: SeatPool, bo: Enrollment, mo: User, monkeypatch: pytest.MonkeyPatch, batches: int, ended: list[int]
) -> None:
    make_member(CY, programme=pool.programme, now=NOW)
    monkeypatch.setattr(closing, "_BATCH", 1)
    monkeypatch.setattr(closing, "_BATCHES", batches)
    close(pool, TERM, mo)
    assert [closing.end_waiting(now=CLOSED) for _ in ended] == ended


def test_seats_cut_to_the_last_day_end_with_it(pool: SeatPool, ada: Enrollment, mo: User) -> None:
    close(pool, BY_DAY, mo)
    assert [ending.end_terms(now=CUT_END - timedelta(minutes=1)), ending.end_terms(now=CUT_END)] == [0, 1]
    assert fresh(ada).end_reason == Enrollment.EndReason.TERM_OVER
