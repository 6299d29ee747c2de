"""A person is erased while something else happens to them: nothing is counted twice, nothing stays behind."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from threading import Barrier, local
from typing import Any

import pytest
from django.conf import LazySettings

from catalog.models import Programme
from enrollment import applying, card_checking, ending, erase_plan, erasing, merging, seats
from enrollment.erase_plan import Obstacle
from enrollment.merge_plan import Obstacle as MergeObstacle
from enrollment.models import Enrollment, Erasure, ProviderAccount, SeatPool
from enrollment.reports.audit import audit
from libraries.models import Card, User
from tests.concurrency.conftest import Together
from tests.factories import (
    ADDRESS,
    NOW,
    make_application,
    make_coordinator,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_user,
)

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

PEOPLE = 6


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme(cap=30)


def members(programme: Programme, name: str = "ada") -> list[Enrollment]:
    return [make_member(f"{name}{n}@example.test", programme=programme, now=NOW) for n in range(PEOPLE)]


def erase(enrollment: Enrollment) -> Any:
    return partial(erasing.ask, user_id=enrollment.user_id, by=enrollment.user, now=NOW)


def merge(keep: Enrollment, other: Enrollment, by: User) -> Any:
    ids = {"keep_user_id": keep.user_id, "other_user_id": other.user_id}
    return partial(merging.merge, **ids, words="The same", by=by, now=NOW)  # type: ignore[arg-type]


def failures(answers: list[Any]) -> list[Any]:
    return [answer for answer in answers if isinstance(answer, Exception)]


def check() -> None:
    findings = audit(now=NOW, unanswered_days=100_000)
    assert [(each.check.name, each.rows) for each in findings if not each.holds] == []
    gone = User.objects.filter(is_active=False)
    assert not Enrollment.objects.open().filter(user__in=gone).exists()
    assert not Card.objects.filter(user__in=gone, state__in=Card.OPEN).exists()
    erased = Erasure.objects.values("user_id")
    assert not ProviderAccount.objects.filter(user__in=erased, must_be_erased=False).exists()


def test_asked_many_times_at_once_is_one_erasure(programme: Programme, together: Together) -> None:
    ada = make_member(programme=programme, now=NOW)
    answers = together([erase(ada)] * 8)
    assert {each.pk for each in answers} == {Erasure.objects.get().pk}
    check()


def everything_at_once(programme: Programme) -> list[Any]:
    """Each is erased, gives the place back, is confirmed, and applies elsewhere, in the same moment."""
    second, lin = make_programme("second", cap=30), make_librarian()
    calls: list[Any] = []
    for number, each in enumerate(members(programme)):
        told = make_application(number=f"2100{number:04}")
        calls += [
            erase(each),
            partial(ending.give_back, enrollment_id=each.pk, by=each.user, now=NOW),
            partial(card_checking.confirm, card_id=each.card_id, by=lin, now=NOW),
            partial(applying.apply, user=each.user, pool=second.pool, application=told, address=ADDRESS, now=NOW),
        ]
    return calls


def test_whatever_happens_meanwhile_is_over_or_refused(programme: Programme, together: Together) -> None:
    answers = together(everything_at_once(programme))
    assert {type(each) for each in failures(answers)} <= {applying.Ineligible, card_checking.CannotDecide}
    assert (Erasure.objects.count(), SeatPool.objects.get(programme=programme).taken) == (PEOPLE, 0)
    check()


def test_without_the_pools_lock_places_are_not_counted_right(
    programme: Programme, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the tests can fail: everybody has read the pool before anybody writes it."""
    calls = [erase(each) for each in members(programme)]
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


def test_merged_meanwhile_both_are_erased_or_the_merge_is_refused(programme: Programme, together: Together) -> None:
    mo, keeps, others = make_coordinator(), members(programme), members(programme, "bo")
    calls = [erase(each) for each in keeps]
    for keep, other in zip(keeps, others, strict=True):
        calls.append(merge(keep, other, mo))
    refused = failures(together(calls))
    assert {getattr(each, "obstacle", each) for each in refused} <= {MergeObstacle.INACTIVE}
    erased = set().union(*(erase_plan.people_of(pk) for pk in Erasure.objects.values_list("user_id", flat=True)))
    merged = {other.user_id for other in others} & erased
    assert (Erasure.objects.count(), len(merged)) == (PEOPLE, PEOPLE - len(refused))
    check()


def test_merged_away_meanwhile_is_erased_or_told_that_it_is_closed(programme: Programme, together: Together) -> None:
    mo, keeps, others = make_coordinator(), members(programme), members(programme, "bo")
    calls = [erase(each) for each in others]
    for keep, other in zip(keeps, others, strict=True):
        calls.append(merge(keep, other, mo))
    refused = failures(together(calls))
    assert {getattr(each, "obstacle", each) for each in refused} <= {MergeObstacle.INACTIVE, Obstacle.UNKNOWN}
    assert len(refused) == PEOPLE
    check()


def test_disputed_numbers_are_handed_on_once(programme: Programme, together: Together) -> None:
    """Two claims on each number: whoever is erased first, the other stands for it or is gone as well."""
    firsts = [
        make_member(f"a{n}@example.test", programme=programme, number=f"2100{n:04}", now=NOW) for n in range(PEOPLE)
    ]
    seconds = [
        make_member(f"b{n}@example.test", programme=programme, number=f"2100{n:04}", now=NOW) for n in range(PEOPLE)
    ]
    newcomer = partial(
        applying.apply,
        user=make_user("new@example.test"),
        pool=programme.pool,
        application=make_application(number="21000000"),
        address=ADDRESS,
        now=NOW,
    )
    answers = together([*(erase(each) for each in firsts), *(erase(each) for each in seconds[1:]), newcomer])
    assert failures(answers) == []
    heir = Card.objects.filter(number="21000000", state__in=Card.LIVING)
    assert heir.count() == 1
    check()


def test_sweeps_at_once_erase_once(
    programme: Programme, together: Together, tmp_path: Path, settings: LazySettings
) -> None:
    settings.ERASURE_LIST = str(tmp_path / "erasures")
    (tmp_path / "erasures").touch()
    for each in members(programme):
        erasing.ask(user_id=each.user_id, by=each.user, now=NOW)
    late = NOW.replace(year=2027)
    done = together([partial(erasing.erase_due, now=late)] * 4)
    assert failures(done) == []
    assert Erasure.objects.filter(finished_at=late).count() == PEOPLE
    assert User.objects.filter(email__endswith="@invalid").count() == PEOPLE
    check()
