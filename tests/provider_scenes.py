"""A provider as its page shows it: called often, or down, with accounts that wait and some that are stuck."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from catalog.models import CallTally, Provider, ProviderLine
from catalog.tallies import BUCKETS
from enrollment import history
from enrollment.models import Difference, Event, ProviderAccount, ProviderNotice, Reconciliation
from libraries.models import User

Account = ProviderAccount


def tally(provider: Provider, minute: datetime, buckets: dict[int, int], outcome: str = "") -> None:
    counts = [buckets.get(place, 0) for place in range(len(BUCKETS) + 1)]
    minute = minute.replace(second=0, microsecond=0)
    CallTally.objects.create(provider=provider, minute=minute, outcome=outcome, count=sum(counts), buckets=counts)


def set_line(provider: Provider, **fields: Any) -> None:
    ProviderLine.objects.update_or_create(provider=provider, defaults=fields)


def owe(provider: Provider, count: int, *, now: datetime, waits: timedelta = timedelta(), **fields: Any) -> None:
    """So many accounts of people who have proved their address, owed since so long."""
    people = User.objects.bulk_create(
        User(email=f"{uuid4()}@example.test", address_proved_at=now) for _ in range(count)
    )
    since = {"due_at": now - waits, "turn_at": now - waits}
    Account.objects.bulk_create(
        Account(user=each, provider=provider, **({"must_be_active": True} | since | fields)) for each in people
    )


def make_busy(provider: Provider, *, now: datetime) -> None:
    """At work: most calls go well, some days some do not, and a few accounts are stuck."""
    set_line(
        provider,
        successes=100,
        last_success_at=now,
        last_trouble_at=now - timedelta(hours=3),
        last_trouble="timeout",
        failures=0,
    )
    tally(provider, now - timedelta(minutes=1), {5: 900, 6: 500, 7: 100})
    for ago in range(14):
        at = now - timedelta(days=ago, minutes=2)
        tally(provider, at, {4: 600 + 40 * ago, 5: 300, 8: 20})
        if ago % 3 == 1:
            tally(provider, at, {13: 4 + ago}, "timeout")
            tally(provider, at, {3: 30 + 5 * ago}, "rate_limited")
    tally(provider, now - timedelta(days=6, minutes=3), {11: 900}, "server_error")
    tally(provider, now - timedelta(days=9, minutes=3), {2: 40}, "name_taken")
    seen: dict[str, Any] = {"seen": "active", "seen_at": now, "first_claimed_at": now, "remote_id": ""}
    owe(provider, 30, now=now)
    owe(provider, 12, now=now, waits=timedelta(minutes=5))
    owe(provider, 5, now=now, waits=timedelta(minutes=40), **seen)
    owe(provider, 3, now=now, waits=timedelta(hours=5), **seen | {"must_be_active": False})
    owe(provider, 1, now=now, waits=timedelta(days=2), **seen | {"must_be_active": False, "must_be_erased": True})
    owe(provider, 4, now=now, waits=timedelta(days=1), stuck_at=now - timedelta(hours=20), trouble="name_taken")
    owe(provider, 2, now=now, waits=timedelta(days=1), stuck_at=now - timedelta(hours=2), trouble="bad_request")
    make_compared(provider, now=now)


def make_compared(provider: Provider, *, now: datetime) -> None:
    at = now - timedelta(hours=8)
    row = Reconciliation.objects.create(provider=provider, asked_at=at, finished_at=at, listed=1412, ours=1398)
    for kind in ("only_here", "other_data"):
        Difference.objects.create(reconciliation=row, kind=kind, repair="agree")
    for number, kind in enumerate(ProviderNotice.Kind):
        ProviderNotice.objects.create(
            provider=provider, notice_id=f"n{number}", kind=kind, received_at=at, occurred_at=at, external_id=uuid4()
        )


def make_disagreeing(account: Account, *, now: datetime) -> Reconciliation:
    """A comparison that found every kind of difference, all of this account; and an older one that is doubted."""
    account.provider.reconciliations.create(asked_at=now, finished_at=now, listed=700, ours=650, doubt="shrunk")
    run = account.provider.reconciliations.create(asked_at=now, finished_at=now, listed=1412, ours=1398)
    for kind in Difference.Kind:
        repair = "look" if kind in ("two_there", "adopted") else "erase" if kind == "only_there" else "agree"
        rows = [
            Difference(reconciliation=run, kind=kind, repair=repair, account=account, remote_id=str(uuid4()))
            for _ in range(3)
        ]
        Difference.objects.bulk_create(rows)
    run.differences.filter(kind="other_data").update(fields="email name id")
    return run


def make_down(provider: Provider, *, now: datetime) -> None:
    since = now - timedelta(hours=2)
    set_line(
        provider,
        last_success_at=since,
        last_trouble_at=now - timedelta(minutes=1),
        last_trouble="unreachable",
        failures=5,
        down_since=since,
        next_probe_at=now + timedelta(minutes=4),
        probes=9,
    )
    tally(provider, now - timedelta(hours=3), {4: 120})
    tally(provider, now - timedelta(hours=1), {1: 9}, "unreachable")
    owe(provider, 340, now=now, waits=timedelta(hours=1, minutes=20), trouble="unreachable")
    history.record(Event.Kind.PROVIDER_TESTED, now=now, provider_id=provider.pk, reason="unreachable")
