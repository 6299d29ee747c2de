"""What is counted for a provider's page: the state of its line, calls and errors, and what is owed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone, translation

from catalog.models import Provider
from catalog.provider.errors import CODES
from enrollment import card_checking, ending
from enrollment.models import ProviderAccount, ProviderNotice
from enrollment.reports import provider_backlog, provider_line, provider_page, troubles
from enrollment.reports.provider_line import Code, Sort
from libraries.models import User
from tests.factories import make_librarian, make_library, make_member, make_programme, make_provider, make_user
from tests.provider_scenes import make_busy, owe, set_line, tally

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 7, 3, 12, 2, 30, tzinfo=UTC)  # 14:02 in Brussels
SEEN: dict[str, Any] = {"seen": "active", "seen_at": NOW, "first_claimed_at": NOW}


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def provider() -> Provider:
    return make_provider(calls_per_second=10, calls_at_once=8)


def state_of(**fields: Any) -> provider_line.State:
    provider = make_provider()
    set_line(provider, **fields)
    return provider_line.state(Provider.objects.select_related("line").get(), now=NOW)


# --- The line in a sentence ---


def test_provider_without_a_call_is_new(provider: Provider) -> None:
    assert provider_line.state(provider, now=NOW).code == Code.NEW
    assert state_of().code == Code.NEW


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({}, Code.WORKS, "Works: the last call was answered."),
        ({"failures": 2}, Code.FAILING, "The last calls failed. The portal tries again by itself."),
        ({"paused_until": NOW - timedelta(seconds=1)}, Code.WORKS, "Works: the last call was answered."),
        (
            {"paused_until": NOW + timedelta(minutes=3)},
            Code.PAUSED,
            "Paused until 3 July 2026, 14:05: the provider asked the portal to wait.",
        ),
        (
            {"down_since": NOW - timedelta(hours=1), "next_probe_at": NOW + timedelta(minutes=5)},
            Code.DOWN,
            "Down since 3 July 2026, 13:02. The next try is at 3 July 2026, 14:07.",
        ),
        (
            {"down_since": NOW - timedelta(hours=1), "paused_until": NOW + timedelta(hours=1)},
            Code.DOWN,
            "Down since 3 July 2026, 13:02. The next try is due now.",
        ),
    ],
)
def test_state_of_the_line_in_one_sentence(fields: dict[str, Any], code: Code, words: str) -> None:
    state = state_of(last_success_at=NOW, last_trouble_at=NOW, last_trouble="timeout", **fields)
    assert (state.code, state.words) == (code, words)
    assert state.trouble == "The provider did not answer in time."


# --- Calls and errors ---


def test_errors_are_counted_by_day_and_sort(provider: Provider) -> None:
    tally(provider, NOW, {3: 90})
    tally(provider, NOW, {3: 6}, "timeout")
    tally(provider, NOW - timedelta(minutes=5), {3: 3}, "unreachable")
    tally(provider, NOW, {3: 1}, "something_new")
    tally(provider, NOW - timedelta(days=13), {3: 5}, "name_taken")
    tally(provider, NOW - timedelta(days=14), {3: 5}, "server_error")
    calls = provider_line.calls(provider, now=NOW)
    assert calls.sorts == [Sort.AWAY, Sort.REFUSED, Sort.OTHER]
    assert [day.on for day in calls.days] == [date(2026, 7, 3) - timedelta(days=ago) for ago in range(14)]
    days = {day.on.isoformat(): (day.calls, day.failed, day.of_sort, day.percent) for day in calls.days if day.calls}
    assert days == {"2026-07-03": (100, 10, [9, 0, 1], 10), "2026-06-20": (5, 5, [0, 5, 0], 100)}
    assert [count for _words, count in calls.troubles] == [6, 5, 3, 1]


def test_day_begins_at_midnight_in_brussels(provider: Provider) -> None:
    tally(provider, datetime(2026, 7, 2, 22, 0, tzinfo=UTC), {3: 2})
    tally(provider, datetime(2026, 7, 2, 21, 59, tzinfo=UTC), {3: 1})
    assert [day.calls for day in provider_line.calls(provider, now=NOW).days[:2]] == [2, 1]
    latencies = provider_line.latencies(provider, now=NOW)
    assert [latency.calls for _when, latency in latencies] == [2, 3]


@pytest.mark.parametrize(
    ("good", "bad", "percent"), [(1000, 0, 0), (1000, 1, 1), (1, 1000, 99), (0, 7, 100), (0, 0, 0), (60, 40, 40)]
)
def test_share_of_failures_hides_neither_one_failure_nor_one_success(good: int, bad: int, percent: int) -> None:
    assert provider_line.Day(date(2026, 7, 3), good + bad, bad, [bad]).percent == percent


def test_rate_is_that_of_the_last_whole_minute(provider: Provider) -> None:
    tally(provider, NOW, {3: 5000})
    tally(provider, NOW - timedelta(minutes=1), {3: 300})
    tally(provider, NOW - timedelta(minutes=1), {3: 60}, "timeout")
    tally(provider, NOW - timedelta(minutes=2), {3: 5000})
    calls = provider_line.calls(provider, now=NOW)
    assert (calls.per_second, calls.used) == (6.0, 60)


def test_calls_under_way_are_those_that_are_not_overdue(provider: Provider) -> None:
    ends = [round((NOW + timedelta(seconds=seconds)).timestamp() * 1_000_000) for seconds in (-1, 1, 5)]
    set_line(provider, under_way=ends, successes=3)
    calls = provider_line.calls(Provider.objects.select_related("line").get(), now=NOW)
    assert (calls.at_once, calls.most_at_once) == (2, 4)


def test_provider_without_a_call_has_no_days(provider: Provider) -> None:
    calls = provider_line.calls(provider, now=NOW)
    assert (calls.is_empty, calls.days, calls.per_second, calls.most_at_once) == (True, [], 0, 8)


def test_every_error_has_words_and_a_sort() -> None:
    assert sorted(CODES - set(troubles.TROUBLES)) == []
    assert sorted(CODES - set(provider_line.SORTS)) == []


# --- What is owed ---


def test_what_is_owed_by_kind_and_age(provider: Provider) -> None:
    owe(provider, 2, now=NOW)
    owe(provider, 3, now=NOW, waits=timedelta(seconds=60), first_claimed_at=NOW)
    owe(provider, 1, now=NOW, waits=timedelta(minutes=15), **SEEN)
    owe(provider, 4, now=NOW, waits=timedelta(minutes=60), **SEEN | {"must_be_active": False})
    owe(provider, 1, now=NOW, waits=timedelta(days=3), must_be_active=False, must_be_erased=True)
    owe(provider, 7, now=NOW, due_at=None, **SEEN)
    owe(make_provider("other"), 9, now=NOW)
    found = provider_backlog.backlog(provider, now=NOW)
    assert [part.count for part in found.kinds] == [5, 1, 4, 1]
    assert [part.count for part in found.ages] == [2, 3, 1, 5]
    assert (found.waiting, found.oldest) == (11, NOW - timedelta(days=3))
    assert found.calls == 2 * 1 + 3 * 2 + 1 * 2 + 4 * 2 + 1 * 2


def test_backlog_is_told_in_minutes_at_what_the_provider_allows(provider: Provider) -> None:
    owe(provider, 577, now=NOW)
    assert provider_backlog.backlog(provider, now=NOW).minutes == 2  # 576 calls would do in one, at 10/1.04 a second
    provider.calls_per_second = 1000
    assert provider_backlog.backlog(provider, now=NOW).minutes == 1


def test_platform_that_is_told_each_course_takes_more_calls(provider: Provider) -> None:
    provider.kind = Provider.Kind.MOODLE
    owe(provider, 2, now=NOW)
    owe(provider, 1, now=NOW, must_be_active=False)
    assert provider_backlog.backlog(provider, now=NOW).calls == 2 * 6 + 2


def test_stuck_accounts_are_counted_apart_by_trouble(provider: Provider) -> None:
    owe(provider, 1, now=NOW, stuck_at=NOW - timedelta(hours=1), trouble="bad_request")
    owe(provider, 2, now=NOW, stuck_at=NOW - timedelta(hours=3), trouble="name_taken", waits=timedelta(days=2))
    owe(provider, 1, now=NOW, stuck_at=NOW, trouble="name_taken")
    owe(provider, 1, now=NOW, trouble="timeout")
    found = provider_backlog.backlog(provider, now=NOW)
    assert (found.waiting, found.stuck_count, found.calls) == (1, 4, 1)
    assert [(each.trouble, each.count, each.first) for each in found.stuck] == [
        ("name_taken", 3, NOW - timedelta(hours=3)),
        ("bad_request", 1, NOW - timedelta(hours=1)),
    ]


def test_account_for_an_address_that_nobody_proved_waits_for_its_member(provider: Provider) -> None:
    for number in range(2):
        stranger = make_user(f"s{number}@example.test", address_proved_at=None)
        ProviderAccount.objects.create(user=stranger, provider=provider, must_be_active=True, due_at=NOW, turn_at=NOW)
    ProviderAccount.objects.filter(user__email="s1@example.test").update(must_be_active=False)
    found = provider_backlog.backlog(provider, now=NOW)
    assert (found.waiting, found.unproved, found.kinds[2].count) == (1, 1, 1)


def test_page_of_a_provider_is_told_with_one_query_each(provider: Provider, django_assert_num_queries: Any) -> None:
    make_busy(provider, now=timezone.now())
    oz = make_user("oz@example.test", is_staff=True)
    oz._staff_pairs = frozenset()  # type: ignore[attr-defined]
    loaded = Provider.objects.select_related("line").get()
    with django_assert_num_queries(12):
        provider_page.facts_of(loaded, by=oz, now=timezone.now())
    assert ProviderNotice.objects.count() == 3


# --- At 100,000 accounts ---

_MANY = """
WITH people AS (
    INSERT INTO libraries_user (password, is_superuser, email, first_name, last_name, language, is_staff, is_active,
        date_joined, address_proved_at, wants_course_letters)
    SELECT '', false, n || '@many.test', '', '', 'nl', false, true, now(), now(), false
    FROM generate_series(1, %(count)s) n
    RETURNING id
)
INSERT INTO enrollment_provideraccount (user_id, provider_id, external_id, must_be_active, must_be_erased, turn_at,
    version, attempts, trouble, remote_id, seen, seen_at, told, answer, first_claimed_at, due_at)
