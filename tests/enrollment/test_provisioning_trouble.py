"""What ails the provider makes nobody stuck, and what ails one account keeps nobody else waiting."""

from __future__ import annotations

from datetime import timedelta

import pytest

from catalog import line
from catalog.models import Provider, ProviderLine
from catalog.provider.errors import RateLimited, Refused, Unclear, Unreachable
from enrollment import outcomes, provisioning
from enrollment.models import Enrollment, ProviderAccount
from libraries.models import Institution
from tests.accounts import account_of, let_line_rest, seated, settle, settle_all
from tests.factories import NOW, make_programme
from tests.platform_server import Kind, RunningPlatform

pytestmark = pytest.mark.django_db
Seen = ProviderAccount.Seen


@pytest.fixture
def many(halle: Institution) -> list[Enrollment]:
    programme = make_programme()
    return [seated(f"m{number}@example.test", programme, halle, f"2100000{number}") for number in range(8)]


def claimed(enrollment: Enrollment, attempts: int = 1) -> ProviderAccount:
    ProviderAccount.objects.filter(user_id=enrollment.user_id).update(attempts=attempts - 1)
    theirs = ProviderAccount.objects.filter(user_id=enrollment.user_id)
    account = theirs.claim(now=NOW, lease=provisioning.LEASE)
    assert account is not None
    return account


@pytest.mark.parametrize("code", ["bad_token", "no_secret", "bad_address", "redirected", "unknown_kind"])
def test_wrong_setting_of_the_provider_makes_nobody_stuck(ada: Enrollment, code: str) -> None:
    account = claimed(ada, outcomes.MOST_ATTEMPTS)
    outcomes.publish_trouble(account, Refused(code), now=NOW)
    account = account_of(ada)
    assert (account.stuck_at, account.trouble, account.attempts) == (None, code, 10)
    assert account.due_at is not None


def test_wrong_token_takes_the_line_down_after_one_account(
    platform: RunningPlatform, many: list[Enrollment], monkeypatch: pytest.MonkeyPatch
) -> None:
    def settle_with(token: str) -> bool:
        return provisioning.settle_next(secret_of=lambda name: token, now=lambda: NOW)

    assert settle_with("of-yesterday")
    assert not settle_with("of-yesterday")
    assert ProviderAccount.objects.stuck().count() == 0
    assert ProviderAccount.objects.untried().count() == 7
    let_line_rest(NOW)
    settle_all()
    assert ProviderAccount.objects.filter(seen=Seen.ACTIVE).count() == 8


def test_provider_that_is_down_is_left_alone_and_all_are_served_when_it_is_back(
    platform: RunningPlatform, many: list[Enrollment]
) -> None:
    platform.fault(Kind.DOWN)
    for _ in range(8):
        settle()
    assert platform.calls()["by_method"] == {"POST": 5}
    tried = ProviderAccount.objects.tried()
    tried.update(due_at=NOW + timedelta(minutes=15))  # as after many tries
    platform.clear_faults()
    let_line_rest(NOW)
    settle_all()
    assert ProviderAccount.objects.filter(seen=Seen.ACTIVE).count() == 8
    assert ProviderLine.objects.get().down_since is None


def test_those_who_wait_for_something_else_are_not_brought_forward(ada: Enrollment) -> None:
    theirs = ProviderAccount.objects.filter(user_id=ada.user_id)
    later = NOW + timedelta(minutes=15)
    for trouble, due_at in [("unreachable", NOW), ("rate_limited", later), ("not_erased_yet", later), ("gone", later)]:
        theirs.update(due_at=later, attempts=3, trouble=trouble)
        outcomes.bring_forward(Provider.objects.get().pk, now=NOW)
        assert account_of(ada).due_at == due_at


def test_unclear_write_counts_against_the_account_only_while_the_provider_is_up(ada: Enrollment) -> None:
    row = ProviderLine.objects.create(provider=Provider.objects.get(), down_since=NOW, next_probe_at=NOW)
    outcomes.publish_trouble(claimed(ada, outcomes.MOST_ATTEMPTS), Unclear("timeout"), now=NOW)
    assert account_of(ada).stuck_at is None
    ProviderLine.objects.filter(pk=row.pk).update(down_since=None)
    ProviderAccount.objects.update(due_at=NOW)
    outcomes.publish_trouble(claimed(ada, outcomes.MOST_ATTEMPTS), Unclear("timeout"), now=NOW)
    assert account_of(ada).stuck_at == NOW


def test_account_that_always_changes_meanwhile_gets_stuck_also_while_the_provider_is_down(ada: Enrollment) -> None:
    ProviderLine.objects.create(provider=Provider.objects.get(), down_since=NOW, next_probe_at=NOW)
    outcomes.publish_trouble(claimed(ada, outcomes.MOST_ATTEMPTS), Unclear("changed_meanwhile"), now=NOW)
    assert account_of(ada).stuck_at == NOW


def test_claim_whose_turn_did_not_come_is_as_if_it_had_not_been(
    platform: RunningPlatform, ada: Enrollment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_turn(provider_id: int, *, expires: float, writes: bool) -> None:
        raise Unreachable("no_turn", after=3.0)

    monkeypatch.setattr(line, "turn", no_turn)
    assert settle()
    account = account_of(ada)
    assert (account.attempts, account.first_claimed_at, account.trouble) == (0, None, "")
    assert (account.due_at, account.lease_token) == (NOW + timedelta(seconds=3), None)
    monkeypatch.undo()
    settle_all(NOW + timedelta(seconds=3))
    assert platform.calls()["by_method"] == {"POST": 1}


def test_turn_that_does_not_come_for_the_second_request_leaves_a_trace(
    platform: RunningPlatform, ada: Enrollment, monkeypatch: pytest.MonkeyPatch
) -> None:
    ProviderAccount.objects.update(first_claimed_at=NOW)
    real, asked = line.turn, []

    def turn(provider_id: int, *, expires: float, writes: bool) -> object:
        asked.append(provider_id)
        if len(asked) == 2:
            raise Unreachable("no_turn")
        return real(provider_id, expires=expires, writes=writes)

    monkeypatch.setattr(line, "turn", turn)
    assert settle()
    assert (account_of(ada).attempts, account_of(ada).trouble) == (1, "no_turn")


def test_rate_limit_pauses_the_account_for_as_long_as_it_was_asked(ada: Enrollment) -> None:
    outcomes.publish_trouble(claimed(ada), RateLimited(120.0), now=NOW)
    assert (account_of(ada).due_at, account_of(ada).stuck_at) == (NOW + timedelta(seconds=120), None)
    ProviderAccount.objects.update(due_at=NOW)
    outcomes.publish_trouble(claimed(ada, outcomes.MOST_ATTEMPTS), RateLimited(120.0), now=NOW)
    assert account_of(ada).stuck_at is None


def test_limit_of_the_provider_makes_the_account_stuck_and_nobody_else(
    platform: RunningPlatform, many: list[Enrollment]
) -> None:
    platform.fault(Kind.REFUSE, times=1)
    settle_all()
    assert ProviderAccount.objects.stuck().values_list("trouble", flat=True).get() == "limit_reached"
    assert ProviderAccount.objects.filter(seen=Seen.ACTIVE).count() == 7
