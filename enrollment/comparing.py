"""Compare a provider's list, as it was written down, with what must be there: in statements, both ways.

What is personal is compared as hashes, which the database makes on both sides with the same expressions. An account
that is owed, leased, or was seen to since the list was begun is left out: its turn is under way, and the list may be
older than what was done. An account that does not carry an id of ours was not made by the portal, and is only counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from catalog.provider.client import Account
from enrollment.models import Difference, ListedAccount, Reconciliation

_EMAIL = "md5(lower({0}))"
# What the provider does not show of a name is as if it were empty; when it shows neither part there is nothing to say.
_NAME = "md5(coalesce({0}, '') || E'\\n' || coalesce({1}, ''))"

# Whoever comes again, because the parts of the list have shifted meanwhile, is one.
_KEEP = f"""
INSERT INTO enrollment_listedaccount (reconciliation_id, remote_id, external_id, active, email_hash, name_hash)
SELECT %(run)s, remote_id, external_id, active,
    CASE WHEN email IS NULL THEN '' ELSE {_EMAIL.format("email")} END,
    CASE WHEN first_name IS NULL AND last_name IS NULL THEN '' ELSE {_NAME.format("first_name", "last_name")} END
FROM unnest(%(remote_ids)s::text[], %(external_ids)s::text[], %(active)s::boolean[],
            %(emails)s::text[], %(first_names)s::text[], %(last_names)s::text[])
    AS told (remote_id, external_id, active, email, first_name, last_name)
ON CONFLICT DO NOTHING
"""

_SIDES = f"""
WITH listed AS MATERIALIZED (
    SELECT remote_id, external_id, active, email_hash, name_hash, count(*) OVER (PARTITION BY external_id) AS copies
    FROM enrollment_listedaccount WHERE reconciliation_id = %(run)s
), known AS MATERIALIZED (
    SELECT account.id, account.external_id::text AS external_id, account.remote_id, account.must_be_active,
        account.must_be_erased, account.erased_at, account.first_claimed_at,
        {_EMAIL.format("person.email")} AS email_hash,
        {_NAME.format("person.first_name", "person.last_name")} AS name_hash,
        account.due_at IS NULL AND account.lease_token IS NULL
            AND coalesce(account.seen_at < %(began)s, true) AS settled
    FROM enrollment_provideraccount AS account JOIN libraries_user AS person ON person.id = account.user_id
    WHERE account.provider_id = %(provider)s
)
"""
# Whose account there now carries another id is no longer theirs, whatever else is on the list; and of two that carry
# one id nobody here can say which is the right one. `unknown` carries an id that looks like ours and is nobody's.
_DIFFERENCES = f"""{_SIDES}, adopted AS MATERIALIZED (
    SELECT known.id, known.settled, listed.remote_id FROM known JOIN listed USING (remote_id)
    WHERE known.remote_id <> '' AND listed.external_id <> known.external_id
), plain AS MATERIALIZED (
    SELECT * FROM known WHERE settled AND NOT EXISTS (SELECT FROM adopted WHERE adopted.id = known.id)
), paired AS (
    SELECT plain.id, listed.remote_id, concat_ws(' ',
            CASE WHEN listed.email_hash NOT IN ('', plain.email_hash) THEN 'email' END,
            CASE WHEN listed.name_hash NOT IN ('', plain.name_hash) THEN 'name' END,
            CASE WHEN plain.remote_id NOT IN ('', listed.remote_id) THEN 'id' END
        ) AS fields, plain.must_be_active, plain.must_be_erased, listed.active
    FROM plain JOIN listed USING (external_id) WHERE listed.copies = 1
), found (kind, account_id, remote_id, fields, repair) AS (
    SELECT 'adopted', id, remote_id, '', 'look' FROM adopted WHERE settled
    UNION ALL
    SELECT 'two_there', plain.id, listed.remote_id, '', 'look' FROM plain JOIN listed USING (external_id)
    WHERE listed.copies > 1 AND listed.remote_id <> plain.remote_id
    UNION ALL
    SELECT 'only_here', id, remote_id, '', 'agree' FROM plain
    WHERE must_be_active AND NOT EXISTS (SELECT FROM listed WHERE listed.external_id = plain.external_id)
    UNION ALL
    SELECT 'only_there', id, remote_id, '', 'erase' FROM paired WHERE must_be_erased
    UNION ALL
    SELECT 'closed_there', id, remote_id, '', 'agree' FROM paired WHERE must_be_active AND NOT active
    UNION ALL
    SELECT 'open_there', id, remote_id, '', 'agree' FROM paired
    WHERE NOT must_be_active AND NOT must_be_erased AND active
    UNION ALL
    SELECT 'other_data', id, remote_id, fields, 'agree' FROM paired WHERE must_be_active AND active AND fields <> ''
    UNION ALL
    SELECT 'only_there', NULL, remote_id, '', 'look' FROM listed AS unknown
    WHERE external_id ~* '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' AND NOT EXISTS (
        SELECT FROM enrollment_provideraccount AS account WHERE account.external_id::text = lower(unknown.external_id)
    )
)
INSERT INTO enrollment_difference (reconciliation_id, kind, account_id, remote_id, fields, repair, state)
SELECT %(run)s, kind, account_id, remote_id, fields, repair, 'open' FROM found ORDER BY kind, account_id, remote_id
"""
# How many accounts are left at each step, the planner can only guess; where it guesses a single one, it goes through
# the whole list for each account. Hashes and sorted sides stay good whatever comes.
_NO_LOOPS, _LOOPS = "SET LOCAL enable_nestloop = off", "SET LOCAL enable_nestloop = DEFAULT"
_COUNTS = f"""{_SIDES}
SELECT (SELECT count(*) FROM listed), count(*) FILTER (WHERE is_there), count(*) FILTER (WHERE must_be_active),
    count(*) FILTER (WHERE is_there AND coalesce(first_claimed_at < %(since)s, true)),
    count(*) FILTER (WHERE erased_at >= %(since)s AND NOT is_there)
