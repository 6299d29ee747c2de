"""Who is claimed, in which turn, and how cheaply; and that whoever has lost a claim sends nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from catalog import line
from catalog.models import Provider, ProviderLine
from enrollment import cap, ending, provisioning
from enrollment.cap_plan import Plan
from enrollment.models import Enrollment, ProviderAccount
from libraries.models import Card
from tests.accounts import account_of, secret_of, settle, settle_all
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_library,
    make_member,
    make_programme,
    make_provider,
    make_user,
)
from tests.platform_server import RunningPlatform

pytestmark = pytest.mark.django_db
Seen = ProviderAccount.Seen
LEASE = provisioning.LEASE


def owe(provider: Provider, name: str, **fields: Any) -> ProviderAccount:
    user = make_user(f"{name}@example.test")
    values = {"must_be_active": True, "due_at": NOW, "turn_at": NOW, **fields}
    return ProviderAccount.objects.create(user=user, provider=provider, **values)


def claim_all(provider: Provider) -> list[int]:
    claimed = iter(lambda: ProviderAccount.objects.claim_of(provider, now=NOW, lease=LEASE), None)
    return [account.pk for account in claimed]


def test_claim_counts_the_attempt_and_tells_the_first_one_once() -> None:
    provider = make_provider()
    owe(provider, "ada")
    first = ProviderAccount.objects.claim_of(provider, now=NOW, lease=LEASE)
    assert first is not None
    assert (first.is_first_claim, first.attempts, first.first_claimed_at) == (True, 1, NOW)
    assert (first.lease_until, first.provider) == (NOW + LEASE, provider)
    assert ProviderAccount.objects.claim_of(provider, now=NOW, lease=LEASE) is None
    later = NOW + LEASE
    second = ProviderAccount.objects.claim_of(provider, now=later, lease=LEASE)
    assert second is not None
    assert (second.is_first_claim, second.attempts, second.first_claimed_at) == (False, 2, NOW)
    assert second.lease_token != first.lease_token


@pytest.mark.parametrize(("first", "names"), [("oldest", ["b", "c", "a"]), ("newest", ["a", "c", "b"])])
def test_claims_come_in_their_turns(first: str, names: list[str]) -> None:
    provider = make_provider(opens_first=first)
    turns = {"a": 3, "b": 1, "c": 2}
    ids = {name: owe(provider, name, turn_at=NOW + timedelta(seconds=turn)).pk for name, turn in turns.items()}
    assert claim_all(provider) == [ids[name] for name in names]


def test_what_was_tried_comes_first_as_soon_as_it_is_due_again() -> None:
    provider = make_provider()
    fresh = owe(provider, "fresh", turn_at=NOW - timedelta(days=1))
    tried = [
        owe(provider, f"tried{seconds}", attempts=1, due_at=NOW + timedelta(seconds=seconds)) for seconds in (0, -9, 1)
    ]
    assert claim_all(provider) == [tried[1].pk, tried[0].pk, fresh.pk]


def test_twenty_who_waited_are_claimed_in_the_order_of_the_queue(platform: RunningPlatform) -> None:
    """The queue's order is that of the applications, and of priority; not of the ids, and not of the institutions."""
    provider = make_provider(base_url=platform.base_url)
    libraries = [make_library(name, make_institution(name)) for name in ("halle", "aalst", "gent")]
    programme = make_programme(cap=0, provider=provider)
    for number in range(20):
        applied = NOW + timedelta(minutes=(number * 7) % 20)
        make_member(f"m{number}@example.test", programme=programme, library=libraries[number % 3], now=applied)
    Card.objects.update(state=Card.State.CONFIRMED, decided_at=NOW + timedelta(hours=1), decided_how="by_hand")
    Enrollment.objects.filter(user__email="m9@example.test").update(priority=Enrollment.FIRST)
    queue = list(Enrollment.objects.in_queue_order().values_list("user_id", flat=True))
    later = NOW + timedelta(hours=1)
    cap.change(pool_id=programme.pool.pk, plan=Plan(cap=20), reason="More", by=make_coordinator(), now=later)
    in_turn = ProviderAccount.objects.order_by("turn_at").values_list("user_id", flat=True)
    assert list(in_turn) == queue
    users = dict(ProviderAccount.objects.values_list("pk", "user_id"))
    with_now = [ProviderAccount.objects.claim_of(provider, now=later, lease=LEASE) for _ in range(20)]
    assert [users[account.pk] for account in with_now if account] == queue
    ProviderAccount.objects.update(lease_until=None, lease_token=None, attempts=0)
    provider.opens_first = Provider.OpensFirst.NEWEST
    with_now = [ProviderAccount.objects.claim_of(provider, now=later, lease=LEASE) for _ in range(20)]
    assert [users[account.pk] for account in with_now if account] == queue[::-1]


