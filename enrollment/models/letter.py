from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from enrollment.models.inserting import insert_each
from enrollment.models.owed import OwedQuerySet, OwedWork

if TYPE_CHECKING:
    from enrollment.models.enrollment import Enrollment


class LetterQuerySet(OwedQuerySet["Letter"]):
    def owe_each(self, kind: str, enrollments: Iterable[Enrollment], *, now: datetime, reason: str = "") -> None:
        """Owe a letter to each (to nobody, where there are none), in the transaction of the decision it tells about."""
        if owed := list(enrollments):
            letter = Letter(kind=kind, reason=reason, owed_at=now, due_at=now)
            insert_each(letter, enrollment_id=[each.pk for each in owed], user_id=[each.user_id for each in owed])

    def owe(self, kind: str, enrollment: Enrollment, *, now: datetime, reason: str = "") -> None:
        self.owe_each(kind, [enrollment], now=now, reason=reason)


class Letter(OwedWork):
    """A message to a member, owed until it is sent. What it says is read from the rows when it is sent."""

    class Kind(models.TextChoices):
        SEAT_GIVEN = "seat_given", _("a place is given")
        SEAT_HELD = "seat_held", _("a place is held")
        IN_QUEUE = "in_queue", _("in the queue")
        CARD_CONFIRMED = "card_confirmed", _("the card is confirmed")
        CARD_REFUSED = "card_refused", _("the card is refused")
        HOLD_LAPSED = "hold_lapsed", _("the held place was released")
        ACCOUNT_READY = "account_ready", _("the account is ready")
        TERM_ENDING = "term_ending", _("the place ends in 30 days")
        TERM_ENDS_SOON = "term_ends_soon", _("the place ends in 7 days")
        SEAT_RENEWED = "seat_renewed", _("the place is renewed")
        SEAT_ENDED = "seat_ended", _("the place has ended")

    kind = models.CharField(_("letter"), max_length=20, choices=Kind)
    enrollment = models.ForeignKey("enrollment.Enrollment", on_delete=models.PROTECT, related_name="letters")
    user = models.ForeignKey("libraries.User", on_delete=models.PROTECT, related_name="letters", verbose_name=_("to"))
    # A reason code (of a refusal, or of an end) as it was when the letter was owed.
    reason = models.CharField(_("reason"), max_length=20, blank=True)
    owed_at = models.DateTimeField(_("owed since"))
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    # Settled without sending: what it would have said was no longer true when its turn came.
    dropped_at = models.DateTimeField(_("not sent any more"), null=True, blank=True)

    objects = LetterQuerySet.as_manager()

    class Meta:
        verbose_name = _("letter")
        verbose_name_plural = _("letters")
        constraints = [
            models.CheckConstraint(
                condition=Q(due_at__isnull=False, sent_at=None, dropped_at=None)
                | Q(due_at=None, sent_at__isnull=False, dropped_at=None)
                | Q(due_at=None, sent_at=None, dropped_at__isnull=False),
                name="letter_owed_sent_or_dropped",
            ),
            models.UniqueConstraint(fields=["enrollment"], condition=Q(kind="account_ready"), name="letter_ready_once"),
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="letter_due")]

    def __str__(self) -> str:
        return f"#{self.pk}"
