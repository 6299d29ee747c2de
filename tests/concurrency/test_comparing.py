"""Comparisons and repairs at once: each comparison is made by one worker, and each difference decided by one person."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from catalog import reaching
from catalog.models import Provider
from catalog.provider.client import Account, Page
from enrollment import reconciling, repairing
from enrollment.models import Difference, Event, ListedAccount, ProviderAccount, Reconciliation
from enrollment.models.owed import OwedQuerySet
from enrollment.repairing import Decided
from libraries.models import User
from tests.concurrency.conftest import Together
from tests.factories import NOW, make_coordinator, make_provider, make_staff, make_user

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]
LATER = NOW + timedelta(hours=1)
ACCOUNTS, WORKERS = 12, 4
SEEN = {"must_be_active": True, "seen": "active", "seen_at": NOW, "first_claimed_at": NOW}


class Listing:
    """Counts how often the list was begun."""

    has_list = True

    def __init__(self) -> None:
        self.begun = 0

    def page(self, after: str | None) -> Page:
        self.begun += after is None
        return Page([Account("boss", None, None, None, None, None, active=True)], None, 1)


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> Listing:
    make_provider()
    listing = Listing()
    monkeypatch.setattr(reaching, "client_of", lambda *_, **__: listing)
    return listing


@pytest.fixture
def run() -> Reconciliation:
    """A finished comparison by which every account got lost."""
    provider = make_provider(fuse_percent=100)
    run = Reconciliation.objects.create(provider=provider, asked_at=NOW, finished_at=LATER)
    for number in range(ACCOUNTS):
        account = ProviderAccount.objects.create(
            user=make_user(f"m{number}@example.test"), provider=provider, **SEEN, remote_id=f"r{number}"
        )
        Difference.objects.create(reconciliation=run, kind="only_here", account=account, repair="agree")
    return run


def deciders() -> list[User]:
    return [make_coordinator(), make_staff("oz@example.test", "operator")]


def compare() -> bool:
    return reconciling.compare_next(secret_of=str, now=lambda: LATER)


def test_one_comparison_is_made_by_one_of_the_workers(listing: Listing, together: Together) -> None:
    reconciling.ask_all(now=NOW)
    run = reconciling.ask(provider_id=Provider.objects.get().pk, by=None, now=NOW)
    assert sorted(together([compare] * WORKERS)) == [False] * (WORKERS - 1) + [True]
    assert run is not None
    run.refresh_from_db()
    assert (listing.begun, run.finished_at, run.listed) == (1, LATER, 1)
    assert Event.objects.filter(kind="lists_compared").count() == 1


def test_without_the_lease_they_would_all_read_the_list(
    listing: Listing, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciling.ask(provider_id=Provider.objects.get().pk, by=None, now=NOW)
    monkeypatch.setattr(OwedQuerySet, "claim", lambda rows, **_: Reconciliation.objects.owed().first())
    together([compare] * WORKERS)
    assert listing.begun > 1


def test_asked_for_at_once_it_is_owed_once(listing: Listing, together: Together) -> None:
    ask = partial(reconciling.ask, provider_id=Provider.objects.get().pk, by=None, now=NOW)
    asked = together([ask] * WORKERS)
    assert (sum(each is not None for each in asked), Reconciliation.objects.count()) == (1, 1)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_two_people_who_repair_the_same_do_it_once(run: Reconciliation, together: Together, one_by_one: bool) -> None:
    which: dict[str, Any] = {"kind": "only_here"}
    if one_by_one:
        which = {"ids": list(run.differences.order_by("-pk").values_list("pk", flat=True))}
    calls = [partial(repairing.repair, run.pk, by=by, now=LATER, **which) for by in deciders()] * 2
    done = together(calls)
    assert sorted(each.done for each in done) == [0, 0, 0, ACCOUNTS]
    assert set(ProviderAccount.objects.values_list("version", "attempts")) == {(1, 0)}
    assert Event.objects.filter(kind="difference_repaired").count() == ACCOUNTS


def test_one_repairs_what_another_leaves_and_each_has_one_answer(run: Reconciliation, together: Together) -> None:
    mo, oz = deciders()
    calls = [
        partial(repairing.repair, run.pk, by=mo, now=LATER, kind="only_here"),
        partial(repairing.leave, run.pk, by=oz, now=LATER, kind="only_here"),
    ]
    repaired, left = together(calls)
    assert {repaired, left} == {Decided(ACCOUNTS, 0), Decided(0, 0)}
    assert ProviderAccount.objects.owed().count() == repaired.done
    assert Event.objects.filter(kind__in=["difference_repaired", "difference_left"]).count() == ACCOUNTS


def test_repair_while_accounts_are_being_settled_takes_none_of_them_away(
    run: Reconciliation, together: Together
) -> None:
    """Half of them were claimed for something newer: who claimed them publishes, and nothing is owed twice."""
    claimed = list(ProviderAccount.objects.order_by("pk")[: ACCOUNTS // 2])
    token = uuid4()
    for account in claimed:
        ProviderAccount.objects.filter(pk=account.pk).update(due_at=NOW, lease_token=token, lease_until=LATER)
        account.refresh_from_db()

    def publish() -> list[bool]:
        return [
            ProviderAccount.objects.publish(each, due_at=None, seen="active", seen_at=LATER + timedelta(seconds=1))
            for each in reversed(claimed)
        ]

    [mo, _oz] = deciders()
    decided, published = together([partial(repairing.repair, run.pk, by=mo, now=LATER, kind="only_here"), publish])
    assert (decided, published) == (Decided(ACCOUNTS // 2, ACCOUNTS // 2), [True] * len(claimed))
    owed = set(ProviderAccount.objects.owed().values_list("pk", flat=True))
    assert owed == set(ProviderAccount.objects.values_list("pk", flat=True)) - {each.pk for each in claimed}
    assert run.differences.filter(state="gone").count() == len(claimed)


def test_list_is_compared_while_another_provider_is(listing: Listing, together: Together) -> None:
    other = Provider.objects.create(slug="other", name="Other", base_url="http://other.test", secret_name="OTHER")
    for each in Provider.objects.all():
        reconciling.ask(provider_id=each.pk, by=None, now=NOW)
    assert together([compare, compare]) == [True, True]
    assert set(Reconciliation.objects.values_list("provider_id", "listed")) == {
        (other.pk, 1),
        (Provider.objects.get(slug="skillstown").pk, 1),
    }
    assert ListedAccount.objects.count() == 0
    connection.close()
