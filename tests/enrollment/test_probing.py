"""A provider that is down is tried also while nobody waits, by one; and a probe that nobody made is not lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from django.conf import settings
from django.utils import timezone

from catalog import breaker, line
from catalog.line import Admission
from catalog.models import CallTally, Provider, ProviderLine
from enrollment import probing, provisioning, reconciling, tasks
from enrollment.models import Enrollment, ProviderAccount, Reconciliation
from portal.sandbox.platform_faults import Kind
from tests.accounts import account_of, secret_of, settle
from tests.factories import NOW, make_provider
from tests.platform_server import RunningPlatform

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(minutes=15)


def go_down(**fields: Any) -> ProviderLine:
    values = {"down_since": NOW, "next_probe_at": NOW, "failures": breaker.MOST_FAILURES, **fields}
    return ProviderLine.objects.update_or_create(provider=Provider.objects.get(), defaults=values)[0]


def probe(now: datetime = NOW) -> bool:
    return probing.probe_next(secret_of=secret_of, now=lambda: now)


def row() -> ProviderLine:
    return ProviderLine.objects.get()


# --- While nobody waits ---


def test_provider_that_is_back_is_found_while_nobody_waits(platform: RunningPlatform, ada: Enrollment) -> None:
    ProviderAccount.objects.update(due_at=LATER, attempts=7, trouble="unreachable")
    go_down()
    assert probe()
    assert (row().down_since, account_of(ada).due_at) == (None, NOW)
    assert (platform.calls()["by_method"], platform.accounts()) == ({"GET": 1}, [])
    assert not probe()


def test_provider_that_is_still_away_stays_down_until_the_next_try(platform: RunningPlatform, ada: Enrollment) -> None:
    ProviderAccount.objects.update(due_at=LATER, attempts=7, trouble="unreachable")
    go_down()
    platform.fault(Kind.DOWN)
    assert probe()
    assert (row().down_since, account_of(ada).due_at) == (NOW, LATER)
    assert not probe()


def test_it_is_not_tried_before_its_time_nor_while_work_is_due(platform: RunningPlatform, ada: Enrollment) -> None:
    go_down()
    assert not probe()
    ProviderAccount.objects.update(due_at=None)
    go_down(next_probe_at=NOW + timedelta(seconds=1))
    assert not probe()
    assert platform.calls()["by_method"] == {}


def test_only_one_tries_it(platform: RunningPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find that it is to be tried; the probe is granted to one."""
    make_provider(base_url=platform.base_url)
    go_down()
    assert line.admits(row().pk, now=NOW) == Admission.PROBE
    monkeypatch.setattr(line, "to_be_tried", lambda *, now: list(Provider.objects.all()))
    assert not probe()
    assert platform.calls()["by_method"] == {}


def test_try_without_a_secret_waits_longer_and_calls_nobody(platform: RunningPlatform) -> None:
    make_provider(base_url=platform.base_url, secret_name="ELSEWHERE")
    go_down()
    assert probe()
    assert (row().last_trouble, row().probing, platform.calls()["by_method"]) == ("no_secret", False, {})
    assert row().next_probe_at > timezone.now()  # type: ignore[operator]


