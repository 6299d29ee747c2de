"""Take in a list of cards, uploaded by a member of staff or given to a command, and record it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import BinaryIO

from django.db import transaction

from enrollment import history
from enrollment.models import Event
from libraries import rosters, scoping
from libraries.models import Institution, User


class NotYours(Exception):
    """Only the institution's librarians and coordinators may replace its list."""


def upload(*, institution: Institution, source: BinaryIO, by: User, now: datetime, dry_run: bool) -> rosters.Report:
    """Raises NotYours or RosterRefused, and has then changed nothing. A dry run changes and records nothing."""
    if not scoping.may_decide_on(by, institution.pk):
        raise NotYours
    return take_in(institution=institution, source=source, by=by, now=now, dry_run=dry_run)


def take_in(
    *,
    institution: Institution,
    source: BinaryIO,
    by: User | None,
    now: datetime,
    dry_run: bool,
    progress: Callable[[int], None] | None = None,
) -> rosters.Report:
    """As `upload`, for whoever has a shell; `progress` is told the number of lines read so far."""
    with transaction.atomic():
        report = rosters.import_roster(
            institution=institution, source=source, by=by, now=now, dry_run=dry_run, progress=progress
        )
        if report.roster is not None:
            history.record(
                Event.Kind.ROSTER_IMPORTED,
                now=now,
                by=by,
                institution_id=institution.pk,
                old_value=report.removed,
                new_value=report.accepted,
            )
    return report
