"""Do the seats agree with themselves? Each check names the rows that break a rule; none of them trusts the counters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from enrollment import seats
from enrollment.models import SeatPool, queue_stretch

# Of the rows that break a rule, so many are named.
MOST_NAMED = 50
# The sweep comes every minute; a rule is broken when it has not come for longer than this.
_GRACE = timedelta(minutes=10)
UNANSWERED_DAYS = 30
# Here it takes a day at most, unless the list of erasures cannot be written.
_ERASED_WITHIN = timedelta(days=1, hours=1)

Rows = Sequence[int]


@dataclass(frozen=True)
class Check:
    """`sql` gives the ids of rows, of the model called `of`, that break the rule. Slow checks read every event, and are
    left to the command."""

    name: str
    words: str | Promise
    of: str
    sql: str
    slow: bool = False


@dataclass(frozen=True)
class Finding:
    check: Check
    rows: Rows

    @property
    def holds(self) -> bool:
        return not self.rows

    @property
    def named(self) -> Rows:
        return self.rows[:MOST_NAMED]


def audit(*, now: datetime, unanswered_days: int = UNANSWERED_DAYS, slow: bool = True) -> list[Finding]:
    """Every check, on one snapshot: it holds while people apply and librarians decide."""
    facts = {"overdue": now - _GRACE, "unanswered": now - timedelta(days=unanswered_days)}
    facts |= {"unlisted": now - _GRACE, "unerased": now - _ERASED_WITHIN}
    checks = [check for check in CHECKS if slow or not check.slow]
    with _snapshot():
        broken = _broken(checks, facts)
        broken[IN_VAIN.name] = _waiting_though_free(now)
    return [Finding(check, broken[check.name]) for check in (*checks, IN_VAIN)]


def counters_of(findings: Iterable[Finding]) -> bool:
    """Whether some counter is wrong, which is all that can be repaired without a person's decision."""
    return any(not finding.holds and finding.check.name in _COUNTERS for finding in findings)


@contextmanager
def _snapshot() -> Iterator[None]:
    """Inside another transaction, what that one sees."""
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def _broken(checks: Sequence[Check], facts: dict[str, Any]) -> dict[str, list[int]]:
    """All checks in one statement."""
    parts = [f"(SELECT '{check.name}', broken.id FROM ({check.sql}) broken ORDER BY 2)" for check in checks]
    found: dict[str, list[int]] = {check.name: [] for check in checks}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), facts)
        for name, pk in cursor.fetchall():
            found[name].append(pk)
    return found


def _waiting_though_free(now: datetime) -> list[int]:
    """The shares whose next in line could have a seat now."""
    pools = SeatPool.objects.select_related("programme").order_by("pk")
    return [each.share_id for pool in pools for each in seats.foresee(pool, free=pool.free, now=now)]


_HOLDS = "e.state IN ('held', 'seated')"
_LAST_OF = {
    "waiting": ("queued", "hold_lapsed"),
    "held": ("seat_held",),
    "seated": ("seat_given",),
    "ended": ("seat_ended", "withdrawn"),
}
_TURNS = tuple(kind for kinds in _LAST_OF.values() for kind in kinds)
_AGREES = " OR ".join(
    f"(e.state = '{state}' AND last.kind IN ({', '.join(repr(kind) for kind in kinds)}))"
    for state, kinds in _LAST_OF.items()
)