FROM (
    SELECT known.*, there.external_id IS NOT NULL AS is_there
    FROM known LEFT JOIN (SELECT DISTINCT external_id FROM listed) AS there USING (external_id)
) AS known
WHERE settled OR is_there OR erased_at >= %(since)s
"""


@dataclass(frozen=True)
class Counts:
    """`ours` of the list's accounts are; `open_here` must be open; `kept` of ours were there before the last comparison
    as well, since which so many were `erased`."""

    listed: int
    ours: int
    open_here: int
    kept: int
    erased: int


def keep(run: Reconciliation, accounts: Sequence[Account]) -> None:
    """One statement, whatever the provider sends."""
    if not accounts:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _KEEP,
            {
                "run": run.pk,
                "remote_ids": [_storable(each.remote_id)[:200] for each in accounts],
                "external_ids": [_storable(each.external_id or "")[:200] for each in accounts],
                "active": [each.active for each in accounts],
                "emails": [None if each.email is None else _storable(each.email) for each in accounts],
                "first_names": [None if each.first_name is None else _storable(each.first_name) for each in accounts],
                "last_names": [None if each.last_name is None else _storable(each.last_name) for each in accounts],
            },
        )


def forget_list(run: Reconciliation) -> None:
    ListedAccount.objects.filter(reconciliation=run)._raw_delete("default")


def write_differences(run: Reconciliation, *, began: datetime) -> None:
    """In the transaction that finishes the comparison; what an earlier try wrote is replaced."""
    Difference.objects.filter(reconciliation=run).delete()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE enrollment_listedaccount")
        cursor.execute(_NO_LOOPS)
        cursor.execute(_DIFFERENCES, _sides(run, began))
        cursor.execute(_LOOPS)


def count(run: Reconciliation, *, began: datetime, since: datetime) -> Counts:
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, _sides(run, began) | {"since": since})
        return Counts(*cursor.fetchone())


def _sides(run: Reconciliation, began: datetime) -> dict[str, Any]:
    return {"run": run.pk, "provider": run.provider_id, "began": began}


def _storable(text: str) -> str:
    """What PostgreSQL takes: neither zero bytes nor halves of characters."""
    return text.replace("\x00", "").encode(errors="replace").decode()
