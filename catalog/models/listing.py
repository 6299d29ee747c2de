from __future__ import annotations

from datetime import date

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import ExtractMonth, ExtractYear
from django.utils.translation import gettext_lazy as _


class ListingQuerySet(models.QuerySet["Listing"]):
    def on_offer(self, day: date) -> ListingQuerySet:
        return self.filter(Q(offered_from__lte=day), Q(offered_until=None) | Q(offered_until__gt=day))

    def with_courses(self) -> ListingQuerySet:
        return self.select_related("course__area").order_by("course__area__position", "course__title")


class Listing(models.Model):
    """A course on offer in a programme from one day until another (the first day it is gone; None: no end planned).

    Of several that follow each other without a break, `unbroken_from` and `unbroken_until` of each are the first day of
    the first and the end of the last: the course neither leaves nor is new in between. A trigger writes them (0011).

    Triggers refuse more core titles on any day to come than the programme has (migration 0008), and to delete what has
    begun (0010).
    """

    class Role(models.TextChoices):
        CORE = "core", _("core title")
        MODULE = "module", _("module of the month")

    programme = models.ForeignKey(
        "catalog.Programme", on_delete=models.PROTECT, related_name="listings", verbose_name=_("programme")
    )
    course = models.ForeignKey(
        "catalog.Course", on_delete=models.PROTECT, related_name="listings", verbose_name=_("course")
    )
    role = models.CharField(_("role"), max_length=10, choices=Role, default=Role.CORE)
    offered_from = models.DateField(_("from"))
    offered_until = models.DateField(_("until"), null=True, blank=True)
    unbroken_from = models.DateField(editable=False, db_default=date.min)
    unbroken_until = models.DateField(editable=False, null=True)

    objects = ListingQuerySet.as_manager()

    class Meta:
        verbose_name = _("listing")
        verbose_name_plural = _("listings")
        ordering = ["offered_from", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(offered_until=None) | Q(offered_until__gt=F("offered_from")),
                name="listing_ends_after_start",
            ),
            models.UniqueConstraint(
                F("programme"),
                ExtractYear("offered_from"),
                ExtractMonth("offered_from"),
                condition=Q(role="module"),
                name="listing_one_module_a_month",
            ),
            ExclusionConstraint(
                name="listing_course_once_at_a_time",
                expressions=[
                    ("programme", RangeOperators.EQUAL),
                    ("course", RangeOperators.EQUAL),
                    (
                        Func(
                            "offered_from",
                            "offered_until",
                            function="DATERANGE",
                            output_field=DateRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ],
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