CHECKS = (
    Check(
        "pool_count",
        _("The places taken of a programme are as many as there are people who have one."),
        "seatpool",
        f"""
            SELECT p.id FROM enrollment_seatpool p
            WHERE p.taken <> (SELECT count(*) FROM enrollment_enrollment e WHERE e.pool_id = p.id AND {_HOLDS})""",
    ),
    Check(
        "share_count",
        _("The places taken of each institution are as many as there are people who have one."),
        "share",
        f"""
            SELECT s.id FROM enrollment_share s
            WHERE s.taken <> (SELECT count(*) FROM enrollment_enrollment e WHERE e.share_id = s.id AND {_HOLDS})""",
    ),
    Check(
        "queue_count",
        _("The queue of each programme is counted right, to the place of everybody in it."),
        "seatpool",
        queue_stretch.MISCOUNTED,
    ),
    Check(
        "floors_sum",
        _("What is guaranteed to the institutions is added up right."),
        "seatpool",
        """
            SELECT p.id FROM enrollment_seatpool p
            WHERE p.floors <> (SELECT coalesce(sum(s.floor), 0) FROM enrollment_share s WHERE s.pool_id = p.id)""",
    ),
    Check(
        "cap_kept",
        _("No programme has more places taken, or guaranteed, than it has."),
        "seatpool",
        "SELECT id FROM enrollment_seatpool WHERE taken > cap OR floors > cap",
    ),
    Check(
        "ceiling_kept",
        _("No institution has more places than it may have at most."),
        "share",
        "SELECT id FROM enrollment_share WHERE taken > ceiling OR floor > ceiling",
    ),
    Check(
        "counted_at_home",
        _("Everybody counts at the institution of their card, or is known to be on the way there."),
        "enrollment",
        f"""
            SELECT e.id FROM enrollment_enrollment e
            JOIN enrollment_share s ON s.id = e.share_id JOIN libraries_card c ON c.id = e.card_id
            JOIN enrollment_seatpool p ON p.id = e.pool_id
            WHERE c.institution_id <> s.institution_id AND e.state <> 'ended' AND NOT ({_HOLDS} AND p.has_movers)""",
    ),
    Check(
        "confirmed_not_passed_over",
        _("Nobody whose card is confirmed is passed over."),
        "enrollment",
        """
            SELECT e.id FROM enrollment_enrollment e JOIN libraries_card c ON c.id = e.card_id
            WHERE e.state = 'waiting' AND e.passed_over AND c.state = 'confirmed'""",
    ),
    Check(
        "holds_end",
        _("No place is held beyond its date."),
        "enrollment",
        "SELECT id FROM enrollment_enrollment WHERE state = 'held' AND hold_until < %(overdue)s",
    ),
    Check(
        "terms_end",
        _("No place lasts beyond its term."),
        "enrollment",
        "SELECT id FROM enrollment_enrollment WHERE state = 'seated' AND ends_at < %(overdue)s",
    ),
    Check(
        "seats_have_accounts",
        _("Everybody who has a place has an account that must be open."),
        "enrollment",
        """
            SELECT e.id FROM enrollment_enrollment e
            JOIN enrollment_seatpool p ON p.id = e.pool_id JOIN catalog_programme g ON g.id = p.programme_id
            WHERE e.state = 'seated' AND NOT EXISTS (
                SELECT FROM enrollment_provideraccount a
                WHERE a.user_id = e.user_id AND a.provider_id = g.provider_id AND a.must_be_active
            )""",
    ),
    Check(
        "accounts_have_seats",
        _("Every account that must be open belongs to somebody who has a place."),
        "provideraccount",
        """
            SELECT a.id FROM enrollment_provideraccount a
            WHERE a.must_be_active AND NOT EXISTS (
                SELECT FROM enrollment_enrollment e
                JOIN enrollment_seatpool p ON p.id = e.pool_id JOIN catalog_programme g ON g.id = p.programme_id
                WHERE e.user_id = a.user_id AND g.provider_id = a.provider_id AND e.state = 'seated'
            )""",
    ),
    Check(
        "applications_answered",
        _("No card waits too long for its check."),
        "enrollment",
        """
            SELECT e.id FROM enrollment_enrollment e
            JOIN libraries_card c ON c.id = e.card_id LEFT JOIN libraries_card n ON n.id = e.next_card_id
            WHERE e.state <> 'ended' AND (
                c.state IN ('claimed', 'disputed') AND c.valid_until IS NULL AND e.applied_at < %(unanswered)s
                OR n.claimed_at < %(unanswered)s)""",
    ),
    Check(
        "erasures_go_on",
        _("Whoever asked for it is erased here within a day, and stands on the list of erasures."),
        "erasure",
        """
            SELECT id FROM enrollment_erasure
            WHERE (listed_at IS NULL AND asked_at < %(unlisted)s)
            OR (erased_here_at IS NULL AND asked_at < %(unerased)s)""",
    ),
    Check(
        "events_agree",
        _("What is on record agrees with how things are."),
        "enrollment",
        # The last that was written under the pool's lock: who waited for the lock tells an earlier time.
        f"""
            SELECT e.id FROM enrollment_enrollment e LEFT JOIN LATERAL (
                SELECT v.kind FROM enrollment_event v
                WHERE v.enrollment_id = e.id AND v.kind IN ({", ".join(repr(kind) for kind in _TURNS)})
                ORDER BY v.id DESC LIMIT 1
            ) last ON true
            WHERE ({_AGREES}) IS NOT TRUE""",
        slow=True,
    ),
)
# Asked with the very statement that gives out seats.
IN_VAIN = Check("nobody_waits_in_vain", _("Nobody who may have a place waits while one is free."), "share", "")
_COUNTERS = frozenset({"pool_count", "share_count", "queue_count", "floors_sum"})
