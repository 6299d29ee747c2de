"""Where those who wait stand in line."""

from __future__ import annotations

from collections.abc import Iterable

from enrollment.models import Enrollment, QueueStretch


def places_of(enrollments: Iterable[Enrollment]) -> dict[int, int]:
    """The place of each that is in line, from 1, as the member reads it; with one query at most."""
    waiting = [each.pk for each in enrollments if each.state == Enrollment.State.WAITING and not each.passed_over]
    return QueueStretch.objects.places_of(waiting) if waiting else {}
