"""What people decide about differences: owed again, looked at, and made to agree; never by a list that is doubted."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from catalog.models import Provider
from enrollment import ending, reconciling, repairing, stuck
from enrollment.models import Difference, Event, ProviderAccount, Reconciliation
from enrollment.repairing import CannotDecide, Decided
from enrollment.reports import differences, troubles
from libraries.models import Institution, User
from tests.accounts import settle_all
from tests.comparisons import LATER, NEXT_DAY, Outsider, compare, found, open_accounts
from tests.factories import make_coordinator
from tests.platform_server import Kind, RunningPlatform

pytestmark = pytest.mark.django_db
AFTER = LATER + timedelta(minutes=5)


@pytest.fixture
def outsider(platform: RunningPlatform) -> Outsider:
    return Outsider(platform)


@pytest.fixture
def accounts(halle: Institution) -> list[ProviderAccount]:
    Provider.objects.update(fuse_percent=100)
    return open_accounts(halle, 3)


@pytest.fixture
def mo() -> User:
    return make_coordinator()


def test_everything_is_mended_but_what_the_portal_did_not_make(
    accounts: list[ProviderAccount], outsider: Outsider, mo: User, platform: RunningPlatform
) -> None:
    lost, renamed, closed = accounts
    strangers = [outsider.add("boss@company.test"), outsider.add("staff@company.test", "employee-1")]
    strangers.append(outsider.add("who@company.test", str(uuid4())))
    before = {each["id"]: each for each in platform.accounts()}
    outsider.remove(lost.remote_id)
    outsider.change(renamed.remote_id, emails=[{"value": "x@other.test", "primary": True}])
    outsider.change(closed.remote_id, active=False)
    run = compare()
    for kind in Difference.Kind.values:
        repairing.repair(run.pk, by=mo, now=AFTER, kind=kind)
    settle_all(AFTER)
    after = {each["id"]: each for each in platform.accounts()}
    assert [after[each] for each in strangers] == [before[each] for each in strangers]
    ours = {each["external_id"]: (each["email"], each["active"]) for each in after.values()}
    assert [ours[str(each.external_id)] for each in accounts] == [(each.user.email, True) for each in accounts]
    assert found(compare(NEXT_DAY)) == [("only_there", None, "", "look")]


def test_account_open_there_is_closed_and_one_erased_here_is_erased(
    accounts: list[ProviderAccount], outsider: Outsider, mo: User, platform: RunningPlatform
) -> None:
    ended, erased, _other = accounts
    [seat] = ended.user.enrollments.all()
    ending.give_back(enrollment_id=seat.pk, by=seat.user, now=LATER - timedelta(minutes=30))
    settle_all(LATER - timedelta(minutes=30))
    outsider.change(ended.remote_id, active=True)
    ProviderAccount.objects.filter(pk=erased.pk).update(
        must_be_active=False, must_be_erased=True, seen="absent", erased_at=LATER - timedelta(minutes=1), remote_id=""
    )
    run = compare()
    done = [repairing.repair(run.pk, by=mo, now=AFTER, kind=kind) for kind in ("open_there", "only_there")]
    settle_all(AFTER)
    assert done == [Decided(1, 0), Decided(1, 0)]
    seen = {each["external_id"]: each["active"] for each in platform.accounts()}
    assert (seen[str(ended.external_id)], str(erased.external_id) in seen) == (False, False)
    erased.refresh_from_db()
    assert erased.erased_at == AFTER


def test_repair_is_recorded_once_with_who_decided(
    accounts: list[ProviderAccount], outsider: Outsider, mo: User
) -> None:
    for account in accounts[:2]:
        outsider.remove(account.remote_id)
    run = compare()
    assert [repairing.repair(run.pk, by=mo, now=AFTER, kind="only_here") for _ in range(2)] == [
        Decided(2, 0),
        Decided(0, 0),
    ]
    events = Event.objects.filter(kind="difference_repaired").order_by("pk")
    seats = [account.user.enrollments.get().pk for account in accounts[:2]]
    assert list(events.values_list("actor_id", "reason", "enrollment_id", "old_value")) == [
        (mo.pk, "only_here", seat, run.pk) for seat in seats
    ]
    assert list(run.differences.values_list("state", "decided_by_id", "decided_at")) == [("repaired", mo.pk, AFTER)] * 2


def test_one_difference_is_repaired_alone(accounts: list[ProviderAccount], outsider: Outsider, mo: User) -> None:
    for account in accounts[:2]:
        outsider.remove(account.remote_id)
    run = compare()
    first, second = run.differences.order_by("pk")
    repairing.repair(run.pk, by=mo, now=AFTER, ids=[first.pk])
    assert list(ProviderAccount.objects.owed().values_list("pk", flat=True)) == [first.account_id]
    second.refresh_from_db()
    assert second.state == "open"


def test_difference_that_is_no_longer_so_is_gone(accounts: list[ProviderAccount], outsider: Outsider, mo: User) -> None:
    outsider.remove(accounts[0].remote_id)
    run = compare()
    ProviderAccount.objects.update(seen_at=AFTER)
    assert repairing.repair(run.pk, by=mo, now=AFTER, kind="only_here") == Decided(0, 1)
    assert (run.differences.get().state, ProviderAccount.objects.owed().count()) == ("gone", 0)
    assert Event.objects.filter(kind="difference_repaired").count() == 0


@pytest.mark.parametrize(
    "meanwhile",
    [
        ProviderAccount.debt(LATER),
        {"lease_token": uuid4(), "lease_until": NEXT_DAY},
        {"must_be_active": False},
    ],
    ids=["owed", "under way", "to be closed"],
)
def test_account_that_changed_here_after_the_comparison_is_left_as_it_is(
    accounts: list[ProviderAccount], outsider: Outsider, mo: User, meanwhile: dict[str, Any]
) -> None:
    outsider.remove(accounts[0].remote_id)
    run, account = compare(), ProviderAccount.objects.filter(pk=accounts[0].pk)
    account.update(**meanwhile)
    before = account.values().get()
    assert repairing.repair(run.pk, by=mo, now=AFTER, kind="only_here") == Decided(0, 1)
    assert account.values().get() == before


def test_nothing_is_repaired_by_a_list_that_is_doubted(
    accounts: list[ProviderAccount], platform: RunningPlatform, mo: User
) -> None:
    platform.forget_all()
    run = compare()
    with pytest.raises(CannotDecide) as refused:
        repairing.repair(run.pk, by=mo, now=AFTER, kind="only_here")
    assert refused.value.obstacle == repairing.Obstacle.DOUBTED
    assert ProviderAccount.objects.owed().count() == 0


def test_doubted_list_that_a_person_trusts_is_repaired_by(
    accounts: list[ProviderAccount], outsider: Outsider, mo: User
) -> None:
    outsider.remove(accounts[0].remote_id)
    run = compare()
    Reconciliation.objects.update(doubt="shrunk")
    reconciling.trust(run.pk, by=mo, now=AFTER)
    assert repairing.repair(run.pk, by=mo, now=AFTER, kind="only_here") == Decided(1, 0)


def test_nothing_is_repaired_by_an_old_list(accounts: list[ProviderAccount], outsider: Outsider, mo: User) -> None:
    outsider.remove(accounts[0].remote_id)
    run = compare()
    compare(NEXT_DAY)
    with pytest.raises(CannotDecide) as refused:
        repairing.repair(run.pk, by=mo, now=NEXT_DAY, kind="only_here")
    assert refused.value.obstacle == repairing.Obstacle.OLD


def test_what_somebody_has_to_look_at_can_only_be_left(
    accounts: list[ProviderAccount], outsider: Outsider, mo: User
) -> None:
    outsider.change(accounts[0].remote_id, externalId="employee-13")
    run = compare()
    assert repairing.repair(run.pk, by=mo, now=AFTER, kind="adopted") == Decided(0, 0)
    assert repairing.leave(run.pk, by=mo, now=AFTER, kind="adopted") == Decided(1, 0)
    assert run.differences.get().state == "left"
    assert Event.objects.get(kind="difference_left").actor_id == mo.pk


def fates(run: Reconciliation) -> list[str]:
    return [row.fate.value for row in differences.page_of(run, kind="", fate="", number="1")]


def test_repair_is_told_as_done_once_the_provider_agrees_and_stays_so(
    accounts: list[ProviderAccount], outsider: Outsider, mo: User
) -> None:
    lost, renamed, closed = accounts
    outsider.remove(lost.remote_id)
    outsider.change(renamed.remote_id, emails=[{"value": "x@other.test", "primary": True}])
    outsider.change(closed.remote_id, active=False)
    run = compare()
    assert fates(run) == ["open"] * 3
    for kind in ("only_here", "closed_there"):
        repairing.repair(run.pk, by=mo, now=AFTER, kind=kind)
    repairing.leave(run.pk, by=mo, now=AFTER, kind="other_data")
    assert sorted(fates(run)) == ["left", "repairing", "repairing"]
    settle_all(AFTER)
    assert sorted(fates(run)) == ["left", "repaired", "repaired"]
    [seat] = lost.user.enrollments.all()
    ending.give_back(enrollment_id=seat.pk, by=seat.user, now=NEXT_DAY)  # something else is owed
    assert sorted(fates(run)) == ["left", "overtaken", "repaired"]
    settle_all(NEXT_DAY)
    assert sorted(fates(run)) == ["left", "repaired", "repaired"]


def test_repair_that_the_provider_refuses_is_told_with_its_trouble(
    accounts: list[ProviderAccount], outsider: Outsider, mo: User, platform: RunningPlatform
) -> None:
    outsider.remove(accounts[0].remote_id)
    run = compare()
    repairing.repair(run.pk, by=mo, now=AFTER, kind="only_here")
    platform.fault(Kind.REFUSE)
    settle_all(AFTER)
    [row] = differences.page_of(run, kind="", fate="failed", number="1")
    assert row.why == troubles.in_words(ProviderAccount.objects.get(pk=accounts[0].pk).trouble) != ""
    platform.clear_faults()
    stuck.try_again(accounts[0].pk, by=mo, now=AFTER)
    assert fates(run) == ["repairing"]
    settle_all(AFTER)
    assert fates(run) == ["repaired"]


def test_erasure_is_repaired_only_when_the_account_is_gone(accounts: list[ProviderAccount], mo: User) -> None:
    """A provider that is slow over it was looked at since, and still has the account."""
    mine = ProviderAccount.objects.filter(pk=accounts[0].pk)
    mine.update(must_be_active=False, must_be_erased=True, seen="absent", erased_at=LATER - timedelta(minutes=1))
    run = compare()
    repairing.repair(run.pk, by=mo, now=AFTER, kind="only_there")
    late = AFTER + timedelta(hours=1)
    mine.update(trouble="not_erased_yet", turn_at=late, due_at=late, attempts=1, seen="active", seen_at=late)
    assert fates(run) == ["repairing"]
    mine.update(stuck_at=late)
    assert fates(run) == ["failed"]
    mine.update(trouble="", due_at=None, stuck_at=None, seen="absent", erased_at=late)
    assert fates(run) == ["repaired"]
