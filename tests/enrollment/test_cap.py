"""The cap changes through one door, with a reason and a ledger line, and never takes a seat away."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from catalog.models import Provider
from enrollment import cap, card_checking, ending
from enrollment.cap_plan import Obstacle, Plan, Preview, Terms
from enrollment.models import CapChange, Enrollment, Event, ProviderAccount, SeatPool, Share, ShareChange
from libraries.models import User
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_provider,
    make_user,
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
        cap.change(pool_id=SeatPool.objects.get().pk, plan=Plan(cap=number), reason=reason, by=by, now=NOW)
    return caught.value.obstacle


def test_raising_the_cap_gives_the_next_in_line_their_seats(mo: User) -> None:
    pool = apply_three(1)
    given = cap.change(pool_id=pool.pk, plan=Plan(cap=2), reason="Het loopt storm", by=mo, now=NOW)
    assert [enrollment.user.email for enrollment in given] == ["b@example.test"]
    pool.refresh_from_db()
    assert (pool.cap, pool.taken, pool.planned_cap) == (2, 2, None)
    line = CapChange.objects.get()
    assert (line.old_cap, line.new_cap, line.reason, line.by) == (1, 2, "Het loopt storm", mo)
    event = Event.objects.get(kind="cap_changed")
    assert (event.old_value, event.new_value, event.actor_id) == (1, 2, mo.pk)


def test_lowering_below_what_is_taken_is_a_plan_and_nobody_loses_a_seat(mo: User) -> None:
    pool = apply_three(3)
    cap.change(pool_id=pool.pk, plan=Plan(cap=1), reason="Less money", by=mo, now=NOW)
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
    cap.change(pool_id=pool.pk, plan=Plan(cap=3), reason="Less money", by=mo, now=NOW)
    pool.refresh_from_db()
    assert (pool.cap, pool.planned_cap) == (3, None)


def test_plan_is_withdrawn_by_setting_the_old_number_again(mo: User) -> None:
    pool = apply_three(3)
    cap.change(pool_id=pool.pk, plan=Plan(cap=1), reason="Less money", by=mo, now=NOW)
    cap.change(pool_id=pool.pk, plan=Plan(cap=3), reason="The city pays after all", by=mo, now=NOW)
    pool.refresh_from_db()
    assert (pool.cap, pool.planned_cap) == (3, None)


def test_cap_is_refused_without_role_reason_change_or_sense(mo: User) -> None:
    pool = apply_three(3)
    assert obstacle(make_librarian(), 5) == Obstacle.NOT_COORDINATOR
    assert obstacle(mo, 5, "  ") == Obstacle.NO_REASON
    assert obstacle(mo, 3) == Obstacle.UNCHANGED
    assert obstacle(mo, 10**9) == Obstacle.TOO_HIGH
    assert obstacle(mo, -1) == Obstacle.TOO_LOW
    Share.objects.update(floor=2)
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


# --- Shares ---


@pytest.fixture
def two(mo: User) -> tuple[SeatPool, Share, Share]:
    """Two institutions with ten places between them."""
    make_library("Halle", make_institution("halle"))
    pool = make_programme(cap=10).pool
    first, second = pool.shares.order_by("pk")
    return pool, first, second


def give_terms(pool: SeatPool, by: User, terms: dict[int, Terms], now: datetime = NOW) -> None:
    cap.change(pool_id=pool.pk, plan=Plan(shares=terms), reason="As agreed", by=by, now=now)


def test_floor_moves_between_institutions_in_one_line_of_the_ledger(
    mo: User, two: tuple[SeatPool, Share, Share]
) -> None:
    pool, first, second = two
    give_terms(pool, mo, {first.pk: Terms(floor=10)})
    give_terms(pool, mo, {first.pk: Terms(floor=4), second.pk: Terms(floor=6, ceiling=8)})
    assert list(pool.shares.order_by("pk").values_list("floor", "ceiling")) == [(4, None), (6, 8)]
    pool.refresh_from_db()
    assert pool.floors == 10
    line = CapChange.objects.first()
    assert line is not None
    lines = line.share_changes.order_by("pk").values_list("had_floor", "floor", "had_ceiling", "ceiling")
    assert list(lines) == [(10, 4, None, None), (0, 6, None, 8)]
    events = Event.objects.filter(kind="share_changed").order_by("pk")
    assert list(events.values_list("institution_id", "reason", "old_value", "new_value"))[-3:] == [
        (first.institution_id, "floor", 10, 4),
        (second.institution_id, "floor", 0, 6),
        (second.institution_id, "ceiling", None, 8),
    ]


def test_shares_that_do_not_change_are_no_line(mo: User, two: tuple[SeatPool, Share, Share]) -> None:
    pool, first, second = two
    give_terms(pool, mo, {first.pk: Terms(floor=4), second.pk: Terms()})
    assert list(ShareChange.objects.values_list("share_id", flat=True)) == [first.pk]
    with pytest.raises(cap.CannotChange, match="unchanged"):
        give_terms(pool, mo, {first.pk: Terms(floor=4)})


def test_share_of_another_programme_is_left_alone(mo: User, two: tuple[SeatPool, Share, Share]) -> None:
    pool, _first, _second = two
    foreign = make_programme("other", cap=5).pool.shares.first()
    assert foreign is not None
    with pytest.raises(cap.CannotChange, match="unchanged"):
        give_terms(pool, mo, {foreign.pk: Terms(floor=4)})


# --- Foreseen, and overtaken ---


def test_change_does_what_the_preview_showed(mo: User) -> None:
    pool = apply_three(1)
    plan = Plan(cap=2)
    preview = cap.preview(pool_id=pool.pk, plan=plan, by=mo, now=NOW)
    assert (preview.given, preview.held, preview.letters, preview.waiting) == (1, 1, 1, 1)
    told: dict[str, Any] = {"pool_id": pool.pk, "plan": plan, "reason": "More", "by": mo, "now": NOW}
    assert len(cap.change(**told, expected=preview.fingerprint)) == preview.given


def test_change_that_would_do_something_else_by_now_is_overtaken(mo: User) -> None:
    pool = apply_three(1)
    preview = cap.preview(pool_id=pool.pk, plan=Plan(cap=2), by=mo, now=NOW)
    make_member("d@example.test", programme=pool.programme, now=NOW)
    told: dict[str, Any] = {"pool_id": pool.pk, "reason": "More", "by": mo, "now": NOW}
    # one more who waits gets nothing of it: it still does the same
    assert cap.preview(pool_id=pool.pk, plan=Plan(cap=2), by=mo, now=NOW).fingerprint == preview.fingerprint
    cap.change(plan=Plan(cap=3), **told)
    with pytest.raises(cap.Overtaken) as caught:
        cap.change(plan=Plan(cap=2), expected=preview.fingerprint, **told)
    assert caught.value.preview.to_sink == 1
    pool.refresh_from_db()
    assert (pool.cap, CapChange.objects.count()) == (3, 1)


def test_preview_changes_nothing_and_costs_the_same_for_any_number(
    mo: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    pool = apply_three(0)
    before = list(Enrollment.objects.values())
    cap.preview(pool_id=pool.pk, plan=Plan(cap=2), by=mo, now=NOW)  # who Mo is, is asked once
    Provider.objects.update(calls_per_second=20)
    for number in (1, 3):
        with django_assert_num_queries(6):
            cap.preview(pool_id=pool.pk, plan=Plan(cap=number), by=mo, now=NOW)
    assert list(Enrollment.objects.values()) == before


# --- How long the provider will need ---


def preview_of_two(pool: SeatPool, by: User) -> Preview:
    return cap.preview(pool_id=pool.pk, plan=Plan(cap=2), by=by, now=NOW)


@pytest.fixture
def two_confirmed(mo: User) -> SeatPool:
    """Three wait, and the cards of the first two are confirmed."""
    pool = apply_three(0)
    for card_id in Enrollment.objects.order_by("id").values_list("card_id", flat=True)[:2]:
        card_checking.confirm(card_id=card_id, by=mo, now=NOW)
    return pool


def owe_accounts(provider: Provider, *names: str) -> None:
    for name in names:
        user = make_user(f"{name}@example.test")
        ProviderAccount.objects.create(user=user, provider=provider, must_be_active=True, due_at=NOW)


def test_provider_needs_as_many_calls_for_each_account_as_its_client_makes(mo: User, two_confirmed: SeatPool) -> None:
    Provider.objects.update(calls_per_second=1)
    preview = preview_of_two(two_confirmed, mo)
    assert (preview.seated, preview.seconds, preview.minutes) == (2, 2, 1)
    Provider.objects.update(kind=Provider.Kind.MOODLE)
    assert preview_of_two(two_confirmed, mo).seconds == 12


def test_accounts_that_are_owed_already_come_first_and_those_that_are_stuck_do_not_count(
    mo: User, two_confirmed: SeatPool
) -> None:
    Provider.objects.update(calls_per_second=3)
    owe_accounts(Provider.objects.get(), "dirk", "els", "stuck")
    ProviderAccount.objects.filter(user__email="stuck@example.test").update(stuck_at=NOW, trouble="gone")
    owe_accounts(make_provider("other", name="Other"), "fien")
    assert preview_of_two(two_confirmed, mo).seconds == 2  # 4 calls, three in a second


def test_held_seats_open_no_account_yet(mo: User) -> None:
    pool = apply_three(0)
    Provider.objects.update(calls_per_second=1)
    assert preview_of_two(pool, mo).seconds == 0


def test_provider_that_becomes_slower_does_not_overtake_a_preview(mo: User, two_confirmed: SeatPool) -> None:
    Provider.objects.update(calls_per_second=20)
    expected = preview_of_two(two_confirmed, mo).fingerprint
    Provider.objects.update(calls_per_second=1)
    told: dict[str, Any] = {"pool_id": two_confirmed.pk, "plan": Plan(cap=2), "reason": "More", "by": mo, "now": NOW}
    assert len(cap.change(**told, expected=expected)) == 2


# --- On a day to come ---

FIRST_DAY = NOW + timedelta(days=30)


def plan_ahead(pool: SeatPool, plan: Plan, by: User, at: datetime = FIRST_DAY) -> CapChange:
    return cap.schedule(pool_id=pool.pk, plan=plan, reason="Next year", at=at, by=by, now=NOW)


def test_planned_change_takes_effect_on_its_day_and_once(mo: User) -> None:
    pool = apply_three(1)
    line = plan_ahead(pool, Plan(cap=2), mo)
    assert cap.apply_due(now=FIRST_DAY - timedelta(seconds=1)) == 0
    late = FIRST_DAY + timedelta(hours=1)
    assert [cap.apply_due(now=late) for _ in range(2)] == [1, 0]
    pool.refresh_from_db()
    line.refresh_from_db()
    assert (pool.cap, pool.taken, line.old_cap, line.applied_at) == (2, 2, 1, late)
    assert Event.objects.filter(kind="cap_changed").count() == 1


def test_planned_changes_follow_each_other(mo: User) -> None:
    pool = apply_three(1)
    plan_ahead(pool, Plan(cap=3), mo, FIRST_DAY + timedelta(days=1))
    plan_ahead(pool, Plan(cap=2), mo)
    assert cap.apply_due(now=FIRST_DAY + timedelta(days=2)) == 2
    assert list(CapChange.objects.order_by("effective_at").values_list("old_cap", "new_cap")) == [(1, 2), (2, 3)]


def test_planned_change_of_a_share_leaves_the_cap_as_it_is_by_then(
    mo: User, two: tuple[SeatPool, Share, Share]
) -> None:
    pool, first, _second = two
    plan_ahead(pool, Plan(shares={first.pk: Terms(floor=5)}), mo)
    cap.change(pool_id=pool.pk, plan=Plan(cap=20), reason="More", by=mo, now=NOW)
    cap.apply_due(now=FIRST_DAY)
    pool.refresh_from_db()
    assert (pool.cap, pool.floors) == (20, 5)


def test_planned_change_that_is_impossible_by_then_is_dropped_with_its_reason(mo: User) -> None:
    pool = apply_three(3)
    line = plan_ahead(pool, Plan(cap=1), mo)
    share = pool.shares.get()
    cap.change(pool_id=pool.pk, plan=Plan(shares={share.pk: Terms(floor=2)}), reason="Agreed", by=mo, now=NOW)
    assert cap.apply_due(now=FIRST_DAY) == 1
    line.refresh_from_db()
    assert (line.applied_at, line.withdrawn_at, line.obstacle) == (None, FIRST_DAY, Obstacle.BELOW_FLOORS)
    assert Event.objects.get(kind="change_withdrawn").reason == Obstacle.BELOW_FLOORS


def test_planned_change_can_be_withdrawn_by_a_coordinator(mo: User) -> None:
    pool = apply_three(1)
    line = plan_ahead(pool, Plan(cap=2), mo)
    with pytest.raises(cap.CannotChange, match="not_coordinator"):
        cap.withdraw(change_id=line.pk, by=make_librarian(), now=NOW)
    assert [cap.withdraw(change_id=line.pk, by=mo, now=NOW) for _ in range(2)] == [True, False]
    assert cap.apply_due(now=FIRST_DAY) == 0


def test_change_cannot_be_planned_for_the_past(mo: User) -> None:
    pool = apply_three(1)
    with pytest.raises(cap.CannotChange, match="in_the_past"):
        plan_ahead(pool, Plan(cap=2), mo, NOW)


def test_cap_can_be_raised_for_a_while_and_planned_back(mo: User) -> None:
    """The number to go back to is the number there is today."""
    pool = apply_three(1)
    plan_ahead(pool, Plan(cap=3), mo)
    plan_ahead(pool, Plan(cap=1), mo, FIRST_DAY + timedelta(days=90))
    assert cap.apply_due(now=FIRST_DAY + timedelta(days=1)) == 1
    assert cap.apply_due(now=FIRST_DAY + timedelta(days=91)) == 1
    pool.refresh_from_db()
    assert (pool.cap, pool.planned_cap) == (3, 1)


def test_planned_line_of_a_share_tells_what_it_had_also_when_nothing_changed(
    mo: User, two: tuple[SeatPool, Share, Share]
) -> None:
    pool, first, _second = two
    plan_ahead(pool, Plan(shares={first.pk: Terms(floor=5)}), mo)
    give_terms(pool, mo, {first.pk: Terms(floor=5)})
    assert cap.apply_due(now=FIRST_DAY) == 1
    assert list(ShareChange.objects.order_by("pk").values_list("had_floor", "floor")) == [(5, 5), (0, 5)]


def test_preview_for_later_says_why_it_could_not_be_done_today(mo: User, two: tuple[SeatPool, Share, Share]) -> None:
    pool, first, _second = two
    give_terms(pool, mo, {first.pk: Terms(floor=5)})
    told: dict[str, Any] = {"pool_id": pool.pk, "plan": Plan(cap=4), "by": mo, "now": NOW}
    assert cap.preview(**told, later=True).obstacle == Obstacle.BELOW_FLOORS
    with pytest.raises(cap.CannotChange, match="below_floors"):
        cap.preview(**told)
    with pytest.raises(cap.CannotChange, match="too_low"):
        cap.preview(**told | {"plan": Plan(cap=-1)}, later=True)
