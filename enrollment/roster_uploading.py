"""Take in a list of cards that a member of staff uploads, and record it."""

from __future__ import annotations

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
    with transaction.atomic():
        report = rosters.import_roster(institution=institution, source=source, by=by, now=now, dry_run=dry_run)
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
