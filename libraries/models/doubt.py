from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Doubt(models.Model):
    """A library system said that a proved card is not good. It counts only when it says so again, and when it does not
    say so of unusually many cards: until then nothing has changed for anybody."""

    class Says(models.TextChoices):
        EXPIRED = "expired", _("The card is no longer valid.")
        BLOCKED = "blocked", _("The card is blocked at the desk of the library.")
        UNKNOWN = "unknown", _("The library does not know this card number.")

    card = models.OneToOneField("libraries.Card", on_delete=models.CASCADE, related_name="doubt")
    institution = models.ForeignKey("libraries.Institution", on_delete=models.CASCADE, related_name="+", db_index=False)
    says = models.CharField(max_length=20, choices=Says)
    # The last day on which it was good, where the system told.
    until = models.DateField(null=True)
    found_at = models.DateTimeField()
    asked_at = models.DateTimeField()
    # The card has lapsed by it; the row stays for the count of the fuse.
    believed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["institution", "found_at"], name="doubt_found")]
        constraints = [
            models.CheckConstraint(condition=Q(says__in=["expired", "blocked", "unknown"]), name="doubt_says_known"),
            models.CheckConstraint(condition=Q(asked_at__gte=models.F("found_at")), name="doubt_asked_after_found"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
