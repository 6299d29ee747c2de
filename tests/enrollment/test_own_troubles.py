"""What ails one account alone gets it stuck, also where the same might ail everybody."""

from __future__ import annotations

from datetime import timedelta

import pytest

from catalog import breaker, line
from catalog.models import Provider, ProviderLine
from catalog.provider.errors import PERHAPS_WIDE, ProviderError, Refused, Unreachable
from enrollment import outcomes, provider_checks, provisioning, reconciling
from enrollment.models import Enrollment, ProviderAccount
from libraries.scoping import Role
from tests.accounts import BO, account_of, secret_of
from tests.factories import NOW, make_provider, make_staff, make_user
from tests.platform_server import Kind, RunningPlatform

pytestmark = pytest.mark.django_db


def tried(enrollment: Enrollment, attempts: int, error: ProviderError) -> ProviderAccount:
    theirs = ProviderAccount.objects.filter(user_id=enrollment.user_id)
    theirs.update(attempts=attempts - 1, due_at=NOW, stuck_at=None)
    account = theirs.claim(now=NOW, lease=provisioning.LEASE)
    assert account is not None
    outcomes.publish_trouble(account, error, now=NOW)
    return account_of(enrollment)


def go_down() -> None:
    ProviderLine.objects.update_or_create(
        provider=Provider.objects.get(), defaults={"down_since": NOW, "next_probe_at": NOW}
    )


@pytest.mark.parametrize("code", sorted(PERHAPS_WIDE))
def test_refusal_that_may_be_for_everybody_sticks_to_the_one_who_meets_it_alone(ada: Enrollment, code: str) -> None:
    assert tried(ada, outcomes.MOST_REFUSALS - 1, Refused(code)).stuck_at is None
    assert tried(ada, outcomes.MOST_REFUSALS, Refused(code)).stuck_at == NOW
    go_down()
    assert tried(ada, outcomes.MOST_ATTEMPTS, Refused(code)).stuck_at is None


@pytest.mark.parametrize("code", sorted(PERHAPS_WIDE))
def test_refusals_that_may_be_for_everybody_take_the_line_down_only_when_there_are_several(code: str) -> None:
    provider, left = make_provider(calls_per_second=1000), []
    for _ in range(breaker.MOST_FAILURES):
        with pytest.raises(Refused), line.turn(provider.pk, expires=12.0):
            raise Refused(code)
        left.append(ProviderLine.objects.get().down_since is None)
    assert left == [True] * (breaker.MOST_FAILURES - 1) + [False]
    assert outcomes.MOST_REFUSALS < breaker.MOST_FAILURES


def test_account_that_is_never_answered_gets_stuck_while_others_are(ada: Enrollment) -> None:
    assert tried(ada, outcomes.MOST_ATTEMPTS - 1, Unreachable("server_error")).stuck_at is None
    assert tried(ada, outcomes.MOST_ATTEMPTS, Unreachable("server_error")).stuck_at == NOW
    assert tried(ada, outcomes.MOST_ATTEMPTS, Unreachable("no_turn")).stuck_at is None
    go_down()
    assert tried(ada, outcomes.MOST_ATTEMPTS, Unreachable("server_error")).stuck_at is None


def test_refusal_that_may_be_its_own_is_not_brought_forward(platform: RunningPlatform, ada: Enrollment) -> None:
    due_at = tried(ada, 2, Refused("not_allowed")).due_at
    outcomes.bring_forward(Provider.objects.get().pk, now=NOW)
    assert (account_of(ada).due_at, account_of(ada).attempts) == (due_at, 2)


def test_probe_is_made_with_somebody_else_than_who_failed_before(ada: Enrollment) -> None:
    provider = Provider.objects.get()
    ProviderAccount.objects.update(attempts=7, due_at=NOW)
    bo = ProviderAccount.objects.create(user=make_user(BO), provider=provider, must_be_active=True, due_at=NOW)
    go_down()
    claimed = [
        ProviderAccount.objects.claim_of(provider, now=NOW, lease=provisioning.LEASE, as_probe=True) for _ in range(3)
    ]
    assert [account and account.user_id for account in claimed] == [bo.user_id, ada.user_id, None]


def test_worker_that_gets_the_probe_makes_it_with_somebody_else(ada: Enrollment) -> None:
    ProviderAccount.objects.update(attempts=7, due_at=NOW)
    provider = Provider.objects.get()
    bo = ProviderAccount.objects.create(user=make_user(BO), provider=provider, must_be_active=True, due_at=NOW)
    go_down()
    account, admission = provisioning._claim(NOW)
    assert (account and account.user_id, admission) == (bo.user_id, line.Admission.PROBE)


def test_nobody_is_brought_forward_by_a_probe_that_fails(platform: RunningPlatform, ada: Enrollment) -> None:
    later = NOW + timedelta(minutes=15)
    ProviderAccount.objects.update(attempts=7, due_at=later, trouble="unreachable", first_claimed_at=NOW)
    go_down()
    platform.fault(Kind.DOWN)
    reconciling.ask(provider_id=Provider.objects.get().pk, by=None, now=NOW)
    assert reconciling.compare_next(secret_of=secret_of, now=lambda: NOW)
    assert ProviderLine.objects.get().down_since is not None
    assert (account_of(ada).due_at, account_of(ada).attempts) == (later, 7)


@pytest.mark.parametrize("by", ["comparison", "test"])
def test_whoever_finds_the_provider_back_brings_all_forward(
    platform: RunningPlatform, ada: Enrollment, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    later = NOW + timedelta(minutes=15)
    ProviderAccount.objects.update(attempts=7, due_at=later, trouble="unreachable", first_claimed_at=NOW)
    go_down()
    if by == "comparison":
        reconciling.ask(provider_id=Provider.objects.get().pk, by=None, now=NOW)
        assert reconciling.compare_next(secret_of=secret_of, now=lambda: NOW)
    else:
        monkeypatch.setenv("SANDBOX_PLATFORM_TOKEN", secret_of("SANDBOX_PLATFORM_TOKEN"))
        provider_checks.try_out(Provider.objects.get(), by=make_staff("ops@example.test", Role.OPERATOR), now=NOW)
    assert ProviderLine.objects.get().down_since is None
    assert account_of(ada).due_at == NOW


def test_worker_goes_to_the_provider_that_is_less_busy() -> None:
    """With two calls to a slow provider under way, of three that it allows, and one of two to another."""
    slow, other = (make_provider(slug, calls_at_once=at_once) for slug, at_once in (("slow", 3), ("other", 2)))
    until, over = (round((NOW + timedelta(seconds=each)).timestamp() * 1_000_000) for each in (9, -1))
    ProviderLine.objects.create(provider=slow, under_way=[until, until + 1, over], successes=100)
    ProviderLine.objects.create(provider=other, under_way=[until], successes=100)
    users = [make_user(f"m{number}@example.test") for number in range(4)]
    for user in users:
        for provider in (slow, other):
            ProviderAccount.objects.create(user=user, provider=provider, must_be_active=True, due_at=NOW)
    claimed = [provisioning._claim(NOW)[0] for _ in users]
    assert [account and account.provider_id for account in claimed] == [other.pk] * 4
