"""The lists are compared both ways; every test asks the training platform itself."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from catalog.models import Provider
from enrollment import ending, reconciling
from enrollment.models import Difference, Event, Letter, ListedAccount, ProviderAccount, Reconciliation
from libraries.models import Institution, User
from tests.accounts import let_line_rest, secret_of, settle_all
from tests.comparisons import LATER, NEXT_DAY, Outsider, compare, found, open_accounts
from tests.factories import NOW, make_coordinator, make_staff
from tests.platform_server import Kind, RunningPlatform

pytestmark = pytest.mark.django_db
Doubt = Reconciliation.Doubt


def at(moment: datetime) -> reconciling.Clock:
    return lambda: moment


@pytest.fixture
def outsider(platform: RunningPlatform) -> Outsider:
    return Outsider(platform)


@pytest.fixture
def accounts(halle: Institution) -> list[ProviderAccount]:
    Provider.objects.update(fuse_percent=100)
    return open_accounts(halle, 3)


def test_comparison_of_lists_that_agree_finds_nothing(accounts: list[ProviderAccount], outsider: Outsider) -> None:
    outsider.add("boss@company.test")
    outsider.add("staff@company.test", "employee-12")
    run = compare()
    assert (found(run), run.listed, run.ours, run.doubt) == ([], 5, 3, "")
    assert (run.finished_at, run.due_at, run.lease_token) == (LATER, None, None)
    assert ListedAccount.objects.count() == 0
    event = Event.objects.get(kind="lists_compared")
    assert (event.provider_id, event.old_value, event.new_value) == (run.provider_id, 5, 3)
    assert Letter.objects.filter(kind="lists_disagree").count() == 0


def test_account_that_got_lost_is_only_here(accounts: list[ProviderAccount], outsider: Outsider) -> None:
    outsider.remove(accounts[0].remote_id)
    assert found(compare()) == [("only_here", accounts[0].pk, "", "agree")]


def test_account_with_an_unknown_id_of_our_kind_is_only_there(
    accounts: list[ProviderAccount], outsider: Outsider
) -> None:
    remote_id = outsider.add("who@example.test", str(uuid4()))
    run = compare()
    assert found(run) == [("only_there", None, "", "look")]
    assert Difference.objects.get().remote_id == remote_id


def test_account_of_another_provider_of_ours_is_none_of_these(
    accounts: list[ProviderAccount], outsider: Outsider
) -> None:
    elsewhere = Provider.objects.create(slug="other", name="Other", secret_name="OTHER")
    account = ProviderAccount.objects.create(
        user=accounts[0].user, provider=elsewhere, must_be_active=True, seen="active", seen_at=NOW
    )
    outsider.add("who@example.test", str(account.external_id))
    run = reconciling.ask(provider_id=accounts[0].provider_id, by=None, now=LATER)
    assert run is not None
    assert reconciling.compare_next(secret_of=secret_of, now=lambda: LATER)
    assert found(run) == []


def test_account_of_an_erased_person_is_to_be_erased(accounts: list[ProviderAccount]) -> None:
    ProviderAccount.objects.filter(pk=accounts[0].pk).update(
        must_be_active=False, must_be_erased=True, seen="absent", erased_at=NOW, remote_id=""
    )
    assert found(compare()) == [("only_there", accounts[0].pk, "", "erase")]


def test_other_data_are_named_by_their_fields_alone(accounts: list[ProviderAccount], outsider: Outsider) -> None:
    outsider.change(accounts[0].remote_id, emails=[{"value": "x@other.test", "primary": True}])
    outsider.change(accounts[1].remote_id, **{"name.familyName": "Anders"})
    outsider.change(accounts[2].remote_id, emails=[{"value": "MEMBER2@example.test", "primary": True}])
    assert found(compare()) == [
        ("other_data", accounts[0].pk, "email", "agree"),
        ("other_data", accounts[1].pk, "name", "agree"),
    ]


def test_account_with_another_id_of_the_provider_is_other_data(
    accounts: list[ProviderAccount], outsider: Outsider
) -> None:
    ProviderAccount.objects.filter(pk=accounts[0].pk).update(remote_id="older")
    assert found(compare()) == [("other_data", accounts[0].pk, "id", "agree")]


def test_account_closed_there_is_to_be_open(accounts: list[ProviderAccount], outsider: Outsider) -> None:
    outsider.change(accounts[0].remote_id, active=False)
    assert found(compare()) == [("closed_there", accounts[0].pk, "", "agree")]


def test_account_open_there_is_to_be_closed(accounts: list[ProviderAccount], outsider: Outsider) -> None:
    [seat] = accounts[0].user.enrollments.all()
    ending.give_back(enrollment_id=seat.pk, by=seat.user, now=NOW)
    settle_all()
    outsider.change(accounts[0].remote_id, active=True)
    assert found(compare()) == [("open_there", accounts[0].pk, "", "agree")]


def test_two_accounts_with_one_id_are_for_a_person(accounts: list[ProviderAccount], outsider: Outsider) -> None:
    second = outsider.add("second@example.test")
    outsider.change(second, externalId=str(accounts[0].external_id))
    outsider.change(accounts[0].remote_id, active=False)
    run = compare()
    assert found(run) == [("two_there", accounts[0].pk, "", "look")]
    assert Difference.objects.get().remote_id == second


def test_adopted_account_is_for_a_person_and_nothing_else(accounts: list[ProviderAccount], outsider: Outsider) -> None:
    outsider.change(accounts[0].remote_id, externalId="employee-13", active=False)
    outsider.change(accounts[1].remote_id, externalId=str(accounts[2].external_id))
    outsider.change(accounts[2].remote_id, externalId=str(accounts[1].external_id))
    assert found(compare()) == [("adopted", account.pk, "", "look") for account in accounts]


# --- Whose turn is under way ---


def test_account_that_is_owed_is_left_out(accounts: list[ProviderAccount], outsider: Outsider) -> None:
    outsider.remove(accounts[0].remote_id)
    ProviderAccount.objects.filter(pk=accounts[0].pk).update(**ProviderAccount.debt(NOW))
    assert found(compare()) == []


def test_account_seen_to_since_the_list_was_begun_is_left_out(
    accounts: list[ProviderAccount], outsider: Outsider
) -> None:
    outsider.remove(accounts[0].remote_id)
    ProviderAccount.objects.filter(pk=accounts[0].pk).update(seen_at=LATER)
    assert found(compare()) == []


def test_account_whose_person_has_changed_meanwhile_is_left_out(accounts: list[ProviderAccount]) -> None:
    User.objects.filter(pk=accounts[0].user_id).update(email="new@example.test")
    assert found(compare()) == []
    assert ProviderAccount.objects.get(pk=accounts[0].pk).due_at == LATER


# --- The fuse ---


def test_empty_list_is_doubted(accounts: list[ProviderAccount], platform: RunningPlatform) -> None:
    platform.forget_all()
    oz = make_staff("oz@example.test", "operator")
    run = compare()
    assert (run.doubt, run.is_trusted, run.listed) == (Doubt.EMPTY, False, 0)
    letter = Letter.objects.get(kind="lists_disagree")
    assert (letter.user_id, letter.provider_id, letter.reason) == (oz.pk, run.provider_id, "empty")
    assert not reconciling.trust(run.pk, by=oz, now=LATER)


def test_empty_list_where_nobody_has_an_account_is_right(halle: Institution) -> None:
    assert compare().doubt == ""


def test_list_in_which_ours_are_missing_is_doubted(accounts: list[ProviderAccount], outsider: Outsider) -> None:
    for account in accounts:
        outsider.remove(account.remote_id)
    outsider.add("boss@company.test")
    assert compare().doubt == Doubt.SHRUNK


def test_list_that_differs_too_much_from_the_last_is_doubted(halle: Institution, outsider: Outsider) -> None:
    accounts = open_accounts(halle, 10)
    assert compare().doubt == ""
    for account in accounts[:2]:
        outsider.remove(account.remote_id)
    assert compare(LATER + timedelta(hours=1)).doubt == ""  # two of ten may be: few are never unusual
    outsider.remove(accounts[2].remote_id)
    run = compare(LATER + timedelta(hours=2))
    assert (run.doubt, run.ours) == (Doubt.SHRUNK, 7)


def test_accounts_opened_since_the_last_comparison_are_no_difference(halle: Institution) -> None:
    open_accounts(halle, 2)
    compare()
    ProviderAccount.objects.update(first_claimed_at=LATER)
    last = Reconciliation.objects.get()
    Reconciliation.objects.filter(pk=last.pk).update(ours=0)
    assert compare(NEXT_DAY).doubt == ""


def test_trusting_a_list_is_recorded_once(halle: Institution, outsider: Outsider) -> None:
    for account in open_accounts(halle, 4)[:3]:
        outsider.remove(account.remote_id)
    run, mo = compare(), make_coordinator()
    assert run.doubt == Doubt.SHRUNK
    assert [reconciling.trust(run.pk, by=mo, now=LATER) for _ in range(2)] == [True, False]
    event = Event.objects.get(kind="list_trusted")
    assert (event.actor_id, event.reason, event.provider_id) == (mo.pk, "list_shrunk", run.provider_id)
    run.refresh_from_db()
    assert run.is_trusted


# --- It does not succeed, or not at once ---


def test_provider_that_fails_is_asked_again_and_at_last_a_person(
    accounts: list[ProviderAccount], platform: RunningPlatform
) -> None:
    platform.fault(Kind.DOWN)
    run = reconciling.ask(provider_id=accounts[0].provider_id, by=None, now=LATER)
    assert run is not None
    now = LATER
    for attempt in range(1, reconciling.MOST_ATTEMPTS + 1):
        let_line_rest(now)
        assert reconciling.compare_next(secret_of=secret_of, now=at(now))
        run.refresh_from_db()
        assert (run.attempts, run.trouble, run.finished_at) == (attempt, "server_error", None)
        now += timedelta(hours=1)
    assert run.stuck_at is not None
    platform.clear_faults()
    let_line_rest(now)
    assert compare(now).doubt == ""


def test_whoever_takes_over_after_a_crash_begins_anew(accounts: list[ProviderAccount]) -> None:
    run = reconciling.ask(provider_id=accounts[0].provider_id, by=None, now=LATER)
    assert run is not None
    died = Reconciliation.objects.claim(now=LATER, lease=reconciling.LEASE)
    ListedAccount.objects.create(reconciliation=run, remote_id="gone", external_id=str(uuid4()), active=True)
    assert died is not None
    assert not reconciling.compare_next(secret_of=secret_of, now=lambda: LATER)
    assert reconciling.compare_next(secret_of=secret_of, now=lambda: LATER + timedelta(minutes=2))
    run.refresh_from_db()
    assert (found(run), run.listed, run.attempts) == ([], 3, 2)


def test_whoever_has_lost_the_lease_sends_and_writes_nothing(
    accounts: list[ProviderAccount], platform: RunningPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = reconciling.ask(provider_id=accounts[0].provider_id, by=None, now=LATER)
    assert run is not None
    calls = platform.calls()["by_method"]
    agreed = reconciling._turn

    def lose_first(row: Reconciliation, now: reconciling.Clock, *, writes: bool) -> object:
        Reconciliation.objects.filter(pk=row.pk).update(lease_token=uuid4())
        return agreed(row, now, writes=writes)

    monkeypatch.setattr(reconciling, "_turn", lose_first)
    assert reconciling.compare_next(secret_of=secret_of, now=lambda: LATER)
    run.refresh_from_db()
    assert (platform.calls()["by_method"], run.finished_at, ListedAccount.objects.count()) == (calls, None, 0)


def test_comparison_is_owed_once_for_each_provider(accounts: list[ProviderAccount]) -> None:
    assert [reconciling.ask_all(now=LATER) for _ in range(2)] == [1, 0]


def test_old_comparisons_are_forgotten_but_for_the_last_trusted(accounts: list[ProviderAccount]) -> None:
    runs = [compare(LATER + timedelta(days=day)) for day in range(3)]
    Reconciliation.objects.filter(pk=runs[2].pk).update(doubt=Doubt.SHRUNK)
    assert reconciling.forget(before=LATER + timedelta(days=9)) == 2
    assert list(Reconciliation.objects.values_list("pk", flat=True)) == [runs[1].pk]
