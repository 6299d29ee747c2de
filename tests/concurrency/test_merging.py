"""Accounts merged while something else happens to them: nothing is counted twice, nothing stays on a closed account."""

from functools import partial
from threading import Barrier, local
from typing import Any

import pytest

from catalog.models import Programme
from enrollment import applying, ending, merging, seats
from enrollment.merge_plan import Obstacle
from enrollment.models import Enrollment, SeatPool
from enrollment.reports.audit import audit
from libraries.models import User
from tests.concurrency.conftest import Together
from tests.factories import (
    ADDRESS,
    NOW,
    make_application,
    make_coordinator,
    make_library,
    make_member,
    make_programme,
    make_user,
)

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

PAIRS = 6


def check() -> None:
    findings = audit(now=NOW, unanswered_days=100_000)
    assert [(each.check.name, each.rows) for each in findings if not each.holds] == []
    assert not Enrollment.objects.filter(user__is_active=False).exists()


def failures(answers: list[Any]) -> list[Any]:
    return [answer for answer in answers if isinstance(answer, Exception)]


def merge(keep: User, other: User, by: User) -> Any:
    return partial(merging.merge, keep_user_id=keep.pk, other_user_id=other.pk, words="The same", by=by, now=NOW)


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme(cap=30)


def people(programme: Programme, name: str) -> list[Enrollment]:
    return [make_member(f"{name}{n}@example.test", programme=programme, now=NOW) for n in range(PAIRS)]


def merges_and_givings_back(programme: Programme) -> list[Any]:
    """Each of the accounts that are to be closed gives its place back in the same moment."""
    mo, first, second = make_coordinator(), people(programme, "first"), people(programme, "second")
    merges = [merge(keep.user, other.user, mo) for keep, other in zip(first, second, strict=True)]
    return merges + [partial(ending.give_back, enrollment_id=each.pk, by=each.user, now=NOW) for each in second]


def test_merging_while_the_other_gives_back_frees_one_place(programme: Programme, together: Together) -> None:
    answers = together(merges_and_givings_back(programme))
    assert {type(each) for each in failures(answers)} <= {ending.NotYours}
    assert Enrollment.objects.holding_seats().count() == SeatPool.objects.get().taken == PAIRS
    check()


def test_without_the_lock_places_are_not_counted_right(
    programme: Programme, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above can fail: everybody has read the pool before anybody writes it."""
    calls = merges_and_givings_back(programme)
    everybody_has_read, me = Barrier(len(calls)), local()

    def unlocked(pool_ids: Any) -> dict[int, SeatPool]:
        pools = {pk: SeatPool.objects.select_related("programme").get(pk=pk) for pk in pool_ids}
        if not hasattr(me, "has_read"):
            me.has_read = True
            everybody_has_read.wait(timeout=60)
        return pools

    monkeypatch.setattr(seats, "lock_all", unlocked)
    together(calls)
    assert Enrollment.objects.holding_seats().count() != SeatPool.objects.get().taken


def test_two_merges_of_one_account_at_once_are_one(programme: Programme, together: Together) -> None:
    mo = make_coordinator()
    ada, bo, cy = (make_member(f"{n}@example.test", programme=programme, now=NOW).user for n in ("ada", "bo", "cy"))
    answers = together([merge(ada, bo, mo), merge(cy, bo, mo), merge(ada, bo, mo)])
    assert [error.obstacle for error in failures(answers)] == [Obstacle.INACTIVE] * 2
    check()


def test_merging_each_into_the_other_at_once_leaves_one(programme: Programme, together: Together) -> None:
    mo = make_coordinator()
    ada, bo = (make_member(f"{n}@example.test", programme=programme, now=NOW).user for n in ("ada", "bo"))
    answers = together([merge(ada, bo, mo), merge(bo, ada, mo)])
    assert [error.obstacle for error in failures(answers)] == [Obstacle.INACTIVE]
    assert User.objects.filter(pk__in=[ada.pk, bo.pk], is_active=True).count() == 1
    check()


def test_who_applies_elsewhere_while_merged_loses_nothing(programme: Programme, together: Together) -> None:
    """The other programme's pool is not among those that were locked: either the application comes along, or the
    account is closed already."""
    mo, second = make_coordinator(), make_programme("second", cap=30)
    keep, others = people(programme, "first"), [make_user(f"second{n}@example.test") for n in range(PAIRS)]
    calls = [merge(one.user, other, mo) for one, other in zip(keep, others, strict=True)]
    calls += [
        partial(
            applying.apply,
            user=other,
            pool=second.pool,
            application=make_application(number=f"2100{n:04}"),
            address=ADDRESS,
            now=NOW,
        )
        for n, other in enumerate(others)
    ]
    answers = together(calls)
    assert {type(each) for each in failures(answers)} <= {applying.Ineligible}
    assert Enrollment.objects.open().filter(pool=second.pool).count() == PAIRS - len(failures(answers))
    check()
