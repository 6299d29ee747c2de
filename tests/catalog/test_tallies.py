"""How calls went is counted by the minute, and read with one query however many there were."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog import breaker, line, tallies
from catalog.models import CallTally, Provider
from catalog.provider.errors import ProviderError, RateLimited, Refused, Unclear
from tests.factories import NOW, make_provider

pytestmark = pytest.mark.django_db

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
BUCKETS = len(tallies.BUCKETS) + 1


@pytest.fixture
def provider() -> Provider:
    return make_provider(calls_per_second=1000)


def tally(provider: Provider, minute: datetime, outcome: str = "", **counts: int) -> None:
    """`b3=7`: seven calls in bucket 3."""
    buckets = [counts.get(f"b{each}", 0) for each in range(BUCKETS)]
    CallTally.objects.create(provider=provider, minute=minute, outcome=outcome, count=sum(buckets), buckets=buckets)


def call(provider: Provider, error: ProviderError | None, seconds: float) -> None:
    place = line._take(provider.pk, 12.0, lambda: 0.0, lambda _: None)
    breaker.note(provider.pk, breaker.judge(error), place=place, seconds=seconds)


def test_calls_are_counted_by_outcome_and_time(provider: Provider) -> None:
    for error, seconds in [
        (None, 0.005),
        (None, 0.010),
        (None, 0.011),
        (Refused("name_taken"), 0.2),
        (RateLimited(1), 0.03),
        (Unclear("timeout"), 25.0),
    ]:
        call(provider, error, seconds)
    found = {row.outcome: (row.count, row.buckets) for row in CallTally.objects.all()}
    expected = {"": {0: 2, 1: 1}, "name_taken": {5: 1}, "rate_limited": {2: 1}, "timeout": {BUCKETS - 1: 1}}
    assert found == {
        code: (sum(places.values()), [places.get(each, 0) for each in range(BUCKETS)])
        for code, places in expected.items()
    }


def test_what_was_found_before_any_call_is_not_counted(provider: Provider) -> None:
    line.report(provider.pk, Refused("no_secret"))
    assert not CallTally.objects.exists()


def test_latency_goes_evenly_through_the_buckets(provider: Provider) -> None:
    tally(provider, NOW, b4=50)  # 60 to 100 ms
    tally(provider, NOW + MINUTE, "timeout", b5=40, b14=10)  # 100 to 200 ms, and more than 20 s
    tally(provider, NOW - MINUTE, b0=1000)
    assert tallies.latency(provider.pk, since=NOW) == tallies.Latency(100, 100.0, 20000.0, 20000.0)
    assert tallies.percentile([0, 0, 0, 0, 50, 40, 10, *[0] * 8], 0.25) == 80.0


def test_latency_of_nothing_is_unknown(provider: Provider) -> None:
    assert tallies.latency(provider.pk, since=NOW) == tallies.Latency(0, None, None, None)


def test_calls_per_minute(provider: Provider) -> None:
    tally(provider, NOW, b0=2)
    tally(provider, NOW, "timeout", b0=3)
    tally(provider, NOW + MINUTE, b0=4)
    tally(make_provider("other"), NOW, b0=9)
    assert tallies.per_minute(provider.pk, since=NOW) == {NOW: 5, NOW + MINUTE: 4}


def test_errors_by_day_are_those_of_the_sites_days(provider: Provider) -> None:
    """In Brussels the next day begins at 22:00 UTC in summer."""
    evening = datetime(2026, 7, 3, 22, 30, tzinfo=UTC)
    tally(provider, evening, "timeout", b0=1)
    tally(provider, NOW, "timeout", b0=2)
    tally(provider, NOW + MINUTE, "timeout", b1=2)
    tally(provider, NOW, "", b0=9)
    tally(provider, NOW - 2 * DAY, "timeout", b0=9)
    assert [(each.day, each.code, each.count) for each in tallies.errors_by_day(provider.pk, since=NOW)] == [
        (date(2026, 7, 4), "timeout", 1),
        (date(2026, 7, 3), "", 9),
        (date(2026, 7, 3), "timeout", 4),
    ]


@pytest.mark.parametrize("minutes", [1, 100])
def test_reading_takes_one_query_each(provider: Provider, minutes: int) -> None:
    breaker.make(provider.pk)
    for each in range(minutes):
        tally(provider, NOW + each * MINUTE, b0=1)
    reading: list[Callable[[], Any]] = [
        lambda: tallies.latency(provider.pk, since=NOW),
        lambda: tallies.per_minute(provider.pk, since=NOW),
        lambda: tallies.errors_by_day(provider.pk, since=NOW),
        lambda: line.state(provider.pk, now=NOW),
    ]
    with CaptureQueriesContext(connection) as queries:
        for read in reading:
            read()
    assert len(queries) == len(reading)


def test_old_counts_are_forgotten(provider: Provider) -> None:
    tally(provider, NOW - MINUTE, b0=1)
    tally(provider, NOW, b0=1)
    assert tallies.forget(before=NOW) == 1
    assert [row.minute for row in CallTally.objects.all()] == [NOW]


def test_state_of_a_line_that_was_called(provider: Provider) -> None:
    with suppress(RateLimited), line.turn(provider.pk, expires=12.0), line.turn(provider.pk, expires=12.0):
        now = timezone.now()
        busy = line.state(provider.pk, now=now)
        raise RateLimited(60)
    assert (busy.under_way, busy.calls_in_last_second, busy.calls_at_once) == (2, 2, 10)
    quiet = line.state(provider.pk, now=now + 2 * MINUTE)
    assert (quiet.under_way, quiet.calls_in_last_second, quiet.paused_until) == (0, 0, None)
    assert (quiet.last_trouble, quiet.failures, quiet.down_since) == ("rate_limited", 0, None)


def test_state_of_a_line_that_was_never_called(provider: Provider) -> None:
    found = line.state(provider.pk, now=NOW)
    assert (found.down_since, found.calls_in_last_second, found.calls_at_once) == (None, 0, 10)
