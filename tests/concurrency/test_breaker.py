"""Many workers meet a provider that is down: it is told once, and one of them tries it."""

from __future__ import annotations

import logging
import time
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from catalog import breaker, line
from catalog.breaker import Admission
from catalog.models import Provider, ProviderLine
from catalog.provider.errors import Unreachable
from tests.concurrency.conftest import Together
from tests.factories import make_provider

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

WORKERS = 12
ONLY_PROBES = "WHEN down_since IS NOT NULL AND NOT probing AND epoch <> %(mine_epoch)s THEN 'down'"


@pytest.fixture
def provider() -> Provider:
    provider = make_provider(calls_per_second=1000, calls_at_once=100)
    breaker.make(provider.pk)
    return provider


def call(provider: Provider, *, fails: bool) -> str:
    """How it went, in one word."""
    try:
        with line.turn(provider.pk, expires=12.0):
            time.sleep(0.05)
            if fails:
                raise Unreachable("timeout")
    except Unreachable as error:
        return error.code
    return "answered"


def take_down(together: Together, provider: Provider) -> None:
    together([partial(call, provider, fails=True)] * WORKERS)
    assert ProviderLine.objects.get().down_since is not None


def ask(together: Together, provider: Provider) -> Counter[Admission]:
    later = timezone.now() + timedelta(minutes=1)
    return Counter(together([partial(line.admits, provider.pk, now=later)] * WORKERS))


def test_failures_at_once_take_it_down_once(
    provider: Provider, together: Together, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    take_down(together, provider)
    found = ProviderLine.objects.get()
    assert (found.epoch, found.failures, found.under_way) == (1, breaker.MOST_FAILURES, [])
    said = [record for record in caplog.records if record.name == "catalog.breaker"]
    assert len(said) == 1


def test_one_of_all_workers_gets_the_probe(provider: Provider, together: Together) -> None:
    take_down(together, provider)
    assert ask(together, provider) == {Admission.PROBE: 1, Admission.CLOSED: WORKERS - 1}


def test_without_the_condition_of_the_grant_all_of_them_would_get_it(
    provider: Provider, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above can fail."""

    def looked_first(provider_id: int, now: object) -> bool:
        due = ProviderLine.objects.filter(pk=provider_id, next_probe_at__lte=now).exists()
        time.sleep(0.2)
        return due

    take_down(together, provider)
    monkeypatch.setattr(breaker, "_grant_probe", looked_first)
    assert ask(together, provider) == {Admission.PROBE: WORKERS}


def test_one_call_leaves_for_a_probe_whoever_asks_for_a_turn(provider: Provider, together: Together) -> None:
    take_down(together, provider)
    ask(together, provider)
    answers = Counter(together([partial(call, provider, fails=True)] * WORKERS))
    assert answers == {"timeout": 1, "no_turn": WORKERS - 1}


def test_without_the_look_at_the_breaker_all_of_them_would_call(
    provider: Provider, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above can fail."""
    take_down(together, provider)
    ask(together, provider)
    assert ONLY_PROBES in line._TAKE
    monkeypatch.setattr(line, "_TAKE", line._TAKE.replace(ONLY_PROBES, ""))
    answers = Counter(together([partial(call, provider, fails=True)] * WORKERS))
    assert answers["timeout"] > 1


def test_when_it_is_back_they_begin_one_by_one(provider: Provider, together: Together) -> None:
    """No stampede: each success lets one more call leave at the same time."""
    take_down(together, provider)
    ask(together, provider)
    assert call(provider, fails=False) == "answered"
    seen: list[int] = []

    def look() -> str:
        with line.turn(provider.pk, expires=12.0):
            found = ProviderLine.objects.get()
            seen.append(len(found.under_way) - found.successes)
            time.sleep(0.05)
        return "answered"

    assert together([look] * WORKERS) == ["answered"] * WORKERS
    assert max(seen) == 1
