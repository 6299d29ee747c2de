"""The cap's ledger, as people in the workplace read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.functional import Promise

from enrollment.cap_plan import Obstacle
from enrollment.models import CapChange, SeatPool, ShareChange


@dataclass(frozen=True)
class Line:
    """`why_not`: why a planned change was dropped when its time had come; empty otherwise."""

    change: CapChange
    shares: Sequence[ShareChange]
    why_not: str | Promise

    @property
    def is_planned(self) -> bool:
        return self.change.applied_at is None and self.change.withdrawn_at is None


def ledger_of(pool: SeatPool) -> list[Line]:
    """The newest first, what is planned before all; with two queries."""
    changes = CapChange.objects.filter(pool=pool).select_related("by")
    return [
        Line(
            change,
            list(change.share_changes.all()),
            Obstacle(change.obstacle).label if change.obstacle else "",
        )
        for change in changes.prefetch_related("share_changes__share__institution")
    ]
