"""Places in the queue, and held seats nobody confirmed in time."""

from datetime import timedelta

import pytest

from enrollment import card_checking, waiting_list
from enrollment.models import Enrollment, Event, Letter
from tests.factories import NOW, make_librarian, make_library, make_member, make_programme

pytestmark = pytest.mark.django_db

State = Enrollment.State
ADA, BO, CY = "ada@example.test", "bo@example.test", "cy@example.test"
LAPSED = NOW + timedelta(days=14)


def test_place_counts_those_in_line_before() -> None:
    make_library()
    programme = make_programme(cap=0)
    enrollments = [make_member(mail, programme=programme, now=NOW) for mail in (ADA, BO, CY)]
    Enrollment.objects.filter(pk=enrollments[0].pk).update(passed_over=True)
    enrollments[0].refresh_from_db()
    assert [waiting_list.place_of(enrollment) for enrollment in enrollments] == [None, 1, 2]


def test_place_follows_priority_then_time_then_number() -> None:
    make_library()
    programme = make_programme(cap=0)
    times = {ADA: NOW, BO: NOW - timedelta(days=1), CY: NOW, "di@example.test": NOW + timedelta(days=1)}
    ada, bo, cy, di = (make_member(mail, programme=programme, now=at) for mail, at in times.items())
    Enrollment.objects.filter(pk=di.pk).update(priority=Enrollment.FIRST)
    di.refresh_from_db()
    assert [waiting_list.place_of(enrollment) for enrollment in (di, bo, ada, cy)] == [1, 2, 3, 4]


def test_lapse_holds_gives_the_seat_to_the_next_and_keeps_the_application() -> None:
    make_library()
    programme = make_programme(cap=1, hold_days=14)
    ada, bo = (make_member(mail, programme=programme, now=NOW) for mail in (ADA, BO))
    assert waiting_list.lapse_holds(now=LAPSED - timedelta(seconds=1)) == 0
    assert waiting_list.lapse_holds(now=LAPSED) == 1
    ada.refresh_from_db()
    bo.refresh_from_db()
    assert (ada.state, ada.passed_over, ada.hold_lapsed_at, ada.applied_at) == (State.WAITING, True, LAPSED, NOW)
    assert bo.state == State.HELD
    assert Letter.objects.filter(kind="hold_lapsed").count() == Event.objects.filter(kind="hold_lapsed").count() == 1


def test_lapse_holds_goes_on_until_all_are_released(monkeypatch: pytest.MonkeyPatch) -> None:
    make_library()
    programme = make_programme(cap=5, hold_days=14)
    for number in range(5):
        make_member(f"member{number}@example.test", programme=programme, now=NOW)
    monkeypatch.setattr(waiting_list, "_BATCH", 2)
    assert waiting_list.lapse_holds(now=LAPSED) == 5
    assert Enrollment.objects.holding_seats().count() == 0


def test_lapsed_hold_is_next_to_be_seated_once_its_card_is_confirmed() -> None:
    make_library()
    programme = make_programme(cap=1, hold_days=14)
    ada, bo, cy = (make_member(mail, programme=programme, now=NOW) for mail in (ADA, BO, CY))
    waiting_list.lapse_holds(now=LAPSED)
    lin = make_librarian()
    card_checking.confirm(card_id=ada.card_id, by=lin, now=LAPSED)
    card_checking.refuse(card_id=bo.card_id, reason="unknown", by=lin, now=LAPSED)  # type: ignore[arg-type]
    ada.refresh_from_db()
    cy.refresh_from_db()
    assert (ada.state, cy.state) == (State.SEATED, State.WAITING)
