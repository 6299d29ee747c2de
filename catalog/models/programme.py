from __future__ import annotations

from datetime import date

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class ProgrammeQuerySet(models.QuerySet["Programme"]):
    def open_on(self, day: date) -> ProgrammeQuerySet:
        return self.filter(Q(opens_on__lte=day), Q(closes_on=None) | Q(closes_on__gt=day))


class Programme(models.Model):
    """The agreement with one provider: what is on offer, from when, for how long a seat lasts."""

    class Renewal(models.TextChoices):
        ALWAYS = "always", _("always")
        IF_NOBODY_WAITS = "if_nobody_waits", _("only if nobody waits")
        NEVER = "never", _("never")

    slug = models.SlugField(max_length=50, unique=True)
    name = models.CharField(_("name"), max_length=100)
    provider = models.ForeignKey(
        "catalog.Provider", on_delete=models.PROTECT, related_name="programmes", verbose_name=_("provider")
    )
    opens_on = models.DateField(_("opens on"))
    closes_on = models.DateField(_("closes on"), null=True, blank=True, help_text=_("The first day it is closed."))
    term_months = models.PositiveSmallIntegerField(
        _("a seat lasts (months)"), default=12, validators=[MinValueValidator(1), MaxValueValidator(60)]
    )
    hold_days = models.PositiveSmallIntegerField(
        _("a seat is held for a card check (days)"),
        default=14,
        validators=[MinValueValidator(1), MaxValueValidator(90)],
    )
    renewal = models.CharField(
        _("a seat can be renewed"), max_length=20, choices=Renewal, default=Renewal.IF_NOBODY_WAITS
    )
    announces_end = models.BooleanField(
        _("tells members when their seat ends"), default=True, help_text=_("With a letter 30 and 7 days before.")
    )
    minimum_age = models.PositiveSmallIntegerField(
        _("minimum age"), null=True, blank=True, validators=[MaxValueValidator(99)]
    )

    objects = ProgrammeQuerySet.as_manager()

    class Meta:
        verbose_name = _("programme")
        verbose_name_plural = _("programmes")
        ordering = ["opens_on", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(closes_on=None) | Q(closes_on__gt=F("opens_on")),
                name="programme_closes_after_opening",
            ),
            models.CheckConstraint(
                condition=Q(renewal__in=["always", "if_nobody_waits", "never"]), name="programme_renewal_known"
            ),
            models.CheckConstraint(condition=Q(term_months__gte=1, hold_days__gte=1), name="programme_terms_positive"),
        ]

    def __str__(self) -> str:
        return self.name

    def is_open_on(self, day: date) -> bool:
        return self.opens_on <= day and (self.closes_on is None or day < self.closes_on)