def test_provider_that_is_down_keeps_nobody_else_waiting(platform: RunningPlatform, ada: Enrollment) -> None:
    down = make_provider("down", base_url="http://127.0.0.1:9/v2")
    ProviderLine.objects.create(provider=down, down_since=NOW, next_probe_at=NOW + timedelta(minutes=1))
    waits = owe(down, "bo", due_at=NOW - timedelta(days=1))
    settle_all()
    assert account_of(ada).seen == Seen.ACTIVE
    waits.refresh_from_db()
    assert (waits.attempts, waits.first_claimed_at, waits.due_at) == (0, None, NOW - timedelta(days=1))


# --- The first claim ---


def test_first_claim_creates_without_a_look(platform: RunningPlatform, ada: Enrollment) -> None:
    settle_all()
    assert (account_of(ada).seen, platform.calls()["by_method"]) == (Seen.ACTIVE, {"POST": 1})


def test_claim_after_a_crash_looks_first(platform: RunningPlatform, ada: Enrollment) -> None:
    """The one before may have made the account, or may still be about to."""
    assert ProviderAccount.objects.claim_of(Provider.objects.get(), now=NOW, lease=LEASE)
    settle_all(NOW + LEASE)
    assert (account_of(ada).seen, platform.calls()["by_method"]) == (Seen.ACTIVE, {"GET": 1, "POST": 1})


def test_first_claim_of_what_is_there_after_all_adopts_it_by_our_id(platform: RunningPlatform, ada: Enrollment) -> None:
    """After a restore from a backup, the row may not know that it was claimed."""
    settle_all()
    ProviderAccount.objects.update(first_claimed_at=None, seen="unknown", seen_at=None, **ProviderAccount.debt(NOW))
    settle_all()
    assert (account_of(ada).seen, len(platform.accounts())) == (Seen.ACTIVE, 1)


def test_closing_what_was_never_claimed_asks_nobody(platform: RunningPlatform, ada: Enrollment) -> None:
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    settle_all()
    assert (account_of(ada).seen, platform.calls()["by_method"]) == (Seen.ABSENT, {})


# --- A lease that is lost ---


@pytest.mark.parametrize("request_number", [1, 2])
def test_nothing_is_sent_once_the_lease_is_lost(
    platform: RunningPlatform, ada: Enrollment, monkeypatch: pytest.MonkeyPatch, request_number: int
) -> None:
    """Before each request it is asked for: the one that looks, and the one that would create."""
    ProviderAccount.objects.update(first_claimed_at=NOW)
    real, asked = type(ProviderAccount.objects.all()).renew, []

    def renew(self: Any, row: ProviderAccount, **lease: Any) -> bool:
        asked.append(row.pk)
        if len(asked) == request_number:
            another = ProviderAccount.objects.filter(pk=row.pk)
            another.update(lease_until=NOW)
            assert ProviderAccount.objects.claim_of(row.provider, now=NOW, lease=LEASE)
        return real(self, row, **lease)

    monkeypatch.setattr(type(ProviderAccount.objects.all()), "renew", renew)
    assert settle()
    monkeypatch.undo()
    assert platform.calls()["by_method"] == ({} if request_number == 1 else {"GET": 1})
    account = account_of(ada)
    assert (account.seen, account.attempts, account.trouble) == (Seen.UNKNOWN, 2, "")
    assert account.lease_token is not None  # the other's
    settle_all(NOW + LEASE)
    assert (account_of(ada).seen, len(platform.accounts())) == (Seen.ACTIVE, 1)


