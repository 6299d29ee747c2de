"""The end of a term, told in time, and one more term for who may have it."""

from __future__ import annotations

from datetime import datetime, timedelta

from dateutil.relativedelta import relativedelta
from django.db import models
from django.db.models import Exists, F, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.models import Programme
from enrollment import announcing, history, seats
from enrollment.models import Enrollment, Event, Letter
from enrollment.models.enrollment import EnrollmentQuerySet
from libraries.models import User

# A first letter, and a last one; a place can be renewed from the first on.
FIRST, LAST = timedelta(days=30), timedelta(days=7)
_LETTERS = ((Letter.Kind.TERM_ENDING, FIRST), (Letter.Kind.TERM_ENDS_SOON, LAST))


class Obstacle(models.TextChoices):
    NO_PLACE = "no_place", _("You have no place that could be renewed.")
    TOO_EARLY = "too_early", _("You can renew your place from 30 days before it ends.")
    NEVER = "never", _("Places of this programme cannot be renewed.")
    PROGRAMME_ENDS = "programme_ends", _("This programme ends, so places are not renewed.")
    PEOPLE_WAIT = "people_wait", _("People are waiting for a place, so yours cannot be renewed.")
    CARD_EXPIRED = "card_expired", _("Your library card is no longer valid. Ask your library to renew it.")


class CannotRenew(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


def obstacle(enrollment: Enrollment, *, now: datetime) -> Obstacle | None:
    """What stands against one more term; asked for the page and the letter, and again under the lock.

    The card and the pool's programme must be loaded.
    """
    if enrollment.state != Enrollment.State.SEATED or enrollment.ends_at is None or enrollment.ends_at <= now:
        return Obstacle.NO_PLACE
    programme, day = enrollment.pool.programme, timezone.localdate(now)
    if programme.renewal == Programme.Renewal.NEVER:
        return Obstacle.NEVER
    if not programme.is_open_on(day) or _lasts_to_the_end(enrollment):
        return Obstacle.PROGRAMME_ENDS
    if enrollment.ends_at > now + FIRST:
        return Obstacle.TOO_EARLY
    if not enrollment.card.is_valid_on(day):
        return Obstacle.CARD_EXPIRED
    in_line = Enrollment.objects.in_line().filter(pool_id=enrollment.pool_id)
    if programme.renewal == Programme.Renewal.IF_NOBODY_WAITS and in_line.exists():
        return Obstacle.PEOPLE_WAIT
    return None


def _lasts_to_the_end(enrollment: Enrollment) -> bool:
    last = enrollment.pool.programme.seats_end_at
    return last is not None and enrollment.ends_at is not None and enrollment.ends_at >= last


def is_to_come(enrollment: Enrollment, *, now: datetime) -> bool:
    """Whether the place can be renewed now, or later but before the programme closes; as for `obstacle`."""
    found, closes_on = obstacle(enrollment, now=now), enrollment.pool.programme.closes_on
    if found != Obstacle.TOO_EARLY or enrollment.ends_at is None:
        return found is None
    return closes_on is None or timezone.localdate(enrollment.ends_at - FIRST) < closes_on


@seats.transition
def renew(*, enrollment_id: int, by: User, now: datetime) -> Enrollment:
    """Give the member one more term, counted from the end of this one, or as much of it as the programme lasts. Raises
    CannotRenew."""
    pool_id = Enrollment.objects.values_list("pool_id", flat=True).get(pk=enrollment_id)
    seats.lock(pool_id)
    rows = Enrollment.objects.select_related("share", "card", "pool__programme")
    enrollment = rows.select_for_update(no_key=True, of=("self",)).get(pk=enrollment_id)
    found = Obstacle.NO_PLACE if enrollment.user_id != by.pk else obstacle(enrollment, now=now)
    if found is not None or enrollment.ends_at is None:
        raise CannotRenew(found or Obstacle.NO_PLACE)
    full_end = enrollment.ends_at + relativedelta(months=enrollment.pool.programme.term_months)
    enrollment.ends_at, enrollment.uncut_ends_at = seats.cut(enrollment.pool, full_end)
    enrollment.save(update_fields=["ends_at", "uncut_ends_at"])
    history.record(Event.Kind.SEAT_RENEWED, now=now, by=by, enrollment=enrollment)
    Letter.objects.owe(Letter.Kind.SEAT_RENEWED, enrollment, now=now)
    return enrollment


def announce_ends(*, now: datetime) -> int:
    """Owe a letter to everybody whose term is about to end, 30 and 7 days before, once each; say how many."""
    return sum(_announce(kind, within, now=now) for kind, within in _LETTERS)


def _announce(kind: Letter.Kind, within: timedelta, *, now: datetime) -> int:
    return announcing.announce(kind, _untold(kind, within, now=now), now=now)


def _untold(kind: Letter.Kind, within: timedelta, *, now: datetime) -> EnrollmentQuerySet:
    """Seats that end within this time, and whose members do not know by this kind of letter. After a renewal the term
    is another, and is told of again; where the last letter is due, the first is left out."""
    told = Letter.objects.filter(enrollment=OuterRef("pk"), kind=kind, owed_at__gte=OuterRef("ends_at") - within)
    over = now if within == LAST else now + LAST
    ending = Enrollment.objects.filter(state=Enrollment.State.SEATED, ends_at__lte=now + within, ends_at__gt=over)
    return ending.filter(~Exists(told), pool__programme__announces_end=True, seated_at__lte=F("ends_at") - within)
