"""The end of a programme, as people in the workplace read it: when, why and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.utils import timezone

from enrollment.models import Event, SeatPool
from enrollment.reports.timeline import names_of


@dataclass(frozen=True)
class Closing:
    """`why` and `who` are empty for dates that nobody decided about through the places."""

    closes_on: date
    seats_end_on: date | None
    is_over: bool
    why: str = ""
    who: str = ""


def closing_of(pool: SeatPool) -> Closing | None:
    """What is planned, or done; with two queries."""
    programme, today = pool.programme, timezone.localdate()
    if programme.closes_on is None:
        return None
    decided = Event.objects.filter(pool_id=pool.pk, kind=Event.Kind.PROGRAMME_CLOSES).select_related("note")
    last = decided.order_by("-at", "-id").first()
    why = last.note.words if last and hasattr(last, "note") else ""
    who = names_of([last.actor_id]).get(last.actor_id, "") if last else ""
    return Closing(programme.closes_on, programme.seats_end_on, programme.is_closed_on(today), why, who)
