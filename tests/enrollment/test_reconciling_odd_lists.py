"""Lists that lie, break off, or change while they are read: nothing is repaired by what may not be whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from catalog import reaching
from catalog.models import Provider
from catalog.provider.client import Account, Page
from enrollment import agreeing, comparing, reconciling, repairing
from enrollment.models import Difference, Letter, ListedAccount, ProviderAccount, Reconciliation
from enrollment.repairing import CannotDecide, Obstacle
from libraries.models import User
from tests.accounts import let_line_rest, secret_of
from tests.catalog.provider.odd_server import OddServer, Talk, in_turn, odd_server, saying
from tests.comparisons import LATER, found
from tests.factories import NOW, make_coordinator, make_provider, make_user

pytestmark = pytest.mark.django_db
Doubt = Reconciliation.Doubt
Say = dict[str, object]


@pytest.fixture
def accounts() -> list[ProviderAccount]:
    """Six that were opened and are settled; every difference is usual."""
    provider = make_provider(fuse_percent=100)
    people = [make_user(f"member{number}@example.test") for number in range(6)]
    seen = {"must_be_active": True, "seen": "active", "seen_at": NOW, "first_claimed_at": NOW}
    rows = [
        ProviderAccount.objects.create(user=each, provider=provider, remote_id=f"r{number}", **seen)
        for number, each in enumerate(people)
    ]
    agreeing.note_told([row.pk for row in rows], now=NOW)
    return rows


def entry(account: ProviderAccount) -> Say:
    person = account.user
    return {
        "id": account.remote_id,
        "externalId": str(account.external_id),
        "userName": person.email,
        "name": {"givenName": person.first_name, "familyName": person.last_name},
        "emails": [{"value": person.email}],
    }


def part(total: int, *accounts: ProviderAccount) -> Talk:
    body = {"totalResults": total, "Resources": [entry(account) for account in accounts]}
    return saying("200 OK", json.dumps(body).encode())


def compare_with(*talks: Talk) -> tuple[Reconciliation, OddServer]:
    with odd_server(in_turn(*talks)) as odd:
        Provider.objects.update(base_url=odd.base_url)
        run = reconciling.ask(provider_id=Provider.objects.get().pk, by=None, now=LATER)
        run = run or Reconciliation.objects.owed().get()
        assert reconciling.compare_next(secret_of=secret_of, now=lambda: LATER, only=run)
    run.refresh_from_db()
    return run, odd


def refusal(run: Reconciliation, by: User) -> Obstacle | None:
    try:
        repairing.repair(run.pk, by=by, now=LATER, kind="only_here")
    except CannotDecide as cannot:
        return cannot.obstacle
    return None


@pytest.fixture
def mo() -> User:
    return make_coordinator()


def test_list_in_parts_of_any_size_is_whole(accounts: list[ProviderAccount]) -> None:
    run, odd = compare_with(part(6, *accounts[:1]), part(6, *accounts[1:4]), part(6, *accounts[4:]))
    assert (run.doubt, run.listed, run.ours, found(run), len(odd.requests)) == ("", 6, 6, [], 3)


# --- Cut short ---


def the_same_again(accounts: list[ProviderAccount]) -> list[Talk]:
    return [part(6, *accounts[:2]), part(6, *accounts[:2])]


def an_end_before_the_end(accounts: list[ProviderAccount]) -> list[Talk]:
    return [part(6, *accounts[:4]), part(6)]


def some_twice_and_others_not(accounts: list[ProviderAccount]) -> list[Talk]:
    """The order is another one for each part."""
    first, second = accounts[:3], [accounts[5], accounts[1], accounts[2]]
    return [part(6, *first), part(6, *second)]


def one_that_went_and_one_that_slid_past(accounts: list[ProviderAccount]) -> list[Talk]:
    """Between the parts two are removed and one is added in front: the end is reached, but one was never shown."""
    return [part(6, *accounts[:3]), part(5, accounts[2], accounts[4])]


CUT = [the_same_again, an_end_before_the_end, some_twice_and_others_not, one_that_went_and_one_that_slid_past]


@pytest.mark.parametrize("parts", CUT)
def test_list_that_is_not_whole_is_doubted_and_repaired_by_nobody(
    parts: Callable[[list[ProviderAccount]], list[Talk]], accounts: list[ProviderAccount], mo: User
) -> None:
    run, _odd = compare_with(*parts(accounts))
    assert (run.doubt, run.is_trusted) == (Doubt.CUT_SHORT, False)
    assert run.differences.filter(kind="only_here").exists()
    assert (refusal(run, mo), ProviderAccount.objects.owed().count()) == (Obstacle.DOUBTED, 0)
    assert list(Letter.objects.values_list("kind", "user_id", "reason")) == [("lists_disagree", mo.pk, "cut_short")]


def test_list_without_an_end_that_names_no_number_is_doubted(
    accounts: list[ProviderAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless:
        has_list = True

        def page(self, after: str | None) -> Page:
            listed = Account(accounts[0].remote_id, str(accounts[0].external_id), None, None, None, None, active=True)
            return Page([listed], "on", None)

    monkeypatch.setattr(reconciling, "MOST_PARTS", 3)
    monkeypatch.setattr(reaching, "client_of", lambda provider, **settings: Endless())
    assert compare_with()[0].doubt == Doubt.CUT_SHORT


def test_empty_list_is_doubted_though_it_says_that_it_is_whole(accounts: list[ProviderAccount], mo: User) -> None:
    run, _odd = compare_with(part(0))
    assert (run.doubt, run.differences.count(), refusal(run, mo)) == (Doubt.EMPTY, 6, Obstacle.DOUBTED)


def test_list_that_grows_meanwhile_is_whole(accounts: list[ProviderAccount]) -> None:
    """One was added in front: what stood last in the first part comes again."""
    run, _odd = compare_with(part(6, *accounts[:3]), part(7, accounts[2], *accounts[3:]))
    assert (run.doubt, run.listed, found(run)) == ("", 6, [])


def test_account_that_slid_past_is_looked_at_again_before_anything_is_done(
    accounts: list[ProviderAccount], mo: User
) -> None:
    """One was removed from the first part, and so one of the second was never shown: nobody can see that in the list.
    A repair looks for it first."""
    run, _odd = compare_with(part(6, *accounts[:3]), part(5, *accounts[4:]))
    assert (run.doubt, found(run)) == ("", [("only_here", accounts[3].pk, "", "agree")])
    repairing.repair(run.pk, by=mo, now=LATER, kind="only_here")
    owed = ProviderAccount.objects.owed().get()
    assert (owed.pk, owed.seen, owed.first_claimed_at) == (accounts[3].pk, "unknown", NOW)


# --- Shrunk, or changed too much ---


@pytest.mark.parametrize(("missing", "doubt"), [(2, ""), (3, Doubt.SHRUNK)])
def test_more_than_the_set_share_gone_since_the_last_list_is_doubted(
    missing: int, doubt: str, accounts: list[ProviderAccount]
) -> None:
    compare_with(part(6, *accounts))
    Provider.objects.update(fuse_percent=40)
    run, _odd = compare_with(part(6 - missing, *accounts[missing:]))
    assert (run.doubt, run.ours) == (doubt, 6 - missing)


def test_gone_ones_that_nobody_needs_are_a_smaller_list_all_the_same(accounts: list[ProviderAccount]) -> None:
    """Closed accounts that got lost are no differences; that many of them are gone is doubted."""
    ProviderAccount.objects.update(must_be_active=False, seen="closed")
    closed = [{**entry(account), "active": False} for account in accounts]
    whole = saying("200 OK", json.dumps({"totalResults": 6, "Resources": closed}).encode())
    assert compare_with(whole)[0].doubt == ""
    Provider.objects.update(fuse_percent=40)
    less = saying("200 OK", json.dumps({"totalResults": 3, "Resources": closed[:3]}).encode())
    run, _odd = compare_with(less)
    assert (run.doubt, found(run)) == (Doubt.SHRUNK, [])


def test_erased_ones_do_not_make_a_list_smaller(accounts: list[ProviderAccount]) -> None:
    compare_with(part(6, *accounts))
    Provider.objects.update(fuse_percent=1)
    gone = [account.pk for account in accounts[:3]]
    ProviderAccount.objects.filter(pk__in=gone).update(
        must_be_active=False, must_be_erased=True, seen="absent", erased_at=LATER, seen_at=LATER
    )
    assert compare_with(part(3, *accounts[3:]))[0].doubt == ""


def test_accounts_opened_while_the_last_comparison_waited_were_on_its_list(accounts: list[ProviderAccount]) -> None:
    compare_with(part(6, *accounts))
    Reconciliation.objects.update(asked_at=NOW - timedelta(hours=9))
    Provider.objects.update(fuse_percent=1)
    assert compare_with(part(6, *accounts))[0].doubt == ""


def test_more_repairs_than_the_set_share_are_doubted(accounts: list[ProviderAccount]) -> None:
    """All are there, but half of them closed: somebody looks before they are opened again."""
    Provider.objects.update(fuse_percent=40)
    body = [{**entry(account), "active": place > 2} for place, account in enumerate(accounts)]
    run, _odd = compare_with(saying("200 OK", json.dumps({"totalResults": 6, "Resources": body}).encode()))
    assert (run.doubt, run.differences.filter(kind="closed_there").count()) == (Doubt.SHRUNK, 3)


def test_list_without_any_of_ours_is_doubted_though_few(accounts: list[ProviderAccount]) -> None:
    ProviderAccount.objects.exclude(pk__in=[accounts[0].pk]).delete()
    other = {"id": "boss", "userName": "boss@company.test"}
    run, _odd = compare_with(saying("200 OK", json.dumps({"totalResults": 1, "Resources": [other]}).encode()))
    assert (run.doubt, run.listed, run.ours) == (Doubt.SHRUNK, 1, 0)


# --- In the middle ---


def test_failure_in_the_middle_begins_anew_and_keeps_nothing(accounts: list[ProviderAccount]) -> None:
    run, _odd = compare_with(part(6, *accounts[:3]), saying("500 Internal Server Error"))
    assert (run.finished_at, run.trouble, run.attempts, run.lease_token) == (None, "server_error", 1, None)
    assert run.due_at is not None
    assert run.due_at > LATER
    assert Difference.objects.count() == 0
    # What was read of the first try is not there any more: these are others.
    let_line_rest(LATER)
    Reconciliation.objects.update(due_at=LATER)
    again, odd = compare_with(part(3, *accounts[3:]))
    assert (again.pk, again.listed, again.ours, len(odd.requests)) == (run.pk, 3, 3, 1)
    assert ListedAccount.objects.count() == 0


def test_lease_lost_in_the_middle_writes_nothing_more(accounts: list[ProviderAccount]) -> None:
    other = uuid4()

    def lose(run: Reconciliation) -> None:
        Reconciliation.objects.filter(pk=run.pk).update(lease_token=other, lease_until=LATER + timedelta(hours=1))

    kept = comparing.keep

    def keep_then_lose(run: Reconciliation, listed: Sequence[Account]) -> None:
        kept(run, listed)
        lose(run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "keep", keep_then_lose)
        run, odd = compare_with(part(6, *accounts[:3]), part(6, *accounts[3:]))
    assert (run.lease_token, run.finished_at, run.trouble, run.listed) == (other, None, "", 0)
    assert (len(odd.requests), Difference.objects.count(), ListedAccount.objects.count()) == (1, 0, 3)


def test_lease_lost_before_the_end_concludes_nothing(accounts: list[ProviderAccount]) -> None:
    other, written = uuid4(), agreeing.owe_changes

    def lose(*, now: datetime) -> int:
        Reconciliation.objects.update(lease_token=other)
        return written(now=now)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreeing, "owe_changes", lose)
        run, _odd = compare_with(part(5, *accounts[:5]))
    assert (run.lease_token, run.finished_at, Difference.objects.count()) == (other, None, 0)


# --- Who may be believed, and until when ---


def test_trusted_list_is_the_measure_of_the_next(accounts: list[ProviderAccount], mo: User) -> None:
    compare_with(part(6, *accounts))
    Provider.objects.update(fuse_percent=40)
    doubted = compare_with(part(3, *accounts[:3]))[0]
    assert compare_with(part(3, *accounts[:3]))[0].doubt == Doubt.SHRUNK  # still measured by the first
    assert reconciling.trust(doubted.pk, by=mo, now=LATER)
    ProviderAccount.objects.filter(pk__in=[each.pk for each in accounts[3:]]).update(seen_at=LATER)
    assert compare_with(part(3, *accounts[:3]))[0].doubt == ""


def test_trusting_an_older_list_repairs_nothing_by_it(accounts: list[ProviderAccount], mo: User) -> None:
    old = compare_with(part(6, *accounts[:3]), part(6))[0]
    compare_with(part(6, *accounts))
    assert reconciling.trust(old.pk, by=mo, now=LATER)
    assert refusal(old, mo) == Obstacle.OLD
