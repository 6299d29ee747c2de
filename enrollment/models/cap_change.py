from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class CapChangeQuerySet(models.QuerySet["CapChange"]):
    def planned(self) -> CapChangeQuerySet:
        return self.filter(applied_at=None, withdrawn_at=None)

    def due(self, now: datetime) -> CapChangeQuerySet:
        return self.planned().filter(effective_at__lte=now)


class CapChange(models.Model):
    """One line in the cap's ledger: a new cap, new terms for some shares, or both; done, planned or withdrawn.

    What it was before is written when the change is done; `new_cap` None: the cap stays as it is.
    """

    pool = models.ForeignKey("enrollment.SeatPool", on_delete=models.PROTECT, related_name="cap_changes")
    old_cap = models.PositiveIntegerField(_("from"), null=True)
    new_cap = models.PositiveIntegerField(_("to"), null=True)
    reason = models.TextField(_("reason"), max_length=500)
    by = models.ForeignKey(
        "libraries.User", on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("by")
    )
    effective_at = models.DateTimeField(_("takes effect"))
    applied_at = models.DateTimeField(_("done"), null=True)
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True)
    # None: the portal itself, because when its time came the change was not possible (`obstacle`, see cap.Obstacle).
    withdrawn_by = models.ForeignKey("libraries.User", on_delete=models.PROTECT, null=True, related_name="+")
    obstacle = models.CharField(max_length=20, blank=True)

    objects = CapChangeQuerySet.as_manager()

    class Meta:
        verbose_name = _("change of the number of places")
        verbose_name_plural = _("changes of the number of places")
        ordering = ["-effective_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="cap_change_has_reason"),
            models.CheckConstraint(condition=Q(applied_at=None) | Q(withdrawn_at=None), name="cap_change_done_or_not"),
            models.CheckConstraint(
                condition=Q(new_cap=None) | Q(applied_at=None) | Q(old_cap__isnull=False), name="cap_change_from_and_to"
            ),
        ]
        indexes = [
            models.Index(
                fields=["effective_at"], condition=Q(applied_at=None, withdrawn_at=None), name="cap_change_planned"
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class ShareChange(models.Model):
    """What a line of the ledger says about one share. `had_` is written when the change is done."""

    change = models.ForeignKey("enrollment.CapChange", on_delete=models.PROTECT, related_name="share_changes")
    share = models.ForeignKey("enrollment.Share", on_delete=models.PROTECT, related_name="changes")
    had_floor = models.PositiveIntegerField(null=True)
    had_ceiling = models.PositiveIntegerField(null=True)
    had_lends_from = models.DateField(null=True)
    floor = models.PositiveIntegerField(_("guaranteed places"))
    ceiling = models.PositiveIntegerField(_("at most"), null=True)
    lends_from = models.DateField(_("lends what is unused from"), null=True)

    class Meta:
        verbose_name = _("change of a share")
        verbose_name_plural = _("changes of shares")
        constraints = [models.UniqueConstraint(fields=["change", "share"], name="share_change_once_per_change")]

    def __str__(self) -> str:
        return f"#{self.pk}"
