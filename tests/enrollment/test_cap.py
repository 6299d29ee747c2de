"""The cap changes through one door, with a reason and a ledger line, and never takes a seat away."""

from typing import Any

import pytest

from enrollment import cap, ending
from enrollment.cap import Obstacle
from enrollment.models import CapChange, Enrollment, Event, SeatPool, Share
from libraries.models import User
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def mo() -> User:
    make_library()
    return make_coordinator()


def apply_three(cap_now: int) -> SeatPool:
    programme = make_programme(cap=cap_now)
    for name in "abc":
        make_member(f"{name}@example.test", programme=programme, now=NOW)
    return SeatPool.objects.get()


def obstacle(by: User, number: int, reason: str = "More money") -> Obstacle:
    with pytest.raises(cap.CannotChange) as caught:
        cap.change(pool_id=SeatPool.objects.get().pk, cap=number, reason=reason, by=by, now=NOW)
    return caught.value.obstacle


def test_raising_the_cap_gives_the_next_in_line_their_seats(mo: User) -> None:
    pool = apply_three(1)
    given = cap.change(pool_id=pool.pk, cap=2, reason="Het loopt storm", by=mo, now=NOW)
    assert [enrollment.user.email for enrollment in given] == ["b@example.test"]
    pool.refresh_from_db()
    assert (pool.cap, pool.taken, pool.planned_cap) == (2, 2, None)
    line = CapChange.objects.get()
    assert (line.old_cap, line.new_cap, line.reason, line.by) == (1, 2, "Het loopt storm", mo)
    event = Event.objects.get(kind="cap_changed")
    assert (event.old_value, event.new_value, event.actor_id) == (1, 2, mo.pk)


def test_lowering_below_what_is_taken_is_a_plan_and_nobody_loses_a_seat(mo: User) -> None:
    pool = apply_three(3)
    cap.change(pool_id=pool.pk, cap=1, reason="Less money", by=mo, now=NOW)
    pool.refresh_from_db()
    assert (pool.cap, pool.taken, pool.planned_cap, pool.free) == (3, 3, 1, 0)
    newcomer = make_member("d@example.test", programme=pool.programme, now=NOW)
    assert newcomer.state == Enrollment.State.WAITING
    for enrollment in Enrollment.objects.holding_seats().order_by("id")[:2]:
        ending.give_back(enrollment_id=enrollment.pk, by=enrollment.user, now=NOW)
    pool.refresh_from_db()
    assert (pool.cap, pool.taken, pool.planned_cap) == (1, 1, None)
    newcomer.refresh_from_db()
    assert newcomer.state == Enrollment.State.WAITING


def test_lowering_to_what_is_taken_holds_at_once(mo: User) -> None:
    pool = apply_three(10)
    cap.change(pool_id=pool.pk, cap=3, reason="Less money", by=mo, now=NOW)
    pool.refresh_from_db()
    assert (pool.cap, pool.planned_cap) == (3, None)


def test_plan_is_withdrawn_by_setting_the_old_number_again(mo: User) -> None:
    pool = apply_three(3)
    cap.change(pool_id=pool.pk, cap=1, reason="Less money", by=mo, now=NOW)
    cap.change(pool_id=pool.pk, cap=3, reason="The city pays after all", by=mo, now=NOW)
    pool.refresh_from_db()
    assert (pool.cap, pool.planned_cap) == (3, None)


def test_cap_is_refused_without_role_reason_change_or_sense(mo: User) -> None:
    pool = apply_three(3)
    assert obstacle(make_librarian(), 5) == Obstacle.NOT_COORDINATOR
    assert obstacle(mo, 5, "  ") == Obstacle.NO_REASON
    assert obstacle(mo, 3) == Obstacle.UNCHANGED
    assert obstacle(mo, 10**9) == Obstacle.TOO_HIGH
    assert obstacle(mo, -1) == Obstacle.TOO_LOW
    SeatPool.objects.update(floors=2)
    assert obstacle(mo, 1) == Obstacle.BELOW_FLOORS
    pool.refresh_from_db()
    assert (pool.cap, CapChange.objects.count()) == (3, 0)


def test_open_pool_gives_a_programme_seats_once_with_a_line_in_the_ledger(mo: User) -> None:
    programme = make_programme()
    programme.pool.shares.all().delete()
    programme.pool.delete()
    halle = make_institution("halle")
    told: dict[str, Any] = {"programme_id": programme.pk, "cap": 5, "institution_ids": [halle.pk], "by": mo, "now": NOW}
    pool = cap.open_pool(reason="The pilot", **told)
    shares = list(pool.shares.values_list("institution__slug", "floor", "ceiling"))
    assert (pool.cap, shares) == (5, [("halle", 0, None)])
    assert list(CapChange.objects.values_list("old_cap", "new_cap", "reason")) == [(0, 5, "The pilot")]
    assert list(Event.objects.order_by("id").values_list("kind", flat=True)) == ["cap_changed", "share_changed"]
    with pytest.raises(cap.CannotChange, match="opened"):
        cap.open_pool(reason="Once more", **told)


def test_let_in_adds_a_share_to_whoever_has_none(mo: User) -> None:
    pool = make_programme(cap=5).pool
    halle = make_institution("halle")
    both = [halle.pk, *pool.shares.values_list("institution_id", flat=True)]
    assert [cap.let_in(pool_id=pool.pk, institution_ids=both, by=mo, now=NOW) for _ in range(2)] == [1, 0]
    assert Share.objects.filter(pool=pool).count() == 2
    with pytest.raises(cap.CannotChange, match="not_coordinator"):
        cap.let_in(pool_id=pool.pk, institution_ids=both, by=make_librarian(), now=NOW)