def test_task_tries_it_and_wakes_the_workers(platform: RunningPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_PLATFORM_TOKEN", secret_of("SANDBOX_PLATFORM_TOKEN"))
    make_provider(base_url=platform.base_url)
    go_down()
    rung: list[object] = []
    monkeypatch.setattr(tasks, "_publish", rung.append)
    tasks.probe_providers()
    assert rung == [tasks.probe_providers, tasks.provision_due]
    tasks.probe_providers()
    assert (len(rung), row().down_since) == (2, None)


# --- A probe that nobody made ---


def test_probe_whose_work_somebody_else_took_is_given_back(ada: Enrollment, monkeypatch: pytest.MonkeyPatch) -> None:
    go_down()
    with monkeypatch.context() as patch:
        patch.setattr(type(ProviderAccount.objects.all()), "claim_of", lambda *_, **__: None)
        assert not settle()
    assert line.admits(row().pk, now=NOW) == Admission.PROBE


def test_probe_whose_comparison_somebody_else_took_is_given_back(
    ada: Enrollment, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_down()
    reconciling.ask(provider_id=row().pk, by=None, now=NOW)
    with monkeypatch.context() as patch:
        patch.setattr(type(Reconciliation.objects.all()), "claim", lambda *_, **__: None)
        assert not reconciling.compare_next(secret_of=secret_of, now=lambda: NOW)
    assert line.admits(row().pk, now=NOW) == Admission.PROBE


def test_probe_with_work_that_calls_nobody_is_given_back(ada: Enrollment) -> None:
    """What was never claimed and is to be closed asks nobody; what was tried too often neither."""
    for changes in ({"must_be_active": False}, {"attempts": provisioning.MOST_ATTEMPTS, "must_be_active": True}):
        go_down(probing=False)
        ProviderAccount.objects.update(due_at=NOW, lease_until=None, first_claimed_at=None, **changes)
        assert settle()
        assert line.admits(row().pk, now=NOW) == Admission.PROBE


def test_lease_lost_in_the_turn_is_no_call(
    platform: RunningPlatform, ada: Enrollment, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments, real = [NOW], line.turn

    @contextmanager
    def turn(provider_id: int, *, expires: float, writes: bool) -> Iterator[None]:
        with real(provider_id, expires=expires, writes=writes):
            moments.append(NOW + provisioning.LEASE)
            yield

    monkeypatch.setattr(line, "turn", turn)
    assert provisioning.settle_next(secret_of=secret_of, now=lambda: moments[-1])
    found = row()
    assert (found.under_way, found.departures, found.last_success_at) == ([], [], None)
    assert (CallTally.objects.exists(), platform.calls()["by_method"]) == (False, {})


# --- Writes that fail while reads work ---


def test_read_of_the_probe_brings_nobody_forward_while_writes_fail(platform: RunningPlatform, ada: Enrollment) -> None:
    go_down(failures=0, failed_writes=breaker.MOST_FAILURES)
    platform.fault(Kind.ERROR_AFTER_CREATING, times=1)
    ProviderAccount.objects.update(first_claimed_at=NOW, due_at=NOW)
    assert settle()
    assert platform.calls()["by_method"] == {"GET": 1, "POST": 1}
    assert (row().down_since, row().probing) == (NOW, False)


def test_write_of_the_probe_brings_it_back(platform: RunningPlatform, ada: Enrollment) -> None:
    go_down(failures=0, failed_writes=breaker.MOST_FAILURES)
    ProviderAccount.objects.update(first_claimed_at=NOW)
    assert settle()
    assert (row().down_since, row().failed_writes, account_of(ada).seen) == (None, 0, ProviderAccount.Seen.ACTIVE)


# --- After a pause ---


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    tasks._ring_once_at.cache_clear()
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        broker.delete("provider")
        yield broker
        broker.delete("provider")


@pytest.mark.parametrize(("seconds", "messages"), [(10, 1), (40, 0), (-1, 0)], ids=str)
def test_workers_are_rung_once_when_a_pause_ends_before_the_next_sweep(
    broker: redis.Redis, seconds: int, messages: int
) -> None:
    make_provider()
    ends_at = timezone.now() + timedelta(seconds=seconds)
    ProviderLine.objects.create(provider=Provider.objects.get(), paused_until=ends_at)
    for _ in range(2):
        tasks.provision_due()
    found = [str(broker.lindex("provider", place)) for place in range(int(str(broker.llen("provider"))))]
    assert len(found) == messages
    for message in found:
        eta = message.split('"eta": "')[1].split('"')[0]
        assert timedelta(0) < datetime.fromisoformat(eta) - ends_at < timedelta(seconds=1)
