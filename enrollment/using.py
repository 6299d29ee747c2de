"""Seats that are used, and seats that are not: a reminder, and then the seat is for somebody who waits."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet
from django.db.models.fields import DateTimeField
from django.utils import timezone

from catalog.models import Listing
from enrollment import announcing, ending, history
from enrollment.models import Enrollment, Event, Letter
from enrollment.models.enrollment import EnrollmentQuerySet
from enrollment.models.letter import LetterQuerySet

# Between the reminder and the end.
REMINDED_BEFORE = timedelta(days=7)
# Why a seat counts as used whose member did not go to the courses from here.
PROGRESS = "progress"


def start(*, enrollment_id: int, now: datetime) -> bool:
    """The member goes to the courses; says whether it was the first time, which alone is kept."""
    first = Enrollment.objects.filter(pk=enrollment_id, state=Enrollment.State.SEATED, used_at=None)
    if not first.update(used_at=now):
        return False
    enrollment = Enrollment.objects.select_related("share", "user").get(pk=enrollment_id)
    history.record(Event.Kind.STARTED, now=now, by=enrollment.user, enrollment=enrollment)
    return True


@transaction.atomic
def note_progress(*, user_id: int, provider_id: int, course_code: str, at: datetime, now: datetime) -> bool:
    """The provider tells that somebody has got on in a course, and so uses the seat: of several at that provider, the
    one whose programme has the course; says whether it was the first sign. What happened before a seat was given says
    nothing of it."""
    at_provider = {"user_id": user_id, "pool__programme__provider_id": provider_id}
    unused = Enrollment.objects.filter(
        **at_provider, state=Enrollment.State.SEATED, used_at=None, seated_at__lte=at
    ).order_by("id")
    listed = Listing.objects.filter(programme=OuterRef("pool__programme"), course__code=course_code)
    used = unused.filter(Exists(listed)) if _has_course(at_provider, listed) else unused
    # Without its share: a seat that is being moved to another one is not found beside the one it has left.
    locked = [each.pk for each in used.select_for_update(no_key=True, of=("self",))]
    begun = Enrollment.objects.filter(pk__in=locked).order_by("id")
    if not begun.update(used_at=at):
        return False
    history.record_each(
        [(Event.Kind.STARTED, each) for each in begun.select_related("share")], now=now, reason=PROGRESS
    )
    return True


def _has_course(at_provider: dict[str, int], listed: QuerySet[Listing]) -> bool:
    seated = Enrollment.objects.filter(**at_provider, state=Enrollment.State.SEATED)
    return seated.filter(Exists(listed)).exists()


def remind(*, now: datetime) -> int:
    """Owe a letter to everybody who has not used a seat for so long that it ends in a week; say how many."""
    reminded = announcing.announce(Letter.Kind.SEAT_UNUSED, _unreminded(now), now=now)
    return reminded + announcing.announce(Letter.Kind.ADDRESS_UNPROVED, _unproved(now), now=now)


def end_unused(*, now: datetime) -> int:
    """End every seat that was not used in spite of the reminder; say how many."""
    due = (_unused_in_spite(now), _unproved_in_spite(now))
    return sum(ending.end_due(each, reason=Enrollment.EndReason.UNUSED, now=now) for each in due)


def prove_until(enrollment: Enrollment) -> date | None:
    """The day on which a seat ends whose owner has not proved the address; None where it does not end for that."""
    days = enrollment.pool.programme.unused_days
    if enrollment.state != Enrollment.State.SEATED or enrollment.seated_at is None or days is None:
        return None
    return timezone.localdate(enrollment.seated_at) + timedelta(days=days)


def _unused(now: datetime) -> EnrollmentQuerySet:
    """In programmes that mind, and where somebody else could have the seat."""
    closes_on = "pool__programme__closes_on"
    goes_on = Q(**{closes_on: None}) | Q(**{f"{closes_on}__gt": timezone.localdate(now)})
    minding = Enrollment.objects.filter(goes_on, pool__programme__unused_days__isnull=False)
    return minding.filter(state=Enrollment.State.SEATED, used_at=None)


def _unreminded(now: datetime) -> EnrollmentQuerySet:
    """The days count from the letter that says that the account is ready: before, nobody can use a seat."""
    days = F("enrollment__pool__programme__unused_days") * timedelta(days=1)
    over = ExpressionWrapper(F("owed_at") + days, output_field=DateTimeField())
    ready = _letters(Letter.Kind.ACCOUNT_READY).alias(over=over).filter(over__lte=now + REMINDED_BEFORE)
    return _unused(now).filter(Exists(ready), ~Exists(_letters(Letter.Kind.SEAT_UNUSED)))


def _unproved(now: datetime) -> EnrollmentQuerySet:
    """Signed up at the desk, the address never proved: no account is opened, and the days count from the seat."""
    days = F("pool__programme__unused_days") * timedelta(days=1)
    over = ExpressionWrapper(F("seated_at") + days, output_field=DateTimeField())
    unproved = _unused(now).filter(user__address_proved_at=None).alias(over=over)
    return unproved.filter(~Exists(_letters(Letter.Kind.ADDRESS_UNPROVED)), over__lte=now + REMINDED_BEFORE)


def _unproved_in_spite(now: datetime) -> EnrollmentQuerySet:
    """A week after the reminder was owed, whether or not the address takes it: it may not exist."""
    reminded = _letters(Letter.Kind.ADDRESS_UNPROVED).filter(owed_at__lte=now - REMINDED_BEFORE)
    return _unused(now).filter(Exists(reminded), user__address_proved_at=None)


def _unused_in_spite(now: datetime) -> EnrollmentQuerySet:
    """A week after the reminder has left, not after it was owed: the mail may have been down."""
    long_ago = now - REMINDED_BEFORE
    reminded = _letters(Letter.Kind.SEAT_UNUSED).filter(sent_at__lte=long_ago)
    return _unused(now).filter(Exists(reminded))


def _letters(kind: Letter.Kind) -> LetterQuerySet:
    return Letter.objects.filter(enrollment=OuterRef("pk"), kind=kind)
