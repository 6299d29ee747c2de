from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Length
from django.db.models.lookups import In
from django.utils.translation import gettext_lazy as _

from libraries.models.institution import Institution


class Roster(models.Model):
    """One upload of an institution's list of valid cards; the newest replaces the one before."""

    institution = models.ForeignKey("libraries.Institution", on_delete=models.PROTECT, related_name="rosters")
    imported_at = models.DateTimeField(_("imported"))
    imported_by = models.ForeignKey(
        "libraries.User",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
    )
    # Which kind of second fact its hashes are of: when the institution changes its mind, they prove nothing any more.
    second_fact = models.CharField(_("second fact"), max_length=20, choices=Institution.SecondFact)
    accepted = models.PositiveIntegerField(_("accepted lines"))
    rejected = models.PositiveIntegerField(_("rejected lines"))
    # Line numbers and reason codes only, in file order: [[17, "bad_date"], …].
    rejections = models.JSONField(default=list)

    class Meta:
        verbose_name = _("list of cards")
        verbose_name_plural = _("lists of cards")
        get_latest_by = ["imported_at", "id"]

    def __str__(self) -> str:
        return f"#{self.pk}"


class RosterEntry(models.Model):
    """One line: a number, until when it is valid, and the second fact as a keyed hash (never in the clear)."""

    # No index of its own: the unique one below begins with it.
    institution = models.ForeignKey(
        "libraries.Institution", on_delete=models.CASCADE, related_name="roster_entries", db_index=False
    )
    number = models.CharField(max_length=40)
    valid_until = models.DateField(null=True)
    # HMAC-SHA256 keyed with the site's secret and the institution, as 64 hexadecimal digits; empty where unknown.
    fact_hash = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["institution", "number"], name="roster_number_unique"),
            # No {1,40} or {64} in these: counting in a pattern took a third of a large import's time. The columns'
            # own lengths say the rest.
            models.CheckConstraint(condition=Q(number__regex=r"^[0-9A-Z]+$"), name="roster_number_normal"),
            models.CheckConstraint(
                condition=Q(fact_hash__regex=r"^[0-9a-f]*$") & Q(In(Length("fact_hash"), (0, 64))),
                name="roster_fact_hashed",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
