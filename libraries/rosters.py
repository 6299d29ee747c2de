"""Lists of valid cards: taken in whole or not at all, and looked up one card at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any, BinaryIO

from django.db import OperationalError, connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from libraries.cards.roster import RosterFacts
from libraries.models import Institution, Roster, RosterEntry, User
from libraries.roster_files import (
    Contents,
    Rejection,
    RejectionReason,
    RosterRefused,
    RosterWarning,
    read,
)

__all__ = [
    "RejectionReason",
    "Report",
    "RosterRefused",
    "RosterWarning",
    "fact_key",
    "facts_for",
    "import_roster",
]

# Marks our advisory locks apart from anybody else's in the same database.
_LOCK = 0x526F7374
_LOCK_NOT_AVAILABLE = "55P03"
LOCK_TIMEOUT = "30s"
# A list that loses more cards than this, and more than a tenth of all, must at least end its last line.
_MANY = 100

_LOAD = """
CREATE TEMPORARY TABLE IF NOT EXISTS roster_incoming
    (number varchar(40) NOT NULL, valid_until date, fact_hash varchar(64) NOT NULL) ON COMMIT DROP;
TRUNCATE roster_incoming
"""
_COPY = "COPY roster_incoming (number, valid_until, fact_hash) FROM STDIN"
_GONE = """
FROM libraries_rosterentry e WHERE e.institution_id = %(institution)s
    AND NOT EXISTS (SELECT FROM roster_incoming i WHERE i.number = e.number)
"""
_DIFFERENT = """
e.institution_id = %(institution)s AND e.number = i.number
    AND (e.valid_until, e.fact_hash) IS DISTINCT FROM (i.valid_until, i.fact_hash)
"""
_NEW = """
FROM roster_incoming i WHERE NOT EXISTS (
    SELECT FROM libraries_rosterentry e WHERE e.institution_id = %(institution)s AND e.number = i.number)
"""
_COUNT = f"""
SELECT (SELECT count(*) {_NEW}),
    (SELECT count(*) FROM libraries_rosterentry e, roster_incoming i WHERE {_DIFFERENT}),
    (SELECT count(*) {_GONE})
"""
_DELETE = f"DELETE {_GONE}"
_UPDATE = f"""
UPDATE libraries_rosterentry e SET valid_until = i.valid_until, fact_hash = i.fact_hash
FROM roster_incoming i WHERE {_DIFFERENT}
"""
_INSERT = f"""
INSERT INTO libraries_rosterentry (institution_id, number, valid_until, fact_hash)
SELECT %(institution)s, i.number, i.valid_until, i.fact_hash {_NEW}
"""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an import did, or in a dry run would do; line numbers, codes and counts only.

    `rejected` is in file order. `without_fact` counts accepted cards that only a librarian can confirm.
    `added`, `changed` and `removed` compare with the list before. `roster` is None for a dry run.
    """

    lines: int
    accepted: int
    without_fact: int
    added: int
    changed: int
    removed: int
    rejected: list[Rejection] = field(default_factory=list)
    warnings: list[RosterWarning] = field(default_factory=list)
    roster: Roster | None = None


def import_roster(
    *,
    institution: Institution,
    source: BinaryIO,
    by: User | None,
    now: datetime,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Replace the institution's list by the file's, in one transaction; readers see the old list or the new one.

    The whole file is read and checked before anything is locked. Two imports for one institution follow each other;
    the last to finish reading wins. Importing the same file twice changes no entry. `progress` is told the number of
    lines read so far. Raises `RosterRefused`, having changed nothing.
    """
    with tempfile.TemporaryFile("w+", encoding="ascii", newline="\n") as rows:
        contents = read(
            source,
            rows,
            institution_id=institution.pk,
            second_fact=institution.second_fact,
            key=fact_key(institution),
            on=timezone.localdate(now),
            progress=progress or (lambda lines: None),
        )
        rows.seek(0)
        if dry_run:
            return _preview(institution, rows, contents)
        return _replace(institution, rows, contents, by, now)


def fact_key(institution: Institution) -> bytes:
    """A key of its own for each institution. It follows SECRET_KEY: after a change of that, lists must be uploaded
    again, and until then no second fact is right."""
    return salted_hmac("libraries.rosters", str(institution.pk), algorithm="sha256").digest()


def facts_for(institution: Institution, number: str) -> RosterFacts | None:
    """What the list says of a normalized number, or None when it is not on it.

    Second facts of another kind than the institution asks for now are left out, so that a librarian looks.
    """
    entry = RosterEntry.objects.filter(institution=institution, number=number).first()
    if entry is None:
        return None
    latest = Roster.objects.filter(institution=institution).order_by("-pk").first()
    usable = latest is not None and latest.second_fact == institution.second_fact
    return RosterFacts(entry.valid_until, entry.fact_hash if usable else "")


def _preview(institution: Institution, rows: IO[str], contents: Contents) -> Report:
    with transaction.atomic(), connection.cursor() as cursor:
        _load(cursor, rows)
        cursor.execute(_COUNT, {"institution": institution.pk})
        added, changed, removed = cursor.fetchone()
    _require_uncut(contents, added=added, removed=removed)
    return _report(contents, added=added, changed=changed, removed=removed)


def _replace(institution: Institution, rows: IO[str], contents: Contents, by: User | None, now: datetime) -> Report:
    with transaction.atomic(), connection.cursor() as cursor:
        _load(cursor, rows)
        _take_turn(cursor, institution)
        removed, changed, added = (
            _affected(cursor, statement, institution) for statement in (_DELETE, _UPDATE, _INSERT)
        )
        _require_uncut(contents, added=added, removed=removed)
        roster = Roster.objects.create(
            institution=institution,
            imported_at=now,
            imported_by=by,
            second_fact=institution.second_fact,
            accepted=contents.accepted,
            rejected=len(contents.rejected),
            rejections=contents.rejected,
        )
    return _report(contents, added=added, changed=changed, removed=removed, roster=roster)


def _load(cursor: Any, rows: IO[str]) -> None:
    cursor.execute(_LOAD)
    cursor.copy_expert(_COPY, rows)
    # A temporary table has no statistics of its own accord, and without them the joins below may be nested loops.
    cursor.execute("ANALYZE roster_incoming")


def _take_turn(cursor: Any, institution: Institution) -> None:
    """An advisory lock and not a row's, so that an import holds up nobody who only edits the institution."""
    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
    try:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, institution.pk])
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", None) == _LOCK_NOT_AVAILABLE:
            raise RosterRefused("busy") from None
        raise


def _affected(cursor: Any, statement: str, institution: Institution) -> int:
    cursor.execute(statement, {"institution": institution.pk})
    return int(cursor.rowcount)


def _require_uncut(contents: Contents, *, added: int, removed: int) -> None:
    """A copy broken off in the middle of a line can still end in a line that reads well."""
    before = contents.accepted - added + removed
    if not contents.ended and removed > max(_MANY, before // 10):
        raise RosterRefused("cut_off", rejected=contents.rejected)


def _report(contents: Contents, *, added: int, changed: int, removed: int, roster: Roster | None = None) -> Report:
    return Report(
        lines=contents.lines,
        accepted=contents.accepted,
        without_fact=contents.without_fact,
        added=added,
        changed=changed,
        removed=removed,
        rejected=contents.rejected,
        warnings=contents.warnings,
        roster=roster,
    )
