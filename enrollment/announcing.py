"""Letters that a rule owes to many: each person is told once, however many sweeps run."""

from __future__ import annotations

from datetime import datetime

from enrollment import seats
from enrollment.models import Letter
from enrollment.models.enrollment import EnrollmentQuerySet

_BATCH = 500


def announce(kind: Letter.Kind, untold: EnrollmentQuerySet, *, now: datetime) -> int:
    """Owe this kind of letter to everybody who is `untold`, which must leave out whoever is owed it; say to how many
    it was looked at. In batches, so that nobody who gives a seat back waits long."""
    announced = batch = _announce_batch(kind, untold, now=now)
    while batch == _BATCH:
        batch = _announce_batch(kind, untold, now=now)
        announced += batch
    return announced


@seats.transition
def _announce_batch(kind: Letter.Kind, untold: EnrollmentQuerySet, *, now: datetime) -> int:
    """Read again once the rows are locked: another sweep may have told them meanwhile."""
    locked = untold.order_by("id").select_for_update(no_key=True, skip_locked=True, of=("self",))
    ids = list(locked.values_list("pk", flat=True)[:_BATCH])
    Letter.objects.owe_each(kind, untold.filter(pk__in=ids), now=now)
    return len(ids)