SELECT id, %(provider)s, gen_random_uuid(), true, false, now(), 0, 1, '', 'r' || id, 'active', now(), '', '', now(),
    CASE WHEN id %% 300 = 0 THEN now() END
FROM people
"""


def test_only_what_is_owed_is_read_of_many_accounts(provider: Provider) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_MANY, {"count": 20_000, "provider": provider.pk})
        cursor.execute("ANALYZE enrollment_provideraccount")
        cursor.execute("ANALYZE libraries_user")
    plan = provider_backlog.groups(provider, NOW).explain()
    assert ("account_turn" in plan or "account_due" in plan, "Seq Scan on enrollment_provideraccount" in plan) == (
        True,
        False,
    )
    assert User.objects.count() == 20_000
    known = ProviderAccount.objects.filter(provider=provider).exclude(remote_id="")[:1].explain()
    assert "Seq Scan" not in known or "Limit" in known


def test_account_that_is_to_be_closed_waits_since_its_seat_ended(provider: Provider) -> None:
    """Not since the seat was given."""
    given = NOW - timedelta(days=300)
    make_library()
    ada = make_member(programme=make_programme(provider=provider), now=given)
    card_checking.confirm(card_id=ada.card_id, by=make_librarian(), now=given)
    ProviderAccount.objects.update(due_at=None, **SEEN)
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    found = provider_backlog.backlog(provider, now=NOW)
    assert (found.oldest, found.ages[0].count, found.kinds[2].count) == (NOW, 1, 1)