def test_lease_is_renewed_before_each_request(
    platform: RunningPlatform, ada: Enrollment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It covers the wait for a turn and the call, however long the calls before it took."""
    ProviderAccount.objects.update(first_claimed_at=NOW)
    moments = iter(NOW + timedelta(seconds=10 * each) for each in range(20))
    leases: list[datetime | None] = []

    @contextmanager
    def turn(provider_id: int, *, expires: float, writes: bool) -> Iterator[None]:
        leases.append(ProviderAccount.objects.get().lease_until)
        yield

    monkeypatch.setattr(line, "turn", turn)
    assert provisioning.settle_next(secret_of=secret_of, now=lambda: next(moments))
    claimed_until = NOW + LEASE
    assert [lease is not None and lease > claimed_until for lease in leases] == [True, True]
    assert leases[0] != leases[1]


def test_nothing_is_sent_by_who_slept_between_the_renewal_and_the_turn(
    platform: RunningPlatform, ada: Enrollment, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = [NOW]

    @contextmanager
    def turn(provider_id: int, *, expires: float, writes: bool) -> Iterator[None]:
        moments.append(NOW + LEASE)
        yield

    monkeypatch.setattr(line, "turn", turn)
    assert provisioning.settle_next(secret_of=secret_of, now=lambda: moments[-1])
    assert (platform.calls()["by_method"], account_of(ada).seen) == ({}, Seen.UNKNOWN)


def test_lease_outlasts_a_wait_and_a_call() -> None:
    longest = line.LONGEST_WAIT + provisioning.CALL_DEADLINE
    assert LEASE.total_seconds() >= 2 * longest
    assert LEASE.total_seconds() + 15 < 60  # the sweep after it


# --- A row among many ---

_PEOPLE = """
INSERT INTO libraries_user (email, password, first_name, last_name, language, is_staff, is_active, is_superuser,
                            date_joined, address_proved_at, wants_course_letters)
SELECT 'p' || n || '@example.test', '', 'P', 'P', 'nl', false, true, false, now(), now(), false
FROM generate_series(1, %(count)s) AS n
"""
_ACCOUNTS = """
INSERT INTO enrollment_provideraccount (user_id, provider_id, external_id, must_be_active, must_be_erased, due_at,
    turn_at, version, attempts, trouble, remote_id, seen, told, answer)
SELECT id, %(provider)s, gen_random_uuid(), true, false,
    CASE WHEN place <= %(count)s / 2 THEN %(later)s::timestamptz ELSE %(now)s END,
    %(now)s + place * interval '1 microsecond', 0, CASE WHEN place <= %(count)s / 2 THEN 3 ELSE 0 END,
    '', '', 'unknown', '', ''
FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM libraries_user) AS person
"""
MANY = 8000


def read_by(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def test_claim_does_not_read_past_those_that_are_not_due() -> None:
    """Half of them wait for another try, and would come first."""
    provider = make_provider()
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, {"count": MANY})
        facts: dict[str, Any] = {"provider": provider.pk, "count": MANY, "now": NOW, "later": NOW + timedelta(hours=1)}
        cursor.execute(_ACCOUNTS, facts)
        cursor.execute("ANALYZE libraries_user, enrollment_provideraccount")
    statements: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        with connection.cursor() as cursor:
            statements.append(cursor.mogrify(sql, params).decode())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        assert [each.pk for each in ProviderAccount.objects.providers_with_due(NOW)] == [provider.pk]
        assert ProviderAccount.objects.claim_of(provider, now=NOW, lease=LEASE)
    assert len(statements) == 3
    for statement in statements:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
            [[found]] = cursor.fetchall()
        [explained] = found if isinstance(found, list) else json.loads(found)
        assert read_by(explained["Plan"]) < 100, explained
