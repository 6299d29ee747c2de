"""What people decide about the differences that a comparison found: repair them, or leave them as they are.

Nothing is done to the provider here. An account is owed again, and whoever settles it looks first and then makes the
provider agree: where the difference is gone by then, nothing happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from enrollment import history, seats
from enrollment.models import Difference, Event, Reconciliation
from libraries.models import User

# Locked in the order of the people's ids, as everywhere.
_LOCK = """
SELECT account.id FROM enrollment_provideraccount AS account
WHERE account.id IN (SELECT account_id FROM enrollment_difference AS difference
                     WHERE reconciliation_id = %(run)s AND state = 'open' AND {which})
ORDER BY account.user_id FOR NO KEY UPDATE
"""
# Something else is owed, or was done, since the lists were compared: then the difference is another one, or none.
_STILL = """account.due_at IS NULL AND account.lease_token IS NULL
    AND coalesce(account.seen_at < %(finished)s, true)
    AND CASE difference.kind
        WHEN 'only_there' THEN account.must_be_erased
        WHEN 'open_there' THEN NOT account.must_be_active AND NOT account.must_be_erased
        ELSE account.must_be_active END"""
# What `OwedWork.debt` says, in SQL. Other data do not make an account less open; all else that was seen is not so.
_REPAIR = f"""
WITH chosen AS MATERIALIZED (
    SELECT difference.id, difference.account_id, difference.kind, {_STILL} AS still
    FROM enrollment_difference AS difference
    JOIN enrollment_provideraccount AS account ON account.id = difference.account_id
    WHERE reconciliation_id = %(run)s AND state = 'open' AND repair <> 'look' AND {{which}}
), owed AS (
    UPDATE enrollment_provideraccount AS account SET
        due_at = %(now)s, turn_at = %(now)s, version = version + 1, attempts = 0, stuck_at = NULL, trouble = '',
        erased_at = NULL,
        seen = CASE chosen.kind WHEN 'other_data' THEN account.seen ELSE 'unknown' END,
        seen_at = CASE chosen.kind WHEN 'other_data' THEN account.seen_at END
    FROM chosen WHERE account.id = chosen.account_id AND chosen.still
)
UPDATE enrollment_difference AS difference SET
    state = CASE WHEN chosen.still THEN 'repaired' ELSE 'gone' END, decided_by_id = %(by)s, decided_at = %(now)s
FROM chosen WHERE difference.id = chosen.id
RETURNING difference.id, chosen.still
"""
_LEAVE = """
UPDATE enrollment_difference AS difference SET state = 'left', decided_by_id = %(by)s, decided_at = %(now)s
WHERE reconciliation_id = %(run)s AND state = 'open' AND {which}
RETURNING difference.id, true
"""


class Obstacle(models.TextChoices):
    UNFINISHED = "unfinished", _("The lists are still being compared.")
    DOUBTED = "doubted", _("The provider's list is not trusted, so that nothing is repaired by it.")
    OLD = "old", _("There is a newer comparison: decide there.")


class CannotDecide(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


@dataclass(frozen=True)
class Decided:
    """`gone` were not so any more, and nothing was done about them."""

    done: int
    gone: int


@seats.transition
def repair(pk: int, *, by: User, now: datetime, kind: str = "", ids: Sequence[int] | None = None) -> Decided:
    """Owe again the accounts of this comparison's open differences: all of a kind, or those named. As many statements
    for a hundred thousand as for one, and twice is once. Raises CannotDecide."""
    run = _lock(pk, acts=True)
    return _decide(_REPAIR, Event.Kind.DIFFERENCE_REPAIRED, run, by=by, now=now, kind=kind, ids=ids)


@seats.transition
def leave(pk: int, *, by: User, now: datetime, kind: str = "", ids: Sequence[int] | None = None) -> Decided:
    """A person has looked, and nothing is to be done. Raises CannotDecide."""
    run = _lock(pk, acts=False)
    return _decide(_LEAVE, Event.Kind.DIFFERENCE_LEFT, run, by=by, now=now, kind=kind, ids=ids)


def obstacle_to(run: Reconciliation, *, acts: bool) -> Obstacle | None:
    if run.finished_at is None:
        return Obstacle.UNFINISHED
    if not acts:
        return None
    newer = Reconciliation.objects.filter(provider_id=run.provider_id, finished_at__isnull=False, pk__gt=run.pk)
    if newer.exists():
        return Obstacle.OLD
    return None if run.is_trusted else Obstacle.DOUBTED


def _lock(pk: int, *, acts: bool) -> Reconciliation:
    run = Reconciliation.objects.select_for_update(no_key=True).get(pk=pk)
    if obstacle := obstacle_to(run, acts=acts):
        raise CannotDecide(obstacle)
    return run


def _decide(
    statement: str,
    event: Event.Kind,
    run: Reconciliation,
    *,
    by: User,
    now: datetime,
    kind: str,
    ids: Sequence[int] | None,
) -> Decided:
    if ids is None and kind not in Difference.Kind.values:
        raise ValueError("all of which kind?")
    which = "difference.id = ANY(%(ids)s)" if ids is not None else "difference.kind = %(kind)s"
    facts: dict[str, Any] = {"run": run.pk, "by": by.pk, "now": now, "finished": run.finished_at}
    facts |= {"ids": list(ids or []), "kind": kind}
    with connection.cursor() as cursor:
        cursor.execute(_LOCK.format(which=which), facts)
        cursor.execute(statement.format(which=which), facts)
        rows = cursor.fetchall()
    done = [pk for pk, still in rows if still]
    history.record_differences(event, done, now=now, by=by)
    return Decided(len(done), len(rows) - len(done))
