"""Why somebody may not apply: asked for the page, and asked again under the lock."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment.models import Enrollment, SeatPool, Share
from libraries.models import Card, User

# So many cards may wait for their check at one institution: invented cards must not fill a pool.
UNPROVED_PER_INSTITUTION = 500


class Reason(models.TextChoices):
    NOT_OPEN_YET = "not_open_yet", _("This programme has not opened yet.")
    CLOSED = "closed", _("This programme is closed: you cannot apply any more.")
    ALREADY_APPLIED = (
        "already_applied",
        _("You have already applied. You find your application under “My place”."),
    )
    NOT_TAKING_PART = "not_taking_part", _("This library does not take part in this programme.")
    LIBRARY_BUSY = (
        "library_busy",
        _("This library has very many cards to check now. Please try again tomorrow."),
    )
    LIBRARY_SILENT = (
        "library_silent",
        _("The system of this library does not answer now, and very many people have applied. Please try again later."),
    )
    ACCOUNT_CLOSED = "account_closed", _("This account cannot apply. Please ask your library.")


def programme_reasons(pool: SeatPool, *, now: datetime) -> list[Reason]:
    """What stands against anybody's application."""
    day = timezone.localdate(now)
    if pool.programme.opens_on > day:
        return [Reason.NOT_OPEN_YET]
    return [] if pool.programme.is_open_on(day) else [Reason.CLOSED]


def reasons_against(
    user: User,
    pool: SeatPool,
    share: Share | None,
    *,
    applied: bool,
    proved: bool,
    now: datetime,
    silent: bool = False,
) -> list[Reason]:
    """All that stands against an application: `share` is that of the card's institution, None where it does not take
    part; `applied` says that the user has an open application there, `proved` that the card check has confirmed the
    card, `silent` that there was no answer."""
    reasons = programme_reasons(pool, now=now)
    if not user.is_active:
        reasons.append(Reason.ACCOUNT_CLOSED)
    if applied:
        reasons.append(Reason.ALREADY_APPLIED)
    if share is None:
        reasons.append(Reason.NOT_TAKING_PART)
    elif not proved and is_busy(share.institution_id):
        reasons.append(Reason.LIBRARY_SILENT if silent else Reason.LIBRARY_BUSY)
    return reasons


def is_busy(institution_id: int) -> bool:
    """Too many cards wait for their check there. A card whose application was taken back is nobody's work any more, and
    whoever has had a place once, on a card that has expired since, is no invention."""
    undecided = [Card.State.CLAIMED, Card.State.DISPUTED]
    unproved = Enrollment.objects.open().exclude(state=Enrollment.State.SEATED)
    waiting = unproved.filter(card__institution_id=institution_id, card__state__in=undecided)
    # Counted no further than it matters.
    return waiting[:UNPROVED_PER_INSTITUTION].count() >= UNPROVED_PER_INSTITUTION
