from __future__ import annotations

from datetime import date, datetime, time

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
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

    class Tells(models.TextChoices):
        """What a course is told of whoever starts it; never more than its tool needs. From the least to the most."""

        PSEUDONYM = "pseudonym", _("nothing but a number that stands for the member")
        NAME = "name", _("the name")
        NAME_AND_MAIL = "name_and_mail", _("the name and the email address")

        @classmethod
        def least(cls, *told: str) -> str:
            """Of these; empty, which is nothing at all, is less than any."""
            return min(told, key=["", *cls.values].index)

    slug = models.SlugField(max_length=50, unique=True)
    name = models.CharField(_("name"), max_length=100)
    provider = models.ForeignKey(
        "catalog.Provider", on_delete=models.PROTECT, related_name="programmes", verbose_name=_("provider")
    )
    opens_on = models.DateField(_("opens on"))
    closes_on = models.DateField(_("closes on"), null=True, blank=True, help_text=_("The first day it is closed."))
    # A programme that ends for good: set together with `closes_on` (enrollment.closing). None: seats run their term.
    seats_end_on = models.DateField(_("the last seats end on"), null=True, blank=True, editable=False)
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
    card_grace_days = models.PositiveSmallIntegerField(
        _("a seat whose card has expired ends after (days)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(7), MaxValueValidator(365)],
        help_text=_("The member is told at once. Leave this empty when a seat lasts whatever happens to the card."),
    )
    unused_days = models.PositiveSmallIntegerField(
        _("a seat that is never used ends after (days)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(14), MaxValueValidator(365)],
        help_text=_(
            "Used is whoever came to the courses by way of “My place”. The member is reminded a week before. "
            "Leave this empty when unused seats stay."
        ),
    )
    queue_alarm = models.PositiveIntegerField(
        _("tells the coordinators when so many wait"),
        null=True,
        blank=True,
        default=100,
        validators=[MinValueValidator(1), MaxValueValidator(1_000_000)],
        help_text=_("Once, when the queue becomes longer than this; leave it empty for no letter."),
    )
    minimum_age = models.PositiveSmallIntegerField(
        _("minimum age"), null=True, blank=True, validators=[MaxValueValidator(99)]
    )
    core_titles = models.PositiveSmallIntegerField(
        _("core titles on offer at once, at most"),
        default=30,
        db_default=30,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
    )
    kept_days = models.PositiveSmallIntegerField(
        _("whoever has started a title that leaves keeps it for (days)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1830)],
        help_text=_("Leave this empty when they keep it as long as their place lasts."),
    )
    tells = models.CharField(
        _("what a course is told of a member"),
        max_length=15,
        choices=Tells,
        default=Tells.PSEUDONYM,
        db_default=Tells.PSEUDONYM,
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
            models.CheckConstraint(condition=Q(core_titles__gte=1), name="programme_has_core_titles"),
            models.CheckConstraint(
                condition=Q(tells__in=["pseudonym", "name", "name_and_mail"]), name="programme_tells_known"
            ),
            models.CheckConstraint(
                condition=Q(seats_end_on=None) | Q(closes_on__isnull=False, seats_end_on__gte=F("closes_on")),
                name="programme_seats_end_after_closing",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def seats_end_at(self) -> datetime | None:
        """The last moment of the day on which the last seats end, where the libraries are."""
        if self.seats_end_on is None:
            return None
        return timezone.make_aware(datetime.combine(self.seats_end_on, time(23, 59)))

    def is_open_on(self, day: date) -> bool:
        return self.opens_on <= day and not self.is_closed_on(day)

    def is_closed_on(self, day: date) -> bool:
        return self.closes_on is not None and self.closes_on <= day
