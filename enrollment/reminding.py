"""Remind the library of cards it has to look at, before the seats that are held for them are released."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, Value

from enrollment import seats
from enrollment.models import Enrollment, Letter
from enrollment.models.enrollment import EnrollmentQuerySet
from libraries import scoping
from libraries.models import Institution

Role = scoping.Role

# An institution gets no more than one letter in so long, however many holds begin to end meanwhile; or sooner, where a
# hold would be over before it could be looked at with the next one.
BETWEEN = timedelta(hours=24)
AT_LEAST_BETWEEN = timedelta(hours=6)


def remind_libraries(*, now: datetime) -> int:
    """Owe a letter to the librarians of every institution with holds that end soon and that they were not told of (to
    the coordinators, where it has no librarians); say how many letters."""
    ids = _untold(now).order_by("share__institution_id").values_list("share__institution_id", flat=True).distinct()
    return sum(_remind(pk, now=now) for pk in list(ids))


def ending_at(institution_id: int, *, now: datetime) -> EnrollmentQuerySet:
    """The holds that end soon, of one institution."""
    return Enrollment.objects.hold_ending(now).filter(share__institution_id=institution_id)


@seats.transition
def _remind(institution_id: int, *, now: datetime) -> int:
    """Whoever finds the institution locked leaves it to the sweep that is at it; read again once it is locked."""
    mine = Institution.objects.filter(pk=institution_id).select_for_update(no_key=True, skip_locked=True).first()
    if mine is None or not _untold(now).filter(share__institution_id=institution_id).exists():
        return 0
    people = scoping.staff_with(Role.LIBRARIAN, institution_id) or scoping.staff_with(Role.COORDINATOR)
    Letter.objects.owe_to_staff(Letter.Kind.HOLDS_ENDING, people, now=now, institution_id=institution_id)
    return len(people)


def _untold(now: datetime) -> EnrollmentQuerySet:
    """Holds that end soon, without a letter to their institution since they do, nor one that is too fresh."""
    letters = Letter.objects.filter(kind=Letter.Kind.HOLDS_ENDING, institution_id=OuterRef("share__institution_id"))
    told = Q(owed_at__gte=OuterRef("ending_since"))
    too_fresh = Q(owed_at__gt=now - AT_LEAST_BETWEEN)
    next_is_in_time = Q(
        owed_at__gte=now - BETWEEN, owed_at__lte=OuterRef("hold_until") - Value(BETWEEN + AT_LEAST_BETWEEN)
    )
    return Enrollment.objects.hold_ending(now).exclude(Exists(letters.filter(told | too_fresh | next_is_in_time)))
