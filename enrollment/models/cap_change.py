from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class CapChange(models.Model):
    """One line in the cap's ledger."""

    pool = models.ForeignKey("enrollment.SeatPool", on_delete=models.PROTECT, related_name="cap_changes")
    old_cap = models.PositiveIntegerField(_("from"))
    new_cap = models.PositiveIntegerField(_("to"))
    reason = models.TextField(_("reason"), max_length=500)
    by = models.ForeignKey(
        "libraries.User", on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("by")
    )
    effective_at = models.DateTimeField(_("takes effect"))

    class Meta:
        verbose_name = _("change of the number of places")
        verbose_name_plural = _("changes of the number of places")
        ordering = ["-effective_at", "-id"]
        constraints = [models.CheckConstraint(condition=~models.Q(reason=""), name="cap_change_has_reason")]

    def __str__(self) -> str:
        return f"#{self.pk}"
