"""Look at an account of the provider's, and make it what it must be: the calls, without a word of how they are paced or
what is written down afterwards.

What a provider was told of a person is kept as a hash (`ProviderAccount.told`), made by one expression wherever it is
needed. Nobody who changes a name, a language or the courses on offer has to think of accounts: a sweep finds those
whose hash is no longer so, and owes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from catalog.provider import registry
from catalog.provider.client import Access, Account, Person, ProviderClient
from enrollment.models import ProviderAccount

# What must be known there of each account's person; `offered` are the courses of today, where a provider is told each,
# and `kept` those that have left and that the person had started, for as long as the programme lets them go on
# (enrollment.starting says the same of a start).
_FACTS = """
WITH offered AS MATERIALIZED (
    SELECT programme.id AS programme_id, string_agg(course.code, E'\\x1f' ORDER BY course.code) AS codes
    FROM catalog_listing AS listing
    JOIN catalog_programme AS programme ON programme.id = listing.programme_id
    JOIN catalog_provider AS provider ON provider.id = programme.provider_id AND provider.kind = ANY(%(kinds)s)
    JOIN catalog_course AS course ON course.id = listing.course_id
    WHERE listing.offered_from <= %(today)s AND (listing.offered_until IS NULL OR listing.offered_until > %(today)s)
    GROUP BY programme.id
), facts AS (
    SELECT account.id, account.provider_id, provider.calls_per_second AS rate, account.told AS was_told,
        person.email, person.first_name, person.last_name, person.language,
        access.codes, access.until,
        md5(concat_ws(E'\\x1f', person.email, person.first_name, person.last_name, person.language,
                      access.codes, extract(epoch FROM access.until))) AS told
    FROM enrollment_provideraccount AS account
    JOIN libraries_user AS person ON person.id = account.user_id
    JOIN catalog_provider AS provider ON provider.id = account.provider_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN provider.kind = ANY(%(kinds)s) THEN (
            SELECT string_agg(DISTINCT course.code, E'\\x1f' ORDER BY course.code)
            FROM enrollment_courserun AS run
            JOIN catalog_course AS course ON course.id = run.course_id AND course.provider_id = account.provider_id
            JOIN catalog_listing AS gone ON gone.course_id = run.course_id AND gone.offered_until <= %(today)s
            JOIN catalog_programme AS programme ON programme.id = gone.programme_id
                AND (programme.kept_days IS NULL OR gone.offered_until + programme.kept_days > %(today)s)
            JOIN enrollment_seatpool AS pool ON pool.programme_id = programme.id
            JOIN enrollment_enrollment AS seat
                ON seat.pool_id = pool.id AND seat.user_id = run.user_id AND seat.state = 'seated'
            WHERE run.user_id = account.user_id AND run.started_at IS NOT NULL
        ) END AS codes
    ) AS kept
    CROSS JOIN LATERAL (
        SELECT max(seat.ends_at) AS until, nullif(concat_ws(E'\\x1f',
            string_agg(DISTINCT offered.codes, E'\\x1f' ORDER BY offered.codes), kept.codes), '') AS codes
        FROM enrollment_enrollment AS seat
        JOIN enrollment_seatpool AS pool ON pool.id = seat.pool_id
        JOIN catalog_programme AS programme
            ON programme.id = pool.programme_id AND programme.provider_id = account.provider_id
        LEFT JOIN offered ON offered.programme_id = programme.id
        WHERE seat.user_id = account.user_id AND seat.state = 'seated' AND provider.kind = ANY(%(kinds)s)
    ) AS access
    WHERE {which}
)
"""
_READ = (
    _FACTS.format(which="account.id = %(account)s")
    + "SELECT email, first_name, last_name, language, codes, until, told FROM facts"
)
_SETTLED = "account.must_be_active AND account.due_at IS NULL"
_IS_UP = """NOT EXISTS (
    SELECT FROM catalog_providerline AS line
    WHERE line.provider_id = account.provider_id AND line.down_since IS NOT NULL
)"""
# What `OwedWork.debt` says, in SQL. Locked in the order of the people's ids; who is being changed right now is found by
# the next sweep, and so are those beyond what a provider can be told in a part of the time until then: a new list of
# courses changes every account there is, and must not keep new members waiting.
_OWE_CHANGED = f"""{_FACTS.format(which=f"{_SETTLED} AND {_IS_UP}")}, ranked AS (
    SELECT id, rate, row_number() OVER (PARTITION BY provider_id ORDER BY id) AS place FROM facts WHERE told <> was_told
), changed AS (
    SELECT account.id FROM enrollment_provideraccount AS account
    WHERE {_SETTLED} AND account.id IN (SELECT id FROM ranked WHERE place <= rate * %(seconds)s)
    ORDER BY account.user_id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE enrollment_provideraccount AS account
SET due_at = %(now)s, turn_at = %(now)s, version = version + 1, attempts = 0, stuck_at = NULL, trouble = ''
FROM changed WHERE account.id = changed.id
"""
_NOTE_TOLD = f"""{_FACTS.format(which="account.id = ANY(%(accounts)s)")}
UPDATE enrollment_provideraccount AS account SET told = facts.told FROM facts WHERE account.id = facts.id
"""
# Of the minute between two sweeps, at one call for each change; it takes two or three.
_SECONDS_FOR_CHANGES = 10


@dataclass(frozen=True)
class Task:
    """What the provider has to be told, read before the calls begin; `told` is its hash, `is_news` says whether the
    provider has not been told just that before."""

    person: Person
    access: Access | None
    told: str = field(repr=False)
    is_news: bool


def read(account: ProviderAccount, *, now: datetime) -> Task:
    with connection.cursor() as cursor:
        cursor.execute(_READ, _today(timezone.localdate(now)) | {"account": account.pk})
        email, first_name, last_name, language, codes, until, told = cursor.fetchone()
    person = Person(str(account.external_id), email, first_name, last_name, language)
    courses = sorted(set(codes.split("\x1f"))) if codes else []
    return Task(person, Access(courses, until) if until else None, told, is_news=told != account.told)


def owe_changes(*, now: datetime) -> int:
    """Accounts whose provider was told something else than what is so now are owed again, so many at a time as it can
    be told soon; says how many. One statement, whoever changed what: at the desk, in a merge, by another identity, in a
    list of courses."""
    with connection.cursor() as cursor:
        facts = _today(timezone.localdate(now)) | {"now": now, "seconds": _SECONDS_FOR_CHANGES}
        cursor.execute(_OWE_CHANGED, facts)
        return int(cursor.rowcount)


def note_told(account_ids: Iterable[int], *, now: datetime) -> None:
    """The provider was told of these just now, in another way than by `agree`."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_TOLD, _today(timezone.localdate(now)) | {"accounts": list(account_ids)})


def _today(day: date) -> dict[str, Any]:
    kinds = [kind for kind, client in registry.CLIENTS.items() if getattr(client, "wants_access", False)]
    return {"today": day, "kinds": kinds}


def needs_nobody(account: ProviderAccount) -> bool:
    """Nothing can have been made there yet, and nothing need be."""
    return account.is_first_claim and not account.must_be_active and not account.must_be_erased


def agree(client: ProviderClient, account: ProviderAccount, task: Task) -> Account | None:
    """What is there afterwards; None: no account. From any state, any number of times.

    An account is made without a look the first time it is claimed; every other time what is there is looked at first
    (docs/adr/0020). What must be erased is looked at always: a certificate rests on it.
    """
    if account.must_be_active:
        return _open(client, None if account.is_first_claim else client.find(task.person.external_id), task)
    seen = client.find(task.person.external_id)
    if account.must_be_erased:
        return _erase(client, seen, task)
    return client.close(seen) if seen and seen.active else seen


def _open(client: ProviderClient, seen: Account | None, task: Task) -> Account:
    # What was made just now, or was there already under our id, was told what it does not show.
    is_news = task.is_news and seen is not None
    if seen is None:
        seen = client.create(task.person)
    if not _agrees(seen, task.person, is_news=is_news):
        seen = client.open(seen, task.person)
    if client.wants_access and task.access is not None:
        client.give_access(seen, task.access)
    return seen


def _agrees(seen: Account, person: Person, *, is_news: bool) -> bool:
    """What the provider does not show is as it was told."""
    shown = [
        (seen.email and seen.email.lower(), person.email),
        (seen.first_name, person.first_name),
        (seen.last_name, person.last_name),
        (seen.language, person.language),
    ]
    return seen.active and all(there == ours or (there is None and not is_news) for there, ours in shown)


def _erase(client: ProviderClient, seen: Account | None, task: Task) -> Account | None:
    if seen is None:
        return None
    client.erase(seen)
    return client.find(task.person.external_id)
